"""What this host can enforce, found out by trying.

``probe_host`` tries each mechanism in child processes that are thrown away, and reports what came of it. It changes
nothing on the host and concludes nothing from a version or a setting.
"""

from __future__ import annotations

import sys

from bldr.model.value import value

__all__ = ["Finding", "HostReport", "Outcome", "probe_host"]


class Outcome:
    """What came of trying a mechanism."""

    WORKS = "works"
    MISSING = "missing"
    NOT_REACHED = "not reached"  # something that it builds on is missing
    NOT_NEEDED = "not needed"  # it makes no difference for this caller


@value
class Finding:
    """One mechanism that was tried.

    Args:
        mechanism: Its name.
        method: How it was tried, in a few words.
        outcome: One of ``Outcome``.
        errno: What the kernel answered when it is missing, else 0.
        detail: What else was learned, such as a version.
        guarantees: What depends on it.
        needed: Whether hermetic builds are impossible without it.
        cause: Why it is missing, one sentence.
        remedy: What would change that, one command or sentence.
        code: Stable identifier of the cause.
    """

    mechanism: str
    method: str
    outcome: str
    errno: int = 0
    detail: str = ""
    guarantees: tuple[str, ...] = ()
    needed: bool = False
    cause: str = ""
    remedy: str = ""
    code: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the finding for JSON."""
        return {name: _plain(getattr(self, name)) for name in _FINDING}


_FINDING = (
    "mechanism",
    "method",
    "outcome",
    "errno",
    "detail",
    "guarantees",
    "needed",
    "cause",
    "remedy",
    "code",
)


@value
class HostReport:
    """All findings, and the facts that people ask for first: system, user, container."""

    platform: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]

    @property
    def obstacles(self) -> tuple[Finding, ...]:
        """The findings that make hermetic builds impossible."""
        return tuple([found for found in self.findings if found.needed and found.outcome == Outcome.MISSING])


def probe_host() -> HostReport:
    """Try every mechanism of this platform."""
    if sys.platform == "linux":
        from bldr.sandbox.linux.probe import probe_linux

        return probe_linux()
    else:
        return _without_backend(sys.platform)


def _without_backend(platform: str) -> HostReport:
    missing = Finding(
        "sandbox",
        "look for a backend",
        Outcome.MISSING,
        needed=True,
        cause=f"bldr has no backend for {platform} yet",
        remedy="use Linux, for example in a virtual machine",
        code="sandbox.no-backend",
    )
    return HostReport("fallback", (("system", platform),), (missing,))


def _plain(content: object) -> object:
    return list(content) if isinstance(content, tuple) else content
