"""``bldr learn`` watches real commands without harm, and what it writes suffices for them and for nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import HermeticExecutor, LearnError, ResourceLimits, learn_spec

pytestmark = pytest.mark.needs("user-namespaces")

ROOT = Path(__file__).parents[3]
Bldr = Callable[..., subprocess.CompletedProcess[bytes]]


class Lesson:
    """A project, and the commands that learn of it and run what was learned."""

    def __init__(self, bldr: Bldr, bldr_argv: list[str], directory: Path) -> None:
        self._bldr = bldr
        self._argv = bldr_argv
        self.directory = directory / "project"
        self.directory.mkdir()
        (directory / "home").mkdir()
        self.environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(directory / "home")}
        self.environment["XDG_STATE_HOME"] = str(directory / "state")

    def write(self, **files: str) -> None:
        for name, text in files.items():
            path = self.directory / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def snapshot(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.directory)): path.read_bytes()
            for path in sorted(self.directory.rglob("*"))
            if path.is_file()
        }

    def learn(self, *words: str, options: tuple[str, ...] = ("--tighten",), status: int = 0) -> tuple[str, str]:
        """Learn, check that nothing was harmed, and return what was written and what was said."""
        before = self.snapshot()
        done = self._bldr("learn", *options, "--", *words, cwd=self.directory, env=self.environment)

        assert done.returncode == status, done.stderr.decode()
        assert self.snapshot() == before
        said = "\n".join(line for line in done.stderr.decode().split("\n") if line.startswith("bldr: "))
        return done.stdout.decode(), said

    def run(self, text: str) -> None:
        """Run what was learned as a person would paste it."""
        shell = f'bldr() {{ {" ".join(self._argv)} "$@"; }}\nset -e\n{text}'
        done = subprocess.run(
            ["/bin/bash", "-c", shell],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )

        assert done.returncode == 0, done.stderr

    def python(self, program: str) -> None:
        """Run what was learned as a program."""
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **self.environment}, capture_output=True, check=False,
            text=True, timeout=60,
        )  # fmt: skip

        assert done.returncode == 0, done.stderr


@pytest.fixture
def lesson(bldr: Bldr, bldr_argv: list[str], host_dir: Path) -> Lesson:
    return Lesson(bldr, bldr_argv, host_dir)


def one_line(text: str) -> str:
    return " ".join(text.replace("\\\n", " ").split())


@pytest.mark.needs("c-compiler")
def test_a_program_in_c_built_by_make(lesson: Lesson) -> None:
    shutil.copytree(ROOT / "examples" / "tally", lesson.directory, dirs_exist_ok=True, ignore=lambda *_: {"build"})

    text, said = lesson.learn("make")

    assert text == "mkdir -p build\nbldr run -i Makefile -i include -i src -o build --cwd . -- make\n"
    assert "bldr: proven: " in said
    lesson.run(text)
    assert (lesson.directory / "build" / "tally").stat().st_size


@pytest.mark.needs("system-python")
def test_a_package_of_python(lesson: Lesson) -> None:
    lesson.write(
        setup_dot_py="""\
import os, sys, tarfile
name = os.environ["PROJECT"]
os.mkdir("dist") if not os.path.isdir("dist") else None
with tarfile.open(f"dist/{name}-1.tar.gz", "w:gz") as archive:
    for path in ("setup.py", "README", "package"):
        archive.add(path, f"{name}-1/{path}")
""",
        README="read me\n",
        package__init_dot_py="",
        unrelated="",
    )
    lesson.environment |= {"PROJECT": "hello", "UNRELATED": "x"}

    text, _ = lesson.learn("/usr/bin/python3", "setup.py")

    assert "-i README -i package -i setup.py -o dist --cwd . -e PROJECT=hello" in one_line(text)
    assert "nrelated" not in text.lower()
    lesson.run(text)
    assert (lesson.directory / "dist" / "hello-1.tar.gz").stat().st_size


@pytest.mark.needs("system-git")
def test_a_repository_of_git(lesson: Lesson) -> None:
    def git(*words: str) -> None:
        named = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        subprocess.run(
            ["git", *named, *words], cwd=lesson.directory, env=lesson.environment, check=True, capture_output=True
        )

    lesson.write(file="content\n")
    git("init", "-q")
    git("add", "file")
    git("commit", "-qm", "first")

    text, _ = lesson.learn("git", "archive", "-o", "out/project.tar", "HEAD", options=("--in-tree",), status=128)
    assert text == ""
    (lesson.directory / "out").mkdir()
    text, _ = lesson.learn("git", "archive", "-o", "out/project.tar", "HEAD")

    assert "-i .git/HEAD" in text
    assert "-i file" not in text
    lesson.run(text)
    assert b"content" in (lesson.directory / "out" / "project.tar").read_bytes()


@pytest.mark.needs("java")
def test_a_class_of_java(lesson: Lesson) -> None:
    lesson.write(src__a__A_dot_java="package a; public class A {}\n", notes="")

    text, _ = lesson.learn("javac", "-d", "classes", "src/a/A.java")

    assert "-i src -o classes --cwd ." in one_line(text)
    lesson.run(text)
    assert (lesson.directory / "classes" / "a" / "A.class").exists()


@pytest.mark.needs("system-node")
def test_a_script_of_node(lesson: Lesson) -> None:
    lesson.write(
        build_dot_js="""\
const fs = require("fs");
const {name} = require("tool");
fs.mkdirSync("dist");
fs.writeFileSync("dist/out.txt", name + process.env.MODE);
""",
        node_modules__tool__index_dot_js="exports.name = 'tool';\n",
        notes="",
    )
    lesson.environment["MODE"] = "fast"

    text, said = lesson.learn("node", "build.js")

    assert "bldr: it was missing: " in said  # it makes dist itself, so that dist cannot be there before
    assert "--overlay ." in text
    assert "-e MODE=fast" in text
    lesson.run(text)


@pytest.mark.needs("static-c-library")
def test_a_static_program_needs_no_toolchain(lesson: Lesson) -> None:
    lesson.write(main_dot_c='#include <stdio.h>\nint main(void) { return !fopen("data", "r"); }\n', data="x", other="y")
    subprocess.run(["cc", "-static", "-o", "program", "main.c"], cwd=lesson.directory, check=True)

    text, _ = lesson.learn("./program")

    assert text == "bldr run -i data -i program --toolchain none --cwd . -- ./program\n"
    lesson.run(text)


def test_what_is_missed_in_the_proof_is_added(lesson: Lesson, host_dir: Path) -> None:
    (host_dir / "beside").mkdir()

    text, said = lesson.learn("sh", "-c", f"test -d {host_dir}/beside || {{ echo no {host_dir}/beside >&2; exit 3; }}")

    assert f"bldr: it was missing: {host_dir}/beside" in said
    assert f"-i {host_dir}/beside" in text
    lesson.run(text)


@pytest.mark.needs("system-git")
def test_a_repository_is_cloned_beside_itself(lesson: Lesson) -> None:
    """Overlayfs without privilege gives a file that gets a second name another number, and git does not accept that."""
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    for words in (["init", "-q", "up"], ["-C", "up", *who, "commit", "-q", "--allow-empty", "-m", "one"]):
        subprocess.run(["git", *words], cwd=lesson.directory, env=lesson.environment, check=True, timeout=60)

    text, said = lesson.learn("git", "clone", "-q", "up", "down")

    assert "-o down" in one_line(text)
    assert "bldr: it gave files of the workspace further names, and failed; running it once more on a copy" in said
    lesson.run(text)
    assert (lesson.directory / "down" / ".git" / "HEAD").exists()


def test_a_directory_that_the_command_insists_on_making_is_kept(lesson: Lesson) -> None:
    lesson.write(source="text\n")
    command = ("sh", "-c", "mkdir build && cp source build/product")

    text, said = lesson.learn(*command)

    assert one_line(text).startswith("bldr try -q --commit ")
    assert f"bldr: {lesson.directory}/build is made by the command itself" in said
    lesson.run(text)
    assert (lesson.directory / "build" / "product").read_text() == "text\n"
    shutil.rmtree(lesson.directory / "build")
    program, _ = lesson.learn(*command, options=("--tighten", "--format", "python"))
    lesson.python(program)
    assert (lesson.directory / "build" / "product").read_text() == "text\n"
    shutil.rmtree(lesson.directory / "build")
    _, said = lesson.learn(*command, options=("--tighten", "--format", "builderfile"), status=125)
    assert "mkdir -p in the command accepts that" in said


@pytest.mark.needs("system-python")
def test_the_hosts_that_a_command_asks_for_are_found_one_by_one(
    lesson: Lesson, bldr_argv: list[str], host_dir: Path
) -> None:
    """In a world of its own, where invented names lead to a server."""
    (host_dir / "site").mkdir()
    (host_dir / "site" / "hello").write_text("hello\n", "ascii")
    fetch = "import urllib.request as u; print([u.urlopen(f'http://{n}.test/hello').read() for n in ('one', 'two')])"
    learn = [*bldr_argv, "learn", "--tighten", "--any-host", "--", "/usr/bin/python3", "-I", "-c", fetch]

    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("far_world.py"), host_dir / "site", "one.test,two.test", *learn],
        cwd=lesson.directory,
        env={**lesson.environment, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "--allow-host one.test:80 --allow-host two.test:80" in one_line(done.stdout)
    told = [line for line in done.stderr.splitlines() if line.startswith("bldr: it asked for")]
    assert told == [f"bldr: it asked for {name}.test; running it once more with that" for name in ("one", "two")]
    assert "bldr: proven" in done.stderr


def test_python_learns_as_well(lesson: Lesson, monkeypatch: pytest.MonkeyPatch) -> None:
    lesson.write(source="text\n", other="text\n")
    monkeypatch.setenv("HOME", lesson.environment["HOME"])
    before = lesson.snapshot()

    learned = learn_spec(
        ["sh", "-c", 'cp source "$WHERE"'], cwd=lesson.directory, env={"WHERE": "made"}, tighten=True, in_tree=True,
        limits=ResourceLimits(processes=50), timeout=60,
    )  # fmt: skip

    assert lesson.snapshot() == before
    assert learned.proven
    assert [(one.name, one.content) for one in learned.variables] == [("WHERE", "made")]
    assert learned.spec().limits.processes == 50
    assert learned.spec().outputs.contains(lesson.directory)
    assert "--processes 50" in learned.text()
    assert HermeticExecutor.create(learned.spec()).execute(learned.argv, cwd=learned.directory).success
    assert (lesson.directory / "made").read_text() == "text\n"
    with pytest.raises(LearnError, match="it ended with status 7") as caught:
        learn_spec(["sh", "-c", "echo because >&2; exit 7"], cwd=lesson.directory)
    assert (caught.value.code, caught.value.hint) == ("learn.command-failed", "because")


def test_what_cannot_be_proven_is_said_in_a_sentence(lesson: Lesson) -> None:
    text, said = lesson.learn("sh", "-c", "test -d /home", status=125)

    assert text == ""
    assert "bldr: the command does not do in the learned sandbox what it did when it was watched: it ended with" in said


def test_a_command_that_fails_teaches_nothing(lesson: Lesson) -> None:
    text, said = lesson.learn("sh", "-c", "exit 7", options=(), status=7)

    assert (text, said) == ("", "bldr: nothing is learned of a command that fails: it ended with status 7")


def test_nothing_outside_of_the_workspace_can_be_written(lesson: Lesson, host_dir: Path) -> None:
    (host_dir / "beside").mkdir()

    _, said = lesson.learn("sh", "-c", f"echo x > {host_dir}/beside/file || true", options=())

    assert not (host_dir / "beside" / "file").exists()
    assert f"it was not let write {host_dir}/beside/file: --workspace {host_dir}/beside lets it" in said


def test_a_second_workspace_is_private_too(lesson: Lesson, host_dir: Path) -> None:
    (host_dir / "cache").mkdir()

    text, _ = lesson.learn(
        "sh", "-c", f"echo x > {host_dir}/cache/file", options=("-w", ".", "-w", str(host_dir / "cache"))
    )

    assert os.listdir(host_dir / "cache") == []
    assert f"-o {host_dir}/cache" in text


def test_a_secret_that_was_read_is_warned_about(lesson: Lesson) -> None:
    home = Path(lesson.environment["HOME"])
    (home / ".ssh").mkdir()
    for name in ("config", "id_ed25519"):
        (home / ".ssh" / name).write_text("x\n", "ascii")
    lesson.environment["API_TOKEN"] = "hunter2"

    text, said = lesson.learn("sh", "-c", 'cat "$HOME/.ssh/config" && : $API_TOKEN')

    assert f"bldr: beware of {home}/.ssh/config" in said
    assert f"-i {home}/.ssh/config" in text
    assert f"-e HOME={home}" in text
    assert "id_ed25519" not in text
    assert "hunter2" not in text + said
    assert "-e API_TOKEN" in text


def test_a_file_is_not_overwritten_unless_it_is_said(lesson: Lesson) -> None:
    lesson.write(Builderfile="// mine\n", a="x")

    _, said = lesson.learn("cat", "a", options=("--write", "Builderfile"), status=125)
    assert said == "bldr: 'Builderfile' is there already\nbldr: hint: --force overwrites it; or write another"
    lesson._bldr(
        "learn",
        "--format",
        "python",
        "--write",
        "spec.py",
        "--",
        "cat",
        "a",
        cwd=lesson.directory,
        env=lesson.environment,
    )
    assert "SandboxSpecBuilder" in (lesson.directory / "spec.py").read_text("utf-8")


def test_what_is_hidden_otherwise_can_be_shown(lesson: Lesson, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("x\n", "ascii")

    text, _ = lesson.learn("cat", str(tmp_path / "data"), options=("-i", str(tmp_path)))
    _, said = lesson.learn("cat", "x", options=("-i", f"{tmp_path}:/data"), status=2)

    assert f"-i {tmp_path}/data" in text
    assert "what is watched is shown at its own place" in said


def test_an_unknown_format_is_a_mistake_of_the_command_line(lesson: Lesson) -> None:
    _, said = lesson.learn("true", options=("--format", "xml"), status=2)

    assert said.startswith("bldr: --format xml: there is no such format")
