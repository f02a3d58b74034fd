"""Programs that do a similar job, told to show the same things as bldr; those that are missing are left out.

Each confines about as much as it can: bubblewrap and linux-sandbox make namespaces as bldr does, sandlock uses Landlock
and seccomp only.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence

from measuring.host import debian_version

TRUE = "/usr/bin/true"

# Where Debian's bazel-bootstrap keeps the program.
_LINUX_SANDBOX = "/usr/share/bazel/linux-sandbox"


# Settings of a developer's shell, such as PYTHONDONTWRITEBYTECODE, would make each start compile the sources anew.
ENVIRONMENT = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}


def spawn(argv: list[str]) -> None:
    """Run a program that has to succeed; the cheapest way that the standard library has."""
    status = os.waitstatus_to_exitcode(os.waitpid(os.posix_spawn(argv[0], argv, ENVIRONMENT), 0)[1])
    if status:
        raise RuntimeError(f"{argv[0]} ended with {status}")


def base_inputs() -> list[str]:
    """The five things that nearly every command is shown."""
    return ["/usr", "/bin", "/lib", "/lib64", "/etc"]


def bubblewrap(command: Sequence[str], *options: str) -> list[str] | None:
    """How bubblewrap is told to run a command with the same inputs and an empty /tmp."""
    program = shutil.which("bwrap")
    if program is None:
        return None
    shown: list[str] = []
    for path in base_inputs():
        shown += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    return [
        program,
        "--unshare-all",
        "--die-with-parent",
        "--new-session",
        *shown,
        *("--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"),
        *options,
        *command,
    ]


def linux_sandbox(command: Sequence[str]) -> list[str] | None:
    """How Bazel's sandbox is told to run a command: the host read-only, one writable directory, no network."""
    if not os.access(_LINUX_SANDBOX, os.X_OK):
        return None
    directory = tempfile.gettempdir()
    return [_LINUX_SANDBOX, "-N", "-R", "-W", directory, "-w", directory, "--", *command]


def sandlock(command: Sequence[str]) -> Callable[[], None] | None:
    """A function that runs a command with the library sandlock, as its documentation shows."""
    try:
        from sandlock import Sandbox
    except ImportError:
        return None

    def run() -> None:
        Sandbox(fs_readable=base_inputs(), fs_writable=["/tmp"]).run(list(command))

    return run


def versions() -> dict[str, str]:
    """The versions of the peers that are here."""
    found = {"bubblewrap": debian_version("bubblewrap"), "linux-sandbox": debian_version("bazel-bootstrap")}
    try:
        from importlib.metadata import PackageNotFoundError, version

        found["sandlock"] = version("sandlock")
    except PackageNotFoundError:
        pass
    return {name: text for name, text in found.items() if text}


def works(argv: list[str] | None) -> bool:
    """Whether a peer is here and can do it on this host."""
    if argv is None:
        return False
    try:
        spawn(argv)
    except (OSError, RuntimeError):
        return False
    return True
