"""Toolchains."""

from __future__ import annotations

import pytest

from bldr.errors import SpecError
from bldr.model.paths import PathSet, normalize
from bldr.model.spec import SandboxSpecBuilder
from bldr.model.toolchain import NONE, SYSTEM, named


def system() -> PathSet:
    return SandboxSpecBuilder.create().with_toolchain("system").build().inputs


@pytest.mark.parametrize(
    "path",
    [
        "/usr/bin/cc",
        "/bin/sh",
        "/lib64/ld-linux-x86-64.so.2",
        "/etc/alternatives/cc",
        "/etc/ld.so.cache",
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/debian_version",
        "/etc/os-release",
        "/etc/java-17-openjdk/security/java.security",
        "/etc/perl/Net/libnet.cfg",
        "/etc/python3.11/sitecustomize.py",
    ],
)
def test_the_system_has_what_builds_read(path: str) -> None:
    assert path in system()


@pytest.mark.parametrize(
    "path",
    [
        "/usr/local/bin/cc",
        "/etc/passwd",
        "/etc/shadow",
        "/etc/group",
        "/etc/hosts",
        "/etc/hostname",
        "/etc/machine-id",
        "/etc/resolv.conf",
        "/etc/nsswitch.conf",
        "/etc/localtime",
        "/etc/ssl/private",
        "/etc",
        "/root",
        "/home",
        "/tmp",
        "/opt",
        "/",
    ],
)
def test_the_system_has_nothing_that_tells_who_or_where_the_host_is(path: str) -> None:
    assert path not in system()


def test_every_path_of_the_system_is_optional_and_says_where_it_came_from() -> None:
    spec = SandboxSpecBuilder.create().with_toolchain("system").build()

    assert spec.toolchain == "system"
    assert {one.at for one in spec.declarations} == set(SYSTEM.paths)
    assert all(one.optional and one.origin == "toolchain system" and one.host == one.at for one in spec.declarations)


def test_the_paths_of_the_system_are_normal_and_none_is_inside_another() -> None:
    assert [normalize(path) for path in SYSTEM.paths] == list(SYSTEM.paths)
    assert len(PathSet.of(SYSTEM.paths).roots()) == len(SYSTEM.paths)


def test_none_is_nothing() -> None:
    assert named("none") == NONE
    assert SandboxSpecBuilder.create().with_toolchain("none").build().inputs == PathSet.empty()


def test_the_last_toolchain_counts() -> None:
    spec = SandboxSpecBuilder.create().with_toolchain("system").with_toolchain("none").build()

    assert spec.declarations == ()


def test_an_unknown_toolchain_is_refused_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        SandboxSpecBuilder.create().with_toolchain("sistem")

    assert caught.value.code == "spec.toolchain-unknown"
    assert "'system'" in caught.value.hint
