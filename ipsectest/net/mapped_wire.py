"""A wire whose ports have other numbers outside: for those who speak of 500 and 4500, wherever the sockets are."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.wire import IcmpError, Wire
from ipsectest.wire.ip import UDP


class MappedWire:
    """``ours`` and ``theirs``: addresses as callers know them -> addresses on the wire. Other hosts do not exist.

    Only UDP has ports. A port of a peer that is not listed keeps its number: a NAT may have chosen it.
    """

    def __init__(self, wire: Wire, ours: Mapping[Address, Address], theirs: Mapping[Address, Address]) -> None:
        self._wire = wire
        self.icmp_errors: deque[IcmpError] = wire.icmp_errors
        self._ours, self._theirs = dict(ours), dict(theirs)
        self._known = {outer: inner for side in (ours, theirs) for inner, outer in side.items()}
        self._hosts = {address.host for address in theirs.values()}

    def handles(self) -> Sequence[int]:
        """Those of the wire."""
        return self._wire.handles()

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        """What came from the peers; others may send to our sockets too."""
        return [
            self._inward(datagram)
            for datagram in self._wire.receive(handle, now)
            if datagram.source.host in self._hosts
        ]

    def send(self, datagram: Datagram, now: Instant) -> bool:
        """Send it by the ports that are meant; False if the peer is none of ours or the machine did not take it."""
        if datagram.protocol != UDP:
            return datagram.destination.host in self._hosts and self._wire.send(datagram, now)
        source = self._ours.get(datagram.source)
        destination = self._theirs.get(datagram.destination, datagram.destination)
        if source is None or destination.host not in self._hosts:
            return False
        return self._wire.send(replace(datagram, source=source, destination=destination), now)

    def close(self) -> None:
        """Close the wire."""
        self._wire.close()

    def _inward(self, datagram: Datagram) -> Datagram:
        if datagram.protocol != UDP:
            return datagram
        return replace(
            datagram,
            source=self._known.get(datagram.source, datagram.source),
            destination=self._known.get(datagram.destination, datagram.destination),
        )
