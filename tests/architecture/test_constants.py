"""The numbers that are copied from C headers, compared with the headers by a C compiler."""

from __future__ import annotations

import ctypes  # noqa: TID251  the layout of structs is what is compared
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from _bldr_launcher import (
    attributes,
    command,
    exchange,
    init,
    landlock,
    netlink,
    network,
    reaper,
    root,
    seccomp,
    server,
    steps,
    syscalls,
    trace_calls,
    trace_observer,
    trace_paths,
    tracer,
)
from bldr.sandbox.linux import facts, trials

pytestmark = [pytest.mark.needs("c-compiler", "kernel-headers")]

# Module, header and names. A name stands for itself; after "=" the C expression that it has to equal, with "/" for a space.
CONSTANTS: list[tuple[ModuleType, str, str]] = [
    (
        syscalls,
        "linux/sched.h",
        "CLONE_PIDFD CLONE_INTO_CGROUP CLONE_NEWNS CLONE_NEWCGROUP CLONE_NEWUTS CLONE_NEWIPC CLONE_NEWUSER CLONE_NEWPID CLONE_NEWNET",
    ),
    (
        syscalls,
        "linux/mount.h",
        (
            "MS_RDONLY MS_NOSUID MS_NODEV MS_NOEXEC MS_REMOUNT MS_NOATIME MS_NODIRATIME MS_BIND MS_REC MS_PRIVATE MS_SLAVE"
            " MS_RELATIME OPEN_TREE_CLONE MOVE_MOUNT_F_EMPTY_PATH MOVE_MOUNT_T_EMPTY_PATH FSOPEN_CLOEXEC FSMOUNT_CLOEXEC"
            " FSCONFIG_SET_FLAG FSCONFIG_SET_STRING FSCONFIG_CMD_CREATE MOUNT_ATTR_RDONLY MOUNT_ATTR_NOSUID MOUNT_ATTR_NODEV"
            " MOUNT_ATTR_NOEXEC MOUNT_ATTR_IDMAP"
        ),
    ),
    (syscalls, "sys/mount.h", "MNT_DETACH"),
    (network, "asm/socket.h", "SO_ATTACH_FILTER"),
    (
        netlink,
        "linux/rtnetlink.h",
        (
            "RTM_NEWADDR RTM_NEWROUTE RTM_NEWRULE RTM_DELRULE NLM_F_REQUEST NLM_F_ACK NLM_F_EXCL NLM_F_CREATE RTA_DST RTA_OIF"
            " RTA_PREFSRC RTA_TABLE RTPROT_BOOT RTN_LOCAL RT_SCOPE_HOST RT_TABLE_LOCAL IFA_ADDRESS IFA_LOCAL NETLINK_ROUTE"
        ),
    ),
    (netlink, "linux/fib_rules.h", "FRA_PRIORITY FRA_TABLE FRA_IP_PROTO FR_ACT_TO_TBL"),
    (network, "linux/in6.h", "IPV6_RECVPKTINFO IPV6_FREEBIND"),
    (
        network,
        "linux/filter.h",
        (
            "LD_WORD=BPF_LD|BPF_W|BPF_ABS LDX_HEADER=BPF_LDX|BPF_B|BPF_MSH LD_AT_X=BPF_LD|BPF_B|BPF_IND"
            " LD_BYTE=BPF_LD|BPF_B|BPF_ABS AND=BPF_ALU|BPF_AND|BPF_K JEQ=BPF_JMP|BPF_JEQ|BPF_K RET=BPF_RET|BPF_K"
        ),
    ),
    (network, "linux/filter.h", "NET_OFFSET=(unsigned)SKF_NET_OFF"),
    (syscalls, "linux/fcntl.h", "AT_FDCWD AT_EMPTY_PATH AT_RECURSIVE"),
    (exchange, "linux/fs.h", "RENAME_EXCHANGE"),
    (syscalls, "linux/openat2.h", "RESOLVE_NO_MAGICLINKS RESOLVE_NO_SYMLINKS RESOLVE_BENEATH"),
    (
        syscalls,
        "linux/prctl.h",
        (
            "PR_SET_PDEATHSIG PR_SET_DUMPABLE PR_SET_NAME PR_CAPBSET_DROP PR_SET_NO_NEW_PRIVS PR_GET_NO_NEW_PRIVS"
            " PR_SET_CHILD_SUBREAPER PR_CAP_AMBIENT PR_CAP_AMBIENT_CLEAR_ALL"
        ),
    ),
    (syscalls, "linux/capability.h", "LINUX_CAPABILITY_VERSION_3=_LINUX_CAPABILITY_VERSION_3 CAP_SETFCAP"),
    (
        syscalls,
        "linux/seccomp.h",
        ("SECCOMP_SET_MODE_FILTER SECCOMP_FILTER_FLAG_NEW_LISTENER SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"),
    ),
    (attributes, "linux/seccomp.h", "NOTIF_RECV=SECCOMP_IOCTL_NOTIF_RECV NOTIF_SEND=SECCOMP_IOCTL_NOTIF_SEND"),
    (attributes, "linux/seccomp.h", "NOTIF_ID_VALID=SECCOMP_IOCTL_NOTIF_ID_VALID"),
    (attributes, "linux/seccomp.h", "FLAG_CONTINUE=SECCOMP_USER_NOTIF_FLAG_CONTINUE"),
    (attributes, "fcntl.h", "AT_FDCWD AT_SYMLINK_NOFOLLOW"),
    (attributes, "linux/fcntl.h", "AT_EMPTY_PATH"),
    (attributes, "linux/limits.h", "LONGEST_PATH=PATH_MAX"),
    (attributes, "sys/stat.h", "UTIME_NOW UTIME_OMIT"),
    (
        tracer,
        "linux/seccomp.h",
        (
            "NOTIF_RECV=SECCOMP_IOCTL_NOTIF_RECV NOTIF_SEND=SECCOMP_IOCTL_NOTIF_SEND"
            " NOTIF_SET_FLAGS=SECCOMP_IOCTL_NOTIF_SET_FLAGS FLAG_CONTINUE=SECCOMP_USER_NOTIF_FLAG_CONTINUE"
            " FD_SYNC_WAKE_UP=SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP"
        ),
    ),
    (trace_observer, "fcntl.h", "AT_FDCWD AT_SYMLINK_NOFOLLOW"),
    (trace_observer, "sys/socket.h", "AF_UNIX AF_INET AF_INET6"),
    (trace_calls, "linux/fcntl.h", "AT_EMPTY_PATH"),
    (trace_calls, "sys/socket.h", "MSG_NOSIGNAL"),
    (trace_paths, "linux/openat2.h", "RESOLVE_IN_ROOT"),
    (trace_paths, "elf.h", "_PT_INTERP=PT_INTERP"),
    (seccomp, "linux/fs.h", "FS_IOC_SETFLAGS FS_IOC_FSSETXATTR"),
    (syscalls, "linux/keyctl.h", "KEYCTL_JOIN_SESSION_KEYRING"),
    (syscalls, "linux/landlock.h", "LANDLOCK_CREATE_RULESET_VERSION LANDLOCK_RULE_PATH_BENEATH"),
    (
        seccomp,
        "linux/filter.h",
        "LD=BPF_LD|BPF_W|BPF_ABS JEQ=BPF_JMP|BPF_JEQ|BPF_K JGE=BPF_JMP|BPF_JGE|BPF_K JSET=BPF_JMP|BPF_JSET|BPF_K RET=BPF_RET|BPF_K",
    ),
    (
        seccomp,
        "linux/seccomp.h",
        (
            "ALLOW=SECCOMP_RET_ALLOW USER_NOTIF=SECCOMP_RET_USER_NOTIF ERRNO=SECCOMP_RET_ERRNO NR_OFFSET=offsetof(struct/seccomp_data,nr)"
            " ARCH_OFFSET=offsetof(struct/seccomp_data,arch) ARGS_OFFSET=offsetof(struct/seccomp_data,args)"
        ),
    ),
    (seccomp, "asm-generic/ioctls.h", "TIOCSTI TIOCLINUX"),
    (seccomp, "linux/sched.h", "CLONE_NEWUSER CLONE_THREAD"),
    (seccomp, "sys/socket.h", "AF_PACKET AF_ALG AF_VSOCK SOCK_DGRAM SOCK_RAW SOCK_NONBLOCK SOCK_CLOEXEC"),
    (seccomp, "sys/types.h", "SAME_ID=(uid_t)-1"),
    (
        landlock,
        "linux/landlock.h",
        " ".join(
            f"{name}=LANDLOCK_ACCESS_FS_{name}"
            for name in (
                *(
                    "EXECUTE",
                    "READ_FILE",
                    "READ_DIR",
                    "WRITE_FILE",
                    "REMOVE_DIR",
                    "REMOVE_FILE",
                    "MAKE_CHAR",
                    "MAKE_DIR",
                    "MAKE_REG",
                    "MAKE_SOCK",
                ),
                *("MAKE_FIFO", "MAKE_BLOCK", "MAKE_SYM", "REFER", "TRUNCATE", "IOCTL_DEV"),
            )
        ),
    ),
    (landlock, "linux/landlock.h", "BIND_TCP=LANDLOCK_ACCESS_NET_BIND_TCP CONNECT_TCP=LANDLOCK_ACCESS_NET_CONNECT_TCP"),
    (
        landlock,
        "linux/landlock.h",
        "SCOPE_ABSTRACT_UNIX_SOCKET=LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET SCOPE_SIGNAL=LANDLOCK_SCOPE_SIGNAL",
    ),
    (root, "linux/sockios.h", "SIOCSIFFLAGS"),
    (root, "net/if.h", "IFF_UP_RUNNING=IFF_UP|IFF_RUNNING"),
    (command, "asm-generic/ioctls.h", "TIOCGPTN TIOCSPTLCK"),
    (trials, "linux/seccomp.h", "_NEW_LISTENER=SECCOMP_FILTER_FLAG_NEW_LISTENER _USER_NOTIF=SECCOMP_RET_USER_NOTIF"),
    (trials, "linux/seccomp.h", "_NOTIF_RECV=SECCOMP_IOCTL_NOTIF_RECV _NOTIF_SEND=SECCOMP_IOCTL_NOTIF_SEND"),
    (trials, "linux/seccomp.h", "_NOTIF_SIZE=sizeof(struct/seccomp_notif)"),
    (facts, "linux/capability.h", "_CAP_SYS_ADMIN=1<<CAP_SYS_ADMIN _CAP_SETFCAP=1U<<CAP_SETFCAP"),
]

# Of our own making, or made of the others.
OWN = {
    attributes: {"NOW"},
    command: set(),
    init: {"LARGEST_REQUEST", "TREES_PER_MESSAGE"},
    landlock: {"WRITE_RIGHTS", "FIRST_USABLE_ABI"},
    reaper: {"GRAIN", "GROWTH"},
    root: set(),
    seccomp: {"EVERYBODY", "X32_SYSCALL_BIT"},  # compared below: only the headers of x86 have it
    server: {"LINGER", "NAMESPACES", "QUIET", "READING", "SANDBOX_ID"},
    steps: {"WALK"},
    syscalls: {"PAGE"},
    trace_calls: {  # of seccomp
        "ALLOW",
        "ARGS_OFFSET",
        "JEQ",
        "JGE",
        "JSET",
        "LD",
        "RET",
        "USER_NOTIF",
        "_LONGEST_QUESTION",
        "_NEGATIVE",
    },
    trace_observer: {
        "NAMES_PORT",
        "PIDFD_GET_INFO",  # newer headers have it with a larger structure
        "_MOST_ARGV",
        "_MOST_MEMORIES",
        "_MOST_MESSAGES",
        "_MOST_THREADS",
        "_MOST_WORDS",
        "_SLASH",
        "_USUAL_PATH",
    },
    trace_paths: {"_DEEPEST", "_HEAD", "_LOOK", "_MOST_DIRECTORIES", "_MOST_LINKS", "_RESOLVE"},
    tracer: {"LARGEST_RECORDING", "_BUFFERED"},
}

# Newer than the oldest headers that the suite is run with: compared where the header has it (Linux 5.19 to 6.17).
MAY_BE_MISSING = {
    "LANDLOCK_ACCESS_FS_TRUNCATE",
    "LANDLOCK_ACCESS_FS_IOCTL_DEV",
    "LANDLOCK_ACCESS_NET_BIND_TCP",
    "LANDLOCK_ACCESS_NET_CONNECT_TCP",
    "LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET",
    "LANDLOCK_SCOPE_SIGNAL",
    "__NR_fchmodat2",
    "__NR_setxattrat",
    "__NR_removexattrat",
    "__NR_file_setattr",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
    "SECCOMP_IOCTL_NOTIF_SET_FLAGS",
    "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP",
}


def evaluate(expressions: dict[str, str], header: str, directory: Path) -> dict[str, int]:
    """Compile a program that prints the value of each C expression; what the header lacks and may lack is left out."""
    lines = [
        # As <asm/unistd.h> of aarch64 does before it includes the generic one.
        *(f"#define __ARCH_WANT_{what}" for what in ("SYS_CLONE3", "RENAMEAT", "NEW_STAT")),
        *(f"#include <{name}>" for name in (header, "linux/ioctl.h", "stddef.h", "stdio.h")),
        "int main(void) {",
    ]
    for name, expression in expressions.items():
        show = f'    printf("{name} %lld\\n", (long long)({expression.replace("/", " ")}));'
        lines += [f"#ifdef {expression}", show, "#endif"] if expression in MAY_BE_MISSING else [show]
    source, program = directory / "values.c", directory / "values"
    source.write_text("\n".join([*lines, "    return 0;", "}", ""]), encoding="ascii")
    built = subprocess.run(["cc", str(source), "-o", str(program)], check=False, capture_output=True, text=True)

    assert built.returncode == 0, built.stderr
    printed = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in printed.splitlines())}


@pytest.mark.parametrize(
    ("module", "header", "names"), CONSTANTS, ids=[f"{item[0].__name__}-{item[1]}" for item in CONSTANTS]
)
def test_a_constant_equals_the_one_of_its_header(module: ModuleType, header: str, names: str, tmp_path: Path) -> None:
    expressions = {name: text or name for name, _, text in (item.partition("=") for item in names.split())}

    found = evaluate(expressions, header, tmp_path)

    assert {name: getattr(module, name) for name in found} == found
    assert {expressions[name] for name in expressions.keys() - found.keys()} <= MAY_BE_MISSING


def test_every_constant_is_compared_or_our_own() -> None:
    compared = {
        module: {item.partition("=")[0] for other, _, names in CONSTANTS if other is module for item in names.split()}
        for module in OWN
    }
    for module, own in OWN.items():
        numbers = {name for name, value in vars(module).items() if name.isupper() and type(value) is int}

        assert numbers - {"TYPE_CHECKING"} == compared[module] - {"_"} | own, module.__name__


STRUCTS = [
    (syscalls.mount_attr, "linux/mount.h", "attr_set attr_clr propagation userns_fd", 32),
    (syscalls.open_how, "linux/openat2.h", "flags mode resolve", 24),
    (syscalls.iovec, "sys/uio.h", "iov_base iov_len", 2 * ctypes.sizeof(ctypes.c_void_p)),
    (syscalls.sock_fprog, "linux/filter.h", "len filter", 2 * ctypes.sizeof(ctypes.c_void_p)),
    (syscalls.landlock_path_beneath_attr, "linux/landlock.h", "allowed_access parent_fd", 12),
    (
        syscalls.clone_args,
        "linux/sched.h",
        "flags pidfd child_tid parent_tid exit_signal stack stack_size tls set_tid set_tid_size cgroup",
        88,
    ),
]


@pytest.mark.parametrize(
    ("struct", "header", "fields", "size"), STRUCTS, ids=[struct.__name__ for struct, *_ in STRUCTS]
)
def test_a_struct_is_laid_out_as_in_its_header(
    struct: type[ctypes.Structure], header: str, fields: str, size: int, tmp_path: Path
) -> None:
    """Later kernels add fields at the end; the kernel accepts each size that there was, and ours is one of them."""
    name = struct.__name__
    expressions = {f"{field}.offset": f"offsetof(struct/{name},{field})" for field in fields.split()}
    expressions |= {f"{field}.size": f"sizeof(((struct/{name}*)0)->{field})" for field in fields.split()}
    expressions["size"] = f"sizeof(struct/{name})"

    found = evaluate(expressions, header, tmp_path)
    whole = found.pop("size")

    assert [field[0] for field in struct._fields_] == fields.split()
    assert {
        f"{field}.{what}": getattr(getattr(struct, field), what)
        for field in fields.split()
        for what in ("offset", "size")
    } == found
    assert ctypes.sizeof(struct) == size
    assert whole >= size


def test_the_size_of_clone_args_is_one_that_the_kernel_knows(tmp_path: Path) -> None:
    assert evaluate({"size": "CLONE_ARGS_SIZE_VER2"}, "linux/sched.h", tmp_path) == {
        "size": ctypes.sizeof(syscalls.clone_args)
    }


def test_the_set_of_rights_of_landlock_begins_with_those_of_files(tmp_path: Path) -> None:
    """``struct landlock_ruleset_attr`` is written as 8 bytes: its first field, all that ABI 1 to 3 have."""
    expressions = {
        "offset": "offsetof(struct/landlock_ruleset_attr,handled_access_fs)",
        "size": "sizeof(((struct/landlock_ruleset_attr*)0)->handled_access_fs)",
    }

    assert evaluate(expressions, "linux/landlock.h", tmp_path) == {"offset": 0, "size": 8}


def test_the_flags_of_an_interface_are_where_the_request_has_them(tmp_path: Path) -> None:
    """``root.loopback_up`` packs ``struct ifreq``: 16 bytes of name, then the flags as a short."""
    expressions = {
        "name": "sizeof(((struct/ifreq*)0)->ifr_name)",
        "at": "offsetof(struct/ifreq,ifr_flags)",
        "size": "sizeof(((struct/ifreq*)0)->ifr_flags)",
    }

    assert evaluate(expressions, "net/if.h", tmp_path) == {"name": 16, "at": 16, "size": 2}


def test_the_data_of_a_capability_set_is_what_capset_reads(tmp_path: Path) -> None:
    expressions = {
        "header": "sizeof(struct/__user_cap_header_struct)",
        "data": "sizeof(struct/__user_cap_data_struct)",
        "parts": "_LINUX_CAPABILITY_U32S_3",
    }

    assert evaluate(expressions, "linux/capability.h", tmp_path) == {"header": 8, "data": 12, "parts": 2}


def test_the_answer_to_a_notified_call_has_the_size_that_is_packed(tmp_path: Path) -> None:
    assert evaluate({"size": "sizeof(struct/seccomp_notif_resp)"}, "linux/seccomp.h", tmp_path) == {"size": 24}


def test_architectures_are_those_of_the_audit_header(tmp_path: Path) -> None:
    expressions = {"x86_64": "AUDIT_ARCH_X86_64", "aarch64": "AUDIT_ARCH_AARCH64"}

    assert evaluate(expressions, "linux/audit.h", tmp_path) == seccomp.ARCHITECTURES


def numbers_of(machine: str) -> dict[str, int]:
    """Every system call whose number is written down somewhere for a machine."""
    everywhere = {name: number for name, number in syscalls.NR.items() if name not in syscalls._NUMBERS[machine]}
    by_module = [
        syscalls._NUMBERS[machine],
        everywhere,
        seccomp.NUMBERS[machine],
        seccomp.SHARED_NUMBERS,
        trace_calls.NUMBERS[machine],
        trace_calls.SHARED_NUMBERS,
        {"getppid": trials._GETPPID[machine]},
    ]
    together: dict[str, int] = {}
    for numbers in by_module:
        assert {name: number for name, number in numbers.items() if together.get(name, number) != number} == {}
        together |= numbers
    return together


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        pytest.param("aarch64", "asm-generic/unistd.h", marks=pytest.mark.needs("call-numbers-aarch64")),
        pytest.param("x86_64", "asm/unistd_64.h", marks=pytest.mark.needs("call-numbers-x86_64")),
    ],
    ids=str,
)
def test_numbers_of_system_calls_are_those_of_the_header(machine: str, header: str, tmp_path: Path) -> None:
    expected = numbers_of(machine)

    found = evaluate({name: f"__NR_{name}" for name in expected}, header, tmp_path)

    assert {f"__NR_{name}" for name in expected.keys() - found.keys()} <= MAY_BE_MISSING
    assert found == {name: expected[name] for name in found}
    if machine == "x86_64":
        assert evaluate({"bit": "__X32_SYSCALL_BIT"}, "asm/unistd.h", tmp_path) == {"bit": seccomp.X32_SYSCALL_BIT}
