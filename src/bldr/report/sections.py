"""The sections of a page that are words and tables."""

from __future__ import annotations

from bldr.report.charts import bar
from bldr.report.markup import clipped, folded, note, section, table, text
from bldr.report.units import count_text, share_text, size_text, time_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bldr.model.receipt import GuaranteeRecord
    from bldr.model.result import ExecutionResult, Violation
    from bldr.model.spec import SandboxSpec
    from bldr.model.timeline import ProcessRecord, ProcessSnapshot

__all__ = [
    "declared", "enforced", "environment", "figures", "guarantees", "limits", "post_mortem", "processes", "seen",
    "steps", "violations",
]  # fmt: skip

_ROWS = 500  # of a table
_WORDS = 400  # characters of a command in a table
_VALUE = 2000  # characters of a variable
_DEEPEST = 24  # levels of a tree of processes that are told apart
_NONE = '<span class="off">&ndash;</span>'
_STATES = {
    "R": "runs",
    "S": "sleeps",
    "D": "waits for a device",
    "T": "is stopped",
    "t": "is traced",
    "Z": "has ended",
    "I": "is idle",
}


def figures(result: ExecutionResult) -> str:
    """The usage in large numbers; what was not measured is left out."""
    usage = result.usage
    items: list[tuple[str, str, str]] = [
        ("Wall time", time_text(usage.wall_time), f"{time_text(result.duration)} with set-up and clean-up"),
        (
            "CPU time",
            time_text(usage.cpu_time),
            f"{time_text(usage.user_time)} user, {time_text(usage.system_time)} system",
        ),
    ]
    if usage.peak_memory is not None:
        whole = usage.measured_by in ("cgroup", "sampling")
        items.append(
            ("Peak memory", size_text(usage.peak_memory), "of all processes" if whole else "of the largest process")
        )
    if usage.processes is not None:
        peak = "" if usage.peak_processes is None else f"{count_text(usage.peak_processes)} tasks at one time"
        items.append(("Processes", count_text(usage.processes), peak))
    if usage.disk_read is not None:
        items.append(("Read from disk", size_text(usage.disk_read), ""))
    if usage.disk_write is not None:
        items.append(("Written to disk", size_text(usage.disk_write), ""))
    if usage.context_switches is not None:
        items.append(("Context switches", count_text(usage.context_switches), ""))
    if usage.stalled is not None:
        items.append(("Stalled", time_text(usage.stalled), "waiting for CPU, memory or disk"))
    if usage.network is not None:
        items.append(("Network", size_text(usage.network), ""))
    cells = "\n".join(
        f"<div><dt>{text(name)}</dt><dd>{text(number)}<small>{text(remark)}</small></dd></div>"
        for name, number, remark in items
    )
    told = {
        "cgroup": "the cgroup",
        "sampling": "samples of the processes",
        "rusage": "the kernel's account of the command",
    }
    by = told.get(usage.measured_by, usage.measured_by)
    return f'<dl class="figures">\n{cells}\n</dl>\n' + note(f"Measured by {by}." if by else "")


def violations(result: ExecutionResult) -> str:
    """The limits that were reached."""
    return section("Violations", *[_violation(one) for one in result.violations[:50]])


def _violation(one: Violation) -> str:
    written = _written(one.kind)
    process = f'<p class="mono">process {one.pid}: {text(" ".join(one.argv), _WORDS)}</p>' if one.pid else ""
    if one.kind in ("fork", "exec"):
        amounts = f"refused {count_text(one.actual)} times, first at {time_text(one.time)}"
    else:
        amounts = f"{written(one.actual)} of {written(one.limit)}, at {time_text(one.time)}"
    return (
        f'<div class="violation"><p><strong>{text(one.message, _VALUE)}</strong></p>'
        f"<p>{text(amounts)}</p>{process}</div>"
    )


def _written(kind: str) -> Callable[[float], str]:
    if kind in ("cpu_time", "wall_time", "timeout", "silence"):
        return time_text
    if kind in ("processes", "open_files", "max_children", "cpu_weight"):
        return count_text
    return share_text if kind == "cpus" else size_text


def post_mortem(result: ExecutionResult) -> str:
    """What was running just before bldr ended everything."""
    found = result.post_mortem
    if found is None:
        return ""
    depths = _depths(found.processes)
    rows = [
        (
            f'<span class="tree mono">{_indent(depths[one.pid])}{text(" ".join(one.argv), _WORDS) or "?"}</span>',
            str(one.pid),
            text(_STATES.get(one.state, one.state))
            + (f" in <code>{text(one.waits_in)}</code>" if one.waits_in else ""),
            text(size_text(one.memory)),
            text(time_text(one.cpu_time)),
        )
        for one in found.processes[:_ROWS]
    ]
    pressure = ", ".join(f"{name} {share_text(percent)} %" for name, percent in found.pressure)
    return section(
        "Post-mortem",
        table(
            f"The processes at {time_text(found.time)}, just before they were ended",
            ("command", "process", "state", "memory", "CPU time"),
            rows,
            numbers=(1, 3, 4),
        ),
        _left_out(len(found.processes)),
        note(f"Stalled in the last ten seconds: {pressure}." if pressure else ""),
    )


def _depths(snapshots: Sequence[ProcessSnapshot]) -> dict[int, int]:
    """How deep each process lies; parents come before their children."""
    depths: dict[int, int] = {}
    for one in snapshots:
        depths[one.pid] = min(depths.get(one.parent, -1) + 1, _DEEPEST)
    return depths


def _indent(depth: int) -> str:
    return "  " * (depth - 1) + "└ " if depth else ""


def limits(result: ExecutionResult, spec: SandboxSpec | None, timeout: float | None, silence: float | None) -> str:
    """Each limit beside what was used of it."""
    usage = result.usage
    asked: list[tuple[str, float, float | None, str]] = []
    if spec is not None:
        read, write = usage.disk_read, usage.disk_write
        used = {
            "memory": usage.peak_memory,
            "cpu_time": usage.cpu_time,
            "processes": usage.peak_processes,
            "disk_io": None if read is None and write is None else (read or 0) + (write or 0),
            "network_io": usage.network,
        }
        for name in sorted(spec.limits.names_set):
            origin = "" if name in spec.limits.explicit else "default"
            asked.append((name, getattr(spec.limits, name), used.get(name), origin))
    if timeout is not None:
        asked.append(("timeout", timeout, usage.wall_time, ""))
    if silence is not None:
        asked.append(("silence", silence, None, ""))
    rows = [
        (
            text(name.replace("_", " ")),
            text(_written(name)(limit)),
            _NONE if used_up is None else text(_written(name)(used_up)),
            bar(used_up / limit) if used_up is not None and limit else "",
            f'<span class="off">{origin}</span>',
        )
        for name, limit, used_up, origin in asked
    ]
    return section(
        "Limits",
        table("What was allowed and what was used", ("limit", "allowed", "used", "", ""), rows, numbers=(1, 2)),
    )


def guarantees(result: ExecutionResult) -> str:
    """The receipt."""
    receipt = result.receipt
    rows = [
        (
            text(record.name),
            enforced(record),
            '<span class="yes">yes</span>' if record.verified else _NONE,
            text(record.detail, _WORDS),
        )
        for record in receipt.records
    ]
    return section(
        "Receipt",
        table(f"Backend: {receipt.backend or 'none'}", ("guarantee", "enforced by", "verified", ""), rows),
        *[note(remark) for remark in receipt.notes[:20]],
    )


def enforced(record: GuaranteeRecord) -> str:
    """What enforced a guarantee."""
    if record.enforced:
        return text(", ".join(record.enforced_by), _WORDS)
    return '<span class="no">nothing</span>' if record.asked else '<span class="off">not asked for</span>'


def seen(result: ExecutionResult) -> str:
    """What was blocked, read and written, where that is known."""
    denials = [
        (text(one.kind), f"<code>{text(one.subject, _WORDS)}</code>", text(one.message, _WORDS))
        for one in result.denials
    ]
    blocked = table("What the sandbox blocked", ("what", "on", ""), denials[:_ROWS])
    return (
        section(
            "Files",
            blocked,
            folded(
                f"{count_text(len(result.output_files))} files in the outputs",
                _paths("Output files", result.output_files),
            ),
            folded(f"{count_text(len(result.reads))} files were read", _paths("Files that were read", result.reads)),
        )
        if denials or result.output_files or result.reads
        else ""
    )


def _paths(caption: str, paths: Sequence[str]) -> str:
    rows = [(f"<code>{text(path, _WORDS)}</code>",) for path in paths[:_ROWS]]
    return table(caption, ("path",), rows) + _left_out(len(paths))


def declared(spec: SandboxSpec | None) -> str:
    """I, O, T and N."""
    if spec is None:
        return ""
    rows = []
    of_toolchain = 0
    for one in spec.declarations:
        if one.origin.startswith("toolchain"):
            of_toolchain += 1
            continue
        source = "" if one.host in ("", one.at) else f"<code>{text(one.host, _WORDS)}</code>"
        rows.append((text(one.role), f"<code>{text(one.at, _WORDS)}</code>", source, text(one.origin)))
    count = len(rows)
    if of_toolchain:
        rows.append(("input", f"{of_toolchain} places", "", f"toolchain {text(spec.toolchain)}"))
    endpoints = ", ".join(str(endpoint) for endpoint in spec.network.endpoints)
    return section(
        "Declared",
        table("Everything that the command could see", ("", "inside", "from", ""), rows[:_ROWS]),
        _left_out(count),
        note(f"Network: {clipped(endpoints, _VALUE) or 'nothing but a private loopback'}."),
        note(f"Host name {spec.hostname}, user and group {spec.uid}."),
    )


def environment(spec: SandboxSpec | None) -> str:
    """E."""
    if spec is None:
        return ""
    items = list(spec.environment.items())
    rows = [
        (f"<code>{text(name, _WORDS)}</code>", f"<code>{text(content, _VALUE)}</code>")
        for name, content in items[:_ROWS]
    ]
    return section(
        "Environment", table("Every variable of the command", ("name", "value"), rows), _left_out(len(items))
    )


def steps(described: Sequence[str]) -> str:
    """How the sandbox was made."""
    items = "\n".join(f"<li><code>{text(step, _WORDS)}</code></li>" for step in described[:_ROWS])
    content = f"<ol>\n{items}\n</ol>{_left_out(len(described))}"
    return section("Plan", folded(f"The {len(described)} steps that made the sandbox", content)) if described else ""


def processes(result: ExecutionResult) -> str:
    """Every process in numbers: what the picture shows, for who reads."""
    records: Sequence[ProcessRecord] = () if result.timeline is None else result.timeline.processes
    rows = [
        (
            str(one.pid),
            str(one.parent),
            f"<code>{text(' '.join(one.argv), _WORDS)}</code>",
            text(time_text(one.begun)),
            text(time_text(one.ended - one.begun)),
            text(time_text(one.cpu_time)),
            text(size_text(one.peak_memory)),
        )
        for one in records[:_ROWS]
    ]
    head = ("process", "parent", "command", "start", "seen for", "CPU time", "peak memory")
    content = folded(
        f"The {count_text(len(records))} processes in numbers",
        table("Processes in the order of their start", head, rows, numbers=(0, 1, 3, 4, 5, 6))
        + _left_out(len(records)),
    )
    return section("Processes", content) if rows else ""


def _left_out(count: int) -> str:
    return note(f"The first {_ROWS} of {count_text(count)}.") if count > _ROWS else ""
