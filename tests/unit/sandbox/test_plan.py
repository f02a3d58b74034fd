"""From a resolved spec to steps."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from _bldr_launcher.steps import CANARIES, OPERATIONS
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import PathSet
from bldr.model.process import ProcessPolicy
from bldr.model.spec import SandboxSpecBuilder
from bldr.sandbox.linux import steps
from bldr.sandbox.linux.etc import LOCALTIME, content_of
from bldr.sandbox.linux.plan import Plan
from bldr.sandbox.linux.plan import compile as compile_plan
from bldr.sandbox.linux.steps import Step
from bldr.sandbox.resolve import MADE, resolve
from tests.architecture.test_start_up import TOO_DEAR, modules_of
from tests.property.plan_hosts import MemoryHost

HOST = MemoryHost(
    {
        "/w/src/main.c": "file",
        "/w/src/link": "-> main.c",
        "/w/src/secret": "file",
        "/w/out": "dir",
        "/w/hidden/x": "file",
        "/w/key": "file",
        "/w/lay": "dir",
        "/link": "-> w/src",
        "/dev/null": "device",
        "/etc/fstab": "file",
    }
)


def strict() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create()


def plan_of(builder: SandboxSpecBuilder) -> Plan:
    return compile_plan(resolve(builder.build(), host=HOST))


def of_type(plan: Plan, *types: type[Step]) -> list[Step]:
    return [step for step in plan.steps if isinstance(step, types)]


def everything() -> Plan:
    """Return a plan with every kind of step."""
    holes = PathSet.of(["/w/hidden", "/w/key", "/w/none", "/w/src/secret"])
    builder = strict().carve().input(PathSet.subtree("/w") - holes).input("/link").input("/w/src/link")
    builder.input("/w/src/main.c", "/w/hidden/x")
    builder.output("/w/out").temp("/w/new/t").default_temp("/tmp").input("/dev/null").input("/w/key", "/tmp/sub/key")
    builder.overlay("/w/lay").overlay("/w/src/main.c", "/layered.c")
    builder.with_network(NetworkPolicy.allow_hosts(["a.test", "*.test:80", "203.0.113.7:1"]))
    return plan_of(builder.with_limits(ResourceLimits(cpu_time=1.5, file_size="1M", open_files=64, core_size=4096)))


def test_the_steps_come_in_the_order_that_the_launcher_needs() -> None:
    names = [type(step).__name__ for step in plan_of(strict().input("/w/src").output("/w/out").temp("/t")).steps]
    order = list(dict.fromkeys(names))

    assert order == [
        "EnterNamespaces",
        "MapIdentity",
        "LoopbackUp",
        "NewRoot",
        "MountProc",
        "MakeDevices",
        "SetHostname",
        "MakeDirectory",
        "WriteFile",
        "MountScratch",
        "Bind",
        "Seal",
        "Unseal",
        "Pivot",
        "ForbidUserNamespaces",
        "SetLimit",
        "Landlock",
        "DropPrivileges",
        "FilterSystemCalls",
        "Canary",
    ]


def test_directories_of_the_skeleton_are_made_once_and_parents_first() -> None:
    plan = plan_of(strict().input("/w/src", "/a/b/c").input("/w/src", "/a/b/d").input("/w/src", "/a/e"))

    assert of_type(plan, steps.MakeDirectory) == [
        steps.MakeDirectory("/a"),
        steps.MakeDirectory("/a/b"),
        steps.MakeDirectory("/etc"),
    ]


def test_a_name_that_sorts_between_a_directory_and_its_entries_does_not_confuse_the_order() -> None:
    """``-`` and ``.`` sort before ``/``: in the order of characters /w-x stands between /w and /w/x."""
    host = MemoryHost({"/w/t": "dir", "/w-x": "file", "/w.y": "file"})
    spec = strict().carve().input("/w").input("/w-x").input("/w.y").temp("/w/t").build()

    plan = compile_plan(resolve(spec, host=host))

    assert steps.MountScratch(0, "/w/t", 0o755, "inside") in plan.steps


def test_outputs_and_temps_become_writable_and_nothing_else() -> None:
    plan = plan_of(strict().input("/w/src").output("/w/out").temp("/t"))

    assert of_type(plan, steps.Unseal) == [
        steps.Unseal("/proc"),
        steps.Unseal("/dev/pts"),
        steps.Unseal("/dev/shm"),
        steps.Unseal("/t"),
        steps.Unseal("/w/out", deep=True),
    ]
    assert of_type(plan, steps.Landlock) == [steps.Landlock(("/dev", "/proc", "/t", "/w/out"))]


def test_temps_are_numbered_directories_on_disk() -> None:
    plan = plan_of(strict().temp("/tmp").temp("/b").temp("/a"))

    assert of_type(plan, steps.MountScratch) == [
        steps.MountScratch(0, "/a", 0o755, "skeleton"),
        steps.MountScratch(1, "/b", 0o755, "skeleton"),
        steps.MountScratch(2, "/tmp", 0o1777, "skeleton"),
    ]


def test_temps_with_a_size_are_in_memory() -> None:
    plan = plan_of(strict().temp("/tmp").tmp_size("1M"))

    assert of_type(plan, steps.MountTmpfs) == [steps.MountTmpfs("/tmp", 1 << 20, 0o1777, "skeleton")]
    assert of_type(plan, steps.MountScratch) == []


def test_directories_on_the_way_to_an_input_in_a_temp_are_made_in_the_temp() -> None:
    plan = plan_of(strict().default_temp("/tmp").input("/w/src", "/tmp/a/src"))

    assert steps.MakeDirectory("/tmp/a", 0o755, "temp") in plan.steps
    assert steps.Bind("/w/src", "/tmp/a/src", "dir", "temp") in plan.steps


def test_user_namespaces_inside_switch_off_what_would_prevent_them() -> None:
    plan = plan_of(strict().with_process(ProcessPolicy(allow_userns=True)))

    assert of_type(plan, steps.ForbidUserNamespaces, steps.Landlock) == []


def test_only_root_inside_needs_chown_to_succeed() -> None:
    assert of_type(plan_of(strict()), steps.FilterSystemCalls) == [steps.FilterSystemCalls(chown=True)]
    assert of_type(plan_of(strict().uid(1000)), steps.FilterSystemCalls) == [steps.FilterSystemCalls(chown=False)]
    assert steps.MapIdentity(1000) in plan_of(strict().uid(1000)).steps


def test_the_limits_of_the_host_do_not_show() -> None:
    assert of_type(plan_of(strict()), steps.SetLimit) == [
        steps.SetLimit("core", 0, 0),
        steps.SetLimit("nofile", 4096, 65536),
        steps.SetLimit("stack", 8 << 20, None),
        steps.SetLimit("nproc", 130, 130),  # 128, init, and the one that is too many
    ]


def test_limits_that_were_asked_for_are_set() -> None:
    limits = ResourceLimits(cpu_time=1.5, file_size="1M", open_files=64, core_size=4096)

    assert of_type(plan_of(strict().with_limits(limits)), steps.SetLimit) == [
        steps.SetLimit("core", 4096, 4096),
        steps.SetLimit("nofile", 64, 64),
        steps.SetLimit("stack", 8 << 20, None),
        steps.SetLimit("fsize", 1 << 20, 1 << 20),
        steps.SetLimit("cpu", 4, 6),
    ]


def test_each_guarantee_that_can_be_tried_has_a_canary() -> None:
    plan = plan_of(strict().input("/w/src").input("/w/key"))

    assert of_type(plan, steps.Canary) == [
        steps.Canary("reads-confined", "absent", "/etc/fstab"),
        steps.Canary("writes-confined", "readonly", "/"),
        steps.Canary("inputs-read-only", "readonly", "/w/src"),
        steps.Canary("no-network", "unreachable"),
        steps.Canary("processes-isolated", "pid1"),
        steps.Canary("ipc-isolated", "ipc"),
        steps.Canary("host-identity-hidden", "hostname", "bldr"),
        steps.Canary("no-new-privileges", "capless"),
        steps.Canary("syscalls-filtered", "filtered"),
        steps.Canary("environment-scrubbed", "unset"),
    ]


def test_the_canary_of_inputs_is_no_directory_of_our_own() -> None:
    plan = plan_of(strict().carve().input("/w").temp("/w/new"))

    assert steps.Canary("inputs-read-only", "readonly", "/w/hidden") in plan.steps


def test_what_was_not_asked_for_has_no_canary() -> None:
    plan = plan_of(strict().with_network(NetworkPolicy.allow_hosts(["example.org"])))

    assert {"no-network", "inputs-read-only"}.isdisjoint(
        step.guarantee for step in plan.steps if isinstance(step, steps.Canary)
    )


def test_a_plan_is_a_value() -> None:
    plan = everything()

    assert plan == everything()
    assert hash(plan) == hash(everything())
    assert pickle.loads(pickle.dumps(plan)) == plan


def test_every_step_describes_itself() -> None:
    plan = everything()

    assert {type(step) for step in plan.steps} >= {
        getattr(steps, name) for name in steps.__all__ if name not in ("Step", "Kind", "Where", "show", "MountTmpfs")
    }
    assert all(line and line.isprintable() for line in plan.describe())


@pytest.mark.parametrize("request_", sorted(set(everything().requests())), ids=lambda request: request[0].decode())
def test_the_launcher_has_each_operation_with_these_arguments(request_: tuple[bytes, ...]) -> None:
    name, *arguments = request_

    operations: dict[bytes, Any] = dict(OPERATIONS)
    inspect.signature(operations[name]).bind(None, *arguments)
    assert all(type(argument) is bytes for argument in arguments)


def test_the_launcher_knows_each_canary() -> None:
    asked = {step.kind.encode() for step in everything().steps if isinstance(step, steps.Canary)}

    assert asked <= CANARIES.keys()


@pytest.mark.parametrize(
    ("step", "words", "request_"),
    [
        (steps.Bind("/a", "/b c", "dir", "skeleton"), "bind /a at '/b c', read-only", b"bind|/a|/b c|dir|skeleton"),
        (steps.MakeDirectory("/a"), "make directory /a", b"dir|/a|755|skeleton"),
        (steps.WriteFile("/a", 0o644, b"x"), "write /a (1 byte)", b"file|/a|644|x|skeleton"),
        (steps.MakeLink("/a", "b"), "make link /a -> b", b"link|/a|b|skeleton"),
        (steps.ShowLink("/a", "b"), "see link /a -> b", b""),
        (steps.MountScratch(1, "/t", 0o1777, "inside"), "mount an empty temp at /t, on disk", b"temp|1|/t|1777|inside"),
        (
            steps.MountTmpfs("/t", 9, 0o755, "temp"),
            "mount an empty temp at /t, in memory, at most 9 bytes",
            b"tmpfs|/t|9|755|temp",
        ),
        (
            steps.MakeSkeleton("/a", 0o755, "inside", of_input=True),
            "rebuild directory /a, read-only",
            b"skeleton|/a|755|inside",
        ),
        (
            steps.MakeSkeleton("/a", 0o755, "graft"),
            "hide /a except for what is declared in it",
            b"skeleton|/a|755|graft",
        ),
        (steps.MakeSkeleton("/", 0o755, "skeleton", of_input=True), "rebuild directory /, read-only", b""),
        (steps.Mask("/a", "dir", "inside"), "hide /a", b"mask|/a|dir|inside"),
        (steps.Absent("/a"), "nothing to hide at /a", b""),
        (steps.Unseal("/a"), "make /a writable", b"unseal|/a|one"),
        (steps.Unseal("/a", deep=True), "make /a writable", b"unseal|/a|all"),
        (steps.SetLimit("stack", 8, None), "limit stack to 8, at most unlimited", b"rlimit|stack|8|unlimited"),
        (steps.SetLimit("core", 0, 0), "limit core to 0", b"rlimit|core|0|0"),
        (
            steps.Bind("/\udcff", "/\n", "file", "temp"),
            r"bind '/\udcff' at '/\n', read-only",
            b"bind|/\xff|/\n|file|temp",
        ),
    ],
    ids=lambda item: type(item).__name__ if isinstance(item, Step) else "",
)
def test_a_step_is_read_by_people_and_by_the_launcher(step: Step, words: str, request_: bytes) -> None:
    assert step.describe() == words
    assert b"|".join(step.encode()) == request_


def test_a_step_has_to_describe_itself() -> None:
    with pytest.raises(NotImplementedError):
        Step().describe()


def test_each_synthesised_file_has_a_content() -> None:
    spec = strict().hostname("builder-7").uid(1000).env_set(EnvSet.hermetic()).build()

    content = {path: content_of(path.removeprefix("/etc/"), spec) for path in MADE}

    assert content == {
        "/etc/group": b"root:x:0:\nbuilder:x:1000:\nnogroup:x:65534:\n",
        "/etc/hostname": b"builder-7\n",
        "/etc/hosts": b"127.0.0.1 localhost builder-7\n::1 localhost ip6-localhost ip6-loopback builder-7\n",
        "/etc/localtime": LOCALTIME,
        "/etc/nsswitch.conf": content["/etc/nsswitch.conf"],
        "/etc/passwd": b"root:x:0:0:root:/:/bin/sh\nbuilder:x:1000:1000:builder:/tmp:/bin/sh\n"
        b"nobody:x:65534:65534:nobody:/:/bin/sh\n",
        "/etc/resolv.conf": b"",
    }
    assert b"hosts: files\n" in content["/etc/nsswitch.conf"]


@pytest.mark.parametrize(
    ("uid", "home", "line"),
    [
        (0, "/tmp", b"root:x:0:0:root:/tmp:/bin/sh"),
        (0, "/a:b", b"root:x:0:0:root:/:/bin/sh"),
        (65534, "/tmp", b"nobody:x:65534:65534:nobody:/tmp:/bin/sh"),
    ],
)
def test_the_account_inside_has_the_home_of_the_environment(uid: int, home: str, line: bytes) -> None:
    spec = strict().uid(uid).env("HOME", home).build()

    assert line in content_of("passwd", spec).splitlines()


def test_a_host_name_of_localhost_stands_once_in_hosts() -> None:
    assert content_of("hosts", strict().hostname("localhost").build()).count(b" localhost") == 2


def test_the_time_zone_file_is_utc(tmp_path: Path) -> None:
    from datetime import UTC, datetime
    from io import BytesIO
    from zoneinfo import ZoneInfo

    zone = ZoneInfo.from_file(BytesIO(LOCALTIME))
    now = datetime(2026, 7, 1, 12, tzinfo=UTC).astimezone(zone)

    assert (now.hour, now.tzname(), now.utcoffset()) == (12, "UTC", datetime.now(UTC).utcoffset())


def test_libc_reads_the_time_zone_file(tmp_path: Path) -> None:
    file = tmp_path / "UTC-of-bldr"
    file.write_bytes(LOCALTIME)
    program = "import time; print(time.tzname, time.timezone, time.localtime(0)[:5])"

    done = subprocess.run(
        [sys.executable, "-I", "-c", program], env={"TZ": f":{file}"}, capture_output=True, text=True, check=True
    )

    assert done.stdout == "('UTC', 'UTC') 0 (1970, 1, 1, 0, 0)\n"


def test_planning_imports_nothing_dear(repository: Path) -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(repository / 'src')!r})\n"
        "from bldr.model.spec import SandboxSpecBuilder\n"
        "from bldr.sandbox.linux.plan import compile\n"
        "from bldr.sandbox.resolve import resolve\n"
        "compile(resolve(SandboxSpecBuilder.create().carve().with_toolchain('system').input('/usr').build())).requests()\n"
    )

    assert modules_of(code) & TOO_DEAR == set()


@pytest.mark.parametrize("seconds", [0.01, 1, 3600])
def test_the_kernel_that_counts_ticks_does_not_end_a_command_before_its_limit(seconds: float) -> None:
    """Beside four busy loops it counted 1 s of CPU time when 0.85 s had been used, and sent SIGXCPU without a word."""
    plan = plan_of(SandboxSpecBuilder.create().with_limits(ResourceLimits(cpu_time=seconds)))

    (limit,) = [step for step in plan.steps if isinstance(step, steps.SetLimit) and step.name == "cpu"]
    assert limit.soft is not None
    assert limit.soft > seconds * 1.25 + 1
