"""Own modules that are found directly are the same as those that the interpreter finds."""

from __future__ import annotations

import os
import py_compile
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source, module_from_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bldr.cli.imports import OwnModules

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

SUFFIX = f".{sys.implementation.cache_tag}.pyc"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "part.py"
    path.write_text("VALUE = 1\n")
    return path


def found(name: str, path: Path) -> ModuleSpec | None:
    return OwnModules(SUFFIX).find_spec(name, [str(path)])


def executed(spec: ModuleSpec) -> dict[str, Any]:
    module = module_from_spec(spec)
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return vars(module)


def test_a_compiled_module_is_found_with_everything_that_modules_know_of_themselves(source: Path) -> None:
    compiled = py_compile.compile(str(source))

    spec = found("bldr.part", source.parent)

    assert spec is not None
    assert (spec.origin, spec.cached, spec.parent) == (str(source), compiled, "bldr")
    assert isinstance(spec.loader, SourceFileLoader)
    assert spec.loader.get_source("bldr.part") == "VALUE = 1\n"
    names = executed(spec)
    assert (names["VALUE"], names["__file__"], names["__cached__"]) == (1, str(source), compiled)


def test_a_module_can_be_executed_again(source: Path) -> None:
    py_compile.compile(str(source))
    spec = found("bldr.part", source.parent)
    assert spec is not None
    executed(spec)

    assert executed(spec)["VALUE"] == 1


def test_a_package_is_found_with_its_directory(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "__init__.py").write_text("")
    py_compile.compile(str(tmp_path / "inner" / "__init__.py"))

    spec = found("bldr.inner", tmp_path)

    assert spec is not None
    assert spec.submodule_search_locations == [str(tmp_path / "inner")]


def test_a_source_that_was_changed_is_left_to_the_ordinary_finder(source: Path) -> None:
    py_compile.compile(str(source))
    source.write_text("VALUE = 12\n")

    assert found("bldr.part", source.parent) is None


def test_a_source_of_another_time_is_left_to_the_ordinary_finder(source: Path) -> None:
    py_compile.compile(str(source))
    os.utime(source, (1, 1))

    assert found("bldr.part", source.parent) is None


def test_what_was_not_compiled_is_left_to_the_ordinary_finder(source: Path) -> None:
    assert found("bldr.part", source.parent) is None


def test_what_is_valid_by_its_digest_is_left_to_the_ordinary_finder(source: Path) -> None:
    py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)

    assert found("bldr.part", source.parent) is None


def test_what_another_version_compiled_is_left_to_the_ordinary_finder(source: Path) -> None:
    compiled = Path(cache_from_source(str(source)))
    compiled.parent.mkdir()
    compiled.write_bytes(b"\0" * 16)

    assert found("bldr.part", source.parent) is None


@pytest.mark.parametrize("name", ["part", "other.part", "bldrx.part"])
def test_modules_of_others_are_left_to_the_ordinary_finder(name: str, source: Path) -> None:
    py_compile.compile(str(source))

    assert found(name, source.parent) is None


def test_a_module_that_is_not_there_is_left_to_the_ordinary_finder(tmp_path: Path) -> None:
    assert found("bldr.part", tmp_path) is None


@pytest.mark.parametrize(("option", "count"), [((), 1), (("-O",), 0)])
def test_it_is_not_used_where_modules_are_compiled_in_another_way(option: tuple[str, ...], count: int) -> None:
    code = (
        "import sys; from bldr.cli.imports import OwnModules, find_directly; find_directly();"
        "print(sum(isinstance(one, OwnModules) for one in sys.meta_path))"
    )
    done = subprocess.run([sys.executable, "-I", *option, "-c", code], capture_output=True, timeout=60, check=True)

    assert int(done.stdout) == count
