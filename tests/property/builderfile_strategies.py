"""Strategies for targets, and for texts that are, or nearly are, Builderfiles."""

from __future__ import annotations

import os
import string

from hypothesis import strategies as st

from bldr.builderfile.label import Label
from bldr.builderfile.schema import LANGUAGES, LINKAGES, RUNNERS
from bldr.builderfile.target import CUSTOM, TYPES, Hermetic, Options, Target
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy

# Bytes as the operating system may give them, decoded the way bldr decodes them.
_wild_text = st.binary(min_size=1, max_size=6).filter(lambda data: 0 not in data).map(os.fsdecode)
_part = (
    (
        st.sampled_from(["a", "b c", "ü", "x.c", "...", 'q"q', "back\\slash", "line\nbreak", "caf\udce9", "#"])
        | _wild_text
    )
    .map(lambda text: text.replace("/", "_"))
    .filter(lambda text: text not in (".", ".."))
)
_plain_part = _part.filter(lambda text: not set("*?[") & set(text) and not text.startswith("!"))
_pattern_part = st.sampled_from(["*", "**", "*.c", "a?", "[a-z]*", "[!a].h"])

_path = st.lists(_plain_part, min_size=1, max_size=3).map("/".join)
_pattern = st.tuples(st.booleans(), st.lists(_plain_part | _pattern_part, min_size=1, max_size=3).map("/".join)).map(
    lambda pair: "!" * pair[0] + pair[1]
)
_output = (
    st.tuples(_path, st.sampled_from(["", "/"]))
    .map("".join)
    .filter(lambda path: path.split("/")[0] != ".builder" and path.rstrip("/").split("/")[-1] != "Builderfile")
)
_place = _path | _path.map("/".__add__) | st.just(".")
_name = st.text(string.ascii_letters + string.digits + "_-.+", min_size=1, max_size=6).filter(
    lambda name: name[0] not in "-.+"
)
_folder = st.sampled_from(["", "lib", "lib/deep", "a b"])
labels = st.builds(Label, _folder, _name)
_variables = st.dictionaries(_wild_text.filter(lambda text: "=" not in text), _wild_text | st.just(""), max_size=3)
_duration = st.integers(1, 10**7).map(float) | st.floats(0.001, 1e6)


def _tuples(items: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(items, max_size=3, unique=True).map(tuple)


_limits = st.builds(
    ResourceLimits,
    memory=st.none() | st.integers(1, 2**63 - 1) | st.integers(1, 2**20).map((2**30).__mul__),
    cpu_time=st.none() | _duration,
    processes=st.none() | st.integers(1, 1000),
    cpus=st.none() | st.floats(0.01, 100).map(lambda number: round(number, 5)),
    core_size=st.none() | st.integers(0, 4096),
)
_hosts = st.lists(
    st.sampled_from(
        ["a.org", "b.org:443", "2001:db8::2", "[2001:db8::1]:80", "10.0.0.1", "*.c.org:53/udp", "d:1=private"]
    ),
    max_size=3,
)
hermetic = st.builds(
    Hermetic,
    enabled=st.booleans(),
    inputs=_tuples(_place),
    outputs=_tuples(_output),
    temps=_tuples(_place),
    network=_hosts.map(NetworkPolicy.allow_hosts),
    timeout=st.none() | _duration,
    limits=_limits,
    process=st.builds(
        ProcessPolicy,
        st.none() | st.integers(0, 50),
        kill_on_parent_exit=st.booleans(),
        allow_userns=st.booleans(),
        allow_fork=st.booleans(),
        allow_exec=st.booleans(),
    ),
    env=_variables.map(EnvSet),
    toolchain=st.sampled_from(["system", "none"]),
)
_flags = st.lists(_wild_text | st.just(""), max_size=3).map(tuple)
_macros = st.dictionaries(st.sampled_from(["NDEBUG", "_x", "A1"]), _wild_text | st.just(""), max_size=2)


def _options(kind: str) -> st.SearchStrategy[Options]:
    return st.builds(
        Options,
        flags=_flags,
        defines=_macros.map(lambda macros: tuple(macros.items())),
        includes=_tuples(_path | st.just(".")),
        link_flags=_flags,
        linkage=st.sampled_from(["", *LINKAGES] if kind == "library" else [""]),
        main=st.sampled_from(["", "a", "a.b:c.d"] if kind == "executable" else [""]),
        runner=st.sampled_from(["", *RUNNERS] if kind == "test" else [""]),
    )


@st.composite
def targets(draw: st.DrawFn, folder: str) -> Target:
    """A target that one file can declare."""
    kind = draw(st.sampled_from(TYPES))
    command: tuple[str, ...] = ()
    if kind == CUSTOM or (kind == "test" and draw(st.booleans())):
        command = (draw(_wild_text), *draw(st.lists(_wild_text | st.just(""), max_size=2)))
    sources = draw(_tuples(_pattern))
    if kind != CUSTOM and not command and not sources:
        sources = ("a.c",)
    return Target(
        label=Label(folder, draw(_name)),
        type=kind,
        language=draw(st.sampled_from(["", *LANGUAGES])),
        sources=sources,
        headers=draw(_tuples(_pattern)),
        deps=tuple(draw(st.lists(labels, max_size=3, unique=True))),
        command=command,
        output=draw(_tuples(_output)),
        hermetic=draw(st.just(Hermetic()) | hermetic),
        options=draw(st.just(Options()) | _options(kind)),
    )


@st.composite
def packages(draw: st.DrawFn) -> tuple[str, tuple[Target, ...]]:
    """A folder and the targets that its Builderfile declares."""
    folder = draw(_folder)
    found = draw(st.lists(targets(folder), max_size=3, unique_by=lambda target: target.label))
    return folder, tuple(found)


_PIECES = (
    'target("a")', "target", "(", ")", "{", "}", "[", "]", ":", ";", ",", '"x"', '"a.c"', '"//a:b"', "type", "library",
    "sources", "hermetic", "env", "true", "4G", "-1", "\n", " ", "\n\n", "// c\n", "# c\n", "/* c */", "/* a\n * b */",
    "/*", '"', "'", "\\", "=", "é", "\t", "\r\n", "\0", '"\\x41"', "{ a: 1; }", '["x", "y"]',
)  # fmt: skip
soups = st.lists(st.sampled_from(_PIECES) | st.text(max_size=3), max_size=40).map("".join)

_gap = st.sampled_from(
    ["", " ", "\n", "\n\n\n", " // x\n", "# y \n", "/* z */", "/* m\n   n */", "\n/* s\n * t\n */\n", "\r\n"]
)


@st.composite
def layouts(draw: st.DrawFn) -> str:
    """A Builderfile in any layout, with comments anywhere."""
    words: list[str] = []

    def value(depth: int) -> None:
        kind = draw(st.integers(0, 5 if depth < 3 else 2))
        if kind <= 2:
            words.append(("word", '"text"', "12")[kind])
        elif kind == 3:
            words.append("[")
            count = draw(st.integers(0, 3))
            for index in range(count):
                value(depth + 1)
                if index < count - 1 or draw(st.booleans()):
                    words.append(",")
            words.append("]")
        else:
            block(depth + 1, keys=("k", "key") if kind == 4 else ('"m"', '"map"'))

    def block(depth: int, keys: tuple[str, ...] = ("k", "key", '"m"')) -> None:
        words.append("{")
        for _ in range(draw(st.integers(0, 3))):
            words.extend([draw(st.sampled_from(keys)), ":"])
            value(depth)
            words.append(draw(st.sampled_from(";,")))
        words.append("}")

    for _ in range(draw(st.integers(0, 3))):
        words.extend(["target", "(", '"t"', ")"])
        block(0)
        if draw(st.booleans()):
            words.append(";")
    return "".join(draw(_gap) + word for word in words) + draw(_gap)
