"""Messages as real tools print them, and what is read from them."""

from __future__ import annotations

import hypothesis
import pytest
from hypothesis import strategies

from bldr.explain.clues import clues, host_of_url

MESSAGES = [
    ("main.c:1:10: fatal error: foo/bar.h: No such file or directory", "header", "foo/bar.h"),
    ("./a.out: error while loading shared libraries: libfoo.so.1: cannot open shared object file: No such file or directory",
     "library", "libfoo.so.1"),
    ("/usr/bin/ld: cannot find -lfoo: No such file or directory", "linked", "foo"),
    ("/usr/bin/ld: cannot find -lfoo", "linked", "foo"),
    ("Package foo was not found in the pkg-config search path.", "package", "foo"),
    ("Package 'foo', required by 'virtual:world', not found", "package", "foo"),
    ("No package 'gtk+-3.0' found", "package", "gtk+-3.0"),
    ("ModuleNotFoundError: No module named 'numpy.core'", "module", "numpy.core"),
    ("/usr/bin/env: \u2018node\u2019: No such file or directory", "program", "node"),
    ("env: 'node': No such file or directory", "program", "node"),
    ("bash: line 1: cmake: command not found", "program", "cmake"),
    ("sh: 1: cmake: not found", "program", "cmake"),
    ("/bin/sh: 3: cmake: not found", "program", "cmake"),
    ("make: cmake: No such file or directory", "program", "cmake"),
    ("npm ERR! Error: spawn node-gyp ENOENT", "program", "node-gyp"),
    ("FileNotFoundError: [Errno 2] No such file or directory: 'git'", "program", "git"),
    ('exec: "gcc": executable file not found in $PATH', "program", "gcc"),
    ('sudo: The "no new privileges" flag is set, which prevents sudo from running as root.', "setuid", "sudo"),
    ("sudo: /usr/bin/sudo must be owned by uid 0 and have the setuid bit set", "setuid", "sudo"),
    ("ping: socktype: SOCK_RAW: Operation not permitted", "setuid", "ping"),
    ("su: Critical error - immediate abort", "setuid", "su"),
    ("passwd: pam_start() failed, error 26", "setuid", "passwd"),
    ("mount: /tmp: permission denied.", "setuid", "mount"),
    ('  asked CMake to find a package configuration file provided by "Foo", but', "cmake", "Foo"),
    ("../hidden/FooConfig.cmake", "missing", "../hidden/FooConfig.cmake"),
    ("error: could not execute process `rustc -vV` (never executed)", "program", "rustc"),
    ("error: failed to write /w/Cargo.lock", "readonly", "/w/Cargo.lock"),
    ("  failed to read `/w/dep/Cargo.toml`", "missing", "/w/dep/Cargo.toml"),
    ("fusermount3: mount failed: Operation not permitted", "setuid", "fusermount3"),
    ("touch: cannot touch 'a/b': Read-only file system", "readonly", "a/b"),
    ("sh: 1: cannot create /usr/x: Read-only file system", "readonly", "/usr/x"),
    ("Error: EROFS: read-only file system, open '/w/package-lock.json'", "readonly", "/w/package-lock.json"),
    ("OSError: [Errno 30] Read-only file system: '/w/x'", "readonly", "/w/x"),
    ("/usr/bin/ld: cannot open output file /w/a.out: Read-only file system", "readonly", "/w/a.out"),
    ("sh: 1: cannot create /w/out/x: Directory nonexistent", "outside", "/w/out/x"),
    ("fatal: unable to access 'https://example.org/x.git/': Could not resolve host: example.org", "host", "example.org"),
    ("curl: (6) Could not resolve host: example.org", "host", "example.org"),
    ("wget: unable to resolve host address \u2018example.org\u2019: Temporary failure in name resolution", "host", "example.org"),
    ("npm ERR! request to https://registry.example/x failed, reason: getaddrinfo EAI_AGAIN registry.example", "host",
     "registry.example"),
    ("java.net.UnknownHostException: repo.example.org", "host", "repo.example.org"),
    ("dial tcp: lookup proxy.example.org: no such host", "host", "proxy.example.org"),
    ("fatal: unable to look up git.example.org (port 9418) (Name or service not known)", "host", "git.example.org"),
    ("[6] Couldn't resolve host name (Could not resolve host: index.example)", "host", "index.example"),
    ("urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>", "network", ""),
    ("OSError: [Errno 101] Network is unreachable", "network", ""),
    ("sh: 1: TOKEN: parameter not set", "variable", "TOKEN"),
    ("bash: TOKEN: unbound variable", "variable", "TOKEN"),
    ("KeyError: 'TOKEN'", "variable", "TOKEN"),
    ("error: environment variable `OUT_DIR` not defined at compile time", "variable", "OUT_DIR"),
    ("JAVA_HOME is not set", "variable", "JAVA_HOME"),
    ("FileNotFoundError: [Errno 2] No such file or directory: '/w/data.txt'", "missing", "/w/data.txt"),
    ("npm ERR! enoent ENOENT: no such file or directory, open '/w/package.json'", "missing", "/w/package.json"),
    ("error: file not found: ../hidden/B.java", "missing", "../hidden/B.java"),
    ("cat: /w/x: No such file or directory", "missing", "/w/x"),
    ("ls: cannot access '/w/x': No such file or directory", "missing", "/w/x"),
    ("    /w/cmake/x.txt", "missing", "/w/cmake/x.txt"),
    ("cat: /w/x: Permission denied", "denied", "/w/x"),
    ("PermissionError: [Errno 13] Permission denied: '/w/x'", "denied", "/w/x"),
    ("\x1b[1;31mcat\x1b[0m: /w/x: No such file or directory", "missing", "/w/x"),
]  # fmt: skip


@pytest.mark.parametrize(("line", "kind", "name"), MESSAGES, ids=[line[:50] for line, _, _ in MESSAGES])
def test_a_message_is_read(line: str, kind: str, name: str) -> None:
    (clue,) = clues(line.encode())

    assert (clue.kind, clue.name) == (kind, name)


@pytest.mark.parametrize("line", ["", "gcc -c main.c", "All tests passed", "make: *** [Makefile:3: all] Error 1"])
def test_other_lines_tell_nothing(line: str) -> None:
    assert clues(line.encode()) == ()


def test_the_last_message_comes_first_and_each_once() -> None:
    text = (
        b"cat: /a: No such file or directory\ncat: /b: No such file or directory\ncat: /a: No such file or directory\n"
    )

    assert [clue.name for clue in clues(text)] == ["/a", "/b"]


@hypothesis.given(strategies.binary(max_size=3000))
def test_no_bytes_break_the_reading(text: bytes) -> None:
    clues(text)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("piece", [b"a: ", b"/", b"x.", b"'", b": No such file", b"https://a", b"not found: "])
def test_long_lines_take_no_time(piece: bytes) -> None:
    clues(piece * (60_000 // len(piece)))
    clues((piece * 200 + b"\n") * 50)


def test_the_host_of_a_url() -> None:
    assert host_of_url("get https://user@example.org:8443/x") == "example.org"
    assert host_of_url("nothing") == ""
