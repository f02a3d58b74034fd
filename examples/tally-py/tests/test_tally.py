from __future__ import annotations

import unittest

from tally import most_frequent, words


class TallyTest(unittest.TestCase):
    def test_case_does_not_matter(self) -> None:
        self.assertEqual(words("The cat, the dog; THE end."), ["the", "cat", "the", "dog", "the", "end"])

    def test_the_most_frequent_word_comes_first(self) -> None:
        self.assertEqual(most_frequent(["to be or", "not to be"], 3), [("be", 2), ("to", 2), ("not", 1)])
