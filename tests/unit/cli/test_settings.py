"""Settings: where they come from, which one wins, and that none is misread in silence."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.cli.options import UsageError
from bldr.cli.settings import FILE_NAME, KEYS, Settings, load
from bldr.model.limits import ResourceLimits


def refused(environment: dict[str, str], directory: str = "") -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        load(environment, directory)
    return caught.value.message, caught.value.hint


def written(directory: Path, text: str | bytes) -> str:
    file = directory / FILE_NAME
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    file.chmod(0o644)
    return str(directory)


def test_nothing_set_is_the_default() -> None:
    assert load({"HOME": "/root"}, "") == Settings()


def test_each_variable_is_read() -> None:
    settings = load(
        {
            "BUILDER_HERMETIC": "false",
            "BUILDER_HERMETIC_NETWORK": "example.com, 10.0.0.1:80",
            "BUILDER_HERMETIC_MEMORY": "2G",
            "BUILDER_HERMETIC_CPU_TIME": "1800s",
            "BUILDER_HERMETIC_PROCESSES": "64",
            "BUILDER_HERMETIC_TMP_SIZE": "64M",
            "BUILDER_HERMETIC_CPUS": "1.5",
            "BUILDER_HERMETIC_MAX_CHILDREN": "0",
            "BUILDER_HERMETIC_TIMEOUT": "1m",
            "BUILDER_HERMETIC_SILENCE": "5",
            "BUILDER_HERMETIC_DEBUG": "yes",
            "BUILDER_HERMETIC_FORK": "no",
            "BUILDER_HERMETIC_EXEC": "false",
            "BUILDER_HERMETIC_KILL_ON_PARENT_EXIT": "false",
        },
        "",
    )

    assert settings == Settings(
        hermetic=False,
        hermetic_origin="BUILDER_HERMETIC",
        hosts=("example.com", "10.0.0.1:80"),
        limits=ResourceLimits(memory="2G", cpu_time="30m", processes=64, tmp_size="64M", cpus=1.5),
        max_children=0,
        timeout=60.0,
        silence=5.0,
        debug=True,
        fork=False,
        exec=False,
        kill_on_parent_exit=False,
    )


@pytest.mark.parametrize(
    ("text", "hermetic"), [("true", True), ("TRUE", True), ("1", True), ("on", True), ("False", False), ("off", False)]
)
def test_a_truth_has_the_usual_spellings(text: str, hermetic: bool) -> None:
    assert load({"BUILDER_HERMETIC": text}, "").hermetic is hermetic


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("BUILDER_HERMETIC", "maybe", "BUILDER_HERMETIC: 'maybe' is neither true nor false"),
        ("BUILDER_HERMETIC", "", "BUILDER_HERMETIC: '' is neither true nor false"),
        ("BUILDER_HERMETIC_DEBUG", "2", "BUILDER_HERMETIC_DEBUG: '2' is neither true nor false"),
        ("BUILDER_HERMETIC_MEMORY", "2X", "BUILDER_HERMETIC_MEMORY '2X' is not a size"),
        ("BUILDER_HERMETIC_CPU_TIME", "soon", "BUILDER_HERMETIC_CPU_TIME 'soon' is not a duration"),
        ("BUILDER_HERMETIC_PROCESSES", "-1", "BUILDER_HERMETIC_PROCESSES '-1' is not a whole number"),
        ("BUILDER_HERMETIC_PROCESSES", "0", "BUILDER_HERMETIC_PROCESSES '0' is out of range"),
        ("BUILDER_HERMETIC_NETWORK", "a,,b", "BUILDER_HERMETIC_NETWORK: 'a,,b' holds an empty host name"),
    ],
)
def test_a_malformed_value_is_an_error_that_names_the_variable(name: str, text: str, said: str) -> None:
    assert refused({name: text})[0].startswith(said)


def test_a_misspelt_variable_does_not_turn_into_no_limit() -> None:
    assert refused({"BUILDER_HERMETIC_MEMROY": "2G"}) == (
        "environment: there is no setting 'BUILDER_HERMETIC_MEMROY'",
        "did you mean BUILDER_HERMETIC_MEMORY?",
    )


def test_the_whole_network_cannot_be_opened() -> None:
    message, hint = refused({"BUILDER_HERMETIC_NETWORK": "true"})

    assert message == "BUILDER_HERMETIC_NETWORK: the network cannot be opened as a whole"
    assert hint == "name the hosts: BUILDER_HERMETIC_NETWORK=HOST[:PORT],..."


def test_no_network_can_be_said_in_so_many_words() -> None:
    assert load({"BUILDER_HERMETIC_NETWORK": "false"}, "").hosts == ()


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    directory = written(tmp_path, "BUILDER_HERMETIC_MEMORY=1G\nBUILDER_HERMETIC_PROCESSES=5\n")

    settings = load({"BUILDER_HERMETIC_MEMORY": "2G"}, directory)

    assert (settings.limits.memory, settings.limits.processes) == (2 << 30, 5)


def test_the_nearest_file_on_the_way_up_is_read_and_no_other(tmp_path: Path) -> None:
    written(tmp_path, "BUILDER_HERMETIC_MEMORY=1G\nBUILDER_HERMETIC_PROCESSES=5\n")
    (tmp_path / "a" / "b" / "c").mkdir(parents=True)
    written(tmp_path / "a", "BUILDER_HERMETIC_MEMORY=3G\n")

    settings = load({}, str(tmp_path / "a" / "b" / "c"))

    assert (settings.limits.memory, settings.limits.processes) == (3 << 30, None)


def test_a_file_holds_comments_blank_lines_spaces_and_quotes(tmp_path: Path) -> None:
    text = "# policy\n\n  BUILDER_HERMETIC_MEMORY = 1G  \r\nBUILDER_HERMETIC_NETWORK='example.com'\n\tBUILDER_HERMETIC=\"no\""

    settings = load({}, written(tmp_path, text))

    assert (settings.limits.memory, settings.hosts, settings.hermetic) == (1 << 30, ("example.com",), False)
    assert settings.hermetic_origin == f"{tmp_path}/{FILE_NAME}:5: BUILDER_HERMETIC"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("BUILDER_HERMETIC", ":1: 'BUILDER_HERMETIC' is not KEY=VALUE"),
        ("\nBUILDER_HERMETIC=x", ":2: BUILDER_HERMETIC: 'x' is neither true nor false"),
        ("BUILDER_HERMETIC_MEMORY=much", ":1: BUILDER_HERMETIC_MEMORY 'much' is not a size"),
        ("MEMORY=1G", ":1: there is no setting 'MEMORY'"),
    ],
)
def test_a_mistake_in_the_file_is_an_error_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    message, _ = refused({}, written(tmp_path, text))

    assert message.startswith(f"{tmp_path}/{FILE_NAME}{said}")


def test_bytes_of_the_file_that_are_no_text_are_refused_in_words(tmp_path: Path) -> None:
    assert refused({}, written(tmp_path, b"\xff=1"))[0] == f"{tmp_path}/{FILE_NAME}:1: there is no setting '\\udcff'"


def test_a_file_that_is_no_file_or_too_large_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()
    assert refused({}, str(tmp_path))[0] == f"'{tmp_path}/{FILE_NAME}' is not a regular file"

    (tmp_path / "fifo").mkdir()
    os.mkfifo(tmp_path / "fifo" / FILE_NAME)
    assert refused({}, str(tmp_path / "fifo"))[0].endswith("is not a regular file")

    (tmp_path / "large").mkdir()
    assert refused({}, written(tmp_path / "large", b"#" * 70000))[0].endswith("is larger than 65536 bytes")


def test_a_file_that_everybody_can_write_has_no_say(tmp_path: Path) -> None:
    directory = written(tmp_path, "BUILDER_HERMETIC=false")
    (tmp_path / FILE_NAME).chmod(0o666)

    settings = load({}, directory)

    assert settings.hermetic
    assert settings.notes == (f"'{tmp_path}/{FILE_NAME}' is ignored: everybody can write it",)


@pytest.mark.needs("root")
def test_a_file_of_somebody_else_above_the_callers_directory_has_no_say(tmp_path: Path) -> None:
    """Otherwise anybody could switch hermetic builds off below /tmp."""
    written(tmp_path, "BUILDER_HERMETIC=false")
    os.chown(tmp_path / FILE_NAME, 4321, 4321)
    (tmp_path / "project").mkdir()

    settings = load({}, str(tmp_path / "project"))

    assert settings.hermetic
    assert "it belongs to uid 4321" in settings.notes[0]


@pytest.mark.needs("root")
def test_the_owner_of_the_callers_directory_has_a_say(tmp_path: Path) -> None:
    """As in a container whose root builds a checkout that belongs to a user."""
    written(tmp_path, "BUILDER_HERMETIC=false")
    os.chown(tmp_path / FILE_NAME, 4321, 4321)
    os.chown(tmp_path, 4321, 4321)

    assert not load({}, str(tmp_path)).hermetic


def test_the_keys_are_those_of_the_documentation() -> None:
    text = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")

    assert [key for key in KEYS if f"`{key}`" not in text] == []
