"""Which of the caller's variables a command needs: a guess, from what it read and from what its texts name. Pure."""

from __future__ import annotations

import os

from bldr.model.environment import EnvSet
from bldr.model.paths import is_within
from bldr.model.toolchain import SYSTEM
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bldr.learn.observation import Observation

__all__ = ["Variable", "learn_variables", "watched_environment"]

# What programs look at without any text that says so, by the beginning of their names.
_C = (
    "AR AS ASFLAGS CC CFLAGS CPATH CPP CPPFLAGS CXX CXXFLAGS LD LDFLAGS LDLIBS LIBRARY_PATH NM OBJCOPY RANLIB STRIP"
    " SOURCE_DATE_EPOCH"
)
_USUAL = {
    "make": f"{_C} DESTDIR MAKEFLAGS PREFIX V VERBOSE",
    "cmake": f"{_C} CMAKE_PREFIX_PATH CMAKE_GENERATOR",
    "meson": _C,
    "configure": f"{_C} CONFIG_SITE",
    "cc": "CPATH LIBRARY_PATH SOURCE_DATE_EPOCH",
    "gcc": "CPATH LIBRARY_PATH SOURCE_DATE_EPOCH",
    "g++": "CPATH LIBRARY_PATH SOURCE_DATE_EPOCH",
    "clang": "CPATH LIBRARY_PATH SOURCE_DATE_EPOCH",
    "pkg-config": "PKG_CONFIG_PATH PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR",
    "python": "PYTHONDONTWRITEBYTECODE PYTHONHASHSEED PYTHONPATH SOURCE_DATE_EPOCH VIRTUAL_ENV",
    "pytest": "PYTEST_ADDOPTS",
    "node": "NODE_ENV NODE_OPTIONS NODE_PATH",
    "java": "CLASSPATH JAVA_HOME JAVA_TOOL_OPTIONS",
    "go": "CGO_ENABLED GOFLAGS GOPATH GOROOT",
    "cargo": "CARGO_HOME RUSTFLAGS RUSTUP_HOME",
    "rustc": "RUSTFLAGS RUSTUP_HOME",
    "perl": "PERL5LIB",
    "ruby": "GEM_HOME GEM_PATH RUBYLIB",
    "git": "GIT_AUTHOR_DATE GIT_AUTHOR_EMAIL GIT_AUTHOR_NAME GIT_COMMITTER_DATE GIT_COMMITTER_EMAIL"
    " GIT_COMMITTER_NAME GIT_CONFIG_GLOBAL",
}
# What says who or where the caller is, or what a shell keeps for itself; the sandbox has its own, or none.
_NEVER = frozenset((
    "COLORTERM", "COLUMNS", "DBUS_SESSION_BUS_ADDRESS", "DEBIAN_FRONTEND", "DISPLAY", "EDITOR", "GPG_AGENT_INFO",
    "HISTFILE", "HOME", "HOSTNAME", "INVOCATION_ID", "JOURNAL_STREAM", "LANG", "LANGUAGE", "LESSOPEN", "LINES",
    "LOGNAME", "LS_COLORS", "LS_OPTIONS", "MAIL", "OLDPWD", "PAGER", "PATH", "PS1", "PS2", "PWD", "SHELL",
    "SHLVL", "SSH_AUTH_SOCK", "SSH_CLIENT", "SSH_CONNECTION", "SSH_TTY", "TEMP", "TERM", "TMP", "TMPDIR", "TZ",
    "USER", "USERNAME", "VISUAL", "WAYLAND_DISPLAY", "XAUTHORITY", "XDG_RUNTIME_DIR", "XDG_SESSION_ID", "_",
))  # fmt: skip
_CONFIDENTIAL = r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_KEY|(?:^|_)(?:PAT|PWD|AUTH)$"
_NAMED = rb"""\$\{?\(?([A-Za-z_]\w*)                                 # $NAME ${NAME $(NAME
    |environ(?:\.get\(|\[)\s*[rb]?["'](\w+)                     # Python
    |getenv\(\s*["'](\w+)                                       # C, PHP, Python
    |process\.env\.(\w+) |process\.env\[\s*["'](\w+)            # JavaScript
    |ENV\[\s*["'](\w+) |ENV\.fetch\(\s*["'](\w+)                # Ruby
    |ENV\{(\w+)\}                                               # CMake, Perl
    |(?:env|option_env)!\(\s*"(\w+)                             # Rust
    """


@value
class Variable:
    """A variable to set.

    Args:
        name: Its name.
        content: Its value.
        why: Why it seems to be needed.
        secret: Whether its value must not be written down.
    """

    name: str
    content: str
    why: str
    secret: bool = False


def watched_environment(caller: Mapping[str, str]) -> dict[str, str]:
    """Return what a command gets that is watched: the caller's variables, but for the sandbox's own."""
    usual = dict(EnvSet.hermetic().items())
    kept = {
        name: text
        for name, text in caller.items()
        if name not in usual
        and not name.startswith(("LC_", "XDG_RUNTIME", "BUILDER_HERMETIC"))
        and name
        and "=" not in name
    }
    return kept | usual | {name: caller[name] for name in ("HOME", "PATH") if caller.get(name)}


def learn_variables(
    caller: Mapping[str, str],
    seen: Observation,
    texts: Iterable[bytes],
    *,
    given: Iterable[str] = (),
    workspaces: Sequence[str] = (),
) -> tuple[Variable, ...]:
    """Guess which variables have to be set.

    Args:
        caller: The caller's variables.
        seen: What the command did.
        texts: The texts of the workspace that it read, and its own arguments.
        given: Variables that are wanted in any case.
        workspaces: Where it worked.
    """
    from re import search as search_for

    found: dict[str, Variable] = {}

    def add(name: str, content: str, why: str) -> None:
        found.setdefault(name, Variable(name, content, why, bool(search_for(_CONFIDENTIAL, name.upper()))))

    for name in given:
        if name in caller:
            add(name, caller[name], "it was asked for")
    if (search := _search_path(caller.get("PATH", ""), seen)) is not None:
        add("PATH", search, "programs were found there")
    home = caller.get("HOME", "")
    apart = [path for path in seen.reads if not any(is_within(path, one) for one in workspaces)]
    if home not in ("", "/") and any(is_within(path, home) for path in apart):
        add("HOME", home, "files below it were read")
    named, usual = _names_in(texts), _usual(seen.programs)
    for name, content in sorted(caller.items()):
        if name in _NEVER or name.startswith(("LC_", "BUILDER_HERMETIC", "BASH_FUNC_")):
            continue
        if name in named:
            add(name, content, "a text names it")
        elif name in usual:
            add(name, content, "a program looks at it by itself")
        elif any(any(is_within(path, one) for path in apart) for one in _directories(content)):
            add(name, content, "files were read where it leads")
    return tuple([found[name] for name in sorted(found)])


def _usual(programs: Iterable[str]) -> set[str]:
    """Return the variables that some programs look at."""
    names = {os.path.basename(one) for one in programs}
    return {
        variable
        for beginning, variables in _USUAL.items()
        if any(name.startswith(beginning) for name in names)
        for variable in variables.split()
    }


def _names_in(texts: Iterable[bytes]) -> set[str]:
    from re import VERBOSE
    from re import compile as compiled

    pattern = compiled(_NAMED, VERBOSE)
    found: set[str] = set()
    for text in texts:
        for match in pattern.finditer(text):
            found.add(match[match.lastindex or 0].decode("ascii", "replace"))
    return found


def _directories(content: str) -> list[str]:
    """Return the paths of a variable that are narrow enough to say something, and not where everybody looks."""
    found = [os.path.normpath(one) for one in content.split(":") if one.startswith("/") and one.count("/") > 1]
    return [one for one in found if not SYSTEM.holds(one)]


def _search_path(search: str, seen: Observation) -> str | None:
    """Return the search path that finds what was executed, in the caller's order; ``None`` where the usual one does."""
    usual = EnvSet.hermetic()["PATH"].split(":")
    listed = [one.rstrip("/") for one in search.split(":") if one.startswith("/")]
    used = {os.path.dirname(path) for path in (*seen.programs, *seen.looks)}.intersection(listed) - {"/bin", "/sbin"}
    if used <= set(usual):
        return None
    wanted = [one for one in dict.fromkeys(listed) if one in used or one in usual]
    return ":".join([*wanted, *[one for one in usual if one not in wanted]])
