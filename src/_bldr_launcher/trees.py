"""The sources of a sandbox: opened by the launcher, which can see them, and sent to init as detached mounts."""

from __future__ import annotations

import errno
import os

from _bldr_launcher import channel, init, overlay, root, syscalls, wire

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _bldr_launcher.kernel import Kernel
    from _bldr_launcher.stock import Plan

__all__ = ["Trees", "close_all"]

FIRST_MESSAGE = 16  # trees; each following message has twice as many as the one before, up to what init takes
MESSAGES_UNDER_WAY = 4  # times 64 trees; the kernel bounds a user's descriptors under way by RLIMIT_NOFILE (unix(7))


class Trees:
    """Copies the mounts of sources and sends them.

    Args:
        kernel: The system calls.
        maps: Whether the caller's files have to be shown as inside-root's, through an id map.
    """

    def __init__(self, kernel: Kernel, *, maps: bool) -> None:
        self._kernel = kernel
        self._maps = maps
        self._idmap = -1  # descriptor of a user namespace with that map

    def make_map(self) -> None:
        """Make the namespace with the map.

        Raises:
            OSError: There are no user namespaces.
        """
        self._idmap = root.identity_namespace(wire.SANDBOX_ID, self._kernel)

    def map_as(self, pid: int) -> None:
        """Map ids as the user namespace of an init does whose root is the usual one, unless there is a map already.

        Raises:
            OSError: It has died.
        """
        if self._idmap < 0:
            self._idmap = os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)

    def send(self, link: int, plan: Plan, place: bytes) -> None:
        """Open every source here and send the detached trees after the request, as fast as init attaches them.

        The sandbox has left the host's files behind already; and as real root it could neither reach nor own them.

        Args:
            link: Socket to init.
            plan: What needs trees.
            place: Host directory of its temps.
        """
        parts = _parts(_sources(plan, place))
        answers = 0  # that have been asked for and not been read
        try:
            for index, part in enumerate(parts):
                if answers == MESSAGES_UNDER_WAY:
                    os.read(link, 1)
                    answers -= 1
                # No answer may be left unread: closing the socket would then reset it, and what was sent be lost.
                answer = index + MESSAGES_UNDER_WAY < len(parts)
                complete = self._send_part(link, plan, part, answer=answer)
                answers += answer
                if not complete:
                    break
            while answers:
                os.read(link, 1)
                answers -= 1
        except (BrokenPipeError, ConnectionResetError):
            pass  # init met a failure of its own and has reported it

    def send_ahead(self, link: int, plan: Plan, place: bytes) -> list[tuple[bytes, int]] | None:
        """Send the trees of a plan that nobody has asked for yet; there are few enough for one message.

        None is sent when one shows foreign ids: an output of them would have to be given away (see ``ownership``).

        Args:
            link: Socket to init.
            plan: What needs trees.
            place: Host directory of its temps.

        Returns:
            The host path of each source that is no temp, and the descriptor of its tree, the caller's to close;
            None when nothing was sent.

        Raises:
            OSError: One cannot be opened, or init is gone.
        """
        held: list[tuple[bytes, int]] = []
        fds: list[int] = []
        try:
            for one in _sources(plan, place):
                fd, mapped = self._open(one.path, is_temp=False, is_tree=one.is_tree)
                fds.append(fd)
                if not mapped:
                    close_all(fds)
                    return None
                if not one.is_temp:
                    held.append((one.path, fd))
            if fds:
                channel.send(link, wire.pack([b"trees", b"1" * len(fds), b"0"]), fds)
        except OSError:
            close_all(fds)
            raise
        kept = [fd for _, fd in held]
        close_all([fd for fd in fds if fd not in kept])
        return held

    def _send_part(self, link: int, plan: Plan, part: list[overlay.Source], *, answer: bool) -> bool:
        """Send some trees; False when one could not be opened, which init is told in its place."""
        fds: list[int] = []
        marks = b""
        failure: list[bytes] = []
        try:
            for one in part:
                try:
                    fd, mapped = self._open(one.path, is_temp=one.is_temp, is_tree=one.is_tree)
                    fds.append(fd)
                    if not mapped and one.at in plan.unsealed:
                        _give(one.path, linked=False)
                except OSError as error:
                    failure = [b"failed", str(error.errno).encode(), os.fsencode(str(error.args[-1]))]
                    break
                marks += b"1" if mapped else b"0"
            if fds:
                channel.send(link, wire.pack([b"trees", marks, b"1" if answer else b"0"]), fds)
            elif answer:
                channel.send(link, wire.pack([b"trees", b"", b"1"]))
            if failure:
                channel.send(link, wire.pack(failure))
        finally:
            close_all(fds)
        return not failure

    def _open(self, source: bytes, *, is_temp: bool, is_tree: bool) -> tuple[int, bool]:
        """Copy the mounts at a path, detached.

        As real root the copy shows the caller's files as inside-root's, through an id map; for a user nothing has to
        be mapped.

        Args:
            source: Host path.
            is_temp: Whether it is in a scratch directory; it is given away where it cannot be mapped.
            is_tree: Whether it is a directory.

        Returns:
            The descriptor, and whether the ids are the caller's.

        Raises:
            OSError: The path cannot be opened.
        """
        flags = syscalls.OPEN_TREE_CLONE | syscalls.AT_RECURSIVE | os.O_CLOEXEC
        fd = self._kernel.open_tree(syscalls.AT_FDCWD, source, flags)
        if is_tree:
            try:
                self._isolate(fd, devices=source == b"/dev" or source.startswith(b"/dev/"))
            except OSError:
                os.close(fd)
                raise
        if not self._maps:
            return fd, True
        # A mount below that cannot be mapped must not keep the top one from it.
        for reach in (syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE, syscalls.AT_EMPTY_PATH):
            try:
                self._kernel.mount_setattr(fd, b"", reach, set_=syscalls.MOUNT_ATTR_IDMAP, userns_fd=self._idmap)
            except OSError as error:
                if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EPERM, errno.EOPNOTSUPP):
                    os.close(fd)
                    raise
            else:
                return fd, True
        if is_temp and is_tree:
            _give(source, linked=True)
        elif is_temp:
            os.chown(source, wire.SANDBOX_ID, wire.SANDBOX_ID)
        return fd, False

    def _isolate(self, fd: int, *, devices: bool) -> None:
        """Cut a copied tree off from the mounts it was copied from, and make set-id bits and device nodes in it dead.

        A copy of a shared mount is a peer of the host's own: what is mounted in it appears on the host, and the other
        way round. A device node works in spite of a read-only mount, and as real root the id map makes the command its
        owner; only what was declared below /dev is meant to be a device.
        """
        attributes = syscalls.MOUNT_ATTR_NOSUID | (0 if devices else syscalls.MOUNT_ATTR_NODEV)
        reach = syscalls.AT_EMPTY_PATH | syscalls.AT_RECURSIVE
        try:
            self._kernel.mount_setattr(fd, b"", reach, set_=attributes, propagation=syscalls.MS_PRIVATE)
        except OSError as error:
            if error.errno != errno.ENOSYS:  # before Linux 5.12, where the seal cuts it off
                raise


def close_all(fds: list[int]) -> None:
    """Close descriptors, and forget them."""
    while fds:
        os.close(fds.pop())


def _parts(sources: list[overlay.Source]) -> list[list[overlay.Source]]:
    """Divide sources into messages, small ones first, so that init has something to do early."""
    parts = []
    start, size = 0, FIRST_MESSAGE
    while start < len(sources):
        parts.append(sources[start : start + size])
        start, size = start + size, min(2 * size, init.TREES_PER_MESSAGE)
    return parts


def _sources(plan: Plan, place: bytes) -> list[overlay.Source]:
    alone = len(plan.modes) == 1
    return [one for step in plan.steps for one in overlay.sources_of(step[0], step[1:], place, alone=alone)]


def _give(source: bytes, *, linked: bool) -> None:
    """Let inside-root own a tree that cannot be mapped; the supervisor gives an output back to the caller.

    Raises:
        OSError: The file system refuses it.
    """
    from _bldr_launcher import ownership

    ownership.hand_over(source, os.geteuid(), (wire.SANDBOX_ID, wire.SANDBOX_ID), linked=linked)
