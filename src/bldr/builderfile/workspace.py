"""A workspace: the targets of all its Builderfiles, and whether they fit together."""

from __future__ import annotations

import os

from bldr.builderfile import globs, places
from bldr.builderfile.graph import cycles, reachable
from bldr.builderfile.lowering import lower
from bldr.builderfile.options import keys_without_meaning
from bldr.builderfile.parse import parse
from bldr.builderfile.products import products_of
from bldr.builderfile.schema import camel, language_of
from bldr.builderfile.source import Source, joined
from bldr.builderfile.target import CUSTOM, Options
from bldr.builderfile.tree import FILE_NAME, Tree
from bldr.errors import BuilderfileError, DependencyCycleError, UnknownTargetError
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bldr.builderfile.label import Label
    from bldr.builderfile.lowering import Declared
    from bldr.builderfile.memory import Memory
    from bldr.builderfile.source import Span
    from bldr.builderfile.target import Target

__all__ = ["Resolved", "Workspace", "load", "resolve", "unknown_target"]


@value
class Workspace:
    """What the Builderfiles of a workspace declare, in the order of labels.

    Every target that is needed exists, and none needs itself.

    Args:
        root: The absolute path of the workspace.
        shown: What errors put before the paths of files.
        targets: The targets by label.
        folders: The folders that have a Builderfile.
        tree: The files.
        is_remembered: Whether places may not be known.
    """

    root: str
    shown: str
    targets: Mapping[Label, Declared]
    folders: tuple[str, ...]
    tree: Tree
    is_remembered: bool = False

    @property
    def graph(self) -> dict[Label, tuple[Label, ...]]:
        """What each target needs."""
        return {label: declared.target.deps for label, declared in self.targets.items()}


@value
class Resolved:
    """A target with the files that its patterns match; paths are relative to the workspace.

    Args:
        target: The target as it is declared.
        language: What it is written in; empty for a custom target without language.
        sources: Its files, in the order of its patterns, each pattern's sorted.
        headers: Its headers, likewise.
        generated: Those of its sources and headers that another target makes, and need not exist yet.
        outputs: What it makes; a folder has a ``/`` behind.
    """

    target: Target
    language: str
    sources: tuple[str, ...]
    headers: tuple[str, ...]
    generated: tuple[str, ...]
    outputs: tuple[str, ...]


def load(root: str, *, shown: str = "", memory: Memory | None = None) -> Workspace:
    """Read all Builderfiles of a workspace.

    Args:
        root: Its absolute path.
        shown: What errors put before the paths of files: the way to the root from where the reader is.
        memory: What is remembered of it, so that files that have not changed need not be parsed.

    Raises:
        BuilderfileError: Something is wrong with one, or they do not fit together; ``also`` holds what else is.
        DependencyCycleError: Targets need each other in a circle.
        UnknownTargetError: A target needs one that there is not.
    """
    if memory is not None:
        try:
            return _load(root, shown, memory)
        except BuilderfileError:
            pass  # the places of what is remembered are not known, so the files are read for them
    return _load(root, shown, None)


def _load(root: str, shown: str, memory: Memory | None) -> Workspace:
    tree = Tree(root)
    mistakes: list[BuilderfileError] = []
    found: list[Declared] = []
    folders = tuple(tree.folders())
    for folder in folders:
        path = os.path.join(shown, folder, FILE_NAME)
        try:
            found += _targets_of(tree.read(folder), folder, path, memory)
        except BuilderfileError as error:
            mistakes.append(error)
        except OSError as error:
            why = error.strerror or str(error)
            mistakes.append(BuilderfileError(f"cannot be read: {why}", path=path, code="builderfile.unreadable"))
    if mistakes:
        raise joined(mistakes)
    targets = {one.target.label: one for one in sorted(found, key=lambda one: one.target.label.sort_key)}
    workspace = Workspace(root, shown, targets, folders, tree, memory is not None)
    if memory is not None and memory.is_checked:
        return workspace
    if mistakes := [*_missing_deps(workspace), *_circles(workspace)]:
        raise joined(mistakes)
    if memory is not None:
        memory.write()
    return workspace


def _targets_of(data: bytes, folder: str, path: str, memory: Memory | None) -> tuple[Declared, ...]:
    if memory is None:
        return lower(parse(Source.decoded(path, data)), folder)
    from hashlib import sha256

    digest = sha256(data).hexdigest()
    found = memory.recall(folder, digest, path, data)
    if found is None:
        found = lower(parse(Source.decoded(path, data)), folder)
        memory.keep(folder, digest, found)
    return found


def _missing_deps(workspace: Workspace) -> list[BuilderfileError]:
    mistakes: list[BuilderfileError] = []
    for declared in workspace.targets.values():
        for index, dep in enumerate(declared.target.deps):
            if dep not in workspace.targets:
                error = unknown_target(dep, workspace)
                span = declared.span("deps", index)
                mistakes.append(declared.source.mistake(span, error.message, kind=UnknownTargetError, hint=error.hint))
    return mistakes


def unknown_target(label: Label, workspace: Workspace) -> UnknownTargetError:
    """Return the error for a target that there is not, without a place."""
    from difflib import get_close_matches

    if not any(one.folder == label.folder for one in workspace.targets):
        where = repr(label.folder) if label.folder else "the root of the workspace"
        why = "declares no target" if label.folder in workspace.folders else f"has no {FILE_NAME}"
        message = f"there is no target {label}: {where} {why}"
    else:
        message = f"there is no target {label}"
    same_name = [str(one) for one in workspace.targets if one.name == label.name]
    same_folder = [one.name for one in workspace.targets if one.folder == label.folder]
    near = [f"//{label.folder}:{name}" for name in get_close_matches(label.name, same_folder, n=1, cutoff=0.6)]
    near = near or same_name[:1] or get_close_matches(str(label), map(str, workspace.targets), n=1, cutoff=0.6)
    names = ", ".join(f":{name}" for name in same_folder[:10])
    hint = (
        f"did you mean {near[0]}?" if near else f"declared there: {names}" if names else "bldr query lists all targets"
    )
    return UnknownTargetError(message, hint=hint)


def _circles(workspace: Workspace) -> list[BuilderfileError]:
    mistakes: list[BuilderfileError] = []
    graph = {label: [dep for dep in deps if dep in workspace.targets] for label, deps in workspace.graph.items()}
    for circle in cycles(graph):
        declared = workspace.targets[circle[0]]
        span = declared.span("deps", declared.target.deps.index(circle[1]))
        names = tuple(map(str, circle))
        message = f"{names[0]} needs itself" if len(circle) == 2 else f"targets need each other: {' -> '.join(names)}"
        error = declared.source.mistake(
            span, message, kind=DependencyCycleError, hint="remove one of these, or move what both need into a third"
        )
        error.cycle = names
        mistakes.append(error)
    return mistakes


def resolve(workspace: Workspace, labels: Iterable[Label] | None = None) -> dict[Label, Resolved]:
    """Look up the files of targets and of what they need.

    Args:
        workspace: The workspace.
        labels: The targets; all of them by default.

    Returns:
        The targets by label, in the order of labels.

    Raises:
        BuilderfileError: A pattern matches nothing or leads out of the workspace, a language cannot be told, or two
            targets write one output.
    """
    wanted = None if labels is None else tuple(labels)
    try:
        return _resolve(workspace, wanted)
    except BuilderfileError:
        if not workspace.is_remembered:
            raise
    return _resolve(load(workspace.root, shown=workspace.shown), wanted)  # which knows the places


def _resolve(workspace: Workspace, labels: tuple[Label, ...] | None) -> dict[Label, Resolved]:
    wanted = set(workspace.targets) if labels is None else reachable(workspace.graph, labels)
    lookup = _Lookup(workspace)
    found = {label: lookup.resolved(declared) for label, declared in workspace.targets.items() if label in wanted}
    if not lookup.mistakes:
        lookup.check_outputs(found.values())
    if lookup.mistakes:
        raise joined(lookup.mistakes)
    return found


class _Lookup:
    """Looks up the files of the targets of one workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.mistakes: list[BuilderfileError] = []
        self.makers: dict[str, Label] = {}  # who makes each declared output, without "/" behind
        for label, declared in workspace.targets.items():
            for output in _declared_outputs(declared):
                self.makers.setdefault(output.rstrip("/"), label)
        self.kept: dict[str, str] = {}  # a folder with a Builderfile, by itself and each folder above it
        for folder in workspace.folders:
            above = folder
            while above and above not in self.kept:
                self.kept[above] = folder
                above = above.rpartition("/")[0]

    def resolved(self, declared: Declared) -> Resolved:
        target = declared.target
        generated: list[str] = []
        sources = self._files(declared, "sources", generated)
        headers = self._files(declared, "headers", generated)
        language = target.language or self._language(declared, sources)
        self._check_options(declared, "" if target.command else language)
        return Resolved(
            target, language, sources, headers, tuple(generated), target.output or products_of(target, language)
        )

    def _language(self, declared: Declared, sources: tuple[str, ...]) -> str:
        target = declared.target
        languages = language_of(sources)
        if target.type == CUSTOM or target.command or not sources:
            return ""  # its command says what it does
        if len(languages) == 1:
            return languages[0]
        what = f"several languages: {', '.join(languages)}" if languages else "no language that is known"
        self._add(
            declared,
            "sources",
            None,
            f"the sources of {target.label} are written in {what}",
            code="builderfile.language-unknown",
            hint="write language: NAME; or make a target of each" if languages else "write language: NAME;",
        )
        return ""

    def _check_options(self, declared: Declared, language: str) -> None:
        """Refuse options that mean nothing to the language of a target."""
        options = declared.target.options
        if options == Options():
            return
        keys = [camel(name) for name in options.__match_args__ if getattr(options, name)]
        for key, languages in keys_without_meaning(keys, language):
            written = f"is written in {language}" if language else "runs a command"
            self._add(
                declared,
                key,
                None,
                f"{key!r} means nothing here: {declared.target.label} {written}",
                code="builderfile.key-unknown",
                hint=f"it is a key of {' and '.join(languages)}",
            )

    def _files(self, declared: Declared, key: str, generated: list[str]) -> tuple[str, ...]:
        patterns: tuple[str, ...] = getattr(declared.target, key)
        exclusions = [pattern[1:] for pattern in patterns if pattern.startswith("!")]
        found: dict[str, None] = {}
        failed = False
        for index, pattern in enumerate(patterns):
            if pattern.startswith("!"):
                continue
            files = self._matched(declared, key, index, pattern, generated)
            failed = failed or not files
            found.update(dict.fromkeys(files))
        left = [path for path in found if not any(globs.excluded(path, pattern) for pattern in exclusions)]
        if patterns and not left and not failed:
            self._add(
                declared, key, None, f"the {key} of {declared.target.label} are no files at all",
                code="builderfile.source-missing", hint="a pattern with ! only takes away what others have matched",
            )  # fmt: skip
        return tuple(left)

    def _matched(self, declared: Declared, key: str, index: int, pattern: str, generated: list[str]) -> list[str]:
        if not places.is_pattern(pattern) and (maker := self._maker_of(pattern)) is not None:
            generated.append(pattern)
            return [pattern] if self._can_use(declared, key, index, pattern, maker) else []
        try:
            files = globs.files_of(pattern, self.workspace.tree)
        except BuilderfileError as error:
            self._add(declared, key, index, error.message, code=error.code, hint=error.hint)
            return []
        files = [path for path in files if self._maker_of(path) is None]
        if not files:
            self._add(
                declared,
                key,
                index,
                f"{pattern!r} matches no file" if places.is_pattern(pattern) else f"there is no file {pattern!r}",
                code="builderfile.source-missing",
                hint=globs.why_nothing(pattern, self.workspace.tree),
            )
        return files

    def _maker_of(self, path: str) -> Label | None:
        """Return the target that makes a file, or a folder above it."""
        while path:
            if path in self.makers:
                return self.makers[path]
            path = path.rpartition("/")[0]
        return None

    def _can_use(self, declared: Declared, key: str, index: int, path: str, maker: Label) -> bool:
        label = declared.target.label
        if maker in declared.target.deps or maker in reachable(self.workspace.graph, declared.target.deps):
            return True
        if maker == label:
            message, hint = f"{path!r} is an output of {label} itself", "a target cannot read what it makes"
        else:
            message, hint = f"{path!r} is made by {maker}, which {label} does not need", f'add "{maker}" to its deps'
        self._add(declared, key, index, message, code="builderfile.source-is-output", hint=hint)
        return False

    def _add(self, declared: Declared, key: str, index: int | None, message: str, *, code: str, hint: str) -> None:
        self.mistakes.append(declared.source.mistake(declared.span(key, index), message, code=code, hint=hint))

    def check_outputs(self, found: Iterable[Resolved]) -> None:
        """Find targets that write the same path, or into a folder that another one writes."""
        written = [
            (output.rstrip("/").split("/"), one.target.label, output)
            for one in found
            for output in dict.fromkeys((*one.outputs, *one.target.hermetic.outputs))
        ]
        written.sort(key=lambda one: (one[0], one[1].sort_key))
        above: list[tuple[list[str], Label, str]] = []
        for parts, label, output in written:
            self._check_place(label, output)
            while above and above[-1][0] != parts[: len(above[-1][0])]:
                above.pop()
            other = next((one for one in above if one[1] != label), None)
            if other is not None:
                self._conflict(other[1], other[2], label, output)
            above.append((parts, label, output))

    def _conflict(self, first: Label, its: str, label: Label, output: str) -> None:
        """Note that two targets write one path; the error stands at the one that is declared later."""
        one, other = sorted(
            ((self.workspace.targets[first], its), (self.workspace.targets[label], output)),
            key=lambda pair: (pair[0].source.path, pair[0].name.start),
        )
        place = f"{one[0].target.label} ({one[0].place})"
        same = other[1].rstrip("/") == one[1].rstrip("/")
        also = f"and so does {place}" if same else f"and {place} writes {one[1]!r}"
        self.mistakes.append(
            other[0].source.mistake(
                _span_of(*other),
                f"{other[0].target.label} writes {other[1]!r}, {also}",
                code="builderfile.output-conflict",
                hint='give one of them an output of its own, such as output: "bin/other";',
            )
        )

    def _check_place(self, label: Label, output: str) -> None:
        """Refuse an output that holds a Builderfile, and one that a link takes out of the workspace."""
        path = output.rstrip("/")
        if kept := self.kept.get(path):
            message, code = f"the output {output!r} of {label} holds {kept}/{FILE_NAME}", "builderfile.output-conflict"
            hint = "write into a folder that holds nothing else"
        elif outside := self.workspace.tree.outside(path):
            message, code = f"the output {output!r} of {label} is written to {outside!r}", "builderfile.path-escapes"
            hint = "remove the link that leads out of the workspace, or write elsewhere"
        else:
            return
        declared = self.workspace.targets[label]
        self.mistakes.append(declared.source.mistake(_span_of(declared, output), message, code=code, hint=hint))


def _declared_outputs(declared: Declared) -> tuple[str, ...]:
    return (*declared.target.output, *declared.target.hermetic.outputs)


def _span_of(declared: Declared, output: str) -> Span:
    """Return where an output is declared; one that nobody has named stands where the target's name does."""
    if output in declared.target.output:
        return declared.span("output", declared.target.output.index(output))
    return declared.span("hermetic") if output in declared.target.hermetic.outputs else declared.name
