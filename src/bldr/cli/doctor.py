"""``bldr doctor``: what this host can enforce, how it was tried, and how to raise it."""

from __future__ import annotations

from bldr.cli.messages import has_colour, page, visible
from bldr.cli.options import parse
from bldr.cli.tables import BAD, DOUBTFUL, GOOD, PLAIN, aligned, coloured
from bldr.cli.verbs import DOCTOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from bldr.sandbox.probe import Finding, HostReport

__all__ = ["main", "render", "to_dict"]

_SCHEMA = 1
_STDOUT = 1
_PATIENCE = 60  # seconds
_WITNESS = ("/bin/true",)
_WHOLE = "whole sandbox"


def main(arguments: Sequence[str]) -> int:
    """``bldr doctor``; 0 when hermetic builds are possible here, else 1."""
    parsed = parse(DOCTOR, arguments)
    if parsed.given("help"):
        from bldr.cli.help import verb_page

        page(verb_page(DOCTOR))
        return 0
    from bldr.sandbox.probe import probe_host

    report = probe_host()
    whole = _whole_sandbox()
    possible = not report.obstacles and not any(whole)
    if parsed.given("json"):
        from bldr.cli.resultfile import to_json

        page(to_json(to_dict(report, whole)))
    else:
        page(render(report, whole, colours=has_colour(_STDOUT)))
    return 0 if possible else 1


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


def to_dict(report: HostReport, whole: tuple[str, str, str]) -> dict[str, object]:
    """Return the report for JSON. Keys are only added within one ``schema``."""
    return {
        "schema": _SCHEMA,
        "hermetic_builds_possible": not report.obstacles and not any(whole),
        "platform": report.platform,
        "host": dict(report.facts),
        "mechanisms": [finding.to_dict() for finding in report.findings],
        "sandbox": {"cause": whole[0], "remedy": whole[1], "code": whole[2]},
    }


def render(report: HostReport, whole: tuple[str, str, str], *, colours: bool) -> str:
    """Return the report as people read it."""
    lines = [f"{name + ':':<18} {visible(text)}" for name, text in report.facts]
    rows = [("mechanism", "how it was tried", "result", "gives")]
    rows += [_row(finding) for finding in report.findings]
    rows.append((_WHOLE, "run 'true' in one", "failed" if any(whole) else "hermetic", "every guarantee"))
    title, *body = aligned(rows)
    lines += ["", title]
    for finding, line in zip(report.findings, body, strict=False):
        lines.append(coloured(line, _colour(finding), enabled=colours))
        if finding.cause:
            lines += _explained(finding.cause, finding.remedy)
    lines.append(coloured(body[-1], BAD if any(whole) else GOOD, enabled=colours))
    if any(whole):
        lines += _explained(whole[0], whole[1])
    lines += ["", _verdict(report, whole)]
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
