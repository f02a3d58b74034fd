"""``python -I -S .../_bldr_launcher/gateway CONTROL_FD``: once for each sandbox with allowed hosts."""

from __future__ import annotations

import os
import sys

# -I leaves only this directory on the path; nothing else there may shadow the standard library.
_here = os.path.dirname(os.path.abspath(__file__))
sys.path = [entry for entry in sys.path if os.path.abspath(entry) != _here]
sys.path.append(os.path.dirname(os.path.dirname(_here)))

from _bldr_launcher.gateway.serving import serve  # noqa: E402

os.chdir("/")
for name in os.listdir("/proc/self/fd"):
    if int(name) > 2 and name != sys.argv[1]:
        try:
            os.close(int(name))  # of a caller that does not mark its own as close-on-exec
        except OSError:
            pass  # the descriptor of the listing itself
serve(int(sys.argv[1]))
os._exit(0)  # threads that still ask the resolver are not waited for
