"""``--fetch``: files of the network, pinned by their digests, that appear as inputs."""

from __future__ import annotations

import os

from bldr.cli.messages import say
from bldr.errors import FetchError
from bldr.execution.fetch import kept_at, obtain
from bldr.model.pinned import PinnedFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.cli.options import Parsed

__all__ = ["fetched_input", "obtain_all", "refuse_missing"]


def fetched_input(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Return where a pinned file is kept on the host, and where it appears inside; nothing is fetched yet."""
    file = PinnedFile.parse(text)
    return kept_at(file, environment), file.at


def obtain_all(parsed: Parsed, environment: Mapping[str, str]) -> None:
    """Fetch what has not been kept; say so, because it takes time.

    Raises:
        FetchError: A file cannot be fetched, or its content is another one.
    """
    for text in parsed.all("fetch"):
        file = PinnedFile.parse(text)
        obtain(file, environment, begun=None if parsed.given("quiet") else _announce)


def refuse_missing(parsed: Parsed, environment: Mapping[str, str]) -> None:
    """Refuse to plan with files that are not there: a plan reaches no network.

    Raises:
        FetchError: It names the first one.
    """
    for text in parsed.all("fetch"):
        file = PinnedFile.parse(text)
        if not os.path.exists(kept_at(file, environment)):
            raise FetchError(
                f"{file.shown_url} has not been fetched yet", hint="bldr run fetches it, bldr plan does not"
            )


def _announce(file: PinnedFile) -> None:
    say(f"fetching {file.shown_url}")
