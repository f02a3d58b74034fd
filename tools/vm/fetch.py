"""Bring a kernel into the cache: download, unpack, prepare, and let it appear as a whole."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.vm import unpack
from tools.vm.apt import Apt
from tools.vm.kernels import Kernel, RefusalError

__all__ = ["INTERPRETER_LINK", "Fetcher", "is_ready", "packages_of"]

_READY = "ready-1"  # the number changes with what a prepared kernel consists of
_LIBRARIES = ("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6")
_UML_MODULES = ("overlay", "loop", "bfq", "squashfs", "tun")
_ROOT_MODULES = ("virtio_pci", "virtiofs")
_QEMU_MODULES = ("virtio_console", "overlay", "virtio_blk", "loop", "bfq")

# Short, because it takes the place of the path of a dynamic linker inside a program.
INTERPRETER_LINK = "/var/tmp/.{name}.ld"

# The kernel hands parameters that it does not know to the first process, before those that are meant for it.
_FIRST_SCRIPT = """#!/bin/busybox sh
{loads}/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t virtiofs -o ro rootfs /r
while [ "$1" != -I ]; do shift; done
exec /bin/busybox switch_root /r {interpreter} "$@"
"""


def is_ready(directory: Path) -> bool:
    """Whether a kernel is there as a whole."""
    return (directory / _READY).exists()


def packages_of(directory: Path) -> str:
    """Return the names of the packages, with their versions, that a kernel was made of."""
    return (directory / _READY).read_text(encoding="utf-8").strip()


class Fetcher:
    """Fetches kernels into a cache.

    Args:
        cache: Directory of all kernels.
        interpreter: The Python that guests start.
        say: Told what happens, in one line each.
    """

    def __init__(self, cache: Path, interpreter: str, say: Callable[[str], None]) -> None:
        self._cache = cache
        self._interpreter = interpreter
        self._say = say
        self._known: dict[tuple[str, ...], Apt] = {}

    def fetch(self, kernel: Kernel) -> None:
        """Make the kernel ready, unless it is. Two of these at the same time both do the work, and one result stays."""
        target = self._cache / kernel.name
        if is_ready(target):
            self._say(f"{kernel.name} is ready ({packages_of(target)})")
            return
        started = time.monotonic()
        self._cache.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{kernel.name}.", dir=self._cache))
        try:
            size = self._make(kernel, work)
            if target.exists() and not is_ready(target):
                shutil.rmtree(target)
            try:
                work.rename(target)
            except OSError:  # not empty: somebody else was faster
                if not is_ready(target):
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)
        self._say(f"{kernel.name}: {packages_of(target)}, {size / 1e6:.0f} MB in {time.monotonic() - started:.0f} s")

    def _make(self, kernel: Kernel, work: Path) -> int:
        work.chmod(0o755)
        debs, tree = work / "deb", work / "tree"
        debs.mkdir()
        apt = self._apt(kernel.suites)
        apt.download(self._packages(apt, kernel), debs)
        files = sorted(debs.iterdir())
        size = sum(file.stat().st_size for file in files)
        for file in files:
            _extract(file, tree)
        if kernel.kind == "uml":
            _prepare_uml(kernel, tree, work)
        else:
            self._prepare_qemu(apt, tree, work)
        shutil.rmtree(debs)
        shutil.rmtree(tree)
        names = " ".join("_".join(file.name.split("_")[:2]).replace("%3a", ":") for file in files)
        (work / _READY).write_text(names + "\n", encoding="utf-8")
        return size

    def _apt(self, suites: tuple[str, ...]) -> Apt:
        if suites not in self._known:
            apt = Apt(self._cache / ("apt-" + "+".join(suites)), suites)
            apt.update()
            self._known[suites] = apt
        return self._known[suites]

    @staticmethod
    def _packages(apt: Apt, kernel: Kernel) -> list[str]:
        libc = [f"libc6/{kernel.libc_suite}"] if kernel.libc_suite else []
        if kernel.kind == "uml":
            return [*(f"{name}/{kernel.suite}" for name in kernel.packages), *libc] if libc else list(kernel.packages)
        return [image for name in kernel.packages for image in apt.kernel_packages(name, kernel.suite)]

    def _prepare_qemu(self, apt: Apt, tree: Path, work: Path) -> None:
        images = [*tree.glob("boot/vmlinuz-*"), *tree.glob("usr/lib/modules/*/vmlinuz")]
        if not images:
            raise RefusalError("the kernel packages hold no image")
        shutil.copy(images[0], work / "vmlinuz")
        if not unpack.write_image(work / "vmlinuz", work / "vmlinux"):
            self._say("the kernel could not be unpacked and will start slower; install the packages zstd and lz4")
        built_in = {
            unpack.module_name(line)
            for listing in tree.rglob("modules.builtin")
            for line in listing.read_text(encoding="utf-8").splitlines()
        }
        files = unpack.module_files(tree)
        early = unpack.copy_modules(files, [name for name in _ROOT_MODULES if name not in built_in], work / "early")
        late = unpack.copy_modules(files, [name for name in _QEMU_MODULES if name not in built_in], work / "modules")
        _list_modules(work, [name for name in late if name not in early])
        if early:
            apt.download(["busybox-static"], work / "deb")
            _extract(next((work / "deb").glob("busybox-static*.deb")), tree)
            self._write_ramdisk(early, (tree / "bin/busybox").read_bytes(), work)

    def _write_ramdisk(self, early: list[str], busybox: bytes, work: Path) -> None:
        """A kernel with modular virtio needs somebody who loads that before there is a root."""
        loads = "".join(f"/bin/busybox insmod /m/{name}\n" for name in early)
        script = _FIRST_SCRIPT.format(loads=loads, interpreter=self._interpreter)
        files: list[tuple[str, bytes | None]] = [(name, None) for name in ("dev", "r", "m", "bin")]
        files += [("bin/busybox", busybox), ("init", script.encode())]
        files += [(f"m/{name}", (work / "early" / name).read_bytes()) for name in early]
        (work / "initrd").write_bytes(unpack.archive_of(files))


def _prepare_uml(kernel: Kernel, tree: Path, work: Path) -> None:
    program = (tree / "usr/bin/linux.uml").read_bytes()
    if kernel.libc_suite:
        (work / "lib").mkdir()
        for name in _LIBRARIES:
            shutil.copy(tree / "usr/lib/x86_64-linux-gnu" / name, work / "lib" / name)
        program = unpack.with_interpreter(program, INTERPRETER_LINK.format(name=kernel.name))
    (work / "linux.uml").write_bytes(program)
    (work / "linux.uml").chmod(0o755)
    _list_modules(work, unpack.copy_modules(unpack.module_files(tree), _UML_MODULES, work / "modules"))


def _list_modules(work: Path, names: list[str]) -> None:
    (work / "modules.json").write_text(json.dumps(names), encoding="utf-8")


def _extract(package: Path, into: Path) -> None:
    done = subprocess.run(["dpkg", "-x", str(package), str(into)], check=False, capture_output=True, text=True)
    if done.returncode:
        name = re.sub("_.*", "", package.name)
        raise RefusalError(f"the package {name} cannot be unpacked: {done.stderr.strip() or 'dpkg failed'}")
