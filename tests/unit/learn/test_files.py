"""What was read and written becomes the fewest sensible declarations."""

from __future__ import annotations

from bldr.learn.files import Files, Place, learn_files
from bldr.learn.observation import Observation
from tests.unit.learn.hosts import FakeHost

WORK = "/home/me/work"
CC = "/usr/bin/cc"


def learned(
    host: FakeHost,
    *,
    reads: tuple[str, ...] = (),
    looks: tuple[str, ...] = (),
    listings: tuple[str, ...] = (),
    changes: tuple[str, ...] = (),
    kept: tuple[str, ...] = (),
    in_tree: bool = False,
) -> Files:
    """Learn from what is relative to the workspace, or absolute."""

    def placed(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple([path if path.startswith("/") else f"{WORK}/{path}" for path in paths])

    seen = Observation(
        reads=(CC, *placed(reads)), looks=placed(looks), listings=placed(listings), changes=placed(changes)
    )
    return learn_files(seen, Place((WORK,), ("/tmp", "/var/tmp"), frozenset(placed(kept)), in_tree), host)


def host_of(*paths: str) -> FakeHost:
    return FakeHost(f"{WORK}/", *[path if path.startswith("/") else f"{WORK}/{path}" for path in paths])


def test_a_directory_of_which_everything_was_read_stands_for_its_files() -> None:
    host = host_of("Makefile", "src/main.c", "src/lib/a.c", "docs/x.md")

    files = learned(host, reads=("Makefile", "src/main.c"), looks=("src/lib/a.c",))

    assert files.inputs == (f"{WORK}/Makefile", f"{WORK}/src")


def test_a_file_that_was_not_read_keeps_its_neighbours_apart() -> None:
    host = host_of("src/main.c", "src/secret.txt", "src/lib/a.c")

    files = learned(host, reads=("src/main.c", "src/lib/a.c"))

    assert files.inputs == (f"{WORK}/src/lib", f"{WORK}/src/main.c")


def test_the_workspace_itself_is_an_input_when_all_of_it_was_read() -> None:
    assert learned(host_of("a.c", "b/c.h"), reads=("a.c", "b/c.h")).inputs == (WORK,)


def test_an_empty_directory_that_was_listed_is_shown() -> None:
    assert learned(host_of("a.c", "empty/", "other/x"), reads=("a.c",), listings=("empty", "other")).inputs == (
        f"{WORK}/a.c",
        f"{WORK}/empty",
    )


def test_what_the_toolchain_holds_is_not_listed() -> None:
    files = learned(host_of("a.c"), reads=("a.c", "/usr/include/stdio.h", "/etc/alternatives/cc", "/etc/passwd"))

    assert (files.toolchain, files.inputs) == ("system", (WORK,))


def test_without_a_program_of_the_system_there_is_no_toolchain() -> None:
    seen = Observation(reads=(f"{WORK}/static",))

    files = learn_files(seen, Place((WORK,)), host_of("static", "other"))

    assert (files.toolchain, files.inputs) == ("none", (f"{WORK}/static",))


def test_a_new_directory_that_stays_is_an_output_that_has_to_be_made() -> None:
    files = learned(
        host_of("src/a.c", "README"), reads=("src/a.c",), changes=("out", "out/o/a.o"), kept=("out", "out/o")
    )

    assert (files.outputs, files.made, files.overlays) == ((f"{WORK}/out",), (f"{WORK}/out",), ())


def test_a_directory_for_results_alone_is_an_output() -> None:
    files = learned(host_of("src/a.c", "out/"), reads=("src/a.c",), changes=("out/a.o",))

    assert (files.outputs, files.made, files.overlays) == ((f"{WORK}/out",), (), ())


def test_results_of_an_earlier_build_do_not_make_an_output_an_input() -> None:
    files = learned(host_of("src/a.c", "out/a.o"), reads=("src/a.c",), looks=("out/a.o",), changes=("out/a.o",))

    assert (files.outputs, files.overlays) == ((f"{WORK}/out",), ())


def test_a_directory_that_holds_sources_and_results_is_an_overlay() -> None:
    host = host_of("Makefile", "src/a.c", "README")

    files = learned(host, reads=("Makefile", "src/a.c"), changes=("src/a.o",))

    assert (files.inputs, files.overlays, files.outputs) == ((f"{WORK}/Makefile",), (f"{WORK}/src",), ())


def test_in_tree_makes_such_a_directory_an_output() -> None:
    host = host_of("Makefile", "src/a.c")

    files = learned(host, reads=("Makefile", "src/a.c"), changes=("src/a.o",), in_tree=True)

    assert (files.inputs, files.overlays, files.outputs) == ((WORK,), (), (f"{WORK}/src",))


def test_a_new_directory_in_an_overlay_is_kept_all_the_same() -> None:
    host = host_of("Makefile")

    files = learned(host, reads=("Makefile",), changes=("config.log", "out", "out/a"), kept=("out",))

    assert (files.overlays, files.outputs) == ((WORK,), (f"{WORK}/out",))


def test_what_comes_and_goes_needs_its_directory_and_no_more() -> None:
    files = learned(host_of("src/a.c", "t/"), reads=("src/a.c",), changes=("t/x", "t/x/y"))

    assert (files.outputs, files.made) == ((f"{WORK}/t",), ())


def test_the_default_temp_is_not_listed_and_another_one_is() -> None:
    files = learned(host_of("a"), reads=("a", "/tmp/x"), changes=("/tmp/x", "/var/tmp/y"))

    assert (files.temps, files.inputs) == (("/var/tmp",), (WORK,))


def test_a_file_of_a_package_stands_for_the_package() -> None:
    host = host_of(
        "a", "/opt/jdk/bin/java", "/opt/jdk/lib/rt.jar", "/usr/local/lib/python3.11/os.py", "/usr/local/bin/x"
    )

    files = learned(host, reads=("/opt/jdk/lib/rt.jar", "/usr/local/lib/python3.11/os.py", "/usr/local/bin/x"))

    assert files.inputs == ("/opt/jdk", "/usr/local/bin/x", "/usr/local/lib/python3.11")


def test_a_file_of_a_prefix_stands_for_the_prefix() -> None:
    host = host_of("a", "/home/me/venv/pyvenv.cfg", "/home/me/venv/bin/python", "/srv/x/node_modules/p/i.js")

    files = learned(host, reads=("/home/me/venv/bin/python", "/srv/x/node_modules/p/i.js"))

    assert files.inputs == ("/home/me/venv", "/srv/x/node_modules")


def test_two_files_of_a_directory_elsewhere_stand_for_it_and_one_does_not() -> None:
    host = host_of("/srv/data/a", "/srv/data/b", "/srv/other/a", "/srv/other/b")

    assert learned(host, reads=("/srv/data/a", "/srv/data/b", "/srv/other/a")).inputs == (
        "/srv/data",
        "/srv/other/a",
    )


def test_a_directory_with_secrets_is_never_shown_for_its_files() -> None:
    host = host_of("/home/me/.ssh/config", "/home/me/.ssh/known_hosts", "/home/me/.gitconfig", "/home/me/.profile")

    files = learned(
        host, reads=("/home/me/.ssh/config", "/home/me/.ssh/known_hosts", "/home/me/.gitconfig", "/home/me/.profile")
    )

    assert files.inputs == (
        "/home/me/.gitconfig",
        "/home/me/.profile",
        "/home/me/.ssh/config",
        "/home/me/.ssh/known_hosts",
    )
    assert [path for path, _ in files.warnings] == ["/home/me/.ssh/config", "/home/me/.ssh/known_hosts"]


def test_a_secret_in_the_workspace_is_warned_about() -> None:
    files = learned(host_of("a.c", ".env"), reads=("a.c", ".env"))

    assert [path for path, _ in files.warnings] == [f"{WORK}/.env"]
