"""What Builderfiles said when they were read last, so that those that have not changed need not be parsed again.

Importing the parser takes longer than everything else that a question about a small workspace needs, and parsing is
most of the work in a large one. The file ``targets.json`` in ``.builder`` holds the targets of each Builderfile beside
the digest of its bytes. It is never needed: where it is missing, damaged, of another version, of somebody else or
cannot be written, Builderfiles are parsed. Where anything is wrong with a workspace they are parsed too, because places
are not remembered.

Nobody but bldr on this machine can have written it: it names the inode and the time of change of the ``.gitignore``
beside it, which whoever puts a ``.builder`` into an archive or a repository cannot know. Otherwise a checkout could
bring targets that its Builderfiles do not show.
"""

from __future__ import annotations

import os
import stat

from bldr import __version__
from bldr.builderfile.label import Label
from bldr.builderfile.lowering import Declared
from bldr.builderfile.places import STATE
from bldr.builderfile.source import Source, Span
from bldr.builderfile.target import Hermetic, Options, Target
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

__all__ = ["Memory"]

_SCHEMA = 2
_FILE = "targets.json"
_WITNESS = ".gitignore"
_USUAL = Hermetic()
_PLAIN = Options()


class Memory:
    """What is remembered of one workspace.

    Args:
        root: The absolute path of the workspace.
    """

    def __init__(self, root: str) -> None:
        self._folder = os.path.join(root, STATE)
        self._path = os.path.join(self._folder, _FILE)
        self._before: dict[str, list[Any]] = {}
        self._now: dict[str, list[Any]] = {}
        self._checked = ""  # the digest of the files that were found to fit together
        self._read()

    def recall(self, folder: str, digest: str, path: str, data: bytes) -> tuple[Declared, ...] | None:
        """Return the targets of a Builderfile, or nothing when it has changed.

        Args:
            folder: Its folder.
            digest: The digest of its bytes.
            path: What errors call it.
            data: Its bytes.
        """
        known = self._before.get(folder)
        if known is None or known[0] != digest:
            return None
        source = Source.decoded(path, data)
        found = tuple(_declared(row, folder, source) for row in known[1])
        self._now[folder] = known
        return found

    def keep(self, folder: str, digest: str, found: Iterable[Declared]) -> None:
        """Remember the targets of a Builderfile."""
        self._now[folder] = [digest, [_row(one) for one in found]]

    @property
    def is_checked(self) -> bool:
        """Whether these very files were found to fit together."""
        return bool(self._checked) and self._checked == self._digest()

    def write(self) -> None:
        """Write down what was read, which fits together; a workspace that cannot be written stays as it is."""
        from json import dumps

        checked = self._digest()
        if checked == self._checked and self._now == self._before:
            return
        draft = f"{self._path}.{os.urandom(6).hex()}.part"
        try:
            body = dumps(self._now, separators=(",", ":")).encode("ascii")
            header = [_SCHEMA, _reader(), self._witness(), _sha256(body), checked]
            with open(draft, "xb") as file:
                file.write(dumps(header).encode("ascii") + b"\n" + body)
            os.replace(draft, self._path)
        except OSError:
            _remove(draft)

    def _witness(self) -> list[int]:
        """Return what tells this ``.builder`` from a copy of it; makes it where it is missing."""
        path = os.path.join(self._folder, _WITNESS)
        if os.path.islink(self._folder):
            raise OSError("nothing is written behind a link, which may lead anywhere")
        if not os.path.isdir(self._folder):
            os.mkdir(self._folder)
        if not os.path.lexists(path):
            with open(path, "x", encoding="ascii") as file:
                file.write("*\n")
        about = os.lstat(path)
        return [about.st_ino, about.st_ctime_ns]

    def _digest(self) -> str:
        return _sha256(repr(sorted((folder, row[0]) for folder, row in self._now.items())).encode())

    def _read(self) -> None:
        from json import loads

        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # a FIFO must not block
        try:
            with open(os.open(self._path, flags), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode) or about.st_mode & stat.S_IWOTH or not _is_own(about.st_uid):
                    return
                header, _, body = file.read().partition(b"\n")
            witness = os.lstat(os.path.join(self._folder, _WITNESS))
            *known, checked = loads(header)
            if known == [_SCHEMA, _reader(), [witness.st_ino, witness.st_ctime_ns], _sha256(body)]:
                self._before, self._checked = loads(body), checked
        except (OSError, TypeError, ValueError, RecursionError):
            return


def _reader() -> str:
    """Return what tells one version of the reader from another, also while bldr itself is being worked on."""
    folder = os.path.dirname(__file__)
    try:
        with os.scandir(folder) as found:
            files = sorted((one.name, one.stat().st_size, one.stat().st_mtime_ns) for one in found if one.is_file())
    except OSError:  # it is in an archive, which has one version
        files = []
    return _sha256(repr((__version__, files)).encode())


def _sha256(data: bytes) -> str:
    from hashlib import sha256

    return sha256(data).hexdigest()


def _is_own(uid: int) -> bool:
    return not hasattr(os, "geteuid") or uid in (0, os.geteuid())


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # it was not made
        pass


def _row(declared: Declared) -> list[Any]:
    target = declared.target
    return [
        target.label.name,
        declared.name.start,
        declared.name.end,
        target.type,
        target.language,
        target.sources,
        target.headers,
        [(dep.folder, dep.name) for dep in target.deps],
        target.command,
        target.output,
        None if target.hermetic == _USUAL else _hermetic_row(target.hermetic),
        None if target.options == _PLAIN else [getattr(target.options, name) for name in Options.__match_args__],
    ]


def _declared(row: Sequence[Any], folder: str, source: Source) -> Declared:
    name, start, end, type_, language, sources, headers, deps, command, output, hermetic, options = row
    target = Target(
        Label(folder, name),
        type_,
        language,
        tuple(sources),
        tuple(headers),
        tuple([Label(where, dep) for where, dep in deps]),
        tuple(command),
        tuple(output),
        _USUAL if hermetic is None else _hermetic(hermetic),
        _PLAIN if options is None else _options(options),
    )
    return Declared(target, source, Span(start, end), {}, {})


def _options(row: Sequence[Any]) -> Options:
    flags, defines, includes, link_flags, *words = row
    pairs = tuple([(name, text) for name, text in defines])
    return Options(tuple(flags), pairs, tuple(includes), tuple(link_flags), *words)


def _hermetic_row(hermetic: Hermetic) -> list[Any]:
    return [
        hermetic.enabled,
        hermetic.inputs,
        hermetic.outputs,
        hermetic.temps,
        [str(one) for one in hermetic.network.endpoints],
        hermetic.timeout,
        {name: getattr(hermetic.limits, name) for name in sorted(hermetic.limits.names_set)},
        {name: getattr(hermetic.process, name) for name in ProcessPolicy.__match_args__},
        hermetic.env.items(),
        hermetic.toolchain,
    ]


def _hermetic(row: Sequence[Any]) -> Hermetic:
    enabled, inputs, outputs, temps, endpoints, timeout, limits, process, env, toolchain = row
    return Hermetic(
        enabled,
        tuple(inputs),
        tuple(outputs),
        tuple(temps),
        NetworkPolicy.allow_hosts(endpoints),
        timeout,
        ResourceLimits(**limits),
        ProcessPolicy(**process),
        EnvSet([(name, text) for name, text in env]),
        toolchain,
    )
