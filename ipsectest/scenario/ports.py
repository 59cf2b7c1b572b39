"""What the step engine needs from outside: a peer that can be configured and asked, and a place to stand.

Peers (``ipsectest.peers``) implement `Peer`; the runner makes an `Environment` for each case and carries
datagrams and `PeerRequest` between a `Run` and the peer. Nothing here opens a socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from ipaddress import ip_network
from typing import Protocol

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.ike.config import KeyPair


class Verb(StrEnum):
    """What a script may ask of the peer; a peer that lacks one raises UnsupportedError."""

    INITIATE = "initiate"
    """Start the IKE SA and its first Child SA (`PeerRequest.child`) towards the tester."""
    CREATE = "create"
    """Create one more Child SA with the selectors of the first on the existing IKE SA."""
    REKEY_IKE = "rekey ike"
    REKEY_CHILD = "rekey child"
    """Rekey the Child SA whose inbound SPI at the peer is `PeerRequest.spi`."""
    DELETE_IKE = "delete ike"
    DELETE_CHILD = "delete child"
    LIVENESS = "liveness"
    """Send an empty INFORMATIONAL request now."""
    PING = "ping"
    """Send one ICMP echo request from the peer's inner address to the tester's."""
    SEND = "send"
    """Send `PeerRequest.packet` from the peer's network."""
    COUNTER = "counter"
    """Read the counter named by `PeerRequest.counter`; the only verb with an answer."""


class Counter(StrEnum):
    """Numbers a script may look at (`peer counter NAME ...`)."""

    REPLAY = "replay"
    """ESP packets dropped as replayed on the Child SAs of this case."""
    INTEGRITY = "integrity"
    """ESP packets dropped because their ICV was wrong."""
    IKE_SAS = "ike-sas"
    """IKE SAs established with this tester address."""
    HALF_OPEN = "half-open"
    """IKE SAs with this tester address that are not established yet."""
    CHILD_SAS = "child-sas"
    """Child SAs installed with this tester address."""


class Authentication(StrEnum):
    """How one side proves its identity."""

    PSK = "psk"
    RSA = "rsa"
    ECDSA = "ecdsa"
    ED25519 = "ed25519"
    NULL = "null"


@dataclass(frozen=True, slots=True)
class Identity:
    """One identity as in an ID payload.

    ``kind`` is fqdn, email, ipv4, ipv6, dn or keyid; ``value`` its text (keyid: hex).
    """

    kind: str
    value: str

    def __str__(self) -> str:
        """``kind:value``, the spelling of facts."""
        return f"{self.kind}:{self.value}"


@dataclass(frozen=True, slots=True)
class Selector:
    """One traffic selector in facts: an address range, a protocol (0 = any) and a port range."""

    start: str
    end: str
    protocol: int = 0
    start_port: int = 0
    end_port: int = 65535

    @classmethod
    def of(cls, prefix: str) -> "Selector":
        """All of a prefix, or of one address."""
        network = ip_network(prefix)
        return cls(str(network.network_address), str(network.broadcast_address))


@dataclass(frozen=True, slots=True)
class SpdEntry:
    """One line of the peer's security policy (RFC 4301 section 4.4.1); the first that matches a packet decides."""

    action: str
    """``protect``, ``bypass`` or ``discard``."""
    local: Selector | None = None
    """None: what the Child SA of the case is for; only for ``protect``."""
    remote: Selector | None = None
    child: str = ""
    """Of ``protect`` with selectors: the name of a further Child SA."""


BOUND_PORTS = range(6000, 6010)
"""UDP ports of the tester that belong to a Child SA with `PeerSettings.bound_to`."""


@dataclass(frozen=True, slots=True)
class PeerPacket:
    """A packet for the peer to send: ``ping``, ``syn`` or ``udp``."""

    kind: str
    source: str
    destination: str
    source_port: int
    destination_port: int
    size: int
    traffic_class: int = 0
    dont_fragment: bool | None = None
    """None: as the peer likes."""


@dataclass(frozen=True, slots=True)
class PeerSettings:
    """How the peer shall be set up for one case: the facts ``peer.*`` with every default filled in.

    "local" is the peer's side, "remote" the tester's. A driver that cannot do what a field asks raises
    UnsupportedError from `Peer.configure`; a field at its default is never a reason to raise. Durations are seconds.
    """

    name: str
    """Connection name, unique among the cases that run at once; letters, digits and ``-``."""
    local: Address
    remote: Address
    """Its host may be `ANY_HOST`: whoever proves the identity."""
    local_id: Identity
    remote_id: Identity
    local_auth: Authentication
    remote_auth: Authentication
    secret: bytes
    """Pre-shared key of both sides; empty if neither side uses one."""
    ike: tuple[tuple[TransformSpec, ...], ...]
    """IKE proposals in order of preference; no others are to be offered or accepted."""
    esp: tuple[tuple[TransformSpec, ...], ...]
    """ESP proposals; a key exchange method in one asks for PFS in CREATE_CHILD_SA."""
    local_ts: tuple[Selector, ...]
    remote_ts: tuple[Selector, ...]
    inner_local: str
    """Address that answers pings inside the tunnel."""
    inner_remote: str
    behind: str = ""
    """A host that the peer forwards packets to and from, by way of the tester."""
    child: str = "net"
    mode: str = "tunnel"
    protocol: int = ProtocolId.ESP
    """Or AH; ``esp`` are its suites."""
    replay_window: int | None = None
    """Packets; None leaves the peer's own default, 0 switches the check off."""
    spd: tuple[SpdEntry, ...] = ()
    """In order; empty: the Child SA of the case is all there is."""
    bound_to: str = ""
    """``interface``, ``vti`` or ``mark``: the Child SA carries of what fits its selectors only what is routed to its
    interface (XFRM or VTI), or has its mark, and that is ICMP and UDP to `BOUND_PORTS` of the tester; the rest leaves
    as if it was not there."""
    trap: bool = False
    """Traffic for the Child SA sets it up."""
    copy_df: bool = True
    """Whether the outer header gets the DF bit of the inner one; else it has none."""
    child_packets: int = 0
    """Packets in one direction after which the peer rekeys the Child SA by itself; 0 = never."""
    child_bytes: int = 0
    """The same in octets."""
    child_expires: bool = False
    """At its lifetime, packets or octets the Child SA ends instead of being rekeyed."""
    cookies: bool | None = None
    """True: demand a cookie of every IKE_SA_INIT; False: never; None: default."""
    dpd: float = 0.0
    """Idle time after which the peer checks liveness; 0 = never."""
    window: int = 1
    """Requests the peer may have outstanding and accepts ahead."""
    force_encapsulation: bool = False
    mobike: bool = False
    fragmentation: bool = False
    childless: str = "allow"
    """RFC 6023: allow, never or force."""
    ike_lifetime: float = 0.0
    """Time after which the peer rekeys the IKE SA by itself; 0 = never."""
    child_lifetime: float = 0.0
    retransmit: float = 0.5
    """Time to the first retransmission of the peer's requests; a driver comes as near as it can."""
    retransmit_tries: int = 6
    send_certificate: bool = True
    unique: str = "never"
    """What a second IKE SA of the same identity does to the first: never, replace or keep (the old one)."""
    pool: str = ""
    """An address that the tester gets if it asks for one (RFC 7296 section 2.19); it is all of ``remote_ts`` then."""
    hashes: tuple[str, ...] = ()
    """Hash algorithms for RFC 7427 signatures (sha256, sha384, sha512, identity); empty = default."""


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """One verb for the peer. ``number`` ties the answer to it."""

    number: int
    verb: Verb
    settings: PeerSettings
    child: str = "net"
    """Label of the Child SA in the script."""
    spi: bytes = b""
    """The peer's own inbound SPI of that Child SA (4 octets), or its IKE SPI (8 octets) for the verbs on IKE SAs."""
    ike_spi: bytes = b""
    """The peer's IKE SPI of the IKE SA meant (8 octets); empty before there is one."""
    counter: Counter | None = None
    packet: PeerPacket | None = None
    """Of `Verb.SEND`."""


class Peer(Protocol):
    """A running daemon (or the built-in endpoint) that takes the place of the other end.

    Calls come from one thread at a time for one case, but from several cases at once. None of them may wait for the
    tester to answer on the wire: `perform` starts what is asked and returns.
    """

    @property
    def name(self) -> str:
        """Such as ``strongswan``."""
        ...

    @property
    def version(self) -> str:
        """Version the daemon reports, such as ``6.0.1``."""
        ...

    def configure(self, settings: PeerSettings) -> None:
        """Load the connection of a case, passively (nothing is initiated). UnsupportedError names what is lacking."""
        ...

    def perform(self, request: PeerRequest) -> int | None:
        """Carry out a verb: a number for `Verb.COUNTER`, else None.

        UnsupportedError if the peer has no such verb or counter, PeerError if it refuses.
        """
        ...

    def forget(self, settings: PeerSettings) -> None:
        """Unload the connection and drop its SAs without telling the tester; fine if it is gone already."""
        ...

    def log(self, settings: PeerSettings) -> str:
        """What the peer logged about this case; a driver that cannot tell cases apart gives what it has."""
        ...

    def crash(self) -> str | None:
        """Why the peer is dead (signal, backtrace, assertion), or None while it is well."""
        ...


@dataclass(frozen=True, slots=True)
class Certificates:
    """The tester's side of the test PKI. With certificates the default identities are the two host names."""

    host: str
    """DNS name in the tester's certificates."""
    peer_host: str
    """DNS name in the peer's certificates."""
    mine: Mapping[Authentication, KeyPair]
    """Chain and key for rsa, ecdsa and ed25519."""
    anchors: tuple[bytes, ...]
    """Root certificates in DER that both ends trust."""
    at: datetime
    """Aware instant at which certificates are checked."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where one case stands: addresses of both ends outside and inside, and how patient to be."""

    tester: Address
    """Our address with the IKE port (500)."""
    peer: Address
    inner_tester: str
    """Our inner address; selectors ``ours`` are this host alone."""
    inner_peer: str
    slot: int = 1
    """Number of the address slot; makes names and identities of concurrent cases distinct."""
    other_port: int = 4999
    """A third port of ours (``from other``); 0 if there is none."""
    behind: str = ""
    """A host in the network behind the peer, which the peer reaches by way of us."""
    elsewhere: str = ""
    """A second outer address of ours (``from elsewhere``); empty if there is none."""
    slow: float = 1.0
    """Factor on the caps of expected lines (never on silence)."""
    retransmit: float = 1.0
    """Seconds until our own requests are repeated for the first time; 0 on a wire that loses nothing."""
    raw_esp: bool = True
    """Whether datagrams of protocol 50 can be carried; otherwise ESP lines need a tunnel ``behind nat``."""
    without_children: str = ""
    """Why the peer cannot set up Child SAs here (its kernel has no ESP); empty: it can."""
    without_kernel: str = ""
    """Why the peer has no policy for packets in clear, and neither AH nor transport mode; empty: it has."""
    whole_packets: bool = True
    """Whether packets with IP headers of our making go on the wire; otherwise sockets make them."""
    shared: bool = False
    """Whether later cases meet the same peer from the same address: what is left of this one is deleted on the wire."""
    pki: Certificates | None = field(default=None, repr=False, compare=False)
    """What the tester proves itself with where a case asks for certificates; None if the runner has none."""
