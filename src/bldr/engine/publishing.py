"""Outputs of an action: taken out of its stages, kept in the cache, had back from there, and put in place.

A file is put in place by one rename, so that nobody ever sees half of it, and a folder changes places with the one that
was there; on file systems that cannot do that it is two renames. What is there and equal stays, with its times, so that
nothing that depends on it seems to have changed.
"""

from __future__ import annotations

import errno
import os
import stat

from _bldr_launcher.scratch import remove_tree
from bldr.engine.files import content_of
from bldr.errors import EngineError
from bldr.store.messages import ActionResult, OutputSymlink
from bldr.store.outputs import keep_directory, keep_file, restore_directory, restore_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bldr.engine.drafts import Drafts
    from bldr.engine.files import Content, Files
    from bldr.engine.stages import Stages
    from bldr.store.blobs import ContentStore

__all__ = ["keep", "publish", "restore", "taken"]

_NO_EXCHANGE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


def taken(stages: Stages, outputs: Sequence[str], optional: Sequence[str]) -> dict[str, Content]:
    """Return what an action wrote, by output.

    Raises:
        EngineError: It did not write an output, or something else than what was declared.
        NotCacheableError: An output cannot be read.
    """
    found = {}
    for output in outputs:
        place = stages.place_of(output)
        is_folder = output.endswith("/")
        try:
            mode = os.lstat(place).st_mode
        except FileNotFoundError:
            raise _not_made(output) from None
        if is_folder != stat.S_ISDIR(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no folder"
            hint = f'write output: "{output.rstrip("/")}{"" if is_folder else "/"}";'
            raise EngineError(f"it made {output!r}, which is {what}", code="engine.output-kind", hint=hint)
        if not is_folder and not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
            raise EngineError(f"it made {output!r}, which is neither a file nor a link", code="engine.output-kind")
        content = content_of(place, output)
        if not content and output not in optional:
            raise _not_made(output)
        found[output] = content
    return found


def _not_made(output: str) -> EngineError:
    return EngineError(
        f"it succeeded and did not make {output!r}",
        code="engine.output-missing",
        hint="see what the command writes, and where; the path is relative to the root of the workspace",
    )


def keep(store: ContentStore, stages: Stages, outputs: Sequence[str]) -> ActionResult:
    """Put outputs into the store and return a result that names them.

    Raises:
        NotCacheableError: Something in them cannot come back.
        OSError: The store has no space.
    """
    files, links, directories = [], [], []
    for output in outputs:
        path, place = output.rstrip("/"), stages.place_of(output)
        if output.endswith("/"):
            kept = keep_directory(store, path, place)
            if kept is not None:
                directories.append(kept)
        elif os.path.islink(place):
            links.append(OutputSymlink(path, os.readlink(place)))
        else:
            files.append(keep_file(store, path, place))
    return ActionResult(tuple(directories), files=tuple(files), symlinks=tuple(links))


def restore(store: ContentStore, result: ActionResult, stages: Stages) -> None:
    """Write the outputs of a result into empty stages.

    Raises:
        CacheError: A blob is missing or was changed.
        EngineError: The result names something that the action does not make.
        OSError: There is no space.
    """
    for file in result.files:
        restore_file(store, file, stages.place_of(file.path))
    for link in result.symlinks:
        os.symlink(link.target, stages.place_of(link.path))
    for directory in result.directories:
        restore_directory(store, directory, stages.place_of(directory.path))


def publish(root: str, stages: Stages, written: Mapping[str, Content], files: Files, drafts: Drafts) -> None:
    """Put outputs in place.

    Args:
        root: The absolute path of the workspace.
        stages: Where they are.
        written: What they hold, from `taken`.
        files: What the workspace holds; it learns of them.
        drafts: Makes copies where an output belongs on another file system.

    Raises:
        EngineError: Something is in the way.
        OSError: They cannot be written.
    """
    for output, content in written.items():
        files.forget([output])
        if files.holds(output) == content:
            continue
        files.forget([output])
        path, place = os.path.join(root, output.rstrip("/")), stages.place_of(output)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        replace = _replace_folder if output.endswith("/") else _replace_file
        try:
            _put(replace, place, path, drafts)
        except IsADirectoryError as error:
            raise EngineError(
                f"the output {output!r} cannot be put in place: a folder is there",
                code="engine.output-blocked",
                hint="remove that folder, and build again",
            ) from error
        files.learn(output, content)


def _put(replace: Callable[[str, str], None], place: str, path: str, drafts: Drafts) -> None:
    try:
        replace(place, path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        draft = drafts.make(place, path)
        try:
            replace(draft, path)
        except BaseException:
            drafts.drop(draft)
            raise


def _replace_file(place: str, path: str) -> None:
    os.replace(place, path)


def _replace_folder(place: str, path: str) -> None:
    modes = [_let_move(place), _let_move(path)]
    try:
        old = _moved(place, path)
    except BaseException:
        _restore(path, modes[1])
        raise
    _restore(path, modes[0])
    if old:
        remove_tree(old)


def _moved(place: str, path: str) -> str:
    """Put a folder in place of another one; returns where that is then, if there was one."""
    from _bldr_launcher.exchange import exchange

    if not os.path.lexists(path):
        os.rename(place, path)
        return ""
    try:
        exchange(place, path)
    except OSError as error:
        if error.errno not in _NO_EXCHANGE:
            raise
    else:
        return place
    old = f"{place}.old"
    os.rename(path, old)
    try:
        os.rename(place, path)
    except BaseException:
        os.rename(old, path)
        raise
    return old


def _let_move(path: str) -> int | None:
    """Make a folder writable, because only root can move another one; returns the mode that it had, if it changed."""
    if not os.path.isdir(path) or os.path.islink(path) or os.access(path, os.W_OK):
        return None
    mode = stat.S_IMODE(os.stat(path).st_mode)
    os.chmod(path, mode | stat.S_IWUSR)
    return mode


def _restore(path: str, mode: int | None) -> None:
    if mode is not None:
        os.chmod(path, mode)
