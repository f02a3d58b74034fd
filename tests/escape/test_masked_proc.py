"""Trap 12: where containers cover parts of /proc, no fresh one can be mounted. bldr refuses, or says what is weaker.

Everything is covered in a private mount namespace; the host's own /proc stays as it is.
"""

from __future__ import annotations

import pytest

from tests.escape.conftest import ROOT, USER, Played

NAMESPACES = {"root": ["-m", "-p"], "user": ["-U", "-r", "-m", "-p"]}
COVERED = {
    "read-only": "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
    "replaced": "mount -t tmpfs none /proc/sys",
    "in another place": "mount -t tmpfs none /proc/fs",
}


@pytest.fixture(params=[ROOT, USER])
def who(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=COVERED)
def masked(request: pytest.FixtureRequest, who: str, theatre) -> Played:
    start = f'set -e; {COVERED[request.param]}; exec "$@"'
    prefix = ("unshare", *NAMESPACES[who], "--fork", "--kill-child", "--mount-proc", "sh", "-c", start, "sh")
    return theatre.play(who, "masked", prefix=prefix)


@pytest.mark.needs("proc-mount")
def test_a_covered_proc_is_refused_with_cause_and_remedy(masked: Played) -> None:
    assert masked["refusal"]["code"] == "sandbox.proc-masked"
    assert "/proc/" in masked["refusal"]["message"]
    assert masked["refusal"]["hint"]


@pytest.mark.needs("proc-mount")
def test_it_runs_when_that_is_allowed_and_is_not_called_hermetic(masked: Played) -> None:
    records = {row["guarantee"]: row for row in masked["receipt"]["guarantees"]}

    assert masked["hermetic"] is masked["receipt"]["hermetic"] is False
    assert records["processes-isolated"]["enforced_by"] == []
    assert records["processes-isolated"]["verified"] is False
    assert records["reads-confined"]["verified"] is True


@pytest.mark.needs("proc-mount")
@pytest.mark.parametrize(
    ("attempt", "refusals"),
    [
        ("read_by_root_of_host_process", {"EACCES"}),
        ("read_by_directory_of_host_process", {"EACCES"}),
        ("read_environment_of_host_process", {"EACCES"}),
        ("read_memory_of_host_process", {"EACCES", "EROFS"}),
        ("make_host_process_a_victim_of_shortage", {"EROFS"}),
        ("make_user_namespace", {"ENOSPC"}),
    ],
)
def test_a_shown_process_of_the_host_is_no_door(masked: Played, attempt: str, refusals: set[str]) -> None:
    assert masked.outcome("outside", attempt) == "possible"
    assert masked.outcome("inside", attempt) in refusals


@pytest.mark.needs("proc-mount")
def test_processes_of_the_host_are_shown_and_programs_run(masked: Played) -> None:
    assert masked.pair("see_host_process") == ("possible", "possible")
    assert masked.value("start_a_process") == 0
