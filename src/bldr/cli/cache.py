"""``bldr cache``: look after what ``bldr run --cache`` and ``bldr build`` keep."""

from __future__ import annotations

from bldr.cli.messages import page, visible
from bldr.cli.options import UsageError, nearest, parse
from bldr.cli.quantities import size
from bldr.cli.resultfile import to_json
from bldr.cli.verbs import CACHE
from bldr.errors import BuilderfileError
from bldr.sandbox.select import refuse_without_backend

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.cli.options import Parsed
    from bldr.store.cache import Cache, Collected, Statistics, Verified

__all__ = ["main"]

_MOST_NAMED = 20  # changed blobs that are named one by one


def main(arguments: Sequence[str]) -> int:
    """``bldr cache stats|gc|verify|clear|why``."""
    parsed = parse(CACHE, arguments)
    what = parsed.rest[0] if parsed.rest else ""
    if what not in CACHE.words:
        near = nearest(what, CACHE.words)
        raise UsageError(
            f"cache cannot {what!r}" if what else "cache needs to know what to do",
            hint=f"did you mean {near}?" if near else f"one of {', '.join(CACHE.words)}",
        )
    if len(parsed.rest) > (2 if what == "why" else 1):
        raise UsageError(f"cache {what} does not take {parsed.rest[-1]!r}", hint="bldr help cache")
    refuse_without_backend()
    from bldr.cli.cachedir import cache_directory
    from bldr.store.cache import Cache

    with Cache(cache_directory(parsed.last("dir"))) as cache:
        return _act(what, cache, parsed)


def _act(what: str, cache: Cache, parsed: Parsed) -> int:
    as_json = parsed.given("json")
    if what == "stats":
        counted = cache.statistics()
        page(to_json(counted.to_dict()) if as_json else _statistics(counted))
        return 0
    if what == "gc":
        from bldr.store.cache import DEFAULT_SIZE

        given = parsed.last("size")
        collected = cache.collect(DEFAULT_SIZE if given is None else size(given, "--size"))
        page(to_json(collected.to_dict()) if as_json else _collected(collected))
        return 0
    if what == "verify":
        verified = cache.verify()
        page(to_json(verified.to_dict()) if as_json else _verified(verified))
        return 1 if verified.corrupt else 0
    if what == "clear":
        freed = cache.clear()
        page(to_json({"freed": freed}) if as_json else f"removed {_bytes(freed)}\n")
        return 0
    from bldr.cli.diagnostics import complain_of
    from bldr.cli.why import explain

    try:
        page(explain(cache, parsed.rest[1] if len(parsed.rest) > 1 else "", as_json=as_json))
    except BuilderfileError as error:
        return complain_of(error)
    return 0


def _statistics(counted: Statistics) -> str:
    lines = [
        f"directory    {visible(counted.directory)}",
        f"results      {counted.results}, used {counted.hits} times",
        f"blobs        {counted.blobs}, {_bytes(counted.size)} on the disk",
        f"files known  {counted.files}",
    ]
    if counted.quarantined:
        lines.append(f"quarantine   {counted.quarantined} blobs that were changed")
    return "\n".join(lines) + "\n"


def _collected(collected: Collected) -> str:
    return (
        f"removed {collected.results} results and {collected.blobs} blobs, {_bytes(collected.freed)};"
        f" {_bytes(collected.left)} are left\n"
    )


def _verified(verified: Verified) -> str:
    lines = [f"{verified.blobs} blobs, {len(verified.corrupt)} of them changed, {verified.dropped} results dropped"]
    lines += [f"  {name}" for name in verified.corrupt[:_MOST_NAMED]]
    return "\n".join(lines) + "\n"


def _bytes(count: int) -> str:
    from bldr.report.units import size_text

    return size_text(count)
