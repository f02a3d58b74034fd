"""The command line of vmrun."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from tools.vm.boot import DIED, Order, boot, interpreter, say
from tools.vm.fetch import Fetcher, is_ready, packages_of
from tools.vm.kernels import DEFAULT, KERNELS, RefusalError, cache_root, kernel_named
from tools.vm.layouts import LAYOUTS

__all__ = ["main", "parse"]

USAGE = """vmrun [options] -- COMMAND ARGUMENT...
       vmrun setup [KERNEL...]
       vmrun list"""

EPILOG = f"""cgroups:
{chr(10).join(f"  {name:12} {text}" for name, text in LAYOUTS.items())}

exit status: that of the command; 128+N when signal N ended it, 127 when it was not found, 126 when it could not be
started, 124 when it was not done in time, 125 when the guest died or vmrun could not do what was asked.
"""


def main(arguments: Sequence[str]) -> int:
    """Run vmrun and return its exit status."""
    cache = cache_root(os.environ)
    fetcher = Fetcher(cache, interpreter(), say)
    try:
        if arguments[:1] == ["setup"]:
            for kernel in [kernel_named(name) for name in arguments[1:] or [DEFAULT]]:
                fetcher.fetch(kernel)
            return 0
        if arguments == ["list"]:
            for name in KERNELS:
                print(f"{name:10} {packages_of(cache / name) if is_ready(cache / name) else '-'}")
            return 0
        order = parse(arguments, os.environ.get("VMRUN_KERNEL", DEFAULT))
        directory = cache / order.kernel.name
        if not is_ready(directory):
            fetcher.fetch(order.kernel)
        return boot(order, directory)
    except RefusalError as refusal:
        say(str(refusal))
        return DIED


def parse(arguments: Sequence[str], default: str = DEFAULT) -> Order:
    """Make an order of the command line.

    Raises:
        RefusalError: What an option says cannot be done.
        SystemExit: The command line is not understood, or help was asked for.
    """
    options = _parser(default).parse_args(arguments)
    if options.cgroup in ("delegated", "session") and options.uid == 0:
        raise RefusalError(f"--cgroup {options.cgroup} is for a user; add -u UID")
    missing = next(
        (path for path in (*options.rw, *(word.split("=")[0] for word in options.ro)) if not os.path.exists(path)), None
    )
    if missing is not None:
        raise RefusalError(f"{missing} does not exist, so it cannot be shown to the guest")
    return Order(
        kernel=kernel_named(options.kernel),
        command=tuple(options.command),
        uid=options.uid,
        gid=options.uid if options.gid is None else options.gid,
        cgroup=options.cgroup,
        root=options.root,
        writable=tuple(os.path.realpath(path) for path in options.rw),
        shown=tuple(_shown(word) for word in options.ro),
        sysctls=tuple(_pair("--sysctl", word) for word in options.sysctl),
        parameters=tuple(options.append),
        environment=dict(_pair("-e", word) for word in options.env),
        cwd=options.cwd or "",
        disk=options.disk,
        memory=options.mem,
        cpus=options.smp,
        timeout=options.timeout,
        verbose=options.verbose,
        keep=options.keep,
    )


def _pair(option: str, word: str) -> tuple[str, str]:
    name, equals, setting = word.partition("=")
    if not (name and equals):
        raise RefusalError(f"{option} takes NAME=VALUE, not {word!r}")
    return name, setting


def _shown(word: str) -> tuple[str, str]:
    source, _, place = word.partition("=")
    source = os.path.realpath(source)
    if place and not place.startswith("/"):
        raise RefusalError(f"--ro shows {source} at an absolute path of the guest, not at {place!r}")
    return source, os.path.normpath(place) if place else source


def _positive(text: str) -> int:
    number = int(text)
    if number <= 0:
        raise ValueError
    return number


def _parser(default: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="vmrun",
        usage=USAGE,
        description=(
            "Boot a throw-away kernel that sees the files of this machine read-only, run COMMAND there, end as it did. "
            "/tmp, /var/tmp and /run are fresh."
        ),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("-k", "--kernel", default=default, help=f"{', '.join(KERNELS)} (default: {default})")
    add("-u", "--uid", type=int, default=0, help="run the command as this user and not as root")
    add("--gid", type=int, help="and as this group (default: as the uid)")
    add("--cgroup", choices=LAYOUTS, default="v2", metavar="LAYOUT", help="how cgroups look, see below")
    add("--rw", action="append", default=[], metavar="PATH", help="a path of this machine that the guest really writes")
    add(
        "--ro",
        action="append",
        default=[],
        metavar="DIR[=PLACE]",
        help="show a directory, for example of /tmp, in its place or in another",
    )
    add("--root", choices=("overlay", "ro"), default="overlay", help="/ takes writes, in memory, or is read-only")
    add("--disk", type=_positive, default=0, metavar="MIB", help="mount an empty ext4 disk on /tmp/disk")
    add("--sysctl", action="append", default=[], metavar="NAME=VALUE", help="a setting of the guest's kernel")
    add("--append", action="append", default=[], metavar="PARAMETER", help="a parameter of the guest's kernel")
    add("--mem", type=_positive, default=1024, metavar="MIB", help="memory of the guest (default: 1024)")
    add("--smp", type=_positive, default=2, metavar="N", help="CPUs of a qemu- kernel (default: 2)")
    add("-e", "--env", action="append", default=[], metavar="NAME=VALUE", help="a variable for the command")
    add("--cwd", metavar="DIR", help="where the command starts (default: here, or /tmp where its user may not be here)")
    add("--timeout", type=float, default=600, metavar="SECONDS", help="kill the guest after this time (default: 600)")
    add("--keep", action="store_true", help="keep the directory of the run, with what the kernel said")
    add("-v", "--verbose", action="count", default=0, help="say what happens; twice: and what the kernel said")
    add("command", nargs="+", metavar="COMMAND", help=argparse.SUPPRESS)
    return parser
