"""``bldr cache why TARGET``: field by field, why an action is not the one that ran before."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.integration.linux.test_builds import COPY, Run, Site, site  # noqa: F401  # a fixture

pytestmark = [pytest.mark.needs("user-namespaces"), pytest.mark.slow]

USER = 'target("user") { type: custom; deps: [":copy"]; command: "cp out/copy user"; output: "user"; }\n'


class Asking:
    def __init__(self, site: Site, bldr: Run) -> None:  # noqa: F811
        self.site = site
        self._bldr = bldr

    def why(self, *words: str, status: int = 0, cwd: Path | None = None) -> str:
        done = self._bldr("cache", "why", f"--dir={self.site.cache}", *words, cwd=cwd or self.site.root)
        assert done.returncode == status, done.stderr
        return (done.stdout if status == 0 else done.stderr).decode()


@pytest.fixture
def asking(site: Site, bldr: Run) -> Asking:  # noqa: F811
    site.write("in", "1\n")
    site.write("Builderfile", COPY + USER)
    return Asking(site, bldr)


def test_each_field_that_differs_is_named(asking: Asking) -> None:
    site = asking.site  # noqa: F811
    assert "'out/copy' is not there yet: build what makes it" in asking.why("//:user")
    site.build()
    first = asking.why(":copy")
    assert (
        first
        == "//:copy run its command\n  its result is in the cache\n  there is no other action to compare it with\n"
    )

    site.write("in", "22\n")
    told = asking.why(":copy").split("\n")
    assert told[:2] == ["//:copy run its command", "  no result of it is in the cache"]
    assert told[2].startswith("  different from action ")
    assert told[3].startswith("    input /workspace/in: ")
    assert "2 bytes, mode 0644 -> " in told[3]
    assert "3 bytes, mode 0644" in told[3]
    assert len(told) == 5

    site.build()
    assert "its result is in the cache\n  different from" in asking.why("copy")
    changed = COPY.replace("cat in", "cat ./in").replace(
        "sources", 'hermetic: { env: { X: "y" }; memory: "1G"; }; sources'
    )
    site.write("Builderfile", changed + USER)
    os.chmod(site.root / "in", 0o600)
    text = asking.why("//:copy")
    assert "argument 3: cat in > out/copy -> cat ./in > out/copy" in text
    assert "variable X: nothing -> y" in text
    assert "mode 0644 -> " in text
    assert "mode 0600" in text
    assert "policy " in text

    found = json.loads(asking.why("//...", "--json"))
    assert [one["name"] for one in found] == ["//:copy run its command", "//:user run its command"]
    assert {one["field"] for one in found[0]["differences"]} >= {"argument 3", "variable X"}


def test_what_cannot_be_compared_says_why(asking: Asking, tmp_path: Path) -> None:
    bare = 'target("bare") { type: custom; command: "true > b"; output: "b"; hermetic: { enabled: false; } }\n'
    asking.site.write("Builderfile", COPY + bare)

    assert "it runs without a sandbox, and is never in the cache" in asking.why(":bare")
    assert "nothing" in asking.why(":nothing", status=2)
    assert "a target is written with a colon" in asking.why("abcdef", status=125)
    assert "Builderfile" in asking.why(":copy", status=2, cwd=tmp_path)
