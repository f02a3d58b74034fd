"""The files of a workspace, looked at once: the only module here that reads directories."""

from __future__ import annotations

import os
import stat
import time
from hashlib import sha256

from bldr.builderfile.places import STATE
from bldr.errors import BuilderfileError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIRECTORY", "FILE", "FILE_NAME", "LINK", "OTHER", "PRODUCTS", "ROOT_MARK", "Tree", "find_root"]

FILE_NAME = "Builderfile"
ROOT_MARK = ".builderrc"  # beside a Builderfile it marks the root of a workspace
PRODUCTS = "bin"  # the folder of the workspace in which products land

FILE = "file"
DIRECTORY = "directory"
LINK = "link"
OTHER = "other"


def find_root(directory: str) -> str:
    """Return the root of the workspace that a directory belongs to.

    It is the outermost directory with a Builderfile at or above; one that has a ``.builderrc`` beside its Builderfile
    ends the search. Files of strangers do not count: a Builderfile in ``/tmp`` must not take over what is below it.

    Args:
        directory: An absolute path; empty when the caller's has been deleted.

    Raises:
        BuilderfileError: There is none.
    """
    if not directory:
        raise BuilderfileError(
            "the current directory has been deleted", code="builderfile.not-found", hint="go to the workspace"
        )
    trusted = {0, os.stat(directory).st_uid} | ({os.geteuid()} if hasattr(os, "geteuid") else set())
    found = ""
    step = directory
    while True:
        if _is_trusted(os.path.join(step, FILE_NAME), trusted):
            found = step
            if os.path.lexists(os.path.join(step, ROOT_MARK)):
                break
        above = os.path.dirname(step)
        if above == step:
            break
        step = above
    if not found:
        raise BuilderfileError(
            f"there is no {FILE_NAME} in {directory!r} or above it",
            code="builderfile.not-found",
            hint=f"write one into the root of the project, or go there: it holds the file {FILE_NAME}",
        )
    return found


def _is_trusted(path: str, trusted: set[int]) -> bool:
    try:
        about = os.stat(path)
    except OSError:
        return False
    return stat.S_ISREG(about.st_mode) and about.st_uid in trusted


class Tree:
    """A workspace as it is on disk; each directory is read at most once.

    Args:
        root: The absolute path of the workspace.
    """

    __slots__ = ("_entries", "_real_root", "files_read", "root", "stamps")

    def __init__(self, root: str) -> None:
        self.root = root
        self._real_root = os.path.realpath(root)
        self._entries: dict[str, dict[str, str]] = {}
        self.stamps: dict[str, tuple[int, os.stat_result | None]] = {}
        self.files_read: dict[str, tuple[int, os.stat_result, str]] = {}

    @property
    def listed(self) -> Mapping[str, Mapping[str, str]]:
        """What was found so far, by folder; ``stamps`` tells when, and what stat(2) said before.

        ``files_read`` tells it of Builderfiles, and the SHA-256 of what was read, by folder.
        """
        return self._entries

    def entries(self, folder: str) -> dict[str, str]:
        """Return what is in a folder: kinds by name, sorted; empty where there is no such folder.

        Raises:
            BuilderfileError: It cannot be read.
        """
        known = self._entries.get(folder)
        if known is None:
            known = self._entries[folder] = self._read(folder)
        return known

    def _read(self, folder: str) -> dict[str, str]:
        try:
            self.stamps[folder] = time.time_ns(), os.stat(os.path.join(self.root, folder))
        except (OSError, ValueError):
            self.stamps[folder] = time.time_ns(), None
        try:
            with os.scandir(os.path.join(self.root, folder)) as found:
                return {
                    entry.name: LINK
                    if entry.is_symlink()
                    else DIRECTORY
                    if entry.is_dir(follow_symlinks=False)
                    else FILE
                    if entry.is_file(follow_symlinks=False)
                    else OTHER
                    for entry in sorted(found, key=lambda entry: entry.name)
                }
        except (FileNotFoundError, NotADirectoryError):
            return {}
        except OSError as error:
            raise BuilderfileError(
                f"cannot read the folder {folder or '.'!r}: {error.strerror}",
                code="builderfile.unreadable",
                hint="let the user read it, or name the files that do not lie in it",
            ) from error

    @property
    def listings(self) -> dict[str, tuple[str, ...]]:
        """The names in each folder that was read so far."""
        return {folder: tuple(entries) for folder, entries in self._entries.items()}

    def kind(self, path: str) -> str:
        """Return what is at a path, with links followed: a file, a directory, something else, or an empty string."""
        try:
            mode = os.stat(os.path.join(self.root, path)).st_mode
        except (OSError, ValueError):
            return ""
        return FILE if stat.S_ISREG(mode) else DIRECTORY if stat.S_ISDIR(mode) else OTHER

    def leads_out(self, path: str) -> str:
        """Return where a path leads when a link takes it out of the workspace, otherwise an empty string."""
        real = os.path.realpath(os.path.join(self.root, path))
        return "" if real == self._real_root or real.startswith(self._real_root.rstrip("/") + "/") else real

    def outside(self, path: str) -> str:
        """Return where a path leads when a link on the way takes it out of the workspace; it need not exist."""
        folder = ""
        for name in path.split("/"):
            kind = self.entries(folder).get(name)
            folder = f"{folder}/{name}" if folder else name
            if kind is None:
                return ""
            if kind == LINK:
                return self.leads_out(path)
        return ""

    def folders(self) -> list[str]:
        """Return the folders that have a Builderfile, a folder before those in it.

        Hidden folders are not entered, nor links to folders, nor what another workspace is the root of. Neither are
        folders that the user cannot read: nothing in them can be named, so nothing goes wrong silently.
        """
        found = []
        stack = [""]
        while stack:
            folder = stack.pop()
            try:
                entries = self.entries(folder)
            except BuilderfileError:
                if not folder:
                    raise
                continue
            if self.has_builderfile(folder):
                if folder and ROOT_MARK in entries:
                    continue
                found.append(folder)
            below = [
                f"{folder}/{name}" if folder else name
                for name, kind in entries.items()
                if kind == DIRECTORY and not name.startswith(".")
            ]
            stack += reversed(below)
        return sorted(found, key=lambda folder: folder.split("/") if folder else [])

    def has_builderfile(self, folder: str) -> bool:
        """Return whether a folder has a Builderfile."""
        return self.entries(folder).get(FILE_NAME) in (FILE, LINK)

    def is_closed(self, folder: str) -> bool:
        """Return whether wildcards stay out of a folder: it has targets of its own, or bldr writes it."""
        return folder in (STATE, PRODUCTS) or self.has_builderfile(folder)

    def read(self, folder: str) -> bytes:
        """Return the bytes of the Builderfile of a folder.

        Raises:
            OSError: It cannot be read.
        """
        path = os.path.join(self.root, folder, FILE_NAME)
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)  # a FIFO must not block
        fd = os.open(path, flags)
        with open(fd, "rb") as file:
            now, about = time.time_ns(), os.fstat(fd)
            if not stat.S_ISREG(about.st_mode):
                raise OSError(0, "it is not a regular file", path)
            from bldr.builderfile.source import LARGEST_FILE

            data = file.read(LARGEST_FILE + 1)
        self.files_read[folder] = now, about, sha256(data).hexdigest()
        return data
