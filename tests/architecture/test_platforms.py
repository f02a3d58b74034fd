"""The lists of the Makefile that say which modules are for Linux, or for POSIX, only."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"

# Modules of the standard library that Windows lacks; `os` itself needs `posix` here.
POSIX_MODULES = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")

PROGRAM = """
import sys
for name in sys.argv[2].split():
    sys.modules[name] = None  # an import of it fails from now on
sys.path.append(sys.argv[1])
for name in sys.argv[3].split():
    __import__(name)
"""


def patterns(variable: str) -> list[str]:
    """Return the ``--exclude`` patterns of a variable in the Makefile."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    found = re.search(rf"^{variable} := \\\n((?:\t.*\n)+)", text, re.MULTILINE)

    assert found is not None
    return [pattern.replace("$$", "$") for pattern in re.findall(r"--exclude '([^']*)'", found[1])]


def listed(variable: str) -> dict[str, list[str]]:
    """Return the modules that each pattern of a list stands for, as paths below ``src``."""
    paths = [f"/{path.relative_to(SOURCES)}" for path in sorted(SOURCES.rglob("*.py"))]
    return {pattern: [path for path in paths if re.search(pattern, path)] for pattern in patterns(variable)}


def module_name(path: str) -> str:
    return path.removeprefix("/").removesuffix(".py").removesuffix("/__init__").replace("/", ".")


WINDOWS = """
import _signal, os, select, sys
for name in sys.argv[2].split():
    sys.modules[name] = None
for module, names in ((os, NAMES_OF_OS), (_signal, NAMES_OF_SIGNAL), (select, ["poll"])):
    for name in names:
        delattr(module, name)
sys.platform = "win32"
sys.path.append(sys.argv[1])
sys.argv = ["bldr", *sys.argv[3:]]
from bldr.cli.main import main
sys.exit(main())
"""

# Names that Windows lacks, of those that bldr uses somewhere.
OS_NAMES = [
    "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK", "O_PATH", "WEXITSTATUS", "WIFSIGNALED", "chown",
    "fork", "getegid", "geteuid", "getgid", "getuid", "killpg", "memfd_create", "mkfifo", "pidfd_open", "posix_spawn",
    "set_blocking", "setsid", "uname", "wait4", "waitid",
]  # fmt: skip
SIGNAL_NAMES = [
    "SIGCONT",
    "SIGHUP",
    "SIGKILL",
    "SIGQUIT",
    "SIGSTOP",
    "SIGTSTP",
    "SIGWINCH",
    "SIG_BLOCK",
    "pthread_sigmask",
]


@pytest.mark.parametrize(
    "arguments",
    [["run", "--", "true"], ["run", "--json", "result", "--", "true"], ["run", "true"], ["shell"], ["plan"]],
    ids=" ".join,
)
def test_windows_is_refused_in_one_sentence(arguments: list[str], tmp_path: Path) -> None:
    linux = [module_name(path) for paths in listed("LINUX_ONLY").values() for path in paths]
    program = WINDOWS.replace("NAMES_OF_OS", repr(OS_NAMES)).replace("NAMES_OF_SIGNAL", repr(SIGNAL_NAMES))
    (tmp_path / ".builderrc").write_text("BUILDER_HERMETIC=true\n", encoding="ascii")

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(SOURCES), " ".join([*POSIX_MODULES, *linux]), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert done.stderr == "bldr: there is no sandbox for win32 in this version\nbldr: hint: use Linux\n"
    assert (done.returncode, done.stdout) == (125, "")


@pytest.mark.parametrize("arguments", [["run", "--help"], ["--version"], ["help"]], ids=" ".join)
def test_windows_gets_the_pages(arguments: list[str], tmp_path: Path) -> None:
    program = WINDOWS.replace("NAMES_OF_OS", repr(OS_NAMES)).replace("NAMES_OF_SIGNAL", repr(SIGNAL_NAMES))

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program, str(SOURCES), " ".join(POSIX_MODULES), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_what_the_lists_name_is_there() -> None:
    for variable in ("LINUX_ONLY", "POSIX_ONLY"):
        for pattern, paths in listed(variable).items():
            names = pattern.count("|") + 1

            assert len(paths) == names, f"{variable}: {pattern} stands for {paths}"


def test_a_module_that_no_list_names_can_be_imported_without_posix() -> None:
    linux = {module_name(path) for paths in listed("LINUX_ONLY").values() for path in paths}
    posix = {module_name(path) for paths in listed("POSIX_ONLY").values() for path in paths}
    every = {module_name(f"/{path.relative_to(SOURCES)}") for path in SOURCES.rglob("*.py")}
    anywhere = every - linux - posix - {"bldr.__main__"}

    arguments = [str(SOURCES), " ".join([*POSIX_MODULES, *linux]), " ".join(sorted(anywhere))]
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.stderr == ""
    assert len(anywhere) > 40
