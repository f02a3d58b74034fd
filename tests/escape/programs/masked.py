"""What a command can do with the host's /proc where no other could be had. Places: ``victim``, a host process."""

from __future__ import annotations

import os

from tests.escape.programs.calls import CLONE_NEWUSER, call


def see_host_process(at):
    return os.stat(f"/proc/{at.victim}").st_uid


def read_by_root_of_host_process(at):
    return os.listdir(f"/proc/{at.victim}/root")


def read_by_directory_of_host_process(at):
    return os.listdir(f"/proc/{at.victim}/cwd")


def read_environment_of_host_process(at):
    with open(f"/proc/{at.victim}/environ", "rb") as file:
        file.read()


def read_memory_of_host_process(at):
    os.close(os.open(f"/proc/{at.victim}/mem", os.O_RDONLY))


def make_host_process_a_victim_of_shortage(at):
    with open(f"/proc/{at.victim}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("500")


def make_user_namespace(at):
    if not at.inside:
        return
    call("unshare", CLONE_NEWUSER)


def start_a_process(at):
    return os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1]
