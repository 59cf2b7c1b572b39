"""Network namespaces of the guest, by scripts of ip(8) that run there."""

from collections.abc import Iterable

from ipsectest.lab.vm.machine import Machine

WIRE = "wire"
"""Name of a network card inside its namespace."""


def namespace(machine: Machine, name: str, card: int | None = None, addresses: Iterable[str] = ()) -> None:
    """Make a namespace of the guest; a card moves into it as ``wire``, with addresses such as ``192.0.2.2/24``."""
    batch(machine, f"netns add {name}")
    lines = ["link set lo up"]
    if card is not None:
        batch(machine, f"link set eth{card} netns {name} name {WIRE}")
        lines += [f"link set {WIRE} up", *_addresses(WIRE, addresses)]
    batch(machine, "\n".join(lines), name)


def add_addresses(machine: Machine, name: str, link: str, addresses: Iterable[str]) -> None:
    """Give a link of a namespace addresses; IPv6 ones are usable at once (no DAD)."""
    batch(machine, "\n".join(_addresses(link, addresses)), name)


def batch(machine: Machine, lines: str, name: str = "") -> None:
    """Run the lines as commands of ip(8) in a namespace of the guest (empty: its first one), all by one process."""
    machine.run(f"ip {f'-n {name}' if name else ''} -batch - <<'END'\n{lines}\nEND", check=True)


def _addresses(link: str, addresses: Iterable[str]) -> list[str]:
    return [f"addr add {one} dev {link}{' nodad' if ':' in one else ''}" for one in addresses]


def without_neighbours(machine: Machine, name: str, link: str = WIRE) -> None:
    """Let a card send without ARP and neighbour discovery, for a wire of frames that has no kernel at our end."""
    batch(machine, f"link set {link} arp off", name)
