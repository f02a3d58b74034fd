"""Handlers that other packages bring: found by the entry point of their language, and not believed blindly.

Whatever goes wrong in one is told with the name of its package, so that nobody takes it for a mistake in a Builderfile.
"""

from __future__ import annotations

from functools import lru_cache  # noqa: TID253  # only who builds imports it

from bldr.builderfile.schema import HANDLERS
from bldr.engine.action import Action
from bldr.engine.handlers import API, Provided
from bldr.errors import BldrError, EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.metadata import EntryPoint

    from bldr.builderfile.workspace import Resolved
    from bldr.engine.handlers import Language

__all__ = ["other_handler"]

_FUNCTIONS = ("provides", "actions", "tests")


@lru_cache
def other_handler(language: str) -> Language | None:
    """Return the handler that another package brings for a language; ``None`` if no package does.

    Raises:
        EngineError: Several packages bring one, or it cannot be used.
    """
    from importlib.metadata import entry_points

    found = {_package(entry): entry for entry in entry_points(group=HANDLERS, name=language)}
    if not found:
        return None
    if len(found) > 1:
        raise _unusable(
            f"several packages handle the language {language!r}: {' and '.join(sorted(found))}",
            "uninstall all but one of them",
        )
    ((package, entry),) = found.items()
    what = f"the handler of {package} for the language {language!r}"
    try:
        handler = entry.load()
    except Exception as error:
        raise _unusable(f"{what} cannot be loaded: {_told(error)}", _HINT) from error
    version = getattr(handler, "api", None)
    if version != API:
        raise _unusable(
            f"{what} is written for version {version!r} of the interface, and this bldr has version {API}",
            f"install a version of {package.partition(' ')[0]} for this bldr, or another bldr",
        )
    missing = [name for name in _FUNCTIONS if not callable(getattr(handler, name, None))]
    if missing:
        raise _unusable(f"{what} has no function {missing[0]!r}", _HINT)
    return _Checked(handler, what)


_HINT = "it is a fault of that package, not of the Builderfile; BUILDER_HERMETIC_DEBUG=true shows where"


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else entry.value


def _unusable(message: str, hint: str) -> EngineError:
    return EngineError(message, code="engine.handler", hint=hint)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


class _Checked:
    """A handler whose answers are looked at."""

    def __init__(self, handler: Language, what: str) -> None:
        self._handler = handler
        self._what = what

    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:
        """What it says."""
        found = self._asked(self._handler.provides, target, needs)
        if not isinstance(found, Provided):
            raise self._wrong("provides", target, found, "a Provided")
        return found

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """What it says."""
        return self._checked("actions", target, self._asked(self._handler.actions, target, needs))

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """What it says."""
        return self._checked("tests", target, self._asked(self._handler.tests, target, needs))

    def _asked(
        self, function: Callable[[Resolved, Sequence[Provided]], object], target: Resolved, needs: Sequence[Provided]
    ) -> object:
        try:
            found = function(target, needs)
            return found if isinstance(found, Provided) or not hasattr(found, "__iter__") else tuple(found)
        except BldrError:
            raise  # it says what is wrong with the target
        except Exception as error:
            raise _unusable(f"{self._what} fails for {target.target.label}: {_told(error)}", _HINT) from error

    def _checked(self, name: str, target: Resolved, found: object) -> Sequence[Action]:
        if not isinstance(found, tuple):
            raise self._wrong(name, target, found, "a sequence of actions")
        for action in found:
            if not isinstance(action, Action):
                raise self._wrong(name, target, action, "an Action")
            if not action.argv or not all(isinstance(word, str) for word in action.argv):
                raise self._wrong(name, target, action.argv, "a command of texts")
            for path in (*action.inputs, *action.outputs, *filter(None, [action.depfile])):
                if not _is_inside(path):
                    raise self._wrong(name, target, path, "a path in the workspace")
        return found

    def _wrong(self, name: str, target: Resolved, found: object, wanted: str) -> EngineError:
        return _unusable(f"{self._what} answers {name} for {target.target.label} with {found!r}, not {wanted}", _HINT)


def _is_inside(path: object) -> bool:
    """Say whether something is a relative path without dots; the workspace itself is one."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    return path in (".", "./") or not {"", ".", ".."} & set(path.removesuffix("/").split("/"))
