"""python far_world.py DIRECTORY NAME,... COMMAND...: run a command where these names lead to one far server.

The server answers on port 80 of an address for documentation (RFC 5737), which exists in a network namespace of its
own only, with the files of the directory. Names are those of a private /etc/hosts. Nothing of the host is changed.
"""

from __future__ import annotations

import functools
import http.server
import os
import subprocess
import sys
import threading

from _bldr_launcher import netlink, root, syscalls

ADDRESS = "203.0.113.9"


class Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_words: object) -> None:
        pass


def main() -> int:
    directory, names, *command = sys.argv[1:]
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWNET)
    root.map_identity(0, uid, gid)
    root.private_mounts()
    root.loopback_up()
    netlink.add_address(ADDRESS)
    text = f"127.0.0.1 localhost\n{ADDRESS} {names.replace(',', ' ')}\n"
    with open(f"{directory}/hosts", "w", encoding="ascii") as hosts:
        hosts.write(text)
    syscalls.mount(os.fsencode(f"{directory}/hosts"), b"/etc/hosts", None, syscalls.MS_BIND)
    handler = functools.partial(Files, directory=directory)
    with http.server.ThreadingHTTPServer((ADDRESS, 80), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        status = subprocess.run(command, check=False).returncode
        server.shutdown()
        thread.join()
    return status


if __name__ == "__main__":
    sys.exit(main())
