"""The set E."""

from __future__ import annotations

import pickle

import pytest

from bldr.errors import SpecError
from bldr.model.environment import EnvSet


def test_variables_are_sorted_by_name() -> None:
    env = EnvSet([("B", "2"), ("A", "1"), ("B", "3")])

    assert env.items() == (("A", "1"), ("B", "3"))
    assert list(env) == ["A", "B"]
    assert tuple(env.keys()) == ("A", "B")
    assert tuple(env.values()) == ("1", "3")
    assert dict(env) == {"A": "1", "B": "3"}
    assert len(env) == 2


def test_the_order_of_declaration_does_not_matter() -> None:
    one, two = EnvSet({"A": "1", "B": "2"}), EnvSet({"B": "2", "A": "1"})

    assert one == two
    assert hash(one) == hash(two)
    assert one != EnvSet()
    assert one != {"A": "1", "B": "2"}


def test_the_hermetic_variables_say_nothing_about_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")

    assert dict(EnvSet.hermetic()) == {
        "HOME": "/tmp",
        "LANG": "C.UTF-8",
        "PATH": "/usr/bin:/bin",
        "TMPDIR": "/tmp",
        "TZ": "UTC",
    }


def test_a_change_makes_a_new_set() -> None:
    env = EnvSet({"A": "1"})

    assert dict(env.with_variable("B", "2")) == {"A": "1", "B": "2"}
    assert dict(env | EnvSet({"A": "3"})) == {"A": "3"}
    assert dict(env.without("A")) == {}
    assert dict(env) == {"A": "1"}
    assert env.get("A") == "1"
    assert env.get("Z") is None
    assert "A" in env
    assert "Z" not in env
    with pytest.raises(KeyError):
        env["Z"]


@pytest.mark.parametrize(
    "pair",
    [("", "x"), ("A=B", "x"), ("A\0", "x"), ("A", "x\0"), ("A", "\ud800"), ("\ud800", "x")],
)
def test_what_execve_cannot_pass_on_is_refused(pair: tuple[str, str]) -> None:
    with pytest.raises(SpecError) as caught:
        EnvSet([pair])

    assert caught.value.code == "spec.environment-invalid"
    assert caught.value.hint


@pytest.mark.parametrize("pair", [("ODD NAME", "v"), ("A", ""), ("A", "a=b\n'\""), ("\udcff", "\udcfe"), ("ü", "€")])
def test_what_execve_can_pass_on_is_kept(pair: tuple[str, str]) -> None:
    assert EnvSet([pair]).items() == (pair,)


def test_values_are_text() -> None:
    with pytest.raises(TypeError):
        EnvSet({"A": 1})  # type: ignore[arg-type]


def test_a_set_of_variables_survives_pickling() -> None:
    env = EnvSet({"A": "\udcff", "B": ""})

    assert pickle.loads(pickle.dumps(env)) == env
