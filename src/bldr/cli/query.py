"""``bldr query``: targets, what they need, what needs them, and by which paths."""

from __future__ import annotations

import os

from bldr.cli.diagnostics import complain_of, open_workspace
from bldr.cli.messages import page, say, visible
from bldr.cli.options import UsageError, nearest, parse
from bldr.cli.request import caller_directory
from bldr.cli.verbs import QUERY
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bldr.builderfile.label import Label
    from bldr.builderfile.target import Hermetic, Options
    from bldr.builderfile.workspace import Resolved, Workspace
    from bldr.cli.options import Parsed

__all__ = ["graphviz", "main", "to_dict"]

_SCHEMA = 1
_MOST_PATHS = 100
_SHAPES = {"executable": "box", "library": "ellipse", "test": "diamond", "custom": "hexagon"}


def main(arguments: Sequence[str]) -> int:
    """``bldr query``."""
    parsed = parse(QUERY, arguments)
    if parsed.given("json") and parsed.given("graphviz"):
        raise UsageError("--json and --graphviz are two forms of one answer", hint="give one of them")
    try:
        return _answer(parsed)
    except BuilderfileError as error:
        return complain_of(error)


def _answer(parsed: Parsed) -> int:
    from bldr.builderfile.workspace import resolve

    question, names = _question(parsed.rest)
    directory = caller_directory()
    workspace = open_workspace(directory)
    resolved = resolve(workspace)
    labels = _labels(names, workspace, directory)
    if question == "paths":
        return _show_paths(parsed, workspace, resolved, labels)
    chosen = _chosen(question, workspace, labels, direct=parsed.given("direct"))
    _show(parsed, workspace, resolved, chosen, {})
    return 0


def _question(words: Sequence[str]) -> tuple[str, Sequence[str]]:
    """Return which question is asked, and about which targets."""
    if not words:
        return "targets", ()
    question, names = words[0], words[1:]
    if question not in QUERY.words:
        near = nearest(question, QUERY.words)
        hint = f"did you mean {near}?" if near else f"bldr query {' | '.join(QUERY.words)}"
        raise UsageError(f"there is no question {question!r}", hint=hint)
    if question == "paths" and len(names) != 2:
        raise UsageError("paths needs two targets", hint="bldr query paths //:app //lib:util")
    if question in ("deps", "rdeps") and not names:
        raise UsageError(f"{question} needs a target", hint=f"bldr query {question} //:app")
    return question, names


def _labels(names: Sequence[str], workspace: Workspace, directory: str) -> list[list[Label]]:
    """Return the targets that each name on the command line stands for."""
    from bldr.builderfile.selection import select

    folder = os.path.relpath(os.path.realpath(directory), os.path.realpath(workspace.root)).replace(os.sep, "/")
    return [select(name, workspace, "" if folder == "." else folder) for name in names]


def _chosen(question: str, workspace: Workspace, labels: Sequence[Sequence[Label]], *, direct: bool) -> list[Label]:
    from bldr.builderfile.graph import reachable, reversed_graph

    asked = {label for group in labels for label in group}
    if question == "targets":
        return [label for label in workspace.targets if label in asked or not labels]
    graph: Mapping[Label, Sequence[Label]] = workspace.graph
    if question == "rdeps":
        graph = reversed_graph(graph)
    found = {dep for label in asked for dep in graph[label]}
    if not direct:
        found = reachable(graph, found)
    return [label for label in workspace.targets if label in found]


def _show_paths(
    parsed: Parsed, workspace: Workspace, resolved: Mapping[Label, Resolved], labels: Sequence[Sequence[Label]]
) -> int:
    from itertools import islice

    from bldr.builderfile.graph import between, count_paths, paths

    ends = [group[0] for group in labels if len(group) == 1]
    if len(ends) != 2:
        raise UsageError("paths needs one target at each end", hint="bldr query paths //:app //lib:util")
    first, last = ends
    count = count_paths(workspace.graph, first, last)
    found = list(islice(paths(workspace.graph, first, last), _MOST_PATHS))
    if not parsed.given("json") and not parsed.given("graphviz"):
        page("".join(f"{' -> '.join(map(str, path))}\n" for path in found))
        if not found:
            say(f"{first} does not need {last}")
        elif count > len(found):
            say(f"{count - len(found)} more paths")
        return 0
    on_path = between(workspace.graph, first, last)
    chosen = [label for label in workspace.targets if label in on_path]
    more = {"paths": [[str(label) for label in path] for path in found], "count": count}
    _show(parsed, workspace, resolved, chosen, more)
    return 0


def _show(
    parsed: Parsed,
    workspace: Workspace,
    resolved: Mapping[Label, Resolved],
    chosen: Sequence[Label],
    more: Mapping[str, object],
) -> None:
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(to_dict(workspace, resolved, chosen) | dict(more)))
    elif parsed.given("graphviz"):
        page(graphviz(workspace, chosen))
    else:
        page("".join(f"{label}\n" for label in chosen))


def to_dict(workspace: Workspace, resolved: Mapping[Label, Resolved], labels: Iterable[Label]) -> dict[str, object]:
    """Return targets for JSON. Keys are only added within one ``schema``."""
    from bldr.model.paths import printable

    def shown(paths: Iterable[str]) -> list[str]:
        return [printable(path) for path in paths]

    targets = []
    for label in labels:
        declared, found = workspace.targets[label], resolved[label]
        targets.append(
            {
                "label": str(label),
                "type": found.target.type,
                "language": found.language,
                "sources": shown(found.sources),
                "headers": shown(found.headers),
                "generated": shown(found.generated),
                "deps": [str(dep) for dep in found.target.deps],
                "command": shown(found.target.command),
                "outputs": shown(found.outputs),
                "options": _options(found.target.options),
                "hermetic": _hermetic(found.target.hermetic),
                "place": declared.place,
            }
        )
    return {"schema": _SCHEMA, "root": printable(workspace.root), "targets": targets}


def _options(options: Options) -> dict[str, object]:
    """Return the options of a target that are set."""
    from bldr.model.paths import printable

    lists = {"flags": options.flags, "includes": options.includes, "link_flags": options.link_flags}
    told: dict[str, object] = {name: [printable(text) for text in texts] for name, texts in lists.items() if texts}
    if options.defines:
        told["defines"] = {name: printable(text) for name, text in options.defines}
    words = {"linkage": options.linkage, "main": options.main, "runner": options.runner}
    return told | {name: word for name, word in words.items() if word}


def _hermetic(hermetic: Hermetic) -> dict[str, object]:
    """Return the settings of a ``hermetic`` block; sizes are bytes and durations seconds."""
    from bldr.model.paths import printable

    return {
        "enabled": hermetic.enabled,
        "inputs": [printable(path) for path in hermetic.inputs],
        "outputs": [printable(path) for path in hermetic.outputs],
        "temps": [printable(path) for path in hermetic.temps],
        "network": [str(endpoint) for endpoint in hermetic.network.endpoints],
        "timeout": hermetic.timeout,
        "limits": {name: getattr(hermetic.limits, name) for name in sorted(hermetic.limits.names_set)},
        "process": {name: getattr(hermetic.process, name) for name in hermetic.process.__match_args__},
        "env": {printable(name): printable(text) for name, text in hermetic.env.items()},
        "toolchain": hermetic.toolchain,
    }


def graphviz(workspace: Workspace, labels: Sequence[Label]) -> str:
    """Return a graph in the language of Graphviz: an arrow leads from a target to one that it needs."""
    inner = set(labels)
    lines = ["digraph bldr {", "    rankdir=LR;", '    node [fontname="sans-serif"];']
    lines += [f"    {_node(label)} [shape={_SHAPES[workspace.targets[label].target.type]}];" for label in labels]
    for label in labels:
        deps = [dep for dep in workspace.targets[label].target.deps if dep in inner]
        lines += [f"    {_node(label)} -> {_node(dep)};" for dep in sorted(deps, key=lambda dep: dep.sort_key)]
    return "\n".join([*lines, "}"]) + "\n"


def _node(label: Label) -> str:
    text = visible(str(label)).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
