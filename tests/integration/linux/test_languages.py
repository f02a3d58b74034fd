"""Targets of each language, built and tested the way a user does it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.integration.linux.test_builds import Run, Site

pytestmark = [pytest.mark.needs("user-namespaces", "c-compiler", "system-python"), pytest.mark.slow]

WORDS = Path(__file__).parents[3] / "examples" / "words"


class Bench(Site):
    """A workspace whose targets are tested, too."""

    def test(self, *arguments: str, status: int = 0) -> str:
        done = self._bldr("test", f"--cache-dir={self.cache}", *arguments, cwd=self.root)
        assert done.returncode == status, done.stderr.decode()
        assert done.stdout == b""
        return done.stderr.decode()


@pytest.fixture
def bench(tmp_path: Path, bldr: Run, known_toolchain: Path) -> Bench:
    return Bench(tmp_path, bldr, known_toolchain)


def ran(told: str) -> set[str]:
    """The actions that did something."""
    return set(re.findall(r"^bldr: \[\d+/\d+\] (.+?)(?: \(from the cache\))?$", told, re.MULTILINE))


def test_the_example_is_built_and_tested(bench: Bench) -> None:
    shutil.copytree(WORDS, bench.root, dirs_exist_ok=True)
    bench.build()
    words = [bench.root / "bin" / "report", bench.root / "bin" / "words"]
    done = subprocess.run(words, input="one two\n", capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout == "2 words in 1 line, 8 bytes\n"

    told = bench.test("--junit", "results.xml")
    suites = ET.fromstring(bench.read("results.xml"))

    assert "2 of 2 tests passed\n" in told
    assert [suite.get("name") for suite in suites] == ["//lib:count-test", "//report:report-test"]
    assert "2 of 2 tests passed (2 cached)" in bench.test()
    assert ran(bench.test("--no-cache", "//lib:count-test")) == {"//lib:count-test test"}
    told = bench.test("--no-cache", "--junit", "no/dir.xml", status=125)
    assert told == "bldr: cannot write the report: No such file or directory 'no/dir.xml'\n"  # and nothing has run
    assert "leave it out for one action for each CPU" in bench.test("-j", "0", status=2)


C = {
    "Builderfile": """
        target("app") { type: executable; sources: ["src/*.c", "src/*.h"]; deps: ["//lib:u"]; }
        target("same") { type: test; sources: ["src/main.c", "src/*.h"]; deps: ["//lib:u"]; }
    """,
    "src/main.c": '#include "own.h"\n#include "u/u.h"\nint main(void) { return u(OWN) - 3; }\n',
    "src/second.c": "int second(void) { return 2; }\n",
    "src/own.h": "#define OWN 2\n",
    "lib/Builderfile": """
        target("u") { type: library; linkage: shared; sources: ["u.c"]; headers: ["include/**/*.h"]; flags: ["-O2"]; }
    """,
    "lib/u.c": '#include "u/u.h"\nint u(int x) { return x + ONE; }\n',
    "lib/include/u/u.h": "#define ONE 1\nint u(int);\n",
}


@pytest.fixture
def c_site(bench: Bench) -> Bench:
    for path, text in C.items():
        bench.write(path, text)
    bench.build()
    return bench


def products(bench: Bench) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (bench.root / "bin").iterdir()}


def test_a_shared_library_is_found_wherever_the_workspace_lies(c_site: Bench, tmp_path: Path) -> None:
    c_site.root.rename(tmp_path / "moved")

    assert subprocess.run([tmp_path / "moved" / "bin" / "app"], check=False, timeout=60).returncode == 0


def test_objects_are_the_same_wherever_the_workspace_lies(c_site: Bench, tmp_path: Path, bldr: Run) -> None:
    before = products(c_site)
    c_site.root.rename(tmp_path / "moved")
    c_site.root = tmp_path / "moved"
    shutil.rmtree(c_site.root / "bin")
    shutil.rmtree(c_site.root / ".builder")
    for blob in c_site.cache.iterdir():
        if blob.name != "index.sqlite":
            shutil.rmtree(blob) if blob.is_dir() else blob.unlink()
    c_site.build()

    assert products(c_site) == before


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("src/second.c", C["src/second.c"], set()),  # touched
        ("src/second.c", "int second(void) { return 3; }\n", {"//:app compile src/second.c", "//:app link bin/app"}),
        ("src/second.c", "// a word\nint second(void) { return 2; }\n", {"//:app compile src/second.c"}),
        (
            "src/own.h",
            "#define OWN (1 + 1)\n#define MORE\n",
            {"//:app compile src/main.c"},
        ),
        (
            "lib/Builderfile",
            C["lib/Builderfile"].replace("-O2", "-O0"),
            {"//lib:u compile lib/u.c", "//lib:u link bin/libu.so", "//:app link bin/app"},
        ),
    ],
    ids=["touched", "edited", "edited without effect", "header", "flags"],
)
def test_what_changes_is_built_and_nothing_else(c_site: Bench, path: str, text: str, expected: set[str]) -> None:
    c_site.write(path, text)

    assert ran(c_site.build("app")) == expected

    c_site.write(path, C[path])
    c_site.build("app")

    assert ran(c_site.build("app")) == set()


def test_a_source_that_is_removed_leaves_the_program(c_site: Bench) -> None:
    (c_site.root / "src" / "second.c").unlink()

    assert "//:app link bin/app" in ran(c_site.build("app"))
    assert b"second" not in (c_site.root / "bin" / "app").read_bytes()


def test_what_no_depfile_names_counts_too(bench: Bench, host_dir: Path) -> None:
    """What an assembler puts in, and headers and compilers of the host that are declared."""
    tools = host_dir / "tools"
    (tools / "include").mkdir(parents=True)
    (tools / "include" / "tool.h").write_text("#define TOOL 1\n", "ascii")
    (tools / "include" / "unused.h").write_text("#define UNUSED 1\n", "ascii")
    (tools / "cc").write_text('#!/bin/sh\nexec cc -DFROM_CC=1 "$@"\n', "ascii")
    (tools / "cc").chmod(0o755)
    bench.write(
        "Builderfile",
        f"""
        target("x") {{
            type: executable;
            sources: ["main.c", "asm.S", "data/*"];
            flags: ["-I{tools}/include"];
            hermetic: {{ inputs: ["{tools}"]; env: {{ "CC": "{tools}/cc"; }}; }}
        }}
        """,
    )
    bench.write("data/blob.bin", "1")
    bench.write("data/more.inc", ".byte '1'\n")
    bench.write(
        "asm.S", '.global more\nmore: .include "data/more.inc"\n.byte 0\n.section .note.GNU-stack,"",@progbits\n'
    )
    bench.write(
        "main.c",
        """
        #include <stdio.h>
        #include "tool.h"
        __asm__(".section .rodata\\nblob: .incbin \\"data/blob.bin\\"\\n.byte 0\\n.text\\n.global blob\\n");
        extern const char blob[], more[];
        int main(void) { return printf("%s%s%d%d", blob, more, TOOL, FROM_CC) != 4; }
        """,
    )

    def printed() -> str:
        return subprocess.run([bench.root / "bin" / "x"], capture_output=True, text=True, check=True, timeout=60).stdout

    bench.build()
    assert printed() == "1111"
    bench.write("data/blob.bin", "2")
    assert ran(bench.build("-v")) == {"//:x compile main.c", "//:x compile asm.S", "//:x link bin/x"}
    assert printed() == "2111"
    bench.write("data/more.inc", ".byte '2'\n")
    assert ran(bench.build("-v")) == {"//:x compile asm.S", "//:x link bin/x"}
    assert printed() == "2211"
    (tools / "include" / "tool.h").write_text("#define TOOL 2\n", "ascii")
    assert "//:x compile main.c" in ran(bench.build("-v"))
    assert printed() == "2221"
    (tools / "cc").write_text('#!/bin/sh\nexec cc -DFROM_CC=2 "$@"\n', "ascii")
    bench.build()
    assert printed() == "2222"


def test_an_undeclared_header_is_not_seen(c_site: Bench) -> None:
    c_site.write("other/secret.h", "#define X 1\n")
    c_site.write("src/main.c", '#include "other/secret.h"\nint main(void) { return 0; }\n')

    assert "other/secret.h" in c_site.build("app", status=1)


def test_cpp_with_a_static_library_in_c(bench: Bench) -> None:
    bench.write(
        "Builderfile",
        """
        target("hi") { type: executable; sources: ["*.cc"]; deps: [":c"]; defines: { NAME: "\\"you\\""; } }
        target("c") { type: library; sources: ["c.c"]; headers: ["c.h"]; linkFlags: ["-lm"]; }
        """,
    )
    bench.write("c.h", "double root(double);\n")
    bench.write("c.c", '#include <math.h>\n#include "c.h"\ndouble root(double x) { return sqrt(x); }\n')
    bench.write(
        "hi.cc", '#include <iostream>\nextern "C" {\n#include "c.h"\n}\nint main() { std::cout << NAME << root(9); }\n'
    )
    bench.build()

    assert subprocess.check_output([bench.root / "bin" / "hi"], timeout=60) == b"you3"


PYTHON = {
    "Builderfile": """
        target("tool") { type: executable; sources: ["tool/*.py"]; deps: [":_fast", ":names"]; }
        target("names") { type: library; sources: ["names/names.py"]; }
        target("_fast") { type: library; sources: ["fast.c"]; linkage: shared; output: "bin/_fast.so"; flags: ["FLAG"]; }
        target("checks") { type: test; sources: ["checks/*.py"]; deps: [":names", ":_fast"]; runner: unittest; }
    """,
    "tool/__init__.py": "",
    "tool/__main__.py": "import _fast\nimport names\nprint(names.hello(_fast.name()))\n",
    "names/names.py": "def hello(name):\n    return f'hello {name}'\n",
    "fast.c": """
        #include <Python.h>
        static PyObject *name(PyObject *self, PyObject *none) { return PyUnicode_FromString("C"); }
        static PyMethodDef methods[] = {{"name", name, METH_NOARGS, ""}, {0}};
        static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_fast", "", -1, methods};
        PyMODINIT_FUNC PyInit__fast(void) { return PyModule_Create(&module); }
    """,
    "checks/test_one.py": """
import unittest, _fast, names
class TestIt(unittest.TestCase):
    def test_hello(self):
        self.assertEqual(names.hello("x"), "hello x")
    def test_name(self):
        self.assertEqual(_fast.name(), "C")
    @unittest.skip("not today")
    def test_later(self):
        pass
""",
}


def python_headers() -> str:
    script = "import sysconfig; print(sysconfig.get_path('include'))"
    return subprocess.check_output(["/usr/bin/python3", "-c", script], text=True, timeout=60).strip()


@pytest.mark.needs("python-headers")
def test_python_with_an_extension_in_c(bench: Bench) -> None:
    headers = python_headers()
    for path, text in PYTHON.items():
        bench.write(path, text.replace("FLAG", f"-I{headers}"))
    bench.build("tool")

    assert subprocess.check_output(["/usr/bin/python3", bench.root / "bin" / "tool"], timeout=60) == b"hello C\n"
    assert "//:checks  passed           3 cases, 1 skipped" in bench.test()

    bench.write("names/names.py", "def hello(name):\n    return name\n")
    told = bench.test("--junit", "results.xml", status=1)

    assert "1 of 3 cases failed" in told
    assert "failed: test_one.TestIt.test_hello: AssertionError" in told
    assert "log: .builder/tests/checks~/log" in told
    assert "hello x" in bench.read(".builder/tests/checks~/log")
    cases = {
        case.get("name"): [one.tag for one in case]
        for case in ET.fromstring(bench.read("results.xml")).iter("testcase")
    }
    assert cases == {"test_hello": ["failure"], "test_later": ["skipped"], "test_name": []}


def test_a_test_that_takes_too_long_is_ended(bench: Bench) -> None:
    bench.write("Builderfile", 'target("t") { type: test; command: "echo begun; sleep 1000"; }')

    told = bench.test("--test-timeout", "1s", status=1)

    assert "//:t  TIMED OUT" in told
    assert "0 of 1 tests passed, 1 timed out" in told
    assert bench.read(".builder/tests/t~/log") == "begun\n"


def test_a_timeout_of_tests_is_none_of_what_they_are_made_of(bench: Bench) -> None:
    bench.write("Builderfile", 'target("t") { type: test; sources: ["t.c"]; }')
    bench.write("t.c", "int main(void) { return 0; }\n")
    bench.test()

    told = bench.test("--test-timeout", "1h", "--explain")

    assert ran(told) == {"//:t test"}
    assert "//:t test: its confinement changed" in told


def test_what_cannot_be_built_is_not_run_and_others_are(bench: Bench) -> None:
    bench.write(
        "Builderfile",
        'target("bad") { type: test; sources: ["bad.c"]; } target("good") { type: test; command: "true"; }',
    )
    bench.write("bad.c", "int main(void) { return }\n")

    told = bench.test(status=1)

    assert "//:bad   not run          compile bad.c failed" in told
    assert "//:good  passed" in told
    assert "1 of 2 tests passed, 1 not run" in told


def test_shell_programs_and_tests(bench: Bench) -> None:
    bench.write(
        "Builderfile",
        """
        target("hi") { type: executable; sources: ["hi.sh"]; }
        target("hi-test") { type: test; sources: ["hi_test.sh"]; deps: [":hi"]; }
        """,
    )
    bench.write("hi.sh", "#!/bin/sh\necho hi\n")
    bench.write("hi_test.sh", 'echo 1..1\n[ "$(bin/hi)" = hi ] && echo ok 1 - says hi\n')

    assert "//:hi-test  passed           1 case" in bench.test()
    assert (bench.root / "bin" / "hi").stat().st_mode & 0o777 == 0o755
