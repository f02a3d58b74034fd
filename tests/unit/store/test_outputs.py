"""Output directories go into the store and come back."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bldr.errors import CacheError, NotCacheableError
from bldr.store.blobs import ContentStore
from bldr.store.messages import Digest, Directory, DirectoryNode, FileNode, OutputDirectory, Tree
from bldr.store.outputs import keep_directory, restore_directory
from tests.unit.store.trees import picture

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200
)
leaves = st.one_of(
    st.tuples(st.just("file"), st.binary(max_size=40), st.sampled_from([0o644, 0o755, 0o600, 0o444, 0o775, 0o664])),
    st.tuples(st.just("link"), st.text(st.characters(codec="ascii", min_codepoint=33), min_size=1, max_size=12)),
)
trees = st.recursive(st.dictionaries(names, leaves, max_size=4), lambda inner: st.dictionaries(names, st.one_of(leaves, inner), max_size=4), max_leaves=12)  # fmt: skip


def build(root: Path, tree: dict[str, object]) -> None:
    for name, node in tree.items():
        path = root / name
        if isinstance(node, dict):
            path.mkdir()
            build(path, node)
        elif isinstance(node, tuple) and node[0] == "file":
            path.write_bytes(node[1])
            path.chmod(node[2])
        elif isinstance(node, tuple):
            os.symlink(node[1], path)


@given(trees)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_tree_comes_back_as_it_was(tree: dict[str, object]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, back = Path(directory, "source"), Path(directory, "back")
        source.mkdir()
        back.mkdir()
        build(source, tree)
        store = ContentStore(f"{directory}/store")
        output = keep_directory(store, "out", str(source))
        if output is None:
            assert tree == {}
            return
        restore_directory(store, output, str(back))

        assert picture(back) == picture(source)
        assert keep_directory(store, "out", str(back)) == output


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path / "store"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def test_directories_that_may_not_be_written_come_back(store: ContentStore, source: Path, tmp_path: Path) -> None:
    (source / "read-only" / "below").mkdir(parents=True)
    (source / "read-only" / "file").write_text("x", encoding="ascii")
    (source / "read-only").chmod(0o555)
    (tmp_path / "back").mkdir()
    output = keep_directory(store, "", str(source))
    assert output is not None
    restore_directory(store, output, str(tmp_path / "back"))

    assert picture(tmp_path / "back") == picture(source)
    for root in (source, tmp_path / "back"):
        (root / "read-only").chmod(0o755)


def test_equal_directories_are_kept_once(store: ContentStore, source: Path) -> None:
    for name in ("one", "two"):
        (source / name).mkdir()
        (source / name / "same").write_text("same", encoding="ascii")
    output = keep_directory(store, "out", str(source))
    assert output is not None

    assert len(Tree.decode(store.read(output.tree)).children) == 1


def test_an_empty_output_has_nothing_to_keep(store: ContentStore, source: Path) -> None:
    assert keep_directory(store, "out", str(source)) is None


def test_what_cannot_come_back_is_not_kept(store: ContentStore, source: Path) -> None:
    os.mkfifo(source / "pipe")
    with pytest.raises(NotCacheableError, match=r"'.*pipe' is neither"):
        keep_directory(store, "out", str(source))
    (source / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(source / "socket"))
        with pytest.raises(NotCacheableError, match=r"'.*socket' is neither"):
            keep_directory(store, "out", str(source))
    (source / "socket").unlink()
    (source / "set-id").touch()
    (source / "set-id").chmod(0o4755)
    with pytest.raises(NotCacheableError, match=r"'.*set-id' has a set-id bit"):
        keep_directory(store, "out", str(source))


def test_a_tree_without_one_of_its_directories_is_refused(store: ContentStore, source: Path) -> None:
    root = Directory((), (DirectoryNode("gone", Digest.of(b"nothing")),))
    output = OutputDirectory("out", store.put(Tree(root).encode()), store.put(root.encode()))

    with pytest.raises(CacheError, match="lacks the directory 'gone'"):
        restore_directory(store, output, str(source))


def test_a_tree_of_somebody_else_cannot_lead_out_of_the_output(store: ContentStore, source: Path) -> None:
    root = Directory((FileNode("../../escaped", store.put(b"x")),))
    output = OutputDirectory("out", store.put(Tree(root).encode()), store.put(root.encode()))

    with pytest.raises(CacheError, match="cannot be read"):
        restore_directory(store, output, str(source))
    assert shutil.which("escaped", path=str(source.parent.parent)) is None
