"""Hosts that take something away: ``bldr doctor`` finds out by trying, and names the right cause."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import UNPRIVILEGED_ID
from tests.cgroupfs import Cgroup

Doctor = Callable[..., dict[str, Any]]

pytestmark = [pytest.mark.needs("throwaway-kernel")]

# A profile for the interpreter, as Ubuntu has one for programs that it does not know.
PROFILE = """
abi <abi/{abi}>,
profile bldr-test flags=(attach_disconnected) {{
  file,
  network,
  signal,
  ptrace,
  unix,
  {rules}
}}
"""


@pytest.fixture
def change_profile(tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """Load a profile with these rules, and return what a command is started under to be confined by it."""
    file = tmp_path / "profile"

    def load(rules: str, abi: str = "3.0") -> list[str]:
        file.write_text(PROFILE.format(rules=rules, abi=abi), encoding="ascii")
        subprocess.run(["apparmor_parser", "--skip-cache", "--replace", file], check=True, timeout=100)
        return ["aa-exec", "-p", "bldr-test", "--"]

    yield load
    if file.exists():
        subprocess.run(["apparmor_parser", "--remove", file], check=True, timeout=100)


@pytest.mark.needs("root", "user-namespaces")
@pytest.mark.parametrize("uid", [0, UNPRIVILEGED_ID])
def test_a_setting_that_allows_no_user_namespace(sysctl: Callable[[str, str], None], doctor: Doctor, uid: int) -> None:
    sysctl("user.max_user_namespaces", "0")

    report = doctor(uid)

    found = report["by_name"]["user-namespace"]
    assert (found["outcome"], found["errno"], found["code"]) == ("missing", 28, "sandbox.userns-disabled")
    assert "user.max_user_namespaces=0" in found["cause"]
    assert "sysctl -w user.max_user_namespaces=" in found["remedy"]
    assert report["hermetic_builds_possible"] is False


@pytest.mark.needs("root", "user-namespaces")
def test_a_setting_of_debian_that_allows_none_to_users(sysctl: Callable[[str, str], None], doctor: Doctor) -> None:
    sysctl("kernel.unprivileged_userns_clone", "0")

    found = doctor(UNPRIVILEGED_ID)["by_name"]["user-namespace"]

    assert (found["outcome"], found["errno"]) == ("missing", 1)
    assert "kernel.unprivileged_userns_clone=0" in found["cause"]
    assert doctor(0)["by_name"]["user-namespace"]["outcome"] == "works"


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_container_with_the_usual_filter(in_container: Callable[..., list[str]], doctor: Doctor) -> None:
    report = doctor(0, under=in_container("seccomp", "mask", "caps", "rocg"))

    found = report["by_name"]["user-namespace"]
    assert (found["outcome"], found["errno"]) == ("missing", 1)
    assert "seccomp filter" in found["cause"]
    assert "--security-opt seccomp=unconfined" in found["remedy"]
    assert report["by_name"]["clone3"]["errno"] == 38
    cgroups = report["by_name"]["cgroup"]
    assert (cgroups["outcome"], cgroups["detail"], cgroups["errno"]) == ("missing", "read-only", errno.EROFS)
    assert report["hermetic_builds_possible"] is False


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_container_without_the_filter_that_covers_parts_of_proc(
    in_container: Callable[..., list[str]], doctor: Doctor
) -> None:
    report = doctor(0, under=in_container("mask", uid=UNPRIVILEGED_ID))

    assert report["by_name"]["user-namespace"]["outcome"] == "works"
    found = report["by_name"]["proc"]
    assert (found["outcome"], found["errno"], found["code"]) == ("missing", 1, "sandbox.proc-masked")
    assert "covers parts" in found["cause"]
    assert "systempaths=unconfined" in found["remedy"]


@pytest.mark.needs("apparmor-userns", "root")
def test_an_apparmor_profile_without_user_namespaces(change_profile: Callable[..., list[str]], doctor: Doctor) -> None:
    confined = change_profile("capability,", "4.0")

    found = doctor(UNPRIVILEGED_ID, under=confined)["by_name"]["user-namespace"]

    assert (found["outcome"], found["errno"]) == ("missing", 13)
    assert "security profile 'bldr-test'" in found["cause"]
    assert "'userns,'" in found["remedy"]


@pytest.mark.needs("apparmor", "root")
def test_an_apparmor_profile_that_takes_the_capabilities_of_user_namespaces(
    change_profile: Callable[..., list[str]], doctor: Doctor
) -> None:
    """As on Ubuntu 24.04: the namespace can be made, and nothing can be done in it."""
    confined = change_profile("deny capability,")

    report = doctor(UNPRIVILEGED_ID, under=confined)

    assert report["hermetic_builds_possible"] is False
    assert report["by_name"]["user-namespace"]["outcome"] == "works"
    missing = [found for found in report["mechanisms"] if found["outcome"] == "missing" and found["needed"]]
    assert "bldr-test" in missing[0]["cause"] or "AppArmor" in missing[0]["cause"]


@pytest.mark.parametrize(
    ("situation", "number", "cause", "remedy"),
    [
        pytest.param(
            "v1", 0, "only cgroup version 1", "unified_cgroup_hierarchy=1", marks=pytest.mark.needs("layout-v1")
        ),
        pytest.param(
            "hybrid",
            0,
            "belong to cgroup version 1",
            "unified_cgroup_hierarchy=1",
            marks=pytest.mark.needs("layout-hybrid"),
        ),
        pytest.param("none", 0, "no cgroup file system", "mount -t cgroup2", marks=pytest.mark.needs("layout-none")),
        pytest.param("read-only", errno.EROFS, "read-only", "remount,rw", marks=pytest.mark.needs("layout-ro")),
        pytest.param(
            "denied",
            errno.EACCES,
            "nobody has delegated",
            "systemd-run --user --scope -p Delegate=yes",
            marks=pytest.mark.needs("cgroup-undelegated"),
        ),
    ],
)
def test_the_layout_of_cgroups_is_found_out(
    doctor: Doctor, situation: str, number: int, cause: str, remedy: str
) -> None:
    report = doctor(os.geteuid())

    found = report["by_name"]["cgroup"]
    assert (found["outcome"], found["detail"], found["errno"]) == ("missing", situation, number)
    assert cause in found["cause"]
    assert remedy in found["remedy"]
    assert report["hermetic_builds_possible"] is True


def as_user_in(cgroup: Cgroup) -> list[str]:
    """What a command is started under, to be in a cgroup as a user without rights; root lets it in."""
    user = str(UNPRIVILEGED_ID)
    return [str(word) for word in cgroup.command("setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--")]


def delegate(cgroup: Cgroup) -> Cgroup:
    """Give a cgroup to that user, as systemd does."""
    for path in (cgroup.path, cgroup.path / "cgroup.procs", cgroup.path / "cgroup.subtree_control"):
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID)
    return cgroup


@pytest.mark.needs("limiting-cgroup", "user-namespaces")
def test_a_delegated_cgroup_is_found_by_making_one_and_the_trial_leaves_nothing(cgroup: Cgroup) -> None:
    inner = cgroup.child("inner")
    program = "from bldr.sandbox.linux.probe import run_trials; print(run_trials('user'))"
    argv = inner.command(sys.executable, "-c", program)
    done = subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True, timeout=100)

    (line,) = [line for line in done.stdout.splitlines() if line.startswith("cgroup\t")]
    assert line.startswith("cgroup\tworks\tworks 0 memory,pids,cpu")
    assert line.endswith(f" {cgroup.path}")  # the inner one is handed no controllers
    for one, children in ((cgroup, ["inner"]), (inner, [])):
        assert one.read("cgroup.subtree_control") == ""
        assert [path.name for path in one.path.iterdir() if path.is_dir()] == children


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_cgroup_with_other_processes_in_it_is_found_out(doctor: Doctor, cgroup: Cgroup) -> None:
    delegate(cgroup)
    with cgroup.start("-c", "import time; time.sleep(300)") as other:
        found = doctor(0, under=as_user_in(cgroup))["by_name"]["cgroup"]
        other.kill()

    assert (found["outcome"], found["detail"], found["errno"]) == ("missing", "busy", errno.EBUSY)
    assert f"other processes are in the cgroup {cgroup.path}" in found["cause"]


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_delegated_cgroup_that_alone_is_used_is_found_out(doctor: Doctor, cgroup: Cgroup) -> None:
    found = doctor(0, under=as_user_in(delegate(cgroup)))["by_name"]["cgroup"]

    assert found["outcome"] == "works"
    assert found["detail"].startswith("memory, pids, cpu")
    assert found["detail"].endswith(f" in {cgroup.path}")


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_delegated_cgroup_without_controllers_is_found_out(doctor: Doctor, cgroup: Cgroup) -> None:
    inner = delegate(cgroup.child("inner"))

    found = doctor(0, under=as_user_in(inner))["by_name"]["cgroup"]

    assert (found["outcome"], found["detail"]) == ("missing", "without-controllers")
    assert f"neither memory nor pids is handed down to the cgroup {inner.path}" in found["cause"]


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_controllers_that_are_not_handed_down_are_found_out(doctor: Doctor, cgroup: Cgroup) -> None:
    cgroup.enable("pids")
    inner = delegate(cgroup.child("inner"))

    found = doctor(0, under=as_user_in(inner))["by_name"]["cgroup"]

    assert (found["outcome"], found["detail"]) == ("works", f"pids, without memory, cpu, io in {inner.path}")


@pytest.mark.needs("cgroup-root", "user-namespaces")
def test_a_cgroup_that_may_have_no_more_below_it_is_found_out(doctor: Doctor, cgroup: Cgroup) -> None:
    cgroup.write("cgroup.max.descendants", "0")

    found = doctor(0, under=as_user_in(delegate(cgroup)))["by_name"]["cgroup"]

    assert (found["outcome"], found["detail"], found["errno"]) == ("missing", "full", errno.EAGAIN)
    assert "cgroup.max.descendants" in found["remedy"]
