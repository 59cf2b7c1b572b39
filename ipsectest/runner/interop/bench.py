"""The peers of an interop run in their namespaces: each twice, as initiator and as responder, each pair linked."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from itertools import product
from typing import Self

from ipsectest import __version__
from ipsectest.base.errors import UsageError
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace, add_veth
from ipsectest.net import tun
from ipsectest.peers import table
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.runner.interop.abilities import Abilities, abilities_of
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.echoes import echoes_in
from ipsectest.runner.interop.ends import BuiltinEnd, DaemonEnd, End
from ipsectest.runner.interop.places import INITIATOR, RESPONDER, inner_address, inner_prefixes, label_of, quieten
from ipsectest.runner.interop.play import Place, View
from ipsectest.runner.interop.settings import RETRANSMIT_TRIES, Ends
from ipsectest.runner.interop.stand import Stand

MOST_PEERS = 8
"""Each pair of them has a /30 of 192.0.2.0/24 for itself."""
_OUTER = IPv4Address("192.0.2.0"), IPv6Address("2001:db8:1::")


@dataclass(slots=True)
class _Seat:
    """A peer in one of its two roles."""

    namespace: Namespace
    end: End | None = None
    daemon: Daemon | None = None


@dataclass(slots=True)
class Bench(Stand):
    """A context manager that starts every peer and ends them all."""

    _seats: dict[tuple[str, int], _Seat] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """LabError or PeerError say what is missing."""
        if len(self.peers) > MOST_PEERS:
            raise UsageError(f"{len(self.peers)} peers are too many at once (at most {MOST_PEERS})")
        tun.require()  # a daemon that may not open it ends without a word
        with ExitStack() as stack:
            lab = stack.enter_context(Lab())
            for role, (number, peer) in product((INITIATOR, RESPONDER), enumerate(self.peers, 1)):
                self._seats[str(peer), role] = _Seat(self._namespace(lab, number, role))
            for first, second in product(range(len(self.peers)), repeat=2):
                self._join(first, second)
            for role, (number, peer) in product((INITIATOR, RESPONDER), enumerate(self.peers, 1)):
                self._occupy(lab, stack, peer, label_of(role, number), role)
            self._stack = stack.pop_all()
        return self

    def place(self, cell: Cell) -> Place:
        """Where a cell is played."""
        names = [str(peer) for peer in self.peers]
        first, second = names.index(cell.initiator), names.index(cell.responder)
        outer = list(self._outer(first, second)[cell.outer == 6])
        inner = [inner_address(role, 1 + number, cell.inner) for role, number in enumerate((first, second))]
        if cell.mode == "transport":
            inner = outer
        left, right = self.namespaces(cell)
        return Place((echoes_in(left), echoes_in(right)), View(left, f"to{second + 1}"), Ends(*outer, *inner))

    def namespaces(self, cell: Cell) -> tuple[Namespace, Namespace]:
        """Of initiator and responder."""
        return self._seats[cell.initiator, INITIATOR].namespace, self._seats[cell.responder, RESPONDER].namespace

    def ends(self, cell: Cell) -> tuple[End, End]:
        """Initiator and responder; a daemon that died before is started again."""
        ends = []
        for key in ((cell.initiator, INITIATOR), (cell.responder, RESPONDER)):
            seat = self._seats[key]
            if seat.end is None:
                raise UsageError(f"{key[0]} was not started")
            if seat.daemon and seat.daemon.crash():
                seat.daemon.stop()
                seat.daemon.start()
            ends.append(seat.end)
        return ends[0], ends[1]

    def _namespace(self, lab: Lab, number: int, role: int) -> Namespace:
        namespace = lab.namespace(label_of(role, number))
        quieten(namespace)
        namespace.add_addresses("lo", *inner_prefixes(role, number))
        return namespace

    def _join(self, first: int, second: int) -> None:
        names = [str(peer) for peer in self.peers]
        left, right = self._seats[names[first], INITIATOR], self._seats[names[second], RESPONDER]
        here, there = f"to{second + 1}", f"from{first + 1}"
        add_veth(left.namespace, here, right.namespace, there)
        (left_v4, right_v4), (left_v6, right_v6) = self._outer(first, second)
        left.namespace.add_addresses(here, f"{left_v4}/30", f"{left_v6}/64")
        right.namespace.add_addresses(there, f"{right_v4}/30", f"{right_v6}/64")

    def _outer(self, first: int, second: int) -> tuple[tuple[str, str], tuple[str, str]]:
        """The addresses of a link: IPv4 and IPv6, of initiator and responder each."""
        number = first * len(self.peers) + second
        v4, v6 = _OUTER[0] + 4 * number, _OUTER[1] + (number << 64)
        return (str(v4 + 1), str(v4 + 2)), (str(v6 + 1), str(v6 + 2))

    def _occupy(self, lab: Lab, stack: ExitStack, peer: PeerName, label: str, role: int) -> None:
        seat, side = self._seats[str(peer), role], self.sides[role]
        if peer.driver == table.BUILTIN:
            seat.end = BuiltinEnd(self.loop, seat.namespace.name, side.certificates, self.random)
            self.abilities[str(peer)] = Abilities(peer.driver, __version__)
            return
        host = NamespaceHost(lab, label, seat.namespace, table.root_of(peer))
        daemon = table.PEERS[peer.driver].driver(
            host, side.credentials, DaemonOptions(retransmit_tries=RETRANSMIT_TRIES, keys_in_log=True)
        )
        why = daemon.without_children or ("" if daemon.without_kernel else "its ESP is the kernel's")
        if not why:
            daemon.start()
            stack.callback(daemon.stop)
            seat.daemon = daemon
        self.abilities[str(peer)] = abilities_of(peer, daemon, without_children=why)
        if not why:
            seat.end = DaemonEnd(daemon)
