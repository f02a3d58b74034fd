"""What inside-root may do with owners and modes, as installers and archivers insist on it.

Places: ``out``, ``temp``, and ``archive``, whose members belong to ids that do not exist inside.
"""

from __future__ import annotations

import os
import subprocess


def _run(*argv):
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    if done.returncode:
        raise OSError(0, done.stderr)
    return done.stdout


def give_file_away(at):
    """Outside only real root can; inside nobody changes owner, and nobody is told so."""
    path = f"{at.out}/given"
    with open(path, "w", encoding="ascii"):
        pass
    os.chown(path, 1000, 1000)
    os.lchown(path, 0, 1000)
    fd = os.open(path, os.O_RDONLY)
    os.fchown(fd, 1000, -1)
    return os.stat(path).st_uid


def unpack_with_owners(at):
    os.mkdir(f"{at.out}/unpacked")
    _run("tar", "-xpf", at.archive, "-C", f"{at.out}/unpacked", "--same-owner")
    return sorted(os.listdir(f"{at.out}/unpacked"))


def install_with_owner(at):
    _run("install", "-o", "1234", "-g", "1234", "-m", "750", "/etc/passwd", f"{at.out}/installed")
    return f"{os.stat(f'{at.out}/installed').st_mode:o}"


def name_of_user(at):
    return _run("id", "-un").strip()


def numbers_of_user(at):
    return _run("id", "-u").strip(), _run("id", "-g").strip()


def numbers_of_setuid_program(at):
    return _run(f"{at.source}/setuid-id", "-u").strip()


def share_a_semaphore(at):
    """multiprocessing needs a /dev/shm that it can write to."""
    lock = "import multiprocessing; lock = multiprocessing.Lock(); print(lock.acquire())"
    return _run("python3", "-c", lock).strip()


def open_a_terminal(at):
    _, follower = os.openpty()
    return os.ttyname(follower)
