"""The fork server of sandboxes without namespaces: what differs from ``server``."""

from __future__ import annotations

import os

from _bldr_launcher import descendants, landlock_init, server, syscalls, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.cgroup import Group

__all__ = ["LandlockLauncher"]


class LandlockLauncher(server.Launcher):
    """Forks inits that stay in the host's namespaces, and adopts what an init that was killed leaves behind."""

    makes_mounts = False

    def gain_mounts(self) -> None:
        """Become the next subreaper above the inits: no mounts are made."""
        self.mode = b"landlock"
        self.kernel.prctl(syscalls.PR_SET_CHILD_SUBREAPER, 1)

    def new_group(self) -> None:
        """Make no cgroup: an init is put into one by clone3(2), which containers deny."""

    def start_init(self, link: int, uid: int, group: Group | None) -> int:
        """Fork an init."""
        parent = os.getpid()
        pid = os.fork()  # noqa: TID251  the launcher has one thread
        if pid == 0:
            landlock_init.main(link, parent, self.kernel)
        return pid

    def bury(self, pid: int, status: int) -> None:
        """Forget an init; when it did not end by itself, end what it left, and what that has forked meanwhile."""
        was_init = pid in self.children
        super().bury(pid, status)
        if status or not was_init:
            descendants.kill_all(self.children)

    def end_everything(self) -> None:
        """Ask every init to end its sandbox, and end what is left."""
        self.retire()
        for pid in self.children:
            os.kill(pid, wire.ENDING)  # ours and not reaped yet, so the number is still theirs
        for pid in self.children:
            os.waitpid(pid, 0)
        self.children = set()
        descendants.end_all()
