"""ESP lines: packets through the Child SAs of a case, made and read with the reference engine."""

import ipaddress
from dataclasses import dataclass, field

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import NAT_T_PORT, TransformType
from ipsectest.ike.sa import ChildSa, IkeSa
from ipsectest.ipsec.drop import Drop
from ipsectest.ipsec.esp import Forced, Opened, icv_size, open_esp, seal_esp
from ipsectest.ipsec.inner import Echo, build_echo, parse_echo, reply_to
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.scenario.arguments import read_selector
from ipsectest.scenario.facts import addresses
from ipsectest.scenario.model import DataPattern, Edit
from ipsectest.scenario.operands import Word
from ipsectest.scenario.ports import Environment
from ipsectest.scenario.values import Values
from ipsectest.wire.ip import NO_NEXT_HEADER

IDENTIFIER = 0x4950
_IPV4, _IPV6 = 4, 41
"""Next Header values of tunnelled packets."""


@dataclass(eq=False, slots=True)
class Tunnel:
    """Both directions of one Child SA, and the echo messages that went through it."""

    name: str
    child: ChildSa
    outbound: SecurityAssociation
    inbound: SecurityAssociation
    asked_us: Echo | None = None
    """The peer's last echo request."""


@dataclass(frozen=True, slots=True)
class Received:
    """An ESP packet of the peer, opened."""

    tunnel: Tunnel
    opened: Opened
    echo: Echo | None

    @property
    def text(self) -> str:
        """In the words of the notation."""
        what = "something" if self.echo is None else "pong" if self.echo.is_reply else "ping"
        return f"ESP({self.tunnel.name} seq={self.opened.sequence}) {what}"


@dataclass(eq=False, slots=True)
class Traffic:
    """All tunnels of a case."""

    place: Environment
    random: RandomBytes
    tunnels: dict[str, Tunnel] = field(default_factory=dict)
    all_pairs: list[tuple[SecurityAssociation, SecurityAssociation]] = field(default_factory=list)
    """Every pair of SAs there has been, for the key tables."""
    asked: Echo | None = None
    """Our last echo request, in whatever tunnel: its answer may come in another one."""
    repeated: set[int] = field(default_factory=set)
    """Echo sequence numbers that were sent in more than one packet, and may be answered as often."""
    _echoes: int = 0

    def add(self, name: str, child: ChildSa, sa: IkeSa, *, encapsulated: bool) -> None:
        """Make a Child SA usable under a name."""
        ports = (sa.local.port, sa.remote.port) if encapsulated else None
        out = _one_way(child, sa.local, sa.remote, ports, outbound=True)
        back = _one_way(child, sa.remote, sa.local, ports, outbound=False)
        self.tunnels[name] = Tunnel(name, child, out, back)
        self.all_pairs.append((out, back))

    # Sending --------------------------------------------------------------------------------------------------------

    def send(self, pattern: DataPattern, values: Values, *, again: bool = False) -> Datagram:
        """The datagram of a ``->`` ESP line; LookupError if the Child SA is not there.

        ``again``: our last echo request once more, in a packet of its own.
        """
        tunnel = self.tunnels.get(pattern.child)
        if tunnel is None:
            raise LookupError(f"there is no Child SA {pattern.child!r}")
        sa = tunnel.outbound
        payload, next_header = self._payload(pattern, tunnel, again=again)
        packet = seal_esp(sa, payload, next_header, self.random, _forced(pattern.edits, values, sa, len(payload)))
        for edit in pattern.edits:
            if edit.name == "icv":
                size = icv_size(sa)
                packet = packet[: len(packet) - size] + values.octets(edit.operand, packet[len(packet) - size :])
        return _datagram(sa, packet, pattern.encapsulation)

    def _payload(self, pattern: DataPattern, tunnel: Tunnel, *, again: bool) -> tuple[bytes, int]:
        """The octets inside and their Next Header."""
        if pattern.content == "octets":
            return pattern.octets, _IPV4
        if pattern.content == "dummy":
            return self.random(pattern.size), NO_NEXT_HEADER
        if pattern.content == "pong":
            if tunnel.asked_us is None:
                raise LookupError("the peer has sent no ping that could be answered")
            packet = build_echo(reply_to(tunnel.asked_us))
        elif again and self.asked is not None:
            self.repeated.add(self.asked.sequence)
            packet = build_echo(self.asked)
        else:
            self._echoes += 1
            source = self._host(pattern.source) or self.place.inner_tester
            destination = self._host(pattern.destination) or self.place.inner_peer
            data = self.random(pattern.size)
            self.asked = Echo(source, destination, IDENTIFIER, self._echoes & 0xFFFF, data, is_reply=False)
            packet = build_echo(self.asked)
        if tunnel.outbound.mode is Mode.TRANSPORT:
            is_v4 = packet[0] >> 4 == 4
            return (packet[20:], 1) if is_v4 else (packet[40:], 58)
        return packet, _IPV4 if packet[0] >> 4 == 4 else _IPV6

    def _host(self, selector: str) -> str:
        """An address out of a selector; of a network one that is none of its ends and neither inner host."""
        if not selector:
            return ""
        first, last = addresses(read_selector(Word(selector, 1)), self.place)
        if first == last:
            return first
        inner = {self.place.inner_tester, self.place.inner_peer}
        return next(host for n in (1, 2, 3) if (host := str(ipaddress.ip_address(first) + n)) not in inner)

    # Receiving ------------------------------------------------------------------------------------------------------

    def open(self, packet: bytes) -> Received | Drop | None:
        """An ESP packet of the peer; None if its SPI is no Child SA of ours."""
        for tunnel in reversed(self.tunnels.values()):
            if tunnel.inbound.spi == packet[:4]:
                opened = open_esp(tunnel.inbound, packet)
                if isinstance(opened, Drop):
                    return opened
                echo = self._echo(tunnel, opened)
                if echo is not None and not echo.is_reply:
                    tunnel.asked_us = echo
                return Received(tunnel, opened, echo)
        return None

    def _echo(self, tunnel: Tunnel, opened: Opened) -> Echo | None:
        if tunnel.inbound.mode is Mode.TUNNEL:
            return parse_echo(opened.payload)
        kind = opened.payload[0] if opened.payload else None
        wanted = {0: True, 8: False, 128: False, 129: True}.get(kind if kind is not None else -1)
        if wanted is None or len(opened.payload) < 8:
            return None
        body = opened.payload
        return Echo(
            self.place.inner_peer, self.place.inner_tester, int.from_bytes(body[4:6], "big"),
            int.from_bytes(body[6:8], "big"), body[8:], wanted,
        )  # fmt: skip

    def differs(self, received: Received, pattern: DataPattern, values: Values) -> str:
        """What of an expected ESP line a packet does not have, "" if it fits."""
        tunnel, echo = received.tunnel, received.echo
        if pattern.child and tunnel.name != pattern.child:
            return f"in {tunnel.name}"
        if pattern.content == "ping" and (echo is None or echo.is_reply):
            return "no ping"
        if pattern.content == "pong" and not self._answers(echo):
            return "no answer to our ping"
        if pattern.content == "octets" and not received.opened.payload.startswith(pattern.octets):
            return f"0x{received.opened.payload.hex()}"
        for edit in pattern.edits:
            problem = _field_differs(received.opened, edit, values, tunnel)
            if problem:
                return problem
        return ""

    def _answers(self, echo: Echo | None) -> bool:
        asked = self.asked
        return (
            echo is not None
            and echo.is_reply
            and asked is not None
            and (echo.sequence, echo.data) == (asked.sequence, asked.data)
            and (echo.source, echo.destination) == (asked.destination, asked.source)
        )


def _one_way(
    child: ChildSa, source: Address, destination: Address, ports: tuple[int, int] | None, *, outbound: bool
) -> SecurityAssociation:
    """One direction of a Child SA. We look at whatever comes: no replay window, no check of padding."""
    keys = child.keys
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
        udp_ports=(ports if outbound else ports[::-1]) if ports else None,
        esn=child.chosen.esn,
        replay_window=0,
        checks_padding=False,
    )


def _datagram(sa: SecurityAssociation, packet: bytes, way: str) -> Datagram:
    """UDP or IP protocol 50, as the SA says or as the line wants."""
    ports = sa.udp_ports
    if way == "udp" and ports is None:
        ports = (NAT_T_PORT, NAT_T_PORT)
    if way == "raw" or ports is None:
        return Datagram(packet, Address(sa.source), Address(sa.destination), 50)
    return Datagram(packet, Address(sa.source, ports[0]), Address(sa.destination, ports[1]))


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
        elif edit.name == "spi":
            wanted["spi"] = values.octets(edit.operand, sa.spi)
        elif edit.name == "iv":
            wanted["iv"] = values.octets(edit.operand, bytes(sa.cipher.iv_length))
    return Forced(**wanted)  # type: ignore[arg-type]


def _field_differs(opened: Opened, edit: Edit, values: Values, tunnel: Tunnel) -> str:
    actual: dict[str, int | bytes] = {
        "seq": opened.sequence,
        "next": opened.next_header,
        "pad": len(opened.padding),
        "pad_length": len(opened.padding),
        "padding": opened.padding,
        "iv": opened.iv,
        "spi": tunnel.inbound.spi,
    }
    found = actual.get(edit.name)
    if isinstance(found, int):
        return "" if values.fits_number(edit.operand, found) else f"{edit.name} is {found}"
    if found is None:
        return f"{edit.name} cannot be looked at"
    return "" if values.fits_octets(edit.operand, found) else f"{edit.name} is 0x{found.hex()}"
