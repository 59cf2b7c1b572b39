"""The data of one IKE SA and of one Child SA: what exchanges read and fill, without behaviour of their own.

``IkeSa`` serves both roles. "Initiator" always means the original initiator of this IKE SA (flag I, SK_*i keys);
"local" and "remote" mean this end and the peer. Who started a later exchange is a matter of the exchange.
"""

from dataclasses import dataclass, field
from enum import Enum

from ipsectest.base.addresses import Address
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import HeaderFlag, ProtocolId
from ipsectest.crypto import KeyShare
from ipsectest.crypto.keys import IkeKeys
from ipsectest.ike.config import ChildConfig, ConnectionConfig, Identity, Mode
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.states import State
from ipsectest.wire import Message, Proposal, TrafficSelector

ZERO_SPI = bytes(8)
# Plain numbers: operators of IntFlag take microseconds.
_INITIATOR, _RESPONSE = HeaderFlag.INITIATOR.value, HeaderFlag.RESPONSE.value


class Role(Enum):
    """Which end of the IKE SA we are."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class ChildState(Enum):
    """Where a Child SA stands; it decides the answers of RFC 7296 section 2.25.1."""

    INSTALLED = "installed"
    REKEYING = "rekeying"
    """We have asked the peer to replace it."""
    REKEYED = "rekeyed"
    """A successor exists; whoever made that one deletes this one."""
    DELETING = "deleting"
    """We have sent a Delete for it."""


@dataclass(frozen=True, slots=True)
class ChildKeys:
    """KEYMAT of a Child SA by direction (RFC 7296 section 2.17); cipher keys include the salt."""

    encryption_in: bytes
    integrity_in: bytes
    encryption_out: bytes
    integrity_out: bytes


@dataclass(frozen=True, slots=True)
class RealAddresses:
    """Packed addresses behind NATs, as the peer has them: its TCP and UDP checksums cover these (RFC 3948 3.1.2)."""

    remote: bytes
    """What the peer takes for its own address."""
    local: bytes
    """What the peer takes for ours."""


@dataclass(eq=False, slots=True)
class ChildSa:
    """A pair of ESP or AH SAs."""

    config: ChildConfig
    protocol: int
    spi_in: bytes
    """4 octets, chosen by us: names the SA in our Delete and REKEY_SA payloads."""
    spi_out: bytes
    """4 octets, chosen by the peer."""
    chosen: Chosen
    keys: ChildKeys
    mode: Mode
    local_ts: tuple[TrafficSelector, ...]
    remote_ts: tuple[TrafficSelector, ...]
    is_initiator: bool
    """Whether we started the exchange that made it."""
    nonces: tuple[bytes, bytes] = (b"", b"")
    """Ni and Nr of that exchange: they decide collisions (RFC 7296 section 2.8.1)."""
    real: RealAddresses | None = None
    """In transport mode behind a NAT (RFC 7296 section 2.23.1)."""
    state: ChildState = ChildState.INSTALLED
    replaces: "ChildSa | None" = None
    successor: "ChildSa | None" = None


@dataclass(eq=False, slots=True)
class IkeSa:
    """One IKE SA of either role."""

    role: Role
    local: Address
    remote: Address
    connection: ConnectionConfig
    state: State = State.IDLE
    spi_i: bytes = ZERO_SPI
    spi_r: bytes = ZERO_SPI

    offered: list[Proposal] = field(default_factory=list)
    """SA payload of the request, as sent or received."""
    chosen: Chosen | None = None
    """The suite both agreed on; set before ``keys``."""
    group: int = 0
    """Key exchange method of the KE payloads."""
    shares: dict[int, KeyShare] = field(default_factory=dict)
    """Our key shares by group, kept for repeated requests."""
    public_value: bytes = b""
    """Our KE payload data as responder."""
    nonce_i: bytes = b""
    nonce_r: bytes = b""
    cookie: bytes | None = None
    """To be echoed in the next IKE_SA_INIT request (RFC 7296 section 2.6)."""
    shared_secret: bytes = b""
    keys: IkeKeys | None = None
    """SK_* of this SA (RFC 7296 section 2.14), None until IKE_SA_INIT or the rekey is done."""

    init_request: bytes = b""
    """The last IKE_SA_INIT request on the wire without non-ESP marker: what AUTH signs (RFC 7296 section 2.15)."""
    init_response: bytes = b""

    peer_hashes: tuple[int, ...] = ()
    """SIGNATURE_HASH_ALGORITHMS of the peer (RFC 7427 section 4); empty: it did not announce any."""
    requested_authorities: bytes = b""
    """CERTREQ data of the peer for X.509 certificates: 20-octet hashes of CA keys (RFC 7296 section 3.7)."""
    may_be_childless: bool = False
    """The responder has announced that IKE_AUTH may come without a Child SA (RFC 6023 section 3)."""
    local_behind_nat: bool = False
    remote_behind_nat: bool = False
    remote_identity: Identity | None = None
    """What the peer claimed, and proved once the state is ESTABLISHED."""
    remote_identity_octets: bytes = b""
    """Body of the peer's ID payload: part of what its AUTH signs."""

    next_request_id: int = 0
    """Message ID of our next request."""
    next_expected_id: int = 0
    """Smallest Message ID of a peer's request not seen yet."""
    peer_window: int = 1
    """Requests the peer processes at once (SET_WINDOW_SIZE, RFC 7296 section 2.3)."""
    children: dict[bytes, ChildSa] = field(default_factory=dict)
    """Child SAs by our inbound SPI; a rekeyed IKE SA shares the dictionary with its successor."""
    outstanding: list[object] = field(default_factory=list)
    """Tasks whose requests wait for a response: they decide conflicts (RFC 7296 section 2.25)."""
    deleted_early: set[tuple[int, bytes]] = field(default_factory=set)
    """Protocol and SPI of Deletes for Child SAs unknown to us while a response that may bring them is on its way."""
    takes_no_children: bool = False
    """The peer has answered NO_ADDITIONAL_SAS and still has as many Child SAs as then (RFC 7296 section 1.3)."""
    successor: "IkeSa | None" = None
    """The IKE SA that replaced this one."""
    rekey_nonces: tuple[bytes, bytes] = (b"", b"")
    """Ni and Nr of the rekey that made this SA (RFC 7296 section 2.8.2)."""

    @classmethod
    def initiator(cls, connection: ConnectionConfig, random: RandomBytes) -> "IkeSa":
        """A new IKE SA that we start, with an SPI of its own."""
        spi = random(8)
        return cls(Role.INITIATOR, connection.local, connection.remote, connection, spi_i=spi)

    @classmethod
    def responder(cls, request: Message, connection: ConnectionConfig, local: Address, remote: Address) -> "IkeSa":
        """A new IKE SA that the peer's IKE_SA_INIT request asks for; SPIr stays zero until it is accepted."""
        return cls(Role.RESPONDER, local, remote, connection, spi_i=request.initiator_spi)

    @property
    def is_initiator(self) -> bool:
        """Whether we are the original initiator of this IKE SA."""
        return self.role is Role.INITIATOR

    @property
    def spi_local(self) -> bytes:
        """Our SPI, by which we find this SA."""
        return self.spi_i if self.is_initiator else self.spi_r

    @property
    def spi_remote(self) -> bytes:
        """The peer's SPI."""
        return self.spi_r if self.is_initiator else self.spi_i

    def header(self, exchange_type: int, message_id: int, *, response: bool = False) -> Message:
        """An empty message of this SA with SPIs and flags as they should be."""
        flags = (_INITIATOR if self.is_initiator else 0) | (_RESPONSE if response else 0)
        return Message(self.spi_i, self.spi_r, exchange_type, flags, message_id, [])

    def take_message_id(self) -> int:
        """The Message ID for our next request; counts on."""
        self.next_request_id += 1
        return self.next_request_id - 1

    def sent(self, octets: bytes) -> None:
        """Keep an IKE_SA_INIT message that we sent: the last one is what our AUTH signs."""
        if self.is_initiator:
            self.init_request = octets
        else:
            self.init_response = octets

    def received(self, octets: bytes) -> None:
        """Keep an IKE_SA_INIT message of the peer, without non-ESP marker."""
        if self.is_initiator:
            self.init_response = octets
        else:
            self.init_request = octets

    def child_by_peer_spi(self, protocol: int, spi: bytes) -> ChildSa | None:
        """The Child SA that the peer names by its own inbound SPI (Delete, REKEY_SA)."""
        for child in self.children.values():
            if child.spi_out == spi and child.protocol == protocol:
                return child
        return None


def is_ipsec(protocol: int) -> bool:
    """Whether protocol is that of a Child SA."""
    return protocol in {ProtocolId.ESP, ProtocolId.AH}
