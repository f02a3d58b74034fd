"""What cannot work is refused with a code, one sentence and a hint, in the library and on the command line.

And what looks odd but is right works.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import BldrError
from bldr.model.limits import ResourceLimits
from bldr.model.network import NetworkPolicy
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import children, descriptors, specification, temps_in_use

pytestmark = pytest.mark.needs("user-namespaces")
Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def launcher() -> Iterator[Launcher]:
    launcher = Launcher()
    launcher.ensure()
    yield launcher
    launcher.stop()


class Ground:
    """A directory with one of everything."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        for name in ("in", "out", "in/nested"):
            (directory / name).mkdir()
        (directory / "in" / "file").write_text("content")
        (directory / "script").write_text("not a program")
        (directory / "script").chmod(0o755)
        (directory / "plain").write_text("#!/bin/sh\n")
        (directory / "orphan").write_text("#!/no/such/interpreter\n")
        (directory / "orphan").chmod(0o755)
        (directory / "dangling").symlink_to("nowhere")
        (directory / "loop").symlink_to("loop")

    def __truediv__(self, name: str) -> str:
        return str(self.path / name)


@pytest.fixture
def ground(host_dir: Path) -> Ground:
    return Ground(host_dir)


# name: (declare, argv, cwd, code, word of the message, status, options of the command line)
Declare = Callable[[SandboxSpecBuilder, Ground], object]
Case = tuple[Declare, list[str], str | None, str, str, int, list[str] | None]

REFUSED: dict[str, Case] = {
    "missing-input": (lambda b, g: b.input(g / "missing"), ["true"], None, "spec.path-missing", "missing", 125, ["-i", "missing"]),
    "dangling-input": (lambda b, g: b.input(g / "dangling"), ["true"], None, "spec.path-missing", "dangling", 125, ["-i", "dangling"]),
    "missing-output": (lambda b, g: b.output(g / "missing"), ["true"], None, "spec.output-missing", "missing", 125, ["-o", "missing"]),
    "output-is-a-file": (lambda b, g: b.output(g / "plain"), ["true"], None, "spec.output-not-directory", "plain", 125, ["-o", "plain"]),
    "input-in-output": (lambda b, g: b.input(g / "in/file").output(g / "in"), ["true"], None, "spec.paths-overlap", "in/file", 125, ["-i", "in/file", "-o", "in"]),
    "output-in-temp": (lambda b, g: b.output(g / "out").temp(g.path), ["true"], None, "spec.paths-overlap", "out", 125, ["-o", "out", "-t", "."]),
    "relative-input": (lambda b, g: b.input("relative"), ["true"], None, "spec.path-relative", "relative", 125, None),
    "parent-in-input": (lambda b, g: b.input("/usr/../etc"), ["true"], None, "spec.path-not-normalized", "..", 125, None),
    "nul-in-input": (lambda b, g: b.input("/a\0b"), ["true"], None, "spec.path-invalid", "NUL", 125, None),
    "overlap": (lambda b, g: b.input(g / "in").output(g / "in/nested"), ["true"], None, "spec.paths-overlap", "in/nested", 125, None),
    "empty-command": (lambda b, g: b, [], None, "spec.command-empty", "command", 2, []),
    "empty-word": (lambda b, g: b, [""], None, "spec.command-empty", "empty", 125, []),
    "nul-in-word": (lambda b, g: b, ["echo", "a\0b"], None, "spec.command-nul", "NUL", 125, None),
    "command-not-there": (lambda b, g: b, ["no-such-command"], None, "spec.command-not-found", "no-such-command", 127, []),
    "command-path-not-there": (lambda b, g: b, ["/no/such"], None, "spec.command-not-found", "/no/such", 127, []),
    "command-not-declared": (lambda b, g: b, [sys.executable + "-undeclared"], None, "spec.command-not-found", "undeclared", 127, []),
    "command-is-no-program": (lambda b, g: b.input(g / "script"), ["{script}"], None, "spec.command-not-executable", "script", 126, ["-i", "script"]),
    "command-without-permission": (lambda b, g: b.input(g / "plain"), ["{plain}"], None, "spec.command-not-executable", "plain", 126, ["-i", "plain"]),
    "command-is-a-directory": (lambda b, g: b, ["/usr"], None, "spec.command-not-executable", "/usr", 126, []),
    "interpreter-not-there": (lambda b, g: b.input(g / "orphan"), ["{orphan}"], None, "spec.command-not-found", "interpreter", 127, ["-i", "orphan"]),
    "cwd-not-visible": (lambda b, g: b, ["true"], "/nowhere", "spec.cwd-invalid", "/nowhere", 125, ["--cwd", "/nowhere"]),
    "cwd-is-a-file": (lambda b, g: b, ["true"], "/etc/passwd", "spec.cwd-invalid", "/etc/passwd", 125, ["--cwd", "/etc/passwd"]),
    "cwd-relative": (lambda b, g: b, ["true"], "somewhere", "spec.path-relative", "somewhere", 125, None),
    "memory": (lambda b, g: b.with_limits(ResourceLimits(memory="900T")), ["true"], None, "sandbox.guarantee-unavailable", "memory", 125, ["--memory", "900T"]),
    "cpus": (lambda b, g: b.with_limits(ResourceLimits(cpus=8000)), ["true"], None, "sandbox.guarantee-unavailable", "cpus", 125, ["--cpus", "8000"]),
    "hosts-and-no-network": (lambda b, g: b.with_network(NetworkPolicy.allow_hosts(["host.example"])).require("no-network"), ["true"], None, "sandbox.guarantee-unavailable", "no-network", 125, ["--allow-host", "host.example", "--require", "no-network"]),
    "require-unavailable": (lambda b, g: b.require("network-allow-list"), ["true"], None, "sandbox.guarantee-unavailable", "network-allow-list", 125, ["--require", "network-allow-list"]),
    "require-mechanism": (lambda b, g: b.require("no-network", "firewall"), ["true"], None, "sandbox.guarantee-unavailable", "firewall", 125, ["--require", "no-network=firewall"]),
    "unknown-guarantee": (lambda b, g: b.require("no-bugs"), ["true"], None, "spec.guarantee-unknown", "no-bugs", 2, ["--require", "no-bugs"]),
    "unknown-toolchain": (lambda b, g: b.with_toolchain("magic"), ["true"], None, "spec.toolchain-unknown", "magic", 125, ["--toolchain", "magic"]),
}  # fmt: skip


def run_case(name: str, ground: Ground, launcher: Launcher) -> None:
    declare, argv, cwd, *_ = REFUSED[name]
    builder = specification()
    declare(builder, ground)
    words = [word.format(script=ground / "script", plain=ground / "plain", orphan=ground / "orphan") for word in argv]
    HermeticExecutor.create(builder.build(), launcher=launcher).execute(words, cwd=cwd)


@pytest.mark.parametrize("name", REFUSED)
def test_the_library_refuses(name: str, ground: Ground, launcher: Launcher) -> None:
    *_, code, word, _, _ = REFUSED[name]
    before = descriptors()

    with pytest.raises(BldrError) as caught:
        run_case(name, ground, launcher)

    error = caught.value
    assert error.code == code
    assert word in error.message
    assert error.hint
    assert "\n" not in error.message
    assert not error.message.endswith(".")
    assert descriptors() == before
    assert temps_in_use(launcher.base) == []


@pytest.mark.parametrize("name", [name for name, case in REFUSED.items() if case[-1] is not None])
def test_the_command_line_refuses(name: str, ground: Ground, bldr: Run) -> None:
    _, argv, _, code, word, status, options = REFUSED[name]
    assert options is not None
    words = [text.format(script=ground / "script", plain=ground / "plain", orphan=ground / "orphan") for text in argv]

    done = bldr("run", "--json", "result", *options, "--", *words, cwd=ground.path)

    assert (done.returncode, done.stdout) == (status, b"")
    lines = done.stderr.decode().splitlines()
    assert word in lines[0]
    assert lines[0].startswith("bldr: ")
    assert lines[1].startswith("bldr: hint: ")
    assert "Traceback" not in done.stderr.decode()
    if status != 2:
        assert json.loads((ground.path / "result").read_text("ascii"))["error"]["code"] == code


def test_a_path_that_leads_in_a_circle_is_refused(ground: Ground, launcher: Launcher) -> None:
    with pytest.raises(BldrError) as caught:
        HermeticExecutor.create(specification().input(ground / "loop").build(), launcher=launcher)

    assert caught.value.code.startswith("spec.path-")
    assert "loop" in caught.value.message


UNPRIVILEGED = """
import sys, os
from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import BldrError
builder = SandboxSpecBuilder.create().with_toolchain("system")
getattr(builder, sys.argv[1])(sys.argv[2])
try:
    result = HermeticExecutor.create(builder.build()).execute(["/bin/cat", sys.argv[2] + "/file"])
    print("ran", result.exit_code)
except BldrError as error:
    print(error.code)
    print(error.message)
"""


@pytest.mark.needs("unprivileged-user", "system-python", "root")
@pytest.mark.parametrize(
    ("role", "mode", "code"),
    [("input", 0o700, "spec.path-unreadable"), ("output", 0o755, "spec.output-not-writable")],
)
def test_what_the_caller_may_not_use_is_refused(
    host_dir: Path, run_unprivileged: Run, bldr: Run, role: str, mode: int, code: str
) -> None:
    closed = host_dir / "closed"
    closed.mkdir()
    closed.chmod(mode)

    done = run_unprivileged("-c", UNPRIVILEGED, role, str(closed))

    assert done.stderr == b""
    assert done.stdout.decode().splitlines()[0] == code
    assert str(closed) in done.stdout.decode()
    line = run_unprivileged("-m", "bldr", "run", f"--{role}", str(closed), "true")
    assert line.returncode == 125
    assert b"hint: " in line.stderr


@pytest.mark.parametrize(
    "name",
    [
        b"with space", b"quote'quote\"", b"new\nline", b"tab\t", b"col:on", b"back\\slash", b"dollar$(x)`y`", b"-dash", b"*?[x]",
        b"\xff\xfe\x80", "\u00e9\u4e2d\U0001f600".encode(), b"x" * 255, b".hidden", b"...", b"a,b=c", b"#", b"~", b"%s{}",
    ],
)  # fmt: skip
def test_odd_names_work_everywhere(host_dir: Path, launcher: Launcher, name: bytes) -> None:
    base = os.fsencode(host_dir)
    source, output = base + b"/" + name, base + b"/out-" + name[:200]
    os.mkdir(source)
    os.mkdir(output)
    with open(source + b"/" + name, "wb") as file:
        file.write(b"content")
    builder = specification().input(source).output(output).temp(b"/t/" + name).env("NAME", os.fsdecode(name))
    script = 'cat "$1/$2" > "$3/$2" && cd "/t/$2" && pwd && printf %s "$NAME"'
    words = ["sh", "-ec", script, "sh", os.fsdecode(source), os.fsdecode(name), os.fsdecode(output)]

    result = HermeticExecutor.create(builder.build(), launcher=launcher).execute(words, cwd=os.fsdecode(source))

    assert (result.exit_code, result.stderr) == (0, b"")
    assert result.stdout == b"/t/" + name + b"\n" + name
    assert result.output_files == (os.fsdecode(output + b"/" + name),)
    with open(output + b"/" + name, "rb") as file:
        assert file.read() == b"content"
    json.dumps(result.to_dict())


def test_inputs_that_are_no_plain_files_can_be_shown(host_dir: Path, launcher: Launcher) -> None:
    os.mkfifo(host_dir / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(host_dir / "socket"))
    builder = specification().input(host_dir / "fifo").input(host_dir / "socket").input("/dev/null")
    script = f"test -p {host_dir}/fifo && test -S {host_dir}/socket && test -c /dev/null && echo yes"

    result = HermeticExecutor.create(builder.build(), launcher=launcher).execute(["sh", "-c", script])

    assert result.stdout == b"yes\n"


@pytest.mark.parametrize("path", ["/dev/null", "/dev/zero"])
def test_a_device_as_the_only_input_does_not_disturb_the_canaries(launcher: Launcher, path: str) -> None:
    executor = HermeticExecutor.create(specification().input(path).build(), launcher=launcher)

    assert executor.execute(["test", "-c", path]).success


def test_five_thousand_inputs_on_the_command_line(host_dir: Path, bldr: Run) -> None:
    options = []
    for number in range(5000):
        name = f"d{number % 50}/f{number}"
        (host_dir / name).parent.mkdir(exist_ok=True)
        (host_dir / name).write_text("x")
        options += ["-i", name]

    done = bldr("run", *options, "--", "sh", "-c", f"find {host_dir} -type f | wc -l", cwd=host_dir)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"5000\n", b"")


def test_arguments_up_to_the_limit_of_the_kernel(launcher: Launcher) -> None:
    """A request that does not fit a datagram, and one that the kernel refuses."""
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    words = ["x" * 100_000] * 10

    assert executor.execute(["sh", "-c", "echo $#", "sh", *words]).stdout == b"10\n"
    with pytest.raises(BldrError) as caught:
        executor.execute(["true", "x" * 200_000])
    assert caught.value.code == "spec.command-not-executable"
    assert "too long" in caught.value.message
    assert executor.execute(["true"]).success


ODD_TMPDIR = {
    "relative": "relative",
    "missing": "/no/such/directory",
    "file": "/etc/passwd",
    "proc": "/proc",
}


@pytest.mark.parametrize("directory", ODD_TMPDIR.values(), ids=ODD_TMPDIR)
def test_an_odd_tmpdir_is_refused_in_the_library(monkeypatch: pytest.MonkeyPatch, directory: str) -> None:
    monkeypatch.setenv("TMPDIR", directory)
    launcher = Launcher()
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)
    before, processes = descriptors(), children(os.getpid())

    for _ in range(3):
        with pytest.raises(BldrError) as caught:
            executor.execute(["true"])

    assert caught.value.hint
    assert descriptors() == before
    assert children(os.getpid()) == processes


def test_a_tmpdir_with_an_odd_name_works(monkeypatch: pytest.MonkeyPatch, host_dir: Path) -> None:
    place = os.fsencode(host_dir) + b"/odd \n'\xff:"
    os.mkdir(place)
    monkeypatch.setenv("TMPDIR", os.fsdecode(place))
    launcher = Launcher()
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)

    assert executor.execute(["sh", "-c", "echo x > /tmp/y; cat /tmp/y"]).stdout == b"x\n"
    assert os.fsencode(launcher.base).startswith(place)
    launcher.stop()
    assert os.listdir(place) == []


def test_an_empty_environment_works(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name != "PYTEST_CURRENT_TEST":
            monkeypatch.delenv(name)
    launcher = Launcher()
    executor = HermeticExecutor.create(specification().build(), launcher=launcher)

    result = executor.execute(["env"])

    assert result.stdout == b"PATH=/usr/bin:/bin\n"
    launcher.stop()


FULL_DISK = """
import os, sys
sys.path.insert(0, sys.argv[1])
from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.errors import BldrError
from bldr.sandbox.linux.launcher import Launcher
from tests.processes import specification, temps_in_use
os.environ["TMPDIR"] = sys.argv[2]
many = specification()
for number in range(8):
    many.temp(f"/t/{number}")
launcher = Launcher(ready=0)  # nothing is made ahead, which could be used when there is no room
executor = HermeticExecutor.create(many.build(), launcher=launcher)
executor.execute(["true"])
result = executor.execute(["sh", "-c", "head -c 10000000 /dev/zero > /tmp/big"])
print("full", result.exit_code != 0, b"No space left" in result.stderr)
print("after", executor.execute(["sh", "-c", "echo x > /tmp/small && cat /tmp/small"]).stdout.decode().strip())
made = []
while True:
    try:
        path = f"{sys.argv[2]}/filler{len(made)}"
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        made.append(path)
    except OSError:
        break
for keep in (0, 1, 3):
    for _ in range(keep):
        os.unlink(made.pop())
    try:
        executor.execute(["true"])
        print("ran")
    except BldrError as error:
        print(error.code, error.errno, error.message)
    print("left", temps_in_use(launcher.base))
for path in made:
    os.unlink(path)
print("again", executor.execute(["true"]).success)
launcher.stop()
print("left", sorted(os.listdir(sys.argv[2])))
"""


@pytest.mark.needs("system-python")
def test_a_full_disk_for_temps(host_dir: Path, repository: Path) -> None:
    """In a mount namespace of its own: a file system of 1 MB and 40 inodes."""
    disk = host_dir / "disk"
    disk.mkdir()
    script = 'mount -t tmpfs -o size=1m,nr_inodes=40 small "$1" && shift && exec "$@"'

    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script, "sh", disk, "/usr/bin/python3", "-B", "-c", FULL_DISK, repository / "src", disk],
        cwd=repository, capture_output=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, b"")
    full, after, *middle, again, left = done.stdout.decode().splitlines()
    assert full == "full True True"
    assert after == "after x"
    assert again == "again True"
    assert left == "left []"
    errors, remains = middle[0::2], middle[1::2]
    assert remains == ["left []"] * 3
    for line in errors:
        assert line.startswith("sandbox.setup 28 "), line
        assert "No space left on device" in line
        assert "temp" in line


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams_of_the_library(repository: Path, closed: tuple[int, ...]) -> None:
    """Descriptors of bldr get their numbers then, and must not be mistaken for the streams."""
    program = (
        "import os, sys\n"
        f"for fd in {closed}: os.close(fd)\n"
        f"sys.path.insert(0, {str(repository / 'src')!r})\n"
        "from bldr import HermeticExecutor\n"
        "from tests.processes import specification\n"
        "executor = HermeticExecutor.create(specification().build())\n"
        "results = [executor.execute(['sh', '-c', 'cat; echo out; echo err >&2; ls /proc/self/fd | wc -l'], stdin=b'in')"
        " for _ in range(2)]\n"
        "good = all(r.stdout == b'inout\\n4\\n' and r.stderr == b'err\\n' for r in results)\n"
        "executor._backend.launcher.stop()\n"
        "os._exit(0 if good else 9)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=repository, capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_deleted_working_directory_of_the_library(repository: Path, host_dir: Path) -> None:
    program = (
        "import os, sys\n"
        f"os.chdir({str(host_dir)!r}); os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        f"sys.path[:0] = [{str(repository / 'src')!r}, {str(repository)!r}]\n"
        "from bldr import HermeticExecutor\n"
        "from tests.processes import specification\n"
        "print(HermeticExecutor.create(specification().build()).execute(['pwd']).stdout)\n"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd="/", capture_output=True, timeout=60, check=False)

    assert (done.returncode, done.stdout, done.stderr) == (0, b"b'/\\n'\n", b"")
