"""Handlers: what is known of a language, as pure functions from targets to actions.

A handler looks at no file and runs nothing. It is told a target with the files that its patterns match, and what the
targets that it needs provide; it answers with actions. Those of other packages are found by the entry point group
``bldr.handlers``, by the name of the language; what they need to import is here.
"""

from __future__ import annotations

from bldr.builderfile.target import CUSTOM, EXECUTABLE, LIBRARY, TEST
from bldr.engine.action import WORKSPACE, Action, intermediate
from bldr.errors import BuilderfileError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Protocol

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Resolved

    class Language(Protocol):
        """What the engine asks about targets of one language.

        Those of other packages have an attribute ``api`` beside, which is :data:`API` of the bldr that they are written
        for.
        """

        def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:
            """Return what targets that need this one get from it.

            Args:
                target: The target.
                needs: What everything that it needs provides, directly or through targets without a command of their
                    own: each before what it needs itself, which is the order in which linkers want archives.
            """

        def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
            """Return the actions that make a target's outputs; arguments as of `provides`.

            Raises:
                BuilderfileError: The target cannot be built as it is declared.
            """

        def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
            """Return the actions that run a target's tests, once `actions` have run; none for other targets."""


__all__ = [
    "API",
    "CUSTOM",
    "EXECUTABLE",
    "LIBRARY",
    "TEST",
    "WORKSPACE",
    "Action",
    "Provided",
    "handler_for",
    "intermediate",
    "is_built_in",
    "language_of",
]

API = 1
"""The version of the interface between the engine and handlers: raised when one that was written before fails."""

# The module of each language; targets with a command of their own have none.
_BUILT_IN = {"": "custom", "c": "c", "cpp": "c", "python": "python", "shell": "shell"}


@value
class Provided:
    """What a target gives to those that need it; paths are relative to the workspace, folders have a ``/`` behind.

    Args:
        target: The target.
        language: What it is written in.
        products: Everything that it makes.
        headers: The headers that it declares.
        include_dirs: The folders that includes are looked up in.
        links: What a linker is given, in order.
        link_flags: Further words for the linker.
        runtime: What has to be there when a program runs that uses it: shared libraries, packages.
    """

    target: Label
    language: str = ""
    products: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    include_dirs: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    link_flags: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ()


def language_of(target: Resolved) -> str:
    """Return the language whose handler a target has; empty where it has a command of its own."""
    return "" if target.target.command else target.language


def is_built_in(target: Resolved) -> bool:
    """Say whether the handler of a target is one of bldr, which changes with the version of bldr only."""
    return language_of(target) in _BUILT_IN


def handler_for(target: Resolved) -> Language:
    """Return the handler of a target: that of its language, or the one for commands where it has one of its own.

    Raises:
        BuilderfileError: There is none for its language.
        EngineError: Another package brings one that cannot be used.
    """
    language = language_of(target)
    if language in _BUILT_IN:
        from importlib import import_module

        module = import_module(f"{__name__}.{_BUILT_IN[language]}")
        handler: Language = module.HANDLER
        return handler
    from bldr.engine.handlers.others import other_handler

    other = other_handler(language)
    if other is not None:
        return other
    raise BuilderfileError(
        f"nothing builds {target.target.label}: there is no handler for the language {language!r}",
        code="builderfile.language-unknown",
        hint="make it a custom target with a command, or install a package that handles the language",
    )
