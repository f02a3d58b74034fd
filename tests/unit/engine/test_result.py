"""What is known of a build after its end."""

from __future__ import annotations

import json
import random

from bldr.engine.outcome import Outcome, Status
from bldr.engine.result import BuildResult
from bldr.model.value import replace
from tests.unit.engine.builds import action, empty_build, failed_build, hostile_build, large_build
from tests.unit.report.runs import HOSTILE


def test_a_build_in_numbers() -> None:
    build = failed_build()

    assert (build.status, build.duration, build.is_hermetic) == ("failed", 4.25, True)
    assert round(build.busy, 6) == 4.3
    assert build.count(*Status.SUCCEEDED) == 5
    assert [str(build.outcomes[number].action) for number in build.critical_path()] == [
        "//:app compile src/a.c", "//:app link bin/app", "//src:t run the test"
    ]  # fmt: skip
    assert replace(build, is_stopped=True).status == "interrupted"
    assert (empty_build().critical_path(), empty_build().status) == ((), "succeeded")


def ways(number: int, needs: tuple[tuple[int, ...], ...]) -> list[list[int]]:
    return [[*way, number] for need in needs[number] for way in ways(need, needs)] or [[number]]


def test_the_critical_path_is_the_longest_of_all_ways() -> None:
    chance = random.Random(7)
    for _ in range(200):
        count = chance.randrange(1, 8)
        needs = tuple([tuple(n for n in range(number) if chance.random() < 0.4) for number in range(count)])
        seconds = [float(chance.randrange(4)) for _ in range(count)]
        outcomes = tuple([Outcome(action("x"), Status.BUILT, began=1, ended=1 + one) for one in seconds])
        build = BuildResult("/ws", "build", outcomes=outcomes, needs=needs)

        longest = max(sum(seconds[one] for one in way) for number in range(count) for way in ways(number, needs))
        path = build.critical_path()
        assert sum(seconds[one] for one in path) == longest
        assert list(path) == sorted(path)


def test_a_deep_build_has_a_path() -> None:
    build = large_build(20_001)

    assert len(build.critical_path()) > 4000


def test_json_of_a_build_says_everything_once() -> None:
    told = json.loads(json.dumps(failed_build().to_dict(), allow_nan=False))

    assert {name: told[name] for name in ("schema", "verb", "status", "exit_status", "hermetic", "jobs")} == {
        "schema": 1, "verb": "build", "status": "failed", "exit_status": 1, "hermetic": True, "jobs": 2
    }  # fmt: skip
    assert told["counts"] == {
        "up-to-date": 1, "cached": 1, "built": 3, "failed": 1, "cancelled": 0, "skipped": 1
    }  # fmt: skip
    assert told["critical_path"]["seconds"] == 3.5
    failed = told["actions"][5]
    assert failed["output"] == "/home/me/p/src/t.c:9: assertion `1 + 1 == 3' failed\n"
    assert (failed["exit_code"], failed["began"], failed["seconds"], failed["reason"]) == (
        134, 3.0, 1.0, "it was not built yet"
    )  # fmt: skip
    assert told["actions"][4]["usage"] is None
    assert told["actions"][2]["seconds"] is None
    assert "exit_code" not in told["actions"][6]
    assert "tests" not in told


def test_json_takes_what_strangers_choose() -> None:
    text = json.dumps(hostile_build(HOSTILE).to_dict(), allow_nan=False, ensure_ascii=False)

    assert text.encode("utf-8")
