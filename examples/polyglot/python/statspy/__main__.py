"""statspy NUMBER...: print those that are primes."""

import sys

from statspy import primes_among

print(*primes_among([int(word) for word in sys.argv[1:]]))
