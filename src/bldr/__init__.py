"""Run any build or test command hermetically: it sees what was declared and nothing else."""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
