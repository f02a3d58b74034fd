"""From messages, spec and host to causes: what is told, what is not, what comes first, and what is warned about."""

from __future__ import annotations

import errno
import os

import pytest

from bldr import ExecutionResult, SandboxSpecBuilder
from bldr.explain.cause import Cause, Evidence
from bldr.explain.causes import causes, of_program
from bldr.explain.host import Host
from bldr.explain.text import all_lines, likely_lines
from bldr.model.network import NetworkPolicy
from bldr.model.result import Denial, Violation
from bldr.model.spec import SandboxSpec
from bldr.model.trace import Trace, TracedProcess, TraceEvent


class FakeHost(Host):
    """A host that has exactly these paths; those with a slash at the end are directories."""

    def __init__(
        self, *paths: str, environment: dict[str, str] | None = None, links: dict[str, str] | None = None
    ) -> None:
        variables = {"HOME": "/home/me", "PATH": "/tools:/usr/bin"} | (environment or {})
        super().__init__(variables, "/w/src", "/w/src")
        self.paths = {path.rstrip("/"): path.endswith("/") for path in (*paths, "/w/", "/w/src/", "/w/out/", "/tools/")}
        self.links = links or {}

    def has(self, path: str) -> bool:
        return path in self.paths

    def is_directory(self, path: str) -> bool:
        return self.paths.get(path, path == "/")

    def names_in(self, path: str) -> list[str]:
        return [os.path.basename(one) for one in self.paths if os.path.dirname(one) == path]

    def real(self, path: str) -> str:
        return self.links.get(path, path)

    def _first(self, name, directories, *, executable=False):
        return next((f"{one}/{name}" for one in directories if f"{one}/{name}" in self.paths), "")


@pytest.fixture
def spec() -> SandboxSpec:
    return (
        SandboxSpecBuilder.create().input("/w/src").output("/w/out").temp("/tmp").env("PATH", "/usr/bin:/bin").build()
    )


FAILED = ExecutionResult(("make",), 2)


def found(spec: SandboxSpec, host: Host, message: str, result: ExecutionResult = FAILED) -> list[Cause]:
    return list(causes(result, spec, host, message.encode()))


def test_a_missing_file_is_a_cause_when_the_host_has_it(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost("/w/data/x"), "cat: /w/data/x: No such file or directory")

    assert (cause.kind, cause.subject, cause.evidence) == ("read", "/w/data/x", Evidence.MESSAGE)
    assert cause.remedy.options == ("-i /w/data/x",)
    assert cause.remedy.calls == (".input('/w/data/x')",)
    assert cause.nearest in ("/w/src (input)", "/w/out (output)")
    assert cause.warning == ""


@pytest.mark.parametrize(
    "message",
    [
        "cat: /w/nothing: No such file or directory",  # nobody has it
        "cat: /w/src/a.c: No such file or directory",  # it is shown
        "cat: /home: No such file or directory",  # a suggestion would show everything
        "sh: 1: nothing: not found",
        "KeyError: 'PATH'",  # it is set
        "KeyError: 'OTHER'",  # the caller has none, either
        "touch: cannot touch '/w/out/x': Read-only file system",
        "ModuleNotFoundError: No module named 'nothing'",
        "main.c:1:1: fatal error: nothing.h: No such file or directory",
        "all is well",
    ],
)
def test_what_the_sandbox_has_no_part_in_is_no_cause(spec: SandboxSpec, message: str) -> None:
    host = FakeHost("/w/src/a.c", "/home/", "/w/data/x")

    assert found(spec, host, message) == []


def test_a_relative_name_begins_where_the_command_ran(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost("/w/inc/x.h"), "error: file not found: ../inc/x.h")

    assert cause.subject == "/w/inc/x.h"


def test_a_link_to_what_is_not_shown_is_followed(spec: SandboxSpec) -> None:
    host = FakeHost("/w/src/link", "/w/real", links={"/w/src/link": "/w/real"})

    (cause,) = found(spec, host, "cat: /w/src/link: No such file or directory")
    assert cause.subject == "/w/real"


@pytest.mark.parametrize("path", ["/w/inc/foo.h", "/w/include/foo.h", "/usr/local/include/foo.h"])
def test_a_header_is_looked_for_where_the_compiler_was_told_to_and_around(spec: SandboxSpec, path: str) -> None:
    message = "sub/main.c:1:10: fatal error: foo.h: No such file or directory"
    result = ExecutionResult(("cc", "-I../inc", "main.c"), 1)

    (cause,) = found(spec, FakeHost(path), message, result)
    assert cause.subject == path


def test_a_program_needs_its_directory_in_the_path(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost("/tools/mytool"), "sh: 1: mytool: not found")

    assert cause.remedy.options == ("-i /tools/mytool", "-e PATH=/usr/bin:/bin:/tools")
    assert likely_lines([cause])[1] == "hint: to allow it: -i /tools/mytool -e PATH=/usr/bin:/bin:/tools"
    direct = of_program("mytool", spec, FakeHost("/tools/mytool"))
    assert direct is not None
    assert direct.remedy.options == cause.remedy.options
    assert of_program("mytool", spec, FakeHost()) is None
    by_path = of_program("/tools/mytool", spec, FakeHost("/tools/mytool"))
    assert by_path is not None
    assert by_path.remedy.options == ("-i /tools/mytool",)


@pytest.mark.parametrize(
    ("message", "path", "kind"),
    [
        ("x: error while loading shared libraries: libfoo.so.1: cannot open shared object file: …", "/usr/local/lib/libfoo.so.1", "library"),
        ("/usr/bin/ld: cannot find -lfoo: No such file or directory", "/usr/local/lib/libfoo.a", "library"),
        ("Package 'foo', required by 'virtual:world', not found", "/usr/local/lib/pkgconfig/foo.pc", "read"),
        ("cat: /dev/kvm: No such file or directory", "/dev/kvm", "device"),
    ],
)  # fmt: skip
def test_libraries_packages_and_devices(spec: SandboxSpec, message: str, path: str, kind: str) -> None:
    (cause,) = found(spec, FakeHost(path), message)

    assert (cause.kind, cause.subject) == (kind, path)


def test_a_write_to_an_input_can_go_to_an_output_or_an_overlay(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost(), "touch: cannot touch 'a.o': Read-only file system")

    assert "inputs are read-only" in cause.text
    assert cause.remedy.options == ("-o /w/src", "--overlay /w/src")


def test_a_write_elsewhere_needs_the_nearest_directory_that_is_there(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost("/w/build/"), "sh: 1: cannot create /w/build/x/y: Directory nonexistent")

    assert cause.remedy.options == ("-o /w/build",)
    assert "in no output and no temp" in cause.text


def test_a_write_to_the_system_is_not_suggested(spec: SandboxSpec) -> None:
    host = FakeHost("/usr/", "/usr/share/")

    (cause,) = found(spec, host, "install: cannot create '/usr/share/x': Read-only file system")
    assert cause.remedy.options == ()
    assert "DESTDIR" in cause.warning


def test_a_host_without_network(spec: SandboxSpec) -> None:
    (cause,) = found(
        spec, FakeHost(), "fatal: unable to access 'http://example.org/': Could not resolve host: example.org"
    )

    assert cause.remedy.options == ("--allow-host example.org:80",)
    assert cause.remedy.calls == (".with_network(NetworkPolicy.allow_hosts(['example.org:80']))",)
    (cause,) = found(spec, FakeHost(), "curl: (6) Could not resolve host: example.org")
    assert cause.remedy.options == ("--allow-host example.org:443",)
    result = ExecutionResult(("fetch", "https://files.example/x"), 1)
    (cause,) = found(spec, FakeHost(), "OSError: [Errno 101] Network is unreachable", result)
    assert cause.remedy.options == ("--allow-host files.example:443",)
    (cause,) = found(spec, FakeHost(), "OSError: [Errno 101] Network is unreachable")
    assert (cause.subject, cause.remedy.options) == ("", ())


def test_a_network_that_is_allowed_is_not_blamed() -> None:
    spec = SandboxSpecBuilder.create().with_network(NetworkPolicy.allow_hosts(["example.org"])).build()

    assert found(spec, FakeHost(), "curl: (6) Could not resolve host: other.example") == []


def test_a_scrubbed_variable_is_a_guess(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost(environment={"TOKEN": "secret"}), "sh: 1: TOKEN: parameter not set")

    assert (cause.evidence, cause.remedy.options) == (Evidence.GUESS, ("-e TOKEN",))
    assert "secret" not in repr(cause)
    assert "a guess" in all_lines([cause])[0]


def test_rights_cannot_be_gained(spec: SandboxSpec) -> None:
    (cause,) = found(
        spec, FakeHost(), 'sudo: The "no new privileges" flag is set, which prevents sudo from running as root.'
    )

    assert (cause.kind, cause.remedy.options) == ("setuid", ())


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/home/me/.ssh/id_ed25519", "secret"),
        ("/home/me/.ssh/config", "secrets"),
        ("/home/me/.aws", "secrets"),
        ("/home/me/.cargo/credentials.toml", "secrets"),
        ("/home/me", "home directory"),
        ("/srv/tls/site.key", "secret"),
        ("/var/run/docker.sock", "daemon"),
    ],
)
def test_secrets_homes_and_daemons_are_warned_about(spec: SandboxSpec, path: str, words: str) -> None:
    (cause,) = found(spec, FakeHost(path), f"cat: {path}: No such file or directory")

    assert words in cause.warning
    assert any("beware" in line for line in likely_lines([cause]))
    assert any("beware" in line for line in all_lines([cause]))


def test_limits_and_timeouts_come_first(spec: SandboxSpec) -> None:
    violation = Violation("memory", "memory limit reached: 2 used, 1 allowed", 2, 1, argv=("cc1",))
    result = ExecutionResult(("make",), 124, violations=(violation,))

    first, second = found(spec, FakeHost("/w/x"), "cat: /w/x: No such file or directory", result)

    assert (first.kind, first.remedy.options, first.who) == ("limit", ("--memory MORE",), ("cc1",))
    assert second.subject == "/w/x"
    assert likely_lines([first, second])[0] == "hint: to allow it: --memory MORE"
    timed_out = ExecutionResult(("make",), 124, termination="timed-out")
    (cause,) = found(spec, FakeHost(), "", timed_out)
    assert cause.remedy.options == ("--timeout MORE",)
    assert likely_lines([cause]) == []


def test_a_temp_hides_what_the_host_has_at_its_place(spec: SandboxSpec) -> None:
    (cause,) = found(spec, FakeHost("/tmp/data"), "cat: /tmp/data: No such file or directory")

    assert cause.remedy.options == ("-i /tmp/data",)
    assert found(spec, FakeHost(), "cat: /tmp/data: No such file or directory") == []


def traced(*events: TraceEvent) -> ExecutionResult:
    return ExecutionResult(("make",), 2, trace=Trace("full", (TracedProcess(7, 1, ("cc1", "a.c")),), events))


def test_a_trace_says_who_and_what_it_saw(spec: SandboxSpec) -> None:
    event = TraceEvent("read", "/w/data/x", "/w/data/x", errno=errno.ENOENT, pid=7)

    (cause,) = found(spec, FakeHost("/w/data/x"), "", traced(event))

    assert (cause.evidence, cause.who, cause.saw) == (Evidence.TRACE, ("cc1", "a.c"), "No such file or directory")
    lines = all_lines([cause])
    assert lines[0].startswith("1. /w/data/x is on the host")
    assert "   who: cc1 a.c" in lines


def test_what_a_message_names_comes_before_what_it_does_not(spec: SandboxSpec) -> None:
    host = FakeHost("/w/data/x", "/w/data/y", "/usr/share/locale/locale.alias")
    absent = [TraceEvent("read", f"/w/data/{name}", f"/w/data/{name}", errno=errno.ENOENT, pid=7) for name in "xy"]
    ambient = TraceEvent("read", "/usr/share/locale/locale.alias", errno=errno.ENOENT, pid=7)

    first, second = found(
        spec, host, "x: cannot be found\ncat: data/x: No such file or directory", traced(*absent, ambient)
    )

    assert (first.subject, second.subject) == ("/w/data/x", "/w/data/y")


def test_the_same_cause_from_both_is_one(spec: SandboxSpec) -> None:
    event = TraceEvent("read", "/w/data/x", "/w/data/x", errno=errno.ENOENT, pid=7)

    (cause,) = found(spec, FakeHost("/w/data/x"), "cat: /w/data/x: No such file or directory", traced(event))

    assert (cause.evidence, cause.who) == (Evidence.TRACE, ("cc1", "a.c"))


def test_writes_connections_and_listings_of_a_trace(spec: SandboxSpec) -> None:
    result = traced(
        TraceEvent("write", "/w/src/a.o", errno=errno.EROFS, entry="", pid=7),
        TraceEvent("connect", "192.0.2.1:80", errno=errno.ENETUNREACH, pid=7),
        TraceEvent("list", "/w", entry="dir", pid=7),
    )

    kinds = {cause.kind: cause for cause in found(spec, FakeHost("/w/hidden"), "", result)}

    assert kinds["write"].remedy.options == ("-o /w/src", "--overlay /w/src")
    assert kinds["connect"].remedy.options == ("--allow-host 192.0.2.1:80",)
    assert "hidden" in kinds["list"].text


def test_nothing_known_is_nothing_said() -> None:
    assert likely_lines([]) == []
    assert all_lines([]) == []


def test_what_the_gateway_refused_is_a_cause_with_its_process(host_spec: SandboxSpec) -> None:
    denials = (
        Denial("resolve", "other.test", "the name other.test was not resolved: it is not allowed", 7),
        Denial("connect", "[2001:db8::1]:443", "the connection was refused: it is not allowed"),
        Denial("resolve", "lost.test", "the name lost.test was not resolved: nobody knows it"),
    )
    trace = Trace("network", (TracedProcess(7, 1, ("curl", "other.test")),))
    result = ExecutionResult(("make",), 2, denials=denials, trace=trace)

    first, second = found(host_spec, FakeHost(), "", result)

    assert {first.evidence, second.evidence} == {Evidence.GATEWAY}
    by_subject = {one.subject: one for one in (first, second)}
    assert by_subject["other.test"].who == ("curl", "other.test")
    assert by_subject["other.test"].remedy.options == ("--allow-host other.test",)
    assert by_subject["[2001:db8::1]:443"].remedy.options == ("--allow-host [2001:db8::1]:443",)
    assert likely_lines([first]) == []  # run has said it already
    assert any("(refused by the gateway)" in line for line in all_lines([first]))


@pytest.fixture
def host_spec() -> SandboxSpec:
    return SandboxSpecBuilder.create().with_network(NetworkPolicy.allow_hosts(["allowed.test"])).build()
