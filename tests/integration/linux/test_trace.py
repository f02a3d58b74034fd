"""Executions that are traced by the real kernel: what is recorded, of every kind of program, and what happens without the tracer."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from bldr import HermeticExecutor, Sandbox, TraceEvent
from bldr.errors import BackendUnavailableError, SandboxLostError, SpecError
from bldr.model.network import NetworkPolicy
from bldr.model.process import ProcessPolicy
from bldr.model.result import ExecutionResult
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import children, descendants, specification, until

pytestmark = pytest.mark.needs("user-namespaces")


@pytest.fixture
def project(host_dir: Path) -> Path:
    """A directory with an input, an output and something that is not declared."""
    (host_dir / "src").mkdir()
    (host_dir / "src" / "main.txt").write_text("main\n", encoding="ascii")
    (host_dir / "src" / "unused.txt").write_text("unused\n", encoding="ascii")
    (host_dir / "out").mkdir()
    (host_dir / "hidden").mkdir()
    (host_dir / "hidden" / "secret.txt").write_text("secret\n", encoding="ascii")
    return host_dir


@pytest.fixture
def trace(launcher: Launcher, project: Path) -> Callable[..., ExecutionResult]:
    """Run a script, or words, in a sandbox of the project with everything traced."""

    def run(command: str | list[str], level: str = "full", **options: object) -> ExecutionResult:
        spec = specification().input(project / "src").output(project / "out").build()
        words = ["sh", "-c", command] if isinstance(command, str) else command
        executor = HermeticExecutor.create(spec, launcher=launcher)
        return executor.execute(words, cwd=project / "src", trace=level, **options)  # type: ignore[arg-type]

    return run


def events(result: ExecutionResult, kind: str) -> list[TraceEvent]:
    assert result.trace is not None
    return [event for event in result.trace.events if event.kind == kind]


def build(directory: Path, code: str, *options: str) -> Path:
    """Compile a program into the sources of the project."""
    (directory / "program.c").write_text(textwrap.dedent(code), encoding="ascii")
    program = directory / "src" / "program"
    subprocess.run(["cc", "-O1", *options, "-o", program, directory / "program.c"], check=True, capture_output=True)
    return program


def test_nothing_is_recorded_when_nothing_is_asked_for(trace: Callable[..., ExecutionResult]) -> None:
    result = trace("cat main.txt", "off")

    assert (result.trace, result.reads, result.probes, result.writes) == (None, (), (), ())
    assert (result.executions, result.endpoints, result.denials) == ((), (), ())
    assert not any("traced" in note for note in result.receipt.notes)


def test_reads_probes_writes_and_deletes_are_told_apart(trace: Callable[..., ExecutionResult], project: Path) -> None:
    out = project / "out"

    result = trace(
        f"cat main.txt missing.txt; echo x > {out}/new; cat {out}/new; mv {out}/new {out}/moved; mkdir {out}/d; rmdir {out}/d;"
        f" ls {project}/src; rm {out}/moved"
    )

    assert result.trace is not None
    assert str(project / "src" / "main.txt") in result.reads
    assert str(project / "src" / "unused.txt") not in result.reads
    assert str(out / "new") not in result.reads  # its own work is no input
    assert str(project / "src" / "missing.txt") in result.probes
    assert {str(out / "new"), str(out / "moved"), str(out / "d")} <= set(result.writes)
    assert {str(out / "new"), str(out / "moved"), str(out / "d")} <= set(result.trace.deletes)
    assert str(project / "src") in result.trace.listings
    (rename,) = events(result, "rename")
    assert (rename.subject, rename.target) == (str(out / "new"), str(out / "moved"))
    assert result.trace.calls > len(result.trace.events) > 10
    assert result.trace.dropped == 0


def test_programs_are_recorded_with_arguments_interpreters_and_tree(
    trace: Callable[..., ExecutionResult], project: Path
) -> None:
    script = project / "src" / "script"
    script.write_text('#!/bin/sh\necho ran "$@"\n', encoding="ascii")
    script.chmod(0o755)

    result = trace("./script one 'two words'; true")

    assert result.trace is not None
    (first, second) = result.executions
    assert first.argv[:2] == ("sh", "-c")
    assert second.argv == ("./script", "one", "two words")
    assert second.subject == str(script)
    assert [Path(path).name for path in second.interpreters][:1] == [Path(os.path.realpath("/bin/sh")).name]
    assert any("ld-linux" in path or "ld-" in path for path in second.interpreters)
    child = result.trace.process(second.pid)
    assert child is not None
    assert child.parent == first.pid
    assert child.argv == ("./script", "one", "two words")
    assert set(second.interpreters) <= set(result.reads)


def test_what_exists_on_the_host_and_was_not_declared_is_denied(
    trace: Callable[..., ExecutionResult], project: Path
) -> None:
    secret = project / "hidden" / "secret.txt"

    result = trace(f"cat {secret}; cat /no/such/file; echo x > main.txt; rm main.txt; ls {project}")

    found = {(denial.kind, denial.subject) for denial in result.denials}
    assert ("read", str(secret)) in found
    assert ("write", str(project / "src" / "main.txt")) in found
    assert ("delete", str(project / "src" / "main.txt")) in found
    assert not any(subject == "/no/such/file" for _, subject in found)
    (listing,) = [denial for denial in result.denials if (denial.kind, denial.subject) == ("list", str(project))]
    assert "hidden" in listing.message
    assert "src" not in listing.message.split()


def test_predicted_answers_are_those_that_the_command_gets(
    trace: Callable[..., ExecutionResult], project: Path
) -> None:
    script = f"""
        import os
        def attempt(call, *arguments):
            try:
                call(*arguments)
            except OSError as error:
                print(error.errno)
            else:
                print(0)
        here = {str(project / "src")!r}
        there = {str(project / "out")!r}
        attempt(os.stat, here + "/main.txt")
        attempt(os.stat, here + "/absent")
        attempt(os.mkdir, here + "/new")
        attempt(os.mkdir, there + "/new")
        attempt(os.unlink, here + "/unused.txt")
        attempt(os.rename, there + "/absent", there + "/other")
        attempt(os.symlink, "x", here + "/link")
        attempt(os.truncate, here + "/main.txt", 0)
        attempt(os.listdir, here + "/main.txt/below")
    """
    program = project / "src" / "attempts.py"
    program.write_text(textwrap.dedent(script), encoding="ascii")

    result = trace(["/usr/bin/python3", "-I", "-S", "attempts.py"])

    assert result.stdout.split() == [b"0", b"2", b"30", b"0", b"30", b"2", b"30", b"30", b"20"]
    assert result.trace is not None
    predicted = {(event.kind, event.asked or event.subject): event.errno for event in result.trace.events}
    src, out = str(project / "src"), str(project / "out")
    assert predicted["look", f"{src}/main.txt"] == 0
    assert predicted["look", f"{src}/absent"] == errno.ENOENT
    assert predicted["write", f"{src}/new"] == errno.EROFS
    assert predicted["write", f"{out}/new"] == 0
    assert predicted["delete", f"{src}/unused.txt"] == errno.EROFS
    assert predicted["rename", f"{out}/absent"] == errno.ENOENT
    assert predicted["write", f"{src}/link"] == errno.EROFS
    assert predicted["write", f"{src}/main.txt"] == errno.EROFS
    assert predicted["read", f"{src}/main.txt/below"] == errno.ENOTDIR


def test_connections_out_are_recorded_and_denied_at_both_levels(trace: Callable[..., ExecutionResult]) -> None:
    code = (
        "import socket\n"
        "for family, address in ((socket.AF_INET, ('192.0.2.7', 443)), (socket.AF_INET6, ('2001:db8::7', 80))):\n"
        "    try: socket.socket(family).connect(address)\n"
        "    except OSError: pass\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "query = bytes.fromhex('123401000001000000000000') + b'\\x07example\\x03org\\0\\0\\x01\\0\\x01'\n"
        "try: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(query, ('192.0.2.53', 53))\n"
        "except OSError: pass\n"
        "asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "asker.connect(('127.0.0.1', 53))\n"  # and send(2), as the C library does for one family of addresses
        "asker.send(query.replace(b'example', b'another'), socket.MSG_NOSIGNAL)\n"
        "one, two = socket.socketpair()\n"
        "one.send(query.replace(b'example', b'nothing'), socket.MSG_NOSIGNAL)\n"
    )
    for level in ("network", "full"):
        result = trace(["/usr/bin/python3", "-I", "-S", "-c", code], level)

        assert {"192.0.2.7:443", "[2001:db8::7]:80", "192.0.2.53:53", "example.org"} <= set(result.endpoints)
        assert [event.subject for event in events(result, "resolve")] == ["example.org", "another.org"]
        denied = {denial.subject for denial in result.denials if denial.kind in ("connect", "send")}
        assert denied == {"192.0.2.7:443", "[2001:db8::7]:80", "192.0.2.53:53"}
        assert any(event.subject.startswith("127.0.0.1:") and not event.errno for event in events(result, "connect"))
        assert events(result, "bind")
        assert any(f"level {level}" in note for note in result.receipt.notes)


def test_the_level_network_records_no_file(trace: Callable[..., ExecutionResult]) -> None:
    result = trace("cat main.txt; ls", "network")

    assert result.trace is not None
    assert {event.kind for event in result.trace.events} == {"execute"}
    assert [event.argv for event in result.executions][1:] == [("cat", "main.txt"), ("ls",)]


@pytest.mark.needs("c-compiler")
def test_a_static_program_is_traced(trace: Callable[..., ExecutionResult], project: Path) -> None:
    code = """
        #include <fcntl.h>
        #include <unistd.h>
        int main(void) { return open("main.txt", O_RDONLY) < 0 || open("nothing", O_RDONLY) >= 0; }
    """
    build(project, code, "-static")

    result = trace(["./program"])

    assert result.exit_code == 0
    assert str(project / "src" / "main.txt") in result.reads
    assert str(project / "src" / "nothing") in result.probes
    assert result.executions[0].interpreters == ()


@pytest.mark.needs("c-compiler")
def test_every_thread_is_traced_and_counts_as_its_process(trace: Callable[..., ExecutionResult], project: Path) -> None:
    code = """
        #include <fcntl.h>
        #include <pthread.h>
        #include <stdio.h>
        static void *look(void *number) {
            char name[32];
            for (int index = 0; index < 50; index++) {
                snprintf(name, sizeof name, "absent-%ld-%d", (long)number, index);
                open(name, O_RDONLY);
            }
            return 0;
        }
        int main(void) {
            pthread_t threads[8];
            for (long number = 0; number < 8; number++) pthread_create(&threads[number], 0, look, (void *)number);
            for (int number = 0; number < 8; number++) pthread_join(threads[number], 0);
            return 0;
        }
    """
    build(project, code, "-pthread")

    result = trace(["./program"])

    absent = [event for event in events(result, "read") if "/absent-" in event.subject]
    assert len(absent) == 400
    assert {event.pid for event in absent} == {result.executions[0].pid}


@pytest.mark.needs("c-compiler")
def test_a_parent_that_waits_in_vfork_is_not_waited_for(trace: Callable[..., ExecutionResult], project: Path) -> None:
    code = """
        #include <sys/wait.h>
        #include <unistd.h>
        int main(void) {
            for (int index = 0; index < 50; index++) {
                char *argv[] = {"true", 0};
                pid_t child = vfork();
                if (child == 0) { execv("/usr/bin/true", argv); _exit(127); }
                waitpid(child, 0, 0);
            }
            return 0;
        }
    """
    build(project, code)

    result = trace(["./program"])

    assert result.exit_code == 0
    assert [event.argv for event in result.executions].count(("true",)) == 50


@pytest.mark.needs("c-compiler")
def test_a_storm_of_signals_loses_nothing(trace: Callable[..., ExecutionResult], project: Path) -> None:
    """Go preempts its threads by signals, thousands a second; a call that is asked about must go on all the same."""
    code = """
        #include <errno.h>
        #include <fcntl.h>
        #include <signal.h>
        #include <stdio.h>
        #include <sys/time.h>
        #include <unistd.h>
        static void nothing(int number) { (void)number; }
        int main(void) {
            struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
            struct itimerval often = {{0, 300}, {0, 300}};
            sigaction(SIGALRM, &action, 0);
            setitimer(ITIMER_REAL, &often, 0);
            int wrong = 0;
            for (int index = 0; index < 3000; index++) {
                char name[32];
                snprintf(name, sizeof name, "storm-%d", index);
                if (open(name, O_RDONLY) >= 0 || errno != ENOENT) wrong++;
            }
            printf("%d\\n", wrong);
            return 0;
        }
    """
    build(project, code)

    result = trace(["./program"])

    assert result.stdout == b"0\n"
    assert len([event for event in events(result, "read") if "/storm-" in event.subject]) == 3000


@pytest.mark.needs("int-0x80")
def test_a_32_bit_program_cannot_get_round_the_tracer(trace: Callable[..., ExecutionResult], project: Path) -> None:
    """It sees a kernel without any system call; here a 64-bit program makes a call by the 32-bit entry."""
    code = """
        #include <stdio.h>
        int main(void) {
            long answer;
            __asm__ volatile("int $0x80" : "=a"(answer) : "a"(20L) : "r8", "r9", "r10", "r11", "memory");
            printf("%ld\\n", answer);
            return 0;
        }
    """
    build(project, code)

    result = trace(["./program"])

    assert result.stdout == f"{-errno.ENOSYS}\n".encode()


def test_io_uring_seems_to_be_missing(trace: Callable[..., ExecutionResult]) -> None:
    code = "import ctypes; l = ctypes.CDLL(None, use_errno=True); l.syscall(425, 1, 0); print(ctypes.get_errno())"

    result = trace(["/usr/bin/python3", "-I", "-c", code])

    assert result.stdout.split() == [str(errno.ENOSYS).encode()]


def test_a_command_that_is_killed_has_a_trace(launcher: Launcher, project: Path) -> None:
    """By whoever waits, as by a timeout: it is killed when it is known to have done something."""
    spec = specification().input(project / "src").build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    words = ["sh", "-c", "cat main.txt; exec sleep 60"]
    with executor.start(words, cwd=project / "src", trace="full", stdin=None) as session:
        for _, chunk in session.stream():
            if b"main" in chunk:
                session.kill()
        result = session.wait()

    assert result.termination == "cancelled"
    assert str(project / "src" / "main.txt") in result.reads


def test_what_a_daemon_does_until_the_end_is_recorded(trace: Callable[..., ExecutionResult], project: Path) -> None:
    result = trace("(setsid sh -c 'cat main.txt >/dev/null; sleep 60' &); until [ -e /tmp/x ]; do touch /tmp/x; done")

    assert result.exit_code == 0
    assert str(project / "src") in [os.path.dirname(path) for path in (*result.reads, str(project / "src" / "x"))]


def tracers(launcher: Launcher) -> set[int]:
    launcher.ensure()
    found = set()
    for pid in descendants(launcher.pid):
        try:
            if Path(f"/proc/{pid}/comm").read_text("ascii") == "bldr-tracer\n":
                found.add(pid)
        except OSError:
            continue
    return found


def its_tracer(launcher: Launcher) -> int:
    """The one tracer. A list of processes that is made while others end may lack some (proc(5))."""
    found: set[int] = set()

    def is_seen() -> bool:
        found.update(tracers(launcher))
        return bool(found)

    assert until(is_seen)
    (tracer,) = found
    return tracer


def has_no_tracers(launcher: Launcher) -> bool:
    return not any(tracers(launcher) for _ in range(3))


def start(launcher: Launcher, *argv: str) -> Sandbox:
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    return executor.start(list(argv), trace="full", stdin=None)


def test_the_sandbox_dies_with_its_tracer(launcher: Launcher) -> None:
    assert until(lambda: has_no_tracers(launcher))
    with start(launcher, "sh", "-c", "trap '' TERM; while :; do sleep 60; done") as session:
        os.kill(its_tracer(launcher), signal.SIGKILL)

        with pytest.raises(SandboxLostError, match="tracer"):
            session.wait(timeout=30)
    assert until(lambda: has_no_tracers(launcher))


def test_a_command_that_ends_without_its_tracer_has_no_result(launcher: Launcher) -> None:
    """What it did may be the consequence: each traced call has failed since. The launcher stands still meanwhile."""
    assert until(lambda: has_no_tracers(launcher))
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    reading, writing = os.pipe()
    with (
        open(reading, "rb") as stdin,
        open(writing, "wb", buffering=0) as word,
        executor.start(["sh", "-c", "read word; exit 0"], trace="network", stdin=stdin.fileno()) as session,
    ):
        tracer = its_tracer(launcher)
        os.kill(launcher.pid, signal.SIGSTOP)
        try:
            os.kill(tracer, signal.SIGKILL)
            word.write(b"word\n")
            assert until(lambda: any(is_ended_init(pid) for pid in children(launcher.pid)))
        finally:
            os.kill(launcher.pid, signal.SIGCONT)

        with pytest.raises(SandboxLostError, match="tracer"):
            session.wait(timeout=30)


def is_ended_init(pid: int) -> bool:
    try:
        return "(bldr-init) Z" in Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False


def test_no_tracer_is_left_when_the_session_is_dropped(launcher: Launcher) -> None:
    assert until(lambda: has_no_tracers(launcher))
    session = start(launcher, "sleep", "60")
    assert its_tracer(launcher)

    session.close()

    assert until(lambda: has_no_tracers(launcher))


def test_a_link_is_followed_anew_where_it_can_change(trace: Callable[..., ExecutionResult], project: Path) -> None:
    """What lies on a read-only mount is looked up once; a link in an output leads elsewhere each time."""
    out = project / "out"
    for name in ("one", "two"):
        (project / "src" / name).mkdir()
        (project / "src" / name / "file").write_text(f"#!/bin/sh\necho {name}\n", encoding="ascii")
        (project / "src" / name / "file").chmod(0o755)

    result = trace(
        f"for name in one two; do ln -sfn {project}/src/$name {out}/link; cat {out}/link/file; {out}/link/file; done"
    )

    assert result.stdout.split(b"\n")[2::3] == [b"one", b"two"]
    paths = {str(project / "src" / name / "file") for name in ("one", "two")}
    assert paths <= {event.subject for event in result.executions}


def test_one_tracer_serves_one_sandbox_after_the_other(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    assert until(lambda: has_no_tracers(launcher))
    for number in range(3):
        result = executor.execute(["cat", f"/tmp/none-{number}"], trace="full")

        assert [path for path in result.probes if "/none-" in path] == [f"/tmp/none-{number}"]
        assert result.executions[0].argv == ("cat", f"/tmp/none-{number}")
        assert len(tracers(launcher)) <= 1
    assert until(lambda: has_no_tracers(launcher))


def test_executions_at_the_same_time_do_not_mix(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    found: dict[int, tuple[str, ...]] = {}

    def run(number: int) -> None:
        result = executor.execute(["sh", "-c", f"for i in 1 2 3; do cat /tmp/none-{number}-$i; done"], trace="full")
        found[number] = tuple(path for path in result.probes if "/none-" in path)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == {number: tuple(f"/tmp/none-{number}-{index}" for index in (1, 2, 3)) for number in range(6)}


def test_a_sandbox_in_a_traced_sandbox_runs_and_is_named(launcher: Launcher, repository: Path) -> None:
    spec = (
        specification()
        .input(repository / "src")
        .env("PYTHONPATH", str(repository / "src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .with_process(ProcessPolicy(allow_userns=True))
        .build()
    )
    executor = HermeticExecutor.create(spec, launcher=launcher)
    inner = ["/usr/bin/python3", "-m", "bldr", "run", "--", "cat", "/etc/hostname"]

    result = executor.execute(inner, trace="network")

    assert (result.exit_code, result.stdout) == (0, b"bldr\n"), result.stderr
    assert result.trace is not None
    assert any(process.nested for process in result.trace.processes)
    assert ("cat", "/etc/hostname") in [event.argv for event in result.executions]

    refused = executor.execute([*inner[:4], "--trace", "full", *inner[4:]], trace="network")

    assert refused.exit_code == 125
    assert b"cannot trace the command: somebody around this sandbox listens" in refused.stderr
    assert b"--trace off" in refused.stderr


def test_a_level_that_does_not_exist_is_refused(launcher: Launcher) -> None:
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)

    with pytest.raises(SpecError) as caught:
        executor.execute(["true"], trace="everything")
    assert caught.value.code == "spec.trace-unknown"


FORKED_AND_EXECUTED = """
import os
try:
    os.fork()
except OSError as error:
    print("fork", error.errno)
try:
    os.execv("/usr/bin/env", ["env", "--version"])
except OSError as error:
    print("exec", error.errno)
"""


@pytest.mark.parametrize("level", ["network", "full"])
def test_what_a_policy_refuses_is_refused_and_told_under_a_trace_as_well(launcher: Launcher, level: str) -> None:
    """One listener for both: the tracer decides what init decides without it."""
    policy = ProcessPolicy(allow_fork=False, allow_exec=False)
    executor = HermeticExecutor.create(specification().with_process(policy).build(), launcher=launcher)

    for _ in range(2):
        result = executor.execute(["/usr/bin/python3", "-I", "-S", "-c", FORKED_AND_EXECUTED], trace=level)

        assert (result.exit_code, result.stdout) == (0, b"fork 1\nexec 1\n")
        assert [(one.kind, one.actual) for one in result.violations] == [("fork", 1), ("exec", 1)]
        assert result.violations[0].argv[:2] == ("/usr/bin/python3", "-I")
        assert [event.errno for event in events(result, "execute")] == [0, errno.EPERM]
        (first,) = result.executions
        assert first.argv[0] == "/usr/bin/python3"
        assert events(result, "execute")[1].argv == ()
        assert events(result, "execute")[1].asked == "/usr/bin/env"
        assert any(path.endswith("/libc.so.6") for path in result.reads) is (level == "full")


def test_what_was_refused_is_told_when_a_traced_sandbox_is_killed(launcher: Launcher) -> None:
    spec = specification().with_process(ProcessPolicy(allow_fork=False)).build()
    script = FORKED_AND_EXECUTED.partition("try:\n    os.exec")[0] * 3 + "\nprint('tried', flush=True)\ninput()"
    with HermeticExecutor.create(spec, launcher=launcher).start(
        ["/usr/bin/python3", "-I", "-S", "-c", script], trace="network", stdin="pipe"
    ) as session:
        said = b""
        for _, chunk in session.stream():
            said += chunk
            if b"tried" in said:
                session.kill()
        result = session.wait()

    assert said.count(b"fork 1") == 3
    assert [(one.kind, one.actual) for one in result.violations] == [("fork", 3)]


def test_a_traced_sandbox_that_refuses_dies_with_its_tracer(launcher: Launcher) -> None:
    spec = specification().with_process(ProcessPolicy(allow_exec=False)).build()
    executor = HermeticExecutor.create(spec, launcher=launcher)
    assert until(lambda: has_no_tracers(launcher))
    with executor.start(["sleep", "60"], trace="network", stdin=None) as session:
        os.kill(its_tracer(launcher), signal.SIGKILL)

        with pytest.raises(SandboxLostError, match="tracer"):
            session.wait(timeout=30)


@pytest.mark.needs("landlock")
def test_without_namespaces_a_trace_is_refused() -> None:
    from bldr.sandbox.linux.landlock.backend import LandlockBackend

    executor = HermeticExecutor(LandlockBackend(specification().with_network(NetworkPolicy.hermetic()).build()))
    with pytest.raises(BackendUnavailableError) as caught:
        executor.execute(["true"], trace="full")
    assert caught.value.code == "sandbox.trace-unavailable"
    assert caught.value.capability == "trace"


def test_the_command_line_writes_the_trace(
    bldr: Callable[..., subprocess.CompletedProcess[bytes]], host_dir: Path
) -> None:
    import json

    file = host_dir / "result.json"

    done = bldr("run", "--trace", "full", "--json", file, "--", "cat", "/etc/hostname")

    assert (done.returncode, done.stdout) == (0, b"bldr\n")
    trace = json.loads(file.read_text("utf-8"))["trace"]
    assert trace["level"] == "full"
    assert any(event["kind"] == "read" and event["subject"] == "/etc/hostname" for event in trace["events"])


def test_the_command_line_refuses_an_unknown_level(bldr: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    done = bldr("run", "--trace", "some", "--", "true")

    assert done.returncode == 2
    assert b"off, network, full or auto" in done.stderr


@pytest.mark.needs("unprivileged-user", "system-python")
def test_a_user_without_rights_can_trace(run_unprivileged: Callable[..., subprocess.CompletedProcess[bytes]]) -> None:
    code = (
        "from bldr import *;"
        "spec = SandboxSpecBuilder.create().with_toolchain('system').env('PATH', '/usr/bin:/bin').build();"
        "result = HermeticExecutor.create(spec).execute(['cat', '/etc/hostname', '/etc/shadow'], trace='full');"
        "print('/etc/hostname' in result.reads, [d.subject for d in result.denials if d.kind == 'read'])"
    )

    done = run_unprivileged("-c", code)

    assert done.stdout.startswith(b"True"), (done.stdout, done.stderr)
    assert b"/etc/shadow" in done.stdout
