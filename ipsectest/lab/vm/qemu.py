"""QEMU's command line for a guest: a plain function of what the guest is to have."""

from dataclasses import dataclass
from pathlib import Path

PROGRAM = "/usr/bin/qemu-system-x86_64"
CHANNELS = 14
"""Command channels of a guest; each serves one command, daemon or relayed socket at a time.

Not more: a booting guest loses notices when QEMU has to announce too many ports at once.
"""
_BOOT = (
    "console=ttyS0 quiet panic=-1 tsc=reliable mitigations=off cryptomgr.notests no_timer_check lpj=4000000 apparmor=0 "
    "random.trust_cpu=on nokaslr rcupdate.rcu_expedited=1 audit=0 net.ifnames=0"
)


@dataclass(frozen=True, slots=True)
class Tap:
    """A network card on a TAP device, made by QEMU in the namespace it runs in."""

    link: str


@dataclass(frozen=True, slots=True)
class Datagrams:
    """A network card whose Ethernet frames are unix datagrams: no privilege and no kernel on our side.

    Frames for the guest are sent to ``guest``; the guest's arrive at ``ours``.
    """

    ours: Path
    guest: Path


Card = Tap | Datagrams


@dataclass(frozen=True, slots=True)
class Hardware:
    """What makes two guests the same machine, so that a snapshot of one fits the other."""

    accelerator: str
    """``kvm`` or ``tcg``."""
    memory: int
    """MiB."""
    cards: int


def command(
    hardware: Hardware, cards: tuple[Card, ...], *, kernel: Path, initrd: Path, directory: Path, share: Path
) -> list[str]:
    """The command; sockets, console log and memory stand in ``directory``, ``share`` is shown as a 9p file system."""
    cpu = "host" if hardware.accelerator == "kvm" else "max"
    line = [PROGRAM, "-machine", "q35", "-accel", hardware.accelerator, "-cpu", cpu, "-smp", "1"]
    line += ["-m", f"{hardware.memory}M", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    line += ["-serial", f"file:{directory}/console.log", "-kernel", str(kernel), "-initrd", str(initrd)]
    line += ["-append", _BOOT, "-qmp", f"unix:{directory}/qmp,server=on,wait=off"]
    line += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=tty,path={directory}/tty,server=on,wait=off"]
    line += ["-device", "virtconsole,chardev=tty,nr=0"]
    for number in range(1, CHANNELS + 1):
        line += ["-chardev", f"socket,id=c{number},path={directory}/c{number},server=on,wait=off"]
        line += ["-device", f"virtserialport,chardev=c{number},nr={number}"]
    line += ["-fsdev", f"local,id=share,path={share},security_model=mapped-file"]
    line += ["-device", "virtio-9p-pci,fsdev=share,mount_tag=lab", "-device", "vmgenid,guid=auto"]
    for number, card in enumerate(cards):
        line += ["-netdev", _backend(number, card)]
        line += ["-device", f"virtio-net-pci,netdev=n{number},romfile=,mac={mac(number)}"]
    return line


def mac(number: int) -> str:
    """The hardware address of a card."""
    return f"02:00:00:00:00:{number + 1:02x}"


def _backend(number: int, card: Card) -> str:
    match card:
        case Tap(link):
            return f"tap,id=n{number},ifname={link},script=no,downscript=no"
        case Datagrams(ours, guest):
            ends = f"local.type=unix,local.path={guest},remote.type=unix,remote.path={ours}"
            return f"dgram,id=n{number},{ends}"
