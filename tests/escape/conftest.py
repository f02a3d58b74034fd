"""Who tries to escape: real root, a user without rights, and each of them inside another sandbox.

Everybody plays the same scenes (``stage.py``), once in a session, and tests ask what happened.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import SYSTEM_PYTHON, UNPRIVILEGED_ID

collect_ignore = ["programs"]  # programs for the interpreter of the sandbox, not modules of the suite

BOUND = 110  # seconds; a little less than what a test may take
BECOMES_USER: list[str] = [] if os.getuid() else ["unprivileged-user"]
ROOT = pytest.param("root", marks=pytest.mark.needs("root", "user-namespaces", "system-python"))
USER = pytest.param("user", marks=pytest.mark.needs("user-namespaces", "system-python", *BECOMES_USER))
NESTED = pytest.param("nested-root", marks=pytest.mark.needs("root", "user-namespaces", "proc-mount", "system-python"))
NESTED_USER = pytest.param(
    "nested-user", marks=pytest.mark.needs("user-namespaces", "proc-mount", "system-python", *BECOMES_USER)
)


class Played:
    """What happened in one scene."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def __getitem__(self, name: str) -> Any:
        return self.facts[name]

    def pair(self, attempt: str) -> tuple[str, str]:
        """The outcomes of an attempt: outside, and inside."""
        return self.outcome("outside", attempt), self.outcome("inside", attempt)

    def outcome(self, where: str, attempt: str) -> str:
        return str(self.facts[where][attempt]["outcome"])

    def value(self, attempt: str, where: str = "inside") -> Any:
        assert self.outcome(where, attempt) == "possible", self.facts[where][attempt]
        return self.facts[where][attempt]["value"]


class Theatre:
    """Plays scenes as somebody, each once."""

    def __init__(self, base: Path, repository: Path) -> None:
        self.base = base
        self.code = base / "code"
        shutil.copytree(repository / "src", self.code / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(
            repository / "tests" / "escape",
            self.code / "tests" / "escape",
            ignore=shutil.ignore_patterns("__pycache__", "test_*", "conftest.py"),
        )
        base.chmod(0o755)
        for parent, _, files in os.walk(self.code):
            os.chmod(parent, 0o755)
            for name in files:
                os.chmod(os.path.join(parent, name), 0o644)
        subprocess.run([SYSTEM_PYTHON, "-m", "compileall", "-q", str(self.code)], check=True)
        self.played: dict[tuple[str, str, tuple[str, ...]], Played | str] = {}

    def run(
        self, who: str, *arguments: str, prefix: Sequence[str] = (), **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the system interpreter as somebody, with bldr and the scenes on its path."""
        home = self.home(who)
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONPATH": f"{self.code / 'src'}:{self.code}"}
        argv = [*prefix, SYSTEM_PYTHON, *arguments]
        if who.startswith("nested-"):
            variables = [f"PYTHONPATH={environment['PYTHONPATH']}", "NESTED=1"]
            sandbox = ["run", "-q", "--allow-userns", "-i", str(self.code), "-o", str(home)]
            argv = [SYSTEM_PYTHON, "-m", "bldr", *sandbox, "-e", variables[0], "-e", variables[1], "--", *argv]
        if who.endswith("user") and os.getuid() == 0:
            options |= {"user": UNPRIVILEGED_ID, "group": UNPRIVILEGED_ID, "extra_groups": []}
        return subprocess.run(
            argv, check=False, capture_output=True, stdin=subprocess.DEVNULL, env=environment, cwd=home, timeout=BOUND,
            **options,
        )  # fmt: skip

    def home(self, who: str) -> Path:
        """A directory that belongs to somebody."""
        home = self.base / who
        if not home.exists():
            home.mkdir()
            if who.endswith("user") and os.getuid() == 0:
                os.chown(home, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
        return home

    def play(self, who: str, scene: str, *, prefix: tuple[str, ...] = ()) -> Played:
        """Play a scene, behind the words of another program where it needs one."""
        key = (who, scene, prefix)
        if key not in self.played:
            done = self.run(who, "-m", "tests.escape.stage", scene, str(self.home(who) / scene), prefix=prefix)
            if done.returncode:
                self.played[key] = f"status {done.returncode}\n{done.stderr.decode(errors='replace')}"
            else:
                self.played[key] = Played(json.loads(done.stdout))
        played = self.played[key]
        if isinstance(played, str):
            pytest.fail(f"the scene {scene} could not be played as {who}: {played}", pytrace=False)
        return played


@pytest.fixture(scope="session")
def theatre(repository: Path) -> Iterator[Theatre]:
    base = Path(tempfile.mkdtemp(prefix="bldr-escape.", dir="/var/tmp"))
    yield Theatre(base, repository)
    shutil.rmtree(base)


@pytest.fixture(params=[ROOT, USER, NESTED, NESTED_USER])
def caller(request: pytest.FixtureRequest, theatre: Theatre) -> Callable[[str], Played]:
    """Plays a scene as everybody."""
    return lambda scene: theatre.play(request.param, scene)


@pytest.fixture(params=[ROOT, USER])
def host_caller(request: pytest.FixtureRequest, theatre: Theatre) -> Callable[[str], Played]:
    """Plays a scene as everybody whom no other sandbox confines, so that controls can succeed."""
    return lambda scene: theatre.play(request.param, scene)


@pytest.fixture(params=[ROOT])
def host_root(request: pytest.FixtureRequest, theatre: Theatre) -> Callable[[str], Played]:
    """Plays a scene as real root, for attempts that nobody else could make outside."""
    return lambda scene: theatre.play(request.param, scene)
