"""Data lines: packets through the Child SAs of a case and past them, made and read with the reference engine."""

import ipaddress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import NAT_T_PORT, ProtocolId, TransformType
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ipsec.drop import Drop
from ipsectest.ipsec.esp import Forced, Opened, icv_size, open_esp, seal_esp
from ipsectest.ipsec.packets import protect, unprotect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.ipsec.transport import repair_checksum
from ipsectest.scenario import probes
from ipsectest.scenario.arguments import read_selector
from ipsectest.scenario.facts import addresses
from ipsectest.scenario.model import DataPattern, Edit, SelectorWords
from ipsectest.scenario.operands import Word
from ipsectest.scenario.ports import Environment, PeerPacket
from ipsectest.scenario.probes import Probe
from ipsectest.scenario.received import Received, Tunnel, differs
from ipsectest.scenario.values import Values
from ipsectest.wire.datagrams import host_text, packet_of
from ipsectest.wire.fragments import Pieces, cut
from ipsectest.wire.ip import AH, DONT_FRAGMENT, ESP, NO_NEXT_HEADER, UDP, IpPacket, altered, build_ip, parse_ip

_T = TypeVar("_T")
_IPV4, _IPV6 = 4, 41
"""Next Header values of tunnelled packets."""
_FIRST_PORT = 40000


@dataclass(eq=False, slots=True)
class Traffic:
    """All tunnels of a case."""

    place: Environment
    random: RandomBytes
    tunnels: dict[str, Tunnel] = field(default_factory=dict)
    all_pairs: list[tuple[SecurityAssociation, SecurityAssociation]] = field(default_factory=list)
    """Every pair of SAs there has been, for the key tables."""
    asked: Probe | None = None
    """Our last ping or SYN, in whatever tunnel: its answer may come in another one."""
    asked_us: Probe | None = None
    """The peer's last ping, likewise."""
    repeated: set[int] = field(default_factory=set)
    """Echo sequence numbers that were sent in more than one packet, and may be answered as often."""
    _count: int = 0
    _pieces: list[bytes] = field(default_factory=list)
    """Of the packet inside that was sent with ``part=1``."""
    _cut_inside: Pieces = field(default_factory=Pieces)
    """Of packets of the peer that were cut before they were protected."""
    _halves: list[Datagram] = field(default_factory=list)
    """Of the packet around it, likewise."""

    def add(self, name: str, child: ChildSa, sa: IkeSa, *, encapsulated: bool) -> None:
        """Make a Child SA usable under a name."""
        ports = (sa.local.port, sa.remote.port) if encapsulated else None
        out = _one_way(child, sa.local, sa.remote, ports, outbound=True)
        back = _one_way(child, sa.remote, sa.local, ports, outbound=False)
        if child.real:  # a NAT that we pretend, so that our packets are those of a host behind it
            out.real_addresses = child.local_ts[0].start, child.remote_ts[0].start
            back.real_addresses = child.real.remote, child.real.local
        self.tunnels[name] = Tunnel(name, child, out, back)
        self.all_pairs.append((out, back))

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, pattern: DataPattern, values: Values, *, again: bool = False) -> Datagram:
        """The datagram of a ``->`` data line; LookupError if the Child SA is not there.

        ``again``: our last echo request once more, in a packet of its own.
        """
        part = next((values.number(e.operand, 1) for e in pattern.edits if e.name == "part"), 0)
        if part > 1:
            return _kept(self._halves)
        whole = self._whole(pattern, values, again=again)
        if not part:
            return whole
        pieces = self._in_two(packet_of(whole))
        self._halves = [replace(whole, packet=piece) for piece in pieces]
        return self._halves[0]

    def _whole(self, pattern: DataPattern, values: Values, *, again: bool) -> Datagram:
        if pattern.carrier == "clear":
            return _clear(self._packet(pattern, values, None, again=again))
        tunnel = self.tunnels.get(pattern.child)
        if tunnel is None:
            raise LookupError(f"there is no Child SA {pattern.child!r}")
        sa = tunnel.outbound
        if (pattern.carrier == "AH") != (sa.protocol == ProtocolId.AH):
            raise LookupError(f"the Child SA {pattern.child!r} is none of {pattern.carrier}")
        if pattern.carrier == "AH":
            return self._authenticated(pattern, values, sa, self._packet(pattern, values, sa, again=again))
        if pattern.content == "dummy":
            payload, next_header = self.random(pattern.size), NO_NEXT_HEADER
        elif pattern.content == "octets":
            payload, next_header = pattern.octets, _IPV4
        else:
            payload, next_header = _inside(self._packet(pattern, values, sa, again=again), sa)
        packet = seal_esp(sa, payload, next_header, self.random, _forced(pattern.edits, values, sa, len(payload)))
        for edit in pattern.edits:
            if edit.name == "icv":
                size = icv_size(sa)
                packet = packet[: len(packet) - size] + values.octets(edit.operand, packet[len(packet) - size :])
        return _with_header(_datagram(sa, packet, pattern.encapsulation), pattern.edits, values)

    def _authenticated(self, pattern: DataPattern, values: Values, sa: SecurityAssociation, inner: bytes) -> Datagram:
        """A packet under AH; its header is changed behind the ICV, as on the way."""
        packet = protect(sa, inner, self.random, _forced(pattern.edits, values, sa, len(inner)))
        ip = parse_ip(packet)
        assert ip is not None
        at = len(ip.headers) + 12
        end = at + (sa.authenticator.icv_length if sa.authenticator else 0)
        for edit in pattern.edits:
            if edit.name == "icv":
                packet = packet[:at] + values.octets(edit.operand, packet[at:end]) + packet[end:]
        source, destination = Address(sa.source), Address(sa.destination)
        return _with_header(Datagram(packet, source, destination, AH, packet), pattern.edits, values)

    def _packet(self, pattern: DataPattern, values: Values, sa: SecurityAssociation | None, *, again: bool) -> bytes:
        """The IP packet inside."""
        part = next((e.operand for e in pattern.fields if e.name == "part"), None)
        if part is not None and values.number(part, 1) > 1:
            return _kept(self._pieces)
        probe = self._probe(pattern, sa, again=again)
        for edit in pattern.fields:
            if edit.name == "mtu":
                probe = replace(probe, mtu=values.number(edit.operand, 0))
        fields = _header_fields(pattern.fields, values, is_v4=":" not in probe.source)
        if part is None:
            return probes.build(probe, **fields)
        self._pieces = self._in_two(probes.build(probe, **fields))
        return self._pieces[0]

    def _in_two(self, whole: bytes) -> list[bytes]:
        """A packet in two fragments."""
        if whole[0] >> 4 == 6:
            raise UnsupportedError("part=", "IPv6 fragments have a header of their own")
        half = 20 + (len(whole) - 20) // 16 * 8
        return cut(whole, half + 8, 0x4000 + self._count)

    def _probe(self, pattern: DataPattern, sa: SecurityAssociation | None, *, again: bool) -> Probe:
        if pattern.content == "pong":
            if self.asked_us is None:
                raise LookupError("the peer has sent no ping that could be answered")
            theirs = self.asked_us
            turned = (theirs.destination, theirs.source)
            return Probe("pong", *turned, 0, 0, theirs.number, theirs.data, theirs.identifier)
        if again and self.asked is not None:
            self.repeated.add(self.asked.number)
            return self.asked
        probe = self._new_probe(pattern, *self._hosts(sa))
        self.asked = probe if pattern.content in {"ping", "syn"} else self.asked
        return probe

    def _hosts(self, sa: SecurityAssociation | None) -> tuple[str, str]:
        """Ours and the peer's, between which packets go that name none."""
        if sa is None or sa.mode is Mode.TUNNEL:
            return self.place.inner_tester, self.place.inner_peer
        if sa.real_addresses:
            return host_text(sa.real_addresses[0]), host_text(sa.real_addresses[1])
        return sa.source, sa.destination

    def _new_probe(self, pattern: DataPattern, ours: str, theirs: str) -> Probe:
        self._count += 1
        here, there = _words(pattern.source), _words(pattern.destination)
        source = self._host(here) or ours
        destination = self._host(there) or theirs
        if pattern.content == "ping":
            return Probe("ping", source, destination, number=self._count & 0xFFFF, data=self.random(pattern.size))
        sizes = [edit for edit in pattern.fields if edit.name == "size"]
        data = self.random(pattern.size) if sizes or pattern.content == "udp" else b""
        number = int.from_bytes(self.random(4), "big")
        ports = _port(here, _FIRST_PORT + self._count % 10000), _port(there, 7)
        return Probe(pattern.content, source, destination, *ports, number, data)

    def _host(self, selector: SelectorWords | None) -> str:
        """An address out of a selector; of a network one that is none of its ends and neither inner host."""
        if selector is None:
            return ""
        first, last = addresses(selector, self.place)
        if first == last:
            return first
        inner = {self.place.inner_tester, self.place.inner_peer, self.place.behind}
        return next(host for n in (1, 2, 3, 4) if (host := str(ipaddress.ip_address(first) + n)) not in inner)

    def for_peer(self, pattern: DataPattern, values: Values) -> PeerPacket:
        """What ``peer send`` asks for, seen from the peer."""
        here, there = _words(pattern.source), _words(pattern.destination)
        numbers = {e.name: values.number(e.operand, 0) for e in pattern.fields}
        return PeerPacket(
            pattern.content,
            self._host(here) or self.place.inner_peer,
            self._host(there) or self.place.inner_tester,
            _port(here, _FIRST_PORT),
            _port(there, 7),
            pattern.size,
            numbers.get("dscp", 0) << 2 | numbers.get("ecn", 0),
            bool(numbers["df"]) if "df" in numbers else None,
        )

    # Receiving ------------------------------------------------------------------------------------------------------

    def open(self, datagram: Datagram, carrier: str) -> Received | Drop | None:
        """A packet of the peer; None if its SPI is no Child SA of ours."""
        whole = packet_of(datagram)
        outer = parse_ip(whole)
        if outer is None:
            return None
        if carrier == "clear":
            return self._noticed(Received(None, carrier, outer, probe=probes.recognise(whole)))
        spi = outer.payload[4:8] if carrier == "AH" else datagram.data[:4]
        tunnel = next((t for t in reversed(self.tunnels.values()) if t.inbound.spi == spi), None)
        if tunnel is None or (carrier == "AH") != (tunnel.inbound.protocol == ProtocolId.AH):
            return None
        opened = _opened_ah(tunnel, outer, whole) if carrier == "AH" else _opened_esp(tunnel, outer, datagram.data)
        if isinstance(opened, Drop):
            return opened
        joined = None if opened.probe else self._cut_inside.whole(opened.inner)
        return self._noticed(replace(opened, inner=joined, probe=probes.recognise(joined)) if joined else opened)

    def _noticed(self, received: Received) -> Received:
        if received.probe and received.probe.kind == "ping":
            self.asked_us = received.probe
        return received

    def differs(self, received: Received, pattern: DataPattern, values: Values) -> str:
        """What of an expected data line a packet does not have, "" if it fits."""
        probe = received.probe
        for words, host, port in (
            (pattern.source, probe.source if probe else "", probe.source_port if probe else 0),
            (pattern.destination, probe.destination if probe else "", probe.destination_port if probe else 0),
        ):
            if words and not self._lies_in(words, host, port):
                return f"{host} is not {words}" if host else "no packet we know"
        return differs(received, pattern, values, self.asked)

    def _lies_in(self, words: str, host: str, port: int) -> bool:
        selector = _words(words)
        if selector is None or not host:
            return False
        first, last = (ipaddress.ip_address(end) for end in addresses(selector, self.place))
        address = ipaddress.ip_address(host)
        if address.version != first.version or not int(first) <= int(address) <= int(last):
            return False
        low, high = selector.ports
        return low <= port <= high


def _opened_ah(tunnel: Tunnel, outer: IpPacket, packet: bytes) -> Received | Drop:
    opened = unprotect(tunnel.inbound, packet)
    if isinstance(opened, Drop):
        return opened
    probe = probes.recognise(opened.inner)
    return Received(tunnel, "AH", outer, opened.sequence, inner=opened.inner, probe=probe)


def _opened_esp(tunnel: Tunnel, outer: IpPacket, data: bytes) -> Received | Drop:
    opened = open_esp(tunnel.inbound, data)
    if isinstance(opened, Drop):
        return opened
    inner = opened.payload
    if tunnel.inbound.mode is Mode.TRANSPORT:
        inner = _as_received(tunnel, outer, opened)
    return Received(tunnel, "ESP", outer, opened.sequence, opened, inner, probes.recognise(inner))


def _as_received(tunnel: Tunnel, outer: IpPacket, opened: Opened) -> bytes:
    """The packet of transport mode, with the addresses of the hosts as our end sees them."""
    ours = tunnel.outbound.real_addresses
    destination, source = ours or (outer.destination, outer.source)
    seen = replace(outer, source=source, destination=destination)
    payload = repair_checksum(tunnel.inbound, opened.next_header, opened.payload, seen)
    fields = {"traffic_class": outer.traffic_class, "hop_limit": outer.hop_limit}
    return build_ip(source, destination, opened.next_header, payload, **fields)


def _kept(pieces: list[_T]) -> _T:
    """The second part."""
    if len(pieces) < 2:
        raise LookupError("nothing was sent with part=1")
    return pieces.pop()


def _words(text: str) -> SelectorWords | None:
    return read_selector(Word(text, 1)) if text else None


def _port(words: SelectorWords | None, default: int) -> int:
    return default if words is None or words.ports == (0, 0xFFFF) else words.ports[0]


def _one_way(
    child: ChildSa, source: Address, destination: Address, ports: tuple[int, int] | None, *, outbound: bool
) -> SecurityAssociation:
    """One direction of a Child SA. We look at whatever comes: no replay window, no check of padding."""
    keys = child.keys
    is_ah = child.protocol == ProtocolId.AH
    return SecurityAssociation(
        spi=child.spi_out if outbound else child.spi_in,
        source=source.host,
        destination=destination.host,
        protocol=child.protocol,
        encryption=child.chosen.of(TransformType.ENCR),
        encryption_key=keys.encryption_out if outbound else keys.encryption_in,
        integrity=child.chosen.of(TransformType.INTEG),
        integrity_key=keys.integrity_out if outbound else keys.integrity_in,
        mode=Mode(child.mode.value),
        udp_ports=(ports if outbound else ports[::-1]) if ports and not is_ah else None,
        esn=child.chosen.esn,
        replay_window=0,
        checks_padding=False,
    )


def _inside(packet: bytes, sa: SecurityAssociation) -> tuple[bytes, int]:
    """What ESP carries of an IP packet, and its Next Header."""
    if sa.mode is Mode.TUNNEL:
        return packet, _IPV4 if packet[0] >> 4 == 4 else _IPV6
    ip = parse_ip(packet)
    assert ip is not None
    return ip.payload, ip.protocol


def _clear(packet: bytes) -> Datagram:
    """A packet as it is."""
    ip = parse_ip(packet)
    assert ip is not None
    source, destination = (str(ipaddress.ip_address(host)) for host in (ip.source, ip.destination))
    return Datagram(packet, Address(source), Address(destination), ip.protocol, packet)


def _datagram(sa: SecurityAssociation, packet: bytes, way: str) -> Datagram:
    """UDP or IP protocol 50, as the SA says or as the line wants."""
    ports = sa.udp_ports
    if way == "udp" and ports is None:
        ports = (NAT_T_PORT, NAT_T_PORT)
    if way == "raw" or ports is None:
        return Datagram(packet, Address(sa.source), Address(sa.destination), ESP)
    return Datagram(packet, Address(sa.source, ports[0]), Address(sa.destination, ports[1]))


def _with_header(datagram: Datagram, edits: tuple[Edit, ...], values: Values) -> Datagram:
    """The same in a packet whose IP header says what the line wants of it."""
    fields = _changes(edits, values)
    checksums = [e for e in edits if e.name == "checksum"]
    if not fields and not checksums:
        return datagram
    packet = packet_of(datagram)
    if datagram.source.is_ipv6 and (checksums or {"dont_fragment", "more_fragments"} & fields.keys()):
        raise UnsupportedError("df=, mf= and checksum=", "IPv6 has no such bits, and a UDP checksum always")
    if checksums and datagram.protocol == UDP:
        at = len(packet) - len(datagram.data) - 2
        correct = int.from_bytes(packet[at : at + 2], "big")
        packet = packet[:at] + values.number(checksums[0].operand, correct).to_bytes(2, "big") + packet[at + 2 :]
    packet = altered(packet, **fields)  # type: ignore[arg-type]
    data = packet if datagram.protocol == AH else datagram.data
    return Datagram(data, datagram.source, datagram.destination, datagram.protocol, packet)


def _changes(edits: tuple[Edit, ...], values: Values) -> dict[str, int | bool]:
    """Arguments of ``wire.ip.altered``."""
    numbers = {e.name: values.number(e.operand, 64) for e in edits if e.name in {"dscp", "ecn", "df", "mf", "ttl"}}
    changes: dict[str, int | bool] = {}
    if "dscp" in numbers or "ecn" in numbers:
        changes["traffic_class"] = numbers.get("dscp", 0) << 2 | numbers.get("ecn", 0)
    if "ttl" in numbers:
        changes["hop_limit"] = numbers["ttl"]
    if "df" in numbers:
        changes["dont_fragment"] = bool(numbers["df"])
    if "mf" in numbers:
        changes["more_fragments"] = bool(numbers["mf"])
    return changes


def _header_fields(edits: tuple[Edit, ...], values: Values, *, is_v4: bool) -> dict[str, int]:
    """Arguments of ``wire.ip.build_ip``."""
    changes = _changes(edits, values)
    if "dont_fragment" in changes and not is_v4:
        raise UnsupportedError("df=", "IPv6 has no such bit")
    if changes.pop("dont_fragment", False):
        changes["flags_and_offset"] = DONT_FRAGMENT
    return {name: int(value) for name, value in changes.items()}


def _forced(edits: tuple[Edit, ...], values: Values, sa: SecurityAssociation, length: int) -> Forced:
    wanted: dict[str, object] = {}
    for edit in edits:
        if edit.name == "seq":
            wanted["sequence"] = values.number(edit.operand, sa.sent + 1)
        elif edit.name == "next":
            wanted["next_header"] = values.number(edit.operand, _IPV4)
        elif edit.name == "pad_length":
            wanted["pad_length"] = values.number(edit.operand, -(length + 2) % max(4, sa.cipher.block_length))
        elif edit.name == "pad":
            wanted["padding"] = bytes(range(1, 256))[: values.number(edit.operand, 0)]
        elif edit.name == "padding":
            correct = bytes(range(1, 1 + -(length + 2) % max(4, sa.cipher.block_length)))
            wanted["padding"] = values.octets(edit.operand, correct)
        elif edit.name == "tfc":
            wanted["tfc_padding"] = bytes(values.number(edit.operand, 0))
        elif edit.name == "spi":
            wanted["spi"] = values.octets(edit.operand, sa.spi)
        elif edit.name == "iv":
            wanted["iv"] = values.octets(edit.operand, bytes(sa.cipher.iv_length))
    return Forced(**wanted)  # type: ignore[arg-type]
