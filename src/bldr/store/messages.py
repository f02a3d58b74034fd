"""The messages of the Remote Execution API (version 2) that describe an action, its input root and its result.

The names and numbers of the fields are those of ``build.bazel.remote.execution.v2``. What an order does not mean is
sorted by the encoder, as the specification asks for, so that equal actions have equal bytes.
"""

from __future__ import annotations

from hashlib import sha256

from bldr.model.value import value
from bldr.store.wire import WireError, byte_fields, fields_of, flag, integer, message, number_in, octets, text, texts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from bldr.store.wire import Fields

__all__ = [
    "EMPTY",
    "Action",
    "ActionResult",
    "Command",
    "Digest",
    "Directory",
    "DirectoryNode",
    "FileNode",
    "Metadata",
    "OutputDirectory",
    "OutputFile",
    "OutputSymlink",
    "SymlinkNode",
    "Tree",
    "single_name",
]

_set = object.__setattr__

_NANO = 1_000_000_000
_HASH_LENGTH = 64  # hexadecimal digits of SHA-256


@value
class Digest:
    """What identifies a blob: the SHA-256 of its bytes in hexadecimal, and their number."""

    hash: str
    size: int

    # There is one of these, and one node, for each input: written out, they take a quarter of the time.
    def __init__(self, hash: str, size: int) -> None:  # noqa: A002  # the name of the field
        _set(self, "hash", hash)
        _set(self, "size", size)

    @staticmethod
    def of(content: bytes) -> Digest:
        """Return the digest of bytes."""
        return Digest(sha256(content).hexdigest(), len(content))

    def encode(self) -> bytes:
        """Return the canonical bytes of ``Digest``."""
        return text(1, self.hash) + integer(2, self.size)

    @staticmethod
    def decode(encoded: bytes) -> Digest:
        """Return the digest of these bytes.

        Raises:
            WireError: They are not those of a SHA-256 digest.
        """
        fields = fields_of(encoded)
        name = _text(fields, 1)
        if len(name) != _HASH_LENGTH or not all(digit in "0123456789abcdef" for digit in name):
            raise WireError(f"{name!r} is not a SHA-256 in hexadecimal")
        return Digest(name, number_in(fields, 2))

    def __str__(self) -> str:
        return f"{self.hash}/{self.size}"


EMPTY = Digest.of(b"")


def single_name(name: str) -> str:
    """Return the name of an entry of a directory when it is one.

    Raises:
        WireError: It would lead elsewhere.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise WireError(f"{name!r} is not the name of an entry")
    return name


@value
class FileNode:
    """A file of a directory. ``mode`` is its permission bits where they are not the usual ones."""

    name: str
    digest: Digest
    is_executable: bool
    mode: int | None

    def __init__(self, name: str, digest: Digest, is_executable: bool = False, mode: int | None = None) -> None:  # noqa: FBT001, FBT002
        _set(self, "name", name)
        _set(self, "digest", digest)
        _set(self, "is_executable", is_executable)
        _set(self, "mode", mode)

    def encode(self) -> bytes:
        """Return the canonical bytes of ``FileNode``."""
        return (
            text(1, self.name)
            + message(2, self.digest.encode())
            + flag(4, on=self.is_executable)
            + message(6, _properties(self.mode))
        )

    @staticmethod
    def decode(encoded: bytes) -> FileNode:
        """Return the node of these bytes."""
        fields = fields_of(encoded)
        return FileNode(single_name(_text(fields, 1)), _digest(fields, 2), bool(number_in(fields, 4)), _mode(fields, 6))


@value
class DirectoryNode:
    """A directory within a directory."""

    name: str
    digest: Digest

    def encode(self) -> bytes:
        """Return the canonical bytes of ``DirectoryNode``."""
        return text(1, self.name) + message(2, self.digest.encode())

    @staticmethod
    def decode(encoded: bytes) -> DirectoryNode:
        """Return the node of these bytes."""
        fields = fields_of(encoded)
        return DirectoryNode(single_name(_text(fields, 1)), _digest(fields, 2))


@value
class SymlinkNode:
    """A symbolic link; its target is kept as it is."""

    name: str
    target: str

    def encode(self) -> bytes:
        """Return the canonical bytes of ``SymlinkNode``."""
        return text(1, self.name) + text(2, self.target)

    @staticmethod
    def decode(encoded: bytes) -> SymlinkNode:
        """Return the node of these bytes."""
        fields = fields_of(encoded)
        return SymlinkNode(single_name(_text(fields, 1)), _text(fields, 2))


@value
class Directory:
    """The entries of one directory. ``mode`` is its permission bits where they are not the usual ones."""

    files: tuple[FileNode, ...] = ()
    directories: tuple[DirectoryNode, ...] = ()
    symlinks: tuple[SymlinkNode, ...] = ()
    mode: int | None = None

    def encode(self) -> bytes:
        """Return the canonical bytes of ``Directory``: each kind of entry sorted by the bytes of its name."""
        parts = [message(1, node.encode()) for node in sorted(self.files, key=_name_of)]
        parts += [message(2, node.encode()) for node in sorted(self.directories, key=_name_of)]
        parts += [message(3, node.encode()) for node in sorted(self.symlinks, key=_name_of)]
        parts.append(message(5, _properties(self.mode)))
        return b"".join(parts)

    @staticmethod
    def decode(encoded: bytes) -> Directory:
        """Return the directory of these bytes.

        Raises:
            WireError: They are not those of a directory, or two entries have the same name.
        """
        fields = fields_of(encoded)
        directory = Directory(
            tuple([FileNode.decode(item) for item in byte_fields(fields, 1)]),
            tuple([DirectoryNode.decode(item) for item in byte_fields(fields, 2)]),
            tuple([SymlinkNode.decode(item) for item in byte_fields(fields, 3)]),
            _mode(fields, 5),
        )
        names = [node.name for node in directory.files]
        names += [node.name for node in directory.directories]
        names += [node.name for node in directory.symlinks]
        if len(set(names)) != len(names):
            raise WireError("two entries of a directory have the same name")
        return directory


@value
class Tree:
    """A directory with all directories in it, each once."""

    root: Directory
    children: tuple[Directory, ...] = ()

    def encode(self) -> bytes:
        """Return the bytes of ``Tree``; the order of the children is the caller's."""
        return message(1, self.root.encode()) + b"".join([message(2, child.encode()) for child in self.children])

    @staticmethod
    def decode(encoded: bytes) -> Tree:
        """Return the tree of these bytes."""
        fields = fields_of(encoded)
        root = byte_fields(fields, 1)
        children = tuple([Directory.decode(item) for item in byte_fields(fields, 2)])
        return Tree(Directory.decode(root[-1]) if root else Directory(), children)


@value
class Command:
    """What is run. Paths are relative: ``working_directory`` to the input root, ``output_paths`` to that directory."""

    arguments: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    output_paths: tuple[str, ...] = ()
    platform: tuple[tuple[str, str], ...] = ()
    working_directory: str = ""

    def encode(self) -> bytes:
        """Return the canonical bytes of ``Command``: all but the arguments is sorted."""
        parts = [_always(1, argument) for argument in self.arguments]
        parts += [message(2, encoded) for encoded in _pairs(self.environment)]
        parts.append(message(5, _platform(self.platform)))
        parts.append(text(6, self.working_directory))
        parts += [_always(7, path) for path in sorted(set(self.output_paths), key=_bytes_of)]
        return b"".join(parts)

    @staticmethod
    def decode(encoded: bytes) -> Command:
        """Return the command of these bytes."""
        fields = fields_of(encoded)
        return Command(
            tuple(texts(fields, 1)),
            _decoded_pairs(byte_fields(fields, 2)),
            tuple(texts(fields, 7)),
            _decoded_platform(fields, 5),
            _text(fields, 6),
        )


@value
class Action:
    """A command and everything that its result depends on; the digest of its bytes is the key of the cache.

    ``timeout`` is in seconds, and ``salt`` is whatever else has to be the same.
    """

    command: Digest
    input_root: Digest
    timeout: float | None = None
    do_not_cache: bool = False
    salt: bytes = b""
    platform: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """Return the canonical bytes of ``Action``."""
        return (
            message(1, self.command.encode())
            + message(2, self.input_root.encode())
            + message(6, None if self.timeout is None else _time(round(self.timeout * _NANO)))
            + flag(7, on=self.do_not_cache)
            + octets(9, self.salt)
            + message(10, _platform(self.platform))
        )

    @staticmethod
    def decode(encoded: bytes) -> Action:
        """Return the action of these bytes."""
        fields = fields_of(encoded)
        timeout, salt = _decoded_time(fields, 6), byte_fields(fields, 9)
        return Action(
            _digest(fields, 1),
            _digest(fields, 2),
            None if timeout is None else timeout / _NANO,
            bool(number_in(fields, 7)),
            salt[-1] if salt else b"",
            _decoded_platform(fields, 10),
        )


@value
class OutputDirectory:
    """A directory that an action made: its path as in the command, and the digest of its ``Tree``."""

    path: str
    tree: Digest
    root: Digest

    def encode(self) -> bytes:
        """Return the canonical bytes of ``OutputDirectory``."""
        return text(1, self.path) + message(3, self.tree.encode()) + message(5, self.root.encode())

    @staticmethod
    def decode(encoded: bytes) -> OutputDirectory:
        """Return the output of these bytes."""
        fields = fields_of(encoded)
        return OutputDirectory(_text(fields, 1), _digest(fields, 3), _digest(fields, 5))


@value
class OutputFile:
    """A file that an action made, at its path as in the command. ``mode`` is as in :class:`FileNode`."""

    path: str
    digest: Digest
    is_executable: bool = False
    mode: int | None = None

    def encode(self) -> bytes:
        """Return the canonical bytes of ``OutputFile``."""
        return (
            text(1, self.path)
            + message(2, self.digest.encode())
            + flag(4, on=self.is_executable)
            + message(7, _properties(self.mode))
        )

    @staticmethod
    def decode(encoded: bytes) -> OutputFile:
        """Return the output of these bytes."""
        fields = fields_of(encoded)
        return OutputFile(_text(fields, 1), _digest(fields, 2), bool(number_in(fields, 4)), _mode(fields, 7))


@value
class OutputSymlink:
    """A symbolic link that an action made; its target is kept as it is."""

    path: str
    target: str

    def encode(self) -> bytes:
        """Return the canonical bytes of ``OutputSymlink``."""
        return text(1, self.path) + text(2, self.target)

    @staticmethod
    def decode(encoded: bytes) -> OutputSymlink:
        """Return the output of these bytes."""
        fields = fields_of(encoded)
        return OutputSymlink(_text(fields, 1), _text(fields, 2))


@value
class Metadata:
    """Who carried an action out, and when; times are nanoseconds since the epoch."""

    worker: str = ""
    started: int = 0
    completed: int = 0

    def encode(self) -> bytes:
        """Return the canonical bytes of ``ExecutedActionMetadata``."""
        started = message(7, _time(self.started) if self.started else None)
        return text(1, self.worker) + started + message(8, _time(self.completed) if self.completed else None)

    @staticmethod
    def decode(encoded: bytes) -> Metadata:
        """Return the metadata of these bytes."""
        fields = fields_of(encoded)
        return Metadata(_text(fields, 1), _decoded_time(fields, 7) or 0, _decoded_time(fields, 8) or 0)


@value
class ActionResult:
    """What an action made. A stream that stayed empty has no digest."""

    directories: tuple[OutputDirectory, ...] = ()
    exit_code: int = 0
    stdout: Digest | None = None
    stderr: Digest | None = None
    metadata: Metadata | None = None
    files: tuple[OutputFile, ...] = ()
    symlinks: tuple[OutputSymlink, ...] = ()

    def encode(self) -> bytes:
        """Return the canonical bytes of ``ActionResult``."""
        return (
            b"".join([message(2, one.encode()) for one in sorted(self.files, key=_path_of)])
            + b"".join([message(3, one.encode()) for one in sorted(self.directories, key=_path_of)])
            + integer(4, self.exit_code)
            + message(6, None if self.stdout is None else self.stdout.encode())
            + message(8, None if self.stderr is None else self.stderr.encode())
            + message(9, None if self.metadata is None else self.metadata.encode())
            + b"".join([message(12, one.encode()) for one in sorted(self.symlinks, key=_path_of)])
        )

    @staticmethod
    def decode(encoded: bytes) -> ActionResult:
        """Return the result of these bytes."""
        fields = fields_of(encoded)
        metadata = byte_fields(fields, 9)
        return ActionResult(
            tuple([OutputDirectory.decode(item) for item in byte_fields(fields, 3)]),
            number_in(fields, 4),
            _digest(fields, 6) if 6 in fields else None,
            _digest(fields, 8) if 8 in fields else None,
            Metadata.decode(metadata[-1]) if metadata else None,
            tuple([OutputFile.decode(item) for item in byte_fields(fields, 2)]),
            tuple([OutputSymlink.decode(item) for item in byte_fields(fields, 12)]),
        )


def _bytes_of(content: str) -> bytes:
    return content.encode("utf-8", "surrogateescape")


def _name_of(node: FileNode | DirectoryNode | SymlinkNode) -> bytes:
    return _bytes_of(node.name)


def _path_of(output: OutputFile | OutputDirectory | OutputSymlink) -> bytes:
    return _bytes_of(output.path)


def _always(field: int, content: str) -> bytes:
    """An element of a repeated field is written even when it is empty."""
    return message(field, _bytes_of(content))


def _pairs(pairs: Iterable[tuple[str, str]]) -> list[bytes]:
    ordered = sorted([(_bytes_of(name), _bytes_of(content)) for name, content in pairs])
    return [octets(1, name) + octets(2, content) for name, content in ordered]


def _decoded_pairs(items: list[bytes]) -> tuple[tuple[str, str], ...]:
    taken = [fields_of(item) for item in items]
    return tuple([(_text(fields, 1), _text(fields, 2)) for fields in taken])


def _platform(properties: tuple[tuple[str, str], ...]) -> bytes | None:
    return b"".join([message(1, encoded) for encoded in _pairs(properties)]) if properties else None


def _decoded_platform(fields: Fields, field: int) -> tuple[tuple[str, str], ...]:
    found = byte_fields(fields, field)
    return _decoded_pairs(byte_fields(fields_of(found[-1]), 1)) if found else ()


def _properties(mode: int | None) -> bytes | None:
    """``NodeProperties`` with ``unix_mode``, which is a wrapped number: 0 is not the same as absent."""
    return None if mode is None else message(3, integer(1, mode))


def _mode(fields: Fields, field: int) -> int | None:
    found = byte_fields(fields, field)
    wrapped = byte_fields(fields_of(found[-1]), 3) if found else []
    return number_in(fields_of(wrapped[-1]), 1) if wrapped else None


def _time(nanoseconds: int) -> bytes:
    """``Duration`` or ``Timestamp``."""
    seconds, rest = divmod(nanoseconds, _NANO)
    return integer(1, seconds) + integer(2, rest)


def _decoded_time(fields: Fields, field: int) -> int | None:
    found = byte_fields(fields, field)
    if not found:
        return None
    inner = fields_of(found[-1])
    return number_in(inner, 1) * _NANO + number_in(inner, 2)


def _text(fields: Fields, field: int) -> str:
    found = texts(fields, field)
    return found[-1] if found else ""


def _digest(fields: Fields, field: int) -> Digest:
    found = byte_fields(fields, field)
    if not found:
        raise WireError(f"field {field}, a digest, is missing")
    return Digest.decode(found[-1])
