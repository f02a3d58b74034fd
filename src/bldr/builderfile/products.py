"""Where products land when a target does not say it: in ``bin/`` of the workspace."""

from __future__ import annotations

from bldr.builderfile.target import EXECUTABLE, LIBRARY, SHARED
from bldr.builderfile.tree import PRODUCTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.builderfile.target import Target

__all__ = ["products_of"]

_ARCHIVES = ("c", "cpp")


def products_of(target: Target, language: str) -> tuple[str, ...]:
    """Return the outputs of a target that names none: a path, or a folder with a ``/`` behind.

    Tests and custom targets have none.
    """
    name = target.label.name
    if target.type == EXECUTABLE:
        return (f"{PRODUCTS}/{name}",)
    if target.type == LIBRARY and language in _ARCHIVES:
        return (f"{PRODUCTS}/lib{name}{'.so' if target.options.linkage == SHARED else '.a'}",)
    if target.type == LIBRARY:
        return (f"{PRODUCTS}/{name}/",)
    return ()
