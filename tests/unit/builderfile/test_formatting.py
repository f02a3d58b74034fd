"""The layout of Builderfiles."""

from __future__ import annotations

import pytest

from bldr.builderfile.formatting import WIDTH, format_file
from bldr.builderfile.parse import parse
from bldr.builderfile.source import Source

BEFORE = """\


# A header,

# in two parts.
target ( "a" ) { // what it is
  type : library ;sources:["a.c","b.c",] , # all of it
  deps:
  [
     ":b",     // first
     /* second */ ":c"
  ]   ;   // the end


  /* a note
       * with stars
     */
  headers: [];;HERMETIC
};;AFTER
"""
HERMETIC = 'hermetic /* h */ : { env : { "A":"1" , "B":"2" } ; network:{allowHosts:["a.org"]} ; enabled:true } // off\n'


def laid_out(text: str) -> str:
    once = format_file(parse(Source("Builderfile", text)))

    assert format_file(parse(Source("Builderfile", once))) == once
    return once


def test_everything_at_once() -> None:
    before = BEFORE.replace(";HERMETIC", HERMETIC).replace(";AFTER", '\n// b\n\ntarget("b"){}\n# end')

    assert laid_out(before) == (
        """\
# A header,

# in two parts.
target("a") {
    // what it is
    type: library;
    sources: ["a.c", "b.c"];  # all of it
    deps: [
        ":b",  // first
        /* second */
        ":c",
    ];  // the end

    /* a note
     * with stars
     */
    headers: [];
    /* h */
    hermetic: {
        env: { "A": "1", "B": "2" };
        network: {
            allowHosts: ["a.org"];
        }
        enabled: true;
    }  // off
}

// b

target("b") {}

# end
"""
    )


def test_an_empty_file_stays_empty() -> None:
    assert laid_out("") == ""
    assert laid_out("\n \n") == ""
    assert laid_out("// only a comment") == "// only a comment\n"


def test_a_list_is_on_one_line_where_it_fits() -> None:
    room = WIDTH - len('    deps: [""];')

    assert len(laid_out(f'target("a") {{ deps: ["{"x" * room}"]; }}').splitlines()) == 3
    assert len(laid_out(f'target("a") {{ deps: ["{"x" * (room + 1)}"]; }}').splitlines()) == 5


def test_a_long_list_has_an_item_a_line() -> None:
    items = [f'"file-{number}.c"' for number in range(12)]
    text = laid_out(f'target("a") {{ sources: [{", ".join(items)}]; }}')

    assert text.splitlines()[2:4] == ['        "file-0.c",', '        "file-1.c",']
    assert text.splitlines()[-3:] == ['        "file-11.c",', "    ];", "}"]


def test_targets_have_one_blank_line_between_them() -> None:
    assert laid_out('target("a"){}target("b"){}\n\n\n\ntarget("c"){}') == (
        'target("a") {}\n\ntarget("b") {}\n\ntarget("c") {}\n'
    )


def test_line_ends_of_windows_become_plain() -> None:
    assert laid_out('target("a") {\r\n  type: library; // x\r\n  /* y\r\n z */\r\n}\r\n') == (
        'target("a") {\n    type: library;  // x\n    /* y\n z */\n}\n'
    )


@pytest.mark.parametrize(
    "text",
    [
        'target /* a */ ( /* b */ "x" /* c */ ) /* d */ { /* e */ } /* f */ ; /* g */',
        'target("x") { a /* 1 */ : /* 2 */ b /* 3 */ ; /* 4 */ }',
        'target("x") { a: [ /* 1 */ ]; b: { /* 2 */ } }',
        'target("x") { a: /* 1 */ [ /* 2 */ "y" /* 3 */ , /* 4 */ ] /* 5 */ ; }',
        'target("x") { a: { /* 1 */ "k" /* 2 */ : /* 3 */ "v" /* 4 */ } /* 5 */ }',
        'target("x") { a: [["y" /* 1 */], {b: 1; /* 2 */}]; }',
    ],
)
def test_a_comment_is_never_lost(text: str) -> None:
    comments = [comment.text for comment in parse(Source("Builderfile", text)).comments]
    after = parse(Source("Builderfile", laid_out(text)))

    assert [comment.text for comment in after.comments] == comments
