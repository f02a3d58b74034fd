"""Text to syntax tree: what is accepted, and where everything stands."""

from __future__ import annotations

import pytest

from bldr.builderfile.parse import parse
from bldr.builderfile.quoting import quoted, unquoted
from bldr.builderfile.source import Source
from bldr.builderfile.syntax import Block, File, Items, Scalar
from bldr.errors import BuilderfileSyntaxError


def parsed(text: str) -> File:
    return parse(Source("Builderfile", text))


def outline(node: object) -> object:
    """Return a tree as plain values, to be compared."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [outline(item) for item in node.items]
    assert isinstance(node, Block)
    return {entry.key.value: outline(entry.value) for entry in node.entries}


EXAMPLE = """
// comments, /* and these */, # and these
target("myapp") {
    type: executable;                 // executable | library | test | custom
    sources: ["src/**/*.c"];
    deps: [":util", "//third_party:libs",];
    hermetic: {
        inputs: ["/opt/tools"]; outputs: ["dist/"];
        network: { enabled: false; allowHosts: ["github.com"]; }
        memory: 4G; timeout: "1h";
        env: { "LANG": "C.UTF-8" };
    }
}
target("second") { type: library };
"""


def test_the_example_of_the_design_is_read() -> None:
    first, second = parsed(EXAMPLE).declarations

    assert (first.name.value, second.name.value) == ("myapp", "second")
    assert outline(first.block) == {
        "type": "executable",
        "sources": ["src/**/*.c"],
        "deps": [":util", "//third_party:libs"],
        "hermetic": {
            "inputs": ["/opt/tools"],
            "outputs": ["dist/"],
            "network": {"enabled": "false", "allowHosts": ["github.com"]},
            "memory": "4G",
            "timeout": "1h",
            "env": {"LANG": "C.UTF-8"},
        },
    }


def test_comments_of_all_kinds_are_kept() -> None:
    file = parsed('// a\n# b\n/* c\n c */ target("x" /* d */) { # e\n type: library; // f }\n} // g')

    assert [comment.text for comment in file.comments] == [
        "// a", "# b", "/* c\n c */", "/* d */", "# e", "// f }", "// g",
    ]  # fmt: skip


def test_marks_of_comments_within_texts_are_text() -> None:
    (declaration,) = parsed('target("a") { command: "# // /* no */"; }').declarations

    assert outline(declaration.block) == {"command": "# // /* no */"}


def test_an_empty_file_declares_nothing() -> None:
    assert parsed("").declarations == []
    assert parsed(" \r\n\t # nothing").declarations == []


@pytest.mark.parametrize(
    "text",
    [
        'target("a"){type:library}',
        'target("a") { type: library; }',
        'target("a") { type: library, }',
        'target("a") { type: library; };',
        'target\n(\n"a"\n)\n{\ntype\n:\nlibrary\n;\n}',
        'target("a") { type: /* x */ library /* y */; }',
        'target("a")\r\n{\r\n\ttype: library;\r\n}\r\n',
    ],
)
def test_layout_does_not_matter(text: str) -> None:
    (declaration,) = parsed(text).declarations

    assert outline(declaration.block) == {"type": "library"}


@pytest.mark.parametrize("key", ["target", "type", "c++", "a-b", "_", "LANG"])
def test_a_word_can_be_a_key(key: str) -> None:
    (declaration,) = parsed(f'target("a") {{ {key}: 1; }}').declarations

    assert outline(declaration.block) == {key: "1"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ('""', ""),
        (r'"a\"b\\c"', 'a"b\\c'),
        (r'"\n\t\r"', "\n\t\r"),
        (r'"caf\xe9"', "caf\udce9"),
        (r'"caf\xc3\xa9"', "café"),
        ('"café"', "café"),
    ],
)
def test_escapes_of_texts(raw: str, text: str) -> None:
    (declaration,) = parsed(f'target("a") {{ command: {raw}; }}').declarations

    assert outline(declaration.block) == {"command": text}
    assert unquoted(quoted(text)) == text


def test_a_byte_order_mark_is_not_seen() -> None:
    assert Source.decoded("Builderfile", b"\xef\xbb\xbf# hello").text == "# hello"


def test_an_error_knows_its_place() -> None:
    with pytest.raises(BuilderfileSyntaxError) as caught:
        parse(Source("lib/Builderfile", 'target("a") {\n\ttype ?: library;\n}'))

    error = caught.value
    assert (error.path, error.line, error.column) == ("lib/Builderfile", 2, 7)
    assert str(error) == "lib/Builderfile:2:7: '?:' is not a value"
    assert error.excerpt == "    2 |  type ?: library;\n      |       ^^"


def test_the_caret_stands_below_wide_characters() -> None:
    with pytest.raises(BuilderfileSyntaxError) as caught:
        parsed('target("日本") = {}')
    line, carets = caught.value.excerpt.split("\n")

    assert line == '    1 | target("日本") = {}'
    assert carets == "      |                ^"  # two columns for each of the two characters


def test_deep_brackets_are_refused_and_not_recursed_into() -> None:
    with pytest.raises(BuilderfileSyntaxError, match="nested more than"):
        parsed('target("a") { x: ' + "[" * 100_000)
