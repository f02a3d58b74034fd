"""What a run without namespaces would be weaker in, and how to ask for it.

Landlock confines what is read and written, but cannot take the host away: names stay visible, and so do its processes.
Nobody gets this unasked (docs/adr/0008): each guarantee that would be weaker has to be named.
"""

from __future__ import annotations

from bldr.model.receipt import Guarantee

__all__ = ["FIRST_ABI", "SCOPING_ABI", "hint_with_offer", "landlock_abi", "weaker_guarantees"]

FIRST_ABI = 3
"""Before (Linux 6.2) truncate(2) goes past the rules, so that inputs would not be read-only."""
SCOPING_ABI = 6
"""Before (Linux 6.12) the command can signal every process of its user, init included."""

_WEAKER = (
    Guarantee.READS_CONFINED,
    Guarantee.PROCESSES_ISOLATED,
    Guarantee.HOST_IDENTITY_HIDDEN,
)


def weaker_guarantees(abi: int) -> tuple[str, ...]:
    """Return the guarantees that are weaker than in namespaces, or not enforced at all, with an ABI."""
    without_scopes = (Guarantee.NO_SURVIVORS,) if abi < SCOPING_ABI else ()
    return tuple([name for name in Guarantee.ALL if name in (*_WEAKER, *without_scopes)])


def landlock_abi() -> int:
    """Return the Landlock ABI of this kernel; 0 when it has none or a filter denies it."""
    from _bldr_launcher import syscalls

    try:
        return syscalls.landlock_version()
    except OSError:
        return 0


def hint_with_offer(hint: str) -> str:
    """Add to the remedy of missing namespaces what can be had without them; the names can be pasted."""
    abi = landlock_abi()
    if abi < FIRST_ABI:
        return hint
    offer = f"accept less, enforced by Landlock: --allow-degraded {','.join(weaker_guarantees(abi))}"
    return f"{hint}; or {offer}" if hint else offer
