"""What is said about mistakes in Builderfiles, word for word.

``BLDR_UPDATE_GOLDEN=1 pytest tests/golden`` rewrites the files; the difference is for a reviewer to read.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bldr.builderfile.lowering import lower
from bldr.builderfile.parse import parse
from bldr.builderfile.source import Source
from bldr.builderfile.workspace import load, resolve
from bldr.errors import BuilderfileError, BuilderfileSyntaxError

FILES = Path(__file__).parent / "diagnostics"

SYNTAX = (
    'target("a") {',
    'target("a") { hermetic: { enabled: true;',
    'target("a") { type library; }',
    'target("a") {\n    type: library\n    sources: ["a.c"];\n}',
    'target("a") { type: library sources: ["a.c"]; }',
    'target("a") { deps: [//lib:util]; }',
    'target("a") {\n    deps: [\n        //lib:util,\n    ];\n}',
    'target("a") { deps: [:util]; }',
    "target(a) {}",
    "target {}",
    'target("a") type: library;',
    'targt("a") {}',
    'library("a") {}',
    "type: library;",
    'target("a") { type: ; }',
    'target("a") { type: library;; }',
    'target("a") { sources: ["a.c" "b.c"]; }',
    'target("a") { sources: ["a.c",, "b.c"]; }',
    'target("a") { sources: "a.c", "b.c"; }',
    'target("a") { sources: ["a.c"',
    "target('a') {}",
    'target("a") { type = library; }',
    'target("a") { sources: [src/main.c]; }',
    'target("a") { sources: [*.c]; }',
    'target("a") { sources: ["a.c]; }\n',
    '/* never closed\ntarget("a") {}',
    "}",
    'target("a") { hermetic { } }',
    'target("a") { command: "a\\qb"; }',
    'target("a") { command: "a\\x4"; }',
    'target("a") { command: "a\\x00b"; }',
    'target("a") { command: "a\0b"; }',
    'target("日本") { é: 1; }',
    'target("a") {\tsources:\t[\t§ ]; }',
    f'target("a") {{ sources: [{", ".join(f"{chr(34)}file-{n}.c{chr(34)}" for n in range(30))}, x y]; }}',
    "target" + "(" * 40,
    "target",
    "\x1b[31m",
)

VALUES = (
    """
target("a b") { type: lib; sources: ["a.c"]; }
target("a") { typ: library; sources: ["a.c"]; "deps": []; color: red; }
target("b") { type: library; type: test; sources: ["a.c", "a.c", 3, x, [], {}]; }
target("c") { type: 3; sources: "a.c"; language: rust; headers: {}; deps: true; }
target("d") { }
target("e") { type: custom; }
target("f") { type: library; command: "make"; }
target("g") { type: custom; command: []; }
target("g") { type: test; }
target("h") { type: library; sources: []; deps: ["util", "//lib", "lib:util", ":", ":a b", "//../x:y", ":-x"]; }
""",
    """
target("paths") {
    type: library;
    sources: ["../a.c", "/etc/passwd", "//../a.c", "a/../b.c", "src/", "", ".", "a**/b.c", "[a-z.c", "!/x", "./!a"];
    output: ["/tmp/x", "../x", "*.o", ".", ".builder/x", "lib/Builderfile"];
    hermetic: { inputs: ["../x", "/a/../b"]; outputs: ["/var/x"]; temps: [""]; }
}
""",
    """
target("hermetic") {
    type: library;
    sources: ["a.c"];
    hermetic: {
        enabled: "true";
        memory: 4GB;
        timeout: "soon";
        network: true;
        resources: { memory: "1G"; cpuTyme: 4; processes: 0; cpus: "many"; openFiles: yes; }
        process: { maxChildren: -3; killOnParentExit: no; }
        env: { LANG: C; "A=B": "x"; "X": "1"; X: "2"; }
        sandbox: true;
    }
}
target("network") {
    type: library;
    sources: ["a.c"];
    hermetic: { network: { enabled: true; hosts: ["github.com"]; } }
}
target("hosts") {
    type: library;
    sources: ["a.c"];
    hermetic: { network: { allowHosts: ["https://github.com", "github.com:0"]; } resources: 4; process: []; env: "A=1"; }
}
target("contradiction") {
    type: library;
    sources: ["a.c"];
    hermetic: { network: { allowHosts: ["a.org:1", "a.org:1=private"]; } }
}
target("block") { type: library; sources: ["a.c"]; hermetic: false; }
""",
    """
target("options") {
    type: library;
    language: fortran;
    sources: ["a.c"];
    flags: "-O2 -g";
    defines: { "F(x)": "x"; NDEBUG: 1; OK: ""; }
    includes: ["/usr/include/x", "../..", "include/*"];
    linkFlags: ["-lm", 3];
    linkage: dynamic;
    main: "app:run()";
    runner: nose;
    hermetic: { toolchain: clang; process: { allowFork: 0; allowexec: true; } }
}
target("types") { type: executable; sources: ["a.c"]; linkage: shared; runner: pytest; main: app; toolchain: none; }
target("tools") { type: executable; sources: ["a.c"]; linkage: 3; runner: ["pytest"]; hermetic: { toolchain: 3; } }
""",
)


def check(name: str, text: str) -> None:
    file = FILES / name
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        file.write_text(text, encoding="utf-8")

    assert text == file.read_text(encoding="utf-8")


def told(error: BuilderfileError) -> str:
    """Everything that an error says, and its code."""
    parts = []
    for one in (error, *error.also):
        lines = [f"{one} [{one.code}]", *([one.excerpt] if one.excerpt else [])]
        if one.hint:
            lines.append(f"hint: {one.hint}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def test_syntax() -> None:
    texts = []
    for text in SYNTAX:
        with pytest.raises(BuilderfileSyntaxError) as caught:
            parse(Source("Builderfile", text))
        texts.append(told(caught.value))

    check("syntax.txt", "\n".join(texts))


def test_values() -> None:
    texts = []
    for text in VALUES:
        with pytest.raises(BuilderfileError) as caught:
            lower(parse(Source("Builderfile", text)), "")
        texts.append(told(caught.value))

    check("values.txt", ("-" * 80 + "\n").join(texts))


def test_bytes() -> None:
    texts = []
    for data in (b'target("a") { sources: ["caf\xe9.c"]; }', b"#" * ((16 << 20) + 1)):
        with pytest.raises(BuilderfileError) as caught:
            Source.decoded("Builderfile", data)
        texts.append(told(caught.value))

    check("bytes.txt", "\n".join(texts))


# Each is a workspace: files by path. What begins with "->" is a link.
WORKSPACES: dict[str, dict[str, str]] = {
    "missing targets": {
        "Builderfile": """
            target("app") { type: executable; sources: ["a.c"]; deps: [":utl", "//lib:util", "//lib:app", "//none:x"]; }
            target("util") { type: library; sources: ["a.c"]; deps: ["//empty:x"]; }
        """,
        "lib/Builderfile": 'target("utils") { type: library; sources: ["a.c"]; }',
        "empty/Builderfile": "# nothing yet",
    },
    "circles": {
        "Builderfile": """
            target("a") { type: library; sources: ["a.c"]; deps: ["//lib:b"]; }
            target("self") { type: library; sources: ["a.c"]; deps: [":self"]; }
        """,
        "lib/Builderfile": """
            target("b") { type: library; sources: ["b.c"]; deps: [":c", ":d"]; }
            target("c") { type: library; sources: ["c.c"]; deps: ["//:a"]; }
            target("d") { type: library; sources: ["c.c"]; deps: ["//lib:c"]; }
        """,
    },
    "options of another language": {
        "Builderfile": """
            target("a") { type: executable; sources: ["a.py"]; flags: ["-O2"]; defines: { A: "1"; } main: "a"; }
            target("b") { type: executable; sources: ["a.c"]; main: "a"; }
            target("c") { type: custom; command: "x"; flags: ["-O2"]; }
            target("d") { type: test; command: "x"; runner: pytest; }
        """,
        "a.py": "",
        "a.c": "",
    },
    "sources that are not there": {
        "Builderfile": """
            target("a") { type: library; sources: ["scr/*.c", "src/*.cc", "src/mian.c", "src/[id].c"]; }
            target("b") { type: library; sources: ["src/main.c", "!src/*"]; headers: ["**/*.h"]; }
            target("c") { type: library; sources: ["src", "lib/**/*.c", "bin/*.c", "src/.*.c"]; }
        """,
        "lib/Builderfile": "",
        "lib/a.c": "",
        "bin/out.o": "",
        "src/main.c": "",
        "src/[id].c": "",
        "src/.hidden.h": "",
    },
    "links": {
        "Builderfile": """
            target("a") { type: library; sources: ["out.c", "gone.c", "etc/passwd"]; }
            target("b") { type: library; sources: ["*.c"]; }
        """,
        "out.c": "->/etc/passwd",
        "gone.c": "->nowhere",
        "etc": "->/etc",
    },
    "outputs by links": {
        "Builderfile": """
            target("a") { type: custom; command: "true"; output: "etc/x"; }
            target("b") { type: custom; command: "true"; output: "in/x"; hermetic: { outputs: ["gone/"]; } }
            target("c") { type: custom; command: "true"; output: ["new/x", "up"]; }
        """,
        "etc": "->/etc",
        "gone": "->/nowhere",
        "in": "->real",
        "real/y": "",
        "up": "->/y",
    },
    "languages": {
        "Builderfile": """
            target("mixed") { type: library; sources: ["a.c", "b.py"]; }
            target("unknown") { type: library; sources: ["README"]; }
        """,
        "a.c": "",
        "b.py": "",
        "README": "",
    },
    "outputs": {
        "Builderfile": """
            target("a") { type: executable; sources: ["a.c"]; output: "dist/a"; }
            target("b") { type: custom; command: "true"; output: "dist/"; }
            target("util") { type: library; sources: ["a.c"]; }
            target("c") { type: custom; command: "true"; output: "dist/a"; hermetic: { outputs: ["gen/"]; } }
            target("d") { type: custom; command: "true"; output: "gen/x.h"; }
            target("e") { type: custom; command: "true"; output: "gen/inner/"; }
        """,
        "lib/Builderfile": 'target("util") { type: library; sources: ["a.c"]; }',
        "lib/a.c": "",
        "a.c": "",
    },
    "outputs over sources": {
        "Builderfile": """
            target("e") { type: custom; command: "true"; output: "lib/"; }
            target("f") { type: custom; command: "true"; output: "x.c"; }
            target("g") { type: library; sources: ["x.c"]; }
            target("h") { type: custom; command: "true"; sources: ["y.c"]; output: "y.c"; }
        """,
        "lib/Builderfile": 'target("util") { type: library; sources: ["a.c"]; }',
        "lib/a.c": "",
        "a.c": "",
    },
}


def build(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text, encoding="utf-8")


def test_workspaces(tmp_path: Path) -> None:
    texts = []
    for name, files in WORKSPACES.items():
        root = tmp_path / name.replace(" ", "-")
        build(root, files)
        with pytest.raises(BuilderfileError) as caught:
            resolve(load(str(root)))
        texts.append(f"=== {name}\n\n{told(caught.value)}")

    check("workspaces.txt", "\n".join(texts))
