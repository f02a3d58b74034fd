"""Names of targets."""

from __future__ import annotations

import pytest

from bldr.builderfile.label import Label
from bldr.errors import BuilderfileError


@pytest.mark.parametrize(
    ("text", "folder", "label"),
    [
        (":util", "", Label("", "util")),
        (":util", "lib/deep", Label("lib/deep", "util")),
        ("//:app", "lib", Label("", "app")),
        ("//lib/deep:util", "", Label("lib/deep", "util")),
        ("//lib:c++-1.2_x", "", Label("lib", "c++-1.2_x")),
    ],
)
def test_a_label_is_read(text: str, folder: str, label: Label) -> None:
    assert Label.parse(text, folder) == label
    assert Label.parse(str(label)) == label


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("util", 'write ":util"'),
        ("//lib", 'write "//lib:lib"'),
        ("lib:util", 'write "//lib:util" from the root'),
        ("/lib:util", 'write "//lib:util" from the root'),
    ],
)
def test_a_likely_mistake_is_mended(text: str, hint: str) -> None:
    with pytest.raises(BuilderfileError) as caught:
        Label.parse(text)

    assert (caught.value.code, caught.value.hint) == ("builderfile.label-invalid", hint)


@pytest.mark.parametrize(
    "text",
    ["", ":", "//lib:", "//lib/../x:y", "//lib//x:y", "//./x:y", ":a/b", ":-x", ":.x", ":a b", ":ü", ":" + "a" * 129],
)
def test_what_is_no_label_is_refused(text: str) -> None:
    with pytest.raises(BuilderfileError) as caught:
        Label.parse(text)

    assert caught.value.code == "builderfile.label-invalid"


def test_a_folder_comes_before_those_in_it() -> None:
    labels = [Label("a.b", "x"), Label("a/b", "x"), Label("a", "z"), Label("", "z"), Label("a", "b")]

    assert sorted(labels, key=lambda label: label.sort_key) == [
        Label("", "z"), Label("a", "b"), Label("a", "z"), Label("a/b", "x"), Label("a.b", "x"),
    ]  # fmt: skip
