"""Packets of a sample with something wrong: at every layer, behind encryption too, which is sealed again."""

import random
import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

from ipsectest.base.iana import IKE_PORT, NON_ESP_MARKER, ProtocolId
from ipsectest.crypto import cipher, integrity
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.ipsec.esp import Forced
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire import parse_message
from ipsectest.wire.fragments import cut
from ipsectest.wire.ip import ESP, UDP, build_ip, build_udp, checksum, parse_ip
from tests.hostile.files.samples import Sample, Secret, association
from tests.hostile.mutation import chain, mutate, noise, with_true_length
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6

_V4, _V6 = (bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))), (b"\x20\x01\x0d\xb8" + bytes(11) + b"\1",) * 2
_NEXT_HEADERS = (0, 4, 6, 17, 41, 43, 44, 50, 51, 59, 60, 255)
_SEQUENCES = (0, 1, 2, 0x7FFFFFFF, 0xFFFFFFFF, 1 << 32, (1 << 64) - 1)
_LONGEST = 12
_HEAD = {46: 4, 53: 8}
"""Octets in front of the data of SK and SKF."""


def packets(sample: Sample, dice: random.Random) -> list[bytes]:
    """A run of the sample's packets, most of them as they were, some changed, some added."""
    if dice.random() < 0.2:
        return _followed(sample, dice)
    start = 0 if dice.random() < 0.5 else dice.randrange(len(sample.packets))
    chosen = sample.packets[start : start + dice.randrange(1, _LONGEST)]
    for _ in range(dice.choice((0, 1, 1, 2, 3))):
        kind = dice.choice(_KINDS)
        at = dice.randrange(len(chosen)) if chosen else 0
        chosen[at : at + dice.choice((0, 1, 1))] = kind(sample, chosen[at : at + 1] or [b""], dice)
    return chosen


def _followed(sample: Sample, dice: random.Random) -> list[bytes]:
    """Packets of one SA in their order, as the fast path takes them, and something wrong with the last one only."""
    start, count = dice.randrange(len(sample.packets)), dice.randrange(2, 6)
    chosen = sample.packets[start : start + count]
    last = chosen.pop()
    change = dice.choice((_cut_off, _cut_off, _changed, _sealed_esp))
    return [*chosen, *change(sample, [last], dice)]


def _changed(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    del sample
    return [_true_checksum(mutate(given[0], dice)) if dice.random() < 0.7 else mutate(given[0], dice)]


def _reordered(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """Twice, or another one of the sample."""
    return [*given, dice.choice([*given, *sample.packets])]


def _cut_off(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """Shorter, the header telling so or not."""
    del sample
    short = given[0][: dice.randrange(len(given[0]) + 1)]
    return [_true_length(short) if dice.random() < 0.6 else short]


def _fragments(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """In pieces that overlap, repeat, lack or lie beyond 64 KiB."""
    del sample
    if len(given[0]) < 48:
        return given
    pieces = cut(given[0], dice.choice((68, 68, 100, 576)), dice.randrange(1 << 16))
    for _ in range(dice.choice((0, 0, 1, 3))):
        at = dice.randrange(len(pieces))
        piece = bytearray(pieces[at])
        place = (6, 8) if piece[0] >> 4 == 4 else (42, 44)
        word = dice.choice((0, 1, 8, 0x1FFF, 0x2000, 0x3FFF, 0xFFF8, 0xFFF9, dice.randrange(1 << 16)))
        if len(piece) >= place[1]:
            piece[place[0] : place[1]] = word.to_bytes(2, "big")
        pieces.insert(at, _true_checksum(bytes(piece)))
    dice.shuffle(pieces)
    return pieces[dice.choice((0, 0, 1)) : 20]


def _short_esp(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """ESP of any small length for an SPI that is known."""
    del given
    spi = dice.choice(sample.sas).spi if sample.sas else dice.randbytes(4)
    data = (spi or dice.randbytes(4)) + dice.choice((0, 1, 2, 1 << 31)).to_bytes(4, "big") + noise(dice)
    data = data[: dice.choice((dice.randrange(48), len(data)))]
    return [_wrapped(data, dice)]


def _wrapped(data: bytes, dice: random.Random) -> bytes:
    ends = dice.choice((_V4, _V6))
    if dice.random() < 0.5:
        return build_ip(*ends, dice.choice((ESP, ESP, ESP, 51)), data)
    return build_ip(*ends, UDP, build_udp(*ends, 4500, dice.choice((4500, 4500, 500, 12345)), data))


def _sealed_esp(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """A genuine packet with anything inside, and any number, padding or trailer."""
    if not sample.sas:
        return given
    sa = _association(dice.choice(sample.sas))
    inner = dice.choice((INNER, INNER_V6, *given))
    if dice.random() < 0.7:
        inner = mutate(inner, dice)
    forced = Forced(
        sequence=dice.choice((*_SEQUENCES, dice.randrange(1 << 32), dice.randrange(64))),
        next_header=dice.choice((*_NEXT_HEADERS, None, None, None)),
        pad_length=dice.choice((None, None, 0, 255, dice.randrange(256))),
        tfc_padding=bytes(dice.choice((0, 0, 0, 16, 1024))),
    )
    try:
        return [protect(sa, inner, dice.randbytes, forced)]
    except (ValueError, OverflowError):  # not every algorithm takes everything
        return given


@lru_cache(maxsize=256)
def _association(keys: SaKeys) -> SecurityAssociation:
    return association(keys)


def _sealed_ike(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """An IKEv2 message changed inside SK, sealed with its keys, in the datagram that carried it."""
    if not sample.secrets:
        return given
    secret = dice.choice(sample.secrets)
    first, clear = secret.first, mutate(secret.chain, dice)
    if dice.random() < 0.2:
        first, clear = chain(dice)
    return [_datagram(sample.packets[secret.packet], seal(secret, first, clear, dice))]


def seal(secret: Secret, first: int, clear: bytes, dice: random.Random) -> bytes:
    """Another chain in the SK or SKF payload of a message."""
    keys, message = secret.keys, secret.message
    last = parse_message(message).payloads[-1]
    head = _HEAD[last.type]
    at = len(message) - len(last.data) - head
    algorithm = cipher(keys.encryption.id, keys.encryption.key_length)
    mac = integrity(keys.integrity.id) if keys.integrity and keys.integrity.id and not algorithm.is_aead else None
    from_initiator = bool(message[19] & 8)
    key, key_a = (keys.sk_ei, keys.sk_ai) if from_initiator else (keys.sk_er, keys.sk_ar)
    pad = -(len(clear) + 1) % max(1, algorithm.block_length)
    plain = clear + bytes(pad) + bytes((pad if dice.random() < 0.95 else dice.randrange(256),))
    size = algorithm.iv_length + len(plain) + algorithm.icv_length + (mac.icv_length if mac else 0)
    start = bytearray(message[: at + head])
    start[at] = first
    start[at + 2 : at + 4] = (head + size & 0xFFFF).to_bytes(2, "big")
    start[24:28] = (len(start) + size).to_bytes(4, "big")
    if head == 8 and dice.random() < 0.5:
        start[at + 4 : at + 8] = bytes((0, dice.choice((0, 1, 2)), 0, dice.choice((0, 1, 2, 255))))
    if dice.random() < 0.2:
        start[20:24] = dice.choice((0, 1, 2, 0xFFFFFFFF)).to_bytes(4, "big")
    iv = dice.randbytes(algorithm.iv_length)
    made = bytes(start) + iv + algorithm.encrypt(key, iv, plain, bytes(start) if algorithm.is_aead else b"")
    return made + (mac.compute(key_a, made) if mac else b"")


def _clear_ike(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """A message of the sample, its octets changed and its length right."""
    packet = dice.choice(sample.packets)
    data = _ike_of(packet)
    return [_datagram(packet, with_true_length(mutate(data, dice)))] if data else given


def _ike_of(packet: bytes) -> bytes:
    at = 48 if packet[:1] >= b"\x60" else 28
    if len(packet) < at + 28 or packet[at - 22 if at == 28 else 6 : at - 21 if at == 28 else 7] == b"":
        return b""
    data = packet[at:]
    return data[4:] if data[:4] == NON_ESP_MARKER else data


def _datagram(packet: bytes, data: bytes) -> bytes:
    """The headers of a packet in front of another IKE message."""
    six = packet[:1] >= b"\x60"
    ends = (packet[8:24], packet[24:40]) if six else (packet[12:16], packet[16:20])
    ports = packet[40:44] if six else packet[20:24]
    source, destination = int.from_bytes(ports[:2], "big"), int.from_bytes(ports[2:], "big")
    if IKE_PORT not in {source, destination}:
        data = NON_ESP_MARKER + data
    return build_ip(*ends, UDP, build_udp(*ends, source, destination, data[:60_000]))


def _over_tcp(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """Messages of the sample with their lengths in TCP segments: cut anywhere, shuffled, with gaps, changed."""
    messages = [
        data for packet in dice.sample(sample.packets, min(6, len(sample.packets))) if (data := _carried(packet))
    ]
    stream = dice.choice((b"IKETCP", b"IKETCP", b"", noise(dice)))
    for data in messages:
        size = len(data) + 2 if dice.random() < 0.9 else dice.choice((0, 1, 2, 9, 0xFFFF))
        stream += size.to_bytes(2, "big") + (mutate(data, dice) if dice.random() < 0.2 else data)
    start, ports = dice.choice((0, 1000, 0xFFFFFF00)), dice.choice(((50000, 4500), (50000, 4500), (50000, 443)))
    cuts = sorted({0, *(dice.randrange(len(stream) + 1) for _ in range(dice.randrange(6))), len(stream)})
    made = [_segment(start, b"", 2, ports)] if dice.random() < 0.7 else []
    pieces = [_segment(start + 1 + a, stream[a:b], 16, ports) for a, b in pairwise(cuts)]
    if dice.random() < 0.3:
        dice.shuffle(pieces)
    if dice.random() < 0.2:
        pieces = [_true_checksum(mutate(piece, dice)) for piece in pieces]
    return [*given, *made, *pieces[: len(pieces) - (dice.random() < 0.2)]]


def _carried(packet: bytes) -> bytes:
    """ESP, or IKE behind its marker."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment or ip.protocol not in {ESP, UDP}:
        return b""
    if ip.protocol == ESP:
        return ip.payload
    return ip.payload[8:] if b"\x11\x94" in (ip.payload[:2], ip.payload[2:4]) else NON_ESP_MARKER + ip.payload[8:]


def _segment(sequence: int, data: bytes, flags: int, ports: tuple[int, int]) -> bytes:
    header = struct.pack("!HHIIBBHHH", *ports, sequence % (1 << 32), 0, 5 << 4, flags, 1000, 0, 0)
    return build_ip(*_V4, 6, header + data)


def _noise(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    del sample
    return [*given, noise(dice)]


def _other(sample: Sample, given: list[bytes], dice: random.Random) -> list[bytes]:
    """AH of any content; a long chain of IPv6 extension headers; an IKEv1 message of any payloads."""
    del sample
    match dice.randrange(3):
        case 0:
            keys = dice.randbytes(4)
            data = bytes((dice.choice(_NEXT_HEADERS), dice.randrange(256), 0, 0)) + keys + noise(dice)
            return [*given, build_ip(*_V4, ProtocolId.AH + 49, data)]
        case 1:
            body = b"".join(
                bytes((dice.choice((0, 43, 44, 60)), dice.choice((0, 0, 1, 255)))) + bytes(6)
                for _ in range(dice.randrange(20))
            )
            return [*given, build_ip(*_V6, 0, body + noise(dice))]
    first, octets = chain(dice)
    header = (
        dice.randbytes(8)
        + dice.choice((bytes(8), dice.randbytes(8)))
        + bytes((first & 15, 0x10, dice.choice((2, 4, 5, 32)), dice.choice((0, 1))))
    )
    body = with_true_length(header + bytes(8) + octets)
    return [*given, build_ip(*_V4, UDP, build_udp(*_V4, 500, 500, body))]


def _true_checksum(packet: bytes) -> bytes:
    size = (packet[0] & 15) * 4 if packet else 0
    if not packet or packet[0] >> 4 != 4 or not 20 <= size <= len(packet):
        return packet
    header = packet[:10] + b"\0\0" + packet[12:size]
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:] + packet[size:]


def _true_length(packet: bytes) -> bytes:
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        return packet[:4] + (len(packet) - 40).to_bytes(2, "big") + packet[6:]
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return _true_checksum(packet[:2] + len(packet).to_bytes(2, "big") + packet[4:])
    return packet


_KINDS: tuple[Callable[[Sample, list[bytes], random.Random], list[bytes]], ...] = (
    _changed, _changed, _changed, _reordered, _cut_off, _fragments, _short_esp, _sealed_esp, _sealed_esp,
    _sealed_ike, _sealed_ike, _clear_ike, _noise, _other, _over_tcp, _over_tcp,
)  # fmt: skip
