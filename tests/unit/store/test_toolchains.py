"""The identity of a toolchain: taken once, and again when a directory changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from bldr.model.toolchain import NONE, Toolchain
from bldr.store.index import Index
from bldr.store.toolchains import identity_of


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    index = Index(str(tmp_path))
    yield index
    index.close()


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    root = tmp_path / "usr"
    (root / "bin").mkdir(parents=True)
    (root / "local").mkdir()
    (root / "bin" / "cc").write_text("compiler", encoding="ascii")
    (root / "bin" / "gcc").symlink_to("cc")
    return root


def toolchain(root: Path) -> Toolchain:
    return Toolchain("test", (str(root), str(root / "missing")), (str(root / "local"),))


def looked(index: Index, root: Path) -> tuple[str, bool]:
    told: list[str] = []
    records = (str(root.parent / "records"), str(root.parent / "status"))
    identity = identity_of(toolchain(root), index, told.append, records=records)
    return identity, bool(told)


def ages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the clock makes stamps old."""
    import time

    later = time.time_ns() + 10_000_000_000
    monkeypatch.setattr("time.time_ns", lambda: later)


def test_it_is_remembered_until_something_is_installed(
    index: Index, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages(monkeypatch)
    first, _ = looked(index, installed)

    assert looked(index, installed) == (first, False)
    (installed / "bin" / "ld").write_text("linker", encoding="ascii")
    second, again = looked(index, installed)
    assert again
    assert second != first
    (installed / "bin" / "ld").unlink()
    assert looked(index, installed) == (first, True)


def test_what_was_installed_just_now_is_not_remembered(index: Index, installed: Path) -> None:
    first = looked(index, installed)

    assert looked(index, installed) == first == (first[0], True)


def test_a_path_that_appears_is_noticed(index: Index, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ages(monkeypatch)
    first, _ = looked(index, installed)
    (installed / "missing").mkdir()

    identity, again = looked(index, installed)
    assert again
    assert identity != first


def test_a_file_of_another_version_gives_another_identity(index: Index, installed: Path) -> None:
    first, _ = looked(index, installed)
    (installed / "bin" / "cc").write_text("a newer compiler", encoding="ascii")

    assert looked(index, installed)[0] != first


def test_what_a_package_manager_knows_of_contents_counts(
    index: Index, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package that is built anew may have files of the same size and time."""
    ages(monkeypatch)
    found = [looked(index, installed)]
    (installed.parent / "records").mkdir()
    (installed.parent / "records" / "cc.md5sums").write_text("1  bin/cc", encoding="ascii")
    found.append(looked(index, installed))
    (installed.parent / "records" / "new.md5sums").write_text("2  bin/cc", encoding="ascii")
    os.replace(installed.parent / "records" / "new.md5sums", installed.parent / "records" / "cc.md5sums")
    found.append(looked(index, installed))
    (installed.parent / "status").touch()
    found.append(looked(index, installed))

    assert len({identity for identity, _ in found}) == 4
    assert all(again for _, again in found)
    assert looked(index, installed) == (found[-1][0], False)


def test_what_lies_in_a_hole_does_not_matter(index: Index, installed: Path) -> None:
    first, _ = looked(index, installed)
    (installed / "local" / "own").touch()

    assert looked(index, installed)[0] == first


def test_what_python_compiles_while_the_machine_is_used_does_not_matter(
    index: Index, installed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ages(monkeypatch)
    (installed / "lib").mkdir()
    (installed / "lib" / "tool.py").touch()
    first, _ = looked(index, installed)
    (installed / "lib" / "__pycache__").mkdir()
    compiled = installed / "lib" / "__pycache__" / "tool.pyc"
    compiled.write_bytes(b"1")

    assert looked(index, installed) == (first, True)
    compiled.write_bytes(b"another")
    assert looked(index, installed) == (first, False)
    (installed / "lib" / "tool.pyc").touch()  # without a source beside it: what a package brings
    assert looked(index, installed)[0] != first


def test_nothing_is_nothing(index: Index) -> None:
    assert identity_of(NONE, index, lambda _text: None) == "none"


def test_the_time_of_a_file_tells_one_release_from_another(index: Index, installed: Path) -> None:
    os.utime(installed / "bin" / "cc", (10**9, 10**9))
    first, _ = looked(index, installed)
    os.utime(installed / "bin" / "cc", (10**9 + 5, 10**9 + 5))

    assert looked(index, installed)[0] != first
