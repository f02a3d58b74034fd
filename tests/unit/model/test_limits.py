"""Sizes, durations, counts and the limits made of them."""

from __future__ import annotations

import datetime as dt
import pickle

import pytest

from bldr.errors import InvalidLimitError
from bldr.model.limits import ResourceLimits, parse_count, parse_duration, parse_size
from bldr.model.value import replace


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (1, 1),
        (4096, 4096),
        ("1", 1),
        ("4096", 4096),
        ("1K", 1024),
        ("512M", 512 * 2**20),
        ("4G", 4 * 2**30),
        ("2T", 2 * 2**40),
        ("64KiB", 65536),
        ("1MiB", 2**20),
        ("4GiB", 4 * 2**30),
        ("1TiB", 2**40),
        ("007", 7),
        (2**63 - 1, 2**63 - 1),
    ],
)
def test_a_size_is_bytes_or_a_number_with_a_unit_of_1024(text: int | str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("4GB", "write 4G: 'GB' means powers of 1000 to some and of 1024 to others"),
        ("4Gb", "write 4G: 'Gb' means powers of 1000 to some and of 1024 to others"),
        ("4 G", "write 4G"),
        ("10m", "write 10M"),
        ("4g", "write 4G"),
        ("4Gi", "write 4G"),
        ("-1", "write for example 4G, 512M or 1048576"),
        ("+1", "write for example 4G, 512M or 1048576"),
        ("1e9", "write for example 4G, 512M or 1048576"),
        ("1.5G", "write for example 4G, 512M or 1048576"),
        ("", "write for example 4G, 512M or 1048576"),
        ("G", "write for example 4G, 512M or 1048576"),
        ("four", "write for example 4G, 512M or 1048576"),
        ("1h", "write for example 4G, 512M or 1048576"),
        ("4G\n", "write for example 4G, 512M or 1048576"),
        ("٤G", "write for example 4G, 512M or 1048576"),
        ("0x10", "write for example 4G, 512M or 1048576"),
        (1.5, "write a number of bytes as int"),
        (True, "write a number of bytes as int"),
        (None, "write a number of bytes as int"),
    ],
)
def test_what_is_no_size_is_refused_in_one_sentence(text: str, hint: str) -> None:
    with pytest.raises(InvalidLimitError) as caught:
        parse_size(text, what="memory")

    assert caught.value.message == (
        f"memory {text!r} is not a size: write bytes, or a number with K, M, G or T (of 1024), such as 4G or 512M"
    )
    assert caught.value.hint == hint
    assert caught.value.code == "spec.limit-invalid"


@pytest.mark.parametrize("text", ["0", 0, -1, "0K"])
def test_a_size_below_one_byte_is_too_small(text: int | str) -> None:
    with pytest.raises(InvalidLimitError, match=r"is too small: it must be at least 1 byte$"):
        parse_size(text)


@pytest.mark.parametrize("text", [2**63, "8388608T", "9" * 30, "9" * 5000])
def test_a_size_that_the_kernel_cannot_count_is_too_large(text: int | str) -> None:
    with pytest.raises(InvalidLimitError, match="is too large"):
        parse_size(text)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (1, 1.0),
        (1.5, 1.5),
        ("300", 300.0),
        ("1.5", 1.5),
        ("1.5s", 1.5),
        ("1800s", 1800.0),
        ("250ms", 0.25),
        ("30m", 1800.0),
        ("1h", 3600.0),
        ("1.5h", 5400.0),
        ("2d", 172800.0),
        (dt.timedelta(minutes=5), 300.0),
    ],
)
def test_a_duration_is_seconds_or_a_number_with_a_unit(given: str, expected: float) -> None:
    seconds = parse_duration(given)

    assert seconds == expected
    assert type(seconds) is float


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-1",
        "1e3",
        "1h30m",
        "nan",
        "inf",
        "5 m",
        "1.5.2",
        ".",
        ".5",
        "5M",
        "10y",
        "s",
        "٤s",
        "1s\n",
        True,
        None,
        [],
        float("nan"),
    ],
)
def test_what_is_no_duration_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(InvalidLimitError) as caught:
        parse_duration(text, what="timeout")

    assert caught.value.message == (
        f"timeout {text!r} is not a duration: write seconds, or a number with ms, s, m, h or d, such as 90s or 1.5h"
    )
    assert caught.value.hint == "write for example 300, 30m or 250ms"


@pytest.mark.parametrize("given", [0, "0", "0s", -0.5, dt.timedelta(seconds=-1)])
def test_a_duration_without_length_is_too_short(given: str) -> None:
    with pytest.raises(InvalidLimitError, match="is too short: it must be more than 0 seconds"):
        parse_duration(given)


def test_a_duration_of_zero_is_accepted_where_it_makes_sense() -> None:
    assert parse_duration(0, allow_zero=True) == 0.0
    with pytest.raises(InvalidLimitError, match="is too short: it must be 0 seconds or more"):
        parse_duration(-1, allow_zero=True)


@pytest.mark.parametrize("given", [float("inf"), "4000d", 10**400, "9" * 500])
def test_a_duration_of_more_than_ten_years_is_too_long(given: str) -> None:
    with pytest.raises(InvalidLimitError, match="is too long"):
        parse_duration(given)


@pytest.mark.parametrize(("given", "expected"), [(1, 1), ("64", 64), ("007", 7)])
def test_a_count_is_a_whole_number(given: int | str, expected: int) -> None:
    assert parse_count(given) == expected


@pytest.mark.parametrize("given", ["", "-1", "1.5", "1K", "٤", 1.5, True, None, 0, "0", -1, 2**40, "9" * 5000])
def test_what_is_no_count_is_refused(given: int) -> None:
    with pytest.raises(InvalidLimitError) as caught:
        parse_count(given, what="processes")

    assert caught.value.message.startswith(f"processes {given!r} is ")
    assert caught.value.hint


def test_the_hermetic_limits_are_defaults_that_nobody_asked_for() -> None:
    limits = ResourceLimits.hermetic()

    assert (limits.memory, limits.cpu_time, limits.processes) == (4 * 2**30, 3600.0, 128)
    assert limits.explicit == frozenset()
    assert limits.defaults == {"memory", "cpu_time", "processes"}


def test_a_limit_that_is_given_was_asked_for() -> None:
    limits = ResourceLimits(memory="2G", open_files="64", core_size=0)

    assert limits.memory == 2 * 2**30
    assert limits.open_files == 64
    assert limits.core_size == 0
    assert limits.explicit == {"memory", "open_files", "core_size"}
    assert limits.cpu_time is None


def test_merging_keeps_what_the_other_does_not_set() -> None:
    limits = ResourceLimits.hermetic().merge(ResourceLimits(memory="2G", file_size="1M"))

    assert (limits.memory, limits.cpu_time, limits.processes, limits.file_size) == (2**31, 3600.0, 128, 2**20)
    assert limits.explicit == {"memory", "file_size"}
    assert limits.defaults == {"cpu_time", "processes"}
    assert limits.merge(ResourceLimits()) == limits
    assert ResourceLimits(memory=1).merge(ResourceLimits.hermetic()) == ResourceLimits.hermetic()


def test_a_name_without_value_is_no_default() -> None:
    assert ResourceLimits(defaults=frozenset({"memory"})) == ResourceLimits()
    assert replace(ResourceLimits.hermetic(), memory=None).defaults == {"cpu_time", "processes"}


def test_an_error_names_the_limit() -> None:
    with pytest.raises(InvalidLimitError, match=r"^file_size '4GB' is not a size"):
        ResourceLimits(file_size="4GB")
    with pytest.raises(InvalidLimitError, match=r"^cpu_time 0 is too short"):
        ResourceLimits(cpu_time=0)


def test_limits_are_values() -> None:
    limits = ResourceLimits(memory="4G")

    assert limits == ResourceLimits(memory=4 * 2**30)
    assert pickle.loads(pickle.dumps(limits)) == limits
    with pytest.raises(AttributeError):
        limits.memory = 1  # type: ignore[misc]
