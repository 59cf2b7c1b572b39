"""Why a packet was not passed on: every silent drop has a name."""

from dataclasses import dataclass
from enum import StrEnum


class DropReason(StrEnum):
    """Reasons of RFC 4301 and RFC 4303 (RFC 4302) to discard a packet; the values appear in counters and reports."""

    NOT_IP = "not-ip"
    """Neither an IPv4 nor an IPv6 packet, or shorter than it says."""
    NOT_IPSEC = "not-ipsec"
    """An IP packet that carries none of ESP, AH and UDP-encapsulated ESP."""
    FRAGMENT = "fragment"
    """An IP fragment handed to ESP or AH (RFC 4303 section 3.4.1)."""
    NAT_KEEPALIVE = "nat-keepalive"
    """A single octet 0xff on the encapsulation port (RFC 3948 section 2.3)."""
    IKE_MESSAGE = "ike-message"
    """The non-ESP marker: not for the data plane (RFC 3948 section 2.2)."""
    TOO_SHORT = "too-short"
    """No room for header, IV, trailer and ICV."""
    UNKNOWN_SPI = "unknown-spi"
    """No SA (RFC 4303 section 3.4.2)."""
    SEQUENCE_ZERO = "sequence-zero"
    """The first packet of an SA has sequence number 1 (RFC 4303 section 3.3.3)."""
    REPLAYED = "replayed"
    """Sequence number inside the window and seen before (RFC 4303 section 3.4.3)."""
    LEFT_OF_WINDOW = "left-of-window"
    """Sequence number older than the replay window."""
    BAD_ICV = "bad-icv"
    """Integrity check failed (RFC 4303 section 3.4.4)."""
    BAD_LENGTH = "bad-length"
    """Ciphertext is no multiple of the block size, or AH's length does not fit the algorithm."""
    BAD_PADDING = "bad-padding"
    """Pad Length beyond the packet, or padding that is not 1, 2, 3, ... (RFC 4303 section 2.4)."""
    DUMMY = "dummy"
    """A dummy packet of traffic flow confidentiality, Next Header 59 (RFC 4303 section 2.6)."""
    BAD_NEXT_HEADER = "bad-next-header"
    """A tunnel-mode packet whose payload is neither IPv4 nor IPv6."""
    BAD_INNER = "bad-inner"
    """The decapsulated octets are not the IP packet that the Next Header announces."""
    ECN_CE = "ecn-ce"
    """Congestion was marked on the way of a packet whose ends know no ECN (RFC 6040 section 4.2)."""
    SELECTOR_MISMATCH = "selector-mismatch"
    """The inner packet is not what the SA was negotiated for (RFC 4301 section 5.2)."""
    POLICY_DISCARD = "policy-discard"
    """A DISCARD entry, or no entry at all, matches (RFC 4301 section 4.4.1)."""
    UNPROTECTED = "unprotected"
    """Arrived in clear although the policy wants protection (RFC 4301 section 5.2)."""
    NO_SA = "no-sa"
    """The policy wants protection and there is no SA to give it."""
    TOO_LONG = "too-long"
    """With what protects it the packet would not fit into an IP packet."""
    SEQUENCE_EXHAUSTED = "sequence-exhausted"
    """The sender's sequence number would cycle (RFC 4303 section 3.3.3)."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A packet was discarded: why, and whatever was known of it by then."""

    reason: DropReason
    spi: bytes = b""
    sequence: int | None = None
    """Full 64-bit number once it is known."""
