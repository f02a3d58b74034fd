"""Filesystem isolation: undeclared files are not there, inputs do not change, nothing is written but outputs and temps."""

from __future__ import annotations

import pytest

from tests.escape.conftest import Played

UNSEEN = {
    "read_undeclared": "ENOENT",
    "stat_undeclared": "ENOENT",
    "list_undeclared": "ENOENT",
    "read_by_dot_dot": "ENOENT",
    "read_above_the_root": "ENOENT",
    "read_by_changing_directory_upwards": "ENOENT",
    "read_by_own_root": "ENOENT",
    "read_by_own_directory": "ENOENT",
    "read_by_link_in_input": "ENOENT",
    "read_by_link_in_output": "ENOENT",
    "read_by_new_link_in_output": "ENOENT",
    "write_by_link_in_output": "ENOENT",
    "create_by_link_in_output": "ENOENT",
    "write_undeclared": "ENOENT",
    "read_hole": "ENOENT",
    "list_hole": "absent",
    "read_hole_that_is_a_file": "EACCES",
}
READ_ONLY = {
    "open_input_for_writing": "EROFS",
    "append_to_input": "EROFS",
    "truncate_input_on_open": "EROFS",
    "truncate_input": "EROFS",
    "create_in_input": "EROFS",
    "create_unnamed_in_input": "EROFS",
    "make_directory_in_input": "EROFS",
    "make_link_in_input": "EROFS",
    "make_pipe_in_input": "EROFS",
    "remove_input": "EROFS",
    "remove_directory_of_input": "EROFS",
    "rename_input": "EROFS",
    "rename_output_over_input": "EXDEV",
    "move_input_to_output": "EXDEV",
    "rename_whole_input": "EROFS",
    "change_mode_of_input": "EROFS",
    "change_times_of_input": "EROFS",
    "change_owner_of_input": "EROFS",
    "change_attributes_of_input": "EROFS",
    "set_extended_attribute_of_input": "EROFS",
    "write_input_by_link_in_output": "EROFS",
    "link_input_into_output": "EXDEV",
    "reopen_input_for_writing": "EROFS",
    "write_hole": "EROFS",
    "remount_input_writable": "EPERM",
    "unmount_input": "EPERM",
    "uncover_hole": "EPERM",
    "change_attributes_of_the_mount": "EPERM",
}
CONFINED = {
    "create_beside_input": "EROFS",
    "create_above": "EROFS",
    "create_in_the_root": "EROFS",
    "create_in_devices": "EROFS",
    "create_in_programs": "EROFS",
    "replace_loader_configuration": "EROFS",
    "overwrite_synthesised_file": "EROFS",
}


@pytest.fixture
def files(caller) -> Played:
    return caller("files")


@pytest.mark.parametrize(("attempt", "refusal"), UNSEEN.items())
def test_what_is_not_declared_is_not_there(files: Played, attempt: str, refusal: str) -> None:
    assert files.pair(attempt) == ("possible", refusal)


@pytest.mark.parametrize(("attempt", "refusal"), READ_ONLY.items())
def test_an_input_cannot_be_changed(files: Played, attempt: str, refusal: str) -> None:
    assert files.pair(attempt) == ("possible", refusal)


@pytest.mark.parametrize(("attempt", "refusal"), CONFINED.items())
def test_nothing_can_be_written_outside_outputs_and_temps(files: Played, attempt: str, refusal: str) -> None:
    assert files.pair(attempt) == ("possible", refusal)


def test_the_names_beside_an_input_are_hidden(files: Played) -> None:
    assert "undeclared" in files.value("list_world", "outside")
    assert files.value("list_world") == ["out", "source"]


def test_after_all_attempts_the_input_and_the_undeclared_files_are_as_they_were(files: Played) -> None:
    assert files["changed"] == {"source": [True, False], "undeclared": [True, False]}
    assert files["world"] == ["out", "source", "undeclared"]


def test_outputs_and_temps_can_be_written_and_read_back(files: Played) -> None:
    assert files.pair("write_output") == files.pair("write_temp") == ("possible", "possible")
    assert files.value("write_output") == "result\n"


def test_what_was_written_to_an_output_belongs_to_the_caller(files: Played) -> None:
    mode, owner, _, content = files["result"].split(" ")

    assert (mode, owner, content) == ("100644", files["owner"], r"'result\n'")


def test_a_file_that_only_the_caller_may_read_is_readable_as_inside_root(files: Played) -> None:
    assert files.value("read_file_that_only_the_caller_can_read") == "private\n"


def test_the_result_names_links_in_outputs_and_does_not_follow_them(files: Played) -> None:
    names = {path.rpartition("/")[2] for path in files["files"]}

    assert {"result", "way-out", "new-link"} <= names
    assert "secret" not in names


def test_everything_was_hermetic(files: Played) -> None:
    assert files["hermetic"]


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [("open_by_handle", "EPERM"), ("make_device", "EPERM"), ("read_private_file_of_another_user", "EACCES")],
)
def test_root_outside_can_and_inside_root_cannot(host_root, attempt: str, refusal: str) -> None:
    assert host_root("files").pair(attempt) == ("possible", refusal)


@pytest.mark.parametrize("attempt", ["read_device_in_input", "read_device_in_output"])
def test_trap_11_a_device_node_in_a_declared_directory_is_dead(host_root, attempt: str) -> None:
    """Root of the host owns the node, and so does inside-root, through the id map."""
    assert host_root("files").pair(attempt) == ("possible", "EACCES")
