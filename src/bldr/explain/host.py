"""What the host has: the questions that an explanation asks, and nothing else."""

from __future__ import annotations

import os

from bldr.model.paths import is_within

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Host"]

_LIBRARIES = (
    "/usr/local/lib", "/usr/local/lib64", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu", "/usr/local/lib/x86_64-linux-gnu", "/usr/local/lib/aarch64-linux-gnu",
)  # fmt: skip
_HEADERS = ("/usr/local/include", "/usr/include")
_PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class Host:
    """The host as the caller sees it; a test gives another one.

    Args:
        environment: The caller's variables.
        directory: The directory that relative names of the command refer to.
        caller: The caller's own directory; empty when it has none.
        shown: Where the host has directories that the command knows by another path.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        directory: str,
        caller: str = "",
        shown: Mapping[str, str] | None = None,
    ) -> None:
        self.environment = environment
        self.directory = directory
        self.caller = caller
        self.home = environment.get("HOME", "")
        self._shown = shown or {}

    def has(self, path: str) -> bool:
        """Whether something is at a path."""
        return os.path.lexists(self._of_host(path))

    def real(self, path: str) -> str:
        """Return a path without links."""
        return os.path.realpath(path)

    def is_directory(self, path: str) -> bool:
        """Whether it is a directory."""
        return os.path.isdir(self._of_host(path))

    def names_in(self, path: str) -> list[str]:
        """Return what a directory holds.

        Raises:
            OSError: It cannot be listed.
        """
        return os.listdir(path)

    def program(self, name: str) -> str:
        """Find a program the way the caller's shell would; an empty text when there is none."""
        directories = [one for one in self.environment.get("PATH", "").split(os.pathsep) if one.startswith("/")]
        return self._first(name, (*directories, *_PROGRAMS), executable=True)

    def library(self, name: str) -> str:
        """Find a shared library."""
        named = [one for one in self.environment.get("LD_LIBRARY_PATH", "").split(os.pathsep) if one.startswith("/")]
        return self._first(name, (*named, *_LIBRARIES))

    def header(self, name: str, beside: Iterable[str]) -> str:
        """Find a header: in some directories, the ``include`` above them, and where headers are installed."""
        places: list[str] = []
        for directory in beside:
            places.append(directory)
            above = directory
            while above.strip("/"):
                places.append(f"{above}/include")
                above = os.path.dirname(above)
        return self._first(name, (*places, *_HEADERS))

    def package(self, name: str) -> str:
        """Find the description of a package for pkg-config."""
        named = [one for one in self.environment.get("PKG_CONFIG_PATH", "").split(os.pathsep) if one.startswith("/")]
        places = [f"{one}/pkgconfig" for one in (*_LIBRARIES, "/usr/local/share", "/usr/share")]
        return self._first(f"{name}.pc", (*named, *places))

    def cmake_package(self, name: str) -> str:
        """Find the description of a package for CMake's ``find_package``."""
        named = [one for one in self.environment.get("CMAKE_PREFIX_PATH", "").split(os.pathsep) if one.startswith("/")]
        places = [
            f"{prefix}{place}"
            for prefix in (*named, "/usr/local")
            for place in (
                "",
                "/cmake",
                f"/lib/cmake/{name}",
                f"/lib64/cmake/{name}",
                f"/share/cmake/{name}",
                f"/{name}",
            )
        ]
        return self._first(f"{name}Config.cmake", places) or self._first(f"{name.lower()}-config.cmake", places)

    def module(self, name: str) -> str:
        """Find a module of Python where packages are installed beside the distribution's."""
        first = name.partition(".")[0]
        places: list[str] = []
        homes = [f"{self.home}/.local/lib"] if self.home else []
        for base in (*homes, "/usr/local/lib"):
            try:
                versions = sorted(one for one in self.names_in(base) if one.startswith("python3"))
            except OSError:
                continue
            places += [f"{base}/{one}/{kind}" for one in versions for kind in ("site-packages", "dist-packages")]
        return self._first(first, places) or self._first(f"{first}.py", places)

    def _of_host(self, path: str) -> str:
        for inside, outside in self._shown.items():
            if is_within(path, inside):
                return outside + path[len(inside) :]
        return path

    def _first(self, name: str, directories: Iterable[str], *, executable: bool = False) -> str:
        for directory in directories:
            path = f"{directory}/{name}"
            if executable and not (os.path.isfile(path) and os.access(path, os.X_OK)):
                continue
            if self.has(path):
                return os.path.normpath(path)
        return ""
