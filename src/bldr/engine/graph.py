"""The build graph: every action that targets need, each behind those that it needs itself. Pure."""

from __future__ import annotations

from bisect import bisect_left
from heapq import heappop, heappush

from bldr.builderfile.graph import reachable
from bldr.builderfile.places import STATE, within
from bldr.engine.action import INTERMEDIATE
from bldr.engine.handlers import handler_for, language_of
from bldr.errors import EngineError
from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bldr.builderfile.label import Label
    from bldr.builderfile.workspace import Resolved
    from bldr.engine.action import Action
    from bldr.engine.handlers import Language, Provided

__all__ = ["Graph", "graph_of"]


@value
class Graph:
    """Actions and what they need of each other.

    Args:
        actions: The actions, each behind those that it needs.
        needs: For each action the numbers of those that make its inputs, sorted.
        makers: The number of the action that makes a path; folders have no ``/`` behind.
        optional: For each action the outputs that may stay empty.
        targets: The targets that they belong to, and all that these need.
    """

    actions: tuple[Action, ...]
    needs: tuple[tuple[int, ...], ...]
    makers: Mapping[str, int]
    optional: tuple[tuple[str, ...], ...]
    targets: Mapping[Label, Resolved]

    def urgency(self) -> list[int]:
        """Return for each action how many stand on the longest way from it to the end: the larger, the more urgent."""
        found = [1] * len(self.actions)
        for number in range(len(self.actions) - 1, -1, -1):
            for need in self.needs[number]:
                found[need] = max(found[need], found[number] + 1)
        return found


def graph_of(targets: Mapping[Label, Resolved], wanted: Iterable[Label], *, tests: bool = False) -> Graph:
    """Return the actions that make targets.

    Args:
        targets: The wanted ones, and all that they need.
        wanted: The targets.
        tests: Whether the tests of the wanted ones are run, too.

    Raises:
        BuilderfileError: A target cannot be built as it is declared.
        EngineError: The actions of its handler do not fit together.
    """
    wanted = tuple(wanted)
    needed = reachable({label: found.target.deps for label, found in targets.items()}, wanted)
    chosen = {label: targets[label] for label in _deps_first(targets, needed)}
    handlers = _handlers(chosen)
    provided = _provided(chosen, handlers)
    testing = frozenset(wanted) if tests else frozenset()
    actions: list[Action] = []
    optional: list[tuple[str, ...]] = []
    for label, found in chosen.items():
        handler = handlers[label]
        own = [*handler.actions(found, provided[label][1])]
        missing = set(found.outputs) - {output for action in own for output in action.outputs}
        if missing and own:
            raise EngineError(f"no action of {label} makes {min(missing)!r}", code="engine.graph")
        if label in testing:
            own += handler.tests(found, provided[label][1])
        actions += _completed(found, own)
        optional += [()] * (len(own) - 1) + [_kept(found)] if own else []
    return _ordered(actions, optional, chosen)


def _handlers(chosen: Mapping[Label, Resolved]) -> dict[Label, Language]:
    known: dict[str, Language] = {}
    found: dict[Label, Language] = {}
    for label, target in chosen.items():
        language = language_of(target)
        if language not in known:
            known[language] = handler_for(target)
        found[label] = known[language]
    return found


def _kept(found: Resolved) -> tuple[str, ...]:
    return tuple([path.rstrip("/") + "/" for path in found.target.hermetic.outputs])


def _completed(found: Resolved, actions: Sequence[Action]) -> list[Action]:
    """Return a target's actions with what its ``hermetic`` block adds; what it keeps belongs to the last one."""
    extra = tuple([path for path in found.target.hermetic.inputs if not path.startswith("/")])
    completed = [
        replace(action, inputs=tuple(dict.fromkeys((*action.inputs, *extra)))) if extra else action
        for action in actions
    ]
    if completed and (kept := _kept(found)):
        completed[-1] = replace(completed[-1], outputs=tuple(dict.fromkeys((*completed[-1].outputs, *kept))))
    return completed


def _deps_first(targets: Mapping[Label, Resolved], needed: set[Label]) -> list[Label]:
    """Return labels, each behind those that it needs, otherwise in their order."""
    waiting = dict.fromkeys(needed, 0)
    users: dict[Label, list[Label]] = {label: [] for label in needed}
    for label in needed:
        for dep in dict.fromkeys(targets[label].target.deps):
            waiting[label] += 1
            users[dep].append(label)
    ready = [(label.sort_key, label.folder, label.name) for label, count in waiting.items() if not count]
    ready.sort()
    names = {(label.folder, label.name): label for label in needed}
    found = []
    while ready:
        _, folder, name = heappop(ready)
        label = names[folder, name]
        found.append(label)
        for user in users[label]:
            waiting[user] -= 1
            if not waiting[user]:
                heappush(ready, (user.sort_key, user.folder, user.name))
    return found


def _provided(
    chosen: Mapping[Label, Resolved], handlers: Mapping[Label, Language]
) -> dict[Label, tuple[Provided, tuple[Provided, ...]]]:
    """Return for each target what it provides and what all that it needs provides, each before what it needs itself.

    What a command has needed to make its outputs is not needed by who uses these, so that the way ends there: otherwise
    each target of a chain would see all that lie below it.
    """
    rank = {label: number for number, label in enumerate(chosen)}
    passed_on: dict[Label, frozenset[Label]] = {}
    found: dict[Label, tuple[Provided, tuple[Provided, ...]]] = {}
    for label, target in chosen.items():
        deps = target.target.deps
        below = frozenset(deps).union(*[passed_on[dep] for dep in deps])
        passed_on[label] = frozenset() if target.target.command else below
        needs = tuple([found[dep][0] for dep in sorted(below, key=rank.__getitem__, reverse=True)])
        found[label] = (handlers[label].provides(target, needs), needs)
    return found


def _ordered(actions: list[Action], optional: list[tuple[str, ...]], targets: Mapping[Label, Resolved]) -> Graph:
    makers = _makers(actions)
    paths = sorted(makers)
    needs = []
    for number, action in enumerate(actions):
        needed: set[int] = set()
        for path in action.inputs:
            needed |= _makers_of(path, makers, paths)
        needed.discard(number)
        if needed and max(needed) > number:
            needed = _earlier(number, needed, action, actions)
        needs.append(tuple(sorted(needed)))
    return Graph(tuple(actions), tuple(needs), makers, tuple(optional), targets)


def _earlier(number: int, needed: set[int], action: Action, actions: Sequence[Action]) -> set[int]:
    """Leave out the later makers of what lies in folders that are inputs; no other input may come later."""
    late = {other for other in needed if other > number}
    own = {path.rstrip("/") for path in action.inputs}
    for other in late:
        if clash := own & {path.rstrip("/") for path in actions[other].outputs}:
            raise EngineError(f"{action} reads {min(clash)!r} before {actions[other]} makes it", code="engine.graph")
    return needed - late


def _makers(actions: Sequence[Action]) -> dict[str, int]:
    makers: dict[str, int] = {}
    for number, action in enumerate(actions):
        for output in action.outputs:
            path = output.rstrip("/")
            if path in makers and makers[path] != number:
                raise EngineError(f"{actions[makers[path]]} and {action} both make {output!r}", code="engine.graph")
            if within(path, STATE) and not within(path, INTERMEDIATE):
                raise EngineError(f"{action} writes {output!r}, where bldr keeps its state", code="engine.graph")
            makers[path] = number
    for path, number in makers.items():
        above = path.rpartition("/")[0]
        while above:
            if makers.get(above, number) != number:
                other = actions[makers[above]]
                raise EngineError(
                    f"{actions[number]} makes {path!r} in {above!r}, which {other} makes", code="engine.graph"
                )
            above = above.rpartition("/")[0]
    return makers


def _makers_of(path: str, makers: Mapping[str, int], paths: Sequence[str]) -> set[int]:
    """Return who makes a path: it itself, a folder that it lies in, or what lies in it when it is a folder."""
    plain = path.rstrip("/")
    step = plain
    while step:
        if step in makers:
            return {makers[step]}
        step = step.rpartition("/")[0]
    if not path.endswith("/") and plain != ".":
        return set()
    prefix = "" if plain == "." else f"{plain}/"
    found = set()
    for at in range(bisect_left(paths, prefix), len(paths)):
        if not paths[at].startswith(prefix):
            break
        found.add(makers[paths[at]])
    return found
