"""Questions about a graph of targets: what needs what, by which path, and whether in a circle.

A graph is a mapping of each target to those that it needs. All answers are in the order of labels, and no question
recurses, so that a chain of a million targets can be asked about.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    from bldr.builderfile.label import Label

    Graph: TypeAlias = Mapping[Label, Sequence[Label]]

__all__ = ["between", "count_paths", "cycles", "paths", "reachable", "reversed_graph"]


def reachable(graph: Graph, roots: Iterable[Label]) -> set[Label]:
    """Return the roots and everything that they need, directly or not."""
    found: set[Label] = set()
    stack = list(roots)
    while stack:
        label = stack.pop()
        if label not in found:
            found.add(label)
            stack += graph.get(label, ())
    return found


def reversed_graph(graph: Graph) -> dict[Label, list[Label]]:
    """Return which targets need each target."""
    found: dict[Label, list[Label]] = {label: [] for label in graph}
    for label in sorted(graph, key=_order):
        for dep in graph[label]:
            found.setdefault(dep, []).append(label)
    return found


def between(graph: Graph, first: Label, last: Label) -> set[Label]:
    """Return the targets that lie on some path from the first one to the last one, with both."""
    return reachable(graph, [first]) & reachable(reversed_graph(graph), [last])


def count_paths(graph: Graph, first: Label, last: Label) -> int:
    """Return how many paths there are; the graph has no circle."""
    inner = between(graph, first, last)
    counts = {last: 1} if last in inner else {}
    for label in _deps_first(graph, inner):
        if label != last:
            counts[label] = sum(counts.get(dep, 0) for dep in graph[label] if dep in inner)
    return counts.get(first, 0)


def paths(graph: Graph, first: Label, last: Label) -> Iterator[tuple[Label, ...]]:
    """Yield the paths from the first target to the last one; the graph has no circle.

    There can be exponentially many: take as many as are wanted. Each takes time in proportion to its length.
    """
    inner = between(graph, first, last)
    if first not in inner:
        return
    path = [first]
    choices = [_onward(graph, first, last, inner)]
    while path:
        if path[-1] == last:
            yield tuple(path)
        step = next(choices[-1], None)
        if step is None:
            path.pop()
            choices.pop()
        else:
            path.append(step)
            choices.append(_onward(graph, step, last, inner))


def _onward(graph: Graph, label: Label, last: Label, inner: set[Label]) -> Iterator[Label]:
    if label == last:
        return iter(())
    return iter(sorted((dep for dep in graph[label] if dep in inner), key=_order))


def cycles(graph: Graph) -> list[tuple[Label, ...]]:
    """Return one circle of each group of targets that need each other, each ending with the target that begins it."""
    groups = [
        group for group in _groups(graph) if len(group) > 1 or not group.isdisjoint(graph[min(group, key=_order)])
    ]
    return sorted((_circle(graph, group) for group in groups), key=lambda circle: _order(circle[0]))


def _circle(graph: Graph, group: set[Label]) -> tuple[Label, ...]:
    """Return a shortest circle through the first target of a group."""
    first = min(group, key=_order)
    before: dict[Label, Label] = {}
    queue = [first]
    for label in queue:
        for dep in sorted(graph[label], key=_order):
            if dep == first:
                circle = [first]
                step = label
                while step != first:
                    circle.append(step)
                    step = before[step]
                return (first, *reversed(circle[1:]), first)
            if dep in group and dep not in before:
                before[dep] = label
                queue.append(dep)
    raise AssertionError("a group of several targets has a circle through each of them")


def _deps_first(graph: Graph, labels: set[Label]) -> list[Label]:
    """Return labels in an order in which each stands behind those that it needs."""
    return [next(iter(group)) for group in _groups({label: graph[label] for label in labels})]


def _groups(graph: Graph) -> Iterator[set[Label]]:
    """Yield the strongly connected groups, those that are needed first (Tarjan's algorithm)."""
    index: dict[Label, int] = {}
    lowest: dict[Label, int] = {}
    open_labels: list[Label] = []
    is_open: set[Label] = set()
    for root in sorted(graph, key=_order):
        if root in index:
            continue
        work = [(root, iter(graph[root]))]
        index[root] = lowest[root] = len(index)
        open_labels.append(root)
        is_open.add(root)
        while work:
            label, deps = work[-1]
            dep = next((dep for dep in deps if dep in graph), None)
            if dep is None:
                work.pop()
                if work:
                    lowest[work[-1][0]] = min(lowest[work[-1][0]], lowest[label])
                if lowest[label] == index[label]:
                    group = set()
                    while label not in group:
                        group.add(open_labels.pop())
                    is_open -= group
                    yield group
            elif dep not in index:
                index[dep] = lowest[dep] = len(index)
                open_labels.append(dep)
                is_open.add(dep)
                work.append((dep, iter(graph[dep])))
            elif dep in is_open:
                lowest[label] = min(lowest[label], index[dep])


def _order(label: Label) -> tuple[tuple[str, ...], str]:
    return label.sort_key
