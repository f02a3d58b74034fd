"""After any edits a build makes what building from scratch would make, and does no more than it has to.

The commands only put files together, so that what they have to make can be computed here.
"""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from bldr.builderfile.workspace import load, resolve
from bldr.engine.build import Build, Options
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import Status
from bldr.engine.state import State
from bldr.store.cache import Cache

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

SOURCES = 4
TARGETS = 5
STEPS = 8


@pytest.fixture(scope="module")
def index(bldr_argv: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The index of a cache that has looked at the toolchain, which takes seconds."""
    cache = tmp_path_factory.mktemp("known") / "cache"
    subprocess.run([*bldr_argv, "run", f"--cache={cache}", "--", "true"], check=True, capture_output=True, timeout=100)
    return cache / "index.sqlite"


class Model:
    """A workspace, and what it has to hold: each target puts sources and earlier products behind a word of its own."""

    def __init__(self, root: Path, seed: int) -> None:
        self.root = root
        self.random = random.Random(seed)  # repeatable
        self.sources = {f"s{number}": "0\n" for number in range(SOURCES)}
        self.needs = {number: self._some_needs(number) for number in range(TARGETS)}
        self.words = dict.fromkeys(range(TARGETS), "w")

    def _some_needs(self, number: int) -> list[str]:
        names = [*self.sources, *[f"out/t{other}" for other in range(number)]]
        return sorted(self.random.sample(names, min(3, len(names))))

    def edit(self) -> None:
        """Change something: a source, a command, what is needed, a product, or only times."""
        number = self.random.randrange(TARGETS)
        kind = self.random.choice(("source", "source", "command", "needs", "product", "gone", "touch"))
        if kind == "source":
            self.sources[f"s{self.random.randrange(SOURCES)}"] = f"{self.random.randrange(3)}\n"
        elif kind == "command":
            self.words[number] = self.random.choice("vw")
        elif kind == "needs":
            self.needs[number] = self._some_needs(number)
        elif kind == "touch":
            os.utime(self.root / "s0", ns=(self.random.randrange(10**9), 10**9))
        elif (product := self.root / "out" / f"t{number}").exists():
            product.write_text("spoilt\n", encoding="ascii") if kind == "product" else product.unlink()

    def write(self) -> None:
        """Write sources and the Builderfile."""
        for name, text in self.sources.items():
            path = self.root / name
            if not path.exists() or path.read_text(encoding="ascii") != text:
                path.write_text(text, encoding="ascii")
        told = []
        for number, needs in self.needs.items():
            deps = ", ".join(f'":t{name[5:]}"' for name in needs if "/" in name)
            files = ", ".join(f'"{name}"' for name in needs)
            line = f"(echo {self.words[number]}; cat {' '.join(needs)}) > out/t{number}"
            told.append(
                f'target("t{number}") {{ type: custom; sources: [{files}]; deps: [{deps}]; command: "{line}";'
                f' output: "out/t{number}"; }}\n'
            )
        (self.root / "Builderfile").write_text("".join(told), encoding="ascii")

    def expected(self) -> dict[str, str]:
        """Return what each product has to hold."""
        found = dict(self.sources)
        for number, needs in self.needs.items():
            found[f"out/t{number}"] = f"{self.words[number]}\n" + "".join(found[name] for name in needs)
        return {name: text for name, text in found.items() if "/" in name}

    def build(self, cache: Cache) -> list[str]:
        """Build everything, and return what became of each action."""
        root = os.fspath(self.root)
        workspace = load(root)
        labels = list(workspace.targets)
        with WorkspaceLock(root), State(root) as state:
            graph = graph_of(resolve(workspace, labels), labels)
            outcomes = Build(root, graph, cache, state, Options(jobs=2)).run()
        assert [outcome.problem for outcome in outcomes if outcome.problem] == []
        return [outcome.status for outcome in outcomes]


@pytest.mark.parametrize("seed", range(2))
def test_any_edits_end_where_a_build_from_scratch_would(tmp_path: Path, index: Path, seed: int) -> None:
    (tmp_path / "ws").mkdir()
    (tmp_path / "cache").mkdir()
    shutil.copy(index, tmp_path / "cache")
    model = Model(tmp_path / "ws", seed)
    with Cache(os.fspath(tmp_path / "cache")) as cache:
        for _ in range(STEPS):
            model.write()
            model.build(cache)
            found = {name: (model.root / name).read_text(encoding="ascii") for name in model.expected()}
            assert found == model.expected()
            assert set(model.build(cache)) == {Status.UP_TO_DATE}
            model.edit()
