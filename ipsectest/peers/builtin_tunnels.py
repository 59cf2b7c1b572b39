"""The data plane of the built-in peer: policy, the Child SAs of one endpoint, and a host behind them that answers."""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from ipaddress import ip_address

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.errors import PeerError
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT, ProtocolId, TransformType
from ipsectest.ike.events import ChildInstalled
from ipsectest.ike.sa import ChildSa
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.impair import dressed, open_impaired, opened_ah, receiver, sender, trailer, unwrap_impaired
from ipsectest.ipsec.packets import Unprotected, protect
from ipsectest.ipsec.sa import DontFragment, Mode, SecurityAssociation
from ipsectest.ipsec.spd import Action, Flow, PolicyEntry, Selector, TrafficRange, admits, lookup
from ipsectest.peers.builtin_host import Hosts, forwarded, packed
from ipsectest.scenario import probes
from ipsectest.scenario.ports import BOUND_PORTS, PeerPacket, PeerSettings, SpdEntry
from ipsectest.scenario.ports import Selector as Named
from ipsectest.scenario.probes import Probe
from ipsectest.wire import TrafficSelector
from ipsectest.wire.datagrams import datagram_of, packet_of
from ipsectest.wire.fragments import Pieces
from ipsectest.wire.ip import AH, DONT_FRAGMENT, ESP, ICMP, ICMPV6, UDP, IpPacket, parse_ip

_IDENTIFIER = 0x4970
_PING_DATA = b"ipsectest ping from the peer"
_SHORTEST_ESP = 8
_MTU = 1500


@dataclass(slots=True)
class _Tunnel:
    child: ChildSa
    inbound: SecurityAssociation
    outbound: SecurityAssociation
    may_send: bool
    """Whether outbound traffic goes this way already: not while the Child SA it replaces carries it."""
    is_worn: bool = False
    """Whether it has reached its limit of packets or octets."""


class Tunnels:
    """Child SAs by inbound SPI, and the policy around them. ``faults`` are names of ``ipsec.impair.IMPAIRMENTS``."""

    def __init__(
        self, random: RandomBytes, settings: PeerSettings, window: int, behind: str = "", faults: Collection[str] = ()
    ) -> None:
        self._random = random
        self._settings = settings
        self._window = window
        self._faults = frozenset(faults)
        self._hosts = Hosts(packed((behind,)))
        self._pieces = Pieces()
        self._policies = policies(settings)
        if "reverses-spd" in self._faults:
            self._policies.reverse()
        self._tunnels: dict[bytes, _Tunnel] = {}
        self._inbound: list[SecurityAssociation] = []  # removed ones too, for the counters
        self._sequence = 0
        self.acquired: deque[Flow] = deque(maxlen=16)
        """Traffic that no Child SA carries, though policy wants it protected."""
        self.moved: deque[tuple[Address, Address]] = deque(maxlen=16)
        """Where the tester was, and where its newest packet came from."""

    # Child SAs ------------------------------------------------------------------------------------------------------

    def install(self, event: ChildInstalled) -> None:
        """Take a Child SA into use."""
        child = event.child
        if child.replaces and "new-child-not-installed" in self._faults:
            return
        swapped = "wrong-child-keys" in self._faults
        inbound = receiver(self._one_way(event, outbound=False, swapped=swapped), self._faults)
        outbound = sender(self._one_way(event, outbound=True, swapped=swapped), self._faults)
        # Who began a rekey has the answer, so both ends have the new Child SA (RFC 7296 section 2.8).
        at_once = child.replaces is None or child.is_initiator or "sends-on-new-child" in self._faults
        if "one-sa-for-selectors" in self._faults:
            alike = [spi for spi, t in self._tunnels.items() if t.inbound.selectors == inbound.selectors]
            for spi in alike:
                del self._tunnels[spi]
        self._tunnels[child.spi_in] = _Tunnel(child, inbound, outbound, may_send=at_once)
        self._inbound.append(inbound)

    def switch(self, child: ChildSa) -> None:
        """Send on this Child SA from now on."""
        if child.spi_in in self._tunnels:
            self._tunnels[child.spi_in].may_send = True

    def remove(self, child: ChildSa) -> None:
        """Forget a Child SA; its successor, if there is one, takes over."""
        self._tunnels.pop(child.spi_in, None)
        if child.successor:
            self.switch(child.successor)

    def move(self, old: Address, new: Address) -> None:
        """The tester's address or port changed: UDP-encapsulated traffic follows (RFC 7296 section 2.23)."""
        for tunnel in self._tunnels.values():
            sa = tunnel.outbound
            if sa.udp_ports and sa.destination == old.host:
                sa.destination, sa.udp_ports = new.host, (sa.udp_ports[0], new.port)

    def worn(self, children: Iterable[ChildSa]) -> list[ChildSa]:
        """Child SAs that have carried all they may, each told once."""
        most_packets, most_octets = self._settings.child_packets, self._settings.child_bytes
        found = []
        for child in children if "ignores-child-limits" not in self._faults else ():
            tunnel = self._tunnels.get(child.spi_in)
            if tunnel is None or tunnel.is_worn:
                continue
            sas = (tunnel.inbound, tunnel.outbound)
            tunnel.is_worn = any(
                (most_packets and sa.packets >= most_packets) or (most_octets and sa.octets >= most_octets)
                for sa in sas
            )
            if tunnel.is_worn:
                found.append(child)
        return found

    def knows(self, spi: bytes) -> bool:
        """Whether it is the inbound SPI of a Child SA."""
        return spi in self._tunnels

    def dropped(self, reasons: Iterable[DropReason]) -> int:
        """Packets dropped for these reasons on all Child SAs there ever were."""
        return sum(sa.drops[reason] for sa in self._inbound for reason in reasons)

    # What comes from outside ----------------------------------------------------------------------------------------

    def receive(self, datagram: Datagram) -> list[Datagram]:
        """Take ESP, plain or out of UDP, AH, or a packet in clear; what is to be sent in answer."""
        if datagram.protocol not in {UDP, ESP, AH}:
            return self._receive_clear(packet_of(datagram))
        if datagram.packet and "ignores-more-fragments" not in self._faults:
            whole = self._joined(datagram)
            return self._receive_whole(whole) if whole else []
        return self._receive_whole(datagram)

    def _receive_whole(self, datagram: Datagram) -> list[Datagram]:
        data = datagram.data
        if datagram.protocol == UDP and len(data) < _SHORTEST_ESP:
            if "answers-keepalive" not in self._faults:
                return []  # too short for ESP, or a NAT keepalive (RFC 3948 sections 2.2 and 2.3)
            return [Datagram(data + b"\0", datagram.destination, datagram.source)]
        ip = parse_ip(packet_of(datagram))
        tunnel = self._tunnel_of(datagram, ip)
        if tunnel is None or ip is None:
            return []
        passed = self._unprotected(tunnel, datagram, ip)
        if isinstance(passed, Drop):
            dummy = passed.reason is DropReason.DUMMY and "answers-dummy" in self._faults
            return self._seal(tunnel, self._last_words(tunnel)) if dummy else []
        self._notice_source(tunnel, datagram, passed)
        tunnel.may_send = True  # the tester uses it, so both ends have it (RFC 7296 section 2.8)
        return self._let_in(passed.inner)

    def _joined(self, datagram: Datagram) -> Datagram | None:
        """Reassembly is before ESP and AH, and what is still a fragment is none of theirs (RFC 4303 section 3.4.1)."""
        packet = self._pieces.whole(datagram.packet)
        ip = parse_ip(packet) if packet else None
        if packet is None or ip is None or packet == datagram.packet:
            return datagram if packet else None
        joined = datagram_of(packet, ip)
        return replace(joined, packet=packet) if joined else None

    def _notice_source(self, tunnel: _Tunnel, datagram: Datagram, passed: Unprotected) -> None:
        """The newest genuine packet shows where the tester is now; a late one must not lead back."""
        out = tunnel.outbound
        if not out.udp_ports or datagram.protocol != UDP or "esp-never-moves" in self._faults:
            return
        known = Address(out.destination, out.udp_ports[1])
        if datagram.source != known and passed.sequence == tunnel.inbound.replay.highest:
            self.moved.append((known, datagram.source))

    def _tunnel_of(self, datagram: Datagram, ip: IpPacket | None) -> _Tunnel | None:
        spi = datagram.data[:4]
        if datagram.protocol == AH:
            spi = ip.payload[4:8] if ip else b""
        tunnel = self._tunnels.get(spi)
        if tunnel is None and "ignores-esp-spi" in self._faults:
            tunnel = next(iter(self._tunnels.values()), None)
        if tunnel and (datagram.protocol == AH) != (tunnel.inbound.protocol == ProtocolId.AH):
            return None
        if tunnel and tunnel.is_worn and self._settings.child_expires:
            return None  # an expired SA is not used (RFC 7296 section 2.8)
        checksum = ip.payload[6:8] if ip and datagram.protocol == UDP else b""
        if any(checksum) and "wants-no-checksum" in self._faults:
            return None
        one_way = "takes-one-encapsulation" in self._faults
        if tunnel and one_way and (datagram.protocol == UDP) != bool(tunnel.inbound.udp_ports):
            return None
        return tunnel

    def _unprotected(self, tunnel: _Tunnel, datagram: Datagram, ip: IpPacket) -> Unprotected | Drop:
        sa = tunnel.inbound
        if datagram.protocol == AH:
            return opened_ah(sa, ip, self._faults)
        opened = open_impaired(sa, datagram.data, self._faults)
        if isinstance(opened, Drop):
            return opened
        return unwrap_impaired(sa, opened, ip, self._faults)

    def _receive_clear(self, packet: bytes) -> list[Datagram]:
        """RFC 4301 section 5.2: a packet without IPsec is let in where policy says BYPASS."""
        ip = parse_ip(packet)
        if ip is None:
            return []
        if self._hosts.is_behind(ip.source):
            return self._from_behind(packet, ip)
        entry = lookup(self._policies, Flow.of(ip, inbound=True))
        action = entry.action if entry else Action.DISCARD
        wrongly = {
            Action.PROTECT: "accepts-clear", Action.DISCARD: "ignores-discard", Action.BYPASS: ""
        }[action]  # fmt: skip
        if entry is None:
            wrongly = "passes-unmatched"
        let_in = action is Action.BYPASS and "ignores-bypass" not in self._faults
        let_in |= ip.is_fragment and "accepts-clear-fragments" in self._faults
        return self._let_in(packet) if let_in or wrongly in self._faults else []

    def _let_in(self, packet: bytes) -> list[Datagram]:
        """On to the host that is meant."""
        ip = parse_ip(packet)
        if ip and self._hosts.is_behind(ip.destination):
            onward = packet if "keeps-ttl" in self._faults else forwarded(packet)
            return [_clear(onward)] if onward else []
        answer = self._hosts.answer(packet)
        return self._send(answer) if answer else []

    # What goes out --------------------------------------------------------------------------------------------------

    def ping(self, source: str, destination: str) -> list[Datagram]:
        """One echo request; PeerError if no Child SA carries it."""
        return self.send(PeerPacket("ping", source, destination, 0, 0, len(_PING_DATA)))

    def send(self, wanted: PeerPacket) -> list[Datagram]:
        """One packet of the peer's host; PeerError if it gets nowhere."""
        self._sequence += 1
        ends = wanted.source, wanted.destination, wanted.source_port, wanted.destination_port
        data = (_PING_DATA * (wanted.size // len(_PING_DATA) + 1))[: wanted.size]
        probe = Probe(wanted.kind, *ends, self._sequence & 0xFFFF, data, _IDENTIFIER)
        fields = {"traffic_class": wanted.traffic_class}
        if wanted.dont_fragment and ":" not in wanted.source:
            fields["flags_and_offset"] = DONT_FRAGMENT
        waiting = len(self.acquired)
        datagrams = self._send(probes.build(probe, **fields))
        policy = lookup(self._policies, _flow(probes.build(probe)))
        if not datagrams and policy and policy.action is Action.PROTECT and len(self.acquired) == waiting:
            raise PeerError(f"no Child SA carries a {wanted.kind} from {wanted.source} to {wanted.destination}")
        return datagrams

    def _from_behind(self, packet: bytes, ip: IpPacket) -> list[Datagram]:
        """A packet of the protected network: one hop further, protected, and not too large (RFC 4301 section 8.2)."""
        onward = packet if "keeps-ttl" in self._faults else forwarded(packet)
        if onward is None:
            return []
        sent = self._send(onward)
        longest = max((len(packet_of(datagram)) for datagram in sent), default=0)
        if longest <= _MTU or (ip.version == 4 and not ip.dont_fragment):
            return [] if longest > _MTU and "drops-large" in self._faults else sent
        error = probes.too_big(packet, self._settings.inner_local, _MTU - (longest - len(onward)))
        return [_clear(error)] if error and "swallows-too-big" not in self._faults else []

    def _send(self, packet: bytes) -> list[Datagram]:
        flow = _flow(packet)
        if self._settings.bound_to and not _is_bound(flow) and "ignores-binding" not in self._faults:
            return [_clear(packet)]
        return self._by_policy(packet, flow)

    def _by_policy(self, packet: bytes, flow: Flow) -> list[Datagram]:
        entry = lookup(self._policies, flow)
        action = entry.action if entry else Action.DISCARD
        if action is Action.BYPASS and "ignores-bypass" not in self._faults:
            return [_clear(packet)]
        if action is Action.DISCARD and entry:
            return [_clear(packet)] if "ignores-discard" in self._faults else []
        fitting = [t for t in self._tunnels.values() if admits(t.outbound.selectors, flow)]
        chosen = [t for t in fitting if t.may_send] or fitting
        if "outbound-in-clear" in self._faults:
            return [_clear(packet)]
        if chosen:
            return self._seal(chosen[0 if "ignores-narrower-sa" in self._faults else -1], packet)
        if "accepts-clear" in self._faults or (entry is None and "passes-unmatched" in self._faults):
            return [_clear(packet)]
        if self._settings.trap and entry and "no-trap" not in self._faults:
            self.acquired.append(flow)
        return []

    def _seal(self, tunnel: _Tunnel, packet: bytes) -> list[Datagram]:
        outbound = tunnel.outbound
        whole = protect(outbound, packet, self._random, trailer(outbound, packet, self._faults))
        whole = dressed(whole, packet, self._faults)
        ip = parse_ip(whole)
        datagram = datagram_of(whole, ip) if ip else None
        return [replace(datagram, packet=whole)] if datagram else []

    def _last_words(self, tunnel: _Tunnel) -> bytes:
        selector = tunnel.outbound.selectors[0]
        source, destination = (str(ip_address(side[0].start)) for side in (selector.local, selector.remote))
        return probes.build(Probe("ping", source, destination, data=_PING_DATA, identifier=_IDENTIFIER))

    def _one_way(self, event: ChildInstalled, *, outbound: bool, swapped: bool) -> SecurityAssociation:
        """One direction of a Child SA."""
        child, keys = event.child, event.child.keys
        source, destination = (event.local, event.remote) if outbound else (event.remote, event.local)
        ends = (keys.encryption_out, keys.integrity_out), (keys.encryption_in, keys.integrity_in)
        encryption_key, integrity_key = ends[outbound == swapped]
        in_udp = event.udp_ports and child.protocol == ProtocolId.ESP
        return SecurityAssociation(
            spi=child.spi_out if outbound else child.spi_in,
            source=source.host,
            destination=destination.host,
            protocol=child.protocol,
            encryption=child.chosen.of(TransformType.ENCR),
            encryption_key=encryption_key,
            integrity=child.chosen.of(TransformType.INTEG),
            integrity_key=integrity_key,
            mode=Mode(child.mode.value),
            udp_ports=(source.port, destination.port) if in_udp else None,
            esn=child.chosen.esn,
            replay_window=self._window,
            selectors=(Selector(_ranges(child.local_ts), _ranges(child.remote_ts)),),
            real_addresses=(child.real.remote, child.real.local) if child.real and not outbound else None,
            dont_fragment=DontFragment.COPY if self._settings.copy_df else DontFragment.CLEAR,
        )


def policies(settings: PeerSettings) -> list[PolicyEntry]:
    """The SPD of a case, as the built-in peer looks traffic up in it."""
    entries = settings.spd or (SpdEntry("protect"),)
    own = Selector(
        tuple(map(_range, settings.local_ts)), tuple(map(_range, settings.remote_ts))
    )  # fmt: skip
    found = []
    for number, entry in enumerate(entries):
        selector = own
        if entry.local is not None and entry.remote is not None:
            selector = Selector((_range(entry.local),), (_range(entry.remote),))
        found.append(PolicyEntry(selector, Action(entry.action), name=f"{number}"))
    return found


def _is_bound(flow: Flow) -> bool:
    """Whether the forwarding of the peer gives a packet to the Child SA of the case (``PeerSettings.bound_to``)."""
    return flow.protocol in {ICMP, ICMPV6} or (flow.protocol == UDP and flow.remote_port in BOUND_PORTS)


def carries_esp(datagram: Datagram) -> bool:
    """Whether a datagram is for the data plane (RFC 3948 section 2)."""
    if datagram.protocol == UDP:
        return datagram.destination.port == NAT_T_PORT and datagram.data[:4] != bytes(4)
    return datagram.protocol in {ESP, AH}


def is_clear(datagram: Datagram) -> bool:
    """Whether it is a packet in clear: neither IPsec nor for the IKE ports."""
    if datagram.protocol == UDP:
        return bool(datagram.packet) and datagram.destination.port not in {IKE_PORT, NAT_T_PORT}
    return datagram.protocol not in {ESP, AH}


def _clear(packet: bytes) -> Datagram:
    ip = parse_ip(packet)
    assert ip is not None
    source, destination = (Address(str(ip_address(host))) for host in (ip.source, ip.destination))
    return Datagram(packet, source, destination, ip.protocol, packet)


def _flow(packet: bytes) -> Flow:
    ip = parse_ip(packet)
    assert ip is not None
    return Flow.of(ip, inbound=False)


def _range(selector: Named) -> TrafficRange:
    ports = selector.start_port, selector.end_port
    return TrafficRange.of(f"{selector.start}-{selector.end}", selector.protocol, ports)


def _ranges(selectors: Iterable[TrafficSelector]) -> tuple[TrafficRange, ...]:
    return tuple(TrafficRange(ts.start, ts.end, ts.protocol, ts.start_port, ts.end_port) for ts in selectors)
