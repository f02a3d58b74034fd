"""What a build says while it goes on, with a clock and a region of the test's own."""

from __future__ import annotations

import itertools
import os
import signal

import pytest

from bldr.builderfile.label import Label
from bldr.cli import progress_of_builds
from bldr.cli.options import UsageError, parse
from bldr.cli.progress_of_builds import Live, Plain, Progress, Silent, Stopping, Terse, mode_of
from bldr.cli.verbs_of_builds import BUILD
from bldr.engine.action import Action
from bldr.engine.graph import Graph
from bldr.engine.outcome import Outcome, Status
from bldr.engine.scheduler import Stop
from bldr.model.result import ExecutionResult
from bldr.report.region import Region, View

ACTIONS = tuple(Action(Label("", "app"), f"compile {name}.c", ("cc", f"{name}.c")) for name in "abc")
GRAPH = Graph(ACTIONS, ((), (), ()), {}, ((), (), ()), {})


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Drawn(Region):
    """Notes what is drawn, and that it makes way before anything is said."""

    def __init__(self, told: list[object]) -> None:
        self.told = told

    def show(self, view: View) -> None:
        self.told.append(view)

    def clear(self) -> None:
        self.told.append("clear")

    def close(self) -> None:
        self.told.append("close")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    found: list[object] = []
    monkeypatch.setattr(progress_of_builds, "say_in", lambda _style, text: found.append(text))
    monkeypatch.setattr(progress_of_builds, "report", found.append)
    return found


def outcome(number: int, status: str = Status.BUILT, printed: bytes = b"") -> Outcome:
    result = ExecutionResult(("cc",), int(status == Status.FAILED), stdout=printed)
    problem = "it ended with status 1" if status == Status.FAILED else ""
    return Outcome(ACTIONS[number], status, "it was not built yet", problem, result=result)


def play(progress: Progress) -> None:
    progress.begun(3, 2)
    for number, status, printed in ((0, Status.BUILT, b""), (1, Status.CACHED, b"/workspace/b.c:1: warning\n")):
        progress.started(ACTIONS[number], "it was not built yet")
        progress.finished(outcome(number, status, printed))
    progress.started(ACTIONS[2], "c.c changed")
    progress.finished(outcome(2, Status.FAILED, b"error\x07\n"))
    progress.close()


FAILURE = ["[3/3] //:app compile c.c failed: it ended with status 1", "  cc c.c", "error\\x07\n"]
WARNING = ["[2/3] //:app compile b.c (from the cache)", "/ws/b.c:1: warning\n"]


def test_a_log_gets_a_line_for_each_action(told: list[object]) -> None:
    play(Plain(GRAPH, "/ws"))
    assert told == ["[1/3] //:app compile a.c", *WARNING, *FAILURE]


def test_no_progress_is_what_actions_printed(told: list[object]) -> None:
    play(Terse(GRAPH, "/ws"))
    assert told == [*WARNING, *FAILURE]


def test_a_quiet_build_says_what_failed(told: list[object]) -> None:
    play(Silent(GRAPH, "/ws"))
    assert told == ["//:app compile c.c failed: it ended with status 1", *FAILURE[1:]]


def test_commands_and_reasons_where_they_are_asked_for(told: list[object]) -> None:
    play(Terse(GRAPH, "/ws", verbose=True, explain=True))
    assert told[:3] == [
        "//:app compile a.c: it was not built yet",
        "//:app compile a.c: cc a.c",
        "[1/3] //:app compile a.c",
    ]


def test_a_log_is_told_what_runs_for_long(told: list[object]) -> None:
    clock = Clock()
    plain = Plain(GRAPH, "/ws", now=clock)
    plain.begun(3, 2)
    plain.waited()
    plain.started(ACTIONS[0], "")
    clock.now += 4
    plain.started(ACTIONS[1], "")
    for _ in range(100):
        clock.now += 1
        plain.waited()

    assert told == [
        "[0/3] still running: //:app compile a.c (30 s), and 1 more",
        "[0/3] still running: //:app compile a.c (1 min), and 1 more",
        "[0/3] still running: //:app compile a.c (1 min 30 s), and 1 more",
    ]


def test_a_region_makes_way_for_every_word(told: list[object]) -> None:
    clock, stop = Clock(), Stop()
    live = Live(GRAPH, "/ws", stop, now=clock, region=Drawn(told))
    live.begun(3, 2)
    live.started(ACTIONS[0], "")
    live.waited()
    assert told == []  # a short build needs no region

    clock.now += 1
    for _ in range(5):
        live.waited()
    assert told == [View(3, 0, ((str(ACTIONS[0]), 1.0),), elapsed=1.0)]

    live.finished(outcome(0, Status.FAILED, b"error\n"))
    said = told[1:]
    assert [one for one in said if one != "clear"] == [
        "[1/3] //:app compile a.c failed: it ended with status 1", "  cc a.c", "error\n"
    ]  # fmt: skip
    assert all(before == "clear" for before, one in itertools.pairwise(said) if one != "clear")

    stop.ask()
    live.waited()
    assert told.pop() == View(3, 1, (), failed=1, elapsed=1.0, asked=1)  # at once
    live.close()
    clock.now += 9
    live.waited()
    assert told.pop() == "close"


def test_what_is_up_to_date_is_counted_and_costs_no_word(told: list[object]) -> None:
    clock = Clock()
    live = Live(GRAPH, "/ws", Stop(), now=clock, region=Drawn(told))
    live.begun(3, 2)
    for number in range(3):
        live.finished(Outcome(ACTIONS[number], Status.UP_TO_DATE))
    clock.now += 1
    live.waited()

    assert told == [View(3, 3, (), elapsed=1.0)]


def test_what_is_drawn_is_cleared_before_ctrl_z_stops_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    handler = signal.getsignal(signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    try:
        stopping = Stopping(lambda: told.append("clear"))
        kill = os.kill
        monkeypatch.setattr(os, "kill", lambda pid, signum: told.append((pid, signum, signal.getsignal(signum))))
        kill(os.getpid(), signal.SIGTSTP)
        monkeypatch.undo()
        stopping.close()
        assert told == ["clear", (os.getpid(), signal.SIGTSTP, signal.SIG_DFL)]
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL

        signal.signal(signal.SIGTSTP, signal.SIG_IGN)
        Stopping(lambda: None).close()
        assert signal.getsignal(signal.SIGTSTP) == signal.SIG_IGN  # whoever ignores it goes on to
    finally:
        signal.signal(signal.SIGTSTP, handler)


@pytest.mark.parametrize(
    ("given", "terminal", "kind", "mode"),
    [
        ([], True, "xterm", "rich"),
        ([], True, "dumb", "plain"),
        ([], False, "xterm", "plain"),
        (["--progress=rich"], False, "xterm", "plain"),
        (["--progress=plain"], True, "xterm", "plain"),
        (["--progress", "none"], True, "xterm", "none"),
    ],
)
def test_how_progress_is_shown(
    given: list[str], terminal: bool, kind: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", kind)
    monkeypatch.setattr(os, "isatty", lambda _fd: terminal)

    assert mode_of(parse(BUILD, given)) == mode


def test_an_unknown_way_is_refused() -> None:
    with pytest.raises(UsageError, match="--progress loud"):
        mode_of(parse(BUILD, ["--progress", "loud"]))
