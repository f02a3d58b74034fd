"""Numbers as a sentence."""


def sentence(lines: int, words: int, size: int) -> str:
    """Return what was counted, in words."""
    return f"{_many(words, 'word')} in {_many(lines, 'line')}, {_many(size, 'byte')}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
