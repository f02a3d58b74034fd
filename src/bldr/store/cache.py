"""The cache: the content store, the index and what holds between them.

A result is of use only together with every blob that it names, so looking one up finds out whether they are there, and
taking one out verifies it. Whatever is missing or changed makes a miss, never a failure: the command runs again and
fills the gap.
"""

from __future__ import annotations

import json  # noqa: TID253  # only who uses the cache imports it
import os
import time

from bldr.errors import CacheError
from bldr.model.value import value
from bldr.store.blobs import ContentStore
from bldr.store.index import Index
from bldr.store.inputroot import StatCache
from bldr.store.messages import Action, ActionResult, Digest, Directory
from bldr.store.outputs import tree_digests, tree_of
from bldr.store.wire import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from bldr.store.index import Entry

__all__ = ["Cache", "Collected", "Kept", "Statistics", "Verified", "default_directory"]

DEFAULT_SIZE = 10 << 30  # bytes that collecting garbage leaves
_GRACE = 3600.0  # seconds for which a blob stays that no result names, because a run may be about to name it
_FORGET = 30 * 86400.0  # seconds after which an action without a result is forgotten


def default_directory(environment: Mapping[str, str]) -> str:
    """Return the directory of the cache when nobody names one: of this user, for all workspaces."""
    home = environment.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(home):
        home = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(home, "bldr")


@value
class Kept:
    """A result from the cache. ``about`` is what the run that made it told of itself."""

    action: Digest
    result: ActionResult
    about: dict[str, object]
    stored: float


@value
class Statistics:
    """What a cache holds; sizes are bytes on the disk."""

    directory: str
    blobs: int
    size: int
    results: int
    hits: int
    files: int
    quarantined: int

    def to_dict(self) -> dict[str, object]:
        """Return them for JSON."""
        return {name: getattr(self, name) for name in self.__match_args__}


@value
class Collected:
    """What collecting garbage removed and what is left; sizes are bytes on the disk."""

    results: int
    blobs: int
    freed: int
    left: int

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {name: getattr(self, name) for name in self.__match_args__}


@value
class Verified:
    """What reading everything through found: how many blobs, those that were changed, and results that were dropped."""

    blobs: int
    corrupt: tuple[str, ...]
    dropped: int

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"blobs": self.blobs, "corrupt": list(self.corrupt), "dropped": self.dropped}


class Cache:
    """The content store and the action cache in one directory. Use it as a context manager.

    Any number of processes may use a directory at the same time, each with a ``Cache`` of its own.

    Args:
        directory: Where it lies; it is made when it is missing.

    Raises:
        CacheError: It cannot be made or opened.
    """

    def __init__(self, directory: str) -> None:
        self.directory = directory
        try:
            os.makedirs(directory, 0o700, exist_ok=True)
            if not os.access(directory, os.W_OK | os.X_OK):
                raise PermissionError(13, "Permission denied", directory)
        except OSError as error:
            raise CacheError(
                f"the cache {directory!r} cannot be used: {error.strerror}",
                code="cache.unusable",
                hint="name a directory that you may write: --cache=DIR",
            ) from error
        self.blobs = ContentStore(directory)
        self._remove_drafts()
        self.index = Index(directory)
        self.known = StatCache(self.index)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.index.close()

    def _remove_drafts(self) -> None:
        """Remove what processes that were killed left unfinished, so that it does not pile up."""
        try:
            self.blobs.remove_drafts(time.time() - _GRACE)
        except OSError:
            pass  # somebody else may be able to

    def look_up(self, action: Digest) -> Kept | None:
        """Return the result of an action when it is there with everything that it names.

        Raises:
            CacheError: The index cannot be used.
        """
        entry = self.index.result(action)
        if entry is None:
            return None
        result = self._whole(entry)
        if result is None:
            self._forget(action)
            return None
        return Kept(action, result, json.loads(entry.about), entry.stored)

    def _forget(self, action: Digest) -> None:
        try:
            self.index.forget_result(action)
        except CacheError:
            pass  # there is no space: the next look finds out once more

    def doubt(self, result: ActionResult) -> None:
        """Read every blob of a result, one of which was changed, so that running again replaces all that were."""
        try:
            products = self._products(result)
        except CacheError:
            return  # a whole tree is; looking it up finds nothing from now on
        for digest in products:
            try:
                self.blobs.verify(digest)
            except CacheError:
                continue  # it is in quarantine now

    def note_action(self, action: Action, messages: Iterable[bytes]) -> Digest:
        """Remember what an action consists of, for explanations; returns its digest.

        Raises:
            CacheError: The index cannot be written.
            OSError: There is no space.
        """
        digest = self.blobs.put(action.encode())
        for encoded in messages:
            self.blobs.put(encoded)
        self.index.remember_action(digest)
        return digest

    def remember(self, action: Digest, result: ActionResult, about: Mapping[str, object]) -> None:
        """Keep a result, whose blobs are in the content store.

        Raises:
            CacheError: The index cannot be written.
        """
        self.index.remember_result(action, result.encode(), json.dumps(about, ensure_ascii=True))

    def statistics(self) -> Statistics:
        """Count what is there."""
        sizes = [size for _, _, size in self.blobs.blobs()]
        files, hits = self.index.counts()
        return Statistics(
            self.directory,
            len(sizes),
            sum(sizes),
            len(self.index.results()),
            hits,
            files,
            len(self.blobs.quarantined()),
        )

    def collect(self, most: int, *, grace: float = _GRACE) -> Collected:
        """Remove the results that were not used for longest until what they need fits, and what nothing needs.

        Args:
            most: Bytes on the disk that may be left.
            grace: Seconds for which a blob that nothing names is left alone since its last use.
        """
        before = time.time() - grace
        freed = self.blobs.remove_drafts(before)
        self.index.forget_actions(time.time() - _FORGET)
        there = {digest.hash: (digest, used, size) for digest, used, size in self.blobs.blobs()}
        needed: set[str] = set()
        total = dropped = 0
        full = False
        for entry in self.index.results():
            names = {digest.hash for digest in self._reachable(entry)} - needed
            cost = sum(there[name][2] for name in names if name in there)
            full = full or total + cost > most
            if full:
                self.index.forget_result(entry.action)
                dropped += 1
            else:
                needed |= names
                total += cost
        for action, _ in self.index.actions():
            needed |= {digest.hash for digest in self._of_action(action)}
        removed = left = 0
        for digest, used, size in there.values():
            if digest.hash in needed or (used > before and not full):
                left += size
            else:
                self.blobs.remove(digest)
                freed += size
                removed += 1
        return Collected(dropped, removed, freed, left)

    def verify(self) -> Verified:
        """Read every blob through; changed ones go into quarantine, and results that need them are dropped."""
        corrupt: list[str] = []
        count = 0
        for digest, _, _ in list(self.blobs.blobs()):
            count += 1
            try:
                self.blobs.verify(digest)
            except CacheError as error:
                if error.code == "cache.corrupt":
                    corrupt.append(digest.hash)
        dropped = 0
        for entry in self.index.results():
            if self._whole(entry) is None:
                self.index.forget_result(entry.action)
                dropped += 1
        return Verified(count, tuple(corrupt), dropped)

    def clear(self) -> int:
        """Remove everything; returns how many bytes it took on the disk. Runs that use it meanwhile are misses."""
        freed = self.blobs.remove_drafts(time.time() + 1)
        self.index.forget_all()
        for digest, _, size in list(self.blobs.blobs()):
            self.blobs.remove(digest)
            freed += size
        for path in self.blobs.quarantined():
            os.unlink(path)
        return freed

    def _whole(self, entry: Entry) -> ActionResult | None:
        """Return the result of an entry if every blob that it names is there."""
        try:
            result = ActionResult.decode(entry.result)
            whole = all(self.blobs.has(digest) for digest in self._products(result))
        except (CacheError, WireError):
            return None
        return result if whole else None

    def _products(self, result: ActionResult) -> list[Digest]:
        """Return every blob that is needed to have a result back, each once.

        Raises:
            CacheError: A tree is missing or was changed.
        """
        found = [stream for stream in (result.stdout, result.stderr) if stream is not None]
        found += [file.digest for file in result.files]
        for output in result.directories:
            root, children = tree_of(self.blobs, output)
            found += [output.tree, *tree_digests(root, children)]
        return list(dict.fromkeys(found))

    def _reachable(self, entry: Entry) -> list[Digest]:
        try:
            result = ActionResult.decode(entry.result)
            roots = [output.root for output in result.directories]
            return [*self._products(result), *roots, *self._of_action(entry.action)]
        except (CacheError, WireError):
            return []

    def _of_action(self, digest: Digest) -> list[Digest]:
        """Return what an action consists of, as far as it is there: the messages, not the content of inputs."""
        found = [digest]
        try:
            action = Action.decode(self.blobs.read(digest))
            found.append(action.command)
            todo = [action.input_root]
            while todo:
                one = todo.pop()
                found.append(one)
                todo += [node.digest for node in Directory.decode(self.blobs.read(one)).directories]
        except (CacheError, WireError):
            pass  # what is not there needs no keeping
        return found
