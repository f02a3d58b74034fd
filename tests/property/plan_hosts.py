"""A host in memory, and random hosts and specs of what is on them."""

from __future__ import annotations

from itertools import product
from random import Random

from bldr.errors import SpecError
from bldr.model.declarations import Declaration, Role
from bldr.model.paths import PathSet, is_within, join, parent
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.host import PathKind

NAMES = ("a", "b", "c")


class MemoryHost:
    """A tree as a dictionary from path to ``"dir"``, ``"file"``, ``"device"``, or ``"-> text"`` for a link.

    It refuses to look through a link: whoever asks has to have followed it.
    """

    def __init__(
        self, tree: dict[str, str], *, unreadable: frozenset[str] = frozenset(), read_only: frozenset[str] = frozenset()
    ) -> None:
        self.tree = {"/": "dir", **tree}
        for path in tree:
            above = parent(path)
            while above not in self.tree:
                self.tree[above] = "dir"
                above = parent(above)
        self.unreadable = unreadable
        self.read_only = read_only
        self.looks: list[str] = []

    def lstat_kind(self, path: str) -> str:
        self.looks.append(path)
        above = path
        while above != "/":
            above = parent(above)
            assert self._kind(above) != PathKind.LINK, f"{path} is behind a link"
        return self._kind(path)

    def _kind(self, path: str) -> str:
        found = self.tree.get(path, "")
        return PathKind.LINK if found[:2] == "->" else found

    def readlink(self, path: str) -> str:
        return self.tree[path][3:]

    def listdir(self, path: str) -> list[str]:
        assert self._kind(path) == PathKind.DIR
        if path in self.unreadable:
            raise PermissionError(13, "Permission denied", path)
        return [other.rpartition("/")[2] for other in self.tree if other != "/" and parent(other) == path]

    def access(self, path: str, *, write: bool) -> bool:
        return path not in (self.read_only if write else self.unreadable)


def all_paths(depth: int, names: tuple[str, ...] = NAMES) -> list[str]:
    """Return the root and every path of at most so many names."""
    return ["/"] + ["/" + "/".join(parts) for length in range(1, depth + 1) for parts in product(names, repeat=length)]


UNIVERSE = all_paths(4)
_PLACES = [path for path in all_paths(3) if path != "/"]


def random_host(random: Random, *, links: bool) -> MemoryHost:
    """A tree of depth 3 with some ten entries."""
    kinds = ["dir", "dir", "dir", "file", *(["absolute", "relative"] if links else [])]
    tree: dict[str, str] = {}
    for path in sorted(random.sample(_PLACES, random.randint(2, 14))):
        if any(tree.get(above, "dir") != "dir" for above in all_above(path)):
            continue
        kind = random.choice(kinds)
        if kind in ("absolute", "relative"):
            target = random.choice(_PLACES)
            tree[path] = f"-> {target if kind == 'absolute' else _relative(target, parent(path))}"
        else:
            tree[path] = kind
    return MemoryHost(tree)


def all_above(path: str) -> list[str]:
    """Return the proper ancestors of a path."""
    return [] if path == "/" else [parent(path), *all_above(parent(path))]


def _relative(target: str, directory: str) -> str:
    ups = [] if directory == "/" else [".."] * directory.count("/")
    return "/".join([*ups, target[1:]])


def random_spec(random: Random, host: MemoryHost, *, optional: bool, mapped: bool) -> SandboxSpec | None:
    """A spec of paths that mostly exist; ``None`` when the declarations contradict each other."""
    there = sorted(path for path in host.tree if path != "/") or ["/a"]
    directories = sorted(path for path in there if host.tree.get(path) != "file") or there
    builder = SandboxSpecBuilder.create()
    if random.random() < 0.75:
        builder.carve()
    try:
        for _ in range(random.randint(1, 5)):
            role = random.choice(["input", "input", "holed", "output", "temp", "overlay"])
            path = random.choice(there if role == "input" else directories)
            if random.random() < 0.02:
                path = "/"
            at = random.choice(_PLACES) if mapped and random.random() < 0.25 else None
            if role == "input":
                builder.input(path, at)
            elif role == "output":
                builder.output(path, at)
            elif role == "overlay":
                builder.overlay(path, at)
            elif role == "temp":
                builder.temp(at or random.choice([path, join(path, "c"), join(path, "c/b")]))
            else:
                below = [other for other in _PLACES if is_within(other, path) and other != path] or [join(path, "a")]
                holes = PathSet.of(random.choice(below) for _ in range(random.randint(1, 2)))
                again = [other for other in UNIVERSE if other in holes and other in host.tree]
                back = PathSet.of(random.choice(again) for _ in range(random.randint(0, 1) if again else 0))
                builder.input((PathSet.subtree(path) - holes) | back)
        if random.random() < 0.5:
            builder.default_temp(random.choice(_PLACES))
        if random.random() < 0.2:
            builder.default_home()
        spec = builder.build()
        if optional:
            spec = with_toolchain(spec, random.sample(_PLACES, random.randint(0, 2)))
    except SpecError:
        return None
    return spec


def with_toolchain(spec: SandboxSpec, paths: list[str]) -> SandboxSpec:
    """Add optional inputs, as a toolchain does: they yield to O, T and overlays."""
    declared = {(one.role, one.at) for one in spec.declarations}
    taken = spec.outputs | spec.temps | spec.overlays
    extra = [
        Declaration(Role.INPUT, path, path, optional=True, origin="toolchain test")
        for path in paths
        if (Role.INPUT, path) not in declared and path not in taken
    ]
    return SandboxSpec(
        declarations=(*spec.declarations, *extra),
        inputs=spec.inputs | (PathSet.of(one.at for one in extra) - taken),
        outputs=spec.outputs,
        temps=spec.temps,
        overlays=spec.overlays,
    )


def below(root: str, spec: SandboxSpec, toolchain: SandboxSpec) -> SandboxSpec:
    """Return the same spec for a tree that lies at ``root`` instead of ``/``, beside the inputs of a toolchain."""

    def moved(path: str) -> str:
        return root + path if path != "/" else root

    def moved_set(paths: PathSet) -> PathSet:
        result = PathSet.empty()
        for path, inside in paths.marks():
            subtree = PathSet.subtree(moved(path))
            result = result | subtree if inside else result - subtree
        return result

    declarations = [
        Declaration(one.role, moved(one.at), one.host and moved(one.host), one.optional, one.origin)
        for one in spec.declarations
    ]
    return SandboxSpec(
        declarations=(*declarations, *toolchain.declarations),
        inputs=moved_set(spec.inputs) | toolchain.inputs,
        outputs=moved_set(spec.outputs),
        temps=moved_set(spec.temps),
        overlays=moved_set(spec.overlays),
        environment=toolchain.environment,
        toolchain=toolchain.toolchain,
    )
