"""The cache: results with their blobs, garbage, verification, and processes that share it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr.errors import CacheError
from bldr.store.cache import Cache, default_directory
from bldr.store.messages import Action, ActionResult, Command, Digest, Directory
from bldr.store.outputs import keep_directory
from bldr.store.reasons import compare


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[Cache]:
    with Cache(str(tmp_path / "cache")) as cache:
        yield cache


def remember(cache: Cache, tmp_path: Path, name: str, *, size: int = 100_000, salt: bytes = b"a=1\n") -> Digest:
    """Keep a result with an output of that many bytes."""
    command = Command(("make", name)).encode()
    root = Directory().encode()
    action = Action(Digest.of(command), Digest.of(root), salt=salt)
    digest = cache.note_action(action, [command, root])
    place = tmp_path / f"made-{name}"
    place.mkdir(exist_ok=True)
    (place / "file").write_bytes(name.encode() + os.urandom(size))
    output = keep_directory(cache.blobs, "out", str(place))
    assert output is not None
    cache.remember(digest, ActionResult((output,), stdout=cache.blobs.put(name.encode())), {"made": name})
    return digest


def test_a_result_comes_back_with_what_was_told_about_it(cache: Cache, tmp_path: Path) -> None:
    digest = remember(cache, tmp_path, "one")
    kept = cache.look_up(digest)

    assert kept is not None
    assert (kept.action, kept.about) == (digest, {"made": "one"})
    assert kept.result.stdout == Digest.of(b"one")
    assert cache.look_up(Digest(digest.hash, digest.size + 1)) is None
    assert cache.look_up(Digest.of(b"other")) is None


@pytest.mark.parametrize("victim", ["file", "tree", "stdout"])
def test_a_result_whose_blob_is_gone_is_a_miss_and_forgotten(cache: Cache, tmp_path: Path, victim: str) -> None:
    digest = remember(cache, tmp_path, "one")
    kept = cache.look_up(digest)
    assert kept is not None
    tree = kept.result.directories[0].tree
    file = Digest.of((tmp_path / "made-one" / "file").read_bytes())
    cache.blobs.remove({"file": file, "tree": tree, "stdout": Digest.of(b"one")}[victim])

    assert cache.look_up(digest) is None
    assert cache.index.results() == []


def test_garbage_is_what_was_not_used_for_longest(cache: Cache, tmp_path: Path) -> None:
    digests = [remember(cache, tmp_path, name) for name in ("one", "two", "three")]
    cache.index.use_result(digests[0])
    collected = cache.collect(250_000, grace=0)

    assert collected.results == 1
    assert collected.freed >= 100_000
    assert [cache.look_up(digest) is not None for digest in digests] == [True, False, True]
    assert collected.left == cache.statistics().size


def test_garbage_is_also_what_nothing_names(cache: Cache, tmp_path: Path) -> None:
    digest = remember(cache, tmp_path, "one")
    stray = cache.blobs.put(b"stray")

    assert cache.collect(1 << 30).blobs == 0  # a run that is going on may be about to name it
    assert cache.collect(1 << 30, grace=-1).blobs == 1
    assert not cache.blobs.has(stray)
    assert cache.look_up(digest) is not None


def test_verifying_finds_what_was_changed_and_drops_what_needs_it(cache: Cache, tmp_path: Path) -> None:
    bad, good = (remember(cache, tmp_path, name) for name in ("bad", "good"))
    content = (tmp_path / "made-bad" / "file").read_bytes()
    path = Path(cache.blobs.path_of(Digest.of(content)))
    path.chmod(0o600)
    path.write_bytes(content[:-1] + b"!")
    verified = cache.verify()

    assert verified.corrupt == (Digest.of(content).hash,)
    assert verified.dropped == 1
    assert cache.look_up(bad) is None
    assert cache.look_up(good) is not None
    assert cache.verify().corrupt == ()
    assert cache.statistics().quarantined == 1


def test_clearing_leaves_nothing(cache: Cache, tmp_path: Path) -> None:
    digest = remember(cache, tmp_path, "one")

    assert cache.clear() > 100_000
    assert cache.look_up(digest) is None
    counted = cache.statistics()
    assert (counted.blobs, counted.results, counted.files, counted.quarantined) == (0, 0, 0, 0)


def test_an_index_that_is_no_database_is_put_aside(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(os.urandom(8192))
    with Cache(str(tmp_path)) as cache:
        assert cache.index.replaced
        assert Path(cache.index.replaced).exists()
        assert cache.statistics().results == 0
    with Cache(str(tmp_path)) as cache:
        assert not cache.index.replaced


def test_an_index_of_another_version_is_refused(tmp_path: Path) -> None:
    import sqlite3

    db = sqlite3.connect(tmp_path / "index.sqlite")
    db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(CacheError) as caught:
        Cache(str(tmp_path))
    assert caught.value.code == "cache.unusable"


def test_a_directory_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CacheError) as caught:
        Cache(str(tmp_path / "file" / "cache"))
    assert caught.value.code == "cache.unusable"


@pytest.mark.parametrize(
    ("environment", "ending"),
    [({"XDG_CACHE_HOME": "/x"}, "/x/bldr"), ({"XDG_CACHE_HOME": "relative"}, "/.cache/bldr"), ({}, "/.cache/bldr")],
)
def test_the_usual_directory_follows_xdg(environment: dict[str, str], ending: str) -> None:
    assert default_directory(environment).endswith(ending)


WRITER = """
import sys
from bldr.store.cache import Cache
from bldr.store.messages import ActionResult, Digest
with Cache(sys.argv[1]) as cache:
    for number in range(50):
        digest = Digest.of(b"%d" % number)
        cache.index.remember_action(digest)
        cache.remember(digest, ActionResult(stdout=cache.blobs.put(b"out")), {})
        assert cache.look_up(digest) is not None
        cache.index.use_result(digest)
"""


def test_processes_that_begin_a_cache_together_share_it(tmp_path: Path) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "cache")], stderr=subprocess.PIPE)
        for _ in range(4)
    ]
    told = [process.communicate(timeout=90)[1] for process in processes]

    assert told == [b""] * 4
    with Cache(str(tmp_path / "cache")) as cache:
        assert len(cache.index.results()) == 50


def test_the_nearest_action_is_compared_field_by_field(cache: Cache, tmp_path: Path) -> None:
    remember(cache, tmp_path, "other")
    before = remember(cache, tmp_path, "one", salt=b"limit.memory=1\nuid=0\n")
    after = remember(cache, tmp_path, "one", salt=b"limit.memory=2\nuid=0\n")
    comparison = compare(cache, "")

    assert (comparison.action, comparison.earlier, comparison.has_result) == (after, before, True)
    assert [(one.field, one.before, one.after) for one in comparison.differences] == [("policy limit.memory", "1", "2")]


def test_an_action_is_found_by_the_beginning_of_its_digest(cache: Cache, tmp_path: Path) -> None:
    first = remember(cache, tmp_path, "one")
    remember(cache, tmp_path, "two")

    comparison = compare(cache, first.hash[:12])
    assert comparison.action == first
    assert [(one.field, one.before, one.after) for one in comparison.differences] == [("argument 1", "two", "one")]
    with pytest.raises(CacheError) as caught:
        compare(cache, "nothing")
    assert caught.value.code == "cache.action-unknown"


def damage(directory: Path, page: int) -> None:
    """Overwrite one page of the index."""
    with open(directory / "index.sqlite", "r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)


@pytest.mark.parametrize("page", [2, 3, 4, 5])
def test_an_index_that_turns_out_to_be_damaged_is_begun_anew(tmp_path: Path, page: int) -> None:
    with Cache(str(tmp_path / "cache")) as cache:
        digest = remember(cache, tmp_path, "one")
    damage(tmp_path / "cache", page)
    with Cache(str(tmp_path / "cache")) as cache, Cache(str(tmp_path / "cache")) as other:
        for one in (cache, other):
            kept = one.look_up(digest)
            assert kept is None or kept.about == {"made": "one"}
            one.index.actions()
            one.index.hashes([b"/x"])
            one.index.toolchain("system")
        again = remember(cache, tmp_path, "one")
        assert other.look_up(again) is not None

    assert len(list((tmp_path / "cache").glob("*.unreadable.*"))) == 1


def test_what_was_left_unfinished_long_ago_is_removed(tmp_path: Path) -> None:
    drafts = tmp_path / "cache" / "tmp"
    drafts.mkdir(parents=True)
    (drafts / "old").touch()
    (drafts / "new").touch()
    os.utime(drafts / "old", (1, 1))

    with Cache(str(tmp_path / "cache")):
        assert os.listdir(drafts) == ["new"]


def test_one_changed_blob_of_a_result_is_reason_to_look_at_all(cache: Cache, tmp_path: Path) -> None:
    digest = remember(cache, tmp_path, "one")
    kept = cache.look_up(digest)
    assert kept is not None
    changed = [blob for blob, _, size in cache.blobs.blobs() if blob.size > 90_000 or blob == kept.result.stdout]
    assert len(changed) == 2
    for blob in changed:
        path = Path(cache.blobs.path_of(blob))
        path.chmod(0o600)
        path.write_bytes(bytes(blob.size))

    cache.doubt(kept.result)

    assert len(cache.blobs.quarantined()) == 2
    assert cache.look_up(digest) is None
