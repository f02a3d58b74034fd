"""Leaves a process behind: ``survivor.py LOCK READY [stay]``. Double fork, own session, all signals ignored.

The survivor holds a lock on LOCK for as long as it lives, and ends when READY.stop can be opened for reading, which is
how the control gets rid of it. With ``stay`` the command itself waits for ever, for a timeout to end it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys

lock, ready = sys.argv[1:3]
reader, writer = os.pipe()
if os.fork() == 0:  # noqa: TID251  this process has one thread
    os.setsid()
    if os.fork() == 0:  # noqa: TID251
        os.close(reader)
        for number in range(1, 65):
            if number not in (signal.SIGKILL, signal.SIGSTOP, 32, 33):
                signal.signal(number, signal.SIG_IGN)
        fcntl.flock(os.open(lock, os.O_RDWR | os.O_CREAT, 0o600), fcntl.LOCK_EX)
        os.write(writer, b".")
        os.close(writer)
        open(f"{ready}.stop", "rb").close()  # a FIFO, which nobody ever opens inside
    os._exit(0)
os.close(writer)
os.wait()
assert os.read(reader, 1) == b"."
print("left one behind", flush=True)
if "stay" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pause()
    signal.pause()
