"""The content store: whole blobs or none, never given away, never trusted unread."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from bldr.errors import BlobNotFoundError, CacheError, DigestMismatchError
from bldr.store.blobs import ContentStore, copy_content, hash_of_fd
from bldr.store.messages import Digest

LARGE = os.urandom(1 << 16) * 40  # more than is read at once


@pytest.fixture
def store(tmp_path: Path) -> ContentStore:
    return ContentStore(str(tmp_path))


def put_file(store: ContentStore, path: Path) -> Digest:
    fd = os.open(path, os.O_RDONLY)
    try:
        return store.put_file(fd)
    finally:
        os.close(fd)


def rot(store: ContentStore, digest: Digest, content: bytes) -> None:
    path = Path(store.path_of(digest))
    path.chmod(0o600)
    path.write_bytes(content)


@pytest.mark.parametrize("content", [b"", b"x", LARGE])
def test_a_blob_comes_back_as_it_was(store: ContentStore, tmp_path: Path, content: bytes) -> None:
    digest = store.put(content)
    (tmp_path / "source").write_bytes(content)

    assert digest == Digest(hashlib.sha256(content).hexdigest(), len(content))
    assert put_file(store, tmp_path / "source") == digest
    assert store.read(digest) == content
    assert store.has(digest)
    store.verify(digest)


def test_a_blob_is_one_file_that_nobody_may_write(store: ContentStore, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"content")
    digest = put_file(store, tmp_path / "source")
    about = os.stat(store.path_of(digest))

    assert about.st_nlink == 1
    assert about.st_mode & 0o7777 == 0o400
    assert os.listdir(tmp_path / "tmp") == []


def test_copying_out_shares_no_file(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(b"content")
    fd = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT, 0o600)
    store.copy_out(digest, fd)
    os.pwrite(fd, b"CHANGED", 0)
    os.close(fd)

    assert store.read(digest) == b"content"


def test_a_blob_that_is_not_there_is_said_to_be_missing(store: ContentStore) -> None:
    digest = Digest.of(b"never stored")

    assert not store.has(digest)
    with pytest.raises(BlobNotFoundError):
        store.read(digest)
    with pytest.raises(BlobNotFoundError):
        store.verify(digest)


@pytest.mark.parametrize("content", [b"CONTENT", b"short", b"content and more"])
def test_bit_rot_is_found_on_reading_and_put_into_quarantine(store: ContentStore, content: bytes) -> None:
    digest = store.put(b"content")
    rot(store, digest, content)

    with pytest.raises(DigestMismatchError) as caught:
        store.read(digest)

    assert not store.has(digest)
    assert [Path(path).read_bytes() for path in store.quarantined()] == [content]
    assert store.quarantined()[0] in caught.value.message
    assert store.put(b"content") == digest
    assert store.read(digest) == b"content"


def test_bit_rot_is_found_on_copying_out(store: ContentStore, tmp_path: Path) -> None:
    digest = store.put(LARGE)
    rot(store, digest, LARGE[:-1] + bytes([LARGE[-1] ^ 1]))
    fd = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT, 0o600)

    with pytest.raises(DigestMismatchError):
        store.copy_out(digest, fd)

    os.close(fd)
    assert not store.has(digest)


def test_a_blob_of_another_size_is_replaced_by_the_right_one(store: ContentStore) -> None:
    digest = store.put(b"content")
    rot(store, digest, b"")

    assert store.put(b"content") == digest
    assert store.read(digest) == b"content"


@pytest.mark.needs("sparse-files")
def test_holes_stay_holes_on_the_way_in_and_out(store: ContentStore, tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.write(b"head")
        file.seek(8 << 20)
        file.write(b"tail")
        file.truncate(16 << 20)
    digest = put_file(store, tmp_path / "sparse")
    fd = os.open(tmp_path / "back", os.O_RDWR | os.O_CREAT, 0o600)
    store.copy_out(digest, fd)
    os.close(fd)

    assert digest.size == 16 << 20
    assert (tmp_path / "back").read_bytes() == (tmp_path / "sparse").read_bytes()
    for path in (store.path_of(digest), tmp_path / "back"):
        assert os.stat(path).st_blocks * 512 <= 1 << 20


def test_a_file_of_holes_only_is_copied(tmp_path: Path) -> None:
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", 5_000_000)
    source, target = os.open(tmp_path / "hole", os.O_RDONLY), os.open(tmp_path / "to", os.O_RDWR | os.O_CREAT, 0o600)
    copy_content(source, target)

    assert os.fstat(target).st_size == 5_000_000
    assert hash_of_fd(target) == hashlib.sha256(bytes(5_000_000)).hexdigest()


def test_drafts_of_killed_processes_are_removed_when_they_are_old(store: ContentStore, tmp_path: Path) -> None:
    store.put(b"content")
    (tmp_path / "tmp" / "123.1.abc").write_bytes(b"half")

    assert store.remove_drafts(time.time() - 60) == 0
    assert store.remove_drafts(time.time() + 60) > 0
    assert os.listdir(tmp_path / "tmp") == []


def test_many_threads_and_stores_insert_the_same_blobs(tmp_path: Path) -> None:
    contents = [str(number).encode() * 500 for number in range(60)]
    errors: list[Exception] = []

    def insert(order: int) -> None:
        store = ContentStore(str(tmp_path))
        try:
            for content in contents[order:] + contents[:order]:
                assert store.read(store.put(content)) == content
        except (OSError, CacheError, AssertionError) as error:
            errors.append(error)

    threads = [threading.Thread(target=insert, args=(order,)) for order in range(0, 60, 15)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert len(list(ContentStore(str(tmp_path)).blobs())) == 60
    assert os.listdir(tmp_path / "tmp") == []


FILLER = """
import os, resource, signal, sys
from bldr.store.blobs import ContentStore
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
store = ContentStore(sys.argv[1])
for content in (lambda: store.put(bytes(200_000)), lambda: store.put_file(os.open(sys.argv[2], os.O_RDONLY))):
    try:
        content()
    except OSError as error:
        print(error.errno)
"""


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files fails a write as a full disk does: after a part."""
    (tmp_path / "large").write_bytes(LARGE)
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path), str(tmp_path / "large")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip

    assert done.stdout.split() == ["27", "27"]  # EFBIG
    assert os.listdir(tmp_path / "tmp") == []
    assert list(ContentStore(str(tmp_path)).blobs()) == []


INSERTER = """
import os, sys
from bldr.store.blobs import ContentStore
store = ContentStore(sys.argv[1])
print("begun", flush=True)
while True:
    store.put(os.urandom(300_000))
"""


def test_no_blob_is_half_written_when_the_process_is_killed(tmp_path: Path) -> None:
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", INSERTER, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.read(0)
        deadline = time.monotonic() + 30
        while not any((tmp_path / "cas").glob("*/*")) and time.monotonic() < deadline:
            os.sched_yield()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    store = ContentStore(str(tmp_path))
    found = [digest for digest, _, _ in store.blobs()]

    assert found
    for digest in found:
        store.verify(digest)
