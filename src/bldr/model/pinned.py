"""A file of the network whose content is known beforehand."""

from __future__ import annotations

from bldr.errors import SpecError
from bldr.model.paths import normalize
from bldr.model.value import value

__all__ = ["PinnedFile"]

_ALGORITHM = "sha256:"
_HEX_DIGITS = 64
_DIRECTORY = "/fetched"
_ACCEPTED = "write it like https://example.org/file.tar.gz=sha256:0123…, and :/PATH behind it for another place"


@value
class PinnedFile:
    """What ``--fetch`` names.

    Args:
        url: Where it is, by http or https.
        digest: ``sha256:`` and 64 hexadecimal digits of its content.
        at: Where it appears inside.
    """

    url: str
    digest: str
    at: str

    @staticmethod
    def parse(text: str) -> PinnedFile:
        """Read ``URL=sha256:DIGEST[:AT]``.

        Raises:
            SpecError: It is not of that form.

        Example:
            >>> PinnedFile.parse("https://example.org/a/b.tgz=sha256:" + 64 * "0").at
            '/fetched/b.tgz'
        """
        url, equals, rest = text.rpartition(f"={_ALGORITHM}")
        if not equals:
            raise _invalid(text, "the digest of its content is missing")
        digits, colon, at = rest.partition(":")
        return PinnedFile.of(url, _ALGORITHM + digits, at if colon else None)

    @staticmethod
    def of(url: str, digest: str, at: str | None = None) -> PinnedFile:
        """Check the parts; ``at`` is below ``/fetched`` by default, with the last name of the URL.

        Raises:
            SpecError: The URL is none of http or https, or the digest is none.
        """
        scheme, _, place = url.partition("://")
        if scheme.lower() not in ("http", "https") or not place or not url.isascii() or not url.isprintable():
            raise _invalid(url, "it is not a URL of http or https")
        if " " in url:
            raise _invalid(url, "a space is written %20")
        digits = digest.removeprefix(_ALGORITHM).lower()
        if not digest.startswith(_ALGORITHM) or len(digits) != _HEX_DIGITS or digits.strip("0123456789abcdef"):
            raise _invalid(url, f"{digest!r} is not sha256: and {_HEX_DIGITS} hexadecimal digits")
        if at is None:
            name = place.partition("#")[0].partition("?")[0].partition("/")[2].rpartition("/")[2]
            if name in ("", ".", ".."):
                raise _invalid(url, "it has no file name, so say where it is to appear")
            at = f"{_DIRECTORY}/{name}"
        return PinnedFile(url, _ALGORITHM + digits, normalize(at))

    @property
    def shown_url(self) -> str:
        """The URL for messages, without a password."""
        scheme, _, place = self.url.partition("://")
        host, slash, path = place.partition("/")
        return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"


def _invalid(text: str, why: str) -> SpecError:
    return SpecError(f"{text!r} cannot be fetched: {why}", code="spec.fetch-invalid", hint=_ACCEPTED)
