"""The sandboxes of the targets of examples/words: the kernel shows what Builderfiles declare, and nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from bldr import ExecutionResult, HermeticExecutor
from bldr.builderfile.confinement import needs_of, spec_of
from bldr.builderfile.label import Label
from bldr.builderfile.workspace import Resolved, load, resolve

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

AT = "/workspace"


class Site:
    """A copy of the example, in which the commands of targets run one by one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.targets: dict[Label, Resolved] = resolve(load(str(root)))

    def run(self, name: str, argv: Sequence[str], *, needs: Sequence[str] | None = None) -> ExecutionResult:
        """Run a command in the sandbox of a target; what it makes goes to ``out`` of the workspace."""
        label = Label.parse(name)
        output = self.root / "out" / label.name
        output.mkdir(parents=True, exist_ok=True)
        spec = spec_of(
            self.targets[label],
            root=str(self.root),
            output_dir=str(output),
            temp_dir="/tmp/build",
            needs=needs_of(label, self.targets) if needs is None else needs,
            workspace_at=AT,
        )
        return HermeticExecutor.create(spec).execute(argv, cwd=AT, timeout=60)

    def publish(self, name: str, made: str, product: str) -> None:
        """Put what a target has made where its Builderfile says."""
        (self.root / product).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(self.root / "out" / name / made, self.root / product)


@pytest.fixture
def site(repository: Path, host_dir: Path) -> Site:
    shutil.copytree(
        repository / "examples" / "words",
        host_dir / "words",
        ignore=shutil.ignore_patterns("__pycache__", "bin", "gen"),
    )
    return Site(host_dir / "words")


def compile_library(site: Site) -> None:
    made = site.run(
        "//lib:count",
        ["sh", "-ec", "cc -Ilib/include -c lib/count.c -o out/count/count.o; ar rcs out/count/lib.a out/count/count.o"],
    )
    assert made.success, made.stderr
    site.publish("count", "lib.a", "bin/libcount.a")


@pytest.mark.needs("c-compiler")
def test_the_example_can_be_built_in_the_sandboxes_of_its_targets(site: Site) -> None:
    compile_library(site)
    version = site.targets[Label.parse("//:version")].target.command[-1].replace("gen/", "out/version/")
    made = site.run("//:version", ["sh", "-ec", version])
    assert made.success, made.stderr
    site.publish("version", "version.h", "gen/version.h")

    made = site.run("//:words", ["cc", "-I.", "-Ilib/include", "src/main.c", "bin/libcount.a", "-o", "out/words/words"])

    assert made.success, made.stderr
    assert made.hermetic
    site.publish("words", "words", "bin/words")
    said = site.run("//report:report", ["sh", "-c", "echo 'one two' | python3 -m report bin/words"])
    assert (said.stdout, said.stderr) == (b"2 words in 1 line, 8 bytes\n", b"")


@pytest.mark.needs("c-compiler")
def test_a_header_that_no_dependency_declares_is_not_there(site: Site) -> None:
    (site.root / "gen").mkdir()
    (site.root / "gen" / "version.h").touch()

    made = site.run("//:words", ["cc", "-I.", "-Ilib/include", "-c", "src/main.c", "-o", "out/words/main.o"], needs=())

    assert not made.success
    assert b"count.h: No such file or directory" in made.stderr


def test_settings_of_the_block_hold(site: Site) -> None:
    made = site.run("//:version", ["sh", "-c", "echo $LC_ALL; ls; cat VERSION; echo x > VERSION"])

    assert made.stdout == b"C\nVERSION\nout\ntools\n1.0\n"
    assert b"Read-only file system" in made.stderr
