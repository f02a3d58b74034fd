import unittest

from statspy import primes_among


class TestPrimes(unittest.TestCase):
    def test_primes_are_found(self) -> None:
        self.assertEqual(primes_among([1, 2, 3, 4, 5]), [2, 3, 5])

    def test_of_nothing_there_are_none(self) -> None:
        self.assertEqual(primes_among([]), [])
