"""``bldr fmt``: lay out Builderfiles in the one way."""

from __future__ import annotations

import os
import sys

from bldr.cli.diagnostics import complain_of, shown_root
from bldr.cli.messages import page, say
from bldr.cli.options import UsageError, parse
from bldr.cli.request import caller_directory
from bldr.cli.verbs import FMT
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["formatted", "main"]

UNFORMATTED = 1  # --check found a file that would change
STDIN = "-"


def main(arguments: Sequence[str]) -> int:
    """``bldr fmt``."""
    parsed = parse(FMT, arguments)
    try:
        return _format(parsed.rest or _all_files(), check=parsed.given("check"), quiet=parsed.given("quiet"))
    except BuilderfileError as error:
        return complain_of(error)


def _all_files() -> list[str]:
    """Return the Builderfiles of the workspace that the caller is in."""
    from bldr.builderfile.tree import FILE_NAME, Tree, find_root

    directory = caller_directory()
    root = find_root(directory)
    return [os.path.join(shown_root(root, directory), folder, FILE_NAME) for folder in Tree(root).folders()]


def _format(names: Sequence[str], *, check: bool, quiet: bool) -> int:
    """Read everything, then write: a mistake in one file leaves all as they are."""
    texts: dict[str, tuple[str, str]] = {}
    mistakes: list[BuilderfileError] = []
    for name in dict.fromkeys(names):
        data = _read(name)
        try:
            texts[name] = (data.decode("utf-8", "replace"), formatted(data, "<stdin>" if name == STDIN else name))
        except BuilderfileError as error:
            mistakes.append(error)
    if mistakes:
        first, *others = mistakes
        first.also += tuple(others)
        raise first
    changed = [name for name, (before, after) in texts.items() if before != after]
    if check:
        page("".join(f"{name}\n" for name in changed))
        if changed and not quiet:
            say(f"{_files(len(changed))} not laid out as bldr fmt does")
        return UNFORMATTED if changed else 0
    for name in changed:
        if name != STDIN:
            _write(name, texts[name][1])
    if STDIN in texts:
        page(texts[STDIN][1])
    elif not quiet:
        kept = len(texts) - len(changed)
        say(f"{_files(len(changed))} laid out anew, {_files(kept)} left as {'it was' if kept == 1 else 'they were'}")
    return 0


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def formatted(data: bytes, name: str) -> str:
    """Return the text of a Builderfile in the one layout.

    Raises:
        BuilderfileError: It cannot be read.
    """
    from bldr.builderfile.formatting import format_file
    from bldr.builderfile.parse import parse as parse_file
    from bldr.builderfile.source import Source

    return format_file(parse_file(Source.decoded(name, data)))


def _read(name: str) -> bytes:
    if name == STDIN:
        return sys.stdin.buffer.read()
    if os.path.isdir(name):
        raise UsageError(f"{name!r} is a directory", hint=f"name its file: {os.path.join(name, 'Builderfile')}")
    with open(name, "rb") as file:
        return file.read()


def _write(name: str, text: str) -> None:
    """Put a text in the place of a file, whole or not at all, with the file's mode and owner; a link stays one."""
    path = os.path.realpath(name)
    about = os.stat(path)
    draft = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.urandom(6).hex()}.part")
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(fd)
            os.chmod(draft, about.st_mode & 0o7777)
            if hasattr(os, "chown") and (about.st_uid, about.st_gid) != (os.stat(draft).st_uid, os.stat(draft).st_gid):
                os.chown(draft, about.st_uid, about.st_gid)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
