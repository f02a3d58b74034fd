"""Input roots: what is in the digest, what is noticed, and which stamps are trusted."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr.errors import NotCacheableError
from bldr.store.index import Index
from bldr.store.inputroot import InputRoot, Shown, StatCache
from bldr.store.messages import Digest, Directory, DirectoryNode, FileNode, SymlinkNode

OLD = 1_000_000_000  # seconds since the epoch


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    (tmp_path / "store").mkdir()
    index = Index(str(tmp_path / "store"))
    yield index
    index.close()


@pytest.fixture
def known(index: Index) -> StatCache:
    return StatCache(index)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "a.c").write_text("int a;\n", encoding="ascii")
    (source / "sub" / "run").write_text("#!/bin/sh\n", encoding="ascii")
    (source / "sub" / "run").chmod(0o755)
    (source / "a.c").chmod(0o644)
    (source / "link").symlink_to("a.c")
    for directory in (source, source / "sub"):
        directory.chmod(0o755)
    return source


def digest_of(known: StatCache, *shown: Shown) -> Digest:
    return InputRoot(shown).digest(known, keep={})


def test_the_digest_is_that_of_reapi_directories(known: StatCache, source: Path) -> None:
    sub = Directory((FileNode("run", Digest.of(b"#!/bin/sh\n"), is_executable=True),))
    top = Directory(
        (FileNode("a.c", Digest.of(b"int a;\n")),),
        (DirectoryNode("sub", Digest.of(sub.encode())),),
        (SymlinkNode("link", "a.c"),),
    )
    root = Directory((), (DirectoryNode("w", Digest.of(top.encode())),))
    kept: dict[Digest, bytes] = {}
    found = InputRoot([Shown("/w", str(source))]).digest(known, keep=kept)

    assert found == Digest.of(root.encode())
    assert set(kept) == {Digest.of(one.encode()) for one in (sub, top, root)}


def linked(path: Path, target: str) -> Path:
    path.symlink_to(target)
    return path


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda source: (source / "a.c").write_text("int b;\n", encoding="ascii"),
    "executable": lambda source: (source / "a.c").chmod(0o755),
    "permissions": lambda source: (source / "a.c").chmod(0o600),
    "directory permissions": lambda source: (source / "sub").chmod(0o700),
    "link": lambda source: os.replace(linked(source / "new link", "sub/run"), source / "link"),
    "name": lambda source: (source / "a.c").rename(source / "b.c"),
    "new file": lambda source: (source / "sub" / "new").touch(),
    "new empty directory": lambda source: (source / "sub" / "empty").mkdir(),
    "kind": lambda source: os.replace(source / "a.c", source / "link"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_gives_another_digest_and_is_noticed(known: StatCache, source: Path, change: str) -> None:
    root = InputRoot([Shown("/w", str(source))])
    before = root.digest(known, keep={})
    assert root.is_unchanged(known)
    CHANGES[change](source)

    assert not root.is_unchanged(known)
    assert digest_of(known, Shown("/w", str(source))) != before


def test_a_change_that_was_taken_back_is_noticed_but_gives_the_same_digest(known: StatCache, source: Path) -> None:
    os.utime(source / "a.c", (OLD, OLD))
    root = InputRoot([Shown("/w", str(source))])
    before = root.digest(known, keep={})
    (source / "a.c").write_text("int b;\n", encoding="ascii")
    (source / "a.c").write_text("int a;\n", encoding="ascii")
    os.utime(source / "a.c", (OLD, OLD))

    assert not root.is_unchanged(known)
    assert digest_of(known, Shown("/w", str(source))) == before


def test_times_owners_and_the_place_on_the_host_do_not_matter(known: StatCache, source: Path) -> None:
    before = digest_of(known, Shown("/w", str(source)))
    os.utime(source / "a.c", (OLD, OLD))
    moved = source.rename(source.parent / "elsewhere")

    assert digest_of(known, Shown("/w", str(moved))) == before
    assert digest_of(known, Shown("/v", str(moved))) != before


def test_a_young_stamp_is_not_trusted(index: Index, source: Path) -> None:
    """The file is written a second time without any change of its stamp: what a coarse clock does (racy git)."""
    path = source / "a.c"
    about = path.stat()
    digest_of(StatCache(index), Shown("/w/a.c", str(path)))

    assert index.counts()[0] == 0
    assert time.time() - about.st_mtime < 2


def test_an_old_stamp_is_trusted_and_the_file_not_read_again(
    index: Index, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the clock can make a stamp old, because the change time cannot be set."""
    shown = Shown("/w/a.c", str(source / "a.c"))
    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)
    first = digest_of(StatCache(index), shown)
    assert index.counts()[0] == 1
    monkeypatch.setattr("bldr.store.inputroot.hash_of_fd", None)  # reading would fail

    assert digest_of(StatCache(index), shown) == first


def test_a_clock_that_went_back_makes_nothing_trusted(index: Index, source: Path) -> None:
    future = time.time() + 10_000
    os.utime(source / "a.c", (future, future))
    digest_of(StatCache(index), Shown("/w/a.c", str(source / "a.c")))

    assert index.counts()[0] == 0


def test_a_file_that_changed_since_it_was_looked_at_is_refused(known: StatCache, source: Path) -> None:
    root = InputRoot([Shown("/w", str(source))])
    (source / "a.c").write_text("int longer;\n", encoding="ascii")

    with pytest.raises(NotCacheableError, match=r"'.*a\.c' changed while it was read"):
        root.digest(known, keep={})


def test_what_has_no_digest_is_refused_by_name(source: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(source / "sub" / "agent"))

        with pytest.raises(NotCacheableError, match=r"'.*sub/agent' is neither a file, a directory nor a link"):
            InputRoot([Shown("/w", str(source))])


def test_places_of_their_own_are_left_out_of_the_directory_around_them(known: StatCache, source: Path) -> None:
    (source / "out").mkdir()
    shown = [Shown("/w", str(source)), Shown("/w/out")]
    root = InputRoot(shown)
    before = root.digest(known, keep={})
    (source / "out" / "made").touch()

    assert root.is_unchanged(known)
    assert digest_of(known, *shown) == before


def test_a_hidden_place_is_as_if_it_were_not_there(known: StatCache, source: Path) -> None:
    hidden = digest_of(known, Shown("/w", str(source)), Shown("/w/link", hidden=True))
    (source / "link").unlink()

    assert digest_of(known, Shown("/w", str(source))) == hidden


def test_a_directory_that_is_shown_empty_keeps_what_lies_in_it(known: StatCache, source: Path) -> None:
    file = Shown("/w/sub/a.c", str(source / "a.c"))

    assert digest_of(known, file, Shown("/w/sub")) == digest_of(known, file)
    assert digest_of(known, file, Shown("/w/other")) != digest_of(known, file)


def test_a_file_may_be_shown_at_two_places(known: StatCache, source: Path) -> None:
    both = [Shown("/v", str(source)), Shown("/w", str(source))]

    assert digest_of(known, *both) != digest_of(known, both[0])
