"""A workspace in which a fetched project is built inside a sandbox, by the caller or by somebody without rights."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bldr import EnvSet, HermeticExecutor, HermeticSpecBuilder, SandboxSpec
from bldr.model.value import replace
from bldr.sandbox.select import lower_backend_for
from tests.capabilities import SYSTEM_PYTHON, UNPRIVILEGED_ID

__all__ = ["PATIENCE", "LandlockSite", "LibrarySite", "Site", "UnprivilegedSite", "fingerprint"]

PATIENCE = 600  # seconds

# Tries what no build was allowed to do; the same program shows outside that each of it is possible there.
TRESPASS = """
import errno, json, os, socket, sys
undeclared, source, port = sys.argv[1:]
def attempt(call):
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    return "done"
def write():
    open(source + "/intruder", "x").close()
    os.unlink(source + "/intruder")
print(json.dumps({
    "read": attempt(lambda: open(undeclared)),
    "write": attempt(write),
    "connect": attempt(lambda: socket.create_connection(("127.0.0.1", int(port)), 10).close()),
}))
"""
POSSIBLE = {"read": "done", "write": "done", "connect": "done"}


class Site:
    """Sources and tools that are declared as inputs, a directory for outputs, and a file that nobody declared.

    Args:
        directory: An empty directory outside /tmp that the builder can reach.
        uid: Whom everything belongs to.
    """

    impossible: ClassVar[dict[str, str]] = {"read": "ENOENT", "write": "EROFS", "connect": "ECONNREFUSED"}

    def __init__(self, directory: Path, uid: int) -> None:
        self.uid = uid
        self.workspace = directory / "workspace"
        self.output = self.workspace / "output"
        self.undeclared = self.workspace / "undeclared"
        self.output.mkdir(parents=True)
        self.undeclared.write_text("secret\n", "ascii")
        self.inputs: list[Path] = []
        self.environment: dict[str, str] = {}

    def add(self, fetched: Path, name: str) -> Path:
        """Copy a tree into the workspace and declare it as an input; times and links are kept."""
        copy = self.workspace / name
        shutil.copytree(fetched, copy, symlinks=True)
        self.inputs.append(copy)
        return copy

    def build(self, script: str, cwd: Path) -> list[Path]:
        """Run a shell script inside and check everything that holds for every build.

        Returns:
            The files that are in the output directory now.
        """
        self._give_away()
        before = fingerprint(self.workspace, without=self.output)
        assert self._trespass(inside=False) == POSSIBLE
        assert fingerprint(self.workspace, without=self.output) == before

        made = self.run_inside(["sh", "-ec", script], cwd)

        assert fingerprint(self.workspace, without=self.output) == before
        present = sorted(path for path in self.output.rglob("*") if path.is_symlink() or not path.is_dir())
        assert sorted(made) == present
        assert {path.lstat().st_uid for path in present} == {self.uid}
        assert self._trespass(inside=True) == self.impossible
        return present

    def run_inside(self, argv: Sequence[str], cwd: Path) -> list[Path]:
        """Run a command that has to succeed hermetically; returns the outputs that the result names."""
        raise NotImplementedError

    def capture(self, argv: Sequence[str], *, inside: bool) -> str:
        """Run a command as the builder, in the same sandbox or outside; returns what it printed."""
        raise NotImplementedError

    def _trespass(self, *, inside: bool) -> dict[str, str]:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            program = [SYSTEM_PYTHON, "-I", "-c", TRESPASS, str(self.undeclared), str(self.inputs[0]), str(port)]
            found: dict[str, str] = json.loads(self.capture(program, inside=inside))
            return found

    def _give_away(self) -> None:
        if self.uid != os.getuid():
            for parent, directories, files in os.walk(self.workspace):
                for name in (".", *directories, *files):
                    os.chown(os.path.join(parent, name), self.uid, self.uid, follow_symlinks=False)


class LibrarySite(Site):
    """Whoever runs the tests builds, with the library."""

    missing: tuple[str, ...] = ()

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, os.getuid())

    def specification(self) -> SandboxSpec:
        spec = HermeticSpecBuilder.for_build(
            workspace_root=self.workspace,
            sources=self.inputs,
            output_dir=self.output,
            temp_dir=self.workspace.parent / "temps",
        )
        return replace(spec, environment=EnvSet({**spec.environment, **self.environment}))

    def executor(self) -> HermeticExecutor:
        return HermeticExecutor.create(self.specification())

    def run_inside(self, argv: Sequence[str], cwd: Path) -> list[Path]:
        result = self.executor().execute(argv, cwd=cwd, timeout=PATIENCE)

        assert result.exit_code == 0, (result.stdout[-2000:] + result.stderr[-2000:]).decode(errors="replace")
        assert result.receipt.missing == self.missing, result.guarantees
        return [Path(name) for name in result.output_files]

    def capture(self, argv: Sequence[str], *, inside: bool) -> str:
        if inside:
            return self.executor().execute(argv).stdout.decode()
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout


class LandlockSite(LibrarySite):
    """The same, without namespaces."""

    impossible: ClassVar[dict[str, str]] = {"read": "EACCES", "write": "EACCES", "connect": "EACCES"}
    missing = ("processes-isolated", "host-identity-hidden")

    def executor(self) -> HermeticExecutor:
        return HermeticExecutor(lower_backend_for(self.specification()))


class UnprivilegedSite(Site):
    """A user without rights builds, with the command line.

    Args:
        directory: As for ``Site``.
        run: The fixture ``run_unprivileged``.
    """

    def __init__(self, directory: Path, run: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
        super().__init__(directory, UNPRIVILEGED_ID)
        self._run = run
        self._result = directory / "home" / "result.json"

    def _options(self) -> list[str]:
        inputs = [word for path in self.inputs for word in ("-i", str(path))]
        variables = [word for name, text in self.environment.items() for word in ("-e", f"{name}={text}")]
        return [*inputs, *variables, "-o", str(self.output), "-q"]

    def run_inside(self, argv: Sequence[str], cwd: Path) -> list[Path]:
        options = [*self._options(), "--cwd", str(cwd), "--json", str(self._result)]
        done = self._run("-m", "bldr", "run", *options, "--", *argv, timeout=PATIENCE)

        assert done.returncode == 0, (done.stdout[-2000:] + done.stderr[-2000:]).decode(errors="replace")
        result: Mapping[str, object] = json.loads(self._result.read_bytes())
        assert result["hermetic"] is True, result
        names = result["output_files"]
        assert isinstance(names, list)
        return [Path(name) for name in names]

    def capture(self, argv: Sequence[str], *, inside: bool) -> str:
        prefix = ["-m", "bldr", "run", *self._options(), "--", SYSTEM_PYTHON] if inside else []
        assert argv[0] == SYSTEM_PYTHON
        return self._run(*prefix, *argv[1:]).stdout.decode()


def fingerprint(tree: Path, *, without: Path | None = None) -> str:
    """Hash the names, modes, owners, times and contents of a tree, but of one directory in it."""
    digest = hashlib.sha256()
    for path in sorted(tree.rglob("*")):
        if without is not None and path.is_relative_to(without):
            continue
        state = path.lstat()
        times = "" if path.is_dir() else str(state.st_mtime_ns)  # what appears and goes again touches its directory
        digest.update(os.fsencode(f"{path} {state.st_mode} {state.st_uid} {times}\n"))
        if path.is_symlink():
            digest.update(os.fsencode(os.readlink(path)))
        elif path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()
