"""The Authentication Header (RFC 4302): an ICV over the packet and what does not change of its IP header.

IP header(s) | Next Header, Payload Len, Reserved, SPI, Sequence Number, ICV, padding | payload
authenticated, with mutable fields and the ICV as zero --------------------------------------|
"""

import struct

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.integrities import Integrity
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import NOTHING_FORCED, Forced, Opened
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.ipsec.transport import replace_payload, split
from ipsectest.ipsec.tunnel import next_header_of, outer_packet, packed
from ipsectest.wire.ip import AH, DESTINATION_OPTIONS, HOP_BY_HOP, ROUTING, IpPacket, parse_ip

_FIXED = struct.Struct("!BBH4sI")
_LOW = (1 << 32) - 1
_END, _NO_OPERATION = 0, 1
_IMMUTABLE_IPV4_OPTIONS = frozenset({130, 133, 134, 148, 149})
"""RFC 4302 appendix A1: the three security options, router alert, multi-destination delivery."""
_CHANGES_EN_ROUTE = 0x20
"""Third-highest bit of an IPv6 option type (RFC 8200 section 4.2)."""


def protect_ah(sa: SecurityAssociation, packet: bytes, random: RandomBytes, forced: Forced = NOTHING_FORCED) -> bytes:
    """The packet under AH, behind a new IP header in tunnel mode; ``forced.padding`` follows the ICV.

    Raises SequenceExhaustedError, and ValueError for octets that are no (whole) IP packet.
    """
    if sa.mode is Mode.TUNNEL:
        inner, next_header, payload = parse_ip(packet), next_header_of(packet), packet
        six = len(packed(sa.source)) == 16
    else:
        whole = split(packet)
        inner, next_header, payload, six = whole, whole.protocol, whole.payload, whole.version == 6
    sequence = sa.take_sequence(forced.sequence)
    blank = _blank_header(sa, next_header, sequence, forced, six=six)
    if sa.mode is Mode.TUNNEL:
        protected = outer_packet(sa, AH, blank + payload, inner, random)
    else:
        protected = replace_payload(split(packet), AH, blank + payload)
    ip = parse_ip(protected)
    if ip is None:
        raise ValueError("the packet is too long for its IP header")
    authenticator = _authenticator(sa)
    iv = sa.take_iv(bytes(authenticator.iv_length)) if forced.iv is None else forced.iv
    icv = forced.icv
    if icv is None:
        icv = authenticator.compute(sa.integrity_key, _covered(sa, ip, ip.payload, sequence), iv)
    at = len(ip.headers) + _FIXED.size
    sa.packets += 1
    sa.octets += len(payload)
    return protected[:at] + icv + protected[at + authenticator.icv_length :]


def open_ah(sa: SecurityAssociation, ip: IpPacket) -> Opened | Drop:  # noqa: PLR0911  # checks in RFC 4302's order
    """Check a packet that carries AH (RFC 4302 section 3.4); never raises, moves the window only after the ICV."""
    icv_length = _authenticator(sa).icv_length
    if ip.is_fragment:
        return sa.drop(DropReason.FRAGMENT)
    if len(ip.payload) < _FIXED.size + icv_length:
        return sa.drop(DropReason.TOO_SHORT)
    next_header, words, _, spi, low = _FIXED.unpack_from(ip.payload)
    length = (words + 2) * 4
    if spi != sa.spi:
        return sa.drop(DropReason.UNKNOWN_SPI)
    sequence = sa.replay.infer(low)
    if reason := sa.replay.judge(sequence):
        return sa.drop(reason, sequence)
    if not _FIXED.size + icv_length <= length <= len(ip.payload):
        return sa.drop(DropReason.BAD_LENGTH, sequence)
    end = _FIXED.size + icv_length
    icv, blank = ip.payload[_FIXED.size : end], ip.payload[: _FIXED.size] + bytes(icv_length) + ip.payload[end:]
    if not _authenticator(sa).verify(sa.integrity_key, _covered(sa, ip, blank, sequence), icv):
        return sa.drop(DropReason.BAD_ICV, sequence)
    sa.replay.accept(sequence)
    sa.packets += 1
    sa.octets += len(ip.payload) - length
    return Opened(ip.payload[length:], next_header, sequence, icv[: _authenticator(sa).iv_length])


def _authenticator(sa: SecurityAssociation) -> Integrity:
    if sa.authenticator is None:
        raise ValueError("AH needs an integrity algorithm (RFC 4302 section 3.2)")
    return sa.authenticator


def _blank_header(sa: SecurityAssociation, next_header: int, sequence: int, forced: Forced, *, six: bool) -> bytes:
    """AH with a zero ICV, padded to 32-bit words in IPv4 and 64-bit words in IPv6 (RFC 4302 section 2.6)."""
    size = _FIXED.size + _authenticator(sa).icv_length
    padding = forced.padding
    if padding is None:
        padding = bytes(-size % (sa.ah_alignment or (8 if six else 4)))
    length = size + len(padding)
    return (
        _FIXED.pack(
            next_header if forced.next_header is None else forced.next_header,
            (length // 4 - 2 if forced.pad_length is None else forced.pad_length) & 255,
            0,
            sa.spi if forced.spi is None else forced.spi,
            sequence & _LOW,
        )
        + bytes(length - _FIXED.size - len(padding))
        + padding
    )


def _covered(sa: SecurityAssociation, ip: IpPacket, payload: bytes, sequence: int) -> bytes:
    """What the ICV is computed over; the high half of an extended number is not sent (RFC 4302 section 3.3.3.2.2)."""
    headers = _without_mutable_ipv4(ip.headers) if ip.version == 4 else _without_mutable_ipv6(ip.headers)
    return headers + payload + ((sequence >> 32).to_bytes(4, "big") if sa.esn else b"")


def _without_mutable_ipv4(headers: bytes) -> bytes:
    """TOS, flags, fragment offset, TTL, checksum and changing options as zero (RFC 4302 section 3.3.3.1.1)."""
    fixed = headers[:1] + b"\0" + headers[2:6] + b"\0\0\0" + headers[9:10] + b"\0\0" + headers[12:20]
    options = bytearray(headers[20:])
    at = 0
    while at < len(options) and options[at] != _END:
        if options[at] == _NO_OPERATION:
            at += 1
            continue
        length = options[at + 1] if at + 1 < len(options) else 0
        size = max(2, min(length, len(options) - at))
        if options[at] not in _IMMUTABLE_IPV4_OPTIONS:
            options[at : at + size] = bytes(min(size, len(options) - at))
        at += size
    return fixed + bytes(options)


def _without_mutable_ipv6(headers: bytes) -> bytes:
    """Traffic class, flow label, hop limit and changing options as zero; a route as it ends (section 3.3.3.1.2)."""
    out = bytearray(headers)
    out[0:4], out[7] = b"\x60\0\0\0", 0
    protocol, at = out[6], 40
    while at + 8 <= len(out):
        size = 8 + out[at + 1] * 8
        if protocol in {HOP_BY_HOP, DESTINATION_OPTIONS}:
            _blank_changing_options(out, at + 2, at + size)
        elif protocol == ROUTING:
            _arrive(out, at)
        protocol, at = out[at], at + size
    return bytes(out)


def _blank_changing_options(out: bytearray, at: int, end: int) -> None:
    end = min(end, len(out))
    while at < end:
        if out[at] == 0:  # Pad1 has no length
            at += 1
            continue
        length = min(out[at + 1], end - at - 2) if at + 1 < end else 0
        if out[at] & _CHANGES_EN_ROUTE:
            out[at + 2 : at + 2 + length] = bytes(length)
        at += 2 + length


def _arrive(out: bytearray, at: int) -> None:
    """A type 0 route as it will look at its end: addresses swapped in turn, nothing left to visit (RFC 2460)."""
    kind, left, hops = out[at + 2], out[at + 3], out[at + 1] // 2
    if kind != 0 or left > hops or at + 8 + 16 * hops > len(out):
        return
    for hop in range(hops - left, hops):
        place = slice(at + 8 + 16 * hop, at + 24 + 16 * hop)
        out[24:40], out[place] = out[place], out[24:40]
    out[at + 3] = 0
