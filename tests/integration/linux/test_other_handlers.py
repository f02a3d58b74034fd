"""A package that brings a language, packed and installed as people do it, and used by the command line."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.integration.linux.test_builds import Run
from tests.integration.linux.test_languages import Bench

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "upper"


def wheel_of(project: Path, directory: Path) -> Path:
    """Pack a project of one module, as the backend would do that it names."""
    about = tomllib.loads((project / "pyproject.toml").read_text("utf-8"))["project"]
    name, version = about["name"].replace("-", "_"), about["version"]
    points = "".join(
        f"[{group}]\n" + "".join(f"{key} = {text}\n" for key, text in entries.items())
        for group, entries in about["entry-points"].items()
    )
    files = {
        f"{name}.py": (project / f"{name}.py").read_text("utf-8"),
        f"{name}-{version}.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {version}\n",
        f"{name}-{version}.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{name}-{version}.dist-info/entry_points.txt": points,
    }
    files[f"{name}-{version}.dist-info/RECORD"] = "".join(f"{path},,\n" for path in files)
    wheel = directory / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def upper(tmp_path: Path, bldr: Run, known_toolchain: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The example, where its package is installed."""
    wheel = wheel_of(EXAMPLE / "bldr-upper", tmp_path)
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(pip, check=True, capture_output=True, timeout=100)
    monkeypatch.setenv("PYTHONPATH", str(target))
    bench = Bench(tmp_path, bldr, known_toolchain)
    shutil.copytree(EXAMPLE / "site", bench.root, dirs_exist_ok=True)
    return bench


def test_the_language_of_a_package_is_built_tested_and_kept(upper: Bench, bldr: Run) -> None:
    told = upper.build("-v")

    assert "//:greeting write bin/greeting" in told
    assert upper.read("bin/greeting") == "HELLO,\nWORLD\n"
    assert "up to date" in upper.build()
    assert "1 of 1 tests passed" in upper.test()
    upper.write("name.txt", "you\n")
    assert "2 built" in upper.build()
    assert upper.read("bin/greeting") == "HELLO,\nYOU\n"
    upper.write("name.txt", "world\n")
    assert "2 from the cache" in upper.build()
    assert b"//:greeting" in bldr("query", cwd=upper.root).stdout


def test_without_the_package_it_is_said_what_is_missing(upper: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    upper.build()
    monkeypatch.delenv("PYTHONPATH")

    known = upper.build(status=2)  # what the Builderfile says is remembered
    upper.write("Builderfile", upper.read("Builderfile") + "\n")
    told = upper.build(status=2)

    assert "there is no handler for the language 'upper'" in known
    assert "install a package that handles the language" in known
    assert "Builderfile:3:15: there is no language 'upper'" in told


def test_a_handler_that_fails_is_named_with_its_package(upper: Bench, tmp_path: Path) -> None:
    module = tmp_path / "installed" / "bldr_upper.py"
    module.write_text(module.read_text("utf-8").replace("(output,) =", "(output, more) ="), "utf-8")

    told = upper.build(status=125)

    assert told.startswith("bldr: the handler of bldr-upper 1.0 for the language 'upper' fails for //:")
    assert "ValueError: not enough values to unpack" in told
    assert "bldr: hint: it is a fault of that package" in told


def test_the_documentation_shows_the_example() -> None:
    page = (ROOT / "docs" / "languages.md").read_text("utf-8")
    blocks = {
        "toml": EXAMPLE / "bldr-upper" / "pyproject.toml",
        "python": EXAMPLE / "bldr-upper" / "bldr_upper.py",
    }

    for kind, path in blocks.items():
        assert f"```{kind}\n{path.read_text('utf-8')}```\n" in page, path
