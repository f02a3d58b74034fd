"""The launcher: a small single-threaded interpreter that starts every sandbox.

It is run as ``python -I -S``, uses a subset of the standard library and imports nothing of ``bldr``. The cast::

    supervisor   the user's process; may have threads; talks to the launcher over one socket
    launcher     this package; clones each sandbox straight into its namespaces (server.py)
    init         process 1 of a sandbox: sets it up, starts the command, reaps, reports (init.py)
    command      what the user asked for
"""

__all__: list[str] = []
