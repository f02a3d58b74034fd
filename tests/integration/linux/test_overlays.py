"""Overlays against the real kernel: what is written is seen inside, never outside, and everything else is as without."""

from __future__ import annotations

import os
import stat
import subprocess
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import GuaranteeUnavailableError, SandboxSetupError
from bldr.model.limits import ResourceLimits
from bldr.model.result import ExecutionResult
from bldr.sandbox.linux.launcher import Launcher
from tests.capabilities import SYSTEM_PYTHON

pytestmark = pytest.mark.needs("user-namespaces")
Run = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def tree(host_dir: Path) -> Path:
    """A source tree with what overlays are known to stumble over."""
    root = host_dir / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "a").write_text("hello\n", encoding="ascii")
    (root / "sub" / "b").write_text("b\n", encoding="ascii")
    (root / "sub" / "deep" / "c").write_text("c\n", encoding="ascii")
    (root / "tool").write_text("#!/bin/sh\necho tool\n", encoding="ascii")
    (root / "tool").chmod(0o750)
    (root / "link").symlink_to("a")
    os.link(root / "a", root / "hard")
    (root / "odd name, with: \\ signs").write_text("odd\n", encoding="ascii")
    for path in (*root.rglob("*"), root):
        os.utime(path, (1_600_000_000, 1_600_000_000), follow_symlinks=False)
    return root


def picture(root: Path) -> dict[str, tuple[object, ...]]:
    """Everything that can be seen of a tree, times included."""
    found: dict[str, tuple[object, ...]] = {}
    for path in (root, *sorted(root.rglob("*"))):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path)] = (status.st_mode, status.st_mtime_ns, status.st_nlink, status.st_ino, content)
    return found


def run(launcher: Launcher, root: Path, script: str, **limits: object) -> ExecutionResult:
    spec = builder(root).with_limits(ResourceLimits(**limits)).build()  # type: ignore[arg-type]  # names of limits
    return HermeticExecutor.create(spec, launcher=launcher).execute(["sh", "-ec", script], cwd=root)


def builder(root: Path) -> SandboxSpecBuilder:
    usual = SandboxSpecBuilder.create().carve().with_toolchain("system").default_temp("/tmp")
    return usual.env("PATH", "/usr/bin:/bin").overlay(root)


def python(launcher: Launcher, root: Path, program: str) -> bytes:
    spec = builder(root).build()
    result = HermeticExecutor.create(spec, launcher=launcher).execute(
        [SYSTEM_PYTHON, "-I", "-S", "-c", textwrap.dedent(program)], cwd=root
    )
    assert result.exit_code == 0, result.stderr
    return result.stdout


CHANGES = """
echo more >> a; echo new > n; rm sub/b; mkdir made; mv made renamed; chmod 600 tool; ln -sf tool link
rm -r sub/deep; mkdir sub/deep; touch sub/deep/other; ln n n2; rm hard; mkfifo fifo; : > 'odd name, with: \\ signs'
"""


def test_the_command_sees_what_it_wrote_and_the_host_does_not(launcher: Launcher, tree: Path) -> None:
    before = picture(tree)

    result = run(launcher, tree, CHANGES + "cat a; ls; ls sub sub/deep; stat -c %a tool; readlink link")

    assert result.exit_code == 0, result.stderr
    assert result.stdout.decode().split("\n") == [
        "hello", "more", "a", "fifo", "link", "n", "n2", "odd name, with: \\ signs", "renamed", "sub", "tool",
        "sub:", "deep", "", "sub/deep:", "other", "600", "tool", "",
    ]  # fmt: skip
    assert picture(tree) == before
    assert result.receipt.record("overlays-private").enforced_by in (("overlayfs",), ("copy",))


def test_two_runs_share_nothing(launcher: Launcher, tree: Path) -> None:
    first = run(launcher, tree, "echo x > n; ls n")
    second = run(launcher, tree, "ls n || echo gone")

    assert (first.stdout, second.stdout) == (b"n\n", b"gone\n")


def test_nothing_is_left_of_a_layer(launcher: Launcher, tree: Path) -> None:
    run(launcher, tree, CHANGES)

    assert os.listdir(launcher.base) == []


@pytest.mark.needs("overlay-in-memory")
def test_layers_in_memory_are_capped(launcher: Launcher, tree: Path) -> None:
    result = run(launcher, tree, "head -c 4000000 /dev/zero > big", tmp_size="1M")

    assert result.receipt.record("overlays-private").enforced_by == ("overlayfs",)
    assert b"No space left" in result.stderr


def test_outputs_inputs_and_temps_in_an_overlay_stay_what_they_are(launcher: Launcher, tree: Path) -> None:
    spec = builder(tree).output(tree / "sub" / "deep").input(tree / "sub" / "b").temp(tree / "new" / "temp").build()
    script = "echo o > sub/deep/o; echo x > new/temp/x; echo y > new/y; echo no > sub/b"

    result = HermeticExecutor.create(spec, launcher=launcher).execute(["sh", "-c", script], cwd=tree)

    assert b"Read-only file system" in result.stderr
    assert (tree / "sub" / "deep" / "o").read_text("ascii") == "o\n"
    assert not (tree / "new").exists()


def test_a_file_can_be_an_overlay(launcher: Launcher, tree: Path) -> None:
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").overlay(tree / "a").build()
    executor = HermeticExecutor.create(spec, launcher=launcher)

    result = executor.execute(["sh", "-c", f"echo more >> {tree}/a; cat {tree}/a; mv /dev/null {tree}/a"])

    assert result.stdout == b"hello\nmore\n"
    assert (tree / "a").read_text("ascii") == "hello\n"
    assert result.receipt.record("overlays-private").enforced_by == ("copy",)


def test_an_overlay_can_be_shown_elsewhere(launcher: Launcher, tree: Path) -> None:
    spec = SandboxSpecBuilder.create().with_toolchain("system").env("PATH", "/usr/bin:/bin").overlay(tree, "/x/y")
    result = HermeticExecutor.create(spec.build(), launcher=launcher).execute(["sh", "-c", "cd /x/y && echo 1 > a"])

    assert result.success
    assert (tree / "a").read_text("ascii") == "hello\n"


def test_the_rename_of_a_directory_of_the_host_is_another_file_system(launcher: Launcher, tree: Path) -> None:
    shown = python(
        launcher,
        tree,
        """
        import errno, os
        try:
            os.rename("sub", "other")
        except OSError as error:
            print(errno.errorcode[error.errno])
        os.mkdir("made"); os.rename("made", "again"); print(os.path.isdir("again"))
        """,
    )

    assert shown.split() in ([b"EXDEV", b"True"], [b"True"])  # a copy is one file system


def test_names_of_one_file_part_when_it_is_written(launcher: Launcher, tree: Path) -> None:
    result = run(launcher, tree, "stat -c %h a; echo more >> a; cat hard; ln a third; stat -c %h a")

    assert result.stdout.split()[0] == b"2"
    assert result.success


def test_a_private_mapping_and_a_rewrite_work(launcher: Launcher, tree: Path) -> None:
    shown = python(
        launcher,
        tree,
        """
        import mmap, os
        fd = os.open("a", os.O_RDWR)
        with mmap.mmap(fd, 0) as whole:
            whole[0:5] = b"HELLO"
            whole.flush()
        print(open("a").read().strip())
        os.truncate("sub/b", 0); print(os.stat("sub/b").st_size)
        """,
    )

    assert shown == b"HELLO\n0\n"
    assert (tree / "a").read_text("ascii") == "hello\n"


def test_owners_and_modes_can_be_changed_as_in_a_build(launcher: Launcher, tree: Path) -> None:
    script = "chown 0:0 a; chown 1000:1000 a; install -o root -g root -m 4755 tool tool2; stat -c '%a %u' tool2 a"

    result = run(launcher, tree, script)

    assert result.exit_code == 0, result.stderr
    assert result.stdout.decode().split() == ["4755", "0", "644", "0"]


def test_a_mode_that_changes_keeps_content_and_time(launcher: Launcher, tree: Path) -> None:
    result = run(launcher, tree, "chmod 640 a; cat a; stat -c '%a %Y' a")

    assert result.stdout.decode().split() == ["hello", "640", "1600000000"]


@pytest.mark.needs("user-attributes")
def test_attributes_of_a_tree_cannot_lead_out_of_it(launcher: Launcher, host_dir: Path) -> None:
    """Who can write the tree can write what overlayfs itself would note there."""
    root = host_dir / "hostile"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_text("file\n", encoding="ascii")
    (host_dir / "secret").write_text("secret\n", encoding="ascii")
    os.setxattr(root / "dir", "user.overlay.redirect", b"/secret")
    os.setxattr(root / "dir", "user.overlay.opaque", b"y")
    os.setxattr(root / "file", "user.overlay.metacopy", b"")
    os.setxattr(root / "file", "user.overlay.redirect", b"/../secret")

    result = run(launcher, root, "cat file; ls dir; echo x > dir/x || true; find . -type f | xargs cat")

    assert b"secret" not in result.stdout
    assert (host_dir / "secret").read_text("ascii") == "secret\n"


@pytest.mark.needs("c-compiler")
def test_a_build_in_the_source_tree_leaves_it_as_it_was(launcher: Launcher, host_dir: Path) -> None:
    root, out = host_dir / "project", host_dir / "project" / "dist"
    out.mkdir(parents=True)
    (root / "main.c").write_text('#include "config.h"\nint main(void) { return ANSWER; }\n', encoding="ascii")
    (root / "configure").write_text(
        "#!/bin/sh\nset -e\necho '#define ANSWER 42' > config.h\nprintf 'all: main\\nmain: main.c config.h\\n"
        "\\tcc -o main main.c\\ninstall: main\\n\\tcp main dist/\\n' > Makefile\n",
        encoding="ascii",
    )
    (root / "configure").chmod(0o755)
    before = {path: value for path, value in picture(root).items() if path != str(root)}
    spec = builder(root).output(out).build()

    result = HermeticExecutor.create(spec, launcher=launcher).execute(
        ["sh", "-ec", "./configure && make && make install && git --version >/dev/null 2>&1; ./dist/main || echo $?"],
        cwd=root,
    )

    assert result.stdout.endswith(b"42\n"), (result.stdout, result.stderr)
    after = {path: value for path, value in picture(root).items() if path not in (str(root), str(out / "main"))}
    del before[str(out)], after[str(out)]
    assert after == before


def test_overlayfs_can_be_required(launcher: Launcher, tree: Path) -> None:
    spec = builder(tree).overlay(tree / "a", "/file").require("overlays-private", "overlayfs").build()

    with pytest.raises(GuaranteeUnavailableError, match="would be a copy, because it is a file"):
        HermeticExecutor.create(spec, launcher=launcher)


# Run in a mount namespace of its own; prints the mechanism, the reason, and what the command saw.
ELSEWHERE = """
set -e
cd {where}
{mounts}
for path in {tree} {tree}/a; do stat -c '%n %a %Y %s' $path; done
TMPDIR={tmp} {bldr} run -v --overlay {tree} --cwd {tree} -- sh -ec '{script}' 2>&1
for path in {tree} {tree}/a; do stat -c '%n %a %Y %s' $path; done
ls -A {tmp}
"""

OVERLAY = "mkdir lo up w tmp; mount -t overlay o -o userxattr,lowerdir=lo,upperdir=up,workdir=w tmp"


@pytest.mark.needs("overlay-in-userns")
@pytest.mark.parametrize(
    ("mounts", "tmp", "reason"),
    [
        (OVERLAY, "tmp", b"overlayfs refused it: Invalid argument"),
        ("mkdir tmp; mount -t ramfs r tmp; chmod 755 tmp", "tmp", b"has no extended attributes"),
        ("mount -t tmpfs s tree/sub; echo in > tree/sub/b; mkdir -p tree/sub/deep", ".", b"is mounted in it at"),
    ],
)
def test_a_copy_stands_in_where_overlays_cannot_be(
    tree: Path, bldr_argv: list[str], mounts: str, tmp: str, reason: bytes
) -> None:
    where = tree.parent
    script = ELSEWHERE.format(
        where=where, mounts=mounts, tree=tree, tmp=where / tmp, bldr=" ".join(bldr_argv), script=CHANGES + "cat a"
    ).replace("'odd name, with: \\ signs'", "odd*")

    done = subprocess.run(["unshare", "-Urm", "sh", "-c", script], capture_output=True, timeout=60, check=False)

    lines = done.stdout.split(b"\n")
    assert done.returncode == 0, done.stdout + done.stderr
    assert b"hello\nmore\n" in done.stdout
    (row,) = [line for line in lines if b"overlays-private" in line]
    assert b" copy " in row
    assert reason in row
    assert lines[:2] == [line for line in lines if line.startswith(os.fsencode(tree) + b" ") or b"/a 644" in line][-2:]


@pytest.mark.needs("unprivileged-user")
def test_an_unprivileged_user_has_overlays_of_files_of_others(run_unprivileged: Run, tree: Path) -> None:
    """A directory of root cannot be changed on the host, and in the layer only its top belongs to the caller."""
    before = picture(tree)
    script = "echo mine > mine; cat a mine; echo x >> a || echo refused; echo x > sub/new || echo refused"

    options = ("--overlay", str(tree), "--cwd", str(tree))
    done = run_unprivileged("-m", "bldr", "run", *options, "--", "sh", "-c", script)

    assert done.stdout == b"hello\nmine\nrefused\nrefused\n", done.stderr
    assert picture(tree) == before


def test_what_cannot_be_copied_is_named(launcher: Launcher, tree: Path) -> None:
    os.unlink(tree / "tool")
    os.mkfifo(tree / "tool")
    spec = SandboxSpecBuilder.create().overlay(tree / "tool").build()

    with pytest.raises(SandboxSetupError) as caught:
        HermeticExecutor.create(spec, launcher=launcher).execute(["true"])

    assert caught.value.code == "sandbox.overlay-copy"
    assert "neither a regular file nor a directory" in caught.value.message
    assert os.listdir(launcher.base) == []
