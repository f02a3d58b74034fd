"""What a resolution refuses: each with its code, the path, and what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bldr.errors import InvalidPathError, OverlappingPathsError, SpecError
from bldr.model.declarations import Declaration
from bldr.model.paths import PathSet
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.sandbox.resolve import resolve
from tests.property.plan_hosts import MemoryHost


def strict() -> SandboxSpecBuilder:
    return SandboxSpecBuilder.create()


def refusal(builder: SandboxSpecBuilder, host: MemoryHost) -> SpecError:
    with pytest.raises(SpecError) as caught:
        resolve(builder.build(), host=host)
    assert caught.value.hint
    return caught.value


class BrokenHost(MemoryHost):
    """A host of which one path cannot be looked at."""

    def __init__(self, tree: dict[str, str], broken: str, number: int) -> None:
        super().__init__(tree)
        self.broken = broken
        self.number = number

    def lstat_kind(self, path: str) -> str:
        if path == self.broken:
            raise OSError(self.number, os.strerror(self.number), path)
        return super().lstat_kind(path)


def test_a_missing_input_is_refused_with_a_similar_name() -> None:
    error = refusal(strict().input("/w/main.c"), MemoryHost({"/w/Main.c": "file"}))

    assert isinstance(error, InvalidPathError)
    assert (error.code, error.path) == ("spec.path-missing", "/w/main.c")
    assert str(error) == "the input '/w/main.c' does not exist"
    assert error.hint == "did you mean '/w/Main.c'?"


def test_a_missing_input_is_refused_with_the_directory_in_which_it_is_missing() -> None:
    error = refusal(strict().input("/w/a/b/c"), MemoryHost({"/w/src": "dir"}))

    assert error.hint == "there is no 'a' in '/w'"


def test_a_missing_input_in_a_directory_that_cannot_be_listed_is_refused() -> None:
    error = refusal(strict().input("/w/a"), MemoryHost({"/w": "dir"}, unreadable=frozenset({"/w"})))

    assert (error.code, error.hint) == ("spec.path-missing", "there is no 'a' in '/w'")


def test_an_input_below_a_file_is_missing() -> None:
    assert refusal(strict().input("/w/f/x"), MemoryHost({"/w/f": "file"})).code == "spec.path-missing"


def test_a_missing_output_is_refused_with_the_command_that_makes_it() -> None:
    error = refusal(strict().output("/w/build"), MemoryHost({"/w": "dir"}))

    assert (error.code, error.hint) == ("spec.output-missing", "mkdir -p /w/build")


def test_a_hint_quotes_what_a_shell_would_split() -> None:
    error = refusal(strict().output("/w/my build"), MemoryHost({"/w": "dir"}))

    assert error.hint == "mkdir -p '/w/my build'"


def test_an_output_that_is_a_file_is_refused() -> None:
    error = refusal(strict().output("/w/app"), MemoryHost({"/w/app": "file"}))

    assert (error.code, str(error)) == ("spec.output-not-directory", "the output '/w/app' is not a directory")
    assert error.hint == "declare the directory that holds it: /w"


def test_an_output_that_cannot_be_written_is_refused() -> None:
    error = refusal(strict().output("/w/out"), MemoryHost({"/w/out": "dir"}, read_only=frozenset({"/w/out"})))

    assert (error.code, error.hint) == ("spec.output-not-writable", "chmod u+wx /w/out")


def test_an_input_that_cannot_be_read_is_refused() -> None:
    error = refusal(strict().input("/w/key"), MemoryHost({"/w/key": "file"}, unreadable=frozenset({"/w/key"})))

    assert (error.code, error.hint) == ("spec.path-unreadable", "chmod u+r /w/key")


def test_a_dangling_link_is_refused_by_link_and_target() -> None:
    error = refusal(strict().input("/w/link"), MemoryHost({"/w/link": "-> ../x/gone", "/x": "dir"}))

    assert error.code == "spec.path-missing"
    assert str(error) == "the input '/w/link' leads nowhere: the link '/w/link' -> '../x/gone' misses '/x/gone'"


def test_a_dangling_link_to_an_output_is_a_missing_output() -> None:
    error = refusal(strict().output("/w/out"), MemoryHost({"/w/out": "-> /disk/out", "/disk": "dir"}))

    assert error.code == "spec.output-missing"


def test_links_in_a_circle_are_refused() -> None:
    error = refusal(strict().input("/a"), MemoryHost({"/a": "-> b", "/b": "-> a"}))

    assert (error.code, error.hint) == ("spec.path-loop", "ls -l /a")


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (errno.EACCES, "spec.path-unreadable"),
        (errno.EIO, "spec.path-unreadable"),
        (errno.ESTALE, "spec.path-unreadable"),
        (errno.ENAMETOOLONG, "spec.path-invalid"),
    ],
)
def test_a_path_that_cannot_be_looked_at_is_refused(number: int, code: str) -> None:
    error = refusal(strict().input("/w/a"), BrokenHost({"/w/a": "file"}, "/w/a", number))

    assert (error.code, str(error)) == (code, f"cannot look at '/w/a': {os.strerror(number)}")
    assert isinstance(error.__cause__, OSError)


def test_an_optional_path_that_cannot_be_looked_at_is_left_out() -> None:
    spec = SandboxSpec(
        declarations=(Declaration("input", "/w/a", "/w/a", optional=True, origin="toolchain test"),),
        inputs=PathSet.subtree("/w/a"),
    )

    assert resolve(spec, host=BrokenHost({"/w/a": "file"}, "/w/a", errno.EACCES)).absent == ("/w/a",)


def test_a_canary_that_cannot_be_looked_at_is_no_canary() -> None:
    resolved = resolve(strict().build(), host=BrokenHost({"/etc/fstab": "file"}, "/etc/machine-id", errno.EACCES))

    assert resolved.canary == "/etc/fstab"


def test_a_directory_that_has_to_be_rebuilt_must_be_readable() -> None:
    host = MemoryHost({"/w/a": "dir"}, unreadable=frozenset({"/w/a"}))

    error = refusal(strict().carve().input("/w").temp("/w/a/t"), host)

    assert (error.code, str(error)) == ("spec.path-unreadable", "cannot look at '/w/a': Permission denied")


@pytest.mark.parametrize(
    ("declare", "why"),
    [
        (lambda b: b.input("/proc"), "every sandbox has a /proc of its own"),
        (lambda b: b.input("/proc/self/maps"), "every sandbox has a /proc of its own"),
        (lambda b: b.input("/w/f", "/proc/x"), "every sandbox has a /proc of its own"),
        (lambda b: b.input("/proc/cpuinfo", "/w/x"), "every sandbox has a /proc of its own"),
        (lambda b: b.temp("/proc/x"), "every sandbox has a /proc of its own"),
        (lambda b: b.input("/dev"), "every sandbox has a /dev of its own"),
        (lambda b: b.output("/dev/shm"), "every sandbox has a /dev of its own"),
        (lambda b: b.temp("/dev/shm"), "every sandbox has a /dev of its own"),
        (lambda b: b.input("/dev/stdin"), "every sandbox has a /dev/stdin of its own"),
        (lambda b: b.input("/dev/pts/0"), "every sandbox has a /dev/pts of its own"),
        (lambda b: b.input("/w/to-shm"), "every sandbox has a /dev/shm of its own"),
        (lambda b: b.output("/w/to-proc"), "every sandbox has a /proc of its own"),
        (lambda b: b.output("/sys/fs/cgroup"), "/sys controls the host and what limits the sandbox"),
        (lambda b: b.output("/"), "the root can only be an input"),
        (lambda b: b.output("/w", "/"), "the root can only be an input"),
        (lambda b: b.temp("/"), "the root can only be an input"),
    ],
)
def test_what_every_sandbox_has_for_itself_cannot_be_declared(declare: object, why: str) -> None:
    host = MemoryHost(
        {
            "/proc/self/maps": "file",
            "/dev/shm/x": "file",
            "/sys/fs/cgroup": "dir",
            "/w/f": "file",
            "/w/to-shm": "-> /dev/shm/x",
            "/w/to-proc": "-> /proc/self",
        }
    )
    builder = strict()
    declare(builder)  # type: ignore[operator]  # a function of the builder

    error = refusal(builder, host)

    assert error.code == "spec.path-reserved"
    assert str(error).endswith(f"cannot be declared: {why}")


def test_an_output_that_a_link_makes_the_same_as_an_input_is_refused() -> None:
    error = refusal(strict().input("/w/src").output("/w/out"), MemoryHost({"/w/src": "dir", "/w/out": "-> src"}))

    assert isinstance(error, OverlappingPathsError)
    assert (error.code, {error.first, error.second}) == ("spec.paths-overlap", {"/w/src", "/w/out"})
    assert str(error).endswith("become the same path: '/w/out' leads to '/w/src'")


def test_an_output_that_a_link_brings_into_an_input_is_refused() -> None:
    error = refusal(strict().input("/w").output("/o"), MemoryHost({"/w/build": "dir", "/o": "-> w/build"}))

    assert str(error) == "the output '/o' and the input '/w' overlap: '/o' leads to '/w/build'"


def test_an_output_inside_an_input_may_be_a_link_to_elsewhere_in_it() -> None:
    """It was carved out of the input by name, so the place where it leads is carved out, too."""
    host = MemoryHost({"/w/build-7": "dir", "/w/build": "-> build-7"})
    spec = strict().carve().input("/w").output("/w/build").build()

    sets = resolve(spec, host=host).effective()

    assert (sets.access("/w/build-7"), sets.access("/w/src")) == ("write", "read")


def test_an_input_that_a_link_brings_into_an_output_is_refused() -> None:
    host = MemoryHost({"/out/gen.h": "file", "/w/gen.h": "-> /out/gen.h"})

    error = refusal(strict().input("/w/gen.h").output("/out"), host)

    assert str(error).endswith("overlap: '/w/gen.h' leads to '/out/gen.h'")


def test_an_input_that_a_link_brings_into_a_declared_temp_is_refused() -> None:
    host = MemoryHost({"/t/x": "file", "/w/x": "-> /t/x"})

    assert refusal(strict().input("/w/x").temp("/t"), host).code == "spec.paths-overlap"


def test_a_temp_at_the_place_of_an_input_is_refused() -> None:
    host = MemoryHost({"/w/src": "dir", "/w/tmp": "-> src"})

    error = refusal(strict().carve().input("/w").input("/w/src").temp("/w/tmp"), host)

    assert str(error).endswith("become the same path: '/w/tmp' leads to '/w/src'")


def test_a_link_that_an_output_hides_is_refused() -> None:
    host = MemoryHost({"/o": "-> w/out", "/w/out": "dir", "/w/out/l": "-> /x", "/x": "file", "/i": "-> /w/out/l"})
    spec = strict().input("/i").output("/x2", "/w/out").build()
    host.tree["/x2"] = "dir"

    with pytest.raises(InvalidPathError) as caught:
        resolve(spec, host=host)

    assert caught.value.code == "spec.output-missing"


def test_an_output_within_another_one_has_to_exist_in_it() -> None:
    host = MemoryHost({"/a": "dir", "/b": "dir"})

    error = refusal(strict().output("/a", "/out").output("/b", "/out/sub"), host)

    assert (error.code, error.hint) == ("spec.output-missing", "mkdir -p /a/sub")


def test_nothing_can_be_shown_inside_a_file() -> None:
    host = MemoryHost({"/a": "file", "/b": "file"})

    error = refusal(strict().input("/a", "/in").input("/b", "/in/x"), host)

    assert isinstance(error, OverlappingPathsError)
    assert str(error) == "the input '/in/x' (from '/b') lies inside the input '/in' (from '/a'), which is a file"


def test_an_output_whose_files_a_mapped_input_shows_by_a_link_is_refused() -> None:
    host = MemoryHost({"/w/out": "dir", "/o": "-> /w/out"})

    error = refusal(strict().input("/w", "/in").output("/o", "/out"), host)

    assert isinstance(error, OverlappingPathsError)
    assert str(error) == "the input '/w' and the output '/w/out' share files of the host"


def test_a_hole_keeps_what_an_output_writes_out_of_a_mapped_input() -> None:
    host = MemoryHost({"/w/out": "dir"})

    resolved = resolve(strict().carve().input("/w", "/in").output("/w/out", "/out").build(), host=host)

    assert resolved.effective().access("/in/out") == "none"


@pytest.mark.needs("unprivileged-user")
def test_a_real_directory_that_forbids_looking_is_refused(host_dir: Path, run_unprivileged: object) -> None:
    """Root may look everywhere, so somebody else has to."""
    closed = host_dir / "closed"
    closed.mkdir(mode=0o700)
    program = (
        "import sys\n"
        "from bldr.errors import SpecError\n"
        "from bldr.model.spec import SandboxSpecBuilder\n"
        "from bldr.sandbox.resolve import resolve\n"
        "for name in ('', '/x'):\n"
        "    try:\n"
        "        resolve(SandboxSpecBuilder.create().input(sys.argv[1] + name).build())\n"
        "    except SpecError as error:\n"
        "        print(error.code)\n"
    )

    done = run_unprivileged("-c", program, os.fspath(closed))  # type: ignore[operator]  # the fixture is a function

    assert done.stdout.split() == [b"spec.path-unreadable", b"spec.path-unreadable"], done.stderr
