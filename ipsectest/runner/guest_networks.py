"""Daemons of a run in the lab's virtual machine: each in a namespace of the guest, with its own card and wire."""

import shlex

from ipsectest.lab import topology
from ipsectest.lab.lab import Lab
from ipsectest.lab.vm import network
from ipsectest.lab.vm.host import VmHost
from ipsectest.lab.vm.qemu import Datagrams, mac
from ipsectest.lab.vm.start import start
from ipsectest.net.frame_device import FrameDevice
from ipsectest.net.packet_wire import PacketWire
from ipsectest.peers.names import PeerName
from ipsectest.runner import guest
from ipsectest.runner.slots import SLOTS

CARDS = 6
"""As many daemons can run at once: one for each set of daemon options. A snapshot fits one number of cards only."""

_GATEWAY = (
    "for family in 4 6; do echo 1 >/proc/sys/net/ipv$family/conf/all/forwarding; done; "
    "for conf in all wire; do echo 0 >/proc/sys/net/ipv4/conf/$conf/send_redirects; done; "
    "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit"
)
"""What makes the peer a gateway to a network that lies behind its only card, and lets each error be seen."""


class GuestNetworks:
    """One guest with the tree of one peer."""

    def __init__(self, lab: Lab, name: PeerName) -> None:
        self._name = name
        directory = lab.directory("cards")
        self._cards = tuple(Datagrams(directory / f"o{n}", directory / f"g{n}") for n in range(CARDS))
        self._machine = start(lab, guest.cache_directory(), guest.build([name]), self._cards)
        self._devices = [
            FrameDevice(card.ours, card.guest, bytes.fromhex(mac(n).replace(":", "")))
            for n, card in enumerate(self._cards)
        ]

    def place(self, number: int) -> tuple[VmHost, PacketWire]:
        """The host of daemon ``number`` (from 0), and the wire to it; both addresses of each slot answer there."""
        label = f"peer{number}"
        outer = (f"{topology.PEER}/24", f"{topology.PEER_V6}/64")
        network.namespace(self._machine, label, number, outer)
        network.without_neighbours(self._machine, label)
        inner = [topology.peer_inner(slot) for slot in SLOTS]
        network.add_addresses(self._machine, label, "lo", [f"{v4}/32" for v4, _ in inner])
        network.add_addresses(self._machine, label, "lo", [f"{v6}/128" for _, v6 in inner])
        # What goes to a tester's inner address is caught by a policy; only a route lets it get that far.
        network.batch(
            self._machine, f"route add 0.0.0.0/0 dev {network.WIRE}\nroute add ::/0 dev {network.WIRE}", label
        )
        self._machine.run(f"nsenter --net=/run/netns/{label} sh -c {shlex.quote(_GATEWAY)}", check=True)
        host = VmHost(self._machine, label, label, str(self._name))
        return host, PacketWire(None, (), device=self._devices[number], clear=True)

    def close(self) -> None:
        """End the guest."""
        for device in self._devices:
            device.close()
        self._machine.stop()
