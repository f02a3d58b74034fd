"""Frozen, slotted values with the meaning of ``dataclasses.dataclass(frozen=True, slots=True)``.

Type checkers see a dataclass. At run time the class is built here, because importing ``dataclasses`` takes longer
than a whole sandbox (17 ms with CPython 3.11, against 3 ms), and start-up time is a budget; see
``docs/adr/0006-values-without-dataclasses.md``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar, dataclass_transform

    T = TypeVar("T")
else:

    def dataclass_transform(**_options):
        return lambda decorator: decorator


__all__ = ["ValueClass", "replace", "value"]

_set = object.__setattr__


@dataclass_transform(frozen_default=True)
def value(cls: type[T]) -> type[T]:
    """Make a class an immutable value of its annotated fields.

    Fields are the annotations in order, defaults are class attributes. ``__post_init__`` may check, and may normalise
    with ``object.__setattr__``. Instances compare, hash and pickle by their fields.
    """
    meta: Any = type(cls)
    if meta is ValueClass:
        return cls
    own = cls.__dict__
    names = tuple(own.get("__annotations__", ()))
    space: dict[str, Any] = {
        name: item for name, item in own.items() if name not in names and name not in ("__dict__", "__weakref__")
    }
    space["__qualname__"] = cls.__qualname__
    _complete(space, names, {name: own[name] for name in names if name in own})
    made: type[T] = meta(cls.__name__, cls.__bases__, space)
    return made


class ValueClass(type):
    """Makes a class a value while it is made; the decorator, which makes it anew, takes twice as long.

    For families of many classes on the way to a command. They bear the decorator all the same, for type checkers.
    """

    def __new__(cls, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> ValueClass:
        """Make a class of what its body holds."""
        names = tuple(space.get("__annotations__", ()))
        _complete(space, names, {one: space.pop(one) for one in names if one in space})
        return super().__new__(cls, name, bases, space)


def _complete(space: dict[str, Any], names: tuple[str, ...], defaults: dict[str, Any]) -> None:
    """Add what a value has to what its class is made of."""
    space["__slots__"] = names
    space["__match_args__"] = names
    space["_defaults"] = defaults
    for method in _METHODS:
        space.setdefault(method.__name__, method)


def replace(obj: T, **changes: Any) -> T:
    """Return the same value with some fields changed; ``__post_init__`` runs again.

    Raises:
        TypeError: A name is not a field.
    """
    names = obj.__match_args__  # type: ignore[attr-defined]  # every value has it
    fields = {name: getattr(obj, name) for name in names}
    fields.update(changes)
    return type(obj)(**fields)


def _init(self: Any, *args: Any, **kwargs: Any) -> None:
    names = self.__slots__
    defaults = self._defaults
    if len(args) > len(names):
        raise TypeError(f"{type(self).__name__} takes {len(names)} arguments, got {len(args)}")
    for name, item in zip(names, args, strict=False):
        _set(self, name, item)
    for name in names[len(args) :]:
        if name in kwargs:
            _set(self, name, kwargs.pop(name))
        elif name in defaults:
            _set(self, name, defaults[name])
        else:
            raise TypeError(f"{type(self).__name__} needs {name!r}")
    if kwargs:
        raise TypeError(f"{type(self).__name__} has no argument {next(iter(kwargs))!r}")
    check = getattr(self, "__post_init__", None)
    if check is not None:
        check()


def _eq(self: Any, other: Any) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)


def _hash(self: Any) -> int:
    return hash((type(self), *(getattr(self, name) for name in self.__slots__)))


def _repr(self: Any) -> str:
    inner = ", ".join(f"{name}={_shown(getattr(self, name))}" for name in self.__slots__)
    return f"{type(self).__qualname__}({inner})"


def _shown(item: object) -> str:
    """Return the text of a field; a set has no order of its own, and texts are compared."""
    if type(item) is frozenset and item:
        return f"frozenset({{{', '.join(sorted(map(repr, item)))}}})"
    return repr(item)


def _reduce(self: Any) -> tuple[object, ...]:
    return _restore, (type(self), tuple(getattr(self, name) for name in self.__slots__))


def _restore(cls: type[Any], fields: tuple[object, ...]) -> Any:
    """Rebuild a pickled value as it was, without checking it a second time."""
    obj = object.__new__(cls)
    for name, item in zip(cls.__slots__, fields, strict=True):
        _set(obj, name, item)
    return obj


def _frozen(self: Any, name: str, item: object) -> None:
    raise AttributeError(f"{type(self).__name__} is a value: {name!r} cannot be set")


def _fixed(self: Any, name: str) -> None:
    raise AttributeError(f"{type(self).__name__} is a value: {name!r} cannot be deleted")


def _replaced(self: Any, **changes: Any) -> Any:
    return replace(self, **changes)


_METHODS = (_init, _eq, _hash, _repr, _reduce, _frozen, _fixed, _replaced)
for _method, _name in zip(
    _METHODS,
    ("__init__", "__eq__", "__hash__", "__repr__", "__reduce__", "__setattr__", "__delattr__", "__replace__"),
    strict=True,
):
    _method.__name__ = _name
