"""Builds made by hand: one of a C program that fails in a test, a hostile one, one of nothing."""

from __future__ import annotations

from bldr.builderfile.label import Label
from bldr.engine.action import Action
from bldr.engine.outcome import Outcome, Status
from bldr.engine.result import BuildResult
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult, ResourceUsage

__all__ = ["empty_build", "failed_build", "hostile_build", "large_build"]

RECEIPT = Receipt(
    tuple([GuaranteeRecord(name, True, ("mount-namespace",), True) for name in Guarantee.PROFILE]), "linux-namespaces"
)
APP = Label("", "app")
WARNING = b"/workspace/src/b.c:3:7: warning: unused variable 'x'\n"
ERROR = b"/workspace/src/t.c:9: assertion `1 + 1 == 3' failed\n"


def ran(
    action: Action,
    began: float,
    ended: float,
    *,
    status: str = Status.BUILT,
    reason: str = "it was not built yet",
    printed: bytes = b"",
    exit_code: int = 0,
    problem: str = "",
    hint: str = "",
) -> Outcome:
    usage = ResourceUsage(ended - began, (ended - began) * 0.8, peak_memory=48 << 20, measured_by="cgroup")
    result = ExecutionResult(
        action.argv,
        exit_code,
        stdout=printed,
        usage=usage,
        receipt=RECEIPT,
        cached=status == Status.CACHED,
        action="ab" * 32,
        started_at=1_700_000_000.0,
    )
    return Outcome(action, status, reason, problem, hint, "", result, None, 100 + began, 100 + ended)


def action(name: str, *argv: str, target: Label = APP, mnemonic: str = "Compile") -> Action:
    return Action(target, name, argv, outputs=(f"out/{name.rpartition(' ')[2]}",), mnemonic=mnemonic)


def failed_build() -> BuildResult:
    """Seven actions on two lanes: everything that can become of one."""
    test = Label("src", "t")
    outcomes = (
        ran(action("compile src/a.c", "cc", "-c", "src/a.c"), 0.5, 2.5),
        ran(action("compile src/b.c", "cc", "-c", "src/b.c"), 0.5, 1.25, reason="src/b.c changed", printed=WARNING),
        Outcome(action("compile src/c.c", "cc", "-c", "src/c.c"), Status.UP_TO_DATE),
        ran(action("link bin/app", "cc", "-o", "bin/app"), 2.5, 3.0, reason="out/a.c changed"),
        ran(action("compile src/t.c", "cc", "-c", "src/t.c", target=test), 1.25, 1.3, status=Status.CACHED),
        ran(
            action("run the test", "src/t", target=test, mnemonic="Test"),
            3.0,
            4.0,
            status=Status.FAILED,
            printed=ERROR,
            exit_code=134,
            problem="the command 'src/t' ended with status 134",
            hint="mend it",
        ),
        Outcome(action("pack bin/all.tar", "tar"), Status.SKIPPED),
    )
    needs = ((), (), (), (0, 1, 2), (), (3, 4), (3, 5))
    return BuildResult(
        "/home/me/p",
        "build",
        ("app", "//src:t"),
        ("//:app", "//src:t"),
        outcomes,
        needs,
        2,
        1,
        False,
        1_700_000_000.0,
        100.0,
        104.25,
    )


def hostile_build(words: tuple[str, ...]) -> BuildResult:
    """Every text that a stranger can choose is one of some words."""
    outcomes = []
    for number, word in enumerate(words):
        label = Label("", "t")
        one = Action(label, word, (word, word), outputs=(word,), mnemonic="Custom")
        status = Status.FAILED if number % 2 else Status.BUILT
        printed = word.encode("utf-8", "surrogateescape") * 3
        outcomes.append(
            ran(
                one,
                number * 0.1,
                number * 0.1 + 0.1,
                status=status,
                reason=word,
                printed=printed,
                exit_code=number % 2,
                problem=word,
                hint=word,
            )
        )
    needs = tuple([() if number < 2 else (number - 2,) for number in range(len(words))])
    return BuildResult("/ws/" + words[0], "build", words, words, tuple(outcomes), needs, 3, 1, True, 1.0, 100.0, 107.0)


def large_build(count: int) -> BuildResult:
    """Many actions on four lanes, half of them in chains."""
    outcomes = tuple(
        [
            ran(action(f"compile src/{number}.c", "cc", f"src/{number}.c"), number // 4 * 0.1, number // 4 * 0.1 + 0.1)
            for number in range(count)
        ]
    )
    needs = tuple([(number - 4,) if number >= 4 and number % 2 else () for number in range(count)])
    return BuildResult("/ws", "build", (), ("//:app",), outcomes, needs, 4, 0, False, 1.0, 100.0, 100 + count / 40)


def empty_build() -> BuildResult:
    """Nothing was there to do."""
    return BuildResult("/ws", "build", started_at=1_700_000_000.0, began=100.0, ended=100.0)
