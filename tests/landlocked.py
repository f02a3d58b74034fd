"""Sandboxes without namespaces, whatever this host has."""

from __future__ import annotations

from bldr import HermeticExecutor, SandboxSpecBuilder
from bldr.model.environment import EnvSet
from bldr.sandbox.select import lower_backend_for

__all__ = ["BOUND", "builder", "executor_of", "say"]

BOUND = 60  # seconds


def builder() -> SandboxSpecBuilder:
    made = SandboxSpecBuilder.create().carve().with_toolchain("system").env_set(EnvSet.hermetic())
    return made.default_temp("/tmp")


def executor_of(made: SandboxSpecBuilder) -> HermeticExecutor:
    return HermeticExecutor(lower_backend_for(made.build()))


def say(executor: HermeticExecutor, script: str, *words: str, cwd: str = "/") -> str:
    result = executor.execute(["sh", "-c", script, "sh", *words], cwd, timeout=BOUND, stderr="stdout")
    return result.stdout.decode()
