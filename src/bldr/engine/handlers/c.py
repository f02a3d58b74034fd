"""C and C++: one action for each file, and one that puts the objects together.

An object is the same wherever the checkout lies and whenever it is built: paths are mapped away, what gcc would draw at
random comes from the name of the object, and ``__DATE__`` is the beginning of 1980. Flags of the target come last, so
that they can say otherwise.
"""

from __future__ import annotations

import posixpath
import shlex

from bldr.builderfile.places import is_pattern
from bldr.builderfile.schema import LANGUAGES
from bldr.builderfile.target import LIBRARY, SHARED, TEST
from bldr.engine.action import WORKSPACE, Action, intermediate
from bldr.engine.handlers import Provided

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bldr.builderfile.target import Target
    from bldr.builderfile.workspace import Resolved

__all__ = ["HANDLER", "SOURCE_DATE_EPOCH", "include_dirs", "links_of"]

SOURCE_DATE_EPOCH = ("SOURCE_DATE_EPOCH", "315532800")  # 1980-01-01, the first day that archives can name
_ASSEMBLER = (".s", ".S")  # what it includes by itself is in no depfile
_LINKED = (".a", ".so", ".o")
_COMPILERS = {"c": ("CC", "cc"), "cpp": ("CXX", "c++")}


class _C:
    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:  # noqa: ARG002
        """Headers, and what is linked; a shared library has to be there at run time, too."""
        declared = target.target
        is_library = declared.type == LIBRARY
        is_shared = declared.options.linkage == SHARED
        return Provided(
            declared.label,
            target.language,
            products=target.outputs,
            headers=target.headers,
            include_dirs=include_dirs(declared),
            links=target.outputs if is_library else (),
            link_flags=declared.options.link_flags if is_library and not is_shared else (),
            runtime=() if is_library and not is_shared else target.outputs,
        )

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """Compile each source, then link or archive."""
        compiled = [path for path in target.sources if path.endswith((*LANGUAGES["c"], *LANGUAGES["cpp"]))]
        compiles = [_compile(target, needs, path, compiled) for path in compiled]
        objects = tuple([action.outputs[0] for action in compiles])
        declared = target.target
        if declared.type == LIBRARY and declared.options.linkage != SHARED:
            return (*compiles, _archive(target, objects))
        return (*compiles, _link(target, needs, objects))

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """Run the program of a test; sources that are not compiled are its data."""
        if target.target.type != TEST:
            return ()
        code = (*LANGUAGES["c"], *LANGUAGES["cpp"])
        data = [path for path in target.sources if not path.endswith(code)]
        program = _program(target)
        inputs = dict.fromkeys([program, *data, *[path for need in needs for path in need.runtime]])
        return (Action(target.target.label, "test", (f"./{program}",), tuple(inputs), mnemonic="Test"),)


def _compile(target: Resolved, needs: Sequence[Provided], path: str, compiled: Sequence[str]) -> Action:
    label, options = target.target.label, target.target.options
    made = intermediate(label, f"{path}.o")
    depfile = "" if path.endswith(_ASSEMBLER) else f"{made}.d"
    folders = dict.fromkeys([*include_dirs(target.target), *[one for need in needs for one in need.include_dirs]])
    quoted = dict.fromkeys([label.folder or ".", "."])
    argv = [
        *_compiler(target.target, "cpp" if path.endswith(LANGUAGES["cpp"]) else "c"),
        "-c",
        *(["-fPIC"] if target.target.type == LIBRARY else []),
        f"-ffile-prefix-map={WORKSPACE}=.",
        f"-frandom-seed={made}",
        *[f"-D{name}={text}" for name, text in options.defines],
        *[f"-iquote{folder}" for folder in quoted],
        *[f"-I{folder}" for folder in folders],
        *options.flags,
        *(["-MD", "-MF", depfile] if depfile else []),
        "-o",
        made,
        path,
    ]
    seen = [path, *[one for one in target.sources if one not in compiled], *target.headers]
    for need in needs:
        seen += need.headers
        seen += () if need.language in LANGUAGES else need.products  # what commands make may be included
    return Action(
        label,
        f"compile {path}",
        tuple(argv),
        tuple(dict.fromkeys(seen)),
        (made,),
        (SOURCE_DATE_EPOCH,),
        depfile=depfile,
        mnemonic="Compile",
    )


def _archive(target: Resolved, objects: tuple[str, ...]) -> Action:
    (output,) = target.outputs
    program = target.target.hermetic.env.get("AR") or "ar"
    argv = (*shlex.split(program), "rcsD", output, *objects)
    return Action(target.target.label, f"archive {output}", argv, objects, (output,), mnemonic="Archive")


def _link(target: Resolved, needs: Sequence[Provided], objects: tuple[str, ...]) -> Action:
    declared = target.target
    output = _program(target)
    links = [path for need in needs for path in need.links]
    shared = [path for path in links if path.endswith(".so")]
    is_library = declared.type == LIBRARY
    folders = [posixpath.relpath(posixpath.dirname(path) or ".", posixpath.dirname(output) or ".") for path in shared]
    is_cpp = "cpp" in (target.language, *[need.language for need in needs])
    argv = [
        *_compiler(declared, "cpp" if is_cpp else "c"),
        *(["-shared", f"-Wl,-soname,{posixpath.basename(output)}"] if is_library else []),
        "-o",
        output,
        *objects,
        *[path if "/" in path else f"./{path}" for path in links],
        *[f"-Wl,-rpath,{f'$ORIGIN/{folder}'.removesuffix('/.')}" for folder in dict.fromkeys(folders)],
        *declared.options.link_flags,
        *[flag for need in needs for flag in need.link_flags],
    ]
    inputs = tuple(dict.fromkeys([*objects, *links]))
    return Action(
        declared.label, f"link {output}", tuple(argv), inputs, (output,), (SOURCE_DATE_EPOCH,), mnemonic="Link"
    )


def _program(target: Resolved) -> str:
    return target.outputs[0] if target.outputs else intermediate(target.target.label, target.target.label.name)


def _compiler(target: Target, language: str) -> list[str]:
    name, usual = _COMPILERS[language]
    return shlex.split(target.hermetic.env.get(name) or usual)


def include_dirs(target: Target) -> tuple[str, ...]:
    """Return the folders in which the headers of a target are looked up: those that its patterns begin with."""
    if target.options.includes or not target.headers:
        return target.options.includes
    found = []
    for pattern in target.headers:
        folder = posixpath.dirname(pattern.removeprefix("!"))
        while is_pattern(folder):
            folder = posixpath.dirname(folder)
        found += [] if pattern.startswith("!") else [folder or "."]
    return tuple(dict.fromkeys(found))


def links_of(outputs: Iterable[str]) -> tuple[str, ...]:
    """Return the outputs of a command that a linker takes."""
    return tuple([path for path in outputs if path.endswith(_LINKED)])


HANDLER = _C()
