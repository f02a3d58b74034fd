"""What a test may need from the host, and the probes that try it.

A probe is a function that does the thing, on a small scale, and raises :class:`UnavailableError` with the reason when
the host refuses. It never looks at the name of the platform. ``@pytest.mark.needs("c-compiler")`` skips a test where
the probe of that name fails; ``pytest --require c-compiler`` ends the run with an error instead, so that a machine that
is supposed to have something cannot skip.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import cgroupfs

__all__ = ["PROBES", "UNPRIVILEGED_ID", "Capabilities", "UnavailableError"]

# A user without name, home or subordinate ids. /usr/bin/python3, not the one that runs the tests, is what it can start.
UNPRIVILEGED_ID = 1234
SYSTEM_PYTHON = "/usr/bin/python3"

AF_ALG, AF_VSOCK = 38, 40  # <bits/socket.h>
CHILD = Path(__file__).with_name("capability_child.py")


class UnavailableError(Exception):
    """The host refused; the message says what."""


def run(*argv: str, **options: Any) -> str:
    """Run a program that has to succeed and return what it printed on standard output."""
    try:
        done = subprocess.run(
            argv,
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=60,
            **options,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnavailableError(str(error)) from error
    if done.returncode:
        last_line = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise UnavailableError(f"{argv[0]} ended with {done.returncode}: {last_line}")
    return done.stdout


def kernel(name: str) -> Callable[[], None]:
    """Make the probe for a trial in ``capability_child.py``."""

    def probe() -> None:
        run(sys.executable, "-I", str(CHILD), name)

    return probe


def root() -> None:
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.chown(file.name, UNPRIVILEGED_ID + 1, UNPRIVILEGED_ID + 1)
        except (AttributeError, OSError) as error:
            raise UnavailableError(f"files cannot be given away: {error}") from error


def unprivileged_user() -> None:
    identity = {"user": UNPRIVILEGED_ID, "group": UNPRIVILEGED_ID, "extra_groups": []}
    if run(SYSTEM_PYTHON, "-I", "-c", "import os; print(os.getuid())", **identity).strip() != str(UNPRIVILEGED_ID):
        raise UnavailableError(f"a child did not become uid {UNPRIVILEGED_ID}")


def system_python() -> None:
    run(SYSTEM_PYTHON, "-I", "-c", "import sys; sys.exit(sys.version_info < (3, 11))")


def c_compiler(*options: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "answer.c"), str(Path(directory, "answer"))
        source.write_text('#include <stdio.h>\nint main(void) { puts("42"); return 0; }\n', encoding="ascii")
        run("cc", *options, str(source), "-o", program)
        if run(program) != "42\n":
            raise UnavailableError("the compiled program printed something else")


def static_c_library() -> None:
    c_compiler("-static")


def kernel_headers() -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "headers.c")
        source.write_text("#include <linux/landlock.h>\n#include <linux/mount.h>\n", encoding="ascii")
        run("cc", "-fsyntax-only", str(source))


def python_headers() -> None:
    """Headers of the system interpreter, which is the one that a sandbox with the toolchain ``system`` shows."""
    where = "import sysconfig; print(sysconfig.get_path('include'))"
    header = Path(run(SYSTEM_PYTHON, "-I", "-c", where).strip(), "Python.h")
    if not header.is_file():
        raise UnavailableError(f"{header} does not exist")


def java() -> None:
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "Answer.java")
        source.write_text("class Answer { public static void main(String[] a) { System.out.print(42); } }\n", "ascii")
        run("javac", "-d", directory, str(source))
        if run("java", "-cp", directory, "Answer") != "42":
            raise UnavailableError("the compiled class printed something else")


def rust() -> None:
    with tempfile.TemporaryDirectory() as directory:
        run("cargo", "new", "--vcs", "none", "--quiet", str(Path(directory, "answer")))
        run("cargo", "build", "--offline", "--quiet", cwd=Path(directory, "answer"))


def npm() -> None:
    if run("node", "-p", "6 * 7").strip() != "42":
        raise UnavailableError("node printed something else")
    run("npm", "--version")


def system_program(name: str, *arguments: str) -> Callable[[], None]:
    """Make the probe for a program that the toolchain has."""

    def probe() -> None:
        path = shutil.which(name, path="/usr/bin:/bin")
        if path is None:
            raise UnavailableError(f"there is no {name} in /usr/bin")
        run(path, *arguments)

    return probe


def pkg_config() -> None:
    if not shutil.which("pkg-config", path="/usr/bin:/bin"):
        raise UnavailableError("there is no pkg-config in /usr/bin")
    run("pkg-config", "--version")


def git_daemon() -> None:
    """Debian has it in the package of git, others in one of their own."""
    found = Path(run("git", "--exec-path").strip(), "git-daemon")
    if not os.access(found, os.X_OK):
        raise UnavailableError(f"there is no {found}")


def pip_wheel() -> None:
    """The pip that the system's Python gives to virtual environments; a sandbox can run it as it lies there."""
    found = sorted(Path("/usr/share/python-wheels").glob("pip-*.whl"))
    if not found:
        raise UnavailableError("there is no pip-*.whl in /usr/share/python-wheels")
    run(SYSTEM_PYTHON, f"{found[0]}/pip", "--version")


def other_device() -> str:
    """Return a device of the host that no sandbox has."""
    for path in ("/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/console"):
        if os.path.exists(path):
            return path
    raise UnavailableError("none of the usual devices is here")


def loopback_name() -> str:
    """Return a name that the host's resolver leads to the loopback, and that no sandbox knows by itself."""
    for line in Path("/etc/hosts").read_text(encoding="ascii", errors="replace").splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            if (address == "::1" or address.startswith("127.")) and "localhost" not in name and "ip6-" not in name:
                return name
    raise UnavailableError("/etc/hosts has no name but localhost for the loopback")


def socket_family(number: int) -> Callable[[], None]:
    """Make the probe for a family of sockets, which a sandbox refuses: only where it is there does that show."""

    def probe() -> None:
        try:
            socket.socket(number, socket.SOCK_STREAM if number == AF_VSOCK else socket.SOCK_SEQPACKET).close()
        except OSError as error:
            raise UnavailableError(str(error)) from error

    return probe


def whiteouts() -> None:
    """Whoever may write a directory may make a whiteout there (Linux 5.8), unless a container forbids it."""
    with tempfile.TemporaryDirectory() as directory:
        try:
            os.mknod(Path(directory, "whiteout"), stat.S_IFCHR, os.makedev(0, 0))
        except (AttributeError, OSError) as error:
            raise UnavailableError(f"no whiteout can be made: {error}") from error


def user_attributes() -> None:
    """Files keep attributes, both in /tmp and where large things are made."""
    for parent in (tempfile.gettempdir(), "/var/tmp"):
        with tempfile.TemporaryDirectory(dir=parent) as directory:
            try:
                os.setxattr(directory, "user.bldr", b"y")
            except (AttributeError, OSError) as error:
                raise UnavailableError(f"no attributes in {parent}: {error}") from error


def sparse_files() -> None:
    with tempfile.TemporaryFile() as file:
        file.seek(8 << 20)
        file.write(b"tail")
        file.flush()
        if os.fstat(file.fileno()).st_blocks * 512 > 1 << 20:
            raise UnavailableError("a hole takes room on the disk")


def int_0x80() -> None:
    """A 64-bit program can make a call by the entry of 32-bit programs."""
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory, "entry.c"), str(Path(directory, "entry"))
        source.write_text(
            '#include <unistd.h>\nint main(void) { long a; __asm__ volatile("int $0x80" : "=a"(a) : "a"(20L)'
            ' : "r8", "r9", "r10", "r11", "memory"); return a != getpid(); }\n',
            encoding="ascii",
        )
        run("cc", str(source), "-o", program)
        run(program)


def header(name: str) -> Callable[[], None]:
    """Make the probe for a header of the kernel that only some machines have."""

    def probe() -> None:
        with tempfile.TemporaryDirectory() as directory:
            source = Path(directory, "header.c")
            source.write_text(f"#include <{name}>\n", encoding="ascii")
            run("cc", "-fsyntax-only", str(source))

    return probe


def system_node() -> None:
    """Node where the toolchain has it: one that lies elsewhere is not seen in a sandbox."""
    node = shutil.which("node", path="/usr/bin:/bin")
    if node is None:
        raise UnavailableError("there is no node in /usr/bin")
    if run(node, "-p", "6 * 7").strip() != "42":
        raise UnavailableError("node printed something else")


def npm_registry() -> None:
    run("npm", "view", "is-number", "version")


def network_registry() -> None:
    with tempfile.TemporaryDirectory() as directory:
        run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", directory, "iniconfig")


def source_package() -> None:
    """Debian's sources can be listed and unpacked; nothing is downloaded yet."""
    run("dpkg-source", "--version")
    if ".dsc" not in run("apt-get", "source", "--print-uris", "hello"):
        raise UnavailableError("apt-get knows no source package: no deb-src entry")


def bubblewrap() -> None:
    run("bwrap", "--ro-bind", "/", "/", "--unshare-all", "true")


def gnu_time() -> None:
    if "Maximum resident set size" not in run("sh", "-c", "exec time -v true 2>&1"):
        raise UnavailableError("time printed something else")


def strace() -> None:
    run("strace", "-f", "-o", os.devnull, "true")


def dbus_daemon() -> None:
    """It lets nobody in who has no name: a user without an entry in /etc/passwd."""
    try:
        pwd.getpwuid(os.geteuid())
    except KeyError as error:
        raise UnavailableError(str(error)) from error
    run("dbus-daemon", "--version")


def shell(name: str) -> Callable[[], None]:
    """Make the probe for a shell, whose completion is tested."""

    def probe() -> None:
        run(name, "-c", "true")

    return probe


def terminal() -> None:
    """A pseudo-terminal can be opened."""
    try:
        leader, follower = os.openpty()
    except (AttributeError, OSError) as error:
        raise UnavailableError(f"no pseudo-terminal: {error}") from error
    os.close(leader)
    os.close(follower)


def browser() -> None:
    """A browser that a program can drive, both from Debian."""
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory, "page.html")
        page.write_text("<!DOCTYPE html><title>x</title><p>6</p><script>document.title = 6 * 7</script>", "ascii")
        profile = f"--user-data-dir={directory}/profile"
        options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", profile)
        home = {**os.environ, "HOME": directory}
        if "<title>42</title>" not in run("chromium", *options, "--dump-dom", page.as_uri(), env=home):
            raise UnavailableError("chromium did not run the script of a page")
    run("chromedriver", "--version")


def bldr_command() -> None:
    """The installed script, which the commands of the documentation start."""
    run(str(Path(sysconfig.get_path("scripts"), "bldr")), "--version")


def throwaway_kernel() -> None:
    """Settings of the kernel and security policies may be changed only where nobody else lives."""
    first = Path("/proc/1/cmdline").read_bytes().split(b"\0")
    if not any(b"/vmrun-" in word for word in first):
        raise UnavailableError("this kernel was not booted by tools/vmrun")


def much_time() -> None:
    """Somebody has said that a test may take minutes."""
    if os.environ.get("BLDR_TEST_MUCH_TIME") != "1":
        raise UnavailableError("BLDR_TEST_MUCH_TIME=1 is not set")


def guest_disk() -> None:
    """``tools/vmrun --disk`` has given the guest an empty disk."""
    if not os.path.ismount("/tmp/disk"):
        raise UnavailableError("no disk is mounted on /tmp/disk")


def cgroup_layout(name: str) -> Callable[[], None]:
    """Make the probe for a layout of cgroups that ``tools/vmrun --cgroup`` made."""

    def probe() -> None:
        throwaway_kernel()
        if os.environ.get("VMRUN_CGROUP") != name:
            raise UnavailableError(f"cgroups look like {os.environ.get('VMRUN_CGROUP', 'nothing')!r}")

    return probe


def limiting_cgroup() -> None:
    """A new cgroup v2 can be made, whose memory and processes can be limited."""
    try:
        with cgroupfs.fresh() as cgroup:
            cgroup.write("memory.max", "64M")
            cgroup.write("pids.max", "10")
            if cgroup.run("-c", "pass").returncode:
                raise UnavailableError("no program could be started in a new cgroup")
    except OSError as error:
        raise UnavailableError(f"no cgroup can be made: {error}") from error


def cgroup_root() -> None:
    """The root cgroup is this process's own and can be written."""
    limiting_cgroup()
    if cgroupfs.own().path != cgroupfs.mountpoint():
        raise UnavailableError("this process is in a cgroup below the root")


def cgroup_delegated() -> None:
    """A subtree is this user's, and this process is in it."""
    limiting_cgroup()
    if not os.access(cgroupfs.own().path / "cgroup.procs", os.W_OK) or os.geteuid() == 0:
        raise UnavailableError("the cgroup of this process is not its user's")


def cgroup_undelegated() -> None:
    """There is a hierarchy that limits, in which this process may not make anything."""
    try:
        own = cgroupfs.own()
        controllers = own.read("cgroup.controllers").split()
    except OSError as error:
        raise UnavailableError(str(error)) from error
    if "memory" not in controllers:
        raise UnavailableError("no memory controller here")
    place = own.path / "bldr-probe"
    try:
        place.mkdir()
    except PermissionError:
        return
    except OSError as error:
        raise UnavailableError(str(error)) from error
    place.rmdir()
    raise UnavailableError("a cgroup could be made below the own one")


def pressure() -> None:
    """The kernel tells how long processes waited (PSI)."""
    try:
        said = Path("/proc/pressure/memory").read_text(encoding="ascii")
    except OSError as error:
        raise UnavailableError(str(error)) from error
    if not said.startswith("some "):
        raise UnavailableError(f"/proc/pressure/memory says {said!r}")


def apparmor(abi: str, rule: str) -> Callable[[], None]:
    """Make the probe for a profile with a rule, which root loads and removes."""

    def probe() -> None:
        throwaway_kernel()
        with tempfile.TemporaryDirectory() as directory:
            profile = Path(directory, "profile")
            profile.write_text(f"abi <abi/{abi}>,\nprofile bldr-probe {{ {rule} }}\n", encoding="ascii")
            run("apparmor_parser", "--skip-cache", "--replace", str(profile))
            run("apparmor_parser", "--remove", str(profile))

    return probe


def finds(look: Callable[[], str]) -> Callable[[], None]:
    """Make the probe for something that a test asks for by itself."""

    def probe() -> None:
        look()

    return probe


PROBES: dict[str, Callable[[], None]] = {
    "apparmor": apparmor("3.0", "capability,"),
    "apparmor-userns": apparmor("4.0", "userns,"),
    "bash": shell("bash"),
    "call-numbers-aarch64": header("asm-generic/unistd.h"),
    "call-numbers-x86_64": header("asm/unistd_64.h"),
    "bldr-command": bldr_command,
    "browser": browser,
    "bubblewrap": bubblewrap,
    "c-compiler": c_compiler,
    "cgroup-delegated": cgroup_delegated,
    "cgroup-root": cgroup_root,
    "cgroup-undelegated": cgroup_undelegated,
    "cmake": system_program("cmake", "--version"),
    "crypto-sockets": socket_family(AF_ALG),
    "dbus-daemon": dbus_daemon,
    "fish": shell("fish"),
    "git-daemon": git_daemon,
    "gnu-time": gnu_time,
    "guest-disk": guest_disk,
    "idmapped-mounts": kernel("idmapped-mounts"),
    "int-0x80": int_0x80,
    "java": java,
    "kernel-headers": kernel_headers,
    "landlock": kernel("landlock"),
    **{f"landlock-abi-{version}": kernel(f"landlock-abi-{version}") for version in range(3, 8)},
    "landlock-network": kernel("landlock-network"),
    "landlock-scopes": kernel("landlock-scopes"),
    "landlock-truncate": kernel("landlock-truncate"),
    "layout-hybrid": cgroup_layout("hybrid"),
    "layout-none": cgroup_layout("none"),
    "layout-ro": cgroup_layout("ro"),
    "layout-v1": cgroup_layout("v1"),
    "limiting-cgroup": limiting_cgroup,
    "loopback-name": finds(loopback_name),
    "much-time": much_time,
    "network-registry": network_registry,
    "npm": npm,
    "npm-registry": npm_registry,
    "other-device": finds(other_device),
    "overlay-in-memory": kernel("overlay-in-memory"),
    "overlay-in-userns": kernel("overlay-in-userns"),
    "pip-wheel": pip_wheel,
    "pkg-config": pkg_config,
    "pressure": pressure,
    "proc-mount": kernel("proc-mount"),
    "python-headers": python_headers,
    "root": root,
    "rust": rust,
    "source-package": source_package,
    "sparse-files": sparse_files,
    "static-c-library": static_c_library,
    "strace": strace,
    "system-apt": system_program("apt-get", "--version"),
    "system-curl": system_program("curl", "--version"),
    "system-git": system_program("git", "--version"),
    "system-go": system_program("go", "version"),
    "system-mount": system_program("mount", "--version"),
    "system-node": system_node,
    "system-npm": system_program("npm", "--version"),
    "system-openssl": system_program("openssl", "version"),
    "system-python": system_python,
    "system-wget": system_program("wget", "--version"),
    "terminal": terminal,
    "throwaway-kernel": throwaway_kernel,
    "unprivileged-user": unprivileged_user,
    "user-attributes": user_attributes,
    "user-namespaces": kernel("user-namespaces"),
    "vm-sockets": socket_family(AF_VSOCK),
    "whiteouts": whiteouts,
    "without-landlock": kernel("without-landlock"),
    "without-mount-setattr": kernel("without-mount-setattr"),
    "without-overlay-in-userns": kernel("without-overlay-in-userns"),
    "zsh": shell("zsh"),
}


class Capabilities:
    """Tries each probe at most once, and only when somebody asks."""

    def __init__(self, probes: dict[str, Callable[[], None]]) -> None:
        self._probes = probes
        self._answers: dict[str, str] = {}

    def names(self) -> list[str]:
        return sorted(self._probes)

    def why_not(self, name: str) -> str:
        """Return "" when the host can, else the reason why not."""
        if name not in self._answers:
            try:
                self._probes[name]()
            except UnavailableError as error:
                self._answers[name] = str(error) or "unknown reason"
            else:
                self._answers[name] = ""
        return self._answers[name]


def main() -> None:
    """Print what this host has: ``python -m tests.capabilities``."""
    capabilities = Capabilities(PROBES)
    width = shutil.get_terminal_size((120, 24)).columns
    for name in capabilities.names():
        print(f"{name:20} {capabilities.why_not(name) or 'yes'}"[:width])


if __name__ == "__main__":
    main()
