"""Any workspace comes to a model that fits together, or to diagnostics."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bldr.builderfile.confinement import needs_of, spec_of
from bldr.builderfile.graph import cycles
from bldr.builderfile.label import Label
from bldr.builderfile.target import Hermetic, Target
from bldr.builderfile.workspace import Resolved, load, resolve
from bldr.builderfile.writing import text_of
from bldr.errors import BuilderfileError, OverlappingPathsError
from tests.property import builderfile_strategies as strategies

# Few names and files, so that they meet.
_folders = st.sampled_from(["", "a", "a/b"])
_names = st.sampled_from(["a", "b", "c"])
_labels = st.builds(Label, _folders, _names)
_patterns = st.sampled_from(
    ["x.c", "a/x.c", "a/b/x.c", "y.c", "*.c", "**/*.c", "a/*.c", "a", "!x.c", "gen/z.c", "bin/a", "link.c", "*"]
)
_outputs = st.sampled_from(["gen/", "gen/z.c", "bin/a", "a", "x.c", "out/", "out/x"])


def _tuples(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, max_size=2, unique=True).map(tuple)


@st.composite
def _targets(draw: st.DrawFn, label: Label, before: list[Label]) -> Target:
    """A target that mostly needs what is declared before it; now and then anything, which may be wrong."""
    kind = draw(st.sampled_from(["executable", "library", "test", "custom"]))
    sources = draw(_tuples(_patterns))
    deps: tuple[Label, ...] = ()
    if draw(st.integers(0, 20)) == 0:
        deps = tuple(draw(st.lists(_labels, max_size=2, unique=True)))
    elif before:
        deps = tuple(draw(st.lists(st.sampled_from(before), max_size=2, unique=True)))
    return Target(
        label=label,
        type=kind,
        sources=sources if kind == "custom" else (*sources, *(() if "x.c" in sources else ("x.c",))),
        deps=deps,
        command=("true",) if kind == "custom" else (),
        output=draw(_tuples(_outputs)) if kind == "custom" else (),
        hermetic=Hermetic(outputs=draw(_tuples(_outputs)) if draw(st.integers(0, 5)) == 0 else ()),
    )


@st.composite
def workspaces(draw: st.DrawFn) -> dict[str, list[Target]]:
    folders: dict[str, list[Target]] = {folder: [] for folder in ["", *sorted(draw(st.sets(_folders)) - {""})]}
    before: list[Label] = []
    for label in draw(st.lists(_labels, max_size=5, unique=True)):
        if label.folder in folders:
            folders[label.folder].append(draw(_targets(label, before)))
            before.append(label)
    return folders


def make(root: Path, folders: dict[str, list[Target]]) -> None:
    for path in ("x.c", "y.c", "a/x.c", "a/b/x.c", "bin/old.c", ".hidden.c"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    (root / "link.c").symlink_to("x.c")
    for folder, targets in folders.items():
        (root / folder / "Builderfile").write_text(text_of(targets), encoding="utf-8")


def check(root: Path, found: dict[Label, Resolved]) -> None:
    assert cycles({label: one.target.deps for label, one in found.items()}) == []
    for label, one in found.items():
        assert all((root / path).is_file() for path in one.sources if path not in one.generated)
        assert len(set(one.sources)) == len(one.sources)
        assert not any(path.startswith((".", "bin/old")) for path in one.sources)
        for other_label, other in found.items():
            if other_label != label:
                assert not any(overlap(a, b) for a in written(one) for b in written(other))
        try:
            spec = spec_of(one, root=str(root), output_dir="/out", temp_dir="/tmp/t", needs=needs_of(label, found))
        except OverlappingPathsError:
            assert one.target.hermetic.outputs  # a folder that holds what the target reads
            continue
        assert all(spec.access(root / path) == "read" for path in one.sources)


def written(one: Resolved) -> list[str]:
    return [path.rstrip("/") for path in (*one.outputs, *one.target.hermetic.outputs)]


def overlap(one: str, other: str) -> bool:
    return os.path.commonpath([one, other]) in (one, other)


@given(workspaces())
def test_a_workspace_fits_together_or_is_told_why_not(folders: dict[str, list[Target]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        make(root, folders)
        try:
            found = resolve(load(directory))
        except BuilderfileError as error:
            for one in (error, *error.also):
                assert one.path
                assert one.line >= 1
                assert one.excerpt
            return
        check(root, found)


@given(strategies.packages())
def test_wild_names_are_read_from_disk(package: tuple[str, tuple[Target, ...]]) -> None:
    folder, targets = package
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, folder).mkdir(parents=True, exist_ok=True)
        Path(directory, folder, "Builderfile").write_text(text_of(targets), encoding="utf-8")
        try:
            resolve(load(directory))
        except BuilderfileError as error:
            assert all(one.excerpt for one in (error, *error.also))
