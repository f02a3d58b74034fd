"""The actions that handlers give, word for word: who changes one changes every key of a cache.

``BLDR_UPDATE_GOLDEN=1 pytest tests/golden`` rewrites the file; the difference is for a reviewer to read.
"""

from __future__ import annotations

import os
from pathlib import Path

from bldr.builderfile.workspace import resolve
from bldr.engine.action import Action
from bldr.engine.graph import graph_of
from bldr.engine.handlers import python_scripts
from tests.unit.builderfile.workspaces import workspace

FILE = Path(__file__).parent / "actions.txt"
SCRIPTS = {getattr(python_scripts, name): f"<{name}>" for name in python_scripts.__all__}

FILES = {
    "Builderfile": """
        target("app") {
            type: executable;
            sources: ["src/*.c", "gen/version.h"];
            deps: [":version", "//lib:static", "//lib:shared", "//lib:outside"];
            flags: ["-O2"]; defines: { NDEBUG: ""; LEVEL: "3"; } linkFlags: ["-pthread"];
            hermetic: { env: { "CC": "ccache gcc-12" }; }
        }
        target("version") { type: custom; sources: ["VERSION"]; command: "gen"; output: "gen/version.h"; }
        target("mixed") { type: executable; sources: ["cpp/*"]; deps: ["//lib:static"]; }
        target("copied") { type: executable; sources: ["tools/run.sh"]; }
        target("scripts") { type: library; sources: ["tools/*.sh"]; }
        target("script-test") { type: test; sources: ["tools/run.sh", "VERSION"]; deps: [":copied"]; }
    """,
    "VERSION": "1", "src/main.c": "", "src/inner.h": "", "cpp/main.cc": "", "cpp/table.c": "", "tools/run.sh": "",
    "lib/Builderfile": """
        target("static") { type: library; sources: ["a.c", "data.inc"]; headers: ["include/**/*.h"]; linkFlags: ["-lm"]; }
        target("shared") { type: library; sources: ["b.c"]; headers: ["b.h"]; linkage: shared; deps: [":static"]; linkFlags: ["-ldl"]; }
        target("outside") { type: custom; sources: ["b.c"]; command: ["make"]; headers: ["b.h"]; includes: ["."]; output: ["//out/libz.a"]; }
        target("test") { type: test; sources: ["a.c", "data.inc"]; deps: [":shared"]; }
    """,
    "lib/a.c": "", "lib/b.c": "", "lib/data.inc": "", "lib/include/x/a.h": "", "lib/b.h": "",
    "py/Builderfile": """
        target("tool") { type: executable; sources: ["tool/*.py"]; deps: [":pure", ":fast"]; main: "tool.cli:run"; }
        target("pure") { type: library; sources: ["pure/*.py"]; }
        target("fast") { type: library; language: c; sources: ["fast.c"]; linkage: shared; output: "//bin/_fast.so"; }
        target("project") { type: library; sources: ["project/**"]; deps: [":pure"]; language: python; }
        target("test") { type: test; sources: ["tests/*.py"]; deps: [":pure", ":fast"]; runner: pytest; }
        target("path") { type: test; sources: ["tests/*.py"]; includes: ["pure"]; hermetic: { env: { PYTHONPATH: "x" }; } }
    """,
    "py/tool/__init__.py": "", "py/tool/cli.py": "", "py/pure/one.py": "", "py/fast.c": "", "py/project/pyproject.toml": "",
    "py/project/src/it/__init__.py": "", "py/tests/test_it.py": "",
}  # fmt: skip


def told(action: Action) -> str:
    words = [SCRIPTS.get(word, word) for word in action.argv]
    lines = [f"{action} ({action.mnemonic})", f"    {' '.join(words)}"]
    paths = {name: getattr(action, name) for name in ("inputs", "outputs", "reports")}
    lines += [f"    {name}: {' '.join(found)}" for name, found in paths.items() if found]
    if action.env:
        lines.append(f"    env: {' '.join('='.join(pair) for pair in action.env)}")
    if action.depfile:
        lines.append(f"    depfile: {action.depfile}")
    return "\n".join(lines) + "\n"


def test_actions(tmp_path: Path) -> None:
    found = resolve(workspace(tmp_path, FILES))
    text = "\n".join(told(action) for action in graph_of(found, found, tests=True).actions)
    if os.environ.get("BLDR_UPDATE_GOLDEN"):
        FILE.write_text(text, encoding="utf-8")

    assert text == FILE.read_text(encoding="utf-8")
