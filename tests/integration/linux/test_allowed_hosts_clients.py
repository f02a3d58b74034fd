"""Programs that people use reach an allowed host as they are, and are refused another one at once."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import socket
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bldr import ExecutionResult, HermeticExecutor, NetworkPolicy
from bldr.sandbox.linux.launcher import Launcher
from tests.far_hosts import http_files, stream_server
from tests.processes import BOUND, specification, until

pytestmark = [pytest.mark.needs("user-namespaces", "system-python")]

WHEELS = Path("/usr/share/python-wheels")
NAMES = ["apt.test", "far.test", "git.test", "npm.test", "pypi.test"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the far hosts serve: a file, an index of Python packages, a registry of npm packages, a repository."""
    top = tmp_path_factory.mktemp("far")
    (top / "hello").write_text("hello\n", encoding="ascii")
    python_package(top)
    npm_package(top)
    debian_package(top)
    repository(top)
    return top


def python_package(top: Path) -> None:
    index = top / "simple" / "demo"
    index.mkdir(parents=True)
    name = "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(index / name, "w") as wheel:
        wheel.writestr("demo.py", "print('from afar')\n")
        wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
        wheel.writestr("demo-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("demo-1.0.dist-info/RECORD", "demo.py,,\ndemo-1.0.dist-info/METADATA,,\n")
    (index / "index.html").write_text(f'<a href="{name}">{name}</a>', encoding="ascii")


def npm_package(top: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in (
            ("package/package.json", '{"name": "demo", "version": "1.0.0"}'),
            ("package/index.js", "console.log('from afar')\n"),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    data = buffer.getvalue()
    (top / "demo-1.0.0.tgz").write_bytes(data)
    dist = {
        "tarball": "http://npm.test/demo-1.0.0.tgz",
        "shasum": hashlib.sha1(data).hexdigest(),
        "integrity": "sha512-" + base64.b64encode(hashlib.sha512(data).digest()).decode(),
    }
    version = {"name": "demo", "version": "1.0.0", "dist": dist}
    document = {"name": "demo", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    (top / "demo").write_text(json.dumps(document), encoding="ascii")


def debian_package(top: Path) -> None:
    """A repository without directories, as ``deb URL ./`` names it, with one package."""
    (top / "debian").mkdir()
    control = "Package: demo\nVersion: 1.0\nArchitecture: all\nMaintainer: x <x@x.test>\nDescription: x\n"
    parts = {"debian-binary": b"2.0\n"}
    for name, path, text in (("control", "./control", control), ("data", "./usr/share/demo", "from afar\n")):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            entry = tarfile.TarInfo(path)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
        parts[f"{name}.tar.gz"] = buffer.getvalue()
    data = b"!<arch>\n"
    for name, content in parts.items():
        data += (
            f"{name:16}{0:<12}{0:<6}{0:<6}{'100644':8}{len(content):<10}`\n".encode()
            + content
            + b"\n" * (len(content) % 2)
        )
    (top / "debian" / "demo_1.0_all.deb").write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    about = f"{control}Filename: ./demo_1.0_all.deb\nSize: {len(data)}\nSHA256: {digest}\n"
    (top / "debian" / "Packages").write_text(about, encoding="ascii")


def repository(top: Path) -> None:
    source, bare = top / "source", top / "demo.git"
    who = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "PATH": os.environ["PATH"]}
    for person in ("AUTHOR", "COMMITTER"):
        who |= {f"GIT_{person}_NAME": "x", f"GIT_{person}_EMAIL": "x@x.test"}
    if subprocess.run(["git", "--version"], capture_output=True, check=False).returncode:
        return
    for words in (
        ["init", "-q", "-b", "main", str(source)],
        ["-C", str(source), "commit", "-q", "--allow-empty", "-m", "from afar"],
        ["clone", "-q", "--bare", str(source), str(bare)],
        ["-C", str(bare), "update-server-info"],
    ):
        subprocess.run(["git", *words], env=who, check=True, timeout=BOUND)


@pytest.fixture(scope="module")
def hosts(site: Path) -> Iterator[list[str]]:
    with http_files(site) as port:
        yield [f"{name}:80=127.0.0.1:{port}" for name in NAMES]


def run(launcher: Launcher, hosts: list[str], script: str, **variables: str) -> ExecutionResult:
    builder = specification().with_network(NetworkPolicy.allow_hosts(hosts))
    for name, text in ({"HOME": "/tmp"} | variables).items():
        builder.env(name, text)
    executor = HermeticExecutor.create(builder.build(), launcher=launcher)
    return executor.execute(["sh", "-c", script], cwd="/tmp", timeout=BOUND * 2)


def pair(launcher: Launcher, hosts: list[str], script: str, host: str = "far.test", **variables: str) -> str:
    """Run a script with the allowed host, and with one that is not; returns what it prints with the first."""
    good = run(launcher, hosts, script.replace("HOST", host), **variables)
    bad = run(launcher, hosts, script.replace("HOST", "other.test"), **variables)

    assert good.exit_code == 0, good.stderr.decode()
    assert {one.host for one in good.hosts} == {host}
    assert bad.exit_code != 0
    assert bad.hosts == ()
    assert {one.subject for one in bad.denials} == {"other.test"}
    assert bad.usage.wall_time < BOUND / 2
    return good.stdout.decode()


@pytest.mark.needs("system-curl")
def test_curl(launcher: Launcher, hosts: list[str]) -> None:
    assert pair(launcher, hosts, "curl -sSf http://HOST/hello") == "hello\n"


@pytest.mark.needs("system-wget")
def test_wget(launcher: Launcher, hosts: list[str]) -> None:
    assert pair(launcher, hosts, "wget -q -t 1 -O - http://HOST/hello") == "hello\n"


def test_urllib(launcher: Launcher, hosts: list[str]) -> None:
    program = "import urllib.request as u; print(u.urlopen('http://HOST/hello').read())"

    assert pair(launcher, hosts, f'/usr/bin/python3 -I -c "{program}"') == "b'hello\\n'\n"


@pytest.mark.needs("system-git")
def test_git_over_http(launcher: Launcher, hosts: list[str]) -> None:
    script = "git clone -q http://HOST/demo.git here && git -C here log --format=%s"

    assert pair(launcher, hosts, script, "git.test") == "from afar\n"


@contextmanager
def git_daemon(site: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["git", "daemon", f"--base-path={site}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    with subprocess.Popen([*words, "--reuseaddr"], stderr=subprocess.DEVNULL, start_new_session=True) as daemon:

        def answers() -> bool:
            with socket.socket() as link:
                return link.connect_ex(("127.0.0.1", port)) == 0

        try:
            assert until(answers, BOUND)
            yield port
        finally:
            os.killpg(daemon.pid, 15)


@pytest.mark.needs("system-git", "git-daemon")
def test_git_with_its_own_protocol(launcher: Launcher, site: Path) -> None:
    script = "git clone -q git://HOST/demo.git here && git -C here log --format=%s"
    with git_daemon(site) as port:
        assert pair(launcher, [f"far.test:9418=127.0.0.1:{port}"], script) == "from afar\n"


@pytest.mark.needs("pip-wheel")
def test_pip(launcher: Launcher, hosts: list[str]) -> None:
    (pip,) = WHEELS.glob("pip-*.whl")
    options = "--quiet --retries 0 --disable-pip-version-check --root-user-action ignore --target /tmp/there"
    where = "--index-url http://HOST/simple/ --trusted-host HOST"
    script = f"/usr/bin/python3 {pip}/pip install {options} {where} demo && /usr/bin/python3 /tmp/there/demo.py"

    assert pair(launcher, hosts, script, "pypi.test") == "from afar\n"


@pytest.mark.needs("npm", "system-node")
def test_npm(launcher: Launcher, hosts: list[str]) -> None:
    script = "npm install --silent --fetch-retries 0 --registry http://HOST/ demo >&2 && node node_modules/demo"

    assert pair(launcher, hosts, script, "npm.test") == "from afar\n"


APT = """
mkdir -p apt/lists/partial apt/cache/archives/partial
touch apt/status
echo "deb [trusted=yes] http://HOST/debian/ ./" >apt/sources.list
apt() {
    apt-get -q -o Dir=/tmp/apt -o Dir::State=/tmp/apt -o Dir::State::Lists=/tmp/apt/lists -o Dir::Cache=/tmp/apt/cache \
        -o Dir::State::Status=/tmp/apt/status -o Dir::Etc=/tmp/apt -o APT::Sandbox::User=root -o Acquire::Retries=0 "$@"
}
apt --error-on=any update >&2 && apt download demo >&2 && dpkg-deb --fsys-tarfile demo_1.0_all.deb | tar -xO ./usr/share/demo
"""


@pytest.mark.needs("system-apt")
def test_apt(launcher: Launcher, hosts: list[str]) -> None:
    """It asks for a service record first (``_http._tcp.apt.test``): there is none, and nobody is told of a refusal."""
    assert pair(launcher, hosts, APT, "apt.test") == "from afar\n"


@pytest.mark.needs("system-node")
@pytest.mark.parametrize(
    "program",
    [
        "fetch('http://HOST/hello').then(r => r.text()).then(t => process.stdout.write(t))",
        "require('http').get('http://HOST/hello', r => r.pipe(process.stdout))",
    ],
)
def test_node(launcher: Launcher, hosts: list[str], program: str) -> None:
    assert pair(launcher, hosts, f'node -e "{program}"') == "hello\n"


@pytest.mark.needs("java")
def test_java(launcher: Launcher, hosts: list[str]) -> None:
    program = """
import java.net.URI;
import java.net.http.*;
class Fetch {
    public static void main(String[] words) throws Exception {
        var request = HttpRequest.newBuilder(URI.create("http://" + words[0] + "/hello")).build();
        System.out.print(HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString()).body());
    }
}
"""
    script = f"cat >Fetch.java <<'end'\n{program}\nend\njava Fetch.java HOST"

    assert pair(launcher, hosts, script) == "hello\n"


@pytest.mark.needs("system-go")
def test_go(launcher: Launcher, hosts: list[str]) -> None:
    program = """
package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
    answer, err := http.Get("http://" + os.Args[1] + "/hello")
    if err != nil { fmt.Fprintln(os.Stderr, err); os.Exit(1) }
    text, _ := io.ReadAll(answer.Body)
    fmt.Print(string(text))
}
"""
    script = f"cat >fetch.go <<'end'\n{program}\nend\ngo run fetch.go HOST"

    assert pair(launcher, hosts, script, GOCACHE="/tmp/cache", GOPATH="/tmp/go", CGO_ENABLED="0") == "hello\n"


@pytest.mark.needs("system-curl", "system-openssl")
def test_certificates_are_those_of_the_names(launcher: Launcher, tmp_path: Path) -> None:
    """Nothing in between: the client sees the certificate of the host for the name that it has asked for."""
    key, certificate = tmp_path / "key", tmp_path / "certificate"
    words = ["openssl", "req", "-x509", "-nodes", "-newkey", "rsa:2048", "-keyout", str(key), "-out", str(certificate)]
    words += ["-days", "2", "-subj", "/CN=far.test", "-addext", "subjectAltName=DNS:far.test"]
    subprocess.run(words, check=True, capture_output=True, timeout=BOUND)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    served = threading.Event()

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as link:
            link.recv(1000)
            link.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
            served.set()

    with stream_server(serve) as port:
        spec = specification().input(certificate, "/certificate")
        spec.with_network(NetworkPolicy.allow_hosts([f"far.test:443=127.0.0.1:{port}"]))
        executor = HermeticExecutor.create(spec.build(), launcher=launcher)
        words = ["curl", "-sSf", "--cacert", "/certificate", "https://far.test/hello"]
        result = executor.execute(words, timeout=BOUND)

    assert (result.stdout, result.stderr) == (b"hello\n", b"")
    assert served.is_set()
