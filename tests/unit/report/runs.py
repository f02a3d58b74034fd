"""Runs made by hand, for pages and traces: a build that was ended by its memory limit, and a hostile one."""

from __future__ import annotations

import math
import random

from bldr.model.limits import ResourceLimits
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import Denial, ExecutionResult, ResourceUsage, Termination, Violation
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.model.timeline import PostMortem, ProcessRecord, ProcessSnapshot, Sample, Timeline
from bldr.model.trace import Trace, TraceEvent
from bldr.report.html import Run

__all__ = ["HOSTILE", "build_run", "hostile_run", "tiny_run"]

GIB = 1 << 30
MIB = 1 << 20
HOSTILE = (
    "</script><script>document.title='broken'</script>",
    "<img src=x onerror=\"document.title='broken'\">",
    "'\"><svg/onload=alert(1)>",
    "<!--",
    "]]>",
    "\x1b[31mred\x07\x00",
    "caf\udce9",
    "\u202egnp.exe",
    "\u2028\u2029",
    "&lt;b&gt;",
    "{{7*7}}",
)


def spec() -> SandboxSpec:
    return (
        SandboxSpecBuilder.create()
        .carve()
        .with_toolchain("system")
        .input("/work/src")
        .output("/work/out")
        .temp("/tmp")
        .env("PATH", "/usr/bin:/bin")
        .env("LANG", "C.UTF-8")
        .env("CFLAGS", "-O2 -g -Wall")
        .with_limits(ResourceLimits.hermetic().merge(ResourceLimits(memory="1500M", cpus=2, open_files=4096)))
        .build()
    )


def receipt() -> Receipt:
    records = [GuaranteeRecord(name, True, ("mount-namespace", "landlock"), True) for name in Guarantee.PROFILE[:3]]
    records += [GuaranteeRecord(name, True, ("namespace",), True) for name in Guarantee.PROFILE[3:]]
    records += [
        GuaranteeRecord(Guarantee.MEMORY_LIMIT, True, ("cgroup",), detail="1572864000 bytes"),
        GuaranteeRecord(Guarantee.PROCESS_LIMIT, True, ("cgroup",), detail="128 processes and threads"),
        GuaranteeRecord(Guarantee.CPU_TIME_LIMIT, True, (), detail="nothing here counts it"),
        GuaranteeRecord(Guarantee.DISK_IO_LIMIT, False),
        GuaranteeRecord(Guarantee.WALL_TIMEOUT, True, ("supervisor",), detail="120 seconds"),
    ]
    return Receipt(tuple(records), "linux-namespaces", ("the kernel has no Landlock of version 8",))


def build_records(chance: random.Random) -> list[ProcessRecord]:
    records = [
        ProcessRecord(4100, 4099, ("make", "-j4", "-C", "/work/src", "O=/work/out"), 0.0, 21.4, 0.3, 9 * MIB),
        ProcessRecord(4101, 4100, ("sh", "-c", "./configure --prefix=/usr --disable-nls"), 0.1, 3.9, 0.8, 4 * MIB),
    ]
    pid, moment = 4102, 0.3
    for name in ("gcc", "grep", "sed", "gcc", "awk", "expr", "uname", "gcc"):
        length = chance.uniform(0.08, 0.6)
        records.append(
            ProcessRecord(
                pid, 4101, (f"/usr/bin/{name}", "conftest.c"), moment, moment + length, length * 0.7, 30 * MIB
            )
        )
        pid, moment = pid + 1, moment + length
    free = [4.0, 4.05, 4.1, 4.15]
    for number in range(44):
        slot = min(range(4), key=lambda index: free[index])
        begun = free[slot]
        length = chance.uniform(0.5, 2.6)
        ended = min(begun + length, 21.4)
        if begun >= 21:
            break
        source = f"module_{number}.c"
        records.append(
            ProcessRecord(
                pid, 4100, ("gcc", "-c", source, "-O2", "-o", f"/work/out/{source[:-2]}.o"), begun, ended, 0.02, 5 * MIB
            )
        )
        records.append(
            ProcessRecord(
                pid + 1,
                pid,
                ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", source),
                begun + 0.03,
                ended - 0.1,
                length * 0.9,
                380 * MIB,
            )
        )
        records.append(ProcessRecord(pid + 2, pid, ("as", "-o", source), ended - 0.1, ended, 0.05, 20 * MIB))
        pid += 3
        free[slot] = ended + 0.02
    return sorted(records, key=lambda one: one.begun)


def build_run() -> Run:
    chance = random.Random(7)
    records = build_records(chance)
    samples, cpu, read, write = [], 0.0, 0, 0
    for number in range(215):
        moment = number / 10
        alive = [one for one in records if one.begun <= moment <= one.ended]
        cpu += 0.1 * min(2.0, 0.45 * len(alive) + chance.uniform(0, 0.15))
        read += int(chance.expovariate(1 / (400 << 10)))
        write += int(chance.expovariate(1 / (150 << 10)) * (3 if moment > 4 else 0.2))
        memory = sum(one.peak_memory * 0.6 for one in alive) + 40 * MIB + 18 * MIB * math.sin(moment)
        memory += max(0, moment - 17) ** 2 * 60 * MIB
        samples.append(Sample(moment, cpu, min(int(memory), 1500 * MIB), len(alive), len(alive) + 2, read, write))
    worst = ("/usr/lib/gcc/x86_64-linux-gnu/12/cc1", "module_39.c")
    return Run(
        ExecutionResult(
            ("make", "-j4", "-C", "/work/src", "O=/work/out", "CFLAGS=-O2 -g"),
            124,
            Termination.LIMIT_REACHED,
            usage=ResourceUsage(
                21.43,
                cpu,
                cpu * 0.86,
                cpu * 0.14,
                1500 * MIB,
                read,
                write,
                len(records),
                17,
                48_211,
                1.7,
                measured_by="cgroup",
            ),
            violations=(
                Violation(
                    "memory",
                    "the memory limit of 1500 MiB was reached",
                    1500 * MIB,
                    1500 * MIB,
                    21.4,
                    records[-2].pid,
                    worst,
                ),
            ),
            denials=(Denial("read", "/usr/local/include/foo.h", "it is not an input"),),
            receipt=receipt(),
            output_files=tuple(f"/work/out/module_{number}.o" for number in range(31)),
            timeline=Timeline(0.1, tuple(samples), tuple(records)),
            post_mortem=PostMortem(
                21.4,
                (
                    ProcessSnapshot(
                        4100, 4099, ("make", "-j4", "-C", "/work/src", "O=/work/out"), "S", 9 * MIB, 0.3, "do_wait"
                    ),
                    ProcessSnapshot(4200, 4100, ("gcc", "-c", "module_39.c"), "S", 5 * MIB, 0.02, "do_wait"),
                    ProcessSnapshot(4201, 4200, worst, "R", 901 * MIB, 4.1),
                    ProcessSnapshot(4203, 4100, ("gcc", "-c", "module_40.c"), "S", 5 * MIB, 0.02, "do_wait"),
                    ProcessSnapshot(4204, 4203, ("cc1", "module_40.c"), "D", 410 * MIB, 1.4, "folio_wait_bit_common"),
                ),
                (("cpu", 12.5), ("memory", 63.2), ("io", 4.0)),
            ),
            started_at=1_700_000_000.0,
            duration=21.6,
        ),
        spec(),
        "/work/src",
        120.0,
        30.0,
        ("mount a new root", "show /work/src read-only", "show /work/out", "make /tmp", "change the root"),
        "0.1.0",
    )


def tiny_run() -> Run:
    """A command that was over before anybody looked."""
    return Run(
        ExecutionResult(
            ("true",),
            0,
            usage=ResourceUsage(0.002, 0.001, 0.001),
            receipt=Receipt((), "linux-namespaces"),
            duration=0.01,
        ),
        version="0.1.0",
    )


def hostile_run(processes: int = 20) -> Run:
    """Everything that the command can choose is an attempt to be markup, or very long."""
    argv = (*HOSTILE, "x" * 20_000)
    records = tuple(
        ProcessRecord(number, number - 1, argv, number / 10, number / 10 + 1.0, 0.5, number * MIB)
        for number in range(1, processes + 1)
    )
    samples = tuple(Sample(number / 10, number / 20, number * MIB, 1, 1) for number in range(processes))
    return Run(
        ExecutionResult(
            argv,
            1,
            usage=ResourceUsage(processes / 10, 1.0, measured_by="<b>"),
            violations=(Violation("<memory>", HOSTILE[0], 2, 1, 1.0, 3, argv),),
            denials=tuple(Denial(word, word, word) for word in HOSTILE),
            receipt=Receipt(
                (GuaranteeRecord(HOSTILE[0], True, (HOSTILE[1],), detail=HOSTILE[2]),), HOSTILE[3], HOSTILE
            ),
            output_files=tuple(f"/out/{word}" for word in HOSTILE) * processes,
            trace=Trace("full", (), tuple(TraceEvent("read", word, entry="file", argv=argv) for word in HOSTILE)),
            timeline=Timeline(0.1, samples, records),
            post_mortem=PostMortem(
                1.0, tuple(ProcessSnapshot(n, n - 1, argv, word[0], 1, 1.0, word) for n, word in enumerate(HOSTILE))
            ),
        ),
        SandboxSpecBuilder.create().env("X", HOSTILE[0]).build(),
        f"/{HOSTILE[0]}",
        steps=HOSTILE,
        version=HOSTILE[0],
    )
