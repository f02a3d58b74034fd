#!/bin/sh
# version.sh FILE: print a header that holds the version that is in a file.
set -eu
printf '#ifndef VERSION_H\n#define VERSION_H\n#define VERSION "%s"\n#endif\n' "$(cat "$1")"
