"""Network namespaces of the guest, by scripts of ip(8) that run there."""

from collections.abc import Iterable

from ipsectest.lab.vm.machine import Machine

WIRE = "wire"
"""Name of a network card inside its namespace."""


def namespace(machine: Machine, name: str, card: int | None = None, addresses: Iterable[str] = ()) -> None:
    """Make a namespace of the guest; a card moves into it as ``wire``, with addresses such as ``192.0.2.2/24``."""
    lines = [f"netns add {name}", f"-n {name} link set lo up"]
    machine.run("\n".join(f"ip {line} || exit 1" for line in lines), check=True)
    if card is not None:
        batch(machine, f"link set eth{card} netns {name} name {WIRE}", "")
        batch(machine, f"link set {WIRE} up", name)
    add_addresses(machine, name, WIRE, addresses)


def add_addresses(machine: Machine, name: str, link: str, addresses: Iterable[str]) -> None:
    """Give a link of a namespace addresses; IPv6 ones are usable at once (no DAD)."""
    lines = (f"addr add {one} dev {link}{' nodad' if ':' in one else ''}" for one in addresses)
    batch(machine, "\n".join(lines), name)


def batch(machine: Machine, lines: str, name: str) -> None:
    """Run the lines as commands of ip(8) in a namespace of the guest (empty: its first one), all by one process."""
    if lines:
        machine.put("/run/lab-batch", f"{lines}\n".encode())
        machine.run(f"ip {f'-n {name}' if name else ''} -batch /run/lab-batch", check=True)


def without_neighbours(machine: Machine, name: str, link: str = WIRE) -> None:
    """Let a card send without ARP and neighbour discovery, for a wire of frames that has no kernel at our end."""
    batch(machine, f"link set {link} arp off", name)
