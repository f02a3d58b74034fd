"""Prove what was learned: run the command in exactly that, add what it misses, and take away what it does not use."""

from __future__ import annotations

import os

from bldr.errors import LearnError
from bldr.explain.causes import causes
from bldr.learn.observation import within_any
from bldr.learn.owners import may_be_shown, outermost
from bldr.learn.watching import try_in
from bldr.model.paths import is_within, parent
from bldr.model.value import replace
from bldr.trace.denials import is_denied
from bldr.trace.unused import unused_inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bldr.explain.host import Host
    from bldr.learn.learned import Learned
    from bldr.learn.watching import Start, Watched

__all__ = ["additions", "prove"]

_MOST_TRIES = 8
_NAMED = 100  # the rank of what a message names
_TAIL = 65536  # bytes of messages that are searched


def prove(
    learned: Learned,
    seen: Watched,
    start: Start,
    host: Host,
    *,
    workspaces: Sequence[str],
    scratch: str,
    tell: Callable[[str], None],
) -> Learned:
    """Return the smallest of what was learned in which the command does what it did when it was watched.

    Args:
        learned: What is to be proven.
        seen: How the command ended when it was watched.
        start: Runs the command, traced and with its messages captured.
        host: What is there.
        workspaces: What may be made writable.
        scratch: An empty directory, for outputs.
        tell: Is told what was missing and what is taken away.

    Raises:
        LearnError: It does not succeed, and nothing is known that it misses.
    """
    proven: Learned | None = None
    for number in range(_MOST_TRIES):
        done = _try(learned, start, f"{scratch}/{number}")
        why = _difference(learned, done, seen)
        if not why:
            unused = set(unused_inputs(done.trace, learned.spec()))
            proven = replace(learned, proven=True)
            if not unused:
                if other := _other_names(done, seen):
                    tell(other)
                return proven
            for path in sorted(unused):
                tell(f"not used: {path}")
            learned = learned.with_files(inputs=tuple([one for one in learned.files.inputs if one not in unused]))
            continue
        if proven is not None:
            tell(f"it is needed all the same: {why}")
            return proven
        more = additions(learned, done, seen, host, workspaces)
        if more is None:
            break
        larger, missing = more
        for path in missing:
            tell(f"it was missing: {path}")
        learned = larger
    if proven is not None:
        return proven
    raise LearnError(
        f"the command does not do in the learned sandbox what it did when it was watched: {why}",
        code="learn.unproven",
        hint="without --tighten it is written down as it was seen; bldr explain tells of a run that fails",
    )


def _try(learned: Learned, start: Start, scratch: str) -> Watched:
    """Run the command: new outputs are written to scratch directories, those that are there lie under an overlay."""
    elsewhere: dict[str, str] = {}
    for number, path in enumerate(learned.files.outputs):
        elsewhere[path] = f"{scratch}/{number}" if path in learned.files.made else ""
        if elsewhere[path]:
            os.makedirs(elsewhere[path])
    spec = learned.spec(elsewhere=elsewhere)
    trees = {inside: there for inside, there in elsewhere.items() if there}
    return try_in(spec, start, learned.directory, trees=trees)


def _difference(learned: Learned, done: Watched, seen: Watched) -> str:
    """Say how an execution differs from the one that was watched; empty when it does not.

    Names of single files do not count: many build tools choose some of them at random.
    """
    if done.result.exit_code != seen.result.exit_code:
        return f"it ended with status {done.result.exit_code} instead of {seen.result.exit_code}"
    for output in (*learned.files.outputs, *learned.files.remade):
        if not any(is_within(one, output) for one in done.files) and any(is_within(one, output) for one in seen.files):
            return f"it made nothing in {output}"
    return ""


def _other_names(done: Watched, seen: Watched) -> str:
    """Say which files one of two executions made and the other one did not; empty for none."""
    missing, more = sorted(set(seen.files) - set(done.files)), sorted(set(done.files) - set(seen.files))
    found = [f"{one[0]} and {len(one) - 1} others" if len(one) > 1 else one[0] for one in (missing, more) if one]
    return f"it made other files than before, by name: {'; '.join(found)}" if found else ""


def additions(
    learned: Learned, failed: Watched, before: Watched, host: Host, workspaces: Sequence[str]
) -> tuple[Learned, tuple[str, ...]] | None:
    """Return what was learned with what a failed execution missed, and the paths of that; ``None`` for nothing.

    A directory that the command wants to make itself comes first, then what its messages name, one path at a time,
    then everything that was there when it was watched. Nothing broad and nothing with secrets in it is ever added.

    Args:
        learned: In what it failed.
        failed: How.
        before: How it did when it was watched.
        host: What is there.
        workspaces: Outside of them nothing is made writable.
    """
    for reads, writes in _missed(learned, failed, before, host):
        shown = [path for path in reads if not _is_broad(path, host)]
        opened = [one for one in map(parent, writes) if any(is_within(one, other) for other in workspaces)]
        larger = _enlarged(learned, shown, opened, dropped=writes)
        if larger != learned:
            return larger, tuple(dict.fromkeys((*shown, *opened)))
    return None


def _missed(
    learned: Learned, failed: Watched, before: Watched, host: Host
) -> Iterator[tuple[Sequence[str], Sequence[str]]]:
    """Yield what may have been missed, the likeliest first: what is to be read, and what is to be written."""
    spec, made = learned.spec(), learned.files.made
    events = failed.trace.events
    yield (), [one.subject for one in events if one.call.startswith("mkdir") and one.entry and one.subject in made]
    found = causes(failed.result, spec, host, failed.result.stderr[-_TAIL:])
    for cause in found:
        if cause.rank >= _NAMED and cause.kind in ("read", "execute", "library", "write") and cause.subject:
            # What was to be made although it is there on the host was looked for first.
            is_write = cause.kind == "write" and not host.has(cause.subject)
            yield ((), (cause.subject,)) if is_write else ((cause.subject,), ())
    there = {event.subject for event in before.trace.events if not event.errno}
    denied = [one for one in events if not one.own and is_denied(one, spec, is_there=host.has)]
    missed = [one for one in denied if one.subject in there]
    yield [one.subject for one in missed if one.kind in ("read", "execute", "list")], ()
    yield [one.subject for one in missed if one.kind == "look"], ()
    yield (), [one.target or one.subject for one in denied if one.kind in ("write", "delete", "rename", "link")]


def _is_broad(path: str, host: Host) -> bool:
    return within_any(path, ("/dev", "/proc", "/sys")) or (host.is_directory(path) and not may_be_shown(path, host))


def _enlarged(learned: Learned, reads: Sequence[str], opened: Sequence[str], *, dropped: Sequence[str]) -> Learned:
    """Return the same with further inputs and overlays; outputs that the command makes itself are none any more."""
    files = learned.files
    outputs = tuple([one for one in files.outputs if one not in dropped])
    overlays = tuple([one for one in outermost({*files.overlays, *opened}) if one not in outputs])
    inputs = outermost({*files.inputs, *reads})
    return learned.with_files(
        inputs=tuple([one for one in inputs if not within_any(one, overlays)]),
        overlays=overlays,
        outputs=outputs,
        made=tuple([one for one in files.made if one in outputs]),
        remade=(*files.remade, *[one for one in files.made if one in dropped]),
    )
