"""Commands that builds are made of, each as a directory of sources and an argument vector."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

__all__ = ["configure", "npm", "pytest"]

HEADERS = [
    "stdio",
    "stdlib",
    "string",
    "strings",
    "unistd",
    "fcntl",
    "errno",
    "signal",
    "time",
    "sys/time",
    "sys/types",
    "sys/stat",
    "sys/wait",
    "sys/socket",
    "netdb",
    "arpa/inet",
    "dirent",
    "pwd",
    "grp",
    "termios",
    "locale",
    "wchar",
    "limits",
    "float",
    "stdint",
    "inttypes",
    "math",
    "memory",
    "nothing",
    "absent",
    "missing",
]
CONFIGURE = """\
set -e
cd "$1"
for header in {headers}; do
    echo "#include <$header.h>" > conftest.c
    if cc -c conftest.c -o conftest.o 2> conftest.err; then found=yes; else found=no; fi
    name=$(echo "HAVE_${{header}}_H" | sed 'y%abcdefghijklmnopqrstuvwxyz/%ABCDEFGHIJKLMNOPQRSTUVWXYZ_%')
    test $found = no || echo "#define $name 1" >> config.h
    rm -f conftest.c conftest.o conftest.err
done
sed 's/define/undef/' config.h > config.h.in
"""
TESTS = """\
import pytest

@pytest.mark.parametrize("number", range(20))
def test_number(number, tmp_path):
    (tmp_path / "file").write_text(str(number))
    assert int((tmp_path / "file").read_text()) == number
"""
SCRIPT = """\
const fs = require("fs"), path = require("path");
const names = fs.readdirSync(__dirname).filter(name => name.endsWith(".json"));
for (const name of names)
    fs.writeFileSync(path.join(process.argv[2], name), JSON.stringify(require(path.join(__dirname, name))));
"""


def configure(sources: Path, output: Path) -> list[str] | None:
    """What configure does most: try whether small programs compile. None where there is no compiler."""
    if not shutil.which("cc"):
        return None
    (sources / "configure").write_text(CONFIGURE.format(headers=" ".join(HEADERS)), encoding="ascii")
    return ["/bin/sh", str(sources / "configure"), str(output)]


def pytest(sources: Path, _output: Path) -> list[str] | None:
    """Twenty files of twenty tests, run by the pytest that is beside this interpreter; None where there is none."""
    if not Path(sys.prefix, "bin", "pytest").exists():
        return None
    tests = sources / "tests"
    tests.mkdir()
    for number in range(20):
        (tests / f"test_{number}.py").write_text(TESTS, encoding="ascii")
    options = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(tests)]
    return [sys.executable, "-B", "-m", "pytest", *options, "-c", "/dev/null", str(tests)]


def npm(sources: Path, output: Path) -> list[str] | None:
    """A script of npm that reads and writes two hundred files; None where npm is not the distribution's."""
    if not os.path.realpath("/usr/bin/npm").startswith("/usr/"):
        return None
    package = sources / "package"
    package.mkdir()
    scripts = {"build": f"node build.js {output}"}
    (package / "package.json").write_text(json.dumps({"name": "x", "version": "1.0.0", "scripts": scripts}), "ascii")
    (package / "build.js").write_text(SCRIPT, "ascii")
    for number in range(200):
        (package / f"{number}.json").write_text(json.dumps({"number": number}), "ascii")
    return ["/usr/bin/npm", "--silent", "--prefix", str(package), "run", "build"]
