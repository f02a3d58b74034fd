"""A launcher whose sandboxes give their command everything that they have in their own environment. Started as an entry."""

from __future__ import annotations

import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), *[os.pardir] * 2, "src"))

from _bldr_launcher import init, server
from _bldr_launcher.landlock_server import LandlockLauncher
from _bldr_launcher.request import Request


def main(control: int, parent: str, *, without_namespaces: bool) -> None:
    init.close_all_but(control)
    os.setsid()
    variables = Request.variables

    def leaking(request: Request) -> dict[bytes, bytes]:
        return {**os.environb, **variables(request)}

    setattr(Request, "variables", leaking)  # noqa: B010  mypy allows nobody to replace a method
    server.serve(control, parent, ready=1, kind=LandlockLauncher if without_namespaces else server.Launcher)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], without_namespaces=sys.argv[4:] == ["landlock"])
