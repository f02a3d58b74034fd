"""Real projects with Builderfiles written by hand: what `bldr build` and `bldr test` make of them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.integration.linux.test_languages import Bench, bench, ran  # noqa: F401  # a fixture
from tests.integration.linux.test_real_builds import fetch, fetch_source, fetched, markupsafe  # noqa: F401  # a fixture

pytestmark = [pytest.mark.needs("user-namespaces", "c-compiler", "system-python"), pytest.mark.slow]

LUA = """
target("lua") {
    type: executable;
    sources: ["src/lua.c"];
    headers: ["src/*.h"];
    deps: [":lualib"];
    defines: { "LUA_USE_POSIX": "" };
    linkFlags: ["-lm", "-ldl", "-Wl,-E"];
}
target("lualib") {
    type: library;
    sources: ["src/*.c", "!src/lua.c", "!src/luac.c"];
    headers: ["src/*.h"];
    flags: ["-O0"];
    defines: { "LUA_USE_POSIX": ""; };
}
"""


@pytest.mark.needs("source-package")
def test_lua_follows_its_headers(bench: Bench, fetched: Path) -> None:  # noqa: F811
    shutil.copytree(fetch_source("lua5.4", fetched / "lua"), bench.root, dirs_exist_ok=True)
    bench.write("Builderfile", LUA)
    header = bench.root / "src" / "lualib.h"  # the library proper does not include it
    bench.build()
    lua = bench.root / "bin" / "lua"

    assert _printed(lua, "-e", "print(_VERSION, 2^10)") == "Lua 5.4\t1024.0\n"
    assert ran(bench.build()) == set()

    before = lua.read_bytes()
    header.write_text(header.read_text("ascii") + "#define lua_of_today 1\n", "ascii")
    told = ran(bench.build())

    assert {"//:lua compile src/lua.c", "//:lualib compile src/linit.c"} <= told
    assert "//:lualib compile src/lvm.c" not in told
    assert lua.read_bytes() == before  # nothing that the compiler sees has changed, so neither have its objects

    version = bench.root / "src" / "lua.c"
    version.write_text(version.read_text("ascii").replace('"> "', '"ready> "'), "ascii")

    assert ran(bench.build()) == {"//:lua compile src/lua.c", "//:lua link bin/lua"}
    assert _printed(lua, "-i", stdin="os.exit()\n").endswith("ready> ")


WHEEL = """
target("markupsafe") {{
    type: library;
    language: python;
    sources: ["pyproject.toml", "setup.*", "*.rst", "src/**/*"];
    hermetic: {{ inputs: ["{tools}"]; env: {{ "PYTHONPATH": "{tools}" }} }}
}}
target("tests") {{
    type: test;
    language: python;
    runner: pytest;
    sources: ["tests/*.py", "src/**/*"];
    hermetic: {{ inputs: ["{pytest}"]; env: {{ "PYTHONPATH": "{pytest}:src" }} }}
}}
"""


@pytest.mark.needs("network-registry", "python-headers")
def test_a_project_of_python_is_packed_by_its_backend_and_tested(
    bench: Bench,  # noqa: F811
    fetched: Path,  # noqa: F811
    markupsafe: tuple[Path, Path],  # noqa: F811
    tmp_path: Path,
) -> None:
    archive, tools = markupsafe
    fetch([sys.executable, "-m", "pip", "-q", "install", "--target", str(fetched / "pytest"), "pytest==8.3.4"], fetched)
    (packed,) = archive.glob("*.tar.gz")
    subprocess.run(["tar", "-x", "-f", packed], cwd=tmp_path, check=True)
    (project,) = tmp_path.glob("MarkupSafe-*")
    shutil.copytree(project, bench.root, dirs_exist_ok=True)
    bench.write(
        "pyproject.toml", '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
    )
    bench.write("Builderfile", WHEEL.format(tools=tools, pytest=fetched / "pytest"))
    bench.build()
    (wheel,) = (bench.root / "bin" / "markupsafe").iterdir()

    with zipfile.ZipFile(wheel) as opened_wheel:
        names = opened_wheel.namelist()
    assert any(name.startswith("markupsafe/_speedups.") and name.endswith(".so") for name in names)

    assert "1 of 1 tests passed\n" in bench.test()
    bench.write("tests/test_wrong.py", "def test_wrong():\n    assert 1 == 2\n")
    told = bench.test(status=1)
    assert "assert 1 == 2" in told
    assert "test_wrong" in told


def _printed(program: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(
        [program, *arguments], input=stdin, capture_output=True, text=True, check=True, timeout=60, cwd=program.parent
    )
    return done.stdout
