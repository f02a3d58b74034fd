"""Allowed hosts on the command line and in settings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.far_hosts import http_files
from tests.processes import BOUND

pytestmark = [pytest.mark.needs("user-namespaces", "system-python")]


def bldr(*words: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bldr", *words],
        cwd=directory,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=BOUND * 2,
        check=False,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    directory = tmp_path_factory.mktemp("site")
    (directory / "hello").write_text("hello\n", encoding="ascii")
    with http_files(directory) as port:
        yield directory, port


FETCH = "import urllib.request, sys; print(urllib.request.urlopen(sys.argv[1], timeout=20).read())"


def test_the_command_line_allows_a_host_and_says_what_failed(site: tuple[Path, int], tmp_path: Path) -> None:
    python = ("--", "/usr/bin/python3", "-I", "-c", FETCH)
    option = f"--allow-host=far.test:80=127.0.0.1:{site[1]}"

    good = bldr("run", "--json", "result.json", "-v", option, *python, "http://far.test/hello", directory=tmp_path)
    bad = bldr("run", option, *python, "http://other.test/hello", directory=tmp_path)
    quiet = bldr("run", "-q", option, *python, "http://other.test/hello", directory=tmp_path)

    assert (good.returncode, good.stdout) == (0, "b'hello\\n'\n"), good.stderr
    assert "bldr: reached: far.test:80, 1 connection, " in good.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert [one["host"] for one in result["hosts"]] == ["far.test"]
    assert result["usage"]["network"] == result["hosts"][0]["sent"] + result["hosts"][0]["received"]
    assert bad.returncode == 1
    assert (
        "bldr: refused, because they are not allowed: other.test\nbldr: hint: --allow-host other.test\n" in bad.stderr
    )
    assert "bldr:" not in quiet.stderr


def test_settings_allow_hosts_and_flags_win(site: tuple[Path, int], tmp_path: Path) -> None:
    (tmp_path / ".builderrc").write_text(
        f"BUILDER_HERMETIC_NETWORK=far.test:80=127.0.0.1:{site[1]}\n", encoding="ascii"
    )
    words = ("run", "--", "/usr/bin/python3", "-I", "-c", FETCH, "http://far.test/hello")

    assert bldr(*words, directory=tmp_path).returncode == 0
    assert bldr(*words, directory=tmp_path, BUILDER_HERMETIC_NETWORK="false").returncode == 1
    assert bldr("run", "--allow-host", "other.test", *words[1:], directory=tmp_path).returncode == 1


def test_the_plan_shows_what_stands_for_each_host(tmp_path: Path) -> None:
    options = ("--allow-host", "far.test:443", "--allow-host", "*.cdn.test:80", "--allow-host", "[2001:db8::1]:22")

    text = bldr("plan", *options, directory=tmp_path).stdout

    assert "Network (N):\n  *.cdn.test:80\n  [2001:db8::1]:22\n  far.test:443\n" in text
    assert "stand in at 198.18.1.1:443/tcp for port 443 of far.test" in text
    assert "stand in at [2001:db8::1]:22/tcp for port 22 of 2001:db8::1" in text
    assert "answer names at 198.18.0.1" in text
