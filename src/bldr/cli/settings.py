"""Settings from the environment and from ``.builderrc``.

Precedence: flag, then environment, then ``.builderrc``, then the default. The file is the nearest one on the way up
from the caller's directory; it holds ``KEY=VALUE`` lines and ``#`` comments, with the same keys as the environment. A
key that is unknown or a value that cannot be read is an error that names its place: a misspelt limit must not turn
into no limit.
"""

from __future__ import annotations

import os
import stat

from bldr.cli.options import UsageError, nearest
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.value import replace, value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE_NAME", "KEYS", "Settings", "load"]

FILE_NAME = ".builderrc"
_PREFIX = "BUILDER_HERMETIC_"
_LIMIT_KEYS = {f"{_PREFIX}{name.upper()}": name for name in LIMITS}
KEYS = tuple(
    sorted(
        (
            "BUILDER_HERMETIC",
            *(
                _PREFIX + name
                for name in (
                    "AUDIT_LOG",
                    "DEBUG",
                    "EXEC",
                    "FORK",
                    "KILL_ON_PARENT_EXIT",
                    "MAX_CHILDREN",
                    "NETWORK",
                    "SILENCE",
                    "TIMEOUT",
                )
            ),
            *_LIMIT_KEYS,
        )
    )
)
_AUDIT_LOG = _PREFIX + "AUDIT_LOG"
_LARGEST_FILE = 65536  # bytes
_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # Windows lacks both


@value
class Settings:
    """What the environment and the file ask for; ``None`` where they say nothing.

    ``timeout`` and ``silence`` are in seconds. ``hosts`` are the network's ``HOST[:PORT]``; empty means that no network
    was asked for in so many words. ``hermetic_origin`` is where ``hermetic`` was set. ``audit_log`` is a path.
    """

    hermetic: bool = True
    hermetic_origin: str = ""
    hosts: tuple[str, ...] | None = None
    limits: ResourceLimits = ResourceLimits()
    max_children: int | None = None
    fork: bool = True
    exec: bool = True
    kill_on_parent_exit: bool = True
    timeout: float | None = None
    silence: float | None = None
    debug: bool = False
    audit_log: str = ""
    notes: tuple[str, ...] = ()


def load(environment: Mapping[str, str], directory: str) -> Settings:
    """Read the settings.

    Args:
        environment: The caller's variables.
        directory: The caller's directory; empty when it has none (it was deleted), then no file is looked for.

    Raises:
        UsageError: A key is unknown or a value cannot be read.
    """
    found: dict[str, tuple[str, str]] = {}  # key to text and origin
    notes: list[str] = []
    if directory:
        _read_file(directory, found, notes)
    for name in environment:
        if name.startswith("BUILDER_HERMETIC"):
            if name not in KEYS:
                raise _unknown(name, "environment")
            found[name] = (environment[name], name)
    return _interpreted(found, tuple(notes))


def _read_file(directory: str, found: dict[str, tuple[str, str]], notes: list[str]) -> None:
    fd, path = _nearest_file(directory)
    if fd is None:
        return
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise UsageError(f"{path!r} is not a regular file")
        if why := _distrust(about, directory):
            notes.append(f"{path!r} is ignored: {why}")
            return
        data = os.read(fd, _LARGEST_FILE + 1)
    finally:
        os.close(fd)
    if len(data) > _LARGEST_FILE:
        raise UsageError(f"{path!r} is larger than {_LARGEST_FILE} bytes")
    for number, raw in enumerate(os.fsdecode(data).split("\n"), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, text = (part.strip() for part in line.partition("="))
        if not equals:
            raise UsageError(f"{path}:{number}: {line!r} is not KEY=VALUE")
        if key not in KEYS:
            raise _unknown(key, f"{path}:{number}")
        if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
            text = text[1:-1]
        if key == _AUDIT_LOG and text:
            text = os.path.join(os.path.dirname(path), text)  # the file says it, whoever runs something below
        found[key] = (text, f"{path}:{number}: {key}")


def _nearest_file(directory: str) -> tuple[int | None, str]:
    while True:
        path = os.path.join(directory, FILE_NAME)
        try:
            # a FIFO must not block, and a terminal must not become ours
            return os.open(path, _READ), path
        except FileNotFoundError:
            pass  # then one above may have it
        except OSError as error:
            raise UsageError(f"cannot read {path!r}: {error.strerror}") from error
        above = os.path.dirname(directory)
        if above == directory:
            return None, ""
        directory = above


def _distrust(about: os.stat_result, directory: str) -> str:
    """Why a file's settings do not count, or nothing.

    It may say ``BUILDER_HERMETIC=false``, so one that somebody else put into a directory above (``/tmp``) must not
    have a say. The owner of the caller's directory may: the commands that are about to run there are theirs, too.
    """
    if about.st_uid != 0 and about.st_uid not in _trusted(directory):  # 0 is root, or a system without such owners
        return f"it belongs to uid {about.st_uid}, neither to you nor to the owner of {directory!r}"
    if about.st_mode & stat.S_IWOTH:
        return "everybody can write it"
    return ""


def _trusted(directory: str) -> list[int]:
    trusted = [os.geteuid()]
    try:
        trusted.append(os.stat(directory).st_uid)
    except OSError:  # it has just gone
        pass
    return trusted


def _interpreted(found: dict[str, tuple[str, str]], notes: tuple[str, ...]) -> Settings:
    settings = Settings(notes=notes)
    if not found:
        return settings
    from bldr.cli.quantities import count, duration, limit, truth

    for key, (text, origin) in found.items():
        if key == "BUILDER_HERMETIC":
            settings = replace(settings, hermetic=truth(text, origin), hermetic_origin=origin)
        elif key == "BUILDER_HERMETIC_DEBUG":
            settings = replace(settings, debug=truth(text, origin))
        elif key == "BUILDER_HERMETIC_FORK":
            settings = replace(settings, fork=truth(text, origin))
        elif key == "BUILDER_HERMETIC_KILL_ON_PARENT_EXIT":
            settings = replace(settings, kill_on_parent_exit=truth(text, origin))
        elif key == "BUILDER_HERMETIC_EXEC":
            settings = replace(settings, exec=truth(text, origin))
        elif key == _AUDIT_LOG:
            settings = replace(settings, audit_log=text)
        elif key == "BUILDER_HERMETIC_NETWORK":
            settings = replace(settings, hosts=_hosts(text, origin))
        elif key == "BUILDER_HERMETIC_MAX_CHILDREN":
            settings = replace(settings, max_children=count(text, origin, minimum=0))
        elif key == "BUILDER_HERMETIC_TIMEOUT":
            settings = replace(settings, timeout=duration(text, origin))
        elif key == "BUILDER_HERMETIC_SILENCE":
            settings = replace(settings, silence=duration(text, origin))
        else:
            settings = replace(settings, limits=settings.limits.merge(limit(_LIMIT_KEYS[key], text, origin)))
    return settings


def _hosts(text: str, origin: str) -> tuple[str, ...]:
    """``false`` is no network; otherwise the hosts that may be reached."""
    from bldr.cli.quantities import FALSE, TRUE

    if text.lower() in FALSE:
        return ()
    if text.lower() in TRUE:
        raise UsageError(
            f"{origin}: the network cannot be opened as a whole",
            hint=f"name the hosts: {origin.rpartition(' ')[2]}=HOST[:PORT],...",
        )
    hosts = tuple(host.strip() for host in text.split(","))
    if not all(hosts):
        raise UsageError(f"{origin}: {text!r} holds an empty host name")
    return hosts


def _unknown(key: str, where: str) -> UsageError:
    near = nearest(key, KEYS)
    return UsageError(f"{where}: there is no setting {key!r}", hint=f"did you mean {near}?" if near else " ".join(KEYS))
