"""Whatever is edited in which order, a run with the cache leaves what a run without it would leave.

The command is a function of what it may see: it writes down its whole input root. What it should have written is found
out without the cache after each edit.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bldr.execution.caching import CachedCommand
from bldr.model.receipt import Guarantee, GuaranteeRecord, Receipt
from bldr.model.result import ExecutionResult
from bldr.model.spec import SandboxSpec, SandboxSpecBuilder
from bldr.store.cache import Cache

HERMETIC = Receipt(tuple(GuaranteeRecord(name, True, ("test",)) for name in Guarantee.PROFILE), "test")
NAMES = ("a", "b", "d", "d/a", "d/e", "d/e/a")

paths = st.sampled_from(NAMES)
edits = st.lists(
    st.one_of(
        st.tuples(st.just("write"), paths, st.sampled_from(["x", "y", "xy", ""])),
        st.tuples(st.just("touch"), paths, st.integers(1, 10**9)),
        st.tuples(st.just("mode"), paths, st.sampled_from([0o644, 0o755, 0o600])),
        st.tuples(st.just("remove"), paths, st.just(0)),
        st.tuples(st.just("directory"), paths, st.just(0)),
        st.tuples(st.just("link"), paths, st.sampled_from(["a", "../x", "/etc"])),
        st.tuples(st.just("spoil the output"), paths, st.just(0)),
        st.tuples(st.just("lose a blob"), paths, st.just(0)),
        st.tuples(st.just("rot a blob"), paths, st.just(0)),
    ),
    max_size=12,
)


def apply(edit: tuple[str, str, object], source: Path, output: Path, cache: Path) -> None:
    kind, name, what = edit
    path = source / name
    blobs = sorted(cache.glob("cas/*/*"))
    if kind == "spoil the output":
        (output / "listing").write_text("spoilt", encoding="ascii")
    elif kind == "lose a blob" and blobs:
        blobs[len(blobs) // 2].unlink()
    elif kind == "rot a blob" and blobs:
        blob = blobs[len(blobs) // 3]
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes()[:-1] + b"?")
    elif not path.parent.is_dir() or path.parent.is_symlink():
        return
    elif kind == "write":
        if not path.is_dir() and not path.is_symlink():
            path.write_text(str(what), encoding="ascii")
    elif kind == "touch" and path.exists() and not path.is_symlink():
        os.utime(path, (int(str(what)), int(str(what))))
    elif kind == "mode" and path.is_file() and not path.is_symlink():
        path.chmod(int(str(what)))
    elif kind == "remove":
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    elif kind == "directory" and not os.path.lexists(path):
        path.mkdir()
    elif kind == "link" and not os.path.lexists(path):
        path.symlink_to(str(what))


def listing(source: Path) -> str:
    lines = []
    for directory, names, files in os.walk(source):
        for name in (*names, *files):
            path = Path(directory, name)
            relative = path.relative_to(source)
            if path.is_symlink():
                lines.append(f"{relative} -> {os.readlink(path)}")
            elif path.is_dir():
                lines.append(f"{relative}/")
            else:
                lines.append(f"{relative} {path.stat().st_mode:o} {path.read_text(encoding='ascii')!r}")
    return "\n".join(sorted(lines)) + "\n"


class Site:
    """A source, an output and a cache, and how often the command ran."""

    def __init__(self, root: Path) -> None:
        self.source, self.output, self.cache = root / "source", root / "output", root / "cache"
        for directory in (self.source, self.output, self.cache):
            directory.mkdir()
        self.ran = 0

    def spec(self) -> SandboxSpec:
        return SandboxSpecBuilder.create().input(self.source).output(self.output).build()

    def execute(self, staged: SandboxSpec) -> ExecutionResult:
        self.ran += 1
        place = next(one.host for one in staged.declarations if one.role == "output")
        Path(place, "listing").write_text(listing(self.source), encoding="ascii")
        return ExecutionResult(("list",), 0, stdout=b"listed", receipt=HERMETIC)

    def run(self, cache: Cache) -> bytes:
        command = CachedCommand(cache, self.spec(), ["list"], "/", timeout=None, silence=None, say=print)
        kept = command.look_up()
        if kept is not None:
            from bldr.errors import CacheError

            try:
                return command.restore(kept, lambda _name, _content: None).stdout
            except CacheError:
                pass
        result, reason = command.run(self.execute)
        assert reason == ""
        return result.stdout


@given(edits)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=40)
def test_the_output_is_always_that_of_a_run_without_the_cache(sequence: list[tuple[str, str, object]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        site = Site(Path(directory))
        with Cache(str(site.cache)) as cache:
            for edit in [("write", "a", "x"), *sequence, ("write", "b", "last")]:
                apply(edit, site.source, site.output, site.cache)

                assert site.run(cache) == b"listed"
                assert (site.output / "listing").read_text(encoding="ascii") == listing(site.source)


@given(edits)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=20)
def test_what_has_run_does_not_run_again(sequence: list[tuple[str, str, object]]) -> None:
    """Only what an edit of the source made new runs, or what a lost blob took away."""
    with tempfile.TemporaryDirectory() as directory:
        site = Site(Path(directory))
        seen: set[str] = set()
        with Cache(str(site.cache)) as cache:
            for edit in sequence:
                if edit[0].endswith("blob"):
                    continue
                apply(edit, site.source, site.output, site.cache)
                seen.add(listing(site.source))
                site.run(cache)

                assert site.ran == len(seen)
