"""Real projects from the package registries, fetched outside and built inside."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bldr import ExecutionResult, HermeticExecutor, HermeticSpecBuilder, SandboxSpec

pytestmark = pytest.mark.needs("user-namespaces")
PATIENCE = 600  # seconds


def build(spec: SandboxSpec, script: str, directory: Path) -> ExecutionResult:
    result = HermeticExecutor.create(spec).execute(["sh", "-ec", script], cwd=directory, timeout=PATIENCE)
    assert result.exit_code == 0, result.stdout[-2000:].decode() + result.stderr[-2000:].decode()
    assert result.hermetic
    return result


def fingerprint(tree: Path) -> str:
    """Hash the names, modes, times and contents of a tree."""
    digest = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        state = path.lstat()
        digest.update(f"{path} {state.st_mode} {state.st_mtime_ns}".encode())
        if path.is_file() and not path.is_symlink():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def specification(root: Path, sources: list[Path], output: Path) -> SandboxSpec:
    return HermeticSpecBuilder.for_build(
        workspace_root=root, sources=sources, output_dir=output, temp_dir=root / "temps"
    )


@pytest.mark.needs("source-package", "c-compiler")
def test_an_autotools_project_is_configured_checked_and_installed(tmp_path: Path) -> None:
    fetched, output = tmp_path / "fetched", tmp_path / "output"
    fetched.mkdir()
    output.mkdir()
    subprocess.run(["apt-get", "-qq", "source", "--download-only", "hello"], cwd=fetched, check=True)
    (archive,) = fetched.glob("hello_*.orig.tar.*z")
    subprocess.run(["tar", "-x", "-f", archive.name], cwd=fetched, check=True)
    (sources,) = fetched.glob("hello-*/")
    before = fingerprint(sources)

    script = (
        f"{sources}/configure -q --prefix=/usr && make -s && make -s check && make -s install DESTDIR=$PWD/installed"
    )
    result = build(specification(tmp_path, [sources], output), script, output)

    program = output / "installed" / "usr" / "bin" / "hello"
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"Hello, world!\n"
    assert fingerprint(sources) == before
    assert str(program) in result.output_files
    assert program.stat().st_uid == os.getuid()
    assert {path.name for path in tmp_path.iterdir()} == {"fetched", "output"}


@pytest.mark.needs("network-registry", "c-compiler")
def test_a_python_extension_is_built_to_a_wheel(tmp_path: Path) -> None:
    fetched, tools, output = tmp_path / "fetched", tmp_path / "tools", tmp_path / "output"
    for directory in (fetched, tools, output):
        directory.mkdir()
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run(
        [*pip, "download", "--no-deps", "--no-binary", ":all:", "markupsafe==2.1.5"], cwd=fetched, check=True
    )
    subprocess.run([*pip, "install", "--target", tools, "setuptools==75.8.0", "wheel==0.45.1", "pip==25.0"], check=True)
    (archive,) = fetched.glob("*.tar.gz")
    before = fingerprint(fetched)

    script = (
        f"PYTHONPATH={tools} python3 -m pip -q wheel --no-index --no-deps --no-build-isolation "
        f"--no-cache-dir -w {output} {archive}"
    )
    build(specification(tmp_path, [fetched, tools], output), script, Path("/"))

    (wheel,) = output.glob("*.whl")
    with zipfile.ZipFile(wheel) as archived:
        assert [name for name in archived.namelist() if name.endswith(".so")]
    assert fingerprint(fetched) == before
