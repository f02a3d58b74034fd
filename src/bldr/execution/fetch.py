"""Fetch files whose content is pinned by a digest, once, and keep them.

Only this reaches the network, before the command starts and outside of its sandbox: what comes is known, so a command
that reads it still depends on declared inputs alone.
"""

from __future__ import annotations

import os
import time

from bldr.errors import FetchError
from bldr.model.pinned import PinnedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import BinaryIO

__all__ = ["fetch", "kept_at", "obtain"]

_CHUNK = 1 << 20
_TIMEOUT = 60.0  # seconds for an answer, and for each part of it
_ATTEMPTS = 3
_PAUSE = 0.5  # seconds before the second attempt, then twice as long
_STALE = 86400.0  # seconds after which a part that nobody has finished is removed


def fetch(url: str, digest: str, *, cache: str | os.PathLike[str] | None = None) -> str:
    """Return the path of a file with the content of a URL, which is fetched where it has not been kept.

    The content is compared with the digest each time. Declare the path as an input to show it to a command.

    Args:
        url: An address of http or https; redirections are followed, but not from https to http.
        digest: ``sha256:`` and 64 hexadecimal digits.
        cache: A directory in which files are kept by their digest; by default one in the caller's cache.

    Raises:
        SpecError: The URL or the digest cannot be read.
        FetchError: The file cannot be fetched, or its content is another one.
    """
    place = None if cache is None else os.fspath(cache)
    return obtain(PinnedFile.of(url, digest, "/"), os.environ, cache=place)


def kept_at(file: PinnedFile, environment: Mapping[str, str], *, cache: str | None = None) -> str:
    """Return where a file is kept, whether it is there or not.

    Raises:
        FetchError: Nobody has said where the caller's cache is.
    """
    if cache is None:
        base = environment.get("XDG_CACHE_HOME", "")
        if not base.startswith("/"):
            home = environment.get("HOME", "")
            if not home.startswith("/"):
                raise FetchError("there is no directory to keep files in", hint="set HOME or XDG_CACHE_HOME")
            base = f"{home}/.cache"
        cache = f"{base}/bldr/fetched"
    return os.path.join(os.path.abspath(cache), file.digest.replace(":", "/"))


def obtain(
    file: PinnedFile,
    environment: Mapping[str, str],
    *,
    cache: str | None = None,
    begun: Callable[[PinnedFile], None] | None = None,
) -> str:
    """Return the path of a pinned file; ``begun`` is called when it has to be fetched.

    Raises:
        FetchError: The file cannot be fetched, or its content is another one.
    """
    path = kept_at(file, environment, cache=cache)
    try:
        if _is_right(path, file.digest):
            return path
        directory = os.path.dirname(path)
        os.makedirs(directory, mode=0o700, exist_ok=True)
        _refuse_strangers(directory)
        _remove_stale(directory)
        if begun is not None:
            begun(file)
        _fetch_into(path, directory, file)
    except FetchError:
        raise
    except OSError as error:
        what = f"cannot keep {file.shown_url} at {path!r}"
        raise FetchError(
            f"{what}: {error.strerror or error}", hint="see to it that the directory can be used"
        ) from error
    return path


def _is_right(path: str, digest: str) -> bool:
    """Whether the file is there, with its content; somebody may have changed it."""
    import hashlib

    try:
        with open(path, "rb") as kept:
            return "sha256:" + hashlib.file_digest(kept, "sha256").hexdigest() == digest
    except FileNotFoundError:
        return False


def _refuse_strangers(directory: str) -> None:
    """Somebody else who may write there could change a file after it was compared."""
    about = os.stat(directory)
    if hasattr(os, "geteuid") and about.st_uid not in (0, os.geteuid()):
        raise FetchError(f"{directory!r} belongs to uid {about.st_uid}", hint="set XDG_CACHE_HOME to one of your own")


def _remove_stale(directory: str) -> None:
    for name in os.listdir(directory):
        path = os.path.join(directory, name)
        try:
            if name.startswith(".part-") and os.stat(path).st_mtime < time.time() - _STALE:
                os.unlink(path)
        except FileNotFoundError:
            pass  # somebody else has removed it


def _fetch_into(path: str, directory: str, file: PinnedFile) -> None:
    import tempfile

    fd, part = tempfile.mkstemp(prefix=".part-", dir=directory)
    try:
        with open(fd, "wb") as target:
            _compare(file, _download(file, target))
            target.flush()
            os.fsync(target.fileno())
        os.chmod(part, 0o444)
        os.replace(part, path)
    except BaseException:
        os.unlink(part)
        raise


def _compare(file: PinnedFile, found: str) -> None:
    if found != file.digest:
        raise FetchError(
            f"the content of {file.shown_url} has the digest {found}, not {file.digest}",
            code="sandbox.fetch-mismatch",
            hint=f"find out why it has changed; if that is right: --fetch {file.shown_url}={found}",
        )


def _download(file: PinnedFile, target: BinaryIO) -> str:
    """Write the content and return its digest; an attempt that fails is repeated from the beginning."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    for attempt in range(1, _ATTEMPTS + 1):
        target.seek(0)
        target.truncate()
        try:
            return _attempt(file.url, target)
        except (OSError, HTTPException, ValueError) as error:
            if isinstance(error, HTTPError):
                error.close()
            if attempt == _ATTEMPTS or not _may_pass(error):
                raise FetchError(
                    f"cannot fetch {file.shown_url}: {_cause(error)}", hint="check the address and the network"
                ) from error
        time.sleep(_PAUSE * 2 ** (attempt - 1))
    raise AssertionError("unreachable")


def _attempt(url: str, target: BinaryIO) -> str:
    import hashlib
    from urllib.request import HTTPRedirectHandler, Request, build_opener

    class SafeRedirects(HTTPRedirectHandler):
        """Follows redirections, but never from a connection that nobody can change to one that anybody can."""

        def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
            ours = "https:" if req.full_url.lower().startswith("https:") else "http"
            if not newurl.lower().startswith(ours):
                fp.close()
                raise ValueError(f"it redirects to something else than {ours.rstrip(':')}")
            return super().redirect_request(req, fp, code, msg, headers, newurl)

    digest = hashlib.sha256()
    request = Request(url, headers={"User-Agent": "bldr", "Accept-Encoding": "identity"})  # noqa: S310  http or https
    with build_opener(SafeRedirects).open(request, timeout=_TIMEOUT) as answer:
        size = answer.headers.get("Content-Length", "")
        received = 0
        while chunk := answer.read(_CHUNK):
            digest.update(chunk)
            received += len(chunk)
            _write(target, chunk)
    if size.isdecimal() and received != int(size):
        raise ConnectionError(f"{received} of {size} bytes have come")
    return f"sha256:{digest.hexdigest()}"


def _write(target: BinaryIO, chunk: bytes) -> None:
    try:
        target.write(chunk)
    except OSError as error:  # the disk is full: no other attempt helps
        raise FetchError(f"cannot keep what is fetched: {error.strerror}", hint="free some space") from error


def _may_pass(error: Exception) -> bool:
    """Whether another attempt may succeed."""
    from http.client import HTTPException
    from urllib.error import HTTPError

    if isinstance(error, HTTPError):
        return error.code >= 500 or error.code == 429
    return isinstance(error, (OSError, HTTPException))


def _cause(error: Exception) -> str:
    from urllib.error import HTTPError, URLError

    if isinstance(error, HTTPError):
        return f"the server answers {error.code} {error.reason}"
    if isinstance(error, URLError) and isinstance(error.reason, Exception):
        error = error.reason
    text = getattr(error, "strerror", None) or str(error)
    return text or type(error).__name__
