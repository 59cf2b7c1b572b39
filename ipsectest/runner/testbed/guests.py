"""Nodes of a testbed that stand in the lab's virtual machine, because their daemon needs the ESP of a kernel."""

from collections.abc import Callable

from ipsectest.base.errors import LabError
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace, add_bridge
from ipsectest.lab.topology.model import Topology
from ipsectest.lab.vm.namespace import GuestNamespace
from ipsectest.lab.vm.qemu import Tap
from ipsectest.lab.vm.start import start
from ipsectest.peers.names import PeerName
from ipsectest.runner import guest
from ipsectest.runner.testbed.running import Guest

_CARDS = 6
"""At least: a snapshot fits one number of cards only."""
_MOST_MTU = 1500


class GuestNode(GuestNamespace):
    """A node (``topology.Elsewhere``): each of its devices is a network card, bridged with an end of a link here."""

    def __init__(self, site: "GuestSite", name: str) -> None:
        super().__init__(site.machine, name)
        self._site = site
        self._cards: dict[str, int] = {}

    def socket(self, device: str) -> tuple[Namespace, str]:
        """The link here behind which the card is."""
        if device not in self._cards:
            self._cards[device] = self._site.next_card()
        return self._site.namespace, f"link{self._cards[device]}"

    def plug(self, device: str, mtu: int) -> None:
        """Bridge link and card, and let the card be the device."""
        if mtu > _MOST_MTU:
            raise LabError(f"a link of the virtual machine has an MTU of {_MOST_MTU} at most, not {mtu}")
        number = self._cards[device]
        add_bridge(self._site.namespace, f"bridge{number}", f"link{number}", f"card{number}")
        self.take_card(number, device, mtu)


class GuestSite:
    """One guest with all nodes that stand in it; ends with the lab."""

    def __init__(self, lab: Lab, topology: Topology, peers: dict[str, PeerName], say: Callable[[str], None]) -> None:
        ends = sum(len(topology.ends_of(node)) for node in peers)
        self.namespace = lab.namespace("guest")
        cards = tuple(Tap(f"card{number}") for number in range(max(_CARDS, ends)))
        image = guest.build(list(dict.fromkeys(peers.values())), say)
        self.machine = start(lab, guest.cache_directory(), image, cards, namespace=self.namespace)
        self.way = Guest(str(self.machine.terminal), str(self.machine.offer()), str(self.machine.offer()))
        """For other processes."""
        self._used = 0
        self.nodes = {name: GuestNode(self, name) for name in peers}

    def next_card(self) -> int:
        """A card that nobody has yet."""
        self._used += 1
        return self._used - 1

    def close(self) -> None:
        """End the guest."""
        self.machine.stop()
