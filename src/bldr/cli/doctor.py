"""``bldr doctor``: what this host can enforce, how it was tried, and how to raise it."""

from __future__ import annotations

from bldr.cli.messages import has_colour, page, visible
from bldr.cli.options import parse
from bldr.cli.tables import BAD, DOUBTFUL, GOOD, PLAIN, aligned, coloured
from bldr.cli.verbs import DOCTOR
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.sandbox.probe import Finding, HostReport

__all__ = ["LowerRung", "main", "render", "to_dict"]

_SCHEMA = 1
_STDOUT = 1
_PATIENCE = 60  # seconds
_WITNESS = ("/bin/true",)
_WHOLE = "whole sandbox"
_LOWER = "no namespaces"


@value
class LowerRung:
    """What a sandbox without namespaces was like.

    Args:
        enforced: The guarantees of the hermetic profile that it enforced.
        accept: The guarantees that have to be accepted to get it.
        detail: By what, for people.
        cause: Why it failed; empty when it did not.
        remedy: What would change that.
    """

    enforced: tuple[str, ...] = ()
    accept: tuple[str, ...] = ()
    detail: str = ""
    cause: str = ""
    remedy: str = ""

    @property
    def works(self) -> bool:
        """Whether a command ran in it."""
        return bool(self.enforced)


def main(arguments: Sequence[str]) -> int:
    """``bldr doctor``; 0 when hermetic builds are possible here, else 1."""
    parsed = parse(DOCTOR, arguments)
    from bldr.sandbox.probe import probe_host

    report = probe_host()
    whole = _whole_sandbox()
    lower = _lower_rung()
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(to_dict(report, whole, lower)))
    else:
        page(render(report, whole, lower, colours=has_colour(_STDOUT)))
    return 1 if report.obstacles or any(whole) else 0


def _whole_sandbox() -> tuple[str, str, str]:
    """Run a command in a sandbox with everything.

    Returns:
        Three empty strings when it was hermetic, else the cause, the remedy and the code.
    """
    import sys

    from bldr.errors import BldrError
    from bldr.execution.executor import HermeticExecutor
    from bldr.model.spec import SandboxSpecBuilder

    try:
        executor = HermeticExecutor.create(SandboxSpecBuilder.create().with_toolchain("system").build())
        result = executor.execute(_WITNESS, timeout=_PATIENCE, stdout="discard", stderr="discard")
    except BldrError as error:
        return error.message, error.hint, error.code
    if not result.success:
        return f"the command 'true' ended with status {result.exit_code} in the sandbox of {sys.platform}", "", ""
    if not result.hermetic:
        return f"the sandbox lacked {', '.join(result.receipt.missing)}", "", "sandbox.guarantee-unavailable"
    return "", "", ""


def _lower_rung() -> LowerRung:
    """Run a command in a sandbox without namespaces, which is what a host that refuses them can have."""
    from bldr.errors import BldrError
    from bldr.execution.executor import HermeticExecutor
    from bldr.model.receipt import Guarantee
    from bldr.model.spec import SandboxSpecBuilder
    from bldr.sandbox.select import lower_backend_for, weaker_guarantees

    try:
        backend = lower_backend_for(SandboxSpecBuilder.create().with_toolchain("system").build())
        result = HermeticExecutor(backend).execute(_WITNESS, timeout=_PATIENCE, stdout="discard", stderr="discard")
    except BldrError as error:
        return LowerRung(cause=error.message, remedy=error.hint)
    if not result.success:
        return LowerRung(cause=f"the command 'true' ended with status {result.exit_code}")
    enforced = tuple([name for name in Guarantee.PROFILE if result.receipt.record(name).enforced])
    return LowerRung(enforced, weaker_guarantees(), result.receipt.backend.removeprefix("linux-"))


def to_dict(report: HostReport, whole: tuple[str, str, str], lower: LowerRung) -> dict[str, object]:
    """Return the report for JSON. Keys are only added within one ``schema``."""
    return {
        "schema": _SCHEMA,
        "hermetic_builds_possible": not report.obstacles and not any(whole),
        "platform": report.platform,
        "host": dict(report.facts),
        "mechanisms": [finding.to_dict() for finding in report.findings],
        "sandbox": {"cause": whole[0], "remedy": whole[1], "code": whole[2]},
        "without_namespaces": {
            "possible": lower.works,
            "enforced": list(lower.enforced),
            "allow_degraded": list(lower.accept),
            "cause": lower.cause,
            "remedy": lower.remedy,
        },
    }


def render(report: HostReport, whole: tuple[str, str, str], lower: LowerRung, *, colours: bool) -> str:
    """Return the report as people read it."""
    lines = [f"{name + ':':<18} {visible(text)}" for name, text in report.facts]
    rows = [("mechanism", "how it was tried", "result", "gives")]
    rows += [_row(finding) for finding in report.findings]
    rows.append((_WHOLE, "run 'true' in one", "failed" if any(whole) else "hermetic", "every guarantee"))
    outcome = f"works ({lower.detail})" if lower.works else "failed"
    rows.append((_LOWER, "run 'true' without any", outcome, ", ".join(lower.enforced) or "-"))
    title, *body = aligned(rows)
    lines += ["", title]
    for finding, line in zip(report.findings, body, strict=False):
        lines.append(coloured(line, _colour(finding), enabled=colours))
        if finding.cause:
            lines += _explained(finding.cause, finding.remedy)
    lines.append(coloured(body[-2], BAD if any(whole) else GOOD, enabled=colours))
    if any(whole):
        lines += _explained(whole[0], whole[1])
    lines.append(coloured(body[-1], GOOD if lower.works else DOUBTFUL, enabled=colours))
    if not lower.works:
        lines += _explained(lower.cause, lower.remedy)
    lines += ["", _verdict(report, whole)]
    if lower.works and (report.obstacles or any(whole)):
        lines.append(f"A weaker sandbox is possible: bldr run --allow-degraded {','.join(lower.accept)} ...")
    return "\n".join(lines) + "\n"


def _row(finding: Finding) -> tuple[str, str, str, str]:
    from errno import errorcode

    result = errorcode.get(finding.errno, "") if finding.errno else finding.outcome
    if finding.detail and not finding.errno:
        result += f" ({visible(finding.detail)})"
    return finding.mechanism, finding.method, result or finding.outcome, ", ".join(finding.guarantees) or "-"


def _colour(finding: Finding) -> str:
    from bldr.sandbox.probe import Outcome

    if finding.outcome == Outcome.WORKS:
        return GOOD
    if finding.outcome == Outcome.MISSING:
        return BAD if finding.needed else DOUBTFUL
    return PLAIN


def _explained(cause: str, remedy: str) -> list[str]:
    lines = [f"    cause: {visible(cause)}"]
    if remedy:
        lines.append(f"    fix:   {visible(remedy)}")
    return lines


def _verdict(report: HostReport, whole: tuple[str, str, str]) -> str:
    if report.obstacles:
        return f"Hermetic builds are impossible here: {report.obstacles[0].cause}."
    if any(whole):
        return f"Hermetic builds are impossible here: {visible(whole[0])}."
    return "Hermetic builds are possible here."
