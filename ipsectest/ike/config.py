"""What an endpoint is told: addresses, identities, credentials, suites, children."""

import ipaddress
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import Enum

from ipsectest.base.addresses import Address
from ipsectest.base.errors import InputError
from ipsectest.base.iana import IdentificationType, ProtocolId
from ipsectest.base.suites import TransformSpec, parse_suite
from ipsectest.crypto import signature
from ipsectest.crypto.certificates import same_name
from ipsectest.crypto.signature import PrivateKey
from ipsectest.wire import TrafficSelector

Suite = tuple[TransformSpec, ...]
"""The transforms of one proposal; several of one type are alternatives in order of preference."""


class Mode(Enum):
    """What an ESP or AH SA wraps (RFC 4301 section 4.1)."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"


@dataclass(frozen=True, slots=True)
class Identity:
    """The value of an IDi or IDr payload."""

    type: int
    """Identification type (``IdentificationType``)."""
    data: bytes
    """Octets after the type and reserved fields."""

    @classmethod
    def of(cls, text: str) -> "Identity":
        """ID_IPV4_ADDR or ID_IPV6_ADDR for an address, ID_RFC822_ADDR for a name with ``@``, else ID_FQDN."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            kind = IdentificationType.ID_RFC822_ADDR if "@" in text else IdentificationType.ID_FQDN
            return cls(kind, text.encode())
        is_v4 = address.version == 4
        return cls(IdentificationType.ID_IPV4_ADDR if is_v4 else IdentificationType.ID_IPV6_ADDR, address.packed)

    def is_same(self, other: "Identity | None") -> bool:
        """Whether it names the same: the strings of a distinguished name have several encodings."""
        if other and self.type == other.type == IdentificationType.ID_DER_ASN1_DN:
            return same_name(self.data, other.data)
        return self == other

    def __str__(self) -> str:
        """The text ``of`` takes, or the octets in hexadecimal."""
        if self.type in {IdentificationType.ID_IPV4_ADDR, IdentificationType.ID_IPV6_ADDR} and len(self.data) in {
            4,
            16,
        }:
            return str(ipaddress.ip_address(self.data))
        if self.type in {IdentificationType.ID_FQDN, IdentificationType.ID_RFC822_ADDR}:
            return self.data.decode("utf-8", "replace")
        return self.data.hex()


@dataclass(frozen=True, slots=True)
class SharedKey:
    """Authentication by pre-shared key (method 2)."""

    secret: bytes


@dataclass(frozen=True, slots=True)
class KeyPair:
    """How we authenticate with a certificate."""

    chain: tuple[bytes, ...]
    """X.509 certificates in DER, ours first, then the intermediate ones; the trust anchor is left out."""
    key: PrivateKey
    """The private key of the first certificate."""
    method: int | None = None
    """Authentication method; None: 14 when the peer announced a common hash (RFC 7427), else the legacy one."""

    anchor: bytes | None = None
    """The trust anchor of the chain in DER: never sent, but a CERTREQ may name it."""

    def __post_init__(self) -> None:
        """A method that does not fit the key is a mistake of the configuration, not of an exchange."""
        if self.method is not None:
            try:
                signature.sign(self.key, b"", self.method)
            except ValueError as error:
                raise InputError(str(error)) from error


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """How the peer authenticates with a certificate: it must chain to one of these."""

    certificates: tuple[bytes, ...]
    """X.509 certificates in DER."""
    at: datetime
    """Aware time for validity checks: this room has no clock."""


def suites(*texts: str) -> tuple[Suite, ...]:
    """``suites("aes128gcm16-prfsha256-x25519", ...)``: one proposal for each text."""
    return tuple(parse_suite(text) for text in texts)


DEFAULT_IKE = suites(
    "aes256gcm16-aes128gcm16-chacha20poly1305-prfsha512-prfsha256-x25519-ecp384-ecp256-modp3072-modp2048",
    "aes256-aes128-sha512-sha256-prfsha512-prfsha256-x25519-ecp384-ecp256-modp3072-modp2048",
)
"""RFC 8247 MUST and SHOULD algorithms only; AEAD ciphers in a proposal of their own (RFC 7296 section 3.3)."""
DEFAULT_ESP = suites(
    "aes256gcm16-aes128gcm16-chacha20poly1305-noesn",
    "aes256-aes128-sha512-sha256-noesn",
)
"""RFC 8221 MUST and SHOULD algorithms only."""


@dataclass(frozen=True, slots=True)
class ChildConfig:
    """One Child SA that a connection wants or allows."""

    name: str
    local_ts: tuple[TrafficSelector, ...]
    """What we send from, in TSi when we initiate."""
    remote_ts: tuple[TrafficSelector, ...]
    """What the peer sends from."""
    proposals: tuple[Suite, ...] = DEFAULT_ESP
    """Suites in order of preference; key exchange methods in them mean PFS (RFC 7296 section 1.3.1)."""
    mode: Mode = Mode.TUNNEL
    """TRANSPORT asks for it with USE_TRANSPORT_MODE and deletes a Child SA for which the responder declines it."""
    protocol: int = ProtocolId.ESP
    """``ProtocolId.ESP`` or ``ProtocolId.AH``."""

    def wanted_by(self, local: TrafficSelector, remote: TrafficSelector) -> "ChildConfig":
        """The same as a packet asks for it, which has these two: they come first (RFC 7296 section 2.9)."""
        return replace(self, local_ts=(local, *self.local_ts), remote_ts=(remote, *self.remote_ts))


class Childless(Enum):
    """Whether IKE_AUTH may, or has to, come without a Child SA (RFC 6023)."""

    ALLOW = "allow"
    """The peer may set an IKE SA up without one; we ask for one."""
    NEVER = "never"
    """As if RFC 6023 did not exist."""
    FORCE = "force"
    """IKE_AUTH brings no Child SA, whoever starts; CREATE_CHILD_SA does."""


@dataclass(frozen=True, slots=True)
class ConnectionConfig:
    """One peer: who it is, who we are to it, what we agree to."""

    name: str
    local: Address
    """Where our IKE packets come from; port 4500 starts with the non-ESP marker (RFC 7296 section 2.23)."""
    remote: Address
    """Where the peer is; host ``%any`` only answers."""
    local_identity: Identity
    remote_identity: Identity | None
    """None accepts any identity that authenticates."""
    local_auth: SharedKey | KeyPair
    remote_auth: SharedKey | TrustAnchors
    children: tuple[ChildConfig, ...] = ()
    """The first one is created with IKE_AUTH; with none at all ``childless`` is as good as FORCE."""
    proposals: tuple[Suite, ...] = DEFAULT_IKE
    other_keys: tuple[KeyPair, ...] = ()
    """Certificates beside ``local_auth``: taken where the peer's CERTREQ names their authority, and not its."""
    initial_contact: bool = True
    """Send INITIAL_CONTACT when this is the only IKE SA with the peer (RFC 7296 section 2.4)."""
    childless: Childless = Childless.ALLOW

    @property
    def starts_childless(self) -> bool:
        """Whether IKE_AUTH brings no Child SA."""
        return self.childless is Childless.FORCE or not self.children


@dataclass(frozen=True, slots=True)
class Retransmission:
    """Waits between transmissions of one request: initial, initial*base, ... (RFC 7296 section 2.4)."""

    initial: float = 2.0
    """Seconds before the first retransmission."""
    base: float = 1.8
    """Factor from one wait to the next; above 1."""
    tries: int = 6
    """Transmissions in all; after the last wait the IKE SA is given up."""


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """One node."""

    addresses: tuple[str, ...]
    """Our IP addresses; a datagram to another destination is dropped."""
    connections: tuple[ConnectionConfig, ...]
    retransmission: Retransmission = field(default_factory=Retransmission)
    window: int = 1
    """Requests we process at once; above 1 it is announced with SET_WINDOW_SIZE (RFC 7296 section 2.3)."""
    cookie_threshold: int = 16
    """Half-open IKE SAs from which on a COOKIE is demanded (RFC 7296 section 2.6)."""
    max_children: int = 256
    """Child SAs of one IKE SA from which on a further one gets NO_ADDITIONAL_SAS (RFC 7296 section 1.3)."""
    max_half_open: int = 256
    """Half-open IKE SAs beyond which the oldest is forgotten."""
    half_open_timeout: float = 30.0
    """Seconds a responder waits for IKE_AUTH."""
    liveness_interval: float | None = None
    """Seconds without a protected message until the peer is asked (RFC 7296 section 2.4); None: never."""
