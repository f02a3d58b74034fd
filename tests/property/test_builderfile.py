"""Laws of Builderfiles: whatever is written is read again, the layout is stable, and no text breaks the reader."""

from __future__ import annotations

import time

from hypothesis import example, given
from hypothesis import strategies as st

from bldr.builderfile.formatting import format_file
from bldr.builderfile.label import Label
from bldr.builderfile.lowering import lower
from bldr.builderfile.parse import parse
from bldr.builderfile.quoting import quoted, unquoted
from bldr.builderfile.source import Source
from bldr.builderfile.syntax import Items, Scalar
from bldr.builderfile.target import Target
from bldr.builderfile.writing import text_of
from bldr.errors import BuilderfileError
from tests.property import builderfile_strategies as strategies


def read(text: str, folder: str = "") -> tuple[Target, ...]:
    return tuple(declared.target for declared in lower(parse(Source("Builderfile", text)), folder))


def laid_out(text: str) -> str:
    return format_file(parse(Source("Builderfile", text)))


def tree(text: str) -> list[object]:
    """Everything of a text but its layout and comments."""

    def plain(node: object) -> object:
        if isinstance(node, Scalar):
            return node.kind, node.raw
        if isinstance(node, Items):
            return [plain(item) for item in node.items]
        return [(plain(entry.key), plain(entry.value)) for entry in node.entries]  # type: ignore[attr-defined]

    return [(one.word.raw, one.name.raw, plain(one.block)) for one in parse(Source("", text)).declarations]


def comments(text: str) -> list[str]:
    """The words of the comments: the blanks at the ends of their lines belong to the layout."""
    return [
        "\n".join(line.strip().removeprefix("* ") for line in comment.text.split("\n"))
        for comment in parse(Source("", text)).comments
    ]


@given(strategies.packages())
def test_what_is_written_is_read_again(package: tuple[str, tuple[Target, ...]]) -> None:
    folder, targets = package
    text = text_of(targets)

    assert read(text, folder) == targets
    assert laid_out(text) == text


@given(strategies.layouts())
def test_the_layout_is_stable_and_loses_nothing(text: str) -> None:
    once = laid_out(text)

    assert laid_out(once) == once
    assert tree(once) == tree(text)
    assert comments(once) == comments(text)


@given(strategies.layouts())
def test_the_layout_has_no_blanks_at_ends_of_lines_nor_two_blank_lines(text: str) -> None:
    once = laid_out(text)

    assert all(line == line.rstrip() for line in once.split("\n"))
    assert "\n\n\n" not in once
    assert not once.startswith("\n")
    assert not once.endswith("\n\n")


@given(
    strategies.soups | strategies.layouts().flatmap(lambda text: st.integers(0, len(text)).map(lambda end: text[:end]))
)
@example("target(" * 100)
@example('target("a") { x: ' + "[" * 31 + "]" * 31 + "; }")
def test_any_text_is_a_model_or_a_diagnostic(text: str) -> None:
    source = Source("Builderfile", text)
    try:
        lower(parse(source), "lib")
    except BuilderfileError as error:
        for one in (error, *error.also):
            lines = text.split("\n")
            assert one.code.startswith("builderfile.")
            assert one.path == "Builderfile"
            assert 1 <= one.line <= len(lines)
            assert 1 <= one.column <= len(lines[one.line - 1]) + 1
            assert one.excerpt.isprintable() or one.excerpt.replace("\n", "").isprintable()
            assert one.excerpt.count("\n") == 1
            assert "^" in one.excerpt


@given(st.binary(max_size=60))
def test_any_bytes_are_a_model_or_a_diagnostic(data: bytes) -> None:
    try:
        lower(parse(Source.decoded("Builderfile", data)), "")
    except BuilderfileError as error:
        assert error.line >= 1


@given(
    st.binary(max_size=10).filter(lambda data: 0 not in data).map(lambda data: data.decode("utf-8", "surrogateescape"))
)
def test_a_text_survives_its_quotes(text: str) -> None:
    assert unquoted(quoted(text)) == text


@given(strategies.labels)
def test_a_label_survives_its_text(label: Label) -> None:
    assert Label.parse(str(label)) == label


def test_a_large_text_takes_time_in_proportion() -> None:
    """Bounded, and not measured: a reader that looks at everything again for each line would take hours."""
    began = time.monotonic()
    parse(Source("Builderfile", "// comment\n" * 20_000 + 'target("a") { x: [' + '"y",' * 20_000 + "]; }"))
    for text in ("/" * 100_000, '"' * 100_000, "/*" * 100_000, "a:" * 50_000, '"\\' * 50_000, "[{" * 50_000):
        try:
            parse(Source("Builderfile", text))
        except BuilderfileError:
            continue

    assert time.monotonic() - began < 60
