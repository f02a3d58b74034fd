"""The table of probes itself: skips depend on it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.capabilities import PROBES, Capabilities, UnavailableError

ROOT = Path(__file__).parents[2]


def test_a_probe_is_tried_once_and_only_when_asked() -> None:
    tried = []

    def refusing() -> None:
        tried.append("refusing")
        raise UnavailableError("not on this host")

    capabilities = Capabilities({"refusing": refusing, "working": lambda: tried.append("working")})

    assert capabilities.why_not("refusing") == "not on this host"
    assert capabilities.why_not("refusing") == "not on this host"
    assert tried == ["refusing"]
    assert capabilities.why_not("working") == ""


def test_what_the_continuous_integration_requires_has_a_probe() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    arrays = re.findall(r"^required\w*=\((.*?)\)", script, re.MULTILINE | re.DOTALL)
    required = [name for array in arrays for name in array.split()]

    assert "user-namespaces" in required
    assert set(required) - set(PROBES) == set()


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite with the real conftest and two probes of its own."""
    conftest = (ROOT / "tests" / "conftest.py").read_text(encoding="utf-8")
    probes = (
        "from tests.capabilities import UnavailableError\n\n"
        "def refuse():\n    raise UnavailableError('not on this host')\n\n"
        "PROBES = {'never': refuse, 'always': lambda: None}\n"
    )
    (tmp_path / "conftest.py").write_text(conftest.replace("ROOT = ", f"{probes}\nROOT = ", 1), encoding="utf-8")
    (tmp_path / "test_it.py").write_text(
        "import pytest\n\n"
        "@pytest.mark.needs('always')\ndef test_runs(): pass\n\n"
        "@pytest.mark.needs('always', 'never')\ndef test_is_skipped(): pass\n",
        encoding="utf-8",
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    needs: x\n", encoding="utf-8")
    return tmp_path


def run_suite(suite: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider", *options, str(suite)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.slow
def test_a_missing_capability_skips_and_says_why(suite: Path) -> None:
    done = run_suite(suite)

    assert done.returncode == 0
    assert "1 passed, 1 skipped" in done.stdout
    assert "needs never: not on this host" in done.stdout


@pytest.mark.slow
def test_a_required_capability_may_not_be_missing(suite: Path) -> None:
    assert run_suite(suite, "--require", "always").returncode == 0
    done = run_suite(suite, "--require", "never")

    assert done.returncode == 1
    assert "never: not on this host" in done.stdout + done.stderr


@pytest.mark.slow
def test_a_capability_without_a_probe_is_an_error_of_the_test(suite: Path) -> None:
    (suite / "test_it.py").write_text(
        "import pytest\n\n@pytest.mark.needs('luck')\ndef test_misspelled(): pass\n", encoding="utf-8"
    )

    done = run_suite(suite)

    assert done.returncode != 0
    assert "test_misspelled needs 'luck'" in done.stdout + done.stderr


def test_a_test_is_skipped_by_a_probe_only() -> None:
    """Whoever skips inside of a test cannot be made to run where that counts (``--require``)."""
    by_probe = {"tests/conftest.py", "tests/docs/test_commands.py"}
    words = ("pytest.skip(", "mark.skip", "importorskip", "pytest.xfail", "mark.xfail")

    found = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if path != Path(__file__) and any(word in path.read_text(encoding="utf-8") for word in words)
    }

    assert found == by_probe
