"""``tally.pyz [N]``: the N most frequent words of standard input (10 when N is not given)."""

from __future__ import annotations

import sys

from tally import most_frequent


def run() -> None:
    for word, count in most_frequent(sys.stdin, int(sys.argv[1]) if len(sys.argv) > 1 else 10):
        print(f"{count:7} {word}")


if __name__ == "__main__":
    run()
