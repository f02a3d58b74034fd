"""What is imported on the way to a command: start-up is a budget, and it is spent on imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# What each costs with CPython 3.11 is in docs/adr/0006-values-without-dataclasses.md.
TOO_DEAR = {
    "argparse",
    "asyncio",
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "re",
    "shutil",
    "signal",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "typing",
}


def modules_of(code: str, *arguments: str) -> set[str]:
    """Return the modules that a fresh interpreter imports for ``code``, beyond those of an empty program."""
    return _imported(code, *arguments) - _imported("pass")


def _imported(code: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-I", "-X", "importtime", "-c", code, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    rest = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]

    assert done.returncode == 0, "\n".join(rest)
    return {line.rpartition("|")[2].strip() for line in lines[1:]}


def test_importing_bldr_loads_no_other_module() -> None:
    assert modules_of("import bldr") == {"__future__", "bldr"}


def test_a_value_costs_no_import_of_dataclasses() -> None:
    assert modules_of("import bldr.model.value") & TOO_DEAR == set()


@pytest.mark.needs("bldr-command")
def test_the_version_is_printed_without_loading_the_machinery() -> None:
    loaded = modules_of("import sys; from bldr.cli.main import main; sys.exit(main())", "--version")

    assert loaded & TOO_DEAR == set()
    assert not any(name.startswith(("_bldr_launcher", "bldr.sandbox")) for name in loaded)


@pytest.mark.needs("user-namespaces")
def test_running_a_command_imports_nothing_dear(tmp_path: Path) -> None:
    """The launcher of ``bldr run`` is in this process or its children, whose imports appear in the same stream."""
    loaded = modules_of("import sys; from bldr.cli.main import main; sys.exit(main())", "run", "--", "true")

    assert loaded & TOO_DEAR == set()
    assert not any(
        name.startswith(("bldr.store", "bldr.execution.caching", "bldr.cli.cache", "sqlite3")) for name in loaded
    )


@pytest.mark.needs("user-namespaces")
def test_running_a_command_loads_nothing_of_builderfiles() -> None:
    loaded = modules_of("import sys; from bldr.cli.main import main; sys.exit(main())", "run", "--", "true")

    assert not any(name.split(".")[0] == "lark" or name.startswith("bldr.builderfile") for name in loaded)


def test_reading_builderfiles_loads_nothing_before_there_is_a_file() -> None:
    loaded = modules_of("import bldr.builderfile.workspace, bldr.builderfile.formatting, bldr.builderfile.writing")

    assert loaded & TOO_DEAR == set()
    assert not any(name.split(".")[0] == "lark" for name in loaded)


def test_the_supervisor_does_not_load_the_machinery_of_its_launcher() -> None:
    """It cost 4 ms a start of ``bldr run`` when one constant of it was imported."""
    loaded = modules_of("import bldr.execution.executor, bldr.sandbox.linux.backend, bldr.cli.request, bldr.cli.run")

    assert {name for name in loaded if name.startswith("_bldr_launcher.")} == {
        "_bldr_launcher.channel",
        "_bldr_launcher.release",
        "_bldr_launcher.scratch",
        "_bldr_launcher.wire",
    }


@pytest.mark.needs("user-namespaces")
def test_a_build_that_nobody_draws_loads_nothing_that_draws(tmp_path: Path) -> None:
    (tmp_path / "Builderfile").write_text('target("t") { type: custom; command: "true > t"; output: "t"; }\n', "ascii")
    code = f"import os, sys; os.chdir({str(tmp_path)!r}); from bldr.cli.main import main; sys.exit(main())"

    loaded = modules_of(code, "build", "--no-hermetic")

    drawing = {"bldr.report.region", "bldr.report.html", "bldr.report.build_page", "bldr.report.build_trace"}
    files = {"bldr.cli.events", "bldr.cli.resultfile", "bldr.cli.watching", "bldr.engine.watch", "html", "xml"}
    assert loaded & (drawing | files) == set()
    assert not any(name.split(".")[0] == "rich" for name in loaded)
