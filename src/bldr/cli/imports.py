"""Find the modules of this project in fewer steps than the interpreter does, for the short life of a command line.

Finding a module of ours costs as much as what it does: the ordinary finder asks the directory, three kinds of file
names and the source, and reads what was compiled through three layers of Python. With fifty modules that is 2 ms of the
30 that ``bldr run -- true`` takes; see ``docs/adr/0032-own-modules-are-found-directly.md``. Whatever is not as usual
(nothing compiled, or from another source) is left to the ordinary finder.
"""

from __future__ import annotations

import marshal
import os
import sys
from _frozen_importlib import ModuleSpec
from _frozen_importlib_external import MAGIC_NUMBER, SourceFileLoader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import CodeType, ModuleType

__all__ = ["OwnModules", "find_directly"]

_OWN = ("bldr.", "_bldr_launcher.")
_BY_TIME = MAGIC_NUMBER + bytes(4)  # how a compiled module begins that is valid for a time and a size of its source


def find_directly() -> None:
    """Look for own modules directly from now on."""
    if sys.pycache_prefix is None and not sys.flags.optimize:  # else they are somewhere else
        sys.meta_path.insert(0, OwnModules(f".{sys.implementation.cache_tag}.pyc"))


class OwnModules:
    """The finder. A module that it has found is like any other, and knows its source.

    Args:
        suffix: The end of the name of a compiled module.
    """

    def __init__(self, suffix: str) -> None:
        self._suffix = suffix

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of ours whose compiled form is up to date; ``None`` for anything else."""
        if not path or not name.startswith(_OWN):
            return None
        directory, stem = path[0], name.rpartition(".")[2]
        source, is_package = f"{directory}/{stem}.py", False
        try:
            about = os.stat(source)
        except OSError:
            directory, stem, is_package = f"{directory}/{stem}", "__init__", True
            source = f"{directory}/__init__.py"
            try:
                about = os.stat(source)
            except OSError:  # the ordinary finder may know it
                return None
        compiled = f"{directory}/__pycache__/{stem}{self._suffix}"
        data = _read(compiled)
        if data[:16] != _BY_TIME + _word(int(about.st_mtime)) + _word(about.st_size):
            return None
        code = marshal.loads(memoryview(data)[16:])  # noqa: S302  as the interpreter does with the same file
        spec = ModuleSpec(name, _Loader(name, source, code), origin=source)
        spec.has_location = True
        spec.cached = compiled
        if is_package:
            spec.submodule_search_locations = [directory]
        return spec


class _Loader(SourceFileLoader):
    """Has the code already, and gives it away once."""

    def __init__(self, name: str, path: str, code: CodeType) -> None:
        super().__init__(name, path)
        self._ready = [code]

    def get_code(self, fullname: str) -> CodeType | None:
        return self._ready.pop() if self._ready else super().get_code(fullname)


def _read(path: str) -> bytes:
    """Return a whole file; nothing when there is none."""
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0))
    except OSError:
        return b""
    try:
        return os.read(fd, os.fstat(fd).st_size)
    finally:
        os.close(fd)


def _word(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "little")
