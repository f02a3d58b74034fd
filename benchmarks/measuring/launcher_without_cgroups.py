"""A launcher that makes no cgroups, wherever it could: what they cost is the difference. Started by a benchmark."""

import os
import sys

import bldr

sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(bldr.__file__))))

import gc

from _bldr_launcher import init, server


class LauncherWithoutCgroups(server.Launcher):
    """Looks for no place."""

    def __init__(self, *arguments, **options) -> None:
        super().__init__(*arguments, **options | {"place": None})


if __name__ == "__main__":
    gc.disable()
    gc.freeze()
    init.close_all_but(int(sys.argv[1]))
    os.setsid()
    server.find_place = lambda: None
    server.serve(int(sys.argv[1]), sys.argv[2], ready=int(sys.argv[3]), kind=LauncherWithoutCgroups)
