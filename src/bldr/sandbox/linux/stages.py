"""What the launcher and init do outside a plan's steps: their names in reports, and in words."""

from __future__ import annotations

__all__ = ["STAGES_OF_THE_HOST", "step_of"]

# Stages that no spec can influence: what fails there fails for every sandbox on this host.
STAGES_OF_THE_HOST = (
    "namespaces", "map-identity", "private-mounts", "new-root", "proc", "devices", "pivot", "loopback-up", "seccomp",
    "landlock",
)  # fmt: skip

_WORDS = {
    "canary": "try what has to be impossible in the sandbox",
    "chdir": "enter the working directory",
    "devices": "make /dev",
    "drop": "drop capabilities",
    "internal": "run the init",
    "landlock": "restrict writes with Landlock",
    "launcher": "start the launcher",
    "loopback-up": "bring the loopback up",
    "map-identity": "map the user",
    "namespaces": "make the namespaces",
    "new-root": "make the new root",
    "pivot": "leave the host's root",
    "private-mounts": "cut the mounts off from the host's",
    "proc": "mount /proc",
    "refuse": "refuse further processes or programs",
    "scratch": "make the directory for temps",
    "seccomp": "filter system calls",
    "start-init": "start the init",
    "trace": "trace the command",
}


def step_of(stage: str) -> str:
    """Say what is done in a stage, as words that follow "cannot"; a stage that is unknown says its name."""
    return _WORDS.get(stage, f"go through the stage {stage!r}")
