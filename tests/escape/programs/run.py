"""Runs attempts and prints what became of each as JSON. The same program runs outside, as the control, and inside.

``run.py MODULE KIND PLACES``: the module is one of this directory; its public functions are the attempts. KIND is
``inside`` (all of them), ``plain`` (those that need nothing special outside) or ``namespaces`` (those whose control
needs capabilities, which it has as root of namespaces of its own). PLACES is JSON that every attempt gets as an object.

Each attempt has a process of its own. It is *possible* when it returns; the errno says what refused it, and ``absent``
that what it looks for is not there.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import select
import signal
import sys
import types

DEADLINE_MS = 20_000
ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))


def play(attempt, places):
    """Call one attempt and describe its outcome."""
    try:
        return {"outcome": "possible", "value": attempt(places)}
    except LookupError as error:
        return {"outcome": "absent", "value": str(error)}
    except OSError as error:
        return {"outcome": errno.errorcode.get(error.errno or 0, str(error)), "value": str(error)}
    except Exception as error:  # noqa: BLE001  a broken attempt is an outcome that no test expects
        return {"outcome": f"{type(error).__name__}: {error}", "value": None}


def play_apart(attempt, places):
    """Call one attempt in a child, which may change directory, identity or signals as it likes."""
    reader, writer = os.pipe()
    pid = os.fork()  # noqa: TID251  this process has one thread
    if pid == 0:
        os.close(reader)
        with os.fdopen(writer, "w") as report:
            json.dump(play(attempt, places), report)
        os._exit(0)
    os.close(writer)
    content = b""
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    while poller.poll(DEADLINE_MS):
        chunk = os.read(reader, 65536)
        if not chunk:
            break
        content += chunk
    else:
        os.kill(pid, signal.SIGKILL)
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    return (
        json.loads(content)
        if content
        else {"outcome": f"ended with {os.waitstatus_to_exitcode(status)}", "value": None}
    )


def main():
    _, name, kind, places = sys.argv
    sys.path.insert(0, ROOT)
    module = importlib.import_module(f"tests.escape.programs.{name}")
    attempts = {
        name: item
        for name, item in vars(module).items()
        if isinstance(item, types.FunctionType) and item.__module__ == module.__name__ and not name.startswith("_")
    }
    wanted = {
        name: attempt for name, attempt in attempts.items() if kind in ("inside", getattr(attempt, "control", "plain"))
    }
    where = types.SimpleNamespace(**json.loads(places))
    if kind == "inside":
        where.temp = os.environ.get("TMPDIR", where.temp)
    json.dump({name: play_apart(attempt, where) for name, attempt in wanted.items()}, sys.stdout)


if __name__ == "__main__":
    main()
