"""For every command: what was learned shows all that it read, and shows no secret without a warning."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bldr.explain.advice import warning_about
from bldr.learn.files import Place, learn_files
from bldr.learn.learned import Learned
from bldr.learn.observation import Observation
from bldr.model.paths import is_within
from bldr.model.spec import Access
from tests.unit.learn.hosts import FakeHost

HOME = "/home/me"
WORK = f"{HOME}/work"
PARENTS = (
    WORK, WORK, f"{WORK}/src", f"{WORK}/src/a", f"{WORK}/out", HOME, f"{HOME}/.ssh", f"{HOME}/.aws", f"{HOME}/.config",
    f"{HOME}/.config/gh", f"{HOME}/.cache/x", "/opt/tool/bin", "/opt/tool/lib", "/usr/local/bin", "/usr/local/lib/py",
    "/usr/bin", "/etc", "/etc/app", "/srv/data", "/srv/data/deep/er", f"{HOME}/venv",
)  # fmt: skip
NAMES = ("a", "b", "c.h", ".env", "id_rsa", "server.key", "pyvenv.cfg", "config")

paths = st.builds(lambda parent, name: f"{parent}/{name}", st.sampled_from(PARENTS), st.sampled_from(NAMES))


@st.composite
def watched(draw: st.DrawFn) -> tuple[FakeHost, Observation, Place]:
    files = draw(st.lists(paths, min_size=1, max_size=20, unique=True))
    host = FakeHost(f"{WORK}/", "/usr/bin/cc", *files, home=HOME)
    own = [path for path in files if is_within(path, WORK)] + [f"{WORK}/new/x", f"{WORK}/src/new", f"{WORK}/y"]
    seen = Observation(
        reads=tuple(sorted(draw(st.sets(st.sampled_from(files))))),
        looks=tuple(sorted(draw(st.sets(st.sampled_from(files))))),
        changes=tuple(sorted(draw(st.sets(st.sampled_from(own))))),
    )
    kept = frozenset(draw(st.sets(st.sampled_from([f"{WORK}/new", f"{WORK}/src"]))))
    return host, seen, Place((WORK,), kept=kept, in_tree=draw(st.booleans()))


@given(watched())
def test_all_that_was_read_is_shown(case: tuple[FakeHost, Observation, Place]) -> None:
    host, seen, place = case

    files = learn_files(seen, place, host)

    spec = Learned(("x",), WORK, files).spec()
    assert [path for path in seen.reads if spec.access(path) == Access.NONE] == []


@given(watched())
def test_all_that_was_written_can_be_written(case: tuple[FakeHost, Observation, Place]) -> None:
    host, seen, place = case

    files = learn_files(seen, place, host)

    spec = Learned(("x",), WORK, files).spec()
    assert [path for path in seen.changes if spec.access(path) != Access.WRITE] == []


@given(watched())
def test_no_secret_is_shown_without_a_warning(case: tuple[FakeHost, Observation, Place]) -> None:
    host, seen, place = case

    files = learn_files(seen, place, host)

    spec = Learned(("x",), WORK, files).spec()
    warned = [path for path, _ in files.warnings]
    secrets = [
        path
        for path in host.files
        if warning_about(path, HOME) and not is_within(path, "/opt") and not is_within(path, "/usr")
    ]
    shown = [path for path in secrets if spec.access(path) != Access.NONE]
    unwarned = [path for path in shown if not any(is_within(path, one) for one in warned)]
    beside = [path for path in unwarned if path in seen.reads]
    assert beside == []
    roots = [
        one
        for one in (*files.inputs, *files.overlays, *files.outputs)
        if any(is_within(path, one) for path in unwarned)
    ]
    assert [one for one in roots if not any(is_within(path, one) for path in warned)] == []


@given(watched())
def test_nothing_beside_what_was_read_is_shown_of_a_place_of_secrets(case: tuple[FakeHost, Observation, Place]) -> None:
    host, seen, place = case

    files = learn_files(seen, place, host)

    broad = [path for path in files.inputs if host.is_directory(path) and is_within(path, HOME)]
    assert [
        one
        for one in broad
        if not is_within(one, WORK) and any(is_within(f"{HOME}/{name}", one) for name in (".ssh", ".aws"))
    ] == []
