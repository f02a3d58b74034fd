"""Files that are pinned by a digest: fetched once, compared each time, and inputs like others."""

from __future__ import annotations

import hashlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import bldr
from bldr import FetchError, SpecError
from bldr.execution import fetch as fetch_module
from bldr.model.pinned import PinnedFile
from tests.processes import BOUND

CONTENT = b"from afar\n" * 1000
DIGEST = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT at /file, and other things elsewhere; ``asked`` are the paths in order."""

    asked: list[str]
    failures = 0


class Answers(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        elif self.path == "/to-ftp":
            self.send_response(302)
            self.send_header("Location", "ftp://127.0.0.1/file")
            self.end_headers()
        elif self.path == "/to-a-file":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path == "/busy" and self.server.failures < 1:
            self.server.failures += 1
            self.send_error(503)
        elif self.path in ("/file", "/busy", "/short", "/file?x=/y"):
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:10] if self.path == "/short" else CONTENT)
        else:
            self.send_error(404)

    def log_message(self, *_words: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(fetch_module, "_PAUSE", 0.0)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with Server(("127.0.0.1", 0), Answers) as server:
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url(server: Server, path: str = "/file") -> str:
    return f"http://127.0.0.1:{server.server_address[1]}{path}"


def left(cache: Path) -> list[str]:
    return [path.name for path in cache.rglob("*") if path.is_file()]


def test_a_file_is_fetched_once_and_kept_under_its_digest(server: Server, tmp_path: Path) -> None:
    first = bldr.fetch(url(server), DIGEST, cache=tmp_path)
    second = bldr.fetch("https://elsewhere.invalid/other", DIGEST.upper().replace("SHA256", "sha256"), cache=tmp_path)

    assert first == second == str(tmp_path / "sha256" / DIGEST.removeprefix("sha256:"))
    assert Path(first).read_bytes() == CONTENT
    assert os.stat(first).st_mode & 0o777 == 0o444
    assert server.asked == ["/file"]


def test_another_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        bldr.fetch(url(server), "sha256:" + "0" * 64, cache=tmp_path)

    assert caught.value.code == "sandbox.fetch-mismatch"
    assert DIGEST in caught.value.message
    assert f"{url(server)}={DIGEST}" in caught.value.hint
    assert left(tmp_path) == []


def test_a_kept_file_that_was_changed_is_fetched_again(server: Server, tmp_path: Path) -> None:
    path = Path(bldr.fetch(url(server), DIGEST, cache=tmp_path))
    path.chmod(0o644)
    path.write_bytes(b"something else")

    assert Path(bldr.fetch(url(server), DIGEST, cache=tmp_path)).read_bytes() == CONTENT
    assert server.asked == ["/file", "/file"]


def test_redirections_are_followed_but_not_out_of_the_web(server: Server, tmp_path: Path) -> None:
    assert bldr.fetch(url(server, "/moved"), DIGEST, cache=tmp_path / "a")
    with pytest.raises(FetchError, match=r"file:///etc/passwd.* is not allowed"):
        bldr.fetch(url(server, "/to-a-file"), DIGEST, cache=tmp_path / "b")
    with pytest.raises(FetchError, match="it redirects to something else than http"):
        bldr.fetch(url(server, "/to-ftp"), DIGEST, cache=tmp_path / "b")
    assert left(tmp_path / "b") == []


def test_a_server_that_is_busy_for_a_moment_is_asked_again(server: Server, tmp_path: Path) -> None:
    assert bldr.fetch(url(server, "/busy"), DIGEST, cache=tmp_path)
    assert server.asked == ["/busy", "/busy"]


def test_what_is_not_there_is_said_at_once(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="the server answers 404") as caught:
        bldr.fetch(url(server, "/missing"), DIGEST, cache=tmp_path)

    assert caught.value.code == "sandbox.fetch-failed"
    assert server.asked == ["/missing"]


def test_half_a_file_is_not_a_file(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="cannot fetch"):
        bldr.fetch(url(server, "/short"), DIGEST, cache=tmp_path)

    assert len(server.asked) == 3
    assert left(tmp_path) == []


def test_passwords_are_not_shown(server: Server, tmp_path: Path) -> None:
    with pytest.raises(FetchError) as caught:
        bldr.fetch(url(server, "/missing").replace("//", "//me:secret@"), DIGEST, cache=tmp_path)

    assert "secret" not in caught.value.message + caught.value.hint


def test_many_who_fetch_the_same_file_get_the_same_one(server: Server, tmp_path: Path) -> None:
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(bldr.fetch(url(server), DIGEST, cache=tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == 8
    assert len(set(found)) == 1
    assert left(tmp_path) == [DIGEST.removeprefix("sha256:")]


def test_parts_that_nobody_has_finished_are_removed(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sha256").mkdir()
    for name, age in ((".part-old", 0), (".part-new", 2**31)):
        (tmp_path / "sha256" / name).touch()
        os.utime(tmp_path / "sha256" / name, (age, age))

    bldr.fetch(url(server), DIGEST, cache=tmp_path)

    assert sorted(left(tmp_path)) == [".part-new", DIGEST.removeprefix("sha256:")]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        (f"https://a.example/b/c.tgz={DIGEST}", "/fetched/c.tgz"),
        (f"https://a.example/b/c.tgz?x=1#y={DIGEST}", "/fetched/c.tgz"),
        (f"http://a.example/={DIGEST}:/deps/c", "/deps/c"),
        (f"https://a.example/d=sha256:1/c={DIGEST}:/deps/c", "/deps/c"),
    ],
)
def test_a_pinned_file_appears_where_it_is_said(text: str, at: str) -> None:
    file = PinnedFile.parse(text)

    assert (file.at, file.digest) == (at, DIGEST)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://a.example/c", "the digest of its content is missing"),
        ("https://a.example/c=sha256:12", "64 hexadecimal digits"),
        (f"https://a.example/c={DIGEST[:-1]}g", "64 hexadecimal digits"),
        (f"ftp://a.example/c={DIGEST}", "it is not a URL of http or https"),
        (f"file:///etc/passwd={DIGEST}", "it is not a URL of http or https"),
        (f"/etc/passwd={DIGEST}", "it is not a URL of http or https"),
        (f"https://={DIGEST}", "it is not a URL of http or https"),
        (f"https://a.example/a b={DIGEST}", "%20"),
        (f"https://a.example/={DIGEST}", "it has no file name"),
        (f"https://a.example={DIGEST}", "it has no file name"),
        (f"https://a.example/..={DIGEST}", "it has no file name"),
    ],
)
def test_what_cannot_be_fetched_is_said_in_one_sentence(text: str, why: str) -> None:
    with pytest.raises(SpecError) as caught:
        PinnedFile.parse(text)

    assert caught.value.code == "spec.fetch-invalid"
    assert why in caught.value.message


def run(verb: str, *words: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bldr", verb, *words],
        env={**os.environ, "XDG_CACHE_HOME": str(cache)},
        cwd=cache,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=BOUND * 2,
        check=False,
    )


@pytest.mark.needs("user-namespaces")
def test_a_command_reads_what_was_fetched_and_has_no_network(server: Server, tmp_path: Path) -> None:
    option = f"--fetch={url(server)}={DIGEST}:/deps/afar"

    early = run("plan", option, cache=tmp_path)
    first = run("run", "--require", "no-network", option, "--", "head", "-n1", "/deps/afar", cache=tmp_path)
    second = run("run", "-v", option, "--", "sh", "-c", "wc -l < /deps/afar; ls /sys/class/net 2>&1", cache=tmp_path)
    plan = run("plan", option, cache=tmp_path)

    assert early.returncode == 125
    assert "has not been fetched yet" in early.stderr
    assert (first.returncode, first.stdout) == (0, "from afar\n"), first.stderr
    assert first.stderr == f"bldr: fetching {url(server)}\n"
    assert second.stdout.startswith("1000\n")
    assert "bldr: hermetic (" in second.stderr
    assert "fetching" not in second.stderr
    assert "/deps/afar from " in plan.stdout
    assert server.asked == ["/file"]


@pytest.mark.needs("user-namespaces")
def test_a_command_does_not_start_when_the_content_is_another_one(server: Server, tmp_path: Path) -> None:
    done = run("run", f"--fetch={url(server)}=sha256:{'0' * 64}", "--", "echo", "started", cache=tmp_path)

    assert (done.returncode, done.stdout) == (125, "")
    assert f"has the digest {DIGEST}, not " in done.stderr
