"""Read and write the files that the kernel makes up (/proc, cgroups): one system call for each value.

A Python file object would cost as much as the read itself, and loses the error of a write that the kernel refuses: it
comes at the close.
"""

from __future__ import annotations

import os

__all__ = ["read", "write"]

_LARGEST = 65536  # bytes


def read(path: str, size: int = _LARGEST) -> bytes:
    """Read the beginning of a file.

    Args:
        path: The file.
        size: Bytes that are read at most.

    Raises:
        OSError: It is not there, or the kernel refuses.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, size)
    finally:
        os.close(fd)


def write(path: str, value: bytes) -> None:
    """Write one value.

    Raises:
        OSError: It is not there, or the kernel refuses the value.
    """
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value)
    finally:
        os.close(fd)
