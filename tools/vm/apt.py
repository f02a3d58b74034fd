"""Download packages of any Debian suite from the mirror that this machine uses, verified by apt, installing nothing."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.vm.kernels import RefusalError

__all__ = ["Apt", "Mirrors", "mirrors_of", "source_list"]

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
CONFIGURATION = Path("/etc/apt")
_ONE_LINE = re.compile(
    r"^deb(-src)?\s+(?:\[(?P<options>[^]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.*)$"
)


@dataclass(frozen=True)
class Mirrors:
    """Where this machine gets Debian from."""

    archive: str
    security: str


@dataclass(frozen=True)
class _Source:
    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]
    signed_by: str


def mirrors_of(texts: Iterable[str], codename: str) -> Mirrors:
    """Find the mirrors in the texts of apt's source lists (both formats), for a machine that runs ``codename``."""
    archive = security = ""
    for source in _sources(texts):
        if "main" not in source.components or (source.signed_by and "debian-archive" not in source.signed_by):
            continue
        if codename in source.suites:
            archive = archive or source.uri
        if f"{codename}-security" in source.suites:
            security = security or source.uri
    if not archive:
        raise RefusalError(
            f"apt's sources in {CONFIGURATION} name no mirror of Debian {codename}, so no kernel can be fetched"
        )
    return Mirrors(archive, security)


def _sources(texts: Iterable[str]) -> Iterable[_Source]:
    for text in texts:
        for line in text.splitlines():
            if found := _ONE_LINE.match(line.strip()):
                signed_by = re.search(r"signed-by=(\S+)", found["options"] or "")
                yield _Source(
                    found["uri"],
                    (found["suite"],),
                    tuple(found["components"].split("#")[0].split()),
                    signed_by[1] if signed_by else "",
                )
        for stanza in re.split(r"\n\s*\n", text):
            fields = {
                name.lower(): words for name, words in re.findall(r"^([A-Za-z-]+):[ \t]*(.*)$", stanza, re.MULTILINE)
            }
            if fields.get("uris") and fields.get("enabled", "yes").strip() != "no":
                yield _Source(
                    fields["uris"].split()[0],
                    tuple(fields.get("suites", "").split()),
                    tuple(fields.get("components", "").split()),
                    fields.get("signed-by", ""),
                )


def source_list(mirrors: Mirrors, suites: Sequence[str]) -> str:
    """Return the text of a source list with these suites and their security updates."""
    lines = []
    for suite in suites:
        lines.append(f"deb [signed-by={KEYRING}] {mirrors.archive} {suite} main")
        if mirrors.security and suite != "sid" and not suite.endswith("-backports"):
            lines.append(f"deb [signed-by={KEYRING}] {mirrors.security} {suite}-security main")
    return "".join(f"{line}\n" for line in lines)


class Apt:
    """apt with lists and a cache of its own, for some suites.

    Args:
        directory: Where the lists are kept; removed by nobody, so that the next download needs few bytes.
        suites: Suites to know.
    """

    def __init__(self, directory: Path, suites: Sequence[str]) -> None:
        self._directory = directory
        for name in ("lists/partial", "archives/partial"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        sources = directory / "sources.list"
        sources.write_text(source_list(_mirrors_of_this_machine(), suites), encoding="utf-8")
        settings = {
            "Dir::Etc::SourceList": sources,
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::Preferences": "/dev/null",
            "Dir::Etc::PreferencesParts": "/dev/null",
            "Dir::State::Lists": directory / "lists",
            "Dir::Cache": directory,
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
        }
        self._options = [word for name, setting in settings.items() for word in ("-o", f"{name}={setting}")]

    def update(self) -> None:
        """Fetch the lists of packages."""
        self._run("apt-get", "-qq", "update")

    def download(self, packages: Sequence[str], into: Path) -> None:
        """Download packages into a directory, after apt verified them against the signed lists."""
        self._run("apt-get", "-qq", "download", *packages, cwd=into)

    def kernel_packages(self, package: str, suite: str) -> list[str]:
        """Follow the dependencies of a metapackage to the packages that hold an image and its modules."""
        queue, found = [f"{package}/{suite}" if suite.endswith("-backports") else package], []
        while queue:
            text = self._run("apt-cache", "show", "--no-all-versions", queue.pop())
            depends = " ".join(re.findall(r"^Depends: (.*)$", text, re.MULTILINE))
            for name in re.findall(r"linux-(?:image|binary|modules)-[^ ,(|]+", depends):
                if name not in found:
                    found.append(name)
                    queue.append(name)
        if not found:
            raise RefusalError(f"the package {package} of {suite} leads to no kernel image")
        return sorted(found)

    def _run(self, program: str, *arguments: str, cwd: Path | None = None) -> str:
        try:
            done = subprocess.run(
                [program, *self._options, *arguments],
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=cwd,
            )
        except FileNotFoundError as error:
            raise RefusalError(
                f"{program} is not there; kernels come from Debian packages, so they need a Debian machine"
            ) from error
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            raise RefusalError(f"{program} {' '.join(arguments[:3])} ended with {done.returncode}: {said}")
        return done.stdout


def _mirrors_of_this_machine() -> Mirrors:
    files = [CONFIGURATION / "sources.list", *sorted((CONFIGURATION / "sources.list.d").glob("*.[ls]*"))]
    texts = [
        file.read_text(encoding="utf-8", errors="replace")
        for file in files
        if file.suffix in (".list", ".sources") and file.is_file()
    ]
    release = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    codename = re.search(r'^VERSION_CODENAME="?(\w+)', release, re.MULTILINE)
    return mirrors_of(texts, codename[1] if codename else "stable")
