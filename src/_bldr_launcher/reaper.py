"""Wait for the end of the command, as the one who adopts its orphans: reap, forward signals, count, end who is left."""

from __future__ import annotations

import _signal
import os
import resource

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FORWARDED", "end_report", "end_survivors", "started_since", "wait_for"]

FORWARDED = (
    _signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2,
    _signal.SIGWINCH, _signal.SIGCONT, _signal.SIGTSTP,
)  # fmt: skip
GRAIN = 256  # KiB; Linux counts resident pages for each CPU apart and adds them up now and then (mm_counter)
GROWTH = 4096  # KiB that a copy of init uses at most before it becomes the command


def wait_for(pid: int, end_survivors: Callable[[], int], *, ending: int = 0) -> tuple[int, int] | None:
    """Reap everybody; forward the signals of the host to the command's process group; return when the command ends.

    The signals stay blocked and are taken one by one: process 1 is spared every signal that it has no handler for, but
    a blocked one is queued for it all the same (signal(7), pid_namespaces(7)).

    Args:
        pid: The command.
        end_survivors: Kills and reaps whatever the command left, and says how many that were.
        ending: The signal that asks this process to end everything, where it is not process 1 of a namespace, with
            which the kernel would end everything; 0 where it is.

    Returns:
        Its wait status, and how many processes and threads it left, which are gone now; ``None`` when it was ended by
        ``ending``.
    """
    wanted = (*FORWARDED, _signal.SIGCHLD, *((ending,) if ending else ()))
    while True:
        while True:
            child, raw = os.waitpid(-1, os.WNOHANG)
            if child == pid:
                return raw, end_survivors()
            if child == 0:
                break
        info = _signal.sigwaitinfo(wanted)
        if ending and info.si_signo == ending:
            end_survivors()
            return None
        # 0: sent from outside the namespace
        if info.si_signo != _signal.SIGCHLD and (ending or info.si_pid == 0):
            try:
                os.killpg(pid, info.si_signo)
            except OSError:
                pass  # it is ending right now, and SIGCHLD is on its way


def end_survivors() -> int:
    """Kill and reap whatever the command left, so that the report means that nothing is left; how many that were.

    kill(-1) from process 1 reaches everybody else in the namespace at once: no fork can slip through.
    """
    try:
        os.kill(-1, 0)
    except ProcessLookupError:  # nobody else is in the namespace
        return 0
    left = _count_others()
    try:
        os.kill(-1, _signal.SIGKILL)
    except ProcessLookupError:
        pass  # they ended while they were counted
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:  # the last one has been reaped
            return left


def _count_others() -> int:
    """Processes and threads of this namespace beside this one."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit() and name != "1":
            try:
                count += len(os.listdir(f"/proc/{name}/task"))
            except OSError:
                pass  # it has just ended
    return count


def started_since(first: int) -> int:
    """How many processes and threads this namespace has had since one was started, that one included; -1 for unknown.

    Numbers are given in a row, and the last one stands in /proc/loadavg (proc(5)), as the reader's namespace counts.
    """
    try:
        with open("/proc/loadavg", "rb") as text:
            last = int(text.read().split()[4])
    except (OSError, IndexError, ValueError):  # /proc is hidden, or not a process list: nobody knows
        return -1
    return last - first + 1 if last >= first else -1  # they began again at the bottom


def end_report(raw: int, left: int, *, forked: bool, started: int = -1) -> list[bytes]:
    """Return the report that the command has ended, with what everybody used who was reaped, orphans too.

    execve(2) counts the memory that a process had before, which is ours, into its peak (exec_mmap() of <fs/exec.c>), so
    a peak that is no larger than ours says nothing of the command.

    Args:
        raw: Its wait status.
        left: How many processes and threads it left.
        forked: Whether a copy of this process became the command, which may have grown before.
        started: How many there have been; -1 for unknown.
    """
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss + (GROWTH if forked else GRAIN)
    numbers = (
        raw,
        int(usage.ru_utime * 1e6),
        int(usage.ru_stime * 1e6),
        usage.ru_maxrss if usage.ru_maxrss > own_peak else 0,
        usage.ru_inblock,
        usage.ru_oublock,
        usage.ru_nvcsw + usage.ru_nivcsw,
        started,
        left,
    )
    return [b"exited", *[str(number).encode() for number in numbers]]
