"""The IKE SAs of a running case, their exchanges and the datagrams that came for them."""

from dataclasses import dataclass, field
from enum import Enum

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.iana import IKE_PORT, NAT_KEEPALIVE, NAT_T_PORT, NON_ESP_MARKER
from ipsectest.ike.context import Context, Verdict
from ipsectest.ike.sa import IkeSa
from ipsectest.ipsec.drop import Drop
from ipsectest.scenario.received import Received
from ipsectest.wire import Message, parse_message
from ipsectest.wire.datagrams import packet_of
from ipsectest.wire.ip import AH, ESP, UDP


class Carried(Enum):
    """What a datagram holds."""

    IKE = "IKE"
    ESP = "ESP"
    AH = "AH"
    CLEAR = "clear"
    """A packet without IPsec that is no IKE message either."""
    KEEPALIVE = "keepalive"


@dataclass(eq=False, slots=True)
class Arrival:
    """A datagram of the peer. ``message`` is plain: opened if it had SK and we have the keys."""

    datagram: Datagram
    at: Instant
    carried: Carried
    raw: bytes
    """The IKE message without marker, the ESP packet, the keepalive, or the whole IP packet."""
    message: Message | None = None
    association: "Association | None" = None
    protected: bool = False
    trouble: str = ""
    """Why the message could not be opened."""
    exchange: "Exchange | None" = None
    """Our request that it answers, or the peer's request that it repeats."""
    again: bool = False
    """Whether the same octets came before."""
    received: Received | Drop | None = None
    """The data, opened."""


@dataclass(eq=False, slots=True)
class Exchange:
    """One exchange: the request of either side, and its response once there is one. Messages are plain."""

    key: str
    association: "Association"
    exchange_type: int
    message_id: int
    ours: bool
    context: Context
    request: Message
    request_datagrams: list[Datagram]
    line: int = 0
    response: Message | None = None
    response_datagrams: list[Datagram] = field(default_factory=list)
    arrival: Arrival | None = None
    """The peer's request, or its response to ours."""
    header_spi: bytes = b""
    """SPIi in the request's header, as sent: it may be forced."""
    retransmit_at: Instant | None = None
    transmissions: int = 1
    taken_id: bool = False
    processed: bool = False
    """Whether the response (or for the peer's request: the request) changed our state."""
    verdict: Verdict | None = None
    """On the peer's request, once a line answered it: some lines answer one request twice."""


@dataclass(eq=False, slots=True)
class Association:
    """One IKE SA by its name in the script."""

    name: str
    sa: IkeSa
    first_child: str = "net"
    init: Exchange | None = None
    """Our IKE_SA_INIT exchange, kept for further tries."""
    exchanges: list[Exchange] = field(default_factory=list)
    pretends_local_nat: bool = False
    pretends_remote_nat: bool = False
    established: bool = False
    closed: bool = False

    def ours(self, message_id: int) -> Exchange | None:
        """Our latest request with a message ID."""
        return next((e for e in reversed(self.exchanges) if e.ours and e.message_id == message_id), None)

    def theirs(self, message_id: int) -> Exchange | None:
        """The peer's latest request with a message ID."""
        return next((e for e in reversed(self.exchanges) if not e.ours and e.message_id == message_id), None)


def arrival_of(datagram: Datagram, now: Instant) -> Arrival:
    """Tell IKE, ESP and keepalives apart (RFC 3948 section 2.2) and parse IKE; never raises."""
    data, ports = datagram.data, {datagram.source.port, datagram.destination.port}
    if datagram.protocol == ESP:
        return Arrival(datagram, now, Carried.ESP, data)
    if datagram.protocol == AH:
        return Arrival(datagram, now, Carried.AH, data)
    if datagram.protocol != UDP or (datagram.packet and ports.isdisjoint({IKE_PORT, NAT_T_PORT})):
        return Arrival(datagram, now, Carried.CLEAR, packet_of(datagram))
    if NAT_T_PORT in ports:
        if data == NAT_KEEPALIVE:
            return Arrival(datagram, now, Carried.KEEPALIVE, data)
        if not data.startswith(NON_ESP_MARKER):
            return Arrival(datagram, now, Carried.ESP, data)
        data = data[len(NON_ESP_MARKER) :]
    return Arrival(datagram, now, Carried.IKE, data, parse_message(data))


def on_wire(octets: bytes, source: Address, destination: Address) -> Datagram:
    """An IKE message as the datagram to send: with the non-ESP marker towards port 4500."""
    marked = destination.port == NAT_T_PORT
    return Datagram(NON_ESP_MARKER + octets if marked else octets, source, destination)
