"""What was learned as text: a command line, Python, or a target of a Builderfile. Pure."""

from __future__ import annotations

import os
import shlex

from bldr.errors import LearnError
from bldr.model.paths import is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bldr.learn.learned import Learned
    from bldr.learn.variables import Variable

__all__ = ["FORMATS", "as_builderfile", "as_command_line", "as_python"]

_WIDTH = 100  # characters from which on a command line gets several lines


def as_command_line(learned: Learned) -> str:
    """Return a line for a shell that runs the command in the learned sandbox, from the directory of the command."""
    files = learned.files
    words: list[str] = [f"-i {_path(one, learned.cwd)}" for one in files.inputs]
    words += [f"-o {_path(one, learned.cwd)}" for one in files.outputs]
    words += [f"--overlay {_path(one, learned.cwd)}" for one in files.overlays]
    words += [f"-t {_path(one, learned.cwd)}" for one in files.temps]
    if files.toolchain != "system":
        words.append(f"--toolchain {files.toolchain}")
    if not learned.shows_cwd and learned.reaches_cwd and learned.cwd != "/":
        words.append("--cwd .")
    words += [f"-e {one.name}" if one.secret else f"-e {_assignment(one)}" for one in learned.variables]
    words += [f"--allow-host {shlex.quote(one)}" for one in learned.hosts]
    words += learned.limit_options
    parts = ["bldr try -q --commit" if files.remade else "bldr run", *words, f"-- {shlex.join(learned.argv)}"]
    text = " ".join(parts)
    if len(text) > _WIDTH:
        text = " \\\n    ".join(parts)
    if files.made:
        text = f"mkdir -p {' '.join([shlex.quote(_relative(one, learned.cwd)) for one in files.made])}\n{text}"
    return text + "\n"


def as_python(learned: Learned) -> str:
    """Return a program that runs the command in the learned sandbox."""
    files = learned.files
    lines = [f".input({one!r})" for one in files.inputs]
    lines += [f".output({one!r})" for one in files.outputs]
    lines += [f".overlay({one!r})" for one in files.overlays]
    lines += [f".temp({one!r})" for one in files.temps]
    lines += [".default_home()", ".env_set(EnvSet({'LANG': 'C.UTF-8', 'PATH': '/usr/bin:/bin', 'TZ': 'UTC'}))"]
    for one in learned.variables:
        lines.append(f".env({one.name!r}, {f'os.environ[{one.name!r}]' if one.secret else repr(one.content)})")
    names = ["EnvSet", "Trial" if files.remade else "HermeticExecutor"]
    if learned.hosts:
        lines.append(f".with_network(NetworkPolicy.allow_hosts({list(learned.hosts)!r}))")
        names.append("NetworkPolicy")
    if learned.limits.names_set:
        given = ", ".join([f"{name}={getattr(learned.limits, name)!r}" for name in sorted(learned.limits.names_set)])
        lines.append(f".with_limits(ResourceLimits.hermetic().merge(ResourceLimits({given})))")
        names.append("ResourceLimits")
    names.append("SandboxSpecBuilder")
    uses_os = bool(files.made) or any(one.secret for one in learned.variables)
    head = ["import os", ""] if uses_os else []
    head += [f"from bldr import {', '.join(sorted(names))}", ""]
    head += [f"os.makedirs({one!r}, exist_ok=True)" for one in files.made]
    chain = "\n".join([f"    {line}" for line in lines])
    execution = f"execute({list(learned.argv)!r}, cwd={learned.directory!r}).check()\n"
    run = f"HermeticExecutor.create(spec).{execution}"
    if files.remade:
        run = f"with Trial(spec) as trial:\n    trial.executor.{execution}    trial.commit()\n"
    return (
        "\n".join(head)
        + f"\nspec = (\n    SandboxSpecBuilder.create()\n    .carve()\n    .with_toolchain({files.toolchain!r})\n"
        + f"{chain}\n    .build()\n)\n"
        + run
    )


def as_builderfile(learned: Learned) -> str:
    """Return a target of a Builderfile in the directory of the command.

    Raises:
        LearnError: Something of it has no word in a Builderfile.
    """
    from bldr.builderfile.label import Label
    from bldr.builderfile.target import CUSTOM, Hermetic, Target
    from bldr.builderfile.writing import text_of
    from bldr.model.environment import EnvSet

    files, folder = learned.files, learned.cwd
    if files.remade:
        raise _unspeakable(
            f"the command insists on making {files.remade[0]} itself, and the folder of an output is there already",
            "mkdir -p in the command accepts that",
        )
    if files.overlays:
        raise _unspeakable(
            f"results are written into {files.overlays[0]}, beside what is read",
            "--in-tree makes it an output, where a Builderfile needs a folder for results alone",
        )
    outside = [one for one in files.outputs if not is_within(one, folder) or one == folder]
    if outside:
        raise _unspeakable(
            f"the output {outside[0]} lies not below {folder}", "run bldr learn in the folder above both"
        )
    secrets = [one.name for one in learned.variables if one.secret]
    if secrets:
        raise _unspeakable(f"the variable {secrets[0]} looks like a secret", "read it from a file that is an input")
    if files.toolchain != "system":
        raise _unspeakable("no program of the system is used", "--format command-line knows --toolchain none")
    inside = [_relative(one, folder) for one in files.inputs if is_within(one, folder)]
    sources = tuple([one + "/**" if os.path.isdir(f"{folder}/{one}") else one for one in inside])
    sources = tuple(["**" if one == "./**" else one for one in sources])
    target = Target(
        Label.named(_name(learned.argv), ""),
        CUSTOM,
        sources=sources,
        command=learned.argv,
        output=tuple([_relative(one, folder) + "/" for one in files.outputs]),
        hermetic=Hermetic(
            inputs=tuple([one for one in files.inputs if not is_within(one, folder)]),
            temps=files.temps,
            network=learned.spec().network,
            limits=learned.limits,
            env=EnvSet({one.name: one.content for one in learned.variables}),
        ),
    )
    return text_of([target])


FORMATS: dict[str, Callable[[Learned], str]] = {
    "command-line": as_command_line,
    "python": as_python,
    "builderfile": as_builderfile,
}


def _unspeakable(what: str, hint: str) -> LearnError:
    return LearnError(f"a Builderfile cannot say it: {what}", code="learn.unspeakable", hint=hint)


def _name(argv: Iterable[str]) -> str:
    """Name a target after its command: the program, else what it is told."""
    words = [os.path.basename(word) for word in argv if not word.startswith("-")]
    name = "".join([letter if letter.isascii() and letter.isalnum() else "-" for letter in words[0]]).strip("-")
    return name or "learned"


def _assignment(one: Variable) -> str:
    return shlex.quote(f"{one.name}={one.content}")


def _path(path: str, directory: str) -> str:
    """Write a path as the shell and the option take it: a colon before a slash would split it."""
    return shlex.quote(_relative(path, directory).replace("\\", "\\\\").replace(":", "\\:"))


def _relative(path: str, directory: str) -> str:
    """Return a path as it is seen from a directory, where it lies in it."""
    if not is_within(path, directory) or directory == "/":
        return path
    relative = path[len(directory) + 1 :] or "."
    return f"./{relative}" if relative.startswith("-") else relative
