"""The ``needs`` mark and ``--require``, Hypothesis profiles, and fixtures that every directory may use."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import PROBES, SYSTEM_PYTHON, UNPRIVILEGED_ID, Capabilities

ROOT = Path(__file__).parent.parent

CAPABILITIES = pytest.StashKey[Capabilities]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--require",
        action="append",
        default=[],
        choices=sorted(PROBES),
        metavar="CAPABILITY",
        help="fail, instead of skipping, the tests that need this capability where its probe does not succeed",
    )


def pytest_configure(config: pytest.Config) -> None:
    # A background job of a shell starts with these ignored, which every program that a test starts would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.stash[CAPABILITIES] = Capabilities(PROBES)
    if config.pluginmanager.has_plugin(
        "hypothesispytest"
    ):  # not in tests/kernels/lanes.py: it takes seconds to import there
        register_hypothesis_profiles()


def register_hypothesis_profiles() -> None:
    import hypothesis

    hypothesis.settings.register_profile("dev", max_examples=50, deadline=None)
    hypothesis.settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True, database=None)
    hypothesis.settings.register_profile("nightly", max_examples=5_000, deadline=None)
    hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_report_header(config: pytest.Config) -> list[str]:
    required = ", ".join(config.getoption("--require")) or "none"
    return [f"uid: {os.getuid()}, kernel: {os.uname().release}, required capabilities: {required}"]


def pytest_sessionstart(session: pytest.Session) -> None:
    """Say at once what a required capability lacks, even when no test of this run needs it."""
    capabilities = session.config.stash[CAPABILITIES]
    missing = [
        f"{name}: {reason}"
        for name in sorted(set(session.config.getoption("--require")))
        if (reason := capabilities.why_not(name))
    ]
    if missing:
        pytest.exit("required capabilities are missing\n  " + "\n  ".join(missing), returncode=1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A misspelled capability is an error of the test, whatever the host can do."""
    for item in items:
        for name in needed(item):
            if name not in PROBES:
                raise pytest.UsageError(f"{item.nodeid} needs {name!r}, which tests/capabilities.py does not know")


def pytest_runtest_setup(item: pytest.Item) -> None:
    capabilities = item.config.stash[CAPABILITIES]
    for name in needed(item):
        if reason := capabilities.why_not(name):
            pytest.skip(f"needs {name}: {reason}")


def needed(item: pytest.Item) -> list[str]:
    """Return the names of the capabilities that a test needs, of all its marks."""
    return [name for mark in item.iter_markers("needs") for name in mark.args]


@pytest.fixture(scope="session")
def capabilities(pytestconfig: pytest.Config) -> Capabilities:
    """Answers for tests that branch on what the host can do instead of being skipped."""
    return pytestconfig.stash[CAPABILITIES]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The checkout that is tested."""
    return ROOT


@pytest.fixture
def host_dir() -> Iterator[Path]:
    """An empty directory of the host outside /tmp, where a sandbox shows a fresh one (``tmp_path`` is mostly there)."""
    directory = Path(tempfile.mkdtemp(prefix="bldr-test.", dir="/var/tmp"))
    yield directory
    remove_tree(directory)


def remove_tree(directory: Path) -> None:
    """Remove a tree even when directories in it forbid that."""

    def allow(_function: object, path: str, _error: object) -> None:
        os.chmod(os.path.dirname(path), stat.S_IRWXU)
        if os.path.isdir(path) and not os.path.islink(path):
            os.chmod(path, stat.S_IRWXU)
            shutil.rmtree(path)
        else:
            os.unlink(path)

    for parent, _, _ in os.walk(directory):
        os.chmod(parent, stat.S_IRWXU)
    shutil.rmtree(directory, onerror=allow)


def as_bytes(done: subprocess.CompletedProcess[Any]) -> subprocess.CompletedProcess[bytes]:
    """Narrow what ``subprocess.run`` gave: type checkers cannot see through ``**options``."""
    return done


@pytest.fixture(scope="session")
def bldr_argv() -> list[str]:
    """How the command line starts: the installed script, or the package where no script is installed."""
    script = Path(sysconfig.get_path("scripts"), "bldr")
    return [str(script)] if script.exists() else [sys.executable, "-m", "bldr"]


@pytest.fixture
def bldr(bldr_argv: list[str]) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run ``bldr`` with these arguments and return what it printed, as bytes; any status is accepted.

    Keyword arguments go to ``subprocess.run``. A minute is the bound.
    """

    def run(*arguments: str | bytes | os.PathLike[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60} | options
        return as_bytes(subprocess.run([*bldr_argv, *arguments], check=False, **options))

    return run


@pytest.fixture
def run_unprivileged(repository: Path, host_dir: Path) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run the system interpreter as a user without rights: ``run_unprivileged("-m", "bldr", "run", …)``.

    The sources come from a copy that this user can read, wherever the checkout is. Mark the test with
    ``needs("unprivileged-user")``.
    """
    sources = host_dir / "src"
    shutil.copytree(repository / "src", sources, ignore=shutil.ignore_patterns("__pycache__"))
    home = host_dir / "home"
    home.mkdir()
    os.chown(home, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    for parent, _, files in os.walk(host_dir):
        os.chmod(parent, 0o755)
        for name in files:
            os.chmod(os.path.join(parent, name), 0o644)
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "LANG": "C.UTF-8", "PYTHONPATH": str(sources)}

    def run(*arguments: str | bytes, **options: Any) -> subprocess.CompletedProcess[bytes]:
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "timeout": 60} | options
        done = subprocess.run(
            [SYSTEM_PYTHON, *arguments],
            env=environment | options.pop("env", {}),
            cwd=options.pop("cwd", home),
            user=UNPRIVILEGED_ID,
            group=UNPRIVILEGED_ID,
            extra_groups=[],
            check=False,
            **options,
        )
        return as_bytes(done)

    return run
