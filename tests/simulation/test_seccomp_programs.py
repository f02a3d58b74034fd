"""The filter programs, run by a small interpreter of classic BPF: what they answer to calls of any machine.

The interpreter knows what the kernel allows in a seccomp filter and no more (seccomp(2), <linux/filter.h>): loads of
aligned words inside ``struct seccomp_data``, forward jumps, constants returned.
"""

from __future__ import annotations

import errno
import struct

import hypothesis
import pytest
from hypothesis import strategies

from _bldr_launcher import seccomp

# Audit names of <linux/audit.h>, and numbers that differ from the 64-bit ones.
X86_64, AARCH64, I386, ARM = 0xC000003E, 0xC00000B7, 0x40000003, 0x40000028
ARCHITECTURE = {"x86_64": X86_64, "aarch64": AARCH64}
MACHINES = sorted(ARCHITECTURE)

ALLOW, ASKED = "allow", "asked"
DATA_SIZE = 64  # bytes of struct seccomp_data
LONGEST_PROGRAM = 4096  # BPF_MAXINSNS of <linux/bpf_common.h>
NOBODY = 0xFFFFFFFF  # chown(2): leave it as it is

# Calls that no list of ours names, by machine: <asm/unistd_64.h>, <asm-generic/unistd.h>.
ORDINARY = {
    "x86_64": {"read": 0, "openat": 257, "execve": 59, "clone": 56, "ptrace": 101, "setuid": 105, "personality": 135},
    "aarch64": {"read": 63, "openat": 56, "execve": 221, "clone": 220, "ptrace": 117, "setuid": 146, "personality": 92},
}
SHARED_ORDINARY = {"clone3": 435, "openat2": 437, "landlock_restrict_self": 446}


def run(program: bytes, number: int, arguments: tuple[int, ...] = (), architecture: int = X86_64) -> str:
    """Run a filter over one call: ``allow``, or the name of the errno; ``0`` for a call that succeeds and does nothing."""
    padded = [argument & 0xFFFFFFFFFFFFFFFF for argument in (*arguments, *[0] * 6)][:6]
    data = struct.pack("<IIQ6Q", number, architecture, 0x7F0000001000, *padded)
    instructions = list(struct.iter_unpack("<HBBI", program))
    accumulator, place = 0, 0
    while True:
        code, jump_true, jump_false, k = instructions[place]
        place += 1
        if code == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            assert k % 4 == 0
            assert k < DATA_SIZE
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            place += jump_true if accumulator == k else jump_false
        elif code == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            place += jump_true if accumulator >= k else jump_false
        elif code == 0x45:  # BPF_JMP | BPF_JSET | BPF_K
            place += jump_true if accumulator & k else jump_false
        elif code == 0x06:  # BPF_RET | BPF_K
            return answer(k)
        else:
            raise AssertionError(f"unknown instruction {code:#x}")


def answer(value: int) -> str:
    if value == 0x7FFF0000:  # SECCOMP_RET_ALLOW
        return ALLOW
    if value == 0x7FC00000:  # SECCOMP_RET_USER_NOTIF
        return ASKED
    assert value & 0xFFFF0000 == 0x00050000, f"neither allowed nor an errno: {value:#x}"
    return errno.errorcode[value & 0xFFFF] if value & 0xFFFF else "0"


def base(machine: str, name: str, *arguments: int) -> str:
    return run(seccomp.base_filter(machine), number_of(machine, name), arguments, ARCHITECTURE[machine])


def number_of(machine: str, name: str) -> int:
    known = seccomp.NUMBERS[machine] | seccomp.SHARED_NUMBERS | ORDINARY[machine] | SHARED_ORDINARY
    return known[name]


def programs(machine: str) -> list[bytes]:
    """Every program that is ever installed on a machine."""
    return [
        seccomp.base_filter(machine),
        seccomp.shared_host_filter(machine),
        seccomp.attributes_filter(machine=machine),
        *(
            seccomp.sandbox_filter(mounts=mounts, chown_succeeds=chown, machine=machine)
            for mounts in (False, True)
            for chown in (False, True)
        ),
    ]


def policies(machine: str) -> list[bytes]:
    """Every program of a sandbox in which ordinary calls are refused."""
    every = [(b"fork",), (b"exec",), (b"fork", b"exec")]
    return [
        make(refused, machine=machine)
        for make in (seccomp.policy_filter, seccomp.attributes_filter)
        for refused in every
    ]


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_is_one_that_the_kernel_accepts(machine: str) -> None:
    for program in programs(machine) + policies(machine):
        instructions = list(struct.iter_unpack("<HBBI", program))

        assert len(program) % 8 == 0
        assert 0 < len(instructions) <= LONGEST_PROGRAM
        assert instructions[-1][0] == seccomp.RET
        for place, (code, jump_true, jump_false, k) in enumerate(instructions):
            assert code in {seccomp.LD, seccomp.JEQ, seccomp.JGE, seccomp.JSET, seccomp.RET}
            if code == seccomp.LD:
                assert k % 4 == 0
                assert k < DATA_SIZE
            if code in {seccomp.JEQ, seccomp.JGE, seccomp.JSET}:
                assert place + 1 + max(jump_true, jump_false) < len(instructions)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", seccomp.NOT_PERMITTED)
def test_what_no_sandbox_may_do_is_not_permitted(machine: str, name: str) -> None:
    assert base(machine, name) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", seccomp.NOT_THERE)
def test_io_uring_seems_to_be_missing(machine: str, name: str) -> None:
    assert base(machine, name) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_an_ordinary_call_is_allowed_by_every_program(machine: str) -> None:
    for program in programs(machine):
        for number in (ORDINARY[machine] | SHARED_ORDINARY).values():
            assert run(program, number, (1, 2, 3), ARCHITECTURE[machine]) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    "name", [*seccomp.NOT_PERMITTED, *seccomp.NOT_THERE, *seccomp.MOUNT_FAMILY, *seccomp.SHARED_IPC, *seccomp.EXTENDED]
)
def test_every_name_of_a_list_has_a_number(machine: str, name: str) -> None:
    """A rule for a call without a number is left out, so a misspelled name would be allowed."""
    assert number_of(machine, name) >= 0


HIGH_BITS = (1 << 32, 0xFFFFFFFF << 32, 1 << 63, 0xDEADBEEF << 32)


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("request_number", "expected"), [(0x5412, "EPERM"), (0x541C, "EPERM")])
@pytest.mark.parametrize("high", [0, *HIGH_BITS])
def test_typing_into_a_terminal_is_refused_whatever_the_high_bits_are(
    machine: str, request_number: int, expected: str, high: int
) -> None:
    """The kernel takes the request as an int, so a filter that compares 64 bits is passed by (CVE-2019-10063)."""
    assert base(machine, "ioctl", 0, request_number | high) == expected


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("request_number", [0x5401, 0x5411, 0x5413, 0x541B, 0x541D, 0x8914, 0x5412 << 32, 0x15412, 0])
def test_other_requests_of_ioctl_are_allowed(machine: str, request_number: int) -> None:
    assert base(machine, "ioctl", 0x5412, request_number, 0x5412) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (1, ALLOW),  # AF_UNIX
        (2, ALLOW),  # AF_INET
        (10, ALLOW),  # AF_INET6
        (16, ALLOW),  # AF_NETLINK
        (17, "EAFNOSUPPORT"),  # AF_PACKET
        (38, "EAFNOSUPPORT"),  # AF_ALG
        (40, "EAFNOSUPPORT"),  # AF_VSOCK
        (17 | 1 << 32, "EAFNOSUPPORT"),
        (38 | 0xFFFFFFFF << 32, "EAFNOSUPPORT"),
        (17 << 32 | 2, ALLOW),
    ],
)
def test_families_that_a_network_namespace_does_not_confine_are_not_supported(
    machine: str, family: int, expected: str
) -> None:
    assert base(machine, "socket", family, 17, 38) == expected


@pytest.mark.parametrize(
    ("machine", "architecture"), [("x86_64", I386), ("x86_64", AARCH64), ("aarch64", ARM), ("aarch64", X86_64)]
)
def test_programs_for_another_architecture_see_no_system_call(machine: str, architecture: int) -> None:
    for program in programs(machine):
        for number in (0, 1, 16, 54, 92, 165, 425, 1000):
            assert run(program, number, architecture=architecture) == "ENOSYS"


@pytest.mark.parametrize("number", [0, 16, 92, 165, 250, 425, 520, 1000, 0x3FFFFFFF])
def test_numbers_of_x32_see_no_system_call(number: int) -> None:
    """They run under the architecture x86_64, marked by bit 30 of the number."""
    for program in programs("x86_64"):
        assert run(program, 0x40000000 | number) == "ENOSYS"
        assert run(program, 0x80000000 | number) == "ENOSYS"


def test_the_largest_number_below_those_of_x32_is_an_ordinary_one() -> None:
    assert run(seccomp.base_filter("x86_64"), 0x3FFFFFFF) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("chown_succeeds", [False, True])
@pytest.mark.parametrize("name", seccomp.MOUNT_FAMILY)
def test_mounts_cannot_be_changed_unless_sandboxes_inside_need_it(
    machine: str, chown_succeeds: bool, name: str
) -> None:
    for mounts, expected in ((False, "EPERM"), (True, ALLOW)):
        program = seccomp.sandbox_filter(mounts=mounts, chown_succeeds=chown_succeeds, machine=machine)

        assert run(program, number_of(machine, name), (), ARCHITECTURE[machine]) == expected


CHOWN = [("chown", 1), ("lchown", 1), ("fchown", 1), ("fchownat", 2)]
CHOWN_ON = [(machine, name, first) for machine in MACHINES for name, first in CHOWN if name in seccomp.NUMBERS[machine]]


def chown(machine: str, name: str, first: int, user: int, group: int, *, succeeds: bool = True) -> str:
    program = seccomp.sandbox_filter(mounts=False, chown_succeeds=succeeds, machine=machine)
    arguments = (*[0x1234] * first, user, group, 0x100)
    return run(program, number_of(machine, name), arguments, ARCHITECTURE[machine])


def test_each_machine_has_the_calls_that_change_an_owner() -> None:
    """The generic table has neither chown nor lchown: libc calls fchownat there."""
    assert CHOWN_ON == [
        ("aarch64", "fchown", 1),
        ("aarch64", "fchownat", 2),
        ("x86_64", "chown", 1),
        ("x86_64", "lchown", 1),
        ("x86_64", "fchown", 1),
        ("x86_64", "fchownat", 2),
    ]


@pytest.mark.parametrize(("machine", "name", "first"), CHOWN_ON)
@pytest.mark.parametrize(
    ("user", "group", "expected"),
    [
        (0, 0, ALLOW),
        (0, NOBODY, ALLOW),
        (NOBODY, 0, ALLOW),
        (NOBODY, NOBODY, ALLOW),
        (-1, -1, ALLOW),  # sign-extended to 64 bits
        (1, 0, "0"),
        (0, 1, "0"),
        (1000, 1000, "0"),
        (NOBODY, 5, "0"),
        (5, NOBODY, "0"),
        (65534, 65534, "0"),
        (NOBODY - 1, 0, "0"),
        (1 << 32, 1 << 32, ALLOW),  # uid_t has 32 bits: this is 0
        (1 << 32 | 7, 0, "0"),
    ],
)
def test_only_a_change_to_the_own_id_or_to_none_reaches_the_kernel(
    machine: str, name: str, first: int, user: int, group: int, expected: str
) -> None:
    assert chown(machine, name, first, user, group) == expected
    assert chown(machine, name, first, user, group, succeeds=False) == ALLOW


@hypothesis.given(
    strategies.sampled_from(CHOWN_ON), strategies.integers(0, 2**64 - 1), strategies.integers(0, 2**64 - 1)
)
def test_the_answer_to_chown_depends_on_the_two_ids_alone(where: tuple[str, str, int], user: int, group: int) -> None:
    kept = all(owner & 0xFFFFFFFF in (0, NOBODY) for owner in (user, group))

    assert chown(*where, user, group) == (ALLOW if kept else "0")


@hypothesis.given(
    strategies.sampled_from(MACHINES),
    strategies.integers(0, 2**32 - 1) | strategies.integers(0, 500),
    strategies.lists(strategies.integers(0, 2**64 - 1), max_size=6),
)
def test_a_call_that_no_list_names_is_allowed_unless_it_is_one_of_x32(
    machine: str, number: int, arguments: list[int]
) -> None:
    named = set((seccomp.NUMBERS[machine] | seccomp.SHARED_NUMBERS).values())
    hypothesis.assume(number not in named)
    is_x32 = machine == "x86_64" and number >= 0x40000000
    for program in programs(machine):
        assert run(program, number, tuple(arguments), ARCHITECTURE[machine]) == ("ENOSYS" if is_x32 else ALLOW)


def test_an_unknown_machine_has_no_filter() -> None:
    with pytest.raises(KeyError):
        seccomp.base_filter("riscv64")
    with pytest.raises(KeyError):
        seccomp.sandbox_filter(mounts=False, chown_succeeds=True, machine="riscv64")


def test_a_filter_is_assembled_once() -> None:
    first = seccomp.sandbox_filter(mounts=False, chown_succeeds=True, machine="x86_64")

    assert seccomp.sandbox_filter(mounts=False, chown_succeeds=True, machine="x86_64") is first


def shared(machine: str, name: str, *arguments: int) -> str:
    return run(seccomp.shared_host_filter(machine), number_of(machine, name), arguments, ARCHITECTURE[machine])


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("high", [0, *HIGH_BITS])
def test_without_namespaces_no_socket_is_made_but_pairs_of_streams(machine: str, high: int) -> None:
    for family in (1, 2, 10, 16, 17, 38, 40):
        assert shared(machine, "socket", family | high, 1) == "EACCES"
    for flags in (0, 0x800, 0x80000, 0x80800):  # SOCK_NONBLOCK, SOCK_CLOEXEC
        pairs = [shared(machine, "socketpair", 1, (kind | flags) | high) for kind in (1, 2, 3, 5)]
        assert pairs == [ALLOW, "EACCES", "EACCES", ALLOW]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("high", [0, *HIGH_BITS])
def test_without_namespaces_others_are_not_signalled_all_at_once_and_get_no_limits(machine: str, high: int) -> None:
    assert shared(machine, "kill", 0xFFFFFFFF | high, 9) == "EPERM"
    assert shared(machine, "kill", 4242 | high, 9) == ALLOW
    assert shared(machine, "prlimit64", 0 | high) == ALLOW
    assert shared(machine, "prlimit64", 4242 | high) == "EPERM"


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("name", seccomp.SHARED_IPC)
def test_without_namespaces_shared_ipc_seems_to_be_missing(machine: str, name: str) -> None:
    assert shared(machine, name, 1, 2, 3) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_without_mounts_changes_of_attributes_are_asked_for(machine: str) -> None:
    def outcome(name: str, *arguments: int) -> str:
        program = seccomp.attributes_filter(machine=machine)
        return run(program, number_of(machine, name), arguments, ARCHITECTURE[machine])

    numbers = seccomp.NUMBERS[machine] | seccomp.SHARED_NUMBERS
    assert {outcome(name) for name in seccomp.ATTRIBUTES if name in numbers} == {ASKED}
    assert {outcome(name) for name in seccomp.EXTENDED} == {"ENOTSUP"}
    assert outcome("file_setattr") == outcome("setxattrat") == outcome("removexattrat") == "ENOSYS"
    assert outcome("ioctl", 3, seccomp.FS_IOC_SETFLAGS) == outcome("ioctl", 3, seccomp.FS_IOC_FSSETXATTR) == "ENOTTY"
    assert outcome("ioctl", 3, 0x5401) == ALLOW


@pytest.mark.parametrize("machine", MACHINES)
def test_init_can_answer_every_call_that_is_asked_for(machine: str) -> None:
    from _bldr_launcher import attributes

    assert set(attributes.CALLS) == set(seccomp.ATTRIBUTES)


THREAD = 0x3D0F00  # the flags with which the C library makes threads: CLONE_VM, CLONE_THREAD and others
FORK, SPAWN = 0x1200011, 0x4111  # as fork(3) and posix_spawn(3) do: SIGCHLD and no CLONE_THREAD


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("high", [0, *HIGH_BITS])
@pytest.mark.parametrize("refused", [(b"fork",), (b"exec",), (b"fork", b"exec")])
def test_a_policy_stops_processes_and_programs_and_lets_threads_be(
    machine: str, high: int, refused: tuple[bytes, ...]
) -> None:
    def outcome(name: str, *arguments: int, program: bytes) -> str:
        return run(program, number_of(machine, name), arguments, ARCHITECTURE[machine])

    for make in (seccomp.policy_filter, seccomp.attributes_filter):
        program = make(refused, machine=machine)
        forks = {outcome("clone", flags | high, program=program) for flags in (FORK, SPAWN, 0)}
        forks |= {outcome(name, program=program) for name in ("fork", "vfork") if name in seccomp.NUMBERS[machine]}
        assert forks == {ASKED if b"fork" in refused else ALLOW}
        assert outcome("clone", THREAD | high, program=program) == ALLOW
        assert outcome("clone3", program=program) == ("ENOSYS" if b"fork" in refused else ALLOW)
        executions = {outcome(name, program=program) for name in ("execve", "execveat")}
        assert executions == {ASKED if b"exec" in refused else ALLOW}
        assert outcome("openat2", program=program) == ALLOW
        assert run(program, 2, architecture=I386) == "ENOSYS"


@pytest.mark.parametrize("machine", MACHINES)
def test_processes_are_refused_without_asking_where_somebody_listens_already(machine: str) -> None:
    program = seccomp.policy_filter((b"fork",), action=seccomp.ERRNO | errno.EPERM, machine=machine)

    assert run(program, number_of(machine, "clone"), (FORK,), ARCHITECTURE[machine]) == "EPERM"
    assert run(program, number_of(machine, "clone"), (THREAD,), ARCHITECTURE[machine]) == ALLOW
