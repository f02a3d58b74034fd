"""Python: libraries as folders or wheels, programs as one file, tests by pytest or unittest.

What runs inside the sandbox is in :mod:`bldr.engine.handlers.python_scripts`, as text: the toolchain's Python executes
it, which need not have bldr.
"""

from __future__ import annotations

import posixpath

from bldr.builderfile.schema import LANGUAGES
from bldr.builderfile.target import LIBRARY, TEST
from bldr.engine.action import Action, intermediate
from bldr.engine.handlers import Provided
from bldr.engine.handlers.c import SOURCE_DATE_EPOCH
from bldr.engine.handlers.python_scripts import COPY, TEST_RUN, WHEEL, ZIPAPP
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bldr.builderfile.workspace import Resolved

__all__ = ["HANDLER"]

_PYTHON = ("python3", "-P", "-B", "-c")  # the folder it starts in is not looked into, and no bytecode is written
_SETTINGS = (SOURCE_DATE_EPOCH, ("PYTHONHASHSEED", "0"))


class _Python:
    def provides(self, target: Resolved, needs: Sequence[Provided]) -> Provided:  # noqa: ARG002
        """The modules themselves: they are read when a program of another target runs."""
        return Provided(
            target.target.label,
            target.language,
            products=target.outputs,
            include_dirs=_roots(target),
            runtime=target.sources,
        )

    def actions(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """A program is one file that Python can execute; a library a folder, with a wheel if it is a project."""
        declared = target.target
        if declared.type == TEST:
            return ()
        (output,) = target.outputs
        project = [path for path in target.sources if posixpath.basename(path) == "pyproject.toml"]
        seen = target.sources
        if declared.type == LIBRARY and project:
            name, mnemonic = f"build the wheel of {project[0]}", "Wheel"
            argv = (*_PYTHON, WHEEL, output, posixpath.dirname(project[0]) or ".", *target.sources)
            seen = (*seen, *_of_needs(needs))
        elif declared.type == LIBRARY:
            name, mnemonic = f"copy to {output.rstrip('/')}", "Copy"
            argv = (*_PYTHON, COPY, output, *_named(target.sources, _roots(target)))
        else:
            name, mnemonic = f"pack {output}", "Pack"
            python = [need for need in needs if need.language == "python"]
            seen = (*seen, *[path for need in python for path in need.runtime])
            roots = (*_roots(target), *[folder for need in python for folder in need.include_dirs])
            beside = [posixpath.relpath(folder, posixpath.dirname(output) or ".") for folder in _native(needs)]
            argv = (*_PYTHON, ZIPAPP, output, _main(target), ":".join(beside), *_named(dict.fromkeys(seen), roots))
        inputs = tuple(dict.fromkeys(seen))
        env = (*_SETTINGS, *_path(target, needs))
        return (Action(declared.label, name, argv, inputs, target.outputs, env, mnemonic=mnemonic),)

    def tests(self, target: Resolved, needs: Sequence[Provided]) -> Sequence[Action]:
        """Run the tests of all sources by pytest, or unittest, and write what became of each."""
        if target.target.type != TEST:
            return ()
        label = target.target.label
        report = intermediate(label, "results.xml")
        files = [path for path in target.sources if path.endswith(LANGUAGES["python"])]
        argv = (*_PYTHON, TEST_RUN, target.target.options.runner or "any", report, *files)
        seen = tuple(dict.fromkeys([*target.sources, *_of_needs(needs)]))
        env = (*_SETTINGS, *_path(target, needs))
        return (Action(label, "test", argv, seen, (report,), env, reports=(report,), mnemonic="Test"),)


def _of_needs(needs: Sequence[Provided]) -> list[str]:
    return [path for need in needs for path in (*need.products, *need.runtime)]


def _roots(target: Resolved) -> tuple[str, ...]:
    """Return the folders in which its modules are looked up: those that hold its outermost packages."""
    if target.target.options.includes:
        return target.target.options.includes
    files = [path for path in target.sources if path.endswith(LANGUAGES["python"])]
    packages = {posixpath.dirname(path) for path in files if posixpath.basename(path) == "__init__.py"}
    found = set()
    for path in files:
        folder = posixpath.dirname(path)
        while folder in packages and folder:
            folder = posixpath.dirname(folder)
        found.add(folder or ".")
    return tuple(sorted(found))


def _native(needs: Sequence[Provided]) -> tuple[str, ...]:
    """Return the folders of the shared libraries that are needed: extension modules may be among them."""
    found = [path for need in needs for path in need.runtime if need.language != "python" and path.endswith(".so")]
    return tuple(dict.fromkeys([posixpath.dirname(path) or "." for path in found]))


def _path(target: Resolved, needs: Sequence[Provided]) -> tuple[tuple[str, str], ...]:
    """Return the variable that says where modules are; what the target itself says stands behind it."""
    folders = [*_roots(target), *[one for need in needs if need.language == "python" for one in need.include_dirs]]
    folders += _native(needs)
    own = target.target.hermetic.env.get("PYTHONPATH")
    return () if own else (("PYTHONPATH", ":".join(dict.fromkeys(folders))),)


def _named(paths: Iterable[str], roots: Iterable[str]) -> list[str]:
    """Return ``NAME=PATH`` for each file: its name from the innermost root that it lies in."""
    prefixes = sorted(["" if root == "." else f"{root}/" for root in roots], key=len, reverse=True)
    named = []
    for path in paths:
        prefix = next((one for one in prefixes if path.startswith(one)), "")
        named.append(f"{path[len(prefix) :]}={path}")
    return named


def _main(target: Resolved) -> str:
    """Return the module with which a program starts."""
    if target.target.options.main:
        return target.target.options.main
    names = [pair.partition("=")[0] for pair in _named(target.sources, _roots(target))]
    mains = [name for name in names if posixpath.basename(name) == "__main__.py"]
    files = mains or [name for name in names if name.endswith(".py")]
    if len(files) != 1:
        raise BuilderfileError(
            f"nobody can tell with which module {target.target.label} starts",
            code="builderfile.key-missing",
            hint='write main: "package.module"; or add a file __main__.py',
        )
    module = files[0].removesuffix(".py").replace("/", ".")
    return module.removesuffix(".__main__")


HANDLER = _Python()
