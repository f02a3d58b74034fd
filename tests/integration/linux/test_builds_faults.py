"""What disks, clocks, other processes and impatient people do to `bldr build`: it is never wrong about what is built."""

from __future__ import annotations

import os
import random
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from bldr.builderfile.workspace import load, resolve
from bldr.engine.action import Action
from bldr.engine.build import Build, Options
from bldr.engine.graph import graph_of
from bldr.engine.lock import WorkspaceLock
from bldr.engine.outcome import Observer, Outcome, Status
from bldr.engine.state import State
from bldr.store.cache import Cache
from tests.faults.dying_builds import Workspace
from tests.integration.linux.test_builds import COPY, Run, Site, site  # noqa: F401  # a fixture
from tests.processes import Witness, until

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

DEATHS = 8
LARGE = 'target("copy") { type: custom; sources: ["in"]; command: "cat in in > out/copy"; output: "out/copy"; }\n'
LINE = "something to copy\n"


@pytest.mark.timeout(300)
def test_builds_that_are_killed_at_any_moment_are_taken_up_by_the_next(
    tmp_path: Path, bldr_argv: list[str], known_toolchain: Path
) -> None:
    """Of a real process from its first instruction on; tests/faults kills many more, at chosen places."""
    chance = random.Random(5)
    (tmp_path / "cache").mkdir()
    shutil.copy(known_toolchain, tmp_path / "cache")
    workspace = Workspace(tmp_path / "ws", chance)
    argv = [*bldr_argv, "build", "-q", f"--cache-dir={tmp_path / 'cache'}"]
    subprocess.run(argv, cwd=workspace.root, check=True, timeout=60)
    usual = 0.0
    for _ in range(DEATHS):
        before = workspace.expected()
        workspace.edit()
        process = subprocess.Popen(argv, cwd=workspace.root, stderr=subprocess.DEVNULL)
        try:
            process.wait(chance.uniform(0, usual))
        except subprocess.TimeoutExpired:
            process.kill()
        process.wait()
        left = workspace.products()
        after = workspace.expected()
        begun = time.monotonic()
        done = subprocess.run(argv, cwd=workspace.root, capture_output=True, timeout=60, check=False)
        usual = max(usual, time.monotonic() - begun)

        assert (done.returncode, done.stderr) == (0, b"")
        assert [path for path, text in left.items() if text not in (before[path], after[path])] == []
        assert sorted(left) == sorted(before)
        assert workspace.products() == after
        assert os.listdir(workspace.root / ".builder" / "staging") == []


class Disk:
    """A small file system for a folder of a workspace, in a mount namespace of its own.

    Args:
        site: The workspace.
        bldr_argv: How bldr is started.
    """

    def __init__(self, site: Site, bldr_argv: list[str]) -> None:  # noqa: F811
        self._site = site
        self._build = shlex.join([*bldr_argv, "build", "-v", f"--cache-dir={site.cache}"])

    def script(self, *lines: str) -> str:
        """Run lines of shell in which ``build`` builds and says its status; returns what all of it said."""
        begin = f'build() {{ if {self._build} 2>&1; then echo "status 0"; else echo "status $?"; fi; }}'
        unshare = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
        done = subprocess.run(
            [*unshare, "sh", "-ec", "\n".join([begin, *lines])],
            cwd=self._site.root,
            capture_output=True,
            text=True,
            check=False,
            timeout=100,
        )
        assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def disk(site: Site, bldr_argv: list[str]) -> Disk:  # noqa: F811
    site.write("in", LINE)
    site.write("Builderfile", LARGE)
    site.build()
    return Disk(site, bldr_argv)


def test_a_full_disk_for_stages_fails_the_action_and_leaves_the_product(disk: Disk, site: Site) -> None:  # noqa: F811
    site.write("in", LINE * 20_000)

    told = disk.script(
        "mount -t tmpfs -o size=9m none .builder; head -c 8800k /dev/zero > .builder/zeros",
        "build",
        "cat out/copy",
        "rm .builder/zeros",
        "build",
        "build",
    )

    assert "No space left on device" in told
    assert f"status 1\n{LINE * 2}" in told
    assert told.endswith(
        "status 0\nbldr: [INFO] Hermetic builds: enabled (linux-namespaces)\nbldr: 1 up to date\nstatus 0\n"
    )
    assert site.read("out/copy") == LINE * 40_000


def test_a_full_disk_for_products_leaves_the_earlier_one_and_no_draft(disk: Disk, site: Site) -> None:  # noqa: F811
    """The products lie on another file system than the stages, so that no rename leads there."""
    told = disk.script(
        "mount -t tmpfs -o size=9m none out; head -c 8800k /dev/zero > out/zeros",
        "build",
        "seq 100000 > in",
        "build",
        "ls -A out",
        "cat out/copy",
        "rm out/zeros",
        "build",
        "cat in in | cmp - out/copy",
        "ls -A out",
        "build",
    )

    assert "No space left on device" in told
    assert f"status 1\ncopy\nzeros\n{LINE * 2}" in told
    assert told.endswith(
        "1 from the cache\nstatus 0\ncopy\nbldr: [INFO] Hermetic builds: enabled (linux-namespaces)\nbldr: 1 up to date\nstatus 0\n"
    )


def test_folders_on_another_file_system_are_replaced_whole(disk: Disk, site: Site) -> None:  # noqa: F811
    site.write(
        "Builderfile",
        'target("t") { type: custom; sources: ["in"]; output: "out/d/";'
        ' command: "mkdir -m 750 out/d/e; cat in > out/d/e/x; ln -s e/x out/d/l"; }',
    )

    told = disk.script(
        "mount -t tmpfs none out",
        "build",
        "echo more > in",
        "build",
        "find out/d -printf '%m %y %P\\n' | sort",
        "cat out/d/l; ls -A out",
    )

    assert told.count("1 built\nstatus 0\n") == 2
    assert told.endswith("\n644 f e/x\n750 d e\n755 d \n777 l l\nmore\nd\n")


def test_a_full_disk_for_the_cache_costs_time_only(disk: Disk, site: Site) -> None:  # noqa: F811
    site.write("in", LINE * 70_000)

    told = disk.script(
        f"cp {site.cache}/index.sqlite ..; mount -t tmpfs -o size=40m none {site.cache}; mv ../index.sqlite {site.cache}",
        f"head -c $((38 * 1048576 - $(stat -c %s {site.cache}/index.sqlite))) /dev/zero > {site.cache}/zeros",
        "build",
        "cat in in | cmp - out/copy",
        "build",
        f"rm {site.cache}/zeros",
        "echo more >> in",
        "build",
        "rm out/copy",
        "build",
        "cat in in | cmp - out/copy",
    )

    assert "not kept: " in told
    assert "No space left on device" in told
    assert [line for line in told.split("\n") if line.startswith("bldr: 1 ")] == [
        "bldr: 1 built",
        "bldr: 1 up to date",
        "bldr: 1 built",
        "bldr: 1 from the cache",
    ]


def test_a_folder_that_cannot_be_written_fails_the_action_and_is_named(disk: Disk, site: Site) -> None:  # noqa: F811
    site.write("in", "new\n")

    told = disk.script(
        "mount --bind out out", "mount -o remount,bind,ro out", "build", "cat out/copy", "umount out", "build"
    )

    assert "Read-only file system" in told
    assert "out" in next(line for line in told.split("\n") if "Read-only" in line)
    assert f"status 1\n{LINE * 2}" in told
    assert told.endswith("1 from the cache\nstatus 0\n")  # it was kept before
    told = disk.script("mount --bind .builder .builder", "mount -o remount,bind,ro .builder", "build")
    assert told.endswith("status 125\n")
    assert "Read-only file system" in told
    assert ".builder" in told


def test_a_folder_that_nobody_may_write_is_replaced_like_any_other(site: Site) -> None:  # noqa: F811
    """Only root can move such a folder as it is."""
    site.write("in", "1\n")
    site.write(
        "Builderfile",
        'target("t") { type: custom; sources: ["in"]; output: "d/"; command: "mkdir d/e; cat in > d/e/f; chmod 555 d d/e"; }',
    )
    for number in (1, 2, 1):
        site.write("in", f"{number}\n")
        assert build(site.root, site.cache).status in (Status.BUILT, Status.CACHED)

        assert site.read("d/e/f") == f"{number}\n"
        assert [(site.root / name).stat().st_mode & 0o777 for name in ("d", "d/e")] == [0o555, 0o555]
        assert build(site.root, site.cache).status == Status.UP_TO_DATE
    (site.root / "d").chmod(0o755)
    (site.root / "d" / "e").chmod(0o755)


def test_empty_folders_and_modes_of_folders_are_content(site: Site, bldr: Run) -> None:  # noqa: F811
    text = (
        'target("t") { type: custom; output: "d/"; command: "touch d/f; mkdir d/e; mkdir -m 750 d/MODE"; }\n'
        'target("u") { type: custom; deps: [":t"]; output: "out/l"; command: "find d -printf \'%p %m \' > out/l"; }\n'
    )
    wanted: dict[str, str] = {}
    for name in ("a", "b", "a"):
        site.write("Builderfile", text.replace("MODE", name))
        site.build()

        assert sorted(os.listdir(site.root / "d")) == sorted([name, "e", "f"])
        assert (site.root / "d" / name).stat().st_mode & 0o777 == 0o750
        assert f"d/{name} 750" in site.read("out/l")
        assert wanted.setdefault(name, site.read("out/l")) == site.read("out/l")
        assert site.build() == "bldr: 2 up to date\n"
    (site.root / "d" / "e").rmdir()
    assert "d/e/ is missing" in site.build("--explain")
    (site.root / "d" / "a").chmod(0o700)
    assert "d/a/ was changed by somebody else" in site.build("--explain")
    assert (site.root / "d" / "a").stat().st_mode & 0o777 == 0o750
    assert bldr("clean", cwd=site.root).stderr == b"bldr: 2 files removed\n"
    assert sorted(os.listdir(site.root)) == [".builder", "Builderfile"]


def test_times_decide_nothing(site: Site) -> None:  # noqa: F811
    """The clock goes back, files come from other machines, and somebody restores a time: content counts."""
    source, product = site.root / "in", site.root / "out" / "copy"
    site.write("Builderfile", COPY)
    now = time.time_ns()
    for number, moment in enumerate((now + 10**18, now - 10**18, now - 10**18, 0)):
        source.write_text(f"{number}\n", "ascii")  # of the same size
        os.utime(source, ns=(moment, moment))

        assert build(site.root, site.cache).status == Status.BUILT
        assert product.read_text("ascii") == f"{number}\n"
        assert build(site.root, site.cache).status == Status.UP_TO_DATE
    other = site.root / "other"
    other.write_text("5\n", "ascii")
    os.utime(other, ns=(0, 0))
    other.rename(source)

    assert build(site.root, site.cache).status == Status.BUILT
    assert product.read_text("ascii") == "5\n"
    os.utime(product, ns=(now + 10**18, now + 10**18))
    assert build(site.root, site.cache).status == Status.UP_TO_DATE


class Meddling(Observer):
    """Changes a file when an action has been found stale, before it runs."""

    def __init__(self, path: Path, text: str) -> None:
        self._path = path
        self._text = text

    def started(self, action: Action, reason: str) -> None:
        self._path.write_text(self._text, "ascii")


def build(root: Path, cache: Path, observer: Observer | None = None) -> Outcome:
    workspace = load(os.fspath(root))
    labels = list(workspace.targets)
    with WorkspaceLock(os.fspath(root)), Cache(os.fspath(cache)) as opened, State(os.fspath(root)) as state:
        graph = graph_of(resolve(workspace, labels), labels)
        (outcome,) = Build(os.fspath(root), graph, opened, state, Options(), observer=observer).run()
    return outcome


@pytest.mark.parametrize("path", ["in", "folder/in", "folder/new"])
def test_a_source_that_changes_before_its_action_runs_is_not_mixed_up(site: Site, path: str) -> None:  # noqa: F811
    """What was made of the new content is not taken for what the old content makes."""
    site.write("in", "old\n")
    site.write("folder/in", "old\n")
    text = COPY.replace('"in"]', '"in"]; hermetic: { inputs: ["folder/"]; }').replace("cat in", "cat in folder/*")
    site.write("Builderfile", text)

    outcome = build(site.root, site.cache, Meddling(site.root / path, "new\n"))

    assert (outcome.status, outcome.note) == (Status.BUILT, "an input changed before it ran")
    assert "new\n" in site.read("out/copy")
    if path == "folder/new":
        (site.root / path).unlink()
    else:
        site.write(path, "old\n")
    assert build(site.root, site.cache).status == Status.BUILT
    assert site.read("out/copy") == "old\nold\n"
    assert build(site.root, site.cache).status == Status.UP_TO_DATE


def test_builds_at_the_same_time_are_refused_or_wait_and_none_is_wrong(site: Site, bldr_argv: list[str]) -> None:  # noqa: F811
    site.write("in", LINE)
    site.write("Builderfile", COPY)
    argv = [*bldr_argv, "build", f"--cache-dir={site.cache}"]
    crowd = [
        subprocess.Popen([*argv, *words], cwd=site.root, stderr=subprocess.PIPE)
        for words in (["--wait"], [], ["--wait"], [], [])
    ]
    told = [process.communicate(timeout=60)[1].decode() for process in crowd]

    assert [process.returncode for process in crowd][::2][:2] == [0, 0]
    for process, text in zip(crowd, told, strict=True):
        assert process.returncode in (0, 125), text
        assert process.returncode == 0 or "builds in this workspace" in text
    assert sum("1 built" in text for text in told) == 1
    assert site.read("out/copy") == LINE


def test_two_workspaces_may_fill_one_cache_at_the_same_time(site: Site, bldr_argv: list[str]) -> None:  # noqa: F811
    for number in range(6):
        site.write(f"in{number}", LINE * number)
    target = 'target("t{0}") {{ type: custom; sources: ["in{0}"]; command: "cat in{0} > t{0}"; output: "t{0}"; }}\n'
    site.write("Builderfile", "".join(target.format(number) for number in range(6)))
    others = [site.root.parent / f"other{number}" for number in range(3)]
    for other in others:
        shutil.copytree(site.root, other)
    processes = [
        subprocess.Popen([*bldr_argv, "build", "-q", f"--cache-dir={site.cache}"], cwd=other, stderr=subprocess.PIPE)
        for other in others
    ]

    for process, other in zip(processes, others, strict=True):
        assert (process.communicate(timeout=60)[1], process.returncode) == (b"", 0)
        assert [(other / f"t{number}").read_text("ascii") for number in range(6)] == [
            LINE * number for number in range(6)
        ]


def test_what_rots_in_the_cache_is_put_into_quarantine_and_made_again(site: Site, bldr: Run) -> None:  # noqa: F811
    site.write("in", LINE)
    site.write("Builderfile", COPY.replace("cat in", "echo said; cat in"))
    site.build()
    shutil.rmtree(site.root / "out")
    for blob in sorted((site.cache / "cas").glob("*/*")):
        content = bytearray(blob.read_bytes() or b"?")
        content[len(content) // 2] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(content)

    told = site.build()

    assert "1 built" in told
    assert "\nsaid\n" in told
    assert site.read("out/copy") == LINE
    assert list((site.cache / "quarantine").iterdir()) != []
    shutil.rmtree(site.root / "out")
    assert "1 from the cache" in site.build()
    assert site.read("out/copy") == LINE


def test_an_index_that_rots_is_begun_anew(site: Site) -> None:  # noqa: F811
    """Not its first page, which is looked at when it is opened, but one that is met while it builds."""
    site.write("in", LINE)
    site.write("Builderfile", COPY)
    site.build()
    with open(site.cache / "index.sqlite", "r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    for ending in ("-wal", "-shm"):
        (site.cache / f"index.sqlite{ending}").unlink(missing_ok=True)
    site.write("in", LINE * 2)

    assert "1 built" in site.build()
    site.write("in", LINE)
    site.build()
    assert site.read("out/copy") == LINE
    assert list(site.cache.glob("index.sqlite.unreadable.*")) != []


def test_an_interrupted_build_leaves_earlier_products_and_keeps_what_was_finished(
    site: Site,  # noqa: F811
    bldr_argv: list[str],
) -> None:
    quick = 'target("quick") { type: custom; sources: ["in"]; command: "cat in > quick"; output: "quick"; }\n'
    both = COPY.replace("> out/copy", "> out/copy; if grep -q slow in; then touch out/begun; sleep 100; fi")
    site.write("in", LINE)
    site.write("Builderfile", both + quick)
    site.build()
    before = os.stat(site.root / "out" / "copy")
    site.write("in", "slow\n")
    process = subprocess.Popen(
        [*bldr_argv, "build", "-j2", f"--cache-dir={site.cache}"],
        cwd=site.root,
        stderr=subprocess.PIPE,
        process_group=0,
    )
    staging = site.root / ".builder" / "staging"
    assert until(lambda: bool(list(staging.glob("*/*/*/begun"))) and site.read("quick") == "slow\n")
    assert process.stderr is not None
    assert until(lambda: b"quick" in (site.root / ".builder" / "state").read_bytes().split(b"\n")[-2])
    os.killpg(process.pid, signal.SIGINT)
    told = process.communicate(timeout=60)[1].decode()

    assert process.returncode == 130, told
    assert "1 built, 1 cancelled" in told
    assert site.read("out/copy") == LINE
    assert os.stat(site.root / "out" / "copy").st_mtime_ns == before.st_mtime_ns
    assert os.listdir(staging) == []
    site.write("Builderfile", COPY + quick)
    assert "1 built, 1 up to date" in site.build()
    assert site.read("out/copy") == "slow\n"


def test_a_second_interrupt_kills_what_does_not_want_to_end(site: Site, bldr_argv: list[str]) -> None:  # noqa: F811
    site.write("in", "stubborn\n")
    stubborn = COPY.replace(
        "cat in",
        "trap 'touch out/asked' TERM INT; touch out/begun; while true; do sleep 100 & wait || true; done; cat in",
    )
    site.write("Builderfile", stubborn)
    process = subprocess.Popen(
        [*bldr_argv, "build", f"--cache-dir={site.cache}"], cwd=site.root, stderr=subprocess.PIPE, process_group=0
    )
    staging = site.root / ".builder" / "staging"
    assert until(lambda: bool(list(staging.glob("*/*/*/begun"))))
    with Witness(process.pid) as witness:
        process.send_signal(signal.SIGINT)
        assert until(lambda: bool(list(staging.glob("*/*/*/asked"))))
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        told = process.communicate(timeout=60)[1].decode()

        assert process.returncode == 130, told
        assert witness.survivors() == set()
    assert "1 cancelled" in told
    assert os.listdir(staging) == []
    assert not (site.root / "out").exists()
