"""``bldr build``, at a glance: where nothing has changed since a build that left nothing to do, that is all there is.

Everything else is left to :mod:`bldr.cli.build`, which takes much longer to import, and to read a large workspace.
"""

from __future__ import annotations

import os

from bldr.cli.cachedir import cache_directory
from bldr.cli.messages import say
from bldr.cli.options import parse
from bldr.cli.request import caller_directory
from bldr.cli.verbs_of_builds import BUILD
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.cli.options import Parsed

__all__ = ["asked_of", "main"]

# Options that change nothing about whether there is something to do, nor what is said of it.
_PLAIN = frozenset({"cache-dir", "explain", "hermetic", "jobs", "keep-going", "quiet", "wait"})


def main(arguments: Sequence[str]) -> int:
    """``bldr build``."""
    count = _settled(parse(BUILD, arguments))
    if count is not None:
        return 0
    from bldr.cli.build import main as build

    return build(arguments)


def asked_of(parsed: Parsed, root: str) -> str:
    """Return what is asked for in a workspace, as one text."""
    folder = os.path.relpath(os.path.realpath(caller_directory()), os.path.realpath(root))
    return "\0".join([folder, *parsed.rest])


def _settled(parsed: Parsed) -> int | None:
    """Say that all is up to date, and return of how many actions, if that can be seen at a glance."""
    from bldr.builderfile.tree import find_root
    from bldr.engine.settled import Settled

    if not _is_plain(parsed):
        return None
    try:
        root = find_root(caller_directory())
    except BuilderfileError:  # the ordinary way reports it
        return None
    if Settled.read(root, asked_of(parsed, root)) is None:
        return None
    from bldr.engine.lock import WorkspaceLock
    from bldr.model.toolchain import named
    from bldr.store.cache import Cache
    from bldr.store.toolchains import identity_of

    tell = (lambda _text: None) if parsed.given("quiet") else say
    with (
        WorkspaceLock(root, wait=parsed.given("wait"), say=tell),
        Cache(cache_directory(parsed.last("cache-dir"))) as cache,
    ):
        settled = Settled.read(root, asked_of(parsed, root))
        if settled is None or settled.toolchain != identity_of(named("system"), cache.index, tell):
            return None
        if not settled.holds(root):
            return None
    tell(f"{settled.count} up to date" if settled.count else "nothing to do")
    return settled.count


def _is_plain(parsed: Parsed) -> bool:
    """Say whether options and settings ask for nothing but a hermetic build, in words that can be understood."""
    from bldr.cli.settings import load

    if not _PLAIN.issuperset(parsed.values) or not (parsed.last("jobs") or "1").isdecimal():
        return False
    return load(os.environ, caller_directory()).hermetic or parsed.given("hermetic")
