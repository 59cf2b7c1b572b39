"""Peers of an interop run whose ESP and AH are a kernel's: in namespaces of the lab's virtual machine.

Every seat has a network card of its own, and all cards end in one bridge of ours: so that our own endpoint can be one
of the two, and that what goes over the wire is seen here. Responders stay up; an initiator, until another has its turn.
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Self

from ipsectest import __version__
from ipsectest.base.errors import UsageError
from ipsectest.lab.lab import Lab
from ipsectest.lab.namespaces import Namespace, add_bridge, add_veth
from ipsectest.lab.vm import network
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import Tap
from ipsectest.lab.vm.start import start
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.runner import guest as virtual
from ipsectest.runner.interop.abilities import Abilities, abilities_of
from ipsectest.runner.interop.cells import ESP, IKE, Cell
from ipsectest.runner.interop.echoes import echoes_in
from ipsectest.runner.interop.ends import BuiltinEnd, End
from ipsectest.runner.interop.guest_echoes import echoes_in_guest
from ipsectest.runner.interop.guest_seats import GuestSeat
from ipsectest.runner.interop.places import INITIATOR, RESPONDER, inner_address, inner_prefixes, label_of, quieten
from ipsectest.runner.interop.play import Pinger, Place, View
from ipsectest.runner.interop.settings import Ends, settings_of
from ipsectest.runner.interop.stand import Stand

_OUTER = ("192.0.2.{}", "2001:db8:0:2::{:x}")
_RESPONDERS_FROM = 100
_GUEST_QUIET = (
    "for conf in all wire; do echo 0 >/proc/sys/net/ipv4/conf/$conf/send_redirects; done; "
    "echo 0 >/proc/sys/net/ipv6/conf/wire/router_solicitations"
)
_BRIDGE = "bridge"
_GATEWAY_LINK = "wire"


@dataclass(frozen=True, slots=True)
class _Seat:
    """A peer in one of its two roles."""

    pinger: Pinger
    view: View
    builtin: BuiltinEnd | None = None
    guest: GuestSeat | None = None


@dataclass(frozen=True, slots=True)
class _Site:
    """Where the seats are built."""

    lab: Lab
    wire: Namespace
    machine: Machine
    taps: Sequence[str]


@dataclass(slots=True)
class GuestBench(Stand):
    """A context manager that ends everything; daemons start when a cell needs them."""

    _seats: dict[tuple[str, int], _Seat] = field(default_factory=dict)

    def __enter__(self) -> Self:
        """LabError or PeerError say what is missing."""
        with ExitStack() as stack:
            lab = stack.enter_context(Lab())
            wire = lab.namespace("wire")
            quieten(wire)
            daemons = [peer for peer in self.peers if peer.driver != table.BUILTIN]
            taps = [label_of(role, self._number(peer)) for peer in daemons for role in (INITIATOR, RESPONDER)]
            image = virtual.build(daemons)
            cards = tuple(Tap(tap) for tap in taps)
            machine = start(lab, virtual.cache_directory(), image, cards, namespace=wire)
            stack.callback(machine.stop)
            add_bridge(wire, _BRIDGE, *taps)
            site = _Site(lab, wire, machine, taps)
            for peer in self.peers:
                for role in (INITIATOR, RESPONDER):
                    self._seats[str(peer), role] = self._seat(site, peer, role)
                self._look(peer)
            stack.callback(self._stop_all)
            self._stack = stack.pop_all()
        return self

    def place(self, cell: Cell) -> Place:
        """Where a cell is played."""
        names = [str(peer) for peer in self.peers]
        numbers = [1 + names.index(name) for name in (cell.initiator, cell.responder)]
        outer = [_outer(number, role)[cell.outer == 6] for role, number in enumerate(numbers)]
        inner = [inner_address(role, number, cell.inner) for role, number in enumerate(numbers)]
        if cell.mode == "transport":
            inner = outer
        first, second = self._seats[cell.initiator, INITIATOR], self._seats[cell.responder, RESPONDER]
        return Place((first.pinger, second.pinger), first.view, Ends(*outer, *inner))

    def hosts(self, cell: Cell) -> tuple[Namespace | GuestSeat, Namespace | GuestSeat]:
        """Whose kernel sends the pings of initiator and responder: one of here, for our endpoint, or the guest's."""
        first, second = self._seats[cell.initiator, INITIATOR], self._seats[cell.responder, RESPONDER]
        return first.guest or first.view.namespace, second.guest or second.view.namespace

    def ends(self, cell: Cell) -> tuple[End, End]:
        """Initiator and responder, started if need be."""
        for (name, role), seat in self._seats.items():
            if role == INITIATOR and name != cell.initiator and seat.guest:
                seat.guest.stop()
        place = self.place(cell)
        responder = self._end(cell, (cell.responder, RESPONDER), place.ends)
        return self._end(cell, (cell.initiator, INITIATOR), place.ends), responder

    def _end(self, cell: Cell, key: tuple[str, int], ends: Ends) -> End:
        seat = self._seats[key]
        if seat.builtin:
            return seat.builtin
        if seat.guest is None:
            raise UsageError(f"{key[0]} has no place here")
        return seat.guest.end(settings_of(cell, ends, b"", initiator=key[1] == INITIATOR))

    def _number(self, peer: PeerName) -> int:
        return 1 + list(self.peers).index(peer)

    def _seat(self, site: _Site, peer: PeerName, role: int) -> _Seat:
        number = self._number(peer)
        label, inner = label_of(role, number), inner_prefixes(role, number)
        v4, v6 = _outer(number, role)
        outer = (f"{v4}/24", f"{v6}/64")
        if peer.driver == table.BUILTIN:
            namespace = site.lab.namespace(label)
            quieten(namespace)
            add_veth(namespace, _GATEWAY_LINK, site.wire, label)
            add_bridge(site.wire, _BRIDGE, label)
            namespace.add_addresses(_GATEWAY_LINK, *outer)
            namespace.add_addresses("lo", *inner)
            end = BuiltinEnd(self.loop, namespace.name, self.sides[role].certificates, self.random)
            return _Seat(echoes_in(namespace), View(namespace, _GATEWAY_LINK), end)
        machine = site.machine
        network.namespace(machine, label, site.taps.index(label), outer)
        network.add_addresses(machine, label, "lo", list(inner))
        # What goes to an inner address is caught by a policy; only a route lets it get that far.
        network.batch(machine, f"route add 0.0.0.0/0 dev {network.WIRE}\nroute add ::/0 dev {network.WIRE}", label)
        machine.run(f"nsenter --net=/run/netns/{label} sh -c '{_GUEST_QUIET}'", check=True)
        guest = GuestSeat(machine, label, peer, self.sides[role])
        return _Seat(echoes_in_guest(machine, label), View(site.wire, label, is_far=True), guest=guest)

    def _look(self, peer: PeerName) -> None:
        """Find out what a peer can do."""
        seat = self._seats[str(peer), RESPONDER]
        if seat.guest is None:
            self.abilities[str(peer)] = Abilities(peer.driver, __version__)
            return
        cell = Cell(str(peer), str(peer), IKE[0], ESP[0])
        daemon = seat.guest.start(settings_of(cell, self.place(cell).ends, b"", initiator=False))
        self.abilities[str(peer)] = abilities_of(peer, daemon, user_space_esp=False)

    def _stop_all(self) -> None:
        for seat in self._seats.values():
            if seat.guest:
                seat.guest.stop()


def _outer(number: int, role: int) -> tuple[str, str]:
    host = number + _RESPONDERS_FROM * role
    return _OUTER[0].format(host), _OUTER[1].format(host)
