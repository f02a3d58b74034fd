"""A terminal for tests: it understands what bldr writes, and complains of everything else."""

from __future__ import annotations

import re

__all__ = ["Screen"]

TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|([\r\n])|([^\x00-\x1f\x7f-\x9f])")


class Screen:
    """What somebody sees after some bytes; lines that leave it at the top are kept.

    Args:
        columns: Its width.
        rows: Its height.
    """

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.row = self.column = self.top = 0
        self.cells: list[list[str]] = [[]]

    def feed(self, data: bytes) -> None:
        text, at = data.decode("utf-8"), 0
        while at < len(text):
            token = TOKEN.match(text, at)
            assert token is not None, f"no such sequence: {text[at : at + 20]!r}"
            at = token.end()
            if token[2]:
                self.control(token[2], int(token[1].split(";")[0] or 0) if token[2] != "m" else 0)
            elif token[3] == "\r":
                self.column = 0
            elif token[3] == "\n":
                self.down()
            else:
                self.put(token[4])

    def control(self, kind: str, number: int) -> None:
        if kind == "K":
            del self.cells[self.row][self.column :]
        elif kind == "J":
            del self.cells[self.row][self.column :]
            del self.cells[self.row + 1 :]
        elif kind == "A":
            assert number > 0
            self.row = max(self.top, self.row - number)
        else:
            assert kind == "m", f"no such control: {kind}"

    def down(self) -> None:
        self.row += 1
        while len(self.cells) <= self.row:
            self.cells.append([])
        self.top = max(self.top, len(self.cells) - self.rows, self.row - self.rows + 1)

    def put(self, character: str) -> None:
        if self.column == self.columns:
            self.column = 0
            self.down()
        line = self.cells[self.row]
        line += [" "] * (self.column + 1 - len(line))
        line[self.column] = character
        self.column += 1

    @property
    def lines(self) -> list[str]:
        """Everything that was ever written and not erased."""
        found = ["".join(line).rstrip() for line in self.cells]
        while found and not found[-1]:
            found.pop()
        return found
