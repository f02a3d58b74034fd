"""From options and settings to a spec: what ``run``, ``shell`` and ``plan`` have in common."""

from __future__ import annotations

import os

from bldr.cli.options import UsageError
from bldr.errors import SpecError
from bldr.model.environment import EnvSet
from bldr.model.limits import LIMITS, ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.model.paths import is_within
from bldr.model.process import ProcessPolicy
from bldr.model.spec import Access, SandboxSpecBuilder
from bldr.model.value import value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.cli.options import Parsed
    from bldr.cli.settings import Settings
    from bldr.model.spec import SandboxSpec

__all__ = ["Request", "caller_directory", "request", "split_mapping", "undeclared_directory"]

_DEFAULT_TOOLCHAIN = "system"


@value
class Request:
    """A spec and how to run a command in it. ``timeout`` and ``silence`` are in seconds."""

    spec: SandboxSpec
    cwd: str
    timeout: float | None
    silence: float | None = None


def caller_directory() -> str:
    """The directory that bldr was started in; empty when it has been deleted."""
    try:
        return os.getcwd()
    except OSError:
        return ""


def request(parsed: Parsed, settings: Settings, directory: str, environment: Mapping[str, str]) -> Request:
    """Build the spec that the options and settings describe.

    Args:
        parsed: The options of ``run``, ``shell`` or ``plan``.
        settings: What the environment and ``.builderrc`` say; a flag wins over it.
        directory: The caller's directory, to which relative host paths refer; empty when it has none.
        environment: The caller's variables, of which ``-e NAME`` passes one through.

    Raises:
        UsageError: A value cannot be read.
        SpecError: The sets contradict each other.
    """
    builder = SandboxSpecBuilder.create().carve()
    builder.with_toolchain(parsed.last("toolchain") or _DEFAULT_TOOLCHAIN)
    for text in parsed.all("input"):
        builder.input(*_host_and_inside(text, "-i", directory))
    for text in parsed.all("output"):
        builder.output(*_host_and_inside(text, "-o", directory))
    for text in parsed.all("overlay"):
        builder.overlay(*_host_and_inside(text, "--overlay", directory))
    for text in parsed.all("temp"):
        builder.temp(_absolute(text, "-t", directory))
    for text in parsed.all("fetch"):
        from bldr.cli.fetch import fetched_input

        builder.input(*fetched_input(text, environment))
    builder.default_home()
    builder.env_set(EnvSet.hermetic().without("HOME").without("TMPDIR"))
    for text in parsed.all("env"):
        builder.env(*_variable(text, environment))
    builder.with_network(_network(parsed, settings))
    builder.with_limits(_limits(parsed, settings))
    builder.with_process(_process(parsed, settings))
    _identity(builder, parsed)
    spec = builder.build()
    timeout, silence = settings.timeout, settings.silence
    if parsed.given("timeout") or parsed.given("silence"):
        from bldr.cli.quantities import duration

        if (given := parsed.last("timeout")) is not None:
            timeout = duration(given, "--timeout")
        if (given := parsed.last("silence")) is not None:
            silence = duration(given, "--silence")
    return Request(spec, _cwd(parsed, spec, directory), timeout, silence)


def _network(parsed: Parsed, settings: Settings) -> NetworkPolicy:
    hosts = parsed.all("allow-host") or list(settings.hosts or ())
    return NetworkPolicy.allow_hosts(hosts) if hosts else NetworkPolicy.hermetic()


def _limits(parsed: Parsed, settings: Settings) -> ResourceLimits:
    """The defaults, under what the settings say, under what the flags say."""
    limits = ResourceLimits.hermetic().merge(settings.limits)
    for name in LIMITS:
        option = name.replace("_", "-")
        if (text := parsed.last(option)) is not None:
            from bldr.cli.quantities import limit

            limits = limits.merge(limit(name, text, f"--{option}"))
    return limits


def _identity(builder: SandboxSpecBuilder, parsed: Parsed) -> None:
    if (name := parsed.last("hostname")) is not None:
        builder.hostname(name)
    if (text := parsed.last("uid")) is not None:
        from bldr.cli.quantities import user_id

        builder.uid(user_id(text, "--uid"))
    for text in parsed.all("require"):
        name, _, mechanism = text.partition("=")
        builder.require(_guarantee(name, "--require"), mechanism)
    for text in parsed.all("allow-degraded"):
        names = [name.strip() for name in text.split(",") if name.strip()]
        builder.allow_degraded(*(_guarantee(name, "--allow-degraded") for name in names))


def _guarantee(name: str, option: str) -> str:
    """Return the name of a guarantee or a group.

    Raises:
        UsageError: There is none of that name.
    """
    from bldr.model.receipt import guarantees_named

    try:
        guarantees_named([name])
    except SpecError as error:
        raise UsageError(f"{option}: {error.message}", hint=error.hint) from error
    return name


def _process(parsed: Parsed, settings: Settings) -> ProcessPolicy:
    children = settings.max_children
    if (text := parsed.last("max-children")) is not None:
        from bldr.cli.quantities import count

        children = count(text, "--max-children", minimum=0)

    def given(name: str, setting: bool) -> bool:  # noqa: FBT001  a value, not a switch
        if (text := parsed.last(name)) is None:
            return setting
        from bldr.cli.quantities import truth

        return truth(text, f"--{name}")

    return ProcessPolicy(
        max_children=children,
        kill_on_parent_exit=given("kill-on-parent-exit", settings.kill_on_parent_exit),
        allow_userns=parsed.given("allow-userns"),
        allow_fork=given("fork", settings.fork),
        allow_exec=given("exec", settings.exec),
    )


def _variable(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    name, equals, content = text.partition("=")
    if equals:
        return name, content
    if name not in environment:
        raise UsageError(
            f"-e {name}: the caller has no variable {name!r} to pass through", hint=f"give it a value: -e {name}=VALUE"
        )
    return name, environment[name]


def split_mapping(text: str) -> tuple[str, str | None]:
    r"""Split ``HOST[:AT]`` at the last colon that is followed by ``/``.

    ``\:`` is a colon that does not split, ``\\`` is a backslash; before anything else a backslash is itself.

    Example:
        >>> split_mapping("src:/work/src")
        ('src', '/work/src')
        >>> split_mapping("odd\\:/name")
        ('odd:/name', None)
    """
    host: list[str] = []
    split = -1
    index = 0
    while index < len(text):
        character = text[index]
        if character == "\\" and text[index + 1 : index + 2] in (":", "\\"):
            index += 1
            character = text[index]
        elif character == ":" and text[index + 1 : index + 2] == "/":
            split = len(host)
        host.append(character)
        index += 1
    if split < 0:
        return "".join(host), None
    return "".join(host[:split]), "".join(host[split + 1 :])


def _host_and_inside(text: str, option: str, directory: str) -> tuple[str, str | None]:
    host, at = split_mapping(text)
    if not host:
        raise UsageError(f"{option} {text}: the path is empty")
    return _absolute(host, option, directory), at


def _absolute(text: str, option: str, directory: str) -> str:
    """Make a path absolute the way the kernel would.

    ``..`` behind a symbolic link leads to the parent of the link's target, so it is not cancelled as text there.
    """
    if not text:
        raise UsageError(f"{option}: the path is empty")
    if not text.startswith("/"):
        if not directory:
            raise UsageError(
                f"{option} {text}: the path is relative, and the current directory was deleted",
                hint="cd to a directory that exists",
            )
        text = f"{directory}/{text}"
    path = "/"
    for name in text.split("/"):
        if name in ("", "."):
            continue
        if name == "..":
            path = os.path.dirname(os.path.realpath(path) if os.path.islink(path) else path)
        else:
            path = os.path.join(path, name)
    return path


def _cwd(parsed: Parsed, spec: SandboxSpec, directory: str) -> str:
    asked = parsed.last("cwd")
    if asked is not None:
        return _absolute(asked, "--cwd", directory)
    return directory if directory and _exists_inside(spec, directory) else "/"


def undeclared_directory(parsed: Parsed, asked: Request) -> str:
    """The caller's directory, when files of it are declared and the command ran in ``/`` all the same; else empty.

    Declaring files one by one does not declare their directory, so relative names do not lead to them.
    """
    directory = caller_directory()
    if asked.cwd != "/" or directory in ("", "/") or parsed.given("cwd"):
        return ""
    own = [declaration.at for declaration in asked.spec.declarations if not declaration.origin]
    return directory if any(is_within(at, directory) for at in own) else ""


def _exists_inside(spec: SandboxSpec, path: str) -> bool:
    """Whether a directory will be there: in an input or output, or a temp itself, or on the way to a path in one.

    A directory *below* a temp is not: temps start empty.
    """
    if spec.access(path) == Access.NONE:
        return False
    if path in spec.temps:
        return any(is_within(declaration.at, path) for declaration in spec.declarations)
    return os.path.isdir(spec.host_path(path))
