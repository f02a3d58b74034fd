"""Run a command on a tree without touching it, look at what it would have changed, then take that over or drop it."""

from __future__ import annotations

import os

from bldr.errors import CommitError
from bldr.execution.changes import compare, take_snapshot
from bldr.execution.executor import HermeticExecutor
from bldr.model.paths import is_within, parent
from bldr.model.value import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from bldr.audit.log import AuditLog
    from bldr.execution.changes import Change, Snapshot
    from bldr.model.spec import SandboxSpec
    from bldr.sandbox.linux.launcher import Launcher

__all__ = ["Trial"]

_LIST = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Trial:
    """An execution whose overlays can be committed to the host afterwards.

    Run the command by its ``executor``; each execution starts from the host's files again. Use the trial as a context
    manager: what is neither committed nor dropped when it is left is dropped.

    Args:
        spec: It has one overlay or more.
        launcher: The fork server to use; the one of this process by default.
        audit: Where violations and denials are written.

    Raises:
        CommitError: The spec has no overlay, or an earlier commit was killed in the middle and cannot be undone.
        BldrError: What :meth:`HermeticExecutor.create` raises.

    Example:
        >>> from bldr import SandboxSpecBuilder, Trial
        >>> spec = SandboxSpecBuilder.create().carve().with_toolchain("system").overlay("/src").build()
        >>> with Trial(spec) as trial:  # doctest: +SKIP
        ...     if trial.executor.execute(["make", "install"], cwd="/src").success:
        ...         trial.commit()
    """

    def __init__(self, spec: SandboxSpec, *, launcher: Launcher | None = None, audit: AuditLog | None = None) -> None:
        from _bldr_launcher import scratch
        from bldr.sandbox.select import layered_backend_for

        if not spec.overlays:
            raise CommitError(
                "there is nothing to try: the spec has no overlay",
                code="commit.nothing",
                hint="declare what the command may change: --overlay DIR",
            )
        if audit is not None:
            audit.prepare()
        self.notes: tuple[str, ...] = ()
        self._trees: list[_Tree] = []
        self._lock = -1
        self._home, self._lock = scratch.create_base(_scratch_parent())
        try:
            self._backend = layered_backend_for(spec, launcher, self._home)
            self.executor = HermeticExecutor(self._backend, audit)
            self._look()
        except BaseException:
            self.close()
            raise

    def _look(self) -> None:
        entries = self._backend.resolved.entries
        for one in entries:
            if one.role == "overlay":
                inner = [other.at for other in entries if other.at != one.at and is_within(other.at, one.at)]
                tree = _Tree(one.at, one.host, frozenset([at[len(one.at) + 1 :] for at in inner]))
                self._trees.append(tree)
                self.notes += tree.look()

    def copy_overlays(self, reason: str) -> None:
        """Let the next executions work on private copies in place of overlays.

        Args:
            reason: Why, for their receipts.
        """
        self._backend.copy_overlays(reason)

    def changes(self) -> tuple[Change, ...]:
        """Return what the last execution changed; paths are those of the host.

        Raises:
            OSError: What it left cannot be read.
        """
        return tuple(
            replace(
                one,
                path=os.path.join(tree.host, one.path),
                same_as=one.same_as and os.path.join(tree.host, one.same_as),
            )
            for tree in self._trees
            for one in tree.changes(self._home)
        )

    def commit(self) -> None:
        """Take the changes over to the host. One tree is taken over as a whole or not at all.

        Raises:
            CommitError: Somebody has changed what would be changed, or it cannot be written; the tree is as it was.
        """
        for tree in self._trees:
            tree.commit(self._home)
        self.close()

    def drop(self) -> None:
        """Forget the changes."""
        self.close()

    def close(self) -> None:
        """Remove what the execution left; harmless the second time."""
        from _bldr_launcher import scratch

        for tree in self._trees:
            tree.close()
        if self._lock >= 0:
            scratch.remove_tree(self._home)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class _Tree:
    """One overlay: a directory of the host, or the directory of a file, of which only that name counts."""

    def __init__(self, at: str, host: str, without: frozenset[str]) -> None:
        self.at = at
        self._is_file = not os.path.isdir(host)
        self.host = parent(host) if self._is_file else host
        self._name = os.path.basename(host)
        self._without = without
        self._snapshot: Snapshot = {}
        self._root = -1

    def look(self) -> tuple[str, ...]:
        """Undo what an earlier commit has left, then note what the tree is like."""
        from bldr.execution.commit import recover

        self._root = os.open(self.host, _LIST)
        told = recover(self._root, name=self.host)
        if self._is_file:
            status = os.stat(self._name, dir_fd=self._root, follow_symlinks=False)
            self._snapshot = {self._name: (status.st_ino, status.st_ctime_ns, status.st_mode)}
        else:
            self._snapshot = take_snapshot(self._root, without=self._without)
        return told

    def _layer(self, home: str) -> tuple[int, bool] | None:
        """Open what the execution left, and say whether it is a whole copy; ``None`` when it left nothing."""
        from bldr.sandbox.linux.prepared import layer_path

        copy = layer_path(home, self.at, is_copy=True)
        if os.path.isdir(copy):
            return os.open(copy, _LIST), True
        upper = layer_path(home, self.at, is_copy=False) + "/upper"
        if os.path.isdir(upper):
            return os.open(upper, _LIST), False
        return None

    def changes(self, home: str) -> tuple[Change, ...]:
        layer = self._open(home)
        if layer is None:
            return ()
        fd, is_whole = layer
        try:
            names = frozenset([self._name]) if self._is_file else None
            found = compare(fd, self._root, is_whole=is_whole, without=self._without, within=names)
        finally:
            os.close(fd)
        return tuple([one for one in found if not self._is_way(one, found)])

    def _is_way(self, change: Change, found: Sequence[Change]) -> bool:
        """Say whether a directory was made only on the way to a place that something else was mounted on."""
        inside = change.path + "/"
        return (
            change.kind == "added"
            and any(path.startswith(inside) for path in self._without)
            and not any(other.path.startswith(inside) and other.type != "dir" for other in found)
        )

    def _open(self, home: str) -> tuple[int, bool] | None:
        """As ``_layer``, also for a file: its copy is put into a directory under its name."""
        if not self._is_file:
            return self._layer(home)
        from bldr.sandbox.linux.prepared import layer_path

        copy = layer_path(home, self.at, is_copy=True)
        if not os.path.lexists(copy):
            return None
        directory = copy + ".dir"
        os.makedirs(directory, exist_ok=True)
        if not os.path.lexists(f"{directory}/{self._name}"):
            os.link(copy, f"{directory}/{self._name}", follow_symlinks=False)
        return os.open(directory, _LIST), True

    def commit(self, home: str) -> None:
        from bldr.execution.commit import commit

        layer = self._open(home)
        if layer is None:
            return
        fd, _ = layer
        try:
            commit(self._root, fd, self.changes(home), self._snapshot, name=self.host)
        finally:
            os.close(fd)

    def close(self) -> None:
        if self._root >= 0:
            os.close(self._root)
            self._root = -1


def _scratch_parent() -> str:
    from bldr.sandbox.linux.spawning import scratch_parent

    return scratch_parent()
