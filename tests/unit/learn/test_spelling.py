"""The three ways in which what was learned is written down."""

from __future__ import annotations

import ast
import shlex

import pytest

from bldr import LearnError, ResourceLimits
from bldr.builderfile.parse import parse
from bldr.builderfile.source import Source
from bldr.learn.files import Files
from bldr.learn.learned import Learned
from bldr.learn.spelling import as_builderfile, as_command_line, as_python
from bldr.learn.variables import Variable

WORK = "/home/me/work"
LEARNED = Learned(
    argv=("make", "all", "X=a b"),
    cwd=WORK,
    files=Files(
        inputs=("/opt/tool", f"{WORK}/Makefile", f"{WORK}/src"), outputs=(f"{WORK}/out",), made=(f"{WORK}/out",)
    ),
    variables=(Variable("CC", "gcc -m64", "a text names it"),),
    hosts=("example.org:443",),
    limits=ResourceLimits(memory="2G"),
    limit_options=("--memory 2G",),
)


def test_a_command_line_is_written_for_the_directory_of_the_command() -> None:
    assert as_command_line(LEARNED).splitlines() == [
        "mkdir -p out",
        "bldr run \\",
        "    -i /opt/tool \\",
        "    -i Makefile \\",
        "    -i src \\",
        "    -o out \\",
        "    --cwd . \\",
        "    -e 'CC=gcc -m64' \\",
        "    --allow-host example.org:443 \\",
        "    --memory 2G \\",
        "    -- make all 'X=a b'",
    ]


def test_a_short_command_line_is_one_line() -> None:
    assert as_command_line(Learned(("cat", "a"), WORK, Files(inputs=(WORK,)))) == "bldr run -i . -- cat a\n"


def test_the_value_of_a_secret_is_not_written_down() -> None:
    learned = Learned(("x",), WORK, Files(inputs=(WORK,)), (Variable("TOKEN", "s3cret", "", secret=True),))

    assert as_command_line(learned) == "bldr run -i . -e TOKEN -- x\n"
    assert ".env('TOKEN', os.environ['TOKEN'])" in as_python(learned)
    with pytest.raises(LearnError, match="TOKEN looks like a secret"):
        as_builderfile(learned)


def test_odd_names_survive_the_shell_and_the_option() -> None:
    learned = Learned(("x",), WORK, Files(inputs=(f"{WORK}/-a b", f"{WORK}/c:/d")))

    words = shlex.split(as_command_line(learned))

    assert words[2:7] == ["-i", "./-a b", "-i", "c\\:/d", "--cwd"]


def test_the_python_program_makes_the_same_spec() -> None:
    text = as_python(LEARNED)
    tree = ast.parse(text)
    tree.body = [one for one in tree.body if "execute" not in ast.unparse(one) and "makedirs" not in ast.unparse(one)]
    names: dict[str, object] = {}
    exec(compile(tree, "learned", "exec"), names)

    assert names["spec"] == LEARNED.spec()
    assert "HermeticExecutor.create(spec).execute(['make', 'all', 'X=a b'], cwd='/home/me/work').check()" in text


def test_a_target_is_written_as_fmt_lays_it_out() -> None:
    text = as_builderfile(LEARNED)

    parse(Source("Builderfile", text))
    assert text.splitlines()[:5] == [
        'target("make") {',
        "    type: custom;",
        '    sources: ["Makefile", "src"];',
        '    command: ["make", "all", "X=a b"];',
        '    output: ["out/"];',
    ]
    assert 'inputs: ["/opt/tool"];' in text
    assert 'allowHosts: ["example.org:443"];' in text
    assert 'memory: "2G";' in text


def test_a_target_cannot_be_an_overlay() -> None:
    with pytest.raises(LearnError) as caught:
        as_builderfile(Learned(("x",), WORK, Files(overlays=(WORK,))))

    assert caught.value.code == "learn.unspeakable"
