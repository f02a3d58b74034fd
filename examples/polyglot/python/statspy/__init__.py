"""Numbers, with the help of a library in C."""

import _stats


def primes_among(numbers: list[int]) -> list[int]:
    """Return those that are small primes."""
    return [number for number in numbers if _stats.is_small_prime(number)]
