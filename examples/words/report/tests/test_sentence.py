import unittest

from report.sentence import sentence


class TestSentence(unittest.TestCase):
    def test_one_is_not_many(self) -> None:
        self.assertEqual(sentence(1, 2, 10), "2 words in 1 line, 10 bytes")
