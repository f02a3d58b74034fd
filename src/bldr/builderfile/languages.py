"""The languages that there are handlers for: those of bldr, and those that other packages bring."""

from __future__ import annotations

from bldr.builderfile.schema import HANDLERS, LANGUAGES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Languages"]


class Languages:
    """The names of languages. Other packages are looked at when a name is not one of bldr's own, because it is slow."""

    def __contains__(self, name: object) -> bool:
        return name in LANGUAGES or name in self._others()

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*LANGUAGES, *self._others()}))

    def _others(self) -> set[str]:
        from importlib.metadata import entry_points

        return {entry.name for entry in entry_points(group=HANDLERS)}
