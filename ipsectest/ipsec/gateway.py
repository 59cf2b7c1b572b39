"""The IPsec boundary of a host or gateway: SPD and SADs around the packet functions (RFC 4301 section 5)."""

from collections import Counter
from collections.abc import Callable, Iterable

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NAT_KEEPALIVE, ProtocolId
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import NOTHING_FORCED, Forced, open_esp, seal_esp
from ipsectest.ipsec.packets import (
    Encapsulated,
    Unprotected,
    classify_udp,
    inner_of,
    protect,
    seal_tunnelled,
    unprotect,
)
from ipsectest.ipsec.sa import Mode, SecurityAssociation, SequenceExhaustedError
from ipsectest.ipsec.spd import Action, Flow, PolicyEntry, admits, lookup
from ipsectest.ipsec.transport import split
from ipsectest.wire.datagrams import packet_of
from ipsectest.wire.ip import AH, ESP, UDP, parse_ip


def seal_datagram(
    sa: SecurityAssociation, packet: bytes, random: RandomBytes, forced: Forced = NOTHING_FORCED
) -> Datagram:
    """An IP packet as the datagram to send: UDP where the SA is encapsulated, else protocol 50 or 51.

    In transport mode whoever sends the datagram makes its header anew. Raises what ``packets.protect`` raises.
    """
    if sa.protocol == ProtocolId.AH:
        packet = protect(sa, packet, random, forced)
        return Datagram(packet, Address(sa.source), Address(sa.destination), AH)
    source_port, destination_port = sa.udp_ports or (0, 0)
    if sa.mode is Mode.TRANSPORT:
        ip = split(packet)
        data = seal_esp(sa, ip.payload, ip.protocol, random, forced)
    else:
        data = seal_tunnelled(sa, packet, random, forced)
    return Datagram(
        data,
        Address(sa.source, source_port),
        Address(sa.destination, destination_port),
        UDP if sa.udp_ports else ESP,
    )


def open_datagram(sa: SecurityAssociation, datagram: Datagram) -> Unprotected | Drop:
    """The packet in a datagram of protocol 50 or 51, or 17 with UDP-encapsulated ESP."""
    if sa.protocol == ProtocolId.AH:
        return unprotect(sa, datagram.data) if datagram.protocol == AH else sa.drop(DropReason.NOT_IPSEC)
    reason = _not_esp(datagram)
    if reason:
        return sa.drop(reason)
    if sa.mode is Mode.TRANSPORT:
        return unprotect(sa, packet_of(datagram))
    opened = open_esp(sa, datagram.data)
    return opened if isinstance(opened, Drop) else inner_of(sa, opened)


_MOST_FLOWS = 4096
"""So many flows keep the SA that was found for them; then all are looked up anew."""


class Gateway:
    """SAs and the policy that leads packets into them; sans-IO.

    Without policy entries the selectors of the SAs are the policy: what fits none of them is discarded.
    ``on_move`` is told the old and the new address of a peer whose ESP shows that its NAT has changed its mapping.
    """

    def __init__(
        self, policies: Iterable[PolicyEntry] = (), on_move: Callable[[Address, Address], None] | None = None
    ) -> None:
        self.policies = list(policies)
        self._on_move = on_move
        self.drops: Counter[DropReason] = Counter()
        """Drops that concern no SA; those of an SA are counted there."""
        self._outbound: dict[tuple[str, bytes], SecurityAssociation] = {}  # two peers may choose one SPI
        self._inbound: dict[bytes, SecurityAssociation] = {}
        self._flows: dict[Flow, SecurityAssociation | None] = {}  # a cache as in RFC 4301 section 4.4.1

    def add(self, *, outbound: SecurityAssociation | None = None, inbound: SecurityAssociation | None = None) -> None:
        """Take SAs into use; of several that fit a packet the newest carries it (RFC 7296 section 2.8)."""
        if outbound:
            self._outbound[outbound.destination, outbound.spi] = outbound
            self._flows.clear()
        if inbound:
            self._inbound[inbound.spi] = inbound

    def remove(
        self, *, outbound: SecurityAssociation | None = None, inbound: SecurityAssociation | None = None
    ) -> None:
        """Forget SAs; one that is not in use is no error."""
        if outbound:
            self._outbound.pop((outbound.destination, outbound.spi), None)
            self._flows.clear()
        if inbound:
            self._inbound.pop(inbound.spi, None)

    def move(self, old: Address, new: Address) -> None:
        """The peer's end of UDP-encapsulated SAs is at another address or port now (RFC 7296 section 2.23)."""
        for sa in self._outbound.values():
            if sa.udp_ports and Address(sa.destination, sa.udp_ports[1]) == old:
                sa.destination, sa.udp_ports = new.host, (sa.udp_ports[0], new.port)
        self._outbound = {(sa.destination, sa.spi): sa for sa in self._outbound.values()}
        for sa in self._inbound.values():
            if sa.udp_ports and Address(sa.source, sa.udp_ports[0]) == old:
                sa.source, sa.udp_ports = new.host, (new.port, sa.udp_ports[1])
        self._flows.clear()

    def tunnels(self) -> list[SecurityAssociation]:
        """The outbound SAs, oldest first."""
        return list(self._outbound.values())

    def outbound(self, packet: bytes, random: RandomBytes) -> Datagram | bytes | Drop:
        """What becomes of a packet that wants to leave: protected, passed as it is (bytes), or dropped."""
        ip = parse_ip(packet)
        if ip is None:
            return self._drop(DropReason.NOT_IP)
        flow = Flow.of(ip, inbound=False)
        action = self._action(flow)
        if action is Action.BYPASS:
            return packet
        if action is Action.DISCARD:
            return self._drop(DropReason.POLICY_DISCARD)
        sa = self._sa_for(flow)
        if sa is None:
            return self._drop(DropReason.NO_SA)
        return _seal(sa, packet, random)

    def inbound(self, datagram: Datagram) -> Unprotected | Drop:
        """What a datagram from outside carries, or why it is not let in. Never raises."""
        if datagram.protocol == AH:
            ip = parse_ip(datagram.data)
            spi = ip.payload[4:8] if ip else b""
        elif reason := _not_esp(datagram):
            return self._drop(reason)
        else:
            spi = datagram.data[:4]
        sa = self._inbound.get(spi)  # by SPI alone (RFC 4303 section 2.1)
        if sa is None:
            return self._drop(DropReason.UNKNOWN_SPI, spi)
        opened = open_datagram(sa, datagram)
        if sa.may_move and _is_genuine(sa, opened):
            self._follow(sa, opened.sequence, datagram.source)
        return opened

    def seal(self, packet: bytes, random: RandomBytes) -> Datagram | None:
        """``outbound`` for a data plane that carries protected packets only; all else is dropped and counted."""
        result = self.outbound(packet, random)
        return result if isinstance(result, Datagram) else None

    def open(self, datagram: Datagram) -> bytes | None:
        """``inbound`` for a data plane: the inner packet, or None where it was dropped and counted."""
        result = self.inbound(datagram)
        return result.inner if isinstance(result, Unprotected) else None

    def inbound_clear(self, packet: bytes) -> bytes | Drop:
        """A packet that came without IPsec: passes only where policy says BYPASS (RFC 4301 section 5.2)."""
        ip = parse_ip(packet)
        if ip is None:
            return self._drop(DropReason.NOT_IP)
        action = self._action(Flow.of(ip, inbound=True))
        if action is Action.BYPASS:
            return packet
        return self._drop(DropReason.UNPROTECTED if action is Action.PROTECT else DropReason.POLICY_DISCARD)

    def keepalives(self) -> list[Datagram]:
        """One NAT keepalive for each pair of addresses with UDP-encapsulated SAs (RFC 3948 section 4)."""
        pairs = {
            (Address(sa.source, sa.udp_ports[0]), Address(sa.destination, sa.udp_ports[1]))
            for sa in self._outbound.values()
            if sa.udp_ports
        }
        return [Datagram(NAT_KEEPALIVE, source, destination) for source, destination in sorted(pairs)]

    def _follow(self, sa: SecurityAssociation, sequence: int | None, source: Address) -> None:
        """Answer to where the newest genuine packet came from; late ones must not lead back to an old mapping."""
        known = Address(sa.source, sa.udp_ports[0]) if sa.udp_ports else source
        if source != known and sequence == sa.replay.highest:
            self.move(known, source)
            if self._on_move:
                self._on_move(known, source)

    def _sa_for(self, flow: Flow) -> SecurityAssociation | None:
        if flow in self._flows:
            return self._flows[flow]
        sa = next((sa for sa in reversed(self._outbound.values()) if admits(sa.selectors, flow)), None)
        if len(self._flows) >= _MOST_FLOWS:
            self._flows.clear()
        self._flows[flow] = sa
        return sa

    def _action(self, flow: Flow) -> Action:
        if not self.policies:
            return Action.PROTECT
        entry = lookup(self.policies, flow)
        return entry.action if entry else Action.DISCARD

    def _drop(self, reason: DropReason, spi: bytes = b"") -> Drop:
        self.drops[reason] += 1
        return Drop(reason, spi)


def _is_genuine(sa: SecurityAssociation, opened: Unprotected | Drop) -> bool:
    """Whether the peer has sent it: in transport mode selectors do not fit what comes from its new address."""
    if isinstance(opened, Unprotected):
        return True
    return sa.mode is Mode.TRANSPORT and opened.reason is DropReason.SELECTOR_MISMATCH


def _not_esp(datagram: Datagram) -> DropReason | None:
    if datagram.protocol == ESP:
        return None
    if datagram.protocol != UDP:
        return DropReason.NOT_IPSEC
    kind = classify_udp(datagram.data)
    if kind is Encapsulated.IKE:
        return DropReason.IKE_MESSAGE
    return DropReason.NAT_KEEPALIVE if kind is Encapsulated.KEEPALIVE else None


def _seal(sa: SecurityAssociation, packet: bytes, random: RandomBytes) -> Datagram | Drop:
    try:
        return seal_datagram(sa, packet, random)
    except SequenceExhaustedError:
        return sa.drop(DropReason.SEQUENCE_EXHAUSTED)
    except ValueError:
        return sa.drop(DropReason.TOO_LONG)
