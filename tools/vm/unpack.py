"""What is made of the files of a kernel package: modules in their order, an unpacked image, an initial ramdisk."""

from __future__ import annotations

import lzma
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

__all__ = ["archive_of", "copy_modules", "load_order", "module_files", "module_name", "with_interpreter", "write_image"]

# A bzImage holds the kernel in one of these; it starts somewhere behind the 16-bit set-up code.
_COMPRESSIONS = ((b"\xfd7zXZ\0", ""), (b"\x28\xb5\x2f\xfd", "zstd"), (b"\x02\x21\x4c\x18", "lz4"))
_SETUP_CODE = 0x4000
_ELF = b"\x7fELF"


def module_name(file: str) -> str:
    """``virtio-blk.ko.xz`` and ``virtio_blk.ko`` are one module, ``virtio_blk``."""
    return file.rpartition("/")[2].partition(".ko")[0].replace("-", "_")


def module_files(tree: Path) -> dict[str, Path]:
    """Return the modules below a directory by name."""
    return {module_name(path.name): path for path in (*tree.rglob("*.ko"), *tree.rglob("*.ko.xz"))}


def load_order(wanted: Sequence[str], dependencies: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the wanted modules that exist, each behind those that it depends on."""
    order: list[str] = []

    def add(name: str) -> None:
        if name in order or name not in dependencies:
            return
        for other in dependencies[name]:
            add(other)
        order.append(name)

    for name in wanted:
        add(name)
    return order


def copy_modules(files: Mapping[str, Path], wanted: Sequence[str], into: Path) -> list[str]:
    """Copy modules and what they depend on, uncompressed, and return their file names in the order of loading."""
    into.mkdir(exist_ok=True)
    contents: dict[str, bytes] = {}
    dependencies: dict[str, list[str]] = {}
    queue = list(wanted)
    while queue:
        name = queue.pop()
        if name in contents or name not in files:
            continue
        packed = files[name].read_bytes()
        contents[name] = lzma.decompress(packed) if files[name].suffix == ".xz" else packed
        dependencies[name] = _dependencies(contents[name])
        queue.extend(dependencies[name])
    order = load_order(wanted, dependencies)
    for name in order:
        (into / f"{name}.ko").write_bytes(contents[name])
    return [f"{name}.ko" for name in order]


def _dependencies(module: bytes) -> list[str]:
    found = re.search(rb"\0depends=([^\0]*)\0", module)
    return [name.replace("-", "_") for name in found[1].decode().split(",") if name] if found else []


def write_image(packed: Path, unpacked: Path) -> bool:
    """Unpack a bzImage to the ELF file inside, which QEMU starts without emulating the decompression (1.5 to 3 s)."""
    image = packed.read_bytes()
    for magic, program in _COMPRESSIONS:
        start = image.find(magic, _SETUP_CODE)
        if start < 0:
            continue
        try:
            if program:
                kernel = subprocess.run([program, "-dc"], check=False, input=image[start:], capture_output=True).stdout
            else:
                kernel = lzma.LZMADecompressor().decompress(image[start:])
        except (OSError, lzma.LZMAError):
            continue
        if kernel.startswith(_ELF):
            unpacked.write_bytes(kernel)
            return True
    return False


def with_interpreter(program: bytes, interpreter: str) -> bytes:
    """Return an ELF program that another dynamic linker loads; its path has to fit in the place of the old one."""
    old = b"/lib64/ld-linux-x86-64.so.2\0"
    new = interpreter.encode() + b"\0"
    if len(new) > len(old) or program.count(old) != 1:
        raise ValueError(f"{interpreter} cannot take the place of {old[:-1].decode()}")
    return program.replace(old, new.ljust(len(old), b"\0"))


def archive_of(files: Iterable[tuple[str, bytes | None]]) -> bytes:
    """Return a cpio archive ("newc") for an initial ramdisk; a file without content is a directory."""
    parts = []
    for number, (name, content) in enumerate([*files, ("TRAILER!!!", b"")], start=1):
        data = content or b""
        path = name.encode() + b"\0"
        fields = (number, 0o40755 if content is None else 0o100755, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        parts += [_padded(header), _padded(data)]
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
