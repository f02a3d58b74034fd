"""Hosts that take something away: ``bldr doctor`` finds out by trying, and names the right cause."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.capabilities import UNPRIVILEGED_ID

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
    ("layout", "outcome"),
    [
        pytest.param("v1", "missing", marks=pytest.mark.needs("layout-v1")),
        pytest.param("hybrid", "works", marks=pytest.mark.needs("layout-hybrid")),
        pytest.param("none", "missing", marks=pytest.mark.needs("layout-none")),
        pytest.param("v2", "works", marks=pytest.mark.needs("layout-ro")),
    ],
)
def test_the_layout_of_cgroups_is_told(doctor: Doctor, layout: str, outcome: str) -> None:
    report = doctor(0)

    found = report["by_name"]["cgroup"]
    assert (found["outcome"], found["detail"].split(",")[0]) == (outcome, layout)
    assert report["hermetic_builds_possible"] is True
