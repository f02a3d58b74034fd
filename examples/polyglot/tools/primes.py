"""primes.py COUNT: print a header with the first primes."""

import sys

found: list[int] = []
number = 2
while len(found) < int(sys.argv[1]):
    if all(number % prime for prime in found):
        found.append(number)
    number += 1
print(f"#define PRIMES {', '.join(map(str, found))}")
print(f"#define PRIME_COUNT {len(found)}")
