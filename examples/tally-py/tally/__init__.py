"""Counting words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

__all__ = ["most_frequent", "words"]


def words(text: str) -> list[str]:
    """Split a text into its words: runs of letters and digits, in lower case."""
    return "".join(c.lower() if c.isalnum() else " " for c in text).split()


def most_frequent(lines: Iterable[str], most: int) -> list[tuple[str, int]]:
    """Return the most frequent words with their counts, equals in alphabetical order."""
    counts = Counter(word for line in lines for word in words(line))
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
