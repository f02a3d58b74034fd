"""report WORDS < TEXT: run the program and say what it has counted."""

import subprocess
import sys

from report.sentence import sentence

done = subprocess.run([sys.argv[1]], stdin=sys.stdin, capture_output=True, text=True, check=True)
print(sentence(*map(int, done.stdout.split())))
