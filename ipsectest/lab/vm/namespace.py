"""A network namespace of the guest, which can be used where one of this machine's can."""

import shlex

from ipsectest.lab.vm import network
from ipsectest.lab.vm.machine import Machine


class GuestNamespace:
    """Made when this is made; it ends with the guest. The same verbs as `lab.namespaces.Namespace`."""

    def __init__(self, machine: Machine, name: str) -> None:
        self.machine = machine
        self.name = name
        network.namespace(machine, name)

    def take_card(self, number: int, link: str, mtu: int) -> None:
        """Let a network card of the guest be a link here, up."""
        network.batch(self.machine, f"link set eth{number} netns {self.name} name {link}")
        network.batch(self.machine, f"link set {link} mtu {mtu} up", self.name)

    def up(self, link: str) -> None:
        """Set a link up."""
        network.batch(self.machine, f"link set {link} up", self.name)

    def down(self, link: str) -> None:
        """Set a link down."""
        network.batch(self.machine, f"link set {link} down", self.name)

    def add_addresses(self, link: str, *interfaces: str) -> None:
        """Give a link addresses such as ``192.0.2.1/24``."""
        if interfaces:
            network.add_addresses(self.machine, self.name, link, interfaces)

    def add_route(self, destination: str, *, link: str = "", gateway: str = "", metric: int = 0) -> None:
        """Route a prefix over a link or a gateway."""
        words = [("via", gateway), ("dev", link), ("metric", metric)]
        how = " ".join(f"{name} {value}" for name, value in words if value)
        network.batch(self.machine, f"route replace {destination} {how}", self.name)

    def set_sysctl(self, key: str, value: str) -> None:
        """Set what stands below ``/proc/sys/net``."""
        write = f"echo {shlex.quote(value)} >/proc/sys/net/{key}"
        self.run(write)

    def run(self, command: str, timeout: float = 10.0) -> tuple[int, str]:
        """A line of shell in it: status and output."""
        inside = f"nsenter --net=/run/netns/{self.name} sh -c {shlex.quote(command)}"
        result = self.machine.run(f"exec {inside} 2>&1", timeout=timeout)
        return result.status, result.text
