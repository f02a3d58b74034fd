"""Real projects with Builderfiles written by hand: what `bldr build` and `bldr test` make of them."""

from __future__ import annotations

import os
import re
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


UCHARDET = """
target("uchardet") {
    type: executable;
    sources: ["src/tools/uchardet.cpp"];
    deps: [":detect"];
    flags: ["-O0"];
    defines: { "VERSION": "\\"of the workspace\\""; };
}
target("detect") {
    type: library;
    sources: ["src/*.cpp", "src/LangModels/*.cpp"];
    headers: ["src/*.h", "src/*.tab"];
    flags: ["-O0"];
    defines: { "BUILDING_UCHARDET": ""; };
}
target("encodings") {
    type: test;
    language: shell;
    sources: [
        "encodings.sh", "test/**/*.txt",
        // What this version of it takes for something else.
        "!test/da/iso-8859-1.txt", "!test/es/iso-8859-15.txt", "!test/he/iso-8859-8.txt", "!test/ja/utf-16*.txt",
    ];
    deps: [":uchardet"];
}
"""

ENCODINGS = """
echo 1..$(ls test/*/*.txt | wc -l)
number=0
for file in test/*/*.txt; do
    number=$((number + 1))
    found=$(bin/uchardet "$file" | tr A-Z a-z)
    [ "$found" = "$(basename "$file" .txt)" ] || printf 'not '
    echo "ok $number - $file: $found"
done
"""


class Clean:
    """Builds a workspace from nothing: in a copy of its sources, with a cache of its own."""

    def __init__(self, site: Bench, index: Path) -> None:
        self._site = site
        self._index = index
        self._count = 0

    def products(self) -> dict[str, bytes]:
        self._count += 1
        place = self._site.root.parent / f"clean{self._count}"
        place.mkdir()
        site = Bench(place, self._site._bldr, self._index)
        made = shutil.ignore_patterns(".builder", "bin")
        shutil.copytree(self._site.root, site.root, ignore=made, dirs_exist_ok=True)
        site.build("-q")
        return products(site)


def products(site: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site.root / "bin").iterdir()}


@pytest.mark.needs("source-package")
@pytest.mark.timeout(500)
def test_a_library_in_cpp_of_fifty_files_is_always_what_a_clean_build_makes(
    bench: Bench,  # noqa: F811
    fetched: Path,  # noqa: F811
    known_toolchain: Path,
) -> None:
    shutil.copytree(fetch_source("uchardet", fetched / "uchardet"), bench.root, dirs_exist_ok=True)
    bench.write("Builderfile", UCHARDET)
    bench.write("encodings.sh", ENCODINGS)
    clean = Clean(bench, known_toolchain)
    first = ran(bench.build("-v"))

    assert len([name for name in first if " compile " in name]) >= 50
    assert "1 of 1 tests passed" in bench.test()
    assert ran(bench.build("-v")) == set()

    made = products(bench)
    source, text = bench.root / "src" / "tools" / "uchardet.cpp", bench.read("src/tools/uchardet.cpp")
    os.utime(source)
    assert ran(bench.build("-v")) == set()
    assert text.count("uchardet Command Line Tool") == 1
    bench.write("src/tools/uchardet.cpp", text.replace("uchardet Command Line Tool", "uchardet, the tool"))
    assert ran(bench.build("-v")) == {"//:uchardet compile src/tools/uchardet.cpp", "//:uchardet link bin/uchardet"}
    assert products(bench) == clean.products() != made
    bench.write("src/tools/uchardet.cpp", text)
    assert "2 from the cache" in bench.build()
    assert products(bench) == made

    header = bench.read("src/JpCntx.h")
    bench.write("src/JpCntx.h", re.sub(r"(MAX_REL_THRESHOLD +)1000", r"\g<1>999", header))
    told = ran(bench.build("-v"))
    assert "//:detect compile src/JpCntx.cpp" in told
    assert not [name for name in told if "LangModels" in name or "tools" in name]
    assert products(bench) == clean.products() != made

    assert _printed(bench.root / "bin" / "uchardet", str(bench.root / "test" / "vi" / "viscii.txt")) == "VISCII\n"
    (bench.root / "src" / "LangModels" / "LangVietnameseModel.cpp").unlink()
    assert "undefined reference" in bench.build(status=1)
    group = bench.read("src/nsSBCSGroupProber.cpp")
    bench.write("src/nsSBCSGroupProber.cpp", re.sub(r"&\w+VietnameseModel", "&Windows_1252FrenchModel", group))
    bench.write(
        "Builderfile",
        UCHARDET.replace('"-O0"];\n    defines: { "BUILDING', '"-O0", "-fno-exceptions"];\n    defines: { "BUILDING'),
    )
    told = ran(bench.build("-v"))
    assert len([name for name in told if "//:detect compile " in name]) >= 45
    assert "//:uchardet compile src/tools/uchardet.cpp" not in told
    assert products(bench) == clean.products() != made
    assert _printed(bench.root / "bin" / "uchardet", str(bench.root / "test" / "vi" / "viscii.txt")) != "VISCII\n"


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
