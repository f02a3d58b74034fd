"""Real projects from the package registries, fetched outside and built inside.

Each is built by whoever runs the tests with the library, with namespaces and without, and by a user without rights with
the command line. What holds for every build is checked by ``Site.build``: hermetic by its receipt, inputs unchanged and read-only, everything made
where it was declared, nothing else readable or reachable.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.integration.linux.building_site import PATIENCE, LandlockSite, LibrarySite, Site, UnprivilegedSite

pytestmark = [
    pytest.mark.needs("user-namespaces", "system-python"),
    pytest.mark.timeout(PATIENCE),
    pytest.mark.slow,
]


@pytest.fixture(
    params=[
        "caller",
        pytest.param("unprivileged", marks=pytest.mark.needs("unprivileged-user")),
        pytest.param("landlock", marks=pytest.mark.needs("landlock-truncate")),
    ]
)
def site(request: pytest.FixtureRequest, host_dir: Path) -> Site:
    if request.param == "unprivileged":
        return UnprivilegedSite(host_dir, request.getfixturevalue("run_unprivileged"))
    return LandlockSite(host_dir) if request.param == "landlock" else LibrarySite(host_dir)


@pytest.fixture(scope="session")
def fetched() -> Iterator[Path]:
    """What was fetched for this session."""
    directory = Path(tempfile.mkdtemp(prefix="bldr-fetched.", dir="/var/tmp"))
    yield directory
    shutil.rmtree(directory)


def fetch(argv: Sequence[str], directory: Path) -> None:
    """Run a registry's ordinary client outside the sandbox."""
    directory.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(argv, cwd=directory, capture_output=True, check=False, text=True, timeout=PATIENCE)

    assert done.returncode == 0, done.stderr[-2000:]


def fetch_source(package: str, directory: Path) -> Path:
    """Fetch and unpack the upstream archive of a Debian source package, and nothing else of it."""
    fetch(["apt-get", "-qq", "source", "--tar-only", package], directory)
    (archive,) = directory.glob(f"{package}_*.orig.tar.*z")
    (directory / "unpacked").mkdir()
    fetch(["tar", "-x", "-f", str(archive)], directory / "unpacked")
    (sources,) = (directory / "unpacked").iterdir()
    return sources


def fetch_packages(packages: Sequence[str], directory: Path) -> Path:
    """Fetch and unpack Debian packages without installing them."""
    fetch(["apt-get", "-qq", "download", *packages], directory)
    for package in sorted(directory.glob("*.deb")):
        fetch(["dpkg-deb", "-x", str(package), "unpacked"], directory)
    return directory / "unpacked"


@pytest.fixture(scope="session")
def hello(fetched: Path) -> Path:
    return fetch_source("hello", fetched / "hello")


@pytest.mark.needs("source-package", "c-compiler")
def test_an_autotools_project_is_configured_checked_and_installed(site: Site, hello: Path) -> None:
    sources = site.add(hello, "sources")

    made = site.build(
        f"{sources}/configure -q --prefix=/usr && make -s && make -s check && make -s install DESTDIR=$PWD/installed",
        site.output,
    )

    program = site.output / "installed" / "usr" / "bin" / "hello"
    assert program in made
    assert subprocess.run([program], capture_output=True, check=True).stdout == b"Hello, world!\n"


@pytest.fixture(scope="session")
def markupsafe(fetched: Path) -> tuple[Path, Path]:
    """Directories with a source archive and with what builds it."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    archive, tools = fetched / "markupsafe", fetched / "python-tools"
    tools.mkdir()
    fetch([*pip, "install", "--target", str(tools), "setuptools==75.8.0", "wheel==0.45.1", "pip==25.0"], fetched)
    fetch([*pip, "download", "--no-deps", "--no-binary", ":all:", "markupsafe==2.1.5"], archive)
    return archive, tools


@pytest.mark.needs("network-registry", "c-compiler", "python-headers")
def test_a_python_extension_is_built_to_a_wheel(
    site: Site, markupsafe: tuple[Path, Path], tmp_path: Path, run_system_python: Callable[..., str]
) -> None:
    sources, tools = site.add(markupsafe[0], "sources"), site.add(markupsafe[1], "tools")
    (archive,) = sources.glob("*.tar.gz")
    site.environment["PYTHONPATH"] = str(tools)

    (wheel,) = site.build(
        f"python3 -m pip -q wheel --no-index --no-deps --no-build-isolation --no-cache-dir -w . {archive}", site.output
    )

    with zipfile.ZipFile(wheel) as archived:
        archived.extractall(tmp_path)
    printed = run_system_python("from markupsafe import _speedups; print(_speedups.escape('<&>'))", tmp_path)
    assert printed == "&lt;&amp;&gt;\n"


@pytest.fixture
def run_system_python() -> Callable[..., str]:
    """Run a line of Python with modules from one directory."""

    def run(code: str, modules: Path) -> str:
        environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(["/usr/bin/python3", "-c", code], env=environment, capture_output=True, check=True)
        return done.stdout.decode()

    return run


@pytest.fixture(scope="session")
def immer(fetched: Path) -> tuple[Path, Path]:
    """The TypeScript sources of a project, and node_modules with the compiler."""
    directory = fetched / "immer"
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
    fetch([*install, "typescript@5.6.3", "immer@10.2.0", "@types/node@20.19.0"], directory)
    return directory / "node_modules" / "immer" / "src", directory / "node_modules"


@pytest.mark.needs("npm", "npm-registry", "system-node")
def test_a_typescript_project_is_compiled(site: Site, immer: tuple[Path, Path]) -> None:
    sources, modules = site.add(immer[0], "sources"), site.add(immer[1], "node_modules")

    made = site.build(
        f"node {modules}/typescript/bin/tsc --strict --target es2020 --module commonjs --declaration --skipLibCheck "
        f"--typeRoots {modules}/@types --types node --rootDir {sources} --outDir . {sources}/immer.ts {sources}/types/globals.d.ts",
        site.output,
    )

    assert site.output / "immer.d.ts" in made
    code = (
        "const {produce} = require('./immer.js'); console.log(produce({a: [1]}, draft => {draft.a.push(2)}).a.join())"
    )
    done = subprocess.run(["/usr/bin/node", "-e", code], cwd=site.output, capture_output=True, check=True)
    assert done.stdout == b"1,2\n"


@pytest.fixture(scope="session")
def json_simple(fetched: Path) -> tuple[Path, Path]:
    """A Java project, and the libraries that its tests use."""
    unpacked = fetch_packages(["junit4", "libhamcrest-java"], fetched / "java-packages")
    jars = fetched / "jars"
    jars.mkdir()
    for path in sorted(unpacked.rglob("*.jar")):
        if not path.is_symlink():
            shutil.copy(path, jars)
    return fetch_source("json-simple", fetched / "json-simple"), jars


MAIN = """
import org.json.simple.JsonObject;
import org.json.simple.Jsoner;

public class Main {
    public static void main(String[] words) throws Exception {
        System.out.println(((JsonObject) Jsoner.deserialize("{\\"answer\\": 42}")).get("answer"));
    }
}
"""


@pytest.mark.needs("java", "source-package")
def test_a_java_project_is_compiled_tested_and_packed(site: Site, json_simple: tuple[Path, Path]) -> None:
    sources, jars = site.add(json_simple[0], "sources"), site.add(json_simple[1], "jars")
    (sources / "Main.java").write_text(MAIN, "ascii")

    made = site.build(
        f"find {sources}/src/main {sources}/Main.java -name '*.java' >$TMPDIR/main\n"
        f"find {sources}/src/test -name '*.java' >$TMPDIR/test\n"
        f"javac -nowarn -encoding UTF-8 -d $TMPDIR/classes @$TMPDIR/main\n"
        f"jar --create --file product.jar -C $TMPDIR/classes .\n"
        f"javac -nowarn -encoding UTF-8 -cp 'product.jar:{jars}/*' -d $TMPDIR/tests @$TMPDIR/test\n"
        f'java -cp "product.jar:$TMPDIR/tests:{jars}/*" org.junit.runner.JUnitCore org.json.simple.JsonerTest >report\n',
        site.output,
    )

    assert made == [site.output / "product.jar", site.output / "report"]
    assert "OK (" in (site.output / "report").read_text()
    done = subprocess.run(["java", "-cp", site.output / "product.jar", "Main"], capture_output=True, check=True)
    assert done.stdout == b"42\n"


@pytest.fixture(scope="session")
def itoa(fetched: Path) -> Path:
    """A directory of crates, as cargo's source replacement wants it."""
    return fetch_packages(["librust-itoa-dev"], fetched / "crates") / "usr" / "share" / "cargo" / "registry"


@pytest.mark.needs("rust", "source-package")
def test_a_rust_program_is_built_with_a_crate(host_dir: Path, itoa: Path) -> None:
    site = LibrarySite(host_dir)
    crates = site.add(itoa, "crates")
    project = host_dir / "project"
    (project / "src").mkdir(parents=True)
    (project / ".cargo").mkdir()
    (project / "Cargo.toml").write_text(
        '[package]\nname = "answer"\nversion = "1.0.0"\nedition = "2021"\n[dependencies]\nitoa = "1"\n'
    )
    (project / "src" / "main.rs").write_text('fn main() { println!("{}", itoa::Buffer::new().format(6 * 7)); }\n')
    (project / ".cargo" / "config.toml").write_text(
        f'[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "{crates}"\n'
    )
    subprocess.run(["cargo", "generate-lockfile", "--offline", "-q"], cwd=project, check=True)
    sources = site.add(project, "sources")
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, check=True, text=True).stdout.strip()
    site.inputs.append(Path(sysroot))
    site.environment = {
        "PATH": f"{sysroot}/bin:/usr/bin:/bin",
        "CARGO_HOME": "/tmp/cargo",
        "CARGO_TARGET_DIR": "/tmp/target",
    }

    made = site.build("cargo build -q --offline --locked && cp /tmp/target/debug/answer " + str(site.output), sources)

    assert made == [site.output / "answer"]
    assert subprocess.run([made[0]], capture_output=True, check=True).stdout == b"42\n"
    assert os.access(made[0], os.X_OK)
