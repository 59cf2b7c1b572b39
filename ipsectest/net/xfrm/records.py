"""The parts of SAs and policies as values, each with the octets that linux/xfrm.h gives it.

Structures have no padding but what is written out; numbers are in host order unless the format says otherwise.
Classes with ``decode_from`` and ``encode_into`` are field types of pyroute2 messages.
"""

import struct
from dataclasses import dataclass, field, fields
from ipaddress import ip_network
from socket import AF_INET, AF_INET6
from typing import ClassVar, NamedTuple, Self

from ipsectest.net.xfrm.addresses import family_of, pack_address, pack_spi, unpack_address
from ipsectest.net.xfrm.constants import (
    ENCAPSULATIONS,
    MODES,
    NO_LIMIT,
    PROTOCOLS,
    SHARES,
    OffloadFlag,
    number_of,
    word_of,
)


class Algorithm(NamedTuple):
    """xfrm_algo: a cipher or a compression; ``name`` is one of the kernel's, see ``algorithms``."""

    name: str
    key: bytes = b""

    def pack(self) -> bytes:
        """Name in 64 octets, key length in bits, key."""
        return struct.pack("=64sI", self.name.encode("ascii"), 8 * len(self.key)) + bytes(self.key)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        name, bits = struct.unpack_from("=64sI", octets)
        return cls(_text(name), octets[68 : 68 + bits // 8])


class Authentication(NamedTuple):
    """xfrm_algo_auth; an ICV of 0 bits is left to the kernel (96 bits for hmac(sha256), unlike RFC 4868)."""

    name: str
    key: bytes
    icv_bits: int = 0

    def pack(self) -> bytes:
        """Name in 64 octets, lengths of key and ICV in bits, key."""
        return struct.pack("=64sII", self.name.encode("ascii"), 8 * len(self.key), self.icv_bits) + bytes(self.key)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        name, bits, icv_bits = struct.unpack_from("=64sII", octets)
        return cls(_text(name), octets[72 : 72 + bits // 8], icv_bits)


class Aead(Authentication):
    """xfrm_algo_aead, of the same layout; the key ends with the salt (RFC 4106 section 8.1)."""

    __slots__ = ()


def _text(octets: bytes) -> str:
    return octets.split(b"\0", 1)[0].decode("utf-8", "replace")


class Mark(NamedTuple):
    """xfrm_mark."""

    value: int
    mask: int = 0xFFFFFFFF

    def pack(self) -> bytes:
        """Two numbers of 32 bits."""
        return struct.pack("=II", self.value, self.mask)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        return cls(*struct.unpack_from("=II", octets))


class Encapsulation(NamedTuple):
    """xfrm_encap_tmpl: ESP in UDP (RFC 3948) or TCP (RFC 8229); ``original`` is the NAT-OA address, mostly none."""

    kind: str
    sport: int
    dport: int
    original: str = ""

    def pack(self) -> bytes:
        """24 octets."""
        ports = struct.pack("=H", number_of(ENCAPSULATIONS, self.kind)) + struct.pack("!HH", self.sport, self.dport)
        return ports + bytes(2) + pack_address(self.original)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        (kind,) = struct.unpack_from("=H", octets)
        sport, dport = struct.unpack_from("!HH", octets, 2)
        original = octets[8:24]
        family = 0 if not any(original) else AF_INET6 if any(original[4:]) else AF_INET
        return cls(word_of(ENCAPSULATIONS, kind), sport, dport, unpack_address(original, family))


class Offload(NamedTuple):
    """xfrm_user_offload: a device that does part of the work."""

    ifindex: int
    flags: OffloadFlag = OffloadFlag(0)

    def pack(self) -> bytes:
        """8 octets."""
        return struct.pack("=iB3x", self.ifindex, self.flags)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        ifindex, flags = struct.unpack_from("=iB", octets)
        return cls(ifindex, OffloadFlag(flags))


class SecurityContext(NamedTuple):
    """xfrm_user_sec_ctx: the label of a security module."""

    context: str
    algorithm: int = 1
    """XFRM_SC_ALG_SELINUX."""
    domain: int = 1
    """XFRM_SC_DOI_LSM."""

    def pack(self) -> bytes:
        """8 octets and the label, which ends with a zero octet."""
        label = self.context.encode("utf-8") + b"\0"
        return struct.pack("=HHBBH", 8 + len(label), 8, self.algorithm, self.domain, len(label)) + label

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        _, _, algorithm, domain, length = struct.unpack_from("=HHBBH", octets)
        return cls(_text(octets[8 : 8 + length]), algorithm, domain)


class Replay(NamedTuple):
    """Anti-replay state: last numbers sent and received, and the window as words of 32 bits.

    Without ESN and with a window of at most 32 it is an xfrm_replay_state, where bit 0 stands for ``seq`` and
    bit N for N before it; else an xfrm_replay_state_esn, where bit (N - 1) mod window stands for number N.
    """

    oseq: int = 0
    seq: int = 0
    bitmap: tuple[int, ...] = ()

    def pack(self) -> bytes:
        """xfrm_replay_state, 12 octets."""
        return struct.pack("=III", self.oseq, self.seq, *(self.bitmap or (0,)))

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel."""
        oseq, seq, bitmap = struct.unpack_from("=III", octets)
        return cls(oseq, seq, (bitmap,))


class ReplayWindow(NamedTuple):
    """xfrm_replay_state_esn: the state with its window size in packets."""

    state: Replay
    window: int

    def pack(self) -> bytes:
        """24 octets and the words of the window."""
        words = -(-self.window // 32)
        numbers = (self.state.oseq, self.state.seq)
        low, high = ([number >> shift & 0xFFFFFFFF for number in numbers] for shift in (0, 32))
        bitmap = (*self.state.bitmap, *[0] * words)[:words]
        return struct.pack(f"={6 + words}I", words, *low, *high, self.window, *bitmap)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of octets made by ``pack`` or by the kernel; a window that is cut short keeps the words that are there."""
        words, oseq, seq, oseq_high, seq_high, window = struct.unpack_from("=6I", octets)
        present = min(words, (len(octets) - 24) // 4)
        bitmap = struct.unpack_from(f"={present}I", octets, 24)
        return cls(Replay(oseq_high << 32 | oseq, seq_high << 32 | seq, bitmap), window)


class _Structure:
    """A field of a message that is a structure of its own: pyroute2 calls these two."""

    LAYOUT: ClassVar[struct.Struct]

    def pack(self) -> bytes:
        raise NotImplementedError

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        raise NotImplementedError

    @classmethod
    def encode_into(cls, data: bytearray, offset: int, value: "_Structure") -> int:
        """Append the octets; the offset behind them."""
        octets = value.pack() if value else bytes(cls.LAYOUT.size)
        data.extend(octets)
        return offset + len(octets)

    @classmethod
    def decode_from(cls, data: bytes, offset: int) -> tuple[Self, int]:
        """The value at an offset, and the offset behind it."""
        size = cls.LAYOUT.size
        return cls.unpack(data[offset : offset + size]), offset + size


@dataclass(frozen=True, slots=True)
class Selector(_Structure):
    """xfrm_selector: traffic from one prefix to another, as in ``Selector("198.51.100.0/24", "203.0.113.0/24")``.

    No prefixes at all stand for any traffic of the family that the SA has.
    """

    src: str = ""
    dst: str = ""
    proto: int = 0
    """IP protocol number, 0 for any."""
    sport: int | None = None
    """Source port; type of an ICMP message; None for any."""
    dport: int | None = None
    """Destination port; code of an ICMP message."""
    sport_mask: int = 0xFFFF
    dport_mask: int = 0xFFFF
    ifindex: int = 0
    user: int = 0

    LAYOUT = struct.Struct("=16s16s4s4sHBBBxxxiI")

    def pack(self) -> bytes:
        """56 octets. Raises ValueError for prefixes that are none or of two families."""
        family = family_of(self.src or self.dst)
        anywhere = "::/0" if family == AF_INET6 else "0.0.0.0/0"
        source, destination = ip_network(self.src or anywhere), ip_network(self.dst or anywhere)
        if source.version != destination.version:
            raise ValueError(f"a selector has one IP version, not {self.src} and {self.dst}")
        lengths = (destination.prefixlen, source.prefixlen) if family else (0, 0)
        return self.LAYOUT.pack(
            destination.network_address.packed.ljust(16, b"\0"),
            source.network_address.packed.ljust(16, b"\0"),
            _pack_port(self.dport, self.dport_mask),
            _pack_port(self.sport, self.sport_mask),
            family,
            *lengths,
            self.proto,
            self.ifindex,
            self.user,
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 56 octets made by ``pack`` or by the kernel."""
        destination, source, dport, sport, family, *rest = cls.LAYOUT.unpack(octets)
        destination_bits, source_bits, proto, ifindex, user = rest
        prefixes = [
            f"{address}/{bits}" if (address := unpack_address(packed, family)) else ""
            for packed, bits in ((source, source_bits), (destination, destination_bits))
        ]
        (sport, sport_mask), (dport, dport_mask) = _unpack_port(sport), _unpack_port(dport)
        return cls(prefixes[0], prefixes[1], proto, sport, dport, sport_mask, dport_mask, ifindex, user)

    @property
    def family(self) -> int:
        """AF_INET, AF_INET6, or 0 where no prefix is given."""
        return family_of(self.src or self.dst)


def _pack_port(port: int | None, mask: int) -> bytes:
    return bytes(4) if port is None else struct.pack("!HH", port, mask)


def _unpack_port(octets: bytes) -> tuple[int | None, int]:
    port, mask = struct.unpack("!HH", octets)
    return (port, mask) if mask else (None, 0xFFFF)


@dataclass(frozen=True, slots=True)
class Lifetimes(_Structure):
    """xfrm_lifetime_cfg: limits in octets, packets, seconds since added and since first used; None for no limit."""

    soft_octets: int | None = None
    hard_octets: int | None = None
    soft_packets: int | None = None
    hard_packets: int | None = None
    soft_seconds: int | None = None
    hard_seconds: int | None = None
    soft_use_seconds: int | None = None
    hard_use_seconds: int | None = None

    LAYOUT = struct.Struct("=8Q")

    def pack(self) -> bytes:
        """64 octets; no limit is 2^64 - 1 in octets and packets, 0 in seconds."""
        limits = [getattr(self, limit.name) for limit in fields(self)]
        unlimited = [NO_LIMIT] * 4 + [0] * 4
        return self.LAYOUT.pack(
            *(none if limit is None else limit for limit, none in zip(limits, unlimited, strict=True))
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 64 octets made by ``pack`` or by the kernel."""
        numbers = cls.LAYOUT.unpack(octets)
        counted = [None if number == NO_LIMIT else number for number in numbers[:4]]
        return cls(*counted, *[number if 0 < number < NO_LIMIT else None for number in numbers[4:]])


@dataclass(frozen=True, slots=True)
class Usage(_Structure):
    """xfrm_lifetime_cur: what went through, and when it was added and first used (seconds since 1970, 0: never)."""

    octets: int = 0
    packets: int = 0
    added: int = 0
    used: int = 0

    LAYOUT = struct.Struct("=4Q")

    def pack(self) -> bytes:
        """32 octets."""
        return self.LAYOUT.pack(self.octets, self.packets, self.added, self.used)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 32 octets made by ``pack`` or by the kernel."""
        return cls(*cls.LAYOUT.unpack(octets))


@dataclass(frozen=True, slots=True)
class Statistics(_Structure):
    """xfrm_stats: packets dropped by an SA."""

    replay_window: int = 0
    """Before the window."""
    replay: int = 0
    integrity_failed: int = 0

    LAYOUT = struct.Struct("=3I")

    def pack(self) -> bytes:
        """12 octets."""
        return self.LAYOUT.pack(self.replay_window, self.replay, self.integrity_failed)

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 12 octets made by ``pack`` or by the kernel."""
        return cls(*cls.LAYOUT.unpack(octets))


@dataclass(frozen=True, slots=True)
class Template(_Structure):
    """xfrm_user_tmpl: the SA that a policy asks for; in transport mode without addresses, in tunnel mode with both."""

    src: str = ""
    dst: str = ""
    proto: str = "esp"
    mode: str = "transport"
    spi: int = 0
    """0 for any."""
    reqid: int = 0
    """0 for any."""
    share: str = "any"
    optional: bool = False
    """``level use``: pass the packet unprotected where there is no SA."""
    aalgos: int = 0xFFFFFFFF
    ealgos: int = 0xFFFFFFFF
    calgos: int = 0xFFFFFFFF
    family: int = field(default=0, compare=False)
    """AF_INET or AF_INET6 of the SA; 0: of the addresses, else of the policy's selector."""

    LAYOUT = struct.Struct("=16s4sB3xH2x16sIBBBx3I")

    def pack(self) -> bytes:
        """64 octets."""
        return self.LAYOUT.pack(
            pack_address(self.dst),
            pack_spi(self.spi),
            number_of(PROTOCOLS, self.proto),
            self.family or family_of(self.dst or self.src),
            pack_address(self.src),
            self.reqid,
            number_of(MODES, self.mode),
            number_of(SHARES, self.share),
            self.optional,
            self.aalgos,
            self.ealgos,
            self.calgos,
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 64 octets made by ``pack`` or by the kernel."""
        dst, spi, proto, family, src, reqid, mode, share, optional, *masks = cls.LAYOUT.unpack(octets)
        return cls(
            # An all-zero address is "none": transport mode takes those of the packet.
            unpack_address(src, family) if any(src) else "",
            unpack_address(dst, family) if any(dst) else "",
            word_of(PROTOCOLS, proto),
            word_of(MODES, mode),
            int.from_bytes(spi, "big"),
            reqid,
            word_of(SHARES, share),
            bool(optional),
            masks[0],
            masks[1],
            masks[2],
            family,
        )


@dataclass(frozen=True, slots=True)
class Migration(_Structure):
    """xfrm_user_migrate: the addresses of SAs and templates, before and after a move."""

    old_src: str
    old_dst: str
    new_src: str
    new_dst: str
    proto: str = "esp"
    mode: str = "tunnel"
    reqid: int = 0

    LAYOUT = struct.Struct("=16s16s16s16sBBxxIHH")

    def pack(self) -> bytes:
        """76 octets."""
        return self.LAYOUT.pack(
            *(pack_address(a) for a in (self.old_dst, self.old_src, self.new_dst, self.new_src)),
            number_of(PROTOCOLS, self.proto),
            number_of(MODES, self.mode),
            self.reqid,
            family_of(self.old_dst),
            family_of(self.new_dst),
        )

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 76 octets made by ``pack`` or by the kernel."""
        old_dst, old_src, new_dst, new_src, proto, mode, reqid, old, new = cls.LAYOUT.unpack(octets)
        return cls(
            unpack_address(old_src, old),
            unpack_address(old_dst, old),
            unpack_address(new_src, new),
            unpack_address(new_dst, new),
            word_of(PROTOCOLS, proto),
            word_of(MODES, mode),
            reqid,
        )


@dataclass(frozen=True, slots=True)
class KmAddress(_Structure):
    """xfrm_user_kmaddress: where IKE is to speak after a move."""

    local: str
    remote: str

    LAYOUT = struct.Struct("=16s16s4xH2x")

    def pack(self) -> bytes:
        """40 octets."""
        return self.LAYOUT.pack(pack_address(self.local), pack_address(self.remote), family_of(self.local))

    @classmethod
    def unpack(cls, octets: bytes) -> Self:
        """Of 40 octets made by ``pack`` or by the kernel."""
        local, remote, family = cls.LAYOUT.unpack(octets)
        return cls(unpack_address(local, family), unpack_address(remote, family))
