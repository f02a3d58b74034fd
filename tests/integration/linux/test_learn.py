"""``bldr learn`` watches real commands without harm, and what it writes suffices for them and for nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

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
