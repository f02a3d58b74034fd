"""The sandbox of an action: its spec, and the digest of what it is in terms of the Remote Execution API."""

from __future__ import annotations

import os

from bldr.builderfile.places import STATE, within
from bldr.engine.action import WORKSPACE
from bldr.engine.files import told
from bldr.execution.caching import platform_of_host, salt, shown_by
from bldr.model.environment import EnvSet
from bldr.model.limits import ResourceLimits
from bldr.model.paths import PathSet
from bldr.model.spec import SandboxSpecBuilder
from bldr.model.toolchain import NONE, SYSTEM
from bldr.model.value import replace
from bldr.sandbox.resolve import resolve
from bldr.store.inputroot import InputRoot, Shown
from bldr.store.messages import Action as RemoteAction
from bldr.store.messages import Command, Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from bldr.builderfile.target import Hermetic
    from bldr.builderfile.workspace import Resolved
    from bldr.engine.action import Action
    from bldr.engine.stages import Stages
    from bldr.model.spec import SandboxSpec
    from bldr.model.toolchain import Toolchain
    from bldr.store.inputroot import StatCache

__all__ = ["Key", "command_of", "policy_of", "spec_of_action", "toolchains_there"]

_TEMP = "/tmp"  # inside


def command_of(action: Action, hermetic: Hermetic) -> str:
    """Return everything about a command as one text, to be compared."""
    return repr((action.argv, action.env, hermetic.env.items(), action.outputs, action.depfile))


def policy_of(hermetic: Hermetic) -> str:
    """Return everything about a sandbox as one text, to be compared."""
    limits = {name: getattr(hermetic.limits, name) for name in sorted(hermetic.limits.names_set)}
    endpoints = [str(one) for one in hermetic.network.endpoints]
    sets = (hermetic.enabled, hermetic.inputs, hermetic.temps, endpoints, hermetic.toolchain)
    return repr((*sets, hermetic.timeout, limits, hermetic.process))


def toolchains_there() -> dict[str, Toolchain]:
    """Return what this host has of each toolchain, by name."""
    return {one.name: one.there(os.path.lexists) for one in (SYSTEM, NONE)}


def spec_of_action(
    action: Action,
    target: Resolved,
    root: str,
    stages: Mapping[str, str],
    toolchains: Mapping[str, Toolchain] | None = None,
) -> SandboxSpec:
    """Return the spec of an action's sandbox.

    It shows the inputs of the action at their places in :data:`WORKSPACE`, its stages in place of the folders that it
    writes, what the target's ``hermetic`` block declares, the toolchain, and nothing else.

    Args:
        action: The action.
        target: Its target.
        root: The absolute path of the workspace.
        stages: The directory of the host for each folder that is written.
        toolchains: From `toolchains_there`, where many specs are made.

    Raises:
        SpecError: Two of the paths overlap, or one cannot be used.
    """
    hermetic = target.target.hermetic
    toolchain = (toolchains or {}).get(hermetic.toolchain, hermetic.toolchain)
    builder = SandboxSpecBuilder.create().carve().with_toolchain(toolchain)
    builder.env_set(EnvSet.hermetic().without("HOME").without("TMPDIR")).default_home().temp(_TEMP)
    for path in action.inputs:
        plain = path.rstrip("/")
        if plain == ".":
            builder.input(PathSet.subtree(root) - PathSet.subtree(f"{root}/{STATE}"), WORKSPACE)
        elif not any(within(plain, folder) for folder in stages):
            builder.input(f"{root}/{plain}", f"{WORKSPACE}/{plain}")
    for path in hermetic.inputs:
        if path.startswith("/"):
            builder.input(path)
    for folder, place in stages.items():
        builder.output(place, _inside(folder))
    for path in hermetic.temps:
        builder.temp(path if path.startswith("/") else f"{WORKSPACE}/{path}")
    if not action.inputs and not stages:
        builder.temp(WORKSPACE)  # the command starts there
    for name, text in action.env:
        builder.env(name, text)
    spec = builder.env_set(hermetic.env).build()
    return replace(
        spec,
        network=hermetic.network,
        limits=ResourceLimits.hermetic().merge(hermetic.limits),
        process=hermetic.process,
    )


class Key:
    """What identifies the result of an action in the cache.

    ``resolved`` is what the spec was resolved to, ``None`` where the run has to look once more.

    Args:
        action: The action.
        spec: Its spec.
        stages: Its stages.
        root: The absolute path of the workspace.
        timeout: Seconds.
        toolchain: The identity of its toolchain.
        known: Digests of files.
        cache: The directory of the cache.

    Raises:
        NotCacheableError: An input has no digest.
        SpecError: The spec does not fit this host's files.
        CacheError: The cache lies in an input.
    """

    def __init__(
        self,
        action: Action,
        spec: SandboxSpec,
        stages: Stages,
        root: str,
        *,
        timeout: float | None,
        toolchain: str,
        known: StatCache,
        cache: str,
    ) -> None:
        self._known = known
        copied = [Shown(_inside(path), host=_outside(root, path)) for path in stages.copied()]
        resolved = resolve(spec)
        # What is copied into a stage can bring links, which count for where things are mounted.
        self.resolved = None if copied else resolved
        shown = [*shown_by(resolved, cache, WORKSPACE), *copied]
        self._root = InputRoot(shown)
        self.messages: dict[Digest, bytes] = {}
        root_digest = self._root.digest(known, keep=self.messages)
        platform = platform_of_host()
        command = Command(
            action.argv,
            spec.environment.items(),
            tuple([path.rstrip("/") for path in action.outputs]),
            platform,
            WORKSPACE.lstrip("/"),
        ).encode()
        self.messages[Digest.of(command)] = command
        lines = salt(spec, toolchain, None)
        if action.depfile:
            lines += os.fsencode(f"depfile={action.depfile}\n")
        self.action = RemoteAction(Digest.of(command), root_digest, timeout, salt=lines, platform=platform)
        self.digest = Digest.of(self.action.encode())

    def saw(self, root: str, inputs: Mapping[str, str]) -> bool:
        """Say whether the files that are in the key hold what somebody else has seen in them before.

        Args:
            root: The absolute path of the workspace.
            inputs: What each file held, as `Files` tells it; links and folders are left out of account.
        """
        held = {path: told(digest.hash, mode) for path, digest, mode in self._root.files()}
        wanted = {}
        for path, text in inputs.items():
            if not text.startswith("-> ") and not path.endswith("/"):
                place = os.path.join(root, path)
                wanted[place if place in held else os.path.realpath(place)] = text
        return held == wanted

    def is_unchanged(self) -> bool:
        """Look once more, and say whether every input is as it was."""
        return self._root.is_unchanged(self._known)


def _inside(path: str) -> str:
    plain = path.rstrip("/")
    return WORKSPACE if plain in ("", ".") else f"{WORKSPACE}/{plain}"


def _outside(root: str, path: str) -> str:
    plain = path.rstrip("/")
    return root if plain == "." else os.path.join(root, plain)
