"""``bldr try`` and ``Trial`` against the real kernel: what is shown, taken over and dropped."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import CommitError, SandboxSpecBuilder, Trial
from bldr.model.result import Termination
from bldr.sandbox.linux.launcher import Launcher
from tests.capabilities import UNPRIVILEGED_ID

pytestmark = pytest.mark.needs("user-namespaces")
Run = Callable[..., subprocess.CompletedProcess[bytes]]
BOUND = 20_000  # milliseconds

SCRIPT = """
set -e
echo more >> a; echo new > new; ln new again; rm -r sub; mkdir sub; echo s > sub/s; chmod 600 tool
mkdir -p x/y; ln -sf new link; rm -r gone; mv move moved
"""
CHANGES = [
    "C a", "A again", "D gone/", "C link -> new", "D move/", "A moved/", "A moved/m", "A new", "D sub/b", "D sub/deep/",
    "A sub/s", "M tool", "A x/", "A x/y/",
]  # fmt: skip


@pytest.fixture
def tree(host_dir: Path) -> Path:
    root = host_dir / "tree: odd"
    for name in ("sub/deep", "gone", "move"):
        (root / name).mkdir(parents=True)
    for name in ("a", "sub/b", "sub/deep/c", "gone/g", "tool", "move/m"):
        (root / name).write_text(name, "ascii")
    (root / "link").symlink_to("a")
    return root


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(root))] = (status.st_mode, status.st_nlink if path.is_file() else 0, content)
    return found


def spec(root: Path) -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create().carve().with_toolchain("system").env("PATH", "/usr/bin:/bin").overlay(root)


def shown(output: bytes, root: Path) -> list[str]:
    lines = [line for line in output.decode().splitlines() if not line.startswith("bldr: ")]
    return [line.replace(f"{root}/", "").split("  (")[0] for line in lines]


@pytest.mark.needs("bldr-command")
def test_what_was_changed_is_shown_and_dropped(bldr: Run, tree: Path) -> None:
    before = picture(tree)

    done = bldr("try", "--drop", "--", "sh", "-c", SCRIPT, cwd=tree)

    assert done.returncode == 0, done.stderr
    assert shown(done.stderr, tree) == CHANGES
    assert done.stdout == b""
    assert b"the changes were dropped" in done.stderr
    assert picture(tree) == before


@pytest.mark.needs("bldr-command")
def test_a_commit_leaves_what_the_command_would_have_left(bldr: Run, tree: Path, host_dir: Path) -> None:
    bare = host_dir / "bare"
    shutil.copytree(tree, bare, symlinks=True)
    subprocess.run(["sh", "-c", SCRIPT], cwd=bare, check=True)

    done = bldr("try", "--commit", "--", "sh", "-c", SCRIPT, cwd=tree)

    assert done.returncode == 0, done.stderr
    assert picture(tree) == picture(bare)
    assert b"the changes were taken over" in done.stderr


@pytest.mark.needs("bldr-command")
def test_a_command_that_fails_is_not_committed(bldr: Run, tree: Path) -> None:
    before = picture(tree)

    done = bldr("try", "--commit", "--", "sh", "-c", SCRIPT + "exit 3", cwd=tree)

    assert done.returncode == 3
    assert b"the command failed, so its changes are not taken over" in done.stderr
    assert picture(tree) == before


@pytest.mark.needs("bldr-command")
def test_json_tells_changes_and_outcome(bldr: Run, tree: Path, tmp_path: Path) -> None:
    bldr("try", "--json", tmp_path / "j", "--", "sh", "-c", "chmod 600 tool; echo x > a; touch link", cwd=tree)

    content = json.loads((tmp_path / "j").read_text("ascii"))
    assert content["outcome"] == "dropped"
    assert [(one["kind"], one["path"], one["old_mode"], one["new_mode"]) for one in content["changes"]] == [
        ("changed", f"{tree}/a", "0644", "0644"),
        ("mode", f"{tree}/tool", "0644", "0600"),
    ]


@pytest.mark.needs("bldr-command")
@pytest.mark.parametrize(("answer", "content"), [(b"y\n", b"x\n"), (b"n\n", b"a"), (b"\n", b"a")])
def test_a_terminal_is_asked(bldr_argv: list[str], tree: Path, answer: bytes, content: bytes) -> None:
    ours, theirs = pty.openpty()
    argv = [*bldr_argv, "try", "--", "sh", "-c", "echo x > a"]
    with subprocess.Popen(argv, cwd=tree, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while b"[y/N]" not in seen and select.select([ours], [], [], BOUND / 1000)[0]:
            seen += os.read(ours, 4096)
        os.write(ours, answer)
        while select.select([ours], [], [], BOUND / 1000)[0]:
            try:
                if not os.read(ours, 4096):
                    break
            except OSError:
                break
        assert process.wait(timeout=30) == 0
    os.close(ours)

    assert b"take over 1 change? [y/N]" in seen
    assert (tree / "a").read_bytes() == content


@pytest.mark.needs("bldr-command")
def test_a_tree_that_changed_meanwhile_is_refused_with_125(bldr_argv: list[str], tree: Path) -> None:
    os.mkfifo(tree / "go")
    argv = [*bldr_argv, "try", "--commit", "-o", "out", "--", "sh", "-c", "echo x > a; echo ready > out/ready; cat go"]
    (tree / "out").mkdir()
    os.mkfifo(tree / "out" / "ready")
    with subprocess.Popen(argv, cwd=tree, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        with (tree / "out" / "ready").open("rb") as ready:
            assert ready.read() == b"ready\n"
        (tree / "a").write_text("meanwhile", "ascii")
        (tree / "out" / "go").touch()
        process.terminate()
        _, told = process.communicate(timeout=60)

    assert process.returncode in (125, 128 + 15), told
    assert (tree / "a").read_text("ascii") == "meanwhile"


def test_a_conflict_is_named_in_python(launcher: Launcher, tree: Path) -> None:
    with Trial(spec(tree).build(), launcher=launcher) as trial:
        assert trial.executor.execute(["sh", "-c", "echo x > a"], cwd=tree).success
        (tree / "a").write_text("meanwhile", "ascii")

        with pytest.raises(CommitError) as caught:
            trial.commit()

    assert caught.value.code == "commit.conflict"
    assert (tree / "a").read_text("ascii") == "meanwhile"


def test_what_is_neither_committed_nor_dropped_is_dropped(launcher: Launcher, tree: Path) -> None:
    before = picture(tree)
    with Trial(spec(tree).build(), launcher=launcher) as trial:
        home = trial._home
        result = trial.executor.execute(["sh", "-c", SCRIPT], cwd=tree)
        assert [f"{one.kind}" for one in trial.changes()].count("deleted") == 4

    assert result.termination == Termination.EXITED
    assert picture(tree) == before
    assert not os.path.exists(home)


def test_each_execution_starts_from_the_host_again(launcher: Launcher, tree: Path) -> None:
    with Trial(spec(tree).build(), launcher=launcher) as trial:
        trial.executor.execute(["sh", "-c", "echo 1 > one"], cwd=tree)
        trial.executor.execute(["sh", "-c", "ls one; echo 2 > two"], cwd=tree)
        assert [one.path for one in trial.changes()] == [f"{tree}/two"]
        trial.commit()

    assert not (tree / "one").exists()
    assert (tree / "two").exists()


def test_outputs_and_mountpoints_in_the_tree_are_no_changes(launcher: Launcher, tree: Path) -> None:
    (tree / "out").mkdir()
    made = spec(tree).output(tree / "out").temp(tree / "tmp" / "deep").build()
    with Trial(made, launcher=launcher) as trial:
        result = trial.executor.execute(["sh", "-ec", "echo o > out/o; echo t > tmp/deep/t; echo x > x"], cwd=tree)
        assert result.success, result.stderr
        assert [one.path for one in trial.changes()] == [f"{tree}/x"]
        trial.commit()

    assert not (tree / "tmp").exists()
    assert sorted(os.listdir(tree / "out")) == ["o"]


def test_a_single_file_can_be_tried(launcher: Launcher, tree: Path) -> None:
    made = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").overlay(tree / "a").build()
    with Trial(made, launcher=launcher) as trial:
        trial.executor.execute(["sh", "-c", 'echo more >> "$0"', tree / "a"])
        assert [(one.kind, one.path) for one in trial.changes()] == [("changed", f"{tree}/a")]
        trial.commit()

    assert (tree / "a").read_text("ascii") == "amore\n"
    assert sorted(os.listdir(tree)) == ["a", "gone", "link", "move", "sub", "tool"]


def test_without_an_overlay_there_is_nothing_to_try(launcher: Launcher) -> None:
    with pytest.raises(CommitError) as caught:
        Trial(SandboxSpecBuilder.create().build(), launcher=launcher)
    assert caught.value.code == "commit.nothing"


@pytest.mark.needs("overlay-in-userns", "bldr-command")
def test_a_copy_is_committed_as_an_overlay_is(bldr_argv: list[str], tree: Path, host_dir: Path) -> None:
    """The layer is on a file system without overlays, and not on that of the tree."""
    bare = host_dir / "bare"
    shutil.copytree(tree, bare, symlinks=True)
    subprocess.run(["sh", "-c", SCRIPT], cwd=bare, check=True)
    (host_dir / "ram").mkdir()
    script = f'mount -t ramfs r {host_dir}/ram && chmod 755 {host_dir}/ram && TMPDIR={host_dir}/ram exec "$@"'
    argv = [*bldr_argv, "try", "-v", "--commit", "--", "sh", "-c", SCRIPT]

    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, "sh", *argv], cwd=tree, capture_output=True, timeout=60, check=False
    )

    assert done.returncode == 0, done.stderr
    assert b"a copy instead of an overlay" in done.stderr
    assert picture(tree) == picture(bare)


@pytest.mark.needs("unprivileged-user")
def test_a_user_commits_what_is_theirs_and_nothing_else(run_unprivileged: Run, tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        os.chown(path, UNPRIVILEGED_ID, UNPRIVILEGED_ID, follow_symlinks=False)
    done = run_unprivileged("-m", "bldr", "try", "--commit", "--", "sh", "-c", SCRIPT, cwd=tree)
    assert done.returncode == 0, done.stderr
    assert (tree / "sub" / "s").stat().st_uid == UNPRIVILEGED_ID
    assert stat.S_IMODE((tree / "tool").stat().st_mode) == 0o600

    os.chown(tree, 0, 0)
    before = picture(tree)
    refused = run_unprivileged("-m", "bldr", "try", "--commit", "--", "sh", "-c", "echo y > y; echo z > a", cwd=tree)

    assert refused.returncode == 125
    assert b"cannot commit" in refused.stderr
    assert picture(tree) == before


@pytest.mark.needs("bldr-command")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], b"try needs a command"),
        (["--commit", "--drop", "--", "true"], b"contradict each other"),
    ],
)
def test_mistakes_are_named(bldr: Run, arguments: list[str], words: bytes) -> None:
    done = bldr("try", *arguments)

    assert done.returncode == 2
    assert words in done.stderr
