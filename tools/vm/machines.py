"""The command lines of user-mode Linux, QEMU and virtiofsd. Pure: nothing here touches the machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Machine", "Streams", "qemu_command", "uml_command", "virtiofsd_command"]

# Quick to boot, quiet, and with PSI, which Debian leaves off. `panic=-1` with QEMU's -no-reboot ends the guest.
_QEMU_PARAMETERS = (
    "console=ttyS0",
    "quiet",
    "loglevel=4",
    "panic=-1",
    "mitigations=off",
    "audit=0",
    "psi=1",
    "random.trust_cpu=on",
    "cryptomgr.notests",
    "8250.nr_uarts=1",
    "no_timer_check",
    "tsc=reliable",
    "rcupdate.rcu_expedited=1",
    "nowatchdog",
    "hpet=disable",
    "pci=lastbus=0",
)
_NEVER_SMM = "vmport=off,smm=off,hpet=off,usb=off,sata=off,graphics=off"


@dataclass(frozen=True)
class Machine:
    """A kernel, and what it is started with.

    Args:
        kernel: Directory of a kernel that is ready.
        run: Directory of this run, where the first process finds its orders.
        interpreter: The Python that the guest starts first.
        memory: MiB.
        cpus: How many; user-mode Linux has always one.
        disk: Whether ``run`` holds the image of a disk.
        compressed: Whether the kernel could not be unpacked.
        ramdisk: Whether the kernel needs its initial ramdisk.
        parameters: More parameters of the kernel.
    """

    kernel: Path
    run: Path
    interpreter: str
    memory: int
    cpus: int = 2
    disk: bool = False
    compressed: bool = False
    ramdisk: bool = False
    parameters: tuple[str, ...] = ()

    @property
    def first_arguments(self) -> list[str]:
        """What the guest's Python is given."""
        return ["-I", "-S", f"{self.run}/start", str(self.run)]


@dataclass(frozen=True)
class Streams:
    """Descriptors, of the host, of what comes out of the guest."""

    out: int
    err: int
    status: int
    console: int

    def all(self) -> tuple[int, ...]:
        """Return what a machine has to inherit."""
        return (self.out, self.err, self.status, self.console)


def uml_command(machine: Machine, streams: Streams) -> list[str]:
    """Three consoles carry what the command says and a line of status; what the kernel says goes to a serial line."""
    return [
        f"{machine.kernel}/linux.uml",
        f"mem={machine.memory}M",
        "root=/dev/root",
        "rootfstype=hostfs",
        "rootflags=/",
        "ro",
        "quiet",
        "loglevel=4",
        "con=null",
        "ssl=null",
        f"con0=null,fd:{streams.out}",
        f"con1=null,fd:{streams.err}",
        f"con2=null,fd:{streams.status}",
        f"ssl0=null,fd:{streams.console}",
        "console=ttyS0",
        "umid=vm",
        f"uml_dir={machine.run}/",
        f"init={machine.interpreter}",
        *([f"ubd0={machine.run}/disk.img"] if machine.disk else []),
        *machine.parameters,
        "--",
        *machine.first_arguments,
    ]


def qemu_command(machine: Machine, streams: Streams) -> list[str]:
    """Three ports of a virtual serial device instead of consoles; the root is shared by virtiofs, which wants memfd."""
    parameters = list(_QEMU_PARAMETERS)
    if not machine.ramdisk:
        parameters += ["rootfstype=virtiofs", "root=rootfs", "ro", f"init={machine.interpreter}"]
    parameters += [*machine.parameters, "--", *machine.first_arguments]
    ports = (("out", streams.out), ("err", streams.err), ("status", streams.status))
    return [
        "qemu-system-x86_64",
        *("-machine", f"q35,memory-backend=mem,{_NEVER_SMM}"),
        *("-accel", "tcg,thread=multi,tb-size=256"),
        *("-cpu", "Nehalem"),
        *("-smp", str(machine.cpus)),
        *("-m", f"{machine.memory}M"),
        *("-object", f"memory-backend-memfd,id=mem,size={machine.memory}M,share=on"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-net", "none"),
        *("-kernel", f"{machine.kernel}/{'vmlinuz' if machine.compressed else 'vmlinux'}"),
        *(("-initrd", f"{machine.kernel}/initrd") if machine.ramdisk else ()),
        *("-chardev", f"socket,id=vfs,path={machine.run}/vfs"),
        *("-device", "vhost-user-fs-pci,chardev=vfs,tag=rootfs"),
        *("-chardev", f"file,id=con,path=/dev/fd/{streams.console},append=on"),
        *("-serial", "chardev:con"),
        *("-device", "virtio-serial-pci"),
        *(word for name, fd in ports for word in _port(name, fd)),
        *(_disk(machine) if machine.disk else ()),
        *("-append", " ".join(parameters)),
    ]


def _port(name: str, fd: int) -> Sequence[str]:
    return (
        *("-chardev", f"file,id={name},path=/dev/fd/{fd},append=on"),
        *("-device", f"virtserialport,chardev={name},name={name}"),
    )


def _disk(machine: Machine) -> Sequence[str]:
    return (
        *("-drive", f"if=none,id=d0,format=raw,cache=unsafe,file={machine.run}/disk.img"),
        *("-device", "virtio-blk-pci,drive=d0"),
    )


def virtiofsd_command(program: str, socket: int) -> list[str]:
    """The program of QEMU's own package is in C and takes other options than its successor in Rust."""
    if "/qemu/" in program:
        options = ["source=/", "cache=auto", "sandbox=chroot", "no_posix_lock", "log_level=err"]
        return [program, f"--fd={socket}", *(word for option in options for word in ("-o", option)), "-f"]
    return [program, f"--fd={socket}", "--shared-dir=/", "--cache=auto", "--sandbox=none", "--log-level=error"]
