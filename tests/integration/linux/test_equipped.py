"""Sandboxes that have executed a plan before it is asked for again: they show what a new one shows, or are not used."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, PathSet, ProcessPolicy, Sandbox, SandboxSpecBuilder
from bldr.errors import BldrError
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import (
    BOUND,
    Witness,
    are_at_rest,
    children,
    close_all,
    descriptors,
    ends,
    equipped,
    temps_in_use,
    until,
)

pytestmark = pytest.mark.needs("user-namespaces")
SOURCES = Path(__file__).parents[3] / "src"
READY = 3  # of the four that wait, one stays plain
SHOW = "ls -lA $1 2>&1; cat $1/file $2 2>&1; ls -lA --time-style=+ $3; echo $PWD; stat -c %a $1"

ATTEMPTS = 10


class Ground:
    """A directory, a file, a link and an output, declared in one spec, and executors of it."""

    def __init__(self, path: Path, launcher: Launcher) -> None:
        self.path = path
        self.directory, self.file, self.link, self.output = (path / name for name in ("dir", "one", "link", "out"))
        self.target = path / "target"
        for made in (self.directory, self.output, self.target):
            made.mkdir()
        (self.directory / "file").write_text("in the directory\n")
        self.file.write_text("alone\n")
        self.link.symlink_to(self.target)
        self.launcher = launcher
        self.executor = HermeticExecutor.create(self.spec().build(), launcher=launcher)

    def spec(self) -> SandboxSpecBuilder:
        builder = tools().temp("/tmp").temp("/t").input(self.directory).input(self.file).input(self.link)
        return builder.output(self.output)

    def equip(self) -> set[int]:
        return equip(self.launcher, lambda: self.show(self.executor))

    def show(self, executor: HermeticExecutor) -> str:
        words = [self.directory, self.file, self.link]
        try:
            result = executor.execute(["sh", "-c", SHOW, "sh", *map(str, words)], cwd="/t")
        except BldrError as error:
            return f"{error.code}: {error.message}"
        return result.stdout.decode()


@pytest.fixture
def launcher(host_dir: Path) -> Iterator[Launcher]:
    (host_dir / "scratch").mkdir()
    launcher = Launcher(scratch_parent=str(host_dir / "scratch"))
    launcher.ensure()
    yield launcher
    launcher.stop()


@pytest.fixture
def ground(host_dir: Path, launcher: Launcher) -> Ground:
    (host_dir / "ground").mkdir()
    return Ground(host_dir / "ground", launcher)


def equip(launcher: Launcher, run: Callable[[], object]) -> set[int]:
    """Ask for the same until as many as possible have been equipped with it."""
    for _ in range(ATTEMPTS):  # they go home after a second, in which a busy machine may not equip three
        for _ in range(2):
            run()
        if until(lambda: len(equipped(launcher.pid)) == READY and has_settled(launcher), bound=3):
            return equipped(launcher.pid)
    raise AssertionError(f"{equipped(launcher.pid)} are equipped, which should be {READY}")


def tools() -> SandboxSpecBuilder:
    """Directories of the host without a hole."""
    builder = SandboxSpecBuilder.create().env("PATH", "/usr/bin:/bin")
    for path in ("/usr", "/bin", "/lib", "/lib64"):
        if os.path.exists(path):
            builder.input(path)
    return builder


def has_settled(launcher: Launcher) -> bool:
    """Whether nothing is made or ends: before, the init of a run looks like one that waits."""
    return are_at_rest({launcher.pid, *children(launcher.pid)})


def init_of(session: Sandbox) -> int:
    """The process that the session's handle means."""
    for line in Path(f"/proc/self/fdinfo/{session._running._pidfd}").read_text("ascii").splitlines():  # type: ignore[attr-defined]
        if line.startswith("Pid:"):
            return int(line.split()[1])
    raise AssertionError


def test_a_plan_that_is_asked_for_again_has_been_executed(ground: Ground) -> None:
    used = False
    for _ in range(ATTEMPTS):
        ready = ground.equip()
        with ground.executor.start(["cat"], stdin="pipe") as session:
            used = used or init_of(session) in ready
            assert session.stdin is not None
            session.stdin.close()
            assert session.wait(BOUND).success
        if used:
            break

    assert used


def test_a_plan_that_was_asked_for_once_is_not_executed(ground: Ground) -> None:
    with ground.executor.start(["cat"], stdin="pipe") as session:
        assert until(
            lambda: len(os.listdir(ground.launcher.base)) == 2
        )  # temps of the one that runs, and of the next one

        assert until(lambda: has_settled(ground.launcher))
        assert equipped(ground.launcher.pid) == set()
        session.kill()


def replace_directory(ground: Ground) -> None:
    ground.directory.rename(ground.path / "old")
    ground.directory.mkdir()
    (ground.directory / "file").write_text("in the new directory\n")


def make_directory_of_file(ground: Ground) -> None:
    ground.file.unlink()
    ground.file.mkdir()


def make_file_of_directory(ground: Ground) -> None:
    ground.directory.rename(ground.path / "old")
    ground.directory.write_text("a file\n")


def replace_file(ground: Ground) -> None:
    (ground.path / "new").write_text("another one\n")
    (ground.path / "new").rename(ground.file)


def replace_file_by_a_copy_with_the_same_times(ground: Ground) -> None:
    status = ground.file.stat()
    (ground.path / "new").write_text("alonE\n")
    os.utime(ground.path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (ground.path / "new").rename(ground.file)


def rename_parent(ground: Ground) -> None:
    ground.path.rename(f"{ground.path}-old")
    ground.path.mkdir()
    (ground.path / "dir").mkdir()


def link_elsewhere(ground: Ground) -> None:
    ground.link.unlink()
    ground.link.symlink_to(ground.directory)


def replace_directory_by_a_link(ground: Ground) -> None:
    ground.directory.rename(ground.path / "old")
    ground.directory.symlink_to(ground.path / "target")


def move_there_and_back(ground: Ground) -> None:
    ground.directory.rename(ground.path / "old")
    (ground.path / "old").rename(ground.directory)


CHANGES: list[Callable[[Ground], object]] = [
    replace_directory,
    make_directory_of_file,
    make_file_of_directory,
    replace_file,
    replace_file_by_a_copy_with_the_same_times,
    rename_parent,
    link_elsewhere,
    replace_directory_by_a_link,
    move_there_and_back,
    lambda ground: ground.file.unlink(),
    lambda ground: ground.directory.rename(ground.path / "old"),
    lambda ground: ground.output.rename(ground.path / "old"),
    lambda ground: (ground.directory / "file").write_text("changed\n"),
    lambda ground: (ground.directory / "more").mkdir(),
    lambda ground: (ground.directory / "file").unlink(),
    lambda ground: ground.directory.chmod(0o700),
    lambda ground: ground.directory.chmod(0o000),
    lambda ground: ground.path.chmod(0o000),
    lambda ground: ground.file.chmod(0o000),
    lambda ground: (ground.target / "new").write_text("new\n"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_after_a_change_it_shows_what_a_new_sandbox_shows(
    ground: Ground, change: Callable[[Ground], object], host_dir: Path
) -> None:
    other = Launcher(ready=0, scratch_parent=str(host_dir / "scratch"))
    new = HermeticExecutor.create(ground.executor.spec, launcher=other)
    ground.equip()

    change(ground)
    try:
        shown = ground.show(ground.executor)
        expected = ground.show(new)
    finally:
        ground.path.chmod(0o700)
        other.stop()

    assert shown.splitlines() == expected.splitlines()


class Cover:
    """A directory that is an input, with something else mounted on a directory or a file in it."""

    def __init__(self, ground: Ground, kind: str) -> None:
        self.ground = ground
        self.inner = ground.directory / "way" / "inner"
        self.secret = self.inner / "secret"
        self.inner.mkdir(parents=True)
        self.secret.write_text("secret\n")
        without = PathSet.subtree(str(ground.directory)) - PathSet.subtree(str(self.inner))
        spec = tools().temp("/t")
        if kind == "file":
            spec.input(ground.directory).input(ground.file, self.secret)
        elif kind == "temp":
            spec.input(without).temp(self.inner)
        elif kind == "output":
            spec.input(without).output(self.inner)
        else:
            spec.input(without)
        self.spec = spec.build()

    def show(self, executor: HermeticExecutor) -> str:
        """What can be seen, and whether it can be written to."""
        new = self.inner / "new"
        script = (
            f"cd {self.ground.directory}; ls -lAR --time-style=+ | grep -v ^total; cat {self.secret}; echo x > {new}"
        )
        try:
            shown = executor.execute(["sh", "-c", f"{{ {script}; }} 2>&1; echo $?; rm -f {new}"], cwd="/t")
        except BldrError as error:
            return f"{error.code}: {error.message}"
        return shown.stdout.decode()


def replace_cover(cover: Cover) -> None:
    cover.inner.rename(cover.ground.path / "old")
    cover.inner.mkdir()
    cover.secret.write_text("another secret\n")


def replace_way_to_cover(cover: Cover) -> None:
    cover.inner.parent.rename(cover.ground.path / "old")
    cover.inner.mkdir(parents=True)
    cover.secret.write_text("another secret\n")


def replace_file_of_cover(cover: Cover) -> None:
    (cover.ground.path / "new").write_text("another secret\n")
    (cover.ground.path / "new").rename(cover.secret)


def remove_and_make_cover(cover: Cover) -> None:
    shutil.rmtree(cover.inner)
    cover.inner.mkdir()
    cover.secret.write_text("another secret\n")


def link_cover_elsewhere(cover: Cover) -> None:
    cover.inner.rename(cover.ground.path / "old")
    cover.inner.symlink_to(cover.ground.path / "old")


def link_file_again(cover: Cover) -> None:
    os.link(cover.secret, cover.ground.path / "same")
    cover.secret.unlink()
    os.link(cover.ground.path / "same", cover.secret)


@pytest.mark.parametrize("kind", ["file", "temp", "output", "hole"])
@pytest.mark.parametrize(
    "change",
    [
        replace_cover,
        replace_way_to_cover,
        replace_file_of_cover,
        remove_and_make_cover,
        link_cover_elsewhere,
        link_file_again,
        lambda cover: shutil.rmtree(cover.inner),
    ],
)
def test_what_covers_files_of_the_host_still_does_when_they_were_replaced(
    ground: Ground, kind: str, change: Callable[[Cover], object], host_dir: Path
) -> None:
    """The kernel takes a mount away with the file that it lies on, when somebody outside puts another one there."""
    cover = Cover(ground, kind)
    other = Launcher(ready=0, scratch_parent=str(host_dir / "scratch"))
    executor = HermeticExecutor.create(cover.spec, launcher=ground.launcher)
    new = HermeticExecutor.create(cover.spec, launcher=other)
    equip(ground.launcher, lambda: cover.show(executor))

    change(cover)
    shown = cover.show(executor)
    expected = cover.show(new)
    other.stop()

    assert shown.splitlines() == expected.splitlines()


def test_a_plan_with_holes_is_executed_ahead(ground: Ground) -> None:
    cover = Cover(ground, "hole")
    executor = HermeticExecutor.create(cover.spec, launcher=ground.launcher)
    used = False
    for _ in range(ATTEMPTS):
        ready = equip(ground.launcher, lambda: cover.show(executor))
        with executor.start(["cat"], stdin="pipe") as session:
            used = used or init_of(session) in ready
            session.kill()
        if used:
            break

    assert used


def test_the_toolchain_of_the_system_is_executed_ahead(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(SandboxSpecBuilder.create().with_toolchain("system").build(), launcher=launcher)

    assert equip(launcher, lambda: executor.execute(["true"]))


def test_what_is_refused_stays_refused(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(tools().with_process(ProcessPolicy(allow_exec=False)).build(), launcher=launcher)

    said = {executor.execute(["sh", "-c", "ls; echo $?"]).stdout for _ in range(5)}

    assert said == {b"126\n"}


def test_specs_that_differ_in_nothing_but_the_environment_share_them(ground: Ground, launcher: Launcher) -> None:
    executors = [
        HermeticExecutor.create(ground.spec().env("NAME", str(number)).build(), launcher=launcher)
        for number in range(3)
    ]
    ground.equip()

    said = [executor.execute(["sh", "-c", "echo $NAME"]).stdout for executor in executors]

    assert said == [b"0\n", b"1\n", b"2\n"]


def test_another_plan_gets_another_sandbox(ground: Ground, launcher: Launcher) -> None:
    other = HermeticExecutor.create(tools().hostname("other").build(), launcher=launcher)
    ground.equip()
    for _ in range(3):
        assert other.execute(["sh", "-c", "uname -n; ls -d /t"]).stdout == b"other\n"
        assert ground.executor.execute(["uname", "-n"]).stdout != b"other\n"
    for _ in range(3):
        assert other.execute(["sh", "-c", "uname -n; ls -d /t"]).stdout == b"other\n"


def test_temps_are_empty_each_time_and_gone_afterwards(ground: Ground, launcher: Launcher) -> None:
    for _ in range(3):
        ground.equip()
        result = ground.executor.execute(
            ["sh", "-c", "ls -A /tmp /t; stat -c %a /tmp /t; mkdir -p /tmp/a/b; date > /t/x"]
        )
        assert result.stdout == b"/t:\n\n/tmp:\n1777\n755\n"
        assert temps_in_use(launcher.base) == []


def test_a_temp_that_somebody_removed_is_made_anew(ground: Ground, launcher: Launcher) -> None:
    ground.equip()
    for name in os.listdir(launcher.base):
        shutil.rmtree(f"{launcher.base}/{name}", ignore_errors=True)  # after a second the launcher removes them, too

    assert ground.executor.execute(["sh", "-c", "echo x > /t/y; echo x > /tmp/y; cat /t/y"]).stdout == b"x\n"


def test_nobody_holds_on_to_sources_for_long(ground: Ground, launcher: Launcher) -> None:
    ground.equip()

    assert until(lambda: equipped(launcher.pid) == set())
    assert len(os.listdir(launcher.base)) <= 1  # temps for one more


def test_those_that_die_are_replaced(ground: Ground, launcher: Launcher) -> None:
    handles = []
    for pid in ground.equip():
        try:
            handles.append(os.pidfd_open(pid))
            # A message may reach who is being killed, and gets no answer.
            signal.pidfd_send_signal(handles[-1], signal.SIGKILL)
        except ProcessLookupError:
            pass  # it has gone home meanwhile
    assert all(map(ends, handles))
    close_all(handles)

    assert [ground.executor.execute(["echo", "x"]).stdout for _ in range(8)] == [b"x\n"] * 8


def test_a_command_that_cannot_start_is_told(ground: Ground) -> None:
    ground.equip()
    with pytest.raises(BldrError) as caught:
        ground.executor.execute(["no-such-command"])
    assert caught.value.code == "spec.command-not-found"
    ground.equip()
    with pytest.raises(BldrError) as caught:
        ground.executor.execute(["true"], cwd="/no/such")
    assert caught.value.code == "spec.cwd-invalid"


def test_many_runs_leave_no_descriptor(ground: Ground, launcher: Launcher) -> None:
    ground.equip()
    until(lambda: equipped(launcher.pid) == set())
    before = descriptors(), descriptors(launcher.pid)
    for _ in range(20):
        ground.equip()
        replace_file(ground)
        ground.show(ground.executor)

    assert until(lambda: equipped(launcher.pid) == set())
    assert until(lambda: (descriptors(), descriptors(launcher.pid)) == before)


MOUNTED = textwrap.dedent("""
    import os, subprocess, sys
    sys.path[:0] = sys.argv[1:3]
    from pathlib import Path
    from bldr import HermeticExecutor
    from bldr.sandbox.linux.launcher import Launcher
    from bldr import SandboxSpecBuilder
    from tests.processes import equipped, until

    ground = Path(sys.argv[3])
    for name in ("dir/below", "other", "scratch"):
        (ground / name).mkdir(parents=True)
        (ground / name / "file").write_text(name)
    spec = SandboxSpecBuilder.create().env("PATH", "/usr/bin:/bin").input(ground / "dir")
    for path in ("/usr", "/bin", "/lib", "/lib64"):
        if os.path.exists(path):
            spec.input(path)
    spec = spec.build()
    launchers = [Launcher(scratch_parent=str(ground / "scratch")), Launcher(ready=0, scratch_parent=str(ground / "scratch"))]
    executors = [HermeticExecutor.create(spec, launcher=one) for one in launchers]

    def show(executor):
        argv = ["sh", "-c", "find $1 | sort; cat $1/below/file; : > $1/x", "sh", str(ground / "dir")]
        result = executor.execute(argv)
        return result.stdout + result.stderr

    def equip():
        show(executors[0]), show(executors[0])
        assert until(lambda: len(equipped(launchers[0].pid)) == 3)

    for words in (
        ["mount", "--bind", ground / "other", ground / "dir/below"],
        ["mount", "-o", "remount,bind,noexec", ground / "dir/below"],
        ["umount", ground / "dir/below"],
        ["mount", "-t", "tmpfs", "none", ground / "dir/below"],
        ["umount", "-l", ground / "dir/below"],
        ["mount", "--bind", ground / "other", ground / "dir"],
        ["umount", ground / "dir"],
        ["mount", "--bind", ground / "dir", ground / "dir"],
    ):
        equip()
        subprocess.run(words, check=True)
        shown = show(executors[0])
        assert shown == show(executors[1]), (words, shown, show(executors[1]))
    for one in launchers:
        one.stop()
    print("the same")
""")


@pytest.mark.needs("system-python")
def test_after_a_mount_it_shows_what_a_new_sandbox_shows(host_dir: Path, repository: Path) -> None:
    enter = ["unshare", "-m"] if os.getuid() == 0 else ["unshare", "-Urm"]
    done = subprocess.run(
        [*enter, "/usr/bin/python3", "-c", MOUNTED, SOURCES, repository, host_dir], capture_output=True, check=False,
        timeout=BOUND * 3, cwd="/",
    )  # fmt: skip

    assert (done.stdout, done.stderr) == (b"the same\n", b"")


SUPERVISOR = textwrap.dedent("""
    import os, signal, sys
    sys.path[:0] = sys.argv[1:3]
    from bldr import HermeticExecutor
    from bldr.sandbox.linux.launcher import Launcher
    from bldr import SandboxSpecBuilder
    from tests.processes import equipped, until

    launcher = Launcher(scratch_parent=sys.argv[3])
    spec = SandboxSpecBuilder.create().input("/usr").input("/bin").input("/lib").default_temp("/tmp")
    if os.path.exists("/lib64"):
        spec.input("/lib64")
    executor = HermeticExecutor.create(spec.env("PATH", "/bin").build(), launcher=launcher)
    for _ in range(2):
        executor.execute(["true"])
    assert until(lambda: len(equipped(launcher.pid)) == 3)
    print(launcher.pid, flush=True)
    signal.pause()
""")


@pytest.mark.parametrize("victims", ["supervisor", "launcher", "both"])
def test_who_is_killed_leaves_nothing_of_what_was_made_ahead(host_dir: Path, repository: Path, victims: str) -> None:
    mounts = Path("/proc/self/mounts").read_bytes()
    process = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, SOURCES, repository, host_dir], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    with Witness(pid) as witness:
        assert len(witness.pids) >= 5
        if victims == "both":
            process.send_signal(signal.SIGSTOP)
        if victims != "supervisor":
            os.kill(pid, signal.SIGKILL)
        if victims != "launcher":
            process.kill()
        survivors = witness.survivors()
        process.kill()
        process.stdout.close()
        process.wait(BOUND)
        assert survivors == set()
    if victims != "supervisor":  # the next start removes it
        again = Launcher(scratch_parent=str(host_dir))
        again.ensure()
        assert until(lambda: [str(path) for path in host_dir.iterdir()] == [again.base])
        again.stop()
    assert list(host_dir.iterdir()) == []
    assert Path("/proc/self/mounts").read_bytes() == mounts
