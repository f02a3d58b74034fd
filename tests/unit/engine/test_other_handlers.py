"""Handlers of other packages: which one is taken, and what is said of those that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr.builderfile.workspace import load, resolve
from bldr.engine.graph import Graph, graph_of
from bldr.engine.handlers import others
from bldr.errors import BuilderfileError, EngineError

Build = Callable[[], Graph]

GOOD = """
from bldr.engine.handlers import API, Action, Provided
class Handler:
    api = API
    def provides(self, target, needs):
        return Provided(target.target.label)
    def actions(self, target, needs):
        return [Action(target.target.label, "make", ("true",), target.sources, target.outputs)]
    def tests(self, target, needs):
        return []
HANDLER = Handler()
"""


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Installs a package with a handler for the language "odd", in a module that is called like the package."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(name: str, module: str) -> None:
        (site / f"{name}.py").write_text(module, "ascii")
        about = site / f"{name}-1.5.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.5\n", "ascii")
        (about / "entry_points.txt").write_text(f"[bldr.handlers]\nodd = {name}:HANDLER\n", "ascii")

    others.other_handler.cache_clear()
    yield install
    others.other_handler.cache_clear()


@pytest.fixture
def build(tmp_path: Path) -> Build:
    root = tmp_path / "ws"
    root.mkdir()
    (root / "a.odd").touch()
    (root / "Builderfile").write_text(
        'target("t") { type: executable; language: odd; sources: ["a.odd"]; }', encoding="ascii"
    )

    def graph() -> Graph:
        workspace = load(str(root))
        return graph_of(resolve(workspace, list(workspace.targets)), list(workspace.targets))

    return graph


def refusal(build: Build) -> EngineError:
    with pytest.raises(EngineError) as caught:
        build()
    assert caught.value.code == "engine.handler"
    return caught.value


def test_the_actions_of_a_package_are_part_of_the_graph(packages: Callable[[str, str], None], build: Build) -> None:
    packages("good_one", GOOD)

    (action,) = build().actions

    assert (action.argv, action.inputs, action.outputs) == (("true",), ("a.odd",), ("bin/t",))


def test_two_packages_for_one_language_are_named(packages: Callable[[str, str], None], build: Build) -> None:
    packages("good_one", GOOD)
    packages("good_two", GOOD)

    assert refusal(build).message == "several packages handle the language 'odd': good_one 1.5 and good_two 1.5"


@pytest.mark.parametrize(
    ("module", "told"),
    [
        ("import gone_module", "cannot be loaded: ModuleNotFoundError: No module named 'gone_module'"),
        ("", "cannot be loaded: AttributeError: module '{name}' has no attribute 'HANDLER'"),
        (
            GOOD.replace("api = API", "api = 99"),
            "is written for version 99 of the interface, and this bldr has version 1",
        ),
        (GOOD.replace("api = API", ""), "is written for version None of the interface, and this bldr has version 1"),
        (GOOD.replace("def tests", "def checks"), "has no function 'tests'"),
        (GOOD.replace("return Provided(", "return dict("), "fails for //:t: TypeError: 'Label' object is not iterable"),
        (GOOD.replace("return [Action", "raise RuntimeError; return [Action"), "fails for //:t: RuntimeError"),
        (
            GOOD.replace("return [Action", "yield 1; return [Action"),
            "answers actions for //:t with 1, not an Action",
        ),
        (
            GOOD.replace("return Provided(target.target.label)", "return None"),
            "answers provides for //:t with None, not a Provided",
        ),
        (GOOD.replace("return [Action", "return 5; return [Action"), "answers actions for //:t with 5, not a sequence"),
        (GOOD.replace('("true",)', '("true", 5)'), "answers actions for //:t with ('true', 5), not a command of texts"),
        (GOOD.replace('("true",)', "()"), "answers actions for //:t with (), not a command of texts"),
        *[
            (GOOD.replace("target.sources", repr((path,))), f"with {path!r}, not a path in the workspace")
            for path in ("/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", 7)
        ],
    ],
)
def test_a_handler_that_cannot_be_used_is_named(
    packages: Callable[[str, str], None], build: Build, module: str, told: str, request: pytest.FixtureRequest
) -> None:
    name = f"bad_{abs(hash(request.node.name))}"  # a module is imported once in a process
    packages(name, module)

    error = refusal(build)

    assert error.message.startswith(f"the handler of {name} 1.5 for the language 'odd' ")
    assert told.format(name=name) in error.message
    assert error.hint


def test_what_a_handler_says_of_the_target_is_told_as_it_is(packages: Callable[[str, str], None], build: Build) -> None:
    text = "from bldr.errors import BuilderfileError\n" + GOOD
    packages(
        "strict_one",
        text.replace("return [Action", "raise BuilderfileError('it needs a colour')\n        return [Action"),
    )

    with pytest.raises(BuilderfileError, match="it needs a colour"):
        build()


def test_a_folder_and_the_workspace_are_paths(packages: Callable[[str, str], None], build: Build) -> None:
    packages("folder_one", GOOD.replace("target.sources", '(".", "a/", "b/c.d")'))

    assert build().actions[0].inputs == (".", "a/", "b/c.d")
