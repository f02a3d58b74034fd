"""Commands that may make no further process or execute no further program: with namespaces and without."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import HermeticExecutor, ProcessPolicy, ResourceLimits, SandboxSetupError, SandboxSpecBuilder, Termination
from bldr.errors import GuaranteeUnavailableError, InvalidCommandError
from bldr.model.environment import EnvSet
from bldr.model.receipt import Guarantee
from bldr.model.result import ExecutionResult
from bldr.sandbox.select import lower_backend_for

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]
BOUND = 60
# Each attempt prints its name with "done" or the name of the error. One that succeeds as another process or program
# says so itself.
ATTEMPTS = """
import ctypes, errno, os, sys, threading
libc = ctypes.CDLL(None, use_errno=True)

def call(number, *arguments):
    answer = libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), "")
    return answer

def forked(pid):
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)

def thread():
    began = []
    one = threading.Thread(target=began.append, args=(1,))
    one.start()
    one.join()
    assert began

def spawn():
    forked(os.posix_spawn("/bin/true", ["true"], {}))

def executed(execute):
    pid = os.fork()
    if pid == 0:
        try:
            execute()
        except OSError as error:
            os._exit(error.errno)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status:
        raise OSError(status, "")

def execve():
    executed(lambda: os.execv("/bin/true", ["true"]))

def loader():
    executed(lambda: os.execv(sys.argv[1], [sys.argv[1], "/bin/true"]))

def script():
    with open("/tmp/script", "w") as file:
        file.write("#!/bin/true\\n")
    os.chmod("/tmp/script", 0o755)
    executed(lambda: os.execv("/tmp/script", ["script"]))

def descriptor():
    # As init would have it, at each number that it may have used: what is there after its end counts for nothing.
    fd = os.open("/bin/true", os.O_RDONLY)
    for number in range(3, 64):
        if number != fd:
            os.dup2(fd, number)
        executed(lambda: os.execve(number, ["true"], {}))

def in_memory():
    fd = os.memfd_create("program")
    os.write(fd, open("/bin/true", "rb").read())
    executed(lambda: os.execve(fd, ["true"], {}))

def in_thread():
    found = []
    def attempt():
        try:
            os.execv("/bin/nothing", ["nothing"])
        except OSError as error:
            found.append(error.errno)
    one = threading.Thread(target=attempt)
    one.start()
    one.join()
    if found != [errno.ENOENT]:
        raise OSError(found[0], "")

def clone_bare():
    forked(call(56 if os.uname().machine == "x86_64" else 220, 17, 0, 0, 0, 0))

def clone3():
    arguments = (ctypes.c_uint64 * 11)(0, 0, 0, 0, 17)
    forked(call(435, ctypes.addressof(arguments), 88))

names = sys.argv[2:]
for name in names:
    try:
        forked(os.fork()) if name == "fork" else globals()[name]()
    except OSError as error:
        print(name, errno.errorcode[error.errno], flush=True)
    else:
        print(name, "done", flush=True)
"""
FORKS = ["fork", "spawn", "clone_bare", "clone3"]
EXECUTIONS = ["execve", "loader", "script", "descriptor", "in_memory"]


@pytest.fixture(
    params=[
        pytest.param("namespaces", marks=pytest.mark.needs("user-namespaces")),
        pytest.param("landlock", marks=pytest.mark.needs("landlock-truncate")),
    ]
)
def executor_of(request: pytest.FixtureRequest) -> Callable[[SandboxSpecBuilder], HermeticExecutor]:
    def make(made: SandboxSpecBuilder) -> HermeticExecutor:
        if request.param == "landlock":
            return HermeticExecutor(lower_backend_for(made.build()))
        return HermeticExecutor.create(made.build())

    return make


def builder(policy: ProcessPolicy) -> SandboxSpecBuilder:
    made = SandboxSpecBuilder.create().carve().with_toolchain("system").env_set(EnvSet.hermetic())
    return made.default_temp("/tmp").with_process(policy)


@pytest.fixture
def attempt(executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor]) -> Callable[..., ExecutionResult]:
    def run(policy: ProcessPolicy, *names: str) -> ExecutionResult:
        argv = ["python3", "-I", "-S", "-c", ATTEMPTS, loader_of_python(), *names]
        return executor_of(builder(policy)).execute(argv, timeout=BOUND)

    return run


def loader_of_python() -> str:
    """The dynamic loader, which can be executed like a program and runs another one."""
    python = shutil.which("python3", path="/usr/bin:/bin")
    assert python is not None
    found = subprocess.run(["ldd", python], check=False, capture_output=True, text=True).stdout.split()
    return next((word for word in found if word.startswith("/") and "/ld-" in word), "/lib64/ld-linux-x86-64.so.2")


def outcomes(result: ExecutionResult) -> dict[str, str]:
    assert result.exit_code == 0, result.stderr.decode()
    return dict(line.split(" ", 1) for line in result.stdout.decode().splitlines())


def test_without_a_policy_all_of_it_is_possible(attempt: Callable[..., ExecutionResult]) -> None:
    """The control of all the other tests: each attempt works where nothing refuses it."""
    found = outcomes(attempt(ProcessPolicy(), "thread", *FORKS, *EXECUTIONS, "in_thread"))

    without_temp = {"script"} if found["script"] == "EACCES" else set()  # /tmp is the host's: no sandbox has it there
    assert {name for name, outcome in found.items() if outcome != "done"} <= {"clone3", *without_temp}
    assert found["clone3"] in ("done", "ENOSYS")


def test_no_process_can_be_made_however_it_is_tried_and_threads_can(attempt: Callable[..., ExecutionResult]) -> None:
    result = attempt(ProcessPolicy(allow_fork=False), "thread", *FORKS, "in_thread")

    assert outcomes(result) == {
        "thread": "done", "fork": "EPERM", "spawn": "EPERM", "clone_bare": "EPERM", "clone3": "ENOSYS",
        "in_thread": "done",
    }  # fmt: skip
    (found,) = result.violations
    assert (found.kind, found.actual, found.limit, found.argv[0]) == ("fork", 3, 0, "python3")
    assert found.message == "a further process was refused to python3, 3 times"
    assert 0 <= found.time < BOUND
    record = result.receipt.record(Guarantee.NO_NEW_PROCESSES)
    assert (record.asked, record.enforced_by, record.verified) == (True, ("seccomp",), True)
    assert result.success  # the command was told, and went on


def test_a_command_that_may_not_fork_can_become_another_program(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    result = executor_of(builder(ProcessPolicy(allow_fork=False))).execute(
        ["sh", "-c", "exec echo here"], timeout=BOUND
    )

    assert (result.stdout, result.violations) == (b"here\n", ())


def test_no_program_can_be_executed_however_it_is_tried_and_processes_can_be_made(
    attempt: Callable[..., ExecutionResult],
) -> None:
    result = attempt(ProcessPolicy(allow_exec=False), "thread", "fork", *EXECUTIONS, "in_thread")

    found = outcomes(result)
    refused = {name for name, outcome in found.items() if outcome == "EPERM"}
    assert refused | {"script"} == {*EXECUTIONS, "in_thread"}
    assert found["script"] in ("EPERM", "EACCES")
    assert (found["thread"], found["fork"]) == ("done", "done")
    (violation,) = result.violations
    assert (violation.kind, violation.actual >= 5) == ("exec", True)
    record = result.receipt.record(Guarantee.NO_NEW_PROGRAMS)
    assert (record.asked, record.enforced_by, record.verified) == (True, ("seccomp",), True)


def test_both_can_be_refused(attempt: Callable[..., ExecutionResult]) -> None:
    result = attempt(ProcessPolicy(allow_fork=False, allow_exec=False), "thread", "fork", "in_thread")

    assert outcomes(result) == {"thread": "done", "fork": "EPERM", "in_thread": "EPERM"}
    assert [one.kind for one in result.violations] == ["fork", "exec"]


def test_what_was_refused_is_told_when_the_sandbox_is_killed(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    """Killed by whoever waits and by a limit: init has no time to report."""
    script = "import os\nfor _ in range(3):\n try: os.fork()\n except OSError: print('refused', flush=True)\n"
    executor = executor_of(builder(ProcessPolicy(allow_fork=False)))

    with executor.start(["python3", "-c", script + "input()"], stdin="pipe", timeout=BOUND) as sandbox:
        said = b""
        for _, chunk in sandbox.stream():
            said += chunk
            if said.count(b"refused") == 3:
                sandbox.kill()
        killed = sandbox.wait()
    hog = script + "held = []\nwhile True: held.append(b'x' * (1 << 20))"
    limited = builder(ProcessPolicy(allow_fork=False)).with_limits(ResourceLimits(memory="64M"))
    ended = executor_of(limited).execute(["python3", "-c", hog], timeout=BOUND)

    assert (killed.termination, killed.violations[0].kind) == (Termination.CANCELLED, "fork")
    assert (killed.violations[0].actual, killed.violations[0].argv[:2]) == (3, ("python3", "-c"))
    assert ended.termination == Termination.LIMIT_REACHED
    assert [(one.kind, one.actual) for one in ended.violations if one.kind == "fork"] == [("fork", 3)]


def test_a_command_with_an_interpreter_starts_though_nothing_else_may_be_executed(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor], tmp_path: Path
) -> None:
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    script = tmp_path / "script"
    script.write_text('#!/bin/sh\necho "$0 $1"\n/bin/true\necho $?\n')
    script.chmod(0o755)

    made = builder(ProcessPolicy(allow_exec=False)).input(tmp_path)
    result = executor_of(made).execute([str(script), "word"], timeout=BOUND, stderr="stdout")

    assert result.stdout.decode().splitlines()[0] == f"{script} word"
    assert result.stdout.decode().splitlines()[-1] == "126"
    assert [one.kind for one in result.violations] == ["exec"]


@pytest.mark.parametrize("policy", [ProcessPolicy(allow_fork=False), ProcessPolicy(allow_exec=False)])
def test_a_command_that_is_not_there_is_told_from_one_that_is_refused(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor], policy: ProcessPolicy
) -> None:
    executor = executor_of(builder(policy))

    with pytest.raises(InvalidCommandError, match="is not in the sandbox") as caught:
        executor.execute(["no-such-command"], timeout=BOUND)
    assert caught.value.code == "spec.command-not-found"
    with pytest.raises(InvalidCommandError, match="cannot be executed"):
        executor.execute(["/usr"], timeout=BOUND)


def test_the_policy_holds_side_by_side_with_others(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    """Sandboxes are made ahead; none of them may be taken that cannot refuse."""
    free, strict = executor_of(builder(ProcessPolicy())), executor_of(builder(ProcessPolicy(allow_fork=False)))
    script = ["sh", "-c", "(echo child)"]

    for _ in range(3):
        assert free.execute(script, timeout=BOUND).stdout == b"child\n"
        assert strict.execute(script, timeout=BOUND).stdout == b""


def test_a_guarantee_can_be_required_only_where_the_policy_asks_for_it(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    strict = builder(ProcessPolicy(allow_fork=False)).require(Guarantee.NO_NEW_PROCESSES, "seccomp")
    assert executor_of(strict).execute(["true"], timeout=BOUND).success

    with pytest.raises(GuaranteeUnavailableError):
        executor_of(builder(ProcessPolicy()).require(Guarantee.NO_NEW_PROCESSES))


@pytest.mark.needs("user-namespaces")
def test_where_somebody_listens_already_processes_are_refused_without_a_record_and_programs_not_at_all(
    tmp_path: Path,
) -> None:
    """A sandbox that refuses programs, around one that shall refuse them: the kernel allows one listener."""
    outer = builder(ProcessPolicy(allow_userns=True, allow_fork=True))
    inner = """
import sys
sys.path.insert(0, sys.argv[1])
from _bldr_launcher import policy, seccomp, syscalls
syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)
refused = frozenset([b"fork"])
print(policy.install(refused, syscalls) >= 0, policy.install(refused, syscalls))
try:
    policy.install(frozenset([b"exec"]), syscalls)
except OSError as error:
    print(error.errno)
"""
    source = Path(__file__).parents[3] / "src"
    executor = HermeticExecutor.create(outer.input(source).build())
    result = executor.execute(["python3", "-c", inner, str(source)], timeout=BOUND)

    assert (result.stdout, result.stderr) == (b"True -1\n16\n", b"")


@pytest.mark.needs("user-namespaces")
def test_the_command_line_the_environment_and_the_file_ask_for_it(bldr: Run, tmp_path: Path) -> None:
    forking = ["sh", "-c", "(echo child); echo parent"]
    said = b"bldr: a further process was refused to sh\n"

    assert bldr("run", "--", *forking).stdout == b"child\nparent\n"
    refused = bldr("run", "--fork", "false", "--json", str(tmp_path / "result.json"), "--", *forking)
    assert b"child" not in refused.stdout
    assert refused.stderr.endswith(said)
    written = json.loads((tmp_path / "result.json").read_text())
    assert [one["kind"] for one in written["violations"]] == ["fork"]
    assert {"guarantee": "no-new-processes", "asked": True, "enforced_by": ["seccomp"], "verified": True,
            "detail": "threads can be made"} in written["receipt"]["guarantees"]  # fmt: skip
    assert b"child" not in bldr("run", "--", *forking, env={"BUILDER_HERMETIC_FORK": "false"}).stdout
    (tmp_path / ".builderrc").write_text("BUILDER_HERMETIC_EXEC=false\n")
    executing = ["sh", "-c", "/bin/echo child; echo parent"]
    assert bldr("run", "--", *executing, cwd=tmp_path).stdout == b"parent\n"
    assert bldr("run", "--exec", "true", "--", *executing, cwd=tmp_path).stdout == b"child\nparent\n"
    assert b"refuse further programs, and try one" in bldr("plan", "--exec", "false").stdout


def test_setup_error_names_the_step() -> None:
    from bldr.sandbox.linux.failures import setup_failure

    error = setup_failure((-1, "refuse", 16, "seccomp(...): Device or resource busy"), cwd="/", steps=())

    assert isinstance(error, SandboxSetupError)
    assert error.step == "refuse further processes or programs"
    assert "listened to already" in error.hint


@pytest.mark.needs("user-namespaces")
def test_a_sandbox_ends_with_bldr_and_who_wants_another_is_told_how_bldr_survives(bldr: Run) -> None:
    for options, environment in (
        (("--kill-on-parent-exit", "false"), {}),
        ((), {"BUILDER_HERMETIC_KILL_ON_PARENT_EXIT": "false"}),
    ):
        refused = bldr("run", *options, "--", "true", env=environment)

        assert refused.returncode == 125
        assert b"a sandbox cannot outlive the process that started it" in refused.stderr
        assert b"setsid --fork bldr run" in refused.stderr


def test_without_namespaces_it_is_refused_in_the_same_words(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    with pytest.raises(GuaranteeUnavailableError, match="cannot outlive the process that started it") as caught:
        executor_of(builder(ProcessPolicy(kill_on_parent_exit=False)))

    assert caught.value.guarantee == Guarantee.NO_SURVIVORS


@pytest.mark.needs("user-namespaces")
def test_a_bldr_in_a_session_of_its_own_survives_who_started_it(bldr_argv: list[str], tmp_path: Path) -> None:
    """What the hint promises: the shell that started it is gone before the command writes."""
    for directory in (tmp_path, *tmp_path.parents[:2]):
        directory.chmod(directory.stat().st_mode | 0o055)
    out, fifo = tmp_path / "out", tmp_path / "in"
    out.mkdir()
    fifo.mkdir()
    os.mkfifo(fifo / "go")
    command = "read word </in/go; echo $word >/out/said; echo over >/in/go"
    argv = [*bldr_argv, "run", "-o", f"{out}:/out", "-o", f"{fifo}:/in", "--", "sh", "-c", command]
    starter = 'setsid --fork "$@" </dev/null >/dev/null 2>&1; kill -KILL $$'
    done = subprocess.run(["sh", "-c", starter, "sh", *argv], check=False, timeout=BOUND)
    assert done.returncode == -signal.SIGKILL

    with open(fifo / "go", "w") as go:  # opens when the command reads, which nobody but a survivor does
        go.write("alive\n")
    with open(fifo / "go") as over:
        assert over.read() == "over\n"
    assert (out / "said").read_text() == "alive\n"


def test_the_policy_holds_each_time_when_the_same_is_run_again_and_again(
    executor_of: Callable[[SandboxSpecBuilder], HermeticExecutor],
) -> None:
    """Sandboxes that repeat are equipped ahead with their plan, and are then told the command only."""
    executor = executor_of(builder(ProcessPolicy(allow_fork=False)))

    found = [executor.execute(["sh", "-c", "(echo child)"], timeout=BOUND) for _ in range(8)]

    assert [(one.stdout, [each.kind for each in one.violations]) for one in found] == [(b"", ["fork"])] * 8
