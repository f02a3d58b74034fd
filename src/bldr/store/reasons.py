"""Why an action is not the one that ran before: what differs from the nearest earlier one, field by field."""

from __future__ import annotations

from bldr.errors import CacheError
from bldr.model.value import value
from bldr.store.messages import Action, Command, Digest, Directory
from bldr.store.wire import WireError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from bldr.store.cache import Cache
    from bldr.store.messages import FileNode

__all__ = ["Comparison", "Difference", "Known", "compare", "compare_with", "known_actions"]


@value
class Difference:
    """One field that differs; ``before`` and ``after`` are empty where it was not, or is no more."""

    field: str
    before: str
    after: str

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {"field": self.field, "before": self.before, "after": self.after}


@value
class Comparison:
    """An action and the nearest earlier one; ``earlier`` is ``None`` when there is none."""

    action: Digest
    arguments: tuple[str, ...]
    has_result: bool
    earlier: Digest | None = None
    differences: tuple[Difference, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "action": self.action.hash,
            "arguments": list(self.arguments),
            "has_result": self.has_result,
            "earlier": None if self.earlier is None else self.earlier.hash,
            "differences": [one.to_dict() for one in self.differences],
        }


@value
class Known:
    """An action, with the command in it."""

    digest: Digest
    action: Action
    command: Command


def compare(cache: Cache, prefix: str) -> Comparison:
    """Compare an action with the nearest of the others.

    Args:
        cache: Where they are.
        prefix: The beginning of its digest; empty for the one that was asked for last.

    Raises:
        CacheError: There is no such action.
    """
    known = known_actions(cache)
    chosen = [one for one in known if one.digest.hash.startswith(prefix.lower())]
    if not chosen:
        raise CacheError(
            f"there is no action {prefix!r} in the cache" if prefix else "no action was asked for yet",
            code="cache.action-unknown",
            hint="--json of a run tells its action; a target is written with a colon: :name or //folder:name",
        )
    return compare_with(cache, chosen[0], known)


def known_actions(cache: Cache) -> list[Known]:
    """Return the actions that the cache knows, the one that was asked for last first."""
    return list(_known(cache))


def compare_with(
    cache: Cache, one: Known, known: Sequence[Known], messages: Mapping[Digest, bytes] | None = None
) -> Comparison:
    """Compare an action with the nearest of others; of equals with the one that was asked for last.

    Args:
        cache: Where their messages and results are.
        one: The action.
        known: The others; it may be among them.
        messages: Further messages, of an action that the cache does not know.
    """
    others = [other for other in known if other.digest != one.digest]
    has_result = cache.index.result(one.digest) is not None
    if not others:
        return Comparison(one.digest, one.command.arguments, has_result)
    nearest = max(others, key=lambda other: _likeness(one, other))
    reader = _Reader(cache, messages or {})
    return Comparison(
        one.digest, one.command.arguments, has_result, nearest.digest, tuple(_differences(reader, nearest, one))
    )


class _Reader:
    """Messages, from the cache or from elsewhere."""

    def __init__(self, cache: Cache, messages: Mapping[Digest, bytes]) -> None:
        self._cache = cache
        self._messages = messages

    def directory(self, digest: Digest) -> Directory:
        message = self._messages.get(digest)
        return Directory.decode(self._cache.blobs.read(digest) if message is None else message)


def _known(cache: Cache) -> Iterator[Known]:
    for digest, _seen in cache.index.actions():
        try:
            action = Action.decode(cache.blobs.read(digest))
            yield Known(digest, action, Command.decode(cache.blobs.read(action.command)))
        except (CacheError, WireError):
            continue


def _likeness(one: Known, other: Known) -> int:
    this, that = one.command, other.command
    return (
        4 * (this.arguments == that.arguments)
        + 2 * (this.arguments[:1] == that.arguments[:1])
        + 2 * (this.output_paths == that.output_paths)
        + 2 * (this.working_directory == that.working_directory)
        + (this.environment == that.environment)
        + (one.action.input_root == other.action.input_root)
        + (one.action.salt == other.action.salt)
    )


def _differences(reader: _Reader, earlier: Known, later: Known) -> Iterator[Difference]:
    yield from _of_commands(earlier.command, later.command)
    before, after = earlier.action, later.action
    if before.timeout != after.timeout:
        yield Difference("timeout", _number(before.timeout), _number(after.timeout))
    yield from _of_tables("platform", dict(before.platform), dict(after.platform))
    yield from _of_tables("policy", _lines(before.salt), _lines(after.salt))
    yield from _of_trees(reader, before.input_root, after.input_root, "")


def _of_commands(before: Command, after: Command) -> Iterator[Difference]:
    if len(before.arguments) != len(after.arguments):
        yield Difference("arguments", " ".join(before.arguments), " ".join(after.arguments))
    else:
        for number, (old, new) in enumerate(zip(before.arguments, after.arguments, strict=True)):
            if old != new:
                yield Difference(f"argument {number}", old, new)
    yield from _of_tables("variable", dict(before.environment), dict(after.environment))
    if before.working_directory != after.working_directory:
        yield Difference("directory", f"/{before.working_directory}", f"/{after.working_directory}")
    if before.output_paths != after.output_paths:
        yield Difference("outputs", " ".join(before.output_paths), " ".join(after.output_paths))


def _of_tables(what: str, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield Difference(f"{what} {name}", before.get(name, ""), after.get(name, ""))


def _of_trees(reader: _Reader, before: Digest, after: Digest, path: str) -> Iterator[Difference]:
    """Go down only where digests differ."""
    if before == after:
        return
    try:
        old, new = reader.directory(before), reader.directory(after)
    except (CacheError, WireError):
        yield Difference(f"input {path or '/'}", before.hash, after.hash)
        return
    if old.mode != new.mode:
        yield Difference(f"input {path or '/'}", _permissions(old.mode, 0o755), _permissions(new.mode, 0o755))
    below = {node.name: node.digest for node in old.directories}, {node.name: node.digest for node in new.directories}
    for name in sorted({node for side in below for node in side}):
        if name in below[0] and name in below[1]:
            yield from _of_trees(reader, below[0][name], below[1][name], f"{path}/{name}")
    olds, news = _entries(old), _entries(new)
    for name in sorted({*olds, *news}):
        if olds.get(name) != news.get(name):
            yield Difference(f"input {path}/{name}", olds.get(name, ""), news.get(name, ""))


def _entries(directory: Directory) -> dict[str, str]:
    """Return what is told of each entry; directories tell only that they are there."""
    told = {node.name: _of_file(node) for node in directory.files}
    told.update({node.name: f"-> {node.target}" for node in directory.symlinks})
    told.update({node.name: "directory" for node in directory.directories})
    return told


def _of_file(node: FileNode) -> str:
    usual = 0o755 if node.is_executable else 0o644
    return f"{node.digest.hash[:16]}, {node.digest.size} bytes, {_permissions(node.mode, usual)}"


def _permissions(mode: int | None, usual: int) -> str:
    return f"mode {usual if mode is None else mode:04o}"


def _lines(salt: bytes) -> dict[str, str]:
    found = {}
    for line in salt.decode("utf-8", "replace").splitlines():
        name, _, text = line.partition("=")
        found[name] = text
    return found


def _number(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:g} s"
