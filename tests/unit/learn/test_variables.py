"""Which variables a command seems to need."""

from __future__ import annotations

from bldr.learn.observation import Observation
from bldr.learn.variables import learn_variables, watched_environment

NOTHING = Observation()


def names(caller: dict[str, str], seen: Observation = NOTHING, *texts: bytes, given: tuple[str, ...] = ()) -> list[str]:
    return [one.name for one in learn_variables(caller, seen, texts, given=given, workspaces=("/w",))]


def test_a_variable_that_a_text_names_is_needed() -> None:
    caller = dict.fromkeys(("A", "B", "C", "D", "E", "F", "OTHER"), "x")
    texts = (b"$A ${B} $(C)\n", b"os.environ['D']; os.environ.get(\"E\")", b"process.env.F")

    assert names(caller, Observation(), *texts) == ["A", "B", "C", "D", "E", "F"]


def test_what_tells_of_the_caller_is_never_needed() -> None:
    assert (
        names({"USER": "me", "SSH_AUTH_SOCK": "/x/y", "LANG": "de"}, Observation(), b"$USER $SSH_AUTH_SOCK $LANG") == []
    )


def test_a_program_looks_at_variables_by_itself() -> None:
    caller = {"CFLAGS": "-O3", "PYTHONPATH": "lib"}

    assert names(caller) == []
    assert names(caller, Observation(programs=("/usr/bin/make",))) == ["CFLAGS"]
    assert names(caller, Observation(programs=("/usr/bin/python3.11",))) == ["PYTHONPATH"]


def test_a_variable_that_leads_to_what_was_read_is_needed() -> None:
    seen = Observation(reads=("/opt/jdk/lib/x", "/w/a"))

    assert names({"MY_JDK": "/opt/jdk", "ROOT": "/", "WORK": "/w", "ELSE": "/opt/other"}, seen) == ["MY_JDK"]


def test_the_search_path_keeps_only_what_was_found_there() -> None:
    caller = {"PATH": "/opt/unused:/opt/t/bin:/usr/local/bin:/usr/bin:/bin"}
    seen = Observation(programs=("/opt/t/bin/tool", "/usr/bin/cc"))

    (found,) = learn_variables(caller, seen, ())

    assert (found.name, found.content) == ("PATH", "/opt/t/bin:/usr/bin:/bin")
    assert learn_variables(caller, Observation(programs=("/usr/bin/cc", "/bin/sh")), ()) == ()


def test_home_is_needed_when_something_outside_of_the_workspace_was_read_there() -> None:
    assert names({"HOME": "/home/me"}, Observation(reads=("/home/me/.gitconfig",))) == ["HOME"]
    assert names({"HOME": "/w"}, Observation(reads=("/w/a",))) == []


def test_the_value_of_a_secret_is_marked() -> None:
    found = learn_variables({"NPM_TOKEN": "s3cret", "MODE": "x"}, Observation(), (b"$NPM_TOKEN $MODE",))

    assert [(one.name, one.secret) for one in found] == [("MODE", False), ("NPM_TOKEN", True)]


def test_what_was_asked_for_is_set() -> None:
    assert names({"ODD": "1"}, given=("ODD",)) == ["ODD"]


def test_a_watched_command_gets_the_callers_variables_and_the_sandboxes_own() -> None:
    found = watched_environment({"CC": "gcc", "LANG": "de_DE", "LC_ALL": "de_DE", "HOME": "/home/me", "PATH": "/x"})

    assert found == {
        "CC": "gcc", "LANG": "C.UTF-8", "HOME": "/home/me", "PATH": "/x", "TMPDIR": "/tmp", "TZ": "UTC"
    }  # fmt: skip
