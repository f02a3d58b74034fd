"""Strategies for paths, sets of paths and specs."""

from __future__ import annotations

from hypothesis import strategies as st

from bldr.errors import OverlappingPathsError
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import PathSet
from bldr.model.process import ProcessPolicy
from bldr.model.receipt import Guarantee
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder

# Few names, so that paths meet; each of them has broken some program.
NAMES = ("a", "b", "ab", "a b", "a\nb", 'q"q', "c:d", "-", "...", "ü", "\udcff", "a" * 255)

names = st.sampled_from(NAMES[:3]) | st.sampled_from(NAMES)
paths = st.lists(names, max_size=4).map(lambda parts: "/" + "/".join(parts))
path_sets = st.recursive(
    st.just(PathSet.empty()) | st.just(PathSet.everything()) | st.lists(paths, max_size=4).map(PathSet.of),
    lambda inner: st.one_of(
        inner.map(lambda one: ~one),
        st.tuples(inner, inner).map(lambda two: two[0] | two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] & two[1]),
        st.tuples(inner, inner).map(lambda two: two[0] - two[1]),
    ),
    max_leaves=6,
)

_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
variables = st.dictionaries(_text.filter(lambda text: text and "=" not in text), _text, max_size=3).map(EnvSet)
limits = st.builds(
    ResourceLimits,
    memory=st.none() | st.integers(1, 2**63 - 1),
    cpu_time=st.none() | st.floats(0.001, 1e6),
    processes=st.none() | st.integers(1, 1000),
    file_size=st.none() | st.integers(1, 2**40),
    open_files=st.none() | st.integers(1, 1000),
    core_size=st.none() | st.integers(0, 2**20),
    defaults=st.frozensets(st.sampled_from(["memory", "cpu_time", "processes"])),
)
policies = st.builds(ProcessPolicy, st.none() | st.integers(0, 100), st.booleans(), st.booleans())
networks = st.just(NetworkPolicy.hermetic()) | st.just(NetworkPolicy.allow_hosts(["a.example:443", "2001:db8::1"]))


@st.composite
def builders(draw: st.DrawFn, *, carve: bool | None = None) -> SandboxSpecBuilder:
    """Builders whose declarations may contradict each other."""
    builder = SandboxSpecBuilder.create().with_toolchain(draw(st.sampled_from(["none", "none", "system"])))
    if draw(st.booleans()) if carve is None else carve:
        builder.carve()
    for path in draw(st.lists(paths | path_sets, max_size=3)):
        builder.input(path)
    for path in draw(st.lists(paths, max_size=2)):
        builder.output(path)
    for path in draw(st.lists(paths, max_size=2)):
        builder.temp(path)
    for path in draw(st.lists(paths, max_size=1)):
        builder.overlay(path)
    for path in draw(st.lists(paths, max_size=1)):
        builder.default_temp(path)
    if draw(st.booleans()):
        builder.default_home()
    builder.env_set(draw(variables)).with_limits(draw(limits)).with_process(draw(policies)).with_network(draw(networks))
    builder.uid(draw(st.integers(0, 2**32 - 2))).hostname(draw(st.sampled_from(["bldr", "a-b.c"])))
    return builder.allow_degraded(*draw(st.lists(st.sampled_from(Guarantee.ALL), max_size=2)))


def spec_or_none(builder: SandboxSpecBuilder) -> SandboxSpec | None:
    """Build, or say that the declarations contradict each other."""
    try:
        return builder.build()
    except OverlappingPathsError:
        return None


specs = builders().map(spec_or_none).filter(lambda spec: spec is not None)
