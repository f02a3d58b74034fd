"""A launcher that makes no cgroups, wherever it could: what they cost is the difference. Started by a benchmark.

``launcher_without_cgroups.py DIRECTORY-OF-THE-PACKAGES CONTROL_FD SCRATCH_PARENT READY``
"""

import gc
import os
import sys

sys.path.append(sys.argv[1])

from _bldr_launcher import init, server

if __name__ == "__main__":
    gc.disable()
    gc.freeze()
    init.close_all_but(int(sys.argv[2]))
    os.setsid()
    server.find_place = lambda: None
    server.serve(int(sys.argv[2]), sys.argv[3], ready=int(sys.argv[4]))
