"""``bldr run --cache`` and ``bldr cache`` as a user meets them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.store.trees import picture

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


class Site:
    """A source, an output, and a cache that is outside of both. ``run`` is ``bldr run --cache`` in it."""

    def __init__(self, root: Path, bldr: Run, index: Path) -> None:
        self.root = root
        self.cache = root / "cache"
        self.source, self.output = root / "w" / "src", root / "w" / "out"
        self.log = root / "w" / "log"
        self._bldr = bldr
        for directory in (self.cache, self.source, self.output, root / "w" / "layered"):
            directory.mkdir(parents=True)
        shutil.copy(index, self.cache)
        (self.source / "a").write_text("content", encoding="ascii")

    def run(self, script: str, *options: str, **more: object) -> subprocess.CompletedProcess[bytes]:
        sets = ("-i", "src", "-o", "out", "--cwd", ".")
        words = ("run", f"--cache={self.cache}", *sets, *options, "--", "sh", "-c", script)
        return self._bldr(*words, **({"cwd": self.root / "w"} | more))

    def cached(self, script: str, *options: str) -> bool:
        """Run it, and say whether it came from the cache."""
        done = self.run(script, *options)
        assert done.returncode == 0, done.stderr
        return b"from the cache" in done.stderr

    def tell(self, what: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        return self._bldr("cache", what, "--dir", self.cache, *options)


@pytest.fixture
def site(host_dir: Path, bldr: Run, known_toolchain: Path) -> Site:
    return Site(host_dir, bldr, known_toolchain)


def test_the_second_run_does_not_run_and_looks_the_same(site: Site) -> None:
    script = "cp src/a out/b; date +%N > out/when; printf 'o\\0ut'; printf err >&2"
    first = site.run(script)
    made = picture(site.output)
    shutil.rmtree(site.output)
    site.output.mkdir()
    second = site.run(script)

    assert (first.returncode, second.returncode) == (0, 0)
    assert first.stdout == second.stdout == b"o\0ut"
    assert first.stderr == b"err"
    assert second.stderr.startswith(b"errbldr: from the cache: 2 files in place, action ")
    assert picture(site.output) == made


def test_modes_links_and_holes_come_back(site: Site) -> None:
    script = (
        "cd out; mkdir -p d/empty; echo x > d/f; chmod 750 d/f; chmod 700 d; ln -s ../nowhere d/l; ln -s d dir;"
        " truncate -s 8M hole; echo end >> hole; echo r > ro; chmod 444 ro"
    )
    site.run(script)
    made = picture(site.output)
    shutil.rmtree(site.output)
    site.output.mkdir()

    assert site.cached(script)
    assert picture(site.output) == made
    assert (site.output / "hole").stat().st_blocks * 512 < 1 << 20


CHANGES: dict[str, Callable[[Site], object]] = {
    "content": lambda site: (site.source / "a").write_text("CONTENT", encoding="ascii"),
    "mode": lambda site: (site.source / "a").chmod(0o755),
    "new file": lambda site: (site.source / "b").touch(),
    "new empty directory": lambda site: (site.source / "d").mkdir(),
    "link": lambda site: (site.source / "l").symlink_to("a"),
}
OPTIONS = {
    "variable": ("-e", "X=1"),
    "memory": ("--memory", "1G"),
    "timeout": ("--timeout", "1h"),
    "uid": ("--uid", "1000"),
    "hostname": ("--hostname", "other"),
    "input elsewhere": ("-i", "src:/elsewhere"),
    "temp": ("-t", "/scratch"),
    "overlay": ("--overlay", "layered"),
    "policy": ("--max-children", "100"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_input_is_another_action(site: Site, change: str) -> None:
    script = "ls -l src/a > out/b"
    site.run(script)
    assert site.cached(script)
    CHANGES[change](site)

    assert not site.cached(script)
    assert site.cached(script)


@pytest.mark.parametrize("option", OPTIONS)
def test_another_request_is_another_action(site: Site, option: str) -> None:
    script = "cp src/a out/b"
    site.run(script)

    assert not site.cached(script, *OPTIONS[option])
    assert site.cached(script, *OPTIONS[option])
    assert site.cached(script)


def test_reverting_an_input_finds_the_old_result(site: Site) -> None:
    script = "cp src/a out/b"
    site.run(script)
    (site.source / "a").write_text("changed", encoding="ascii")
    site.run(script)
    (site.source / "a").write_text("content", encoding="ascii")

    assert site.cached(script)
    assert (site.output / "b").read_text(encoding="ascii") == "content"


@pytest.mark.parametrize(
    ("script", "options", "status", "reason"),
    [
        ("echo x > out/b; exit 3", (), 3, "the command ended with status 3"),
        ("echo x > out/b; kill -9 $$", (), 137, "the command did not end by itself (signaled)"),
        ("echo x > out/b; sleep 60", ("--timeout", "1s"), 124, "the command did not end by itself (timed-out)"),
        (
            "exec head -c 100000 /dev/zero > out/b",
            ("--file-size", "1K"),
            124,
            "the command did not end by itself (limit-reached)",
        ),
        ("true", (), 0, "stayed empty"),
        ("mkfifo out/b", (), 0, "is neither a file, a directory nor a link"),
        ("echo x > out/b; chmod 4755 out/b", (), 0, "has a set-id bit"),
    ],
)
def test_what_must_not_be_kept_is_not_kept(
    site: Site, script: str, options: tuple[str, ...], status: int, reason: str
) -> None:
    for _ in range(2):
        done = site.run(script, *options)

        assert done.returncode == status
        assert b"bldr: not cached: " in done.stderr
        assert reason.encode() in done.stderr
    assert json.loads(site.tell("stats", "--json").stdout)["hits"] == 0


def test_what_a_failed_command_wrote_stays_as_without_the_cache(site: Site) -> None:
    assert site.run("echo why > out/config.log; exit 1").returncode == 1
    assert (site.output / "config.log").read_text(encoding="ascii") == "why\n"


def test_a_request_that_can_never_be_kept_runs_as_without_the_cache(site: Site) -> None:
    done = site.run("echo x > out/b", "--allow-degraded", "no-network")

    assert done.returncode == 0
    assert b"bldr: not cached: it may run without the guarantee 'no-network'" in done.stderr
    assert (site.output / "b").exists()


def test_an_input_that_changes_during_the_run_is_noticed(site: Site) -> None:
    script = "echo ready; while ! test -e src/go; do sleep 0.02; done; cp src/a out/b"
    process = subprocess.Popen(_argv(site, script), cwd=site.root / "w", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"ready\n"
    (site.source / "go").touch()
    _, err = process.communicate(timeout=60)

    assert process.returncode == 0, err
    assert b"not cached: an input changed while the command ran" in err
    assert (site.output / "b").exists()


def _argv(site: Site, script: str) -> list[str]:
    import sysconfig

    bldr = str(Path(sysconfig.get_path("scripts"), "bldr"))
    sets = ["-i", "src", "-o", "out", "--cwd", "."]
    return [bldr, "run", f"--cache={site.cache}", *sets, "--", "sh", "-c", script]


def test_an_output_begins_empty_and_other_files_stay(site: Site) -> None:
    (site.output / "old").write_text("old", encoding="ascii")
    (site.output / "d").mkdir()
    (site.output / "d" / "older").touch()
    script = "ls -A out; mkdir out/d; echo new > out/d/new"

    assert site.run(script).stdout == b""
    assert site.cached(script)
    assert sorted(picture(site.output)) == ["d", "d/new", "d/older", "old"]


def test_what_is_in_place_already_is_not_touched(site: Site) -> None:
    script = "mkdir out/d; cp src/a out/d/same; cp src/a out/other; cp src/a out/mode; ln -s a out/l"
    site.run(script)
    (site.output / "other").write_text("CONTENT", encoding="ascii")
    (site.output / "mode").chmod(0o600)
    before = {name: (site.output / name).lstat() for name in ("d/same", "l")}
    made = site.cached(script)

    assert made
    assert {name: (site.output / name).lstat().st_ctime_ns for name in before} == {
        name: about.st_ctime_ns for name, about in before.items()
    }
    assert (site.output / "other").read_text(encoding="ascii") == "content"
    assert (site.output / "mode").stat().st_mode & 0o777 == 0o644
    assert list((site.cache / "staging").iterdir()) == []


def test_a_link_to_an_equal_file_is_replaced_by_the_file(site: Site) -> None:
    script = "mkdir out/d; cp src/a out/d/b"
    site.run(script)
    shutil.move(site.output / "d", site.root / "moved")
    (site.output / "d").symlink_to(site.root / "moved")

    assert site.cached(script)
    assert not (site.output / "d").is_symlink()
    assert (site.output / "d" / "b").read_text(encoding="ascii") == "content"


def test_a_link_in_the_output_is_not_followed(site: Site) -> None:
    (site.root / "victim").mkdir()
    (site.output / "d").symlink_to(site.root / "victim")
    (site.output / "f").symlink_to(site.root / "victim" / "f")
    script = "mkdir out/d; echo x > out/d/x; echo y > out/f"
    for _ in range(2):
        site.run(script)

        assert list((site.root / "victim").iterdir()) == []
        assert not (site.output / "d").is_symlink()
        assert (site.output / "f").read_text(encoding="ascii") == "y\n"


def test_a_directory_in_the_way_is_an_error_that_names_it(site: Site) -> None:
    (site.output / "b").mkdir()
    done = site.run("echo x > out/b")

    assert done.returncode == 125
    assert b"out/b' cannot be put in place: a directory is there" in done.stderr


def test_bit_rot_makes_the_command_run_again(site: Site) -> None:
    script = "cp src/a out/b; echo said"
    site.run(script)
    for blob in (site.cache / "cas").glob("*/*"):
        if blob.read_bytes() == b"content":
            blob.chmod(0o600)
            blob.write_bytes(b"CONTENT")
    (site.output / "b").unlink()
    done = site.run(script)

    assert done.returncode == 0
    assert b"was changed; it lies in" in done.stderr
    assert done.stdout == b"said\n"
    assert (site.output / "b").read_text(encoding="ascii") == "content"
    assert site.cached(script)
    assert site.tell("verify").returncode == 0


def test_verify_finds_bit_rot(site: Site) -> None:
    site.run("cp src/a out/b")
    for blob in (site.cache / "cas").glob("*/*"):
        if blob.read_bytes() == b"content":
            blob.chmod(0o600)
            blob.write_bytes(b"C")
    done = site.tell("verify", "--json")

    assert done.returncode == 1
    assert len(json.loads(done.stdout)["corrupt"]) == 1
    assert not site.cached("cp src/a out/b")


def test_the_receipt_and_the_result_say_that_it_is_cached(site: Site) -> None:
    file = site.root / "result.json"
    site.run("cp src/a out/b", "--json", str(file))
    first = json.loads(file.read_text(encoding="ascii"))
    done = site.run("cp src/a out/b", "-v", "--json", str(file))
    second = json.loads(file.read_text(encoding="ascii"))

    assert (first["cached"], second["cached"]) == (False, True)
    assert first["action"] == second["action"]
    assert len(first["action"]) == 64
    assert second["hermetic"]
    assert second["receipt"]["guarantees"] == first["receipt"]["guarantees"]
    assert second["receipt"]["notes"][0].startswith("from the cache: this was enforced when the command ran, on ")
    assert b"bldr: note: from the cache: " in done.stderr
    assert second["output_files"] == [str(site.output / "b")]


def test_why_names_what_changed(site: Site) -> None:
    site.run("cp src/a out/b", "-e", "LANG=C")
    (site.source / "a").write_text("longer content", encoding="ascii")
    (site.source / "new").touch()
    site.run("cp src/a out/b", "-e", "LANG=C.UTF-8")
    told = json.loads(site.tell("why", "--json").stdout)
    fields = {one["field"]: (one["before"], one["after"]) for one in told["differences"]}

    assert fields["variable LANG"] == ("C", "C.UTF-8")
    assert fields[f"input {site.source}/new"][0] == ""
    assert "14 bytes" in fields[f"input {site.source}/a"][1]
    assert len(fields) == 3
    assert b"variable LANG: C -> C.UTF-8" in site.tell("why").stdout


def test_a_cache_inside_an_input_is_refused(site: Site, bldr: Run) -> None:
    done = bldr("run", f"--cache={site.source}/cache", "-i", ".", "--", "true", cwd=site.root / "w")

    assert done.returncode == 125
    assert b"lies in the input" in done.stderr


def test_without_the_option_the_cache_is_in_the_home_directory(
    bldr: Run, host_dir: Path, known_toolchain: Path
) -> None:
    (host_dir / "xdg" / "bldr").mkdir(parents=True)
    shutil.copy(known_toolchain, host_dir / "xdg" / "bldr")
    environment = {"PATH": "/usr/bin:/bin", "HOME": "/", "XDG_CACHE_HOME": str(host_dir / "xdg")}
    told = [bldr("run", "--cache", "--", "echo", "x", env=environment).stderr for _ in range(2)]

    assert told[0] == b""
    assert told[1].startswith(b"bldr: from the cache: 0 files in place")
    assert b"used 1 times" in bldr("cache", "stats", env=environment).stdout


def test_standard_input_and_terminals_have_no_influence(site: Site) -> None:
    script = "cat; test -t 1 && echo terminal; wc -c < /dev/stdin > out/size"

    (site.root / "text").write_text("something", encoding="ascii")
    with (site.root / "text").open("rb") as file:
        done = site.run(script, stdin=file)

    assert done.stdout == b""
    assert b"bldr: standard input is not passed on: with --cache it is empty\n" in done.stderr
    assert (site.output / "size").read_text(encoding="ascii") == "0\n"


def test_without_a_sandbox_nothing_is_kept(site: Site) -> None:
    environment = os.environ | {"BUILDER_HERMETIC": "false"}
    done = site.run("echo x > out/b", env=environment)

    assert b"not cached: without a sandbox" in done.stderr
    assert json.loads(site.tell("stats", "--json").stdout)["results"] == 1  # that of the fixture


def test_the_page_of_a_cached_run_is_drawn(site: Site) -> None:
    page = site.root / "run.html"
    for _ in range(2):
        done = site.run("cp src/a out/b", "--report", str(page), "--profile", str(site.root / "run.json"))

        assert done.returncode == 0, done.stderr
        assert page.stat().st_size > 1000
        page.unlink()


def test_a_killed_run_leaves_nothing_that_the_next_one_does_not_remove(site: Site) -> None:
    script = "echo begun; echo half > out/b; exec sleep 60"
    process = subprocess.Popen(_argv(site, script), cwd=site.root / "w", stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()

    assert len(list((site.cache / "staging").iterdir())) == 1
    assert list(site.output.iterdir()) == []
    deadline = time.monotonic() + 30
    while list((site.cache / "staging").iterdir()) and time.monotonic() < deadline:
        assert site.run("cp src/a out/c").returncode == 0
    assert list((site.cache / "staging").iterdir()) == []
    assert [path.name for path in site.output.iterdir()] == ["c"]


def test_runs_at_the_same_time_share_a_cache(site: Site) -> None:
    scripts = [f"cp src/a out/{number % 2}; echo {number % 2}" for number in range(6)]
    processes = [
        subprocess.Popen(_argv(site, script), cwd=site.root / "w", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for script in scripts
    ]
    told = [process.communicate(timeout=90) for process in processes]

    assert [out for out, _ in told] == [b"0\n", b"1\n"] * 3
    assert [process.returncode for process in processes] == [0] * 6
    assert all(b"not cached" not in err for _, err in told)
    assert site.cached(scripts[0])
    assert site.cached(scripts[1])
    assert site.tell("verify").returncode == 0


FULL = """
set -e
mkdir disk; mount -t tmpfs -o size=4500k none disk
mkdir disk/cache; cp "$1" disk/cache/index.sqlite
"$2" run --cache=disk/cache -o out --cwd . -- sh -c 'head -c 2000000 /dev/urandom > out/big; echo ok'
"$2" run --cache=disk/cache -o out --cwd . -- sh -c 'echo small > out/small; echo fine'
find disk/cache/tmp -type f | wc -l
"""


@pytest.mark.needs("root")
def test_a_full_disk_means_not_cached_and_nothing_else(site: Site, known_toolchain: Path) -> None:
    """The disk of the cache has room for what the command writes, but not for a second copy."""
    bldr = _argv(site, "")[0]
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", FULL, "sh", str(known_toolchain), bldr],
        cwd=site.root / "w", capture_output=True, timeout=100, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert done.stdout == b"ok\nfine\n0\n"
    assert b"not cached: the cache cannot be written: No space left on device" in done.stderr
    assert (site.output / "big").stat().st_size == 2_000_000
    assert (site.output / "small").exists()


def test_clear_and_gc_by_hand(site: Site) -> None:
    site.run("cp src/a out/b")

    assert json.loads(site.tell("gc", "--json").stdout)["results"] == 0
    assert site.cached("cp src/a out/b")
    assert site.tell("clear").stdout.startswith(b"removed ")
    assert json.loads(site.tell("stats", "--json").stdout)["results"] == 0


@pytest.mark.needs("unprivileged-user")
def test_a_user_without_rights_has_a_cache_of_their_own(run_unprivileged: Run, known_toolchain: Path) -> None:
    script = 'mkdir -p out .cache; bldr() { /usr/bin/python3 -m bldr "$@"; };'
    script += "for i in 1 2; do bldr run --cache -o out --cwd . -- sh -c 'echo x > out/x; chmod 400 out/x; id -u'; done"
    done = run_unprivileged("-c", "import os, sys; os.execv('/bin/sh', ['sh', '-c', sys.argv[1]])", script, timeout=110)

    assert done.stdout == b"0\n0\n", done.stderr
    assert b"from the cache: 1 files in place" in done.stderr


def test_a_traced_run_is_not_taken_from_the_cache(site: Site) -> None:
    assert site.run("true").returncode == 0
    done = site.run("true", "--trace", "network")

    assert done.returncode == 0, done.stderr
    assert b"not cached: what a command does is only seen when it runs" in done.stderr


def test_what_a_run_with_a_cache_violates_is_in_the_audit_log(site: Site) -> None:
    log = site.root / "w" / "audit.jsonl"
    done = site.run("sleep 60", "--timeout", "2", "--audit-log", str(log))

    assert done.returncode == 124, done.stderr
    assert b"wall_time" in log.read_bytes()
