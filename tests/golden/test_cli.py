"""What the command line prints, word for word.

``BLDR_UPDATE_GOLDEN=1 pytest tests/golden`` rewrites the files; the difference is for a reviewer to read.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.cli import doctor, plan, receipt
from bldr.cli.catalogue import VERBS
from bldr.cli.completion import script
from bldr.cli.help import overview, verb_page
from bldr.cli.main import main
from bldr.cli.options import Verb, parse
from bldr.cli.request import request
from bldr.cli.resultfile import to_json
from bldr.cli.settings import Settings
from bldr.cli.verbs import PLAN, SHELLS
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, ResourceUsage
from bldr.sandbox.linux.facts import HostFacts
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.probe import findings_of
from bldr.sandbox.probe import HostReport
from bldr.sandbox.resolve import resolve
from tests.property.plan_hosts import MemoryHost

FILES = Path(__file__).parent / "cli"

# Each is typed in /, with no settings and standard input from nowhere.
MISTAKES = (
    "rnu -- true",
    "attest",
    "-v run true",
    "run",
    "run --inptu . -- make",
    "run -input . -- make",
    "run -z make",
    "run -vz make",
    "run --verbose=yes make",
    "run --timeout",
    "run -i -- make",
    "run --timeout soon true",
    "run --timeout 0 true",
    "run --memory 4GB true",
    "run --processes few true",
    "run --uid root true",
    "run -e UNSET_VARIABLE true",
    "run -i :/src true",
    "run --json - true",
    "run --allow-host 127.0.0.1:80 true",
    "run --allow-host * true",
    "run --allow-host 10.0.0.0/8 true",
    "run --allow-host example.com --require no-network true",
    "run --memory 1G true",
    "run --processes 10 true",
    "run --toolchain gcc true",
    "run --require no-newtork true",
    "run --require no-network=firewall true",
    "run --require memory-limit true",
    "run --allow-degraded everything true",
    "run --hostname -x- true",
    "run -e =x true",
    "run -i /out/src -o /out true",
    "run -i /:/.. true",
    "run -i /no/such/input true",
    "run -i /usr -t /usr/share/../share true",
    "run --toolchain none -i /proc true",
    "plan --json=x",
    "shell",
    "doctor now",
    "completion",
    "completion bsh",
    "help rnu",
)


def check(name: str, text: str) -> None:
    file = FILES / name
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_help_pages(verb: Verb) -> None:
    check(f"help-{verb.name}.txt", verb_page(verb))


def test_overview() -> None:
    check("help.txt", overview())


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_scripts(shell: str) -> None:
    check(f"completion.{shell}", script(shell))


@pytest.mark.needs("user-namespaces")
def test_mistakes(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, host_dir: Path) -> None:
    for name in list(os.environ):
        if name.startswith("BUILDER_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(host_dir)
    told = []
    for line in MISTAKES:
        status = main(line.split(" "))
        out, err = capfd.readouterr()
        assert out == ""
        told.append(f"$ bldr {line}\n{err}[{status}]\n")

    check("mistakes.txt", "\n".join(told))


def test_receipts() -> None:
    records = [GuaranteeRecord(name, True, ("mount-namespace", "landlock"), True) for name in Guarantee.PROFILE]
    records[3] = GuaranteeRecord(Guarantee.NO_NETWORK, asked=True, detail="the reason")
    records[-1] = GuaranteeRecord(Guarantee.ENVIRONMENT_SCRUBBED, True, ("execve",), detail="5 variables")
    records.append(GuaranteeRecord(Guarantee.MEMORY_LIMIT, asked=False, detail="the default is not enforced"))
    result = ExecutionResult(
        ("make",),
        2,
        usage=ResourceUsage(12.345, 20.5, 18.0, 2.5, 123 << 20),
        receipt=Receipt(tuple(records), "linux-namespaces", ("what people should know",)),
    )

    check("receipt.txt", receipt.render(result, colours=False))


def test_doctor_in_a_container() -> None:
    facts = HostFacts(
        kernel="6.1.0-18-amd64",
        uid=0,
        capabilities=0xA80425FB,
        seccomp=2,
        container="docker",
        covered_proc=("/proc/kcore",),
        interpreter="/usr/bin/python3.11",
    )
    trials = (
        "user-namespace\t1\t\nclone3\t38\t\npidfd\tworks\t\nclose-range\tworks\t\nopenat2\tworks\t\n"
        "no-new-privileges\tworks\t\nseccomp\tworks\t\nseccomp-notify\tworks\t\nlandlock\tworks\tABI 2\n"
        "cgroup\tworks\tread-only 30  /sys/fs/cgroup\npressure\tworks\t\n"
    )
    report = HostReport(
        "linux-namespaces", (("kernel", facts.kernel), ("container", "docker")), findings_of(trials, facts)
    )
    whole = (
        "the seccomp filter denies it",
        "docker run --security-opt seccomp=unconfined ...",
        "sandbox.userns-denied",
    )

    lower = doctor.LowerRung(
        ("writes-confined", "inputs-read-only", "no-network"), ("reads-confined", "processes-isolated"), "landlock"
    )

    check("doctor.txt", doctor.render(report, whole, lower, colours=False))
    check("doctor.json", to_json(doctor.to_dict(report, whole, lower)))


def test_plans() -> None:
    host = MemoryHost({"/w/src/main.c": "file", "/w/out": "dir", "/w/caf\udce9 au lait": "file", "/data": "dir"})
    arguments = (
        "--toolchain none -i . -o out -i /data:/srv/data -t scratch -e CC=gcc --hostname box --timeout 90 --cpu-time 1h "
        "--file-size 1G --require no-network=network-namespace --allow-degraded syscalls-filtered --cwd /w"
    )
    parsed = parse(PLAN, [*arguments.split(), "--", "make", "all targets"])
    asked = request(parsed, Settings(), "/w", {})
    steps = compile_plan(resolve(asked.spec, host=host)).describe()

    check("plan.txt", plan.render(asked, parsed.rest, steps))
    check("plan.json", to_json(plan.to_dict(asked, parsed.rest, steps)))
