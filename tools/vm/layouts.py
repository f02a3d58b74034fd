"""The cgroups of a guest, as a list of steps. Pure: ``guest`` carries the steps out."""

from __future__ import annotations

__all__ = ["LAYOUTS", "ROOT", "cgroup_steps", "starting_cgroup"]

ROOT = "/sys/fs/cgroup"
LAYOUTS = {
    "v2": "cgroup v2 with every controller enabled, the command in the root cgroup",
    "delegated": "a subtree is the user's, the command in a leaf of it (systemd-run --user --scope -p Delegate=yes)",
    "session": "the same subtree, but the command in a scope that root owns (as after ssh, su or cron)",
    "ro": "cgroup v2, mounted read-only as in most containers",
    "v1": "cgroup v1 only",
    "hybrid": "cgroup v1, and a v2 hierarchy without controllers",
    "none": "nothing is mounted",
}

_V1_CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "pids", "blkio", "freezer", "devices")
_V2_OPTIONS = "nsdelegate,memory_recursiveprot"
_V2_OLD_OPTIONS = "nsdelegate"  # Linux 5.10 of some builds knows no recursive protection
_HANDED_OVER = ("cgroup.procs", "cgroup.threads", "cgroup.subtree_control")
_CHILDREN_GET = ("cpu", "memory", "pids")  # what user@.service hands on by default

Step = tuple[str, ...]


def _manager(uid: int) -> str:
    return f"{ROOT}/user.slice/user-{uid}.slice/user@{uid}.service"


def starting_cgroup(layout: str, uid: int) -> str:
    """Return the cgroup that the command starts in, or nothing where it stays in the root."""
    if layout == "delegated":
        return f"{_manager(uid)}/run-1.scope"
    return f"{ROOT}/user.slice/user-{uid}.slice/session-1.scope" if layout == "session" else ""


def cgroup_steps(layout: str, uid: int, gid: int, delegable: tuple[str, ...] = _HANDED_OVER) -> list[Step]:
    """Return what makes a layout.

    A step is one of ``("mount", place, fstype, options)``, ``("try-mount", …)`` (its place is removed when it fails),
    ``("mount-v2", place, options, older options)``, ``("mkdir", place)``, ``("enable", place, *controllers)`` (all
    when none is named), ``("own", file, uid, gid)`` (where it exists) and ``("read-only", place)``.
    """
    if layout == "none":
        return []
    if layout in ("v1", "hybrid"):
        steps: list[Step] = [("mount", ROOT, "tmpfs", "mode=755")]
        for name in _V1_CONTROLLERS:
            steps += [("mkdir", f"{ROOT}/{name}"), ("try-mount", f"{ROOT}/{name}", "cgroup", name)]
        if layout == "hybrid":
            steps += [("mkdir", f"{ROOT}/unified"), ("mount", f"{ROOT}/unified", "cgroup2", _V2_OLD_OPTIONS)]
        return steps
    steps = [("mount-v2", ROOT, _V2_OPTIONS, _V2_OLD_OPTIONS), ("enable", ROOT)]
    if layout == "ro":
        steps.append(("read-only", ROOT))
    if layout in ("delegated", "session"):
        steps += _systemd_like(layout, uid, gid, delegable)
    return steps


def _systemd_like(layout: str, uid: int, gid: int, delegable: tuple[str, ...]) -> list[Step]:
    """The tree of a login manager: everything is root's, but for what is below the user's own service."""
    manager = _manager(uid)
    user = manager.rpartition("/")[0]
    steps: list[Step] = []
    for place in (f"{ROOT}/user.slice", user):
        steps += [("mkdir", place), ("enable", place)]
    steps += [("mkdir", manager), ("mkdir", f"{user}/session-1.scope")]
    steps += [("own", name, str(uid), str(gid)) for name in (manager, *(f"{manager}/{file}" for file in delegable))]
    if layout == "delegated":
        leaf = starting_cgroup(layout, uid)
        steps += [("enable", manager, *_CHILDREN_GET), ("mkdir", leaf)]
        steps += [("own", name, str(uid), str(gid)) for name in (leaf, *(f"{leaf}/{file}" for file in _HANDED_OVER))]
    return steps
