"""What would allow a denied access: the smallest declaration, as it is spelled, and what speaks against it. Pure."""

from __future__ import annotations

import os
import shlex

from bldr.explain.cause import Remedy
from bldr.model.paths import components, is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.explain.host import Host
    from bldr.model.spec import SandboxSpec

__all__ = [
    "allow_host",
    "allow_read",
    "allow_variable",
    "allow_write",
    "holds_secrets",
    "nearest",
    "raise_limit",
    "warning_about",
]

_SECRETS = (
    ".ssh", ".aws", ".gnupg", ".kube", ".docker", ".config/gh", ".config/gcloud", ".azure", ".netrc", ".npmrc",
    ".pypirc", ".cargo/credentials", ".cargo/credentials.toml", ".git-credentials", ".password-store", ".config/hub",
    ".m2/settings.xml", ".gem/credentials", ".vault-token", ".bash_history", ".local/share/keyrings", ".mozilla",
    ".config/google-chrome",
)  # fmt: skip
_SECRET_NAMES = ("id_rsa", "id_ed25519", "id_ecdsa", ".env", "credentials.json", "secrets.yaml", "shadow", "gshadow")
_SECRET_ENDINGS = (".pem", ".key", ".p12", ".pfx", ".keytab", ".kdbx")
_DAEMONS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "dbus/system_bus_socket", "libvirt-sock")


def allow_read(path: str) -> Remedy:
    """Return what makes a path readable."""
    line = f"hermetic: {{ inputs: [{_text(path)}]; }}"
    return Remedy((f"-i {_option(path)}",), (f".input({path!r})",), (line,))


def allow_write(directory: str, *, overlay: bool, workspace: str = "") -> Remedy:
    """Return what makes a directory writable; with ``overlay`` also what keeps nothing of it.

    Args:
        directory: A directory of the host.
        overlay: Whether it holds what is read.
        workspace: Outputs of a Builderfile are relative to its folder; this is taken for it.
    """
    lines: tuple[str, ...] = ()
    if workspace and directory != workspace and is_within(directory, workspace):
        lines = (f"hermetic: {{ outputs: [{_text(directory[len(workspace.rstrip('/')) + 1 :] + '/')}]; }}",)
    found = Remedy((f"-o {_option(directory)}",), (f".output({directory!r})",), lines)
    return found | Remedy((f"--overlay {_option(directory)}",), (f".overlay({directory!r})",)) if overlay else found


def allow_host(host: str, port: str) -> Remedy:
    """Return what lets connections to a host out."""
    endpoint = f"{host}:{port}" if port else host
    line = f"hermetic: {{ network: {{ allowHosts: [{_text(endpoint)}]; }} }}"
    return Remedy(
        (f"--allow-host {endpoint}",), (f".with_network(NetworkPolicy.allow_hosts([{endpoint!r}]))",), (line,)
    )


def allow_variable(name: str, content: str | None = None) -> Remedy:
    """Return what sets a variable, by default to what the caller has, which a Builderfile cannot know."""
    if content is None:
        line = f'hermetic: {{ env: {{ {_text(name)}: "…" }}; }}'
        return Remedy((f"-e {name}",), (f".env({name!r}, os.environ[{name!r}])",), (line,))
    line = f"hermetic: {{ env: {{ {_text(name)}: {_text(content)} }}; }}"
    return Remedy((f"-e {name}={content}",), (f".env({name!r}, {content!r})",), (line,))


def raise_limit(name: str) -> Remedy:
    """Return what raises a limit or a timeout."""
    option = {"wall_time": "timeout"}.get(name, name.replace("_", "-"))
    call = {"wall_time": "timeout=…", "silence": "silence=…"}.get(name, f"limits=ResourceLimits({name}=…)")
    first, *rest = name.split("_")
    key = first + "".join(part.capitalize() for part in rest)
    lines = {"wall_time": ('hermetic: { timeout: "…"; }',), "silence": ()}
    return Remedy((f"--{option} MORE",), (call,), lines.get(name, (f'hermetic: {{ resources: {{ {key}: "…"; }} }}',)))


def nearest(path: str, spec: SandboxSpec) -> str:
    """Return the declared path that has most components in common with a path, and its role; empty for none."""
    wanted = components(path)
    best, common = "", 0
    for declaration in spec.declarations:
        names = components(declaration.at)
        shared = 0
        for one, other in zip(names, wanted, strict=False):
            if one != other:
                break
            shared += 1
        if shared > common:
            best, common = f"{declaration.at} ({declaration.role})", shared
    return best


def warning_about(path: str, home: str) -> str:
    """Say why a path should not simply be declared; empty when nothing speaks against it."""
    if any(path.endswith(f"/{one}") for one in _DAEMONS):
        return "who may talk to this daemon can do on the host whatever the daemon can"
    name = os.path.basename(path)
    if name in _SECRET_NAMES or name.endswith(_SECRET_ENDINGS):
        return "it looks like a secret: whatever the command runs could read it"
    if home and home != "/":
        if path == home or path == os.path.dirname(home):
            return "it is a home directory, with everything in it: declare the one file that is needed"
        if path.startswith(home + "/"):
            inside = path[len(home) + 1 :]
            if any(inside == one or inside.startswith(one + "/") for one in _SECRETS):
                return "it may hold secrets: whatever the command runs could read it"
    return ""


def holds_secrets(directory: str, host: Host) -> bool:
    """Whether a directory is, holds or lies in a place of secrets, or has a name in it that looks like one."""
    if warning_about(directory, host.home):
        return True
    if host.home and any(is_within(f"{host.home}/{one}", directory) for one in _SECRETS):
        return True
    try:
        names = host.names_in(directory)
    except OSError:
        return False
    return any(warning_about(f"{directory}/{name}", host.home) for name in names)


def _option(path: str) -> str:
    """Write a path as the shell and the option take it: a colon before a slash would split it."""
    return shlex.quote(path.replace(":/", "\\:/"))


def _text(text: str) -> str:
    """Write a text as a Builderfile takes it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
