"""What the messages of a failed command tell: names of files, programs, libraries, hosts and variables. Pure.

Nothing is concluded here. A clue becomes a cause only when the spec and the host say that the sandbox made the
difference (``causes``).
"""

from __future__ import annotations

from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Clue", "clues", "host_of_url"]

_MOST = 200  # clues of one command


@value
class Clue:
    """Something that a message names.

    Args:
        kind: ``missing`` (a path), ``header``, ``program``, ``library``, ``linked`` (``-l``), ``package`` (of
            pkg-config), ``cmake`` (a package of CMake), ``module`` (of Python), ``readonly``, ``outside`` (a file in a
            directory that is not there), ``denied``, ``host``, ``network``, ``variable`` or ``setuid``.
        name: What it names; empty where the message names nothing.
        line: The message.
    """

    kind: str
    name: str
    line: str


_PATH = r"(?P<name>/[^\s'\"`:;,()\[\]]+)"
_OPEN, _CLOSE = "['\"`\u2018]", "['\"`\u2019]"  # GNU programs quote with curved ones in UTF-8
_QUOTED = _OPEN + r"(?P<name>[^'\"`\u2019]+)" + _CLOSE
_HOST = r"(?P<name>[A-Za-z0-9][A-Za-z0-9.-]*[A-Za-z0-9])"
_VARIABLE = r"(?P<name>[A-Z_][A-Z0-9_]*)"
_SETUID = r"(?P<name>sudo|su|ping|fusermount3?|mount|newuidmap|pkexec)"
_UNKNOWN = r"(?:Temporary failure in name resolution|Name or service not known)"

_NO_NAME = ("Temporary failure in name resolution", "Name or service not known")

# In this order: the first pattern that matches a line speaks for it. Behind a pattern stand texts of which the line has
# to hold one, where looking for them within the pattern would take long.
_PATTERNS = (
    ("header", r"fatal error: (?P<name>[^\s:]+): No such file or directory"),
    ("library", r"error while loading shared libraries: (?P<name>[^\s:]+): cannot open"),
    ("linked", r"cannot find -l(?P<name>\S+?)(?:$|:|\s)"),
    ("package", r"Package '?(?P<name>[^\s',]+)'?(?:, required by .*,)? (?:was )?not found"),
    ("package", r"No package '(?P<name>[^']+)' found"),
    ("module", r"(?:ModuleNotFoundError|ImportError): No module named '?(?P<name>[\w.]+)'?"),
    ("program", r"env: " + _QUOTED + r": No such file or directory"),
    ("program", r"exec: \"(?P<name>[^\"/]+)\": executable file not found"),
    ("program", r"(?:^|: )(?P<name>[^\s:/]+): command not found"),
    ("program", r"^(?:\S*sh|\S+): (?:line )?\d+: (?P<name>[^\s:/]+): not found"),
    ("program", r"^make(?:\[\d+\])?: (?P<name>[^\s:/]+): No such file or directory"),
    ("program", r"spawn (?P<name>[^\s/]+) ENOENT"),
    ("program", r"FileNotFoundError: .*No such file or directory: '(?P<name>[A-Za-z0-9_+.-]+)'$"),
    ("setuid", _SETUID + r": .*(?:no new privileges|effective uid is not 0|must be (?:owned by uid 0|setuid|suid))"),
    ("setuid", _SETUID + r": .*(?:Operation not permitted|set-?uid)"),
    ("setuid", r"^(?P<name>su|passwd|chsh|chfn): (?:.*Critical error|System error|pam_start\(\) failed|PAM: )"),
    ("setuid", r"^(?P<name>u?mount): \S+: (?:permission denied|must be superuser)"),
    ("cmake", r'package configuration file provided by "(?P<name>[^"]+)"'),
    ("program", r"could not execute process `(?P<name>[^\s`/]+)[^`]*` \(never executed\)"),
    ("readonly", r"(?:EROFS|[Rr]ead-only file system)[^'\"]*['\"](?P<name>[^'\"]+)['\"]"),
    ("readonly", _QUOTED + r"(?::| \().*?Read-only file system"),
    ("readonly", r"(?P<name>/?[^\s'\"`:;,()]+): Read-only file system"),
    ("readonly", r"failed to (?:write|create(?: \w+)?)[: ]+`?" + _PATH),
    ("readonly", r"[Rr]ead-only file system"),
    ("outside", r"cannot create (?P<name>\S+): Directory nonexistent"),
    ("outside", r"cannot (?:create|touch) (?:regular file |directory )?" + _QUOTED + ": No such file or directory"),
    ("outside", r"cannot open output file (?P<name>\S+): No such file or directory"),
    ("host", r"Could not resolve host(?:name)?:? '?" + _HOST),
    ("host", r"look up " + _HOST),
    ("host", r"(?:ENOTFOUND|EAI_AGAIN) " + _HOST),
    ("host", r"UnknownHostException: " + _HOST),
    ("host", r"lookup " + _HOST + r"(?: on \S+)?: (?:no such host|dial)"),
    ("host", r"(?:resolve|lookup|address) (?:host(?:name)? )?(?:address )?" + _OPEN + "?" + _HOST, *_NO_NAME),
    ("host", r"https?://" + _HOST, "resol", *_NO_NAME),
    ("host", r"host='" + _HOST + r"'"),
    ("host", r"(?:[\s'\"(]|^)" + _HOST + r"[:'\")]+ " + _UNKNOWN),
    ("network", _UNKNOWN + r"|[Nn]etwork is unreachable|ENETUNREACH"),
    ("variable", r"(?:^|: )" + _VARIABLE + r": (?:unbound variable|parameter (?:not set|null or not set))"),
    ("variable", r"KeyError: '" + _VARIABLE + "'"),
    ("variable", r"[Ee]nvironment variable:? ['\"`$]*" + _VARIABLE),
    (
        "variable",
        r"\$?\b" + _VARIABLE + r" (?:environment variable )?(?:is not set|must be set|not defined|is undefined)",
    ),
    ("missing", r"(?:ENOENT|[Nn]o such file or directory)[^'\"]*['\"](?P<name>[^'\"]+)['\"]"),
    ("missing", r"file not found: (?P<name>\S+)"),
    ("missing", r"^(?P<name>/\S+)$"),  # CMake writes a path on a line of its own
    ("missing", r"^(?P<name>\.\.?/\S+)$"),
    ("missing", r"failed to (?:read|load)(?: \w+)?[: ]+`?" + _PATH),
    ("missing", _QUOTED + r"(?::| \().*?(?:No such file or directory|does not exist|not found)"),
    ("missing", r"(?:^|[\s'\"`:;,(])(?P<name>[\w.+@~][\w.+@~-]*/[^\s'\"`:;,()\[\]]+): No such file or directory"),
    ("missing", _PATH + r": (?:.*: )?(?:No such file or directory|not found|cannot open)"),
    ("missing", r"(?P<name>[^\s'\"`:;,()]+): No such file or directory"),
    ("missing", r"(?:does not exist|not found|cannot (?:find|open|access|read))[: ]+['\"`]?" + _PATH),
    ("missing", r"(?:[Cc]ould not|[Uu]nable to|[Cc]annot) (?:open|access) (?:\w+ )*['\"`]?" + _PATH),
    ("denied", r"(?:EACCES|EPERM|Permission denied)[^'\"]*['\"](?P<name>[^'\"]+)['\"]"),
    ("denied", _QUOTED + r"(?::| \().*?Permission denied"),
    ("denied", _PATH + r": Permission denied"),
)


def clues(text: bytes) -> tuple[Clue, ...]:
    """Find what a command's messages name, the last ones first; each once."""
    import re

    patterns = [(kind, re.compile(pattern), needed) for kind, pattern, *needed in _PATTERNS]
    found: dict[tuple[str, str], Clue] = {}
    for line in reversed(_lines(text)):
        for kind, pattern, needed in patterns:
            if needed and not any(one in line for one in needed):
                continue
            match = pattern.search(line)
            if match is not None:
                name = match.groupdict().get("name") or ""
                found.setdefault((kind, name), Clue(kind, name, line))
                break
        if len(found) == _MOST:
            break
    return tuple(found.values())


def host_of_url(text: str) -> str:
    """Return the host of the first URL in a text; empty when there is none."""
    import re

    match = re.search(r"\b(?:https?|git|ftp|ssh)://(?:[^\s/@]*@)?" + _HOST, text)
    return match.group("name") if match else ""


def _lines(text: bytes) -> Sequence[str]:
    """The lines without what colours them, as a list."""
    import re

    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text.decode("utf-8", "surrogateescape"))
    return [line.strip()[:1000] for line in plain.replace("\r", "\n").split("\n") if line.strip()]
