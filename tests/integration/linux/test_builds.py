"""``bldr build`` and ``bldr clean`` as a user meets them, with targets that have commands of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr.explain.record import load

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


class Site:
    """A workspace, and a cache of its own."""

    def __init__(self, root: Path, bldr: Run, index: Path) -> None:
        self.root, self.cache = root / "ws", root / "cache"
        self._bldr = bldr
        self.root.mkdir()
        self.cache.mkdir()
        shutil.copy(index, self.cache)

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text, encoding="utf-8")

    def read(self, path: str) -> str:
        return (self.root / path).read_text(encoding="utf-8")

    def build(self, *arguments: str, status: int = 0, **options: object) -> str:
        options = {"cwd": self.root} | options
        done = self._bldr("build", f"--cache-dir={self.cache}", *arguments, **options)
        assert done.returncode == status, done.stderr.decode()
        assert done.stdout == b""
        return done.stderr.decode()


@pytest.fixture
def site(tmp_path: Path, bldr: Run, known_toolchain: Path) -> Site:
    return Site(tmp_path, bldr, known_toolchain)


COPY = 'target("copy") { type: custom; sources: ["in"]; command: "cat in > out/copy"; output: "out/copy"; }\n'


def test_what_a_source_that_is_a_link_leads_to_counts(site: Site) -> None:
    site.write("real", "one\n")
    os.symlink("real", site.root / "in")
    site.write("Builderfile", COPY)
    site.build()

    site.write("real", "two\n")

    assert "//:copy run its command: in changed" in site.build("--explain")
    assert site.read("out/copy") == "two\n"


def test_nothing_to_do_is_seen_at_a_glance_and_everything_else_is_not(site: Site) -> None:
    site.write("in", "one\n")
    site.write("Builderfile", COPY)
    site.build()
    left = site.root / ".builder" / "settled"

    assert site.build() == "bldr: 1 up to date\n"
    assert site.build("-q") == ""
    assert site.build(":copy") == "bldr: 1 up to date\n"
    assert left.exists()
    site.write("in", "two\n")
    assert "1 built" in site.build()
    assert site.read("out/copy") == "two\n"
    assert site.build() == "bldr: 1 up to date\n"
    site.build("--no-hermetic")
    assert "1 from the cache" in site.build()
    (site.root / "out" / "copy").unlink()
    assert "1 from the cache" in site.build()
    assert "--jobs" in site.build("--jobs", "none", status=2)


def test_outputs_beside_inputs_see_what_is_declared_and_nothing_else(site: Site) -> None:
    site.write("lib/parser.y", "grammar\n")
    site.write("lib/secret", "secret\n")
    site.write(
        "lib/Builderfile",
        'target("p") { type: custom; sources: ["parser.y"]; command: "ls lib; cp lib/parser.y lib/parser.c;'
        ' echo spoilt > lib/parser.y; touch lib/stray"; output: "parser.c"; }',
    )
    site.write(
        "Builderfile", 'target("t") { type: custom; deps: ["//lib:p"]; command: "cat lib/parser.c > t"; output: "t"; }'
    )

    told = site.build()

    assert "\nparser.y\n" in told
    assert "secret" not in told
    assert site.read("t") == "grammar\n"
    assert site.read("lib/parser.y") == "grammar\n"
    assert sorted(os.listdir(site.root / "lib")) == ["Builderfile", "parser.c", "parser.y", "secret"]


def test_the_workspace_has_one_place_and_two_checkouts_share_results(site: Site) -> None:
    text = 'target("t") { type: custom; command: "pwd > where; echo $PWD/x; env | sort"; output: "where"; }'
    site.write("Builderfile", text)
    told = site.build()
    other = site.root.parent / "elsewhere"
    shutil.copytree(site.root, other, ignore=shutil.ignore_patterns(".builder", "where"))

    again = site.build(cwd=other)

    assert site.read("where") == "/workspace\n"
    assert f"\n{site.root}/x\n" in told
    assert "from the cache" in again
    assert f"\n{other}/x\n" in again


def test_a_failed_build_leaves_earlier_outputs_as_they_were(site: Site) -> None:
    site.write("in", "1\n")
    site.write("Builderfile", COPY)
    site.build()
    before = os.stat(site.root / "out" / "copy")
    site.write("in", "2\n")
    site.write("Builderfile", COPY.replace("> out/copy", "> out/copy; exit 3"))

    told = site.build(status=1)

    assert "ended with status 3" in told
    assert site.read("out/copy") == "1\n"
    assert os.stat(site.root / "out" / "copy").st_mtime_ns == before.st_mtime_ns
    site.write("in", "1\n")
    site.write("Builderfile", COPY)
    assert site.build() == "bldr: 1 up to date\n"


def test_touching_changes_nothing_and_reverting_comes_from_the_cache(site: Site) -> None:
    site.write("in", "1\n")
    site.write("Builderfile", COPY)
    site.build()
    os.utime(site.root / "in", ns=(5, 5))
    assert site.build() == "bldr: 1 up to date\n"
    site.write("in", "2\n")
    assert "1 built" in site.build()
    site.write("in", "1\n")

    told = site.build()

    assert "1 from the cache" in told
    assert site.read("out/copy") == "1\n"


def test_an_output_that_somebody_changed_is_made_again(site: Site) -> None:
    site.write("in", "1\n")
    site.write("Builderfile", COPY)
    site.build()
    site.write("out/copy", "0\n")
    told = site.build("--explain")
    assert "out/copy was changed by somebody else" in told
    (site.root / "out" / "copy").unlink()

    told = site.build("--explain")

    assert "out/copy is missing" in told
    assert site.read("out/copy") == "1\n"


def test_the_same_output_makes_nothing_else_stale(site: Site) -> None:
    site.write("in", "1\n")
    site.write(
        "Builderfile",
        'target("a") { type: custom; sources: ["in"]; command: "head -c1 in > a"; output: "a"; }\n'
        'target("b") { type: custom; sources: ["a"]; deps: [":a"]; command: "cp a b"; output: "b"; }',
    )
    site.build()
    site.write("in", "1 and more\n")

    assert "1 built, 1 up to date" in site.build()


def test_an_output_that_was_not_made_is_a_failure(site: Site) -> None:
    site.write("Builderfile", 'target("t") { type: custom; command: "true"; output: "gone"; }')

    assert "it succeeded and did not make 'gone'" in site.build(status=1)


def test_a_folder_holds_exactly_what_was_made_last(site: Site) -> None:
    text = 'target("t") { type: custom; command: "mkdir -p d/e; echo 1 > d/e/1; ln -s e/1 d/l"; output: "d/"; }'
    site.write("Builderfile", text)
    site.build()
    site.write("Builderfile", text.replace("echo 1 > d/e/1", "echo 2 > d/e/2"))

    site.build()

    assert os.listdir(site.root / "d" / "e") == ["2"]
    assert os.readlink(site.root / "d" / "l") == "e/1"


def test_with_keep_going_what_can_be_built_is_built(site: Site) -> None:
    site.write(
        "Builderfile",
        'target("bad") { type: custom; command: "false"; output: "bad"; }\n'
        'target("needs") { type: custom; deps: [":bad"]; command: "true > needs"; output: "needs"; }\n'
        'target("zgood") { type: custom; command: "true > good"; output: "good"; }',
    )

    told = site.build("-k", "-j1", status=1)

    assert "1 built, 1 failed, 1 not tried" in told
    assert (site.root / "good").exists()


def test_what_an_action_missed_is_named(site: Site) -> None:
    site.write("data/x.txt", "x")
    site.write(
        "Builderfile",
        'target("maker") { type: custom; command: "echo > made"; output: "made"; }\n'
        'target("a") { type: custom; command: "cat data/x.txt > a"; output: "a"; }\n'
        'target("b") { type: custom; command: "cat made > b"; output: "b"; }\n'
        'target("c") { type: custom; command: "cat /root/../etc/fstab /etc/hostname_x > c"; output: "c"; }',
    )

    told = site.build("-k", status=1)

    assert 'add "//data/x.txt" to sources of //:a' in told
    assert "'made' is made by //:maker: add \"//:maker\" to deps of //:b" in told


def test_why_an_action_failed_is_told_in_words_of_the_builderfile_and_kept(site: Site, tmp_path: Path) -> None:
    tool = tmp_path / "tools" / "stamp"
    tool.parent.mkdir()
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    site.write("Builderfile", 'target("t") { type: custom; command: ["stamp"]; output: "t"; }')
    env = {**os.environ, "PATH": f"{tool.parent}:{os.environ['PATH']}", "XDG_STATE_HOME": os.fspath(tmp_path / "state")}

    told = site.build(status=1, env=env)

    assert f"likely cause: {tool} is on the host, and the sandbox does not show it" in told
    assert f'write into //:t: hermetic: {{ inputs: ["{tool}"]; }} and hermetic: {{ env: {{ "PATH": "' in told
    record = load("", env)
    assert record is not None
    assert (record.argv, record.exit_code, record.causes[0].subject) == (("stamp",), 127, os.fspath(tool))


def test_without_sandboxes_nothing_is_remembered_and_that_is_said(site: Site) -> None:
    site.write("undeclared", "1\n")
    site.write("Builderfile", 'target("t") { type: custom; command: "cat undeclared > t; pwd"; output: "t"; }')
    site.build(status=1)

    for arguments, setting in (["--no-hermetic"], "true"), ([], "false"):
        told = site.build(*arguments, env={**os.environ, "BUILDER_HERMETIC": setting})
        assert told.startswith("bldr: NOT hermetic: ")
        assert f"\n{site.root}\n" in told
        assert "1 built" in told
    assert site.read("t") == "1\n"
    site.build(status=1)


def test_the_second_build_names_the_process_of_the_first(site: Site, bldr_argv: list[str]) -> None:
    site.write("Builderfile", 'target("t") { type: custom; command: "echo begun; sleep 60; true > t"; output: "t"; }')
    first = subprocess.Popen(
        [*bldr_argv, "build", "--explain", f"--cache-dir={site.cache}"], cwd=site.root, stderr=subprocess.PIPE
    )
    assert first.stderr is not None
    try:
        first.stderr.readline()  # it has the lock, and explains

        assert f"another bldr (process {first.pid}) builds in this workspace" in site.build(status=125)
    finally:
        first.send_signal(signal.SIGINT)
        assert first.wait(30) == 130
        first.stderr.close()
    assert not (site.root / "t").exists()
    assert os.listdir(site.root / ".builder" / "staging") == []


def test_a_build_that_was_killed_leaves_nothing_that_is_wrong(site: Site, bldr_argv: list[str]) -> None:
    site.write("in", "1\n")
    site.write("Builderfile", COPY)
    site.build()
    site.write("in", "2\n")
    site.write("Builderfile", COPY.replace("> out/copy", "> out/copy; sleep 60"))
    killed = subprocess.Popen(
        [*bldr_argv, "build", "--explain", f"--cache-dir={site.cache}"], cwd=site.root, stderr=subprocess.PIPE
    )
    assert killed.stderr is not None
    killed.stderr.readline()
    deadline = time.monotonic() + 30
    while not list((site.root / ".builder" / "staging").glob("*/0/0/copy")) and time.monotonic() < deadline:
        time.sleep(0.01)
    killed.kill()
    killed.wait(30)
    killed.stderr.close()

    assert site.read("out/copy") == "1\n"
    site.write("Builderfile", COPY)
    assert "1 built" in site.build()
    assert site.read("out/copy") == "2\n"
    assert os.listdir(site.root / ".builder" / "staging") == []


def test_an_output_folder_that_cannot_be_written_fails_the_action(site: Site) -> None:
    site.write("in", "1\n")
    site.write("out/copy/not empty", "")
    site.write("Builderfile", COPY)

    assert "a folder is there" in site.build(status=1)


def test_clean_removes_what_was_made_and_nothing_else(site: Site, bldr: Run) -> None:
    site.write("in", "1\n")
    site.write("out/mine", "")
    site.write("Builderfile", COPY)
    site.build()

    dry = bldr("clean", "-n", cwd=site.root)
    assert dry.stderr == b"bldr: would remove 'out/copy'\n"
    done = bldr("clean", cwd=site.root)

    assert done.stderr == b"bldr: 1 files removed\n"
    assert os.listdir(site.root / "out") == ["mine"]
    assert "1 from the cache" in site.build()
