"""Security associations: the algorithms, keys and counters of one direction (RFC 4301 section 4.4.2.1)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from ipsectest.base.errors import IpsectestError
from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.crypto.ciphers import BoundCipher, Cipher, cipher
from ipsectest.crypto.integrities import Integrity, integrity
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.replay import ReplayWindow
from ipsectest.ipsec.spd import Selector


class Mode(StrEnum):
    """RFC 4301 section 3.2."""

    TUNNEL = "tunnel"
    TRANSPORT = "transport"


class DontFragment(StrEnum):
    """What becomes of the DF bit in an outer IPv4 header (RFC 4301 section 8.1)."""

    COPY = "copy"
    SET = "set"
    CLEAR = "clear"


class SequenceExhaustedError(IpsectestError):
    """The next sequence number would cycle; nothing may be sent on this SA any more (RFC 4303 section 3.3.3)."""


@dataclass(slots=True, kw_only=True, eq=False)
class SecurityAssociation:
    """One simplex ESP or AH SA.

    Keys are those of KEYMAT: cipher key || salt, integrity key. Raises UnsupportedAlgorithmError for
    an algorithm that is not there and ValueError for keys of a wrong length or transforms that do not go together.
    """

    spi: bytes
    """4 octets."""
    source: str
    """Outer source address, as text."""
    destination: str
    """Outer destination address, as text."""
    protocol: int = ProtocolId.ESP
    encryption: TransformSpec | None = None
    encryption_key: bytes = b""
    integrity: TransformSpec | None = None
    integrity_key: bytes = b""
    mode: Mode = Mode.TUNNEL
    udp_ports: tuple[int, int] | None = None
    """(source port, destination port) of UDP-encapsulated ESP (RFC 3948); None for plain ESP."""
    esn: bool = False
    replay_window: int = 64
    """Size of the receive window in packets; 0 turns anti-replay off."""
    selectors: Sequence[Selector] = ()
    """What the SA was negotiated for, seen from our side; empty: anything (RFC 4301 section 5.2)."""
    checks_padding: bool = True
    """Whether received padding must be 1, 2, 3, ... (a SHOULD of RFC 4303 section 2.4)."""
    pads_to: int = 0
    """TFC: tunnelled packets are padded to this many octets before the trailer (RFC 4303 section 2.7)."""
    dont_fragment: DontFragment = DontFragment.COPY
    hop_limit: int = 64
    """Of outer headers."""
    may_move: bool = False
    """Of an inbound SA: the sender is behind a NAT, whose mapping may change at any time (RFC 7296 section 2.23)."""
    real_addresses: tuple[bytes, bytes] | None = None
    """In transport mode behind a NAT: source and destination, packed, that the sender makes its TCP and UDP checksums
    with (RFC 3948 section 3.1.2, RFC 7296 section 2.23.1)."""
    ah_alignment: int = 0
    """AH length in units of this many octets: 4, 8, or 0 for 4 in IPv4 and 8 in IPv6 (RFC 4302 section 2.2)."""

    sent: int = 0
    """Last sequence number sent, 64 bits."""
    ivs: int = 0
    """IVs drawn so far by a counter-mode cipher: uniqueness does not depend on forced sequence numbers."""
    packets: int = 0
    """Packets protected or passed."""
    octets: int = 0
    """Octets of their plaintext."""
    drops: Counter[DropReason] = field(default_factory=Counter)
    replay: ReplayWindow = field(init=False)
    cipher: Cipher = field(init=False, repr=False)
    context: BoundCipher = field(init=False, repr=False)
    authenticator: Integrity | None = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.spi) != 4:
            raise ValueError(f"an SPI of ESP or AH has 4 octets, not {len(self.spi)}")
        encr = self.encryption or TransformSpec(1, 11)  # ENCR_NULL
        self.cipher = cipher(encr.id, encr.key_length)
        self.context = self.cipher.bind(self.encryption_key)
        self.authenticator = integrity(self.integrity.id) if self.integrity and self.integrity.id else None
        expected = self.authenticator.key_length if self.authenticator else 0
        if len(self.integrity_key) != expected:
            raise ValueError(f"integrity key has {len(self.integrity_key)} octets, the algorithm takes {expected}")
        if self.authenticator and self.cipher.is_aead:
            raise ValueError("an AEAD cipher takes no integrity algorithm beside it")
        if self.authenticator and self.authenticator.iv_length and self.protocol != ProtocolId.AH:
            raise ValueError("AES-GMAC as an integrity algorithm is for AH only (RFC 4543 section 4)")
        if self.protocol == ProtocolId.AH and (self.authenticator is None or self.udp_ports):
            raise ValueError("AH needs an integrity algorithm and cannot be UDP-encapsulated")
        # Without integrity nothing tells a replayed number from a forged one (RFC 4303 section 3.4.3).
        self.replay = ReplayWindow(self.replay_window if self.has_integrity else 0, esn=self.esn)

    @property
    def has_integrity(self) -> bool:
        """Whether the SA authenticates what it carries."""
        return self.cipher.is_aead or self.authenticator is not None

    def take_sequence(self, forced: int | None = None) -> int:
        """The number for the next packet; a forced one is used as it is and later ones follow the highest.

        Raises SequenceExhaustedError instead of cycling (RFC 4303 section 3.3.3).
        """
        if forced is not None:
            self.sent = max(self.sent, forced)
            return forced
        following = self.sent + 1
        if following >> (64 if self.esn else 32):
            raise SequenceExhaustedError(f"SA {self.spi.hex()}: sequence number space used up, rekey is due")
        self.sent = following
        return following

    def take_iv(self, random: bytes) -> bytes:
        """``random`` for CBC, which needs unpredictable IVs; a counter for all others, which need unique ones."""
        if self.cipher.block_length > 1:
            return random
        self.ivs += 1
        return self.ivs.to_bytes(8, "big")[8 - len(random) :]

    def drop(self, reason: DropReason, sequence: int | None = None) -> Drop:
        """Count and report a discarded packet."""
        self.drops[reason] += 1
        return Drop(reason, self.spi, sequence)
