"""A host of a few paths, for decisions that ask about one."""

from __future__ import annotations

from bldr.explain.host import Host


class FakeHost(Host):
    """A host that has exactly these files and the directories that lead to them; a slash at the end is a directory."""

    def __init__(self, *paths: str, home: str = "/home/me") -> None:
        super().__init__({"HOME": home}, "/home/me/work", "/home/me/work")
        self.entries: dict[str, set[str]] = {"/": set()}
        self.files: set[str] = set()
        for path in paths:
            names = path.strip("/").split("/")
            for length, name in enumerate(names):
                above = "/" + "/".join(names[:length])
                self.entries.setdefault(above, set()).add(name)
            if path.endswith("/"):
                self.entries.setdefault(path.rstrip("/"), set())
            else:
                self.files.add(path)

    def has(self, path: str) -> bool:
        return path in self.files or path in self.entries

    def real(self, path: str) -> str:
        return path

    def is_directory(self, path: str) -> bool:
        return path in self.entries

    def names_in(self, path: str) -> list[str]:
        if path not in self.entries:
            raise NotADirectoryError(path)
        return sorted(self.entries[path])
