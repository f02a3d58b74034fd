"""``python -I -S .../_bldr_launcher CONTROL_FD SCRATCH_PARENT READY [landlock]``: started by the supervisor."""

from __future__ import annotations

import os
import sys

# -I leaves only this directory on the path. Its parent goes last, so nothing there can shadow the standard library.
_here = os.path.dirname(os.path.abspath(__file__))
sys.path = [entry for entry in sys.path if os.path.abspath(entry) != _here]
sys.path.append(os.path.dirname(_here))

import gc  # noqa: E402

from _bldr_launcher import init, server, syscalls  # noqa: E402

gc.disable()  # nothing here is cyclic; a collection would only copy pages that are shared with the sandboxes
gc.freeze()
init.close_all_but(int(sys.argv[1]))
if os.getsid(0) != os.getpid():
    os.setsid()
syscalls.overwrite_arguments()
kind: type[server.Launcher] = server.Launcher
if sys.argv[4:] == ["landlock"]:
    from _bldr_launcher.landlock_server import LandlockLauncher

    kind = LandlockLauncher
server.serve(int(sys.argv[1]), sys.argv[2], ready=int(sys.argv[3]), kind=kind)
