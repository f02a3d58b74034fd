"""E: the environment variables of a command. Nothing is inherited."""

from __future__ import annotations

import os

from bldr.errors import SpecError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["EnvSet"]

_HERMETIC = (
    ("HOME", "/tmp"),
    ("LANG", "C.UTF-8"),
    ("PATH", "/usr/bin:/bin"),
    ("TMPDIR", "/tmp"),
    ("TZ", "UTC"),
)


class EnvSet:
    """An immutable mapping of variable names to values, sorted by name.

    Args:
        variables: A mapping or pairs; of two pairs with one name the later one counts. Text is kept as the operating
            system's interface of Python gives it, undecodable bytes as surrogate escapes.

    Raises:
        SpecError: A name is empty or holds ``=``, or a name or value holds a NUL or has no bytes that spell it.

    Example:
        >>> env = EnvSet({"LANG": "C.UTF-8"}) | EnvSet({"CC": "gcc"})
        >>> dict(env)
        {'CC': 'gcc', 'LANG': 'C.UTF-8'}
    """

    __slots__ = ("_values",)

    def __init__(self, variables: Mapping[str, str] | EnvSet | Iterable[tuple[str, str]] = ()) -> None:
        pairs = dict(variables)
        for name, text in pairs.items():
            _check(name, text)
        self._values = {name: pairs[name] for name in sorted(pairs)}

    @staticmethod
    def hermetic() -> EnvSet:
        """Return the variables that most commands need, with values that say nothing about the host."""
        return EnvSet(_HERMETIC)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of a variable, or ``default`` when it is not set."""
        return self._values.get(name, default)

    def keys(self) -> Iterable[str]:
        """Return the names, sorted."""
        return tuple(self._values)

    def values(self) -> Iterable[str]:
        """Return the values in the order of their names."""
        return tuple(self._values.values())

    def items(self) -> tuple[tuple[str, str], ...]:
        """Return name and value of each variable, sorted by name."""
        return tuple(self._values.items())

    def with_variable(self, name: str, text: str) -> EnvSet:
        """Return the same set with one variable set."""
        return EnvSet({**self._values, name: text})

    def without(self, name: str) -> EnvSet:
        """Return the same set with one variable not set."""
        return EnvSet([pair for pair in self._values.items() if pair[0] != name])

    def __or__(self, other: EnvSet) -> EnvSet:
        return EnvSet({**self._values, **other._values}) if type(other) is EnvSet else NotImplemented

    def __eq__(self, other: object) -> bool:
        return self._values == other._values if type(other) is EnvSet else NotImplemented

    def __hash__(self) -> int:
        return hash((EnvSet, *self._values.items()))

    def __repr__(self) -> str:
        return f"EnvSet({self._values!r})"

    def __reduce__(self) -> tuple[object, ...]:
        return EnvSet, (self.items(),)


def _check(name: str, text: str) -> None:
    if type(name) is not str or type(text) is not str:
        raise TypeError(f"an environment variable is a str with a str, not {name!r} with {text!r}")
    if not name:
        raise _invalid(f"an environment variable without a name has the value {text!r}", "write NAME=VALUE")
    if "=" in name:
        raise _invalid(
            f"the name of the environment variable {name!r} holds '='",
            f"give the name {name.partition('=')[0]!r} and the value apart",
        )
    if "\0" in name or "\0" in text:
        raise _invalid(
            f"the environment variable {name!r} holds a NUL character", "programs cannot receive one: remove it"
        )
    if not (name.isascii() and text.isascii()):
        try:
            os.fsencode(name + text)
        except UnicodeEncodeError as error:
            raise _invalid(
                f"the environment variable {name!r} cannot be encoded",
                "decode its bytes with os.fsdecode(), which keeps them",
            ) from error


def _invalid(message: str, hint: str) -> SpecError:
    return SpecError(message, code="spec.environment-invalid", hint=hint)
