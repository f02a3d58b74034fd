"""The content of the files in ``/etc`` that are made for each sandbox.

The host's would tell who and where it is, and builds would depend on that. Nothing here does, except for what the spec
itself says: user id, host name and home directory.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from bldr.model.spec import SandboxSpec

__all__ = ["LOCALTIME", "content_of"]

_NOBODY = 65534  # the kernel shows ids that are not mapped as this one, see user_namespaces(7)

_NSSWITCH = b"""\
passwd: files
group: files
shadow: files
hosts: files
networks: files
protocols: files
services: files
ethers: files
rpc: files
"""


def _utc() -> bytes:
    """Return a time zone file of version 2 (RFC 8536): one type of local time, UTC, and no transition."""
    header = b"TZif2" + bytes(15)
    counts = b"".join(number.to_bytes(4, "big") for number in (0, 0, 0, 0, 1, 4))
    one_type = (0).to_bytes(4, "big") + b"\0\0"  # no offset, no daylight saving time, name at index 0
    block = header + counts + one_type + b"UTC\0"
    return block + block + b"\nUTC0\n"


LOCALTIME = _utc()


def content_of(name: str, spec: SandboxSpec) -> bytes:
    """Return the content of ``/etc/NAME``.

    Raises:
        KeyError: There is no such file.
    """
    return {
        "group": _group,
        "hostname": _hostname,
        "hosts": _hosts,
        "localtime": _localtime,
        "nsswitch.conf": _nsswitch,
        "passwd": _passwd,
        "resolv.conf": _resolv,
    }[name](spec)


def _passwd(spec: SandboxSpec) -> bytes:
    home = spec.environment.get("HOME") or "/"
    if ":" in home or "\n" in home:
        home = "/"
    lines = [f"root:x:0:0:root:{home if spec.uid == 0 else '/'}:/bin/sh"]
    if spec.uid not in (0, _NOBODY):
        lines.append(f"builder:x:{spec.uid}:{spec.uid}:builder:{home}:/bin/sh")
    lines.append(f"nobody:x:{_NOBODY}:{_NOBODY}:nobody:{home if spec.uid == _NOBODY else '/'}:/bin/sh")
    return os.fsencode("\n".join(lines) + "\n")


def _group(spec: SandboxSpec) -> bytes:
    lines = ["root:x:0:"]
    if spec.uid not in (0, _NOBODY):
        lines.append(f"builder:x:{spec.uid}:")
    lines.append(f"nogroup:x:{_NOBODY}:")
    return ("\n".join(lines) + "\n").encode()


def _hosts(spec: SandboxSpec) -> bytes:
    names = "" if spec.hostname == "localhost" else f" {spec.hostname}"
    return f"127.0.0.1 localhost{names}\n::1 localhost ip6-localhost ip6-loopback{names}\n".encode()


def _hostname(spec: SandboxSpec) -> bytes:
    return f"{spec.hostname}\n".encode()


def _localtime(_spec: SandboxSpec) -> bytes:
    return LOCALTIME


def _nsswitch(spec: SandboxSpec) -> bytes:
    return _NSSWITCH if spec.network.is_hermetic else _NSSWITCH.replace(b"hosts: files", b"hosts: files dns")


def _resolv(spec: SandboxSpec) -> bytes:
    """Without a network, name no server: the resolver then asks the loopback, where nobody answers."""
    if spec.network.is_hermetic:
        return b""
    from bldr.sandbox.linux.standins import NAME_SERVER

    return f"nameserver {NAME_SERVER}\n".encode()
