"""IP packets in frames of any link type, in capture files of any format, each written as its format wants it."""

import bz2
import gzip
import importlib
import lzma
import random
import struct
from collections.abc import Callable, Sequence

from tests.hostile.mutation import mutate

_PCAP_MAGICS = (0xA1B2C3D4, 0xA1B23C4D, 0xA1B2CD34)
_KUZNETZOV = 0xA1B2CD34
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_LENGTHS = (0, 1, 4, 13, 0xFFFF, 0x10000, 0x1000001, 0x7FFFFFFF, 0xFFFFFFFF)


def _ethertype(packet: bytes) -> bytes:
    return b"\x86\xdd" if packet[:1] >= b"\x60" else b"\x08\x00"


def _ppp(packet: bytes) -> bytes:
    return b"\x00\x57" if packet[:1] >= b"\x60" else b"\x00\x21"


LINKS: tuple[tuple[int, Callable[[bytes], bytes]], ...] = (
    (0, lambda packet: struct.pack("<I", 30 if packet[:1] >= b"\x60" else 2)),
    (1, lambda packet: bytes(12) + _ethertype(packet)),
    (1, lambda packet: bytes(12) + b"\x81\x00\x00\x05" + _ethertype(packet)),
    (1, lambda packet: bytes(12) + b"\x88\xa8\x00\x07\x81\x00\x00\x05" + _ethertype(packet)),
    (1, lambda _: bytes(12) + b"\x88\x47\x00\x00\x90\xff\x00\x00\xa1\xff"),
    (1, lambda packet: bytes(12) + b"\x88\x64\x11\x00\x00\x01\x00\x00" + _ppp(packet)),
    (9, _ppp),
    (12, lambda _: b""),
    (50, lambda packet: b"\xff\x03" + _ppp(packet)),
    (101, lambda _: b""),
    (108, lambda packet: struct.pack(">I", 24 if packet[:1] >= b"\x60" else 2)),
    (113, lambda packet: bytes(14) + _ethertype(packet)),
    (228, lambda _: b""),
    (229, lambda _: b""),
    (276, lambda packet: _ethertype(packet) + bytes(18)),
)
"""Link types with what stands before a packet."""


def capture(packets: Sequence[bytes], dice: random.Random) -> bytes:
    """A capture file. Lengths are true, but now and then a record has others."""
    plain = dice.random() < 0.5
    link_type, header = (1, LINKS[1][1]) if plain else dice.choice(LINKS)
    frames = [header(packet) + packet for packet in packets]
    if dice.random() < 0.1:
        frames = [mutate(frame, dice) if dice.random() < 0.3 else frame for frame in frames]
    order = "<" if dice.random() < 0.8 else ">"
    if dice.random() < 0.5:
        return _pcap(frames, link_type, order, dice)
    return _pcapng(frames, link_type, order, dice)


def _lengths(frame: bytes, dice: random.Random) -> tuple[int, int]:
    """Captured and on the wire, as a record says."""
    if dice.random() < 0.98:
        return len(frame), len(frame)
    return dice.choice((len(frame), len(frame), *_LENGTHS)), dice.choice((len(frame), len(frame) + 100, *_LENGTHS))


def _pcap(frames: Sequence[bytes], link_type: int, order: str, dice: random.Random) -> bytes:
    magic = dice.choices(_PCAP_MAGICS, (8, 2, 1))[0]
    version = (2, 4) if dice.random() < 0.95 else dice.choice(((2, 3), (543, 0), (0, 0)))
    made = [struct.pack(f"{order}IHHiIII", magic, *version, 0, 0, 65535, link_type)]
    for number, frame in enumerate(frames):
        made.append(struct.pack(f"{order}IIII", 1_700_000_000 + number, number, *_lengths(frame, dice)))
        made.append(bytes(8) if magic == _KUZNETZOV else b"")
        made.append(frame)
    return b"".join(made)


def _block(order: str, kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    length = len(body) + 12
    return struct.pack(f"{order}II", kind, length) + body + struct.pack(f"{order}I", length)


def _pcapng(frames: Sequence[bytes], link_type: int, order: str, dice: random.Random) -> bytes:
    made = [_section(order), *_interfaces(order, link_type, dice)]
    for number, frame in enumerate(frames):
        if dice.random() < 0.02:
            order = dice.choice("<>")
            made += [_section(order), *_interfaces(order, link_type, dice)]
        made.append(_packet_block(order, number, frame, dice))
    return b"".join(made)


def _section(order: str) -> bytes:
    return _block(order, 0x0A0D0D0A, struct.pack(f"{order}IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1))


def _interfaces(order: str, link_type: int, dice: random.Random) -> list[bytes]:
    made = []
    for _ in range(dice.choice((1, 1, 1, 2))):
        options = struct.pack(f"{order}HH4s", 2, 4, b"eth0")
        if dice.random() < 0.3:
            options += struct.pack(f"{order}HHB3x", 9, 1, dice.choice((6, 9, 3, 0, 0x80 | 10, 127, 255)))
        if dice.random() < 0.05:
            options += struct.pack(f"{order}HHq", 14, 8, dice.choice((1, -1, 1 << 62)))
        made.append(_block(order, 1, struct.pack(f"{order}HHI", link_type, 0, 0) + options))
        link_type = link_type if dice.random() < 0.9 else dice.choice(LINKS)[0]
    return made


def _packet_block(order: str, number: int, frame: bytes, dice: random.Random) -> bytes:
    high, low = divmod(1_700_000_000_000_000 + number, 1 << 32)
    captured, length = _lengths(frame, dice)
    kind = dice.choices((6, 3, 2, 5), (40, 1, 1, 1))[0]
    padded = frame + bytes(-len(frame) % 4)
    if kind == 3:
        return _block(order, 3, struct.pack(f"{order}I", length) + frame)
    if kind == 2:
        return _block(order, 2, struct.pack(f"{order}HHIIII", 0, 0, high, low, captured, length) + padded)
    if kind == 5:
        return _block(order, 5, bytes(dice.randrange(40)))
    interface = 0 if dice.random() < 0.97 else dice.choice((1, 2, 0xFFFFFFFF))
    options = struct.pack(f"{order}HH8s", 1, 8, b"a remark") if dice.random() < 0.1 else b""
    return _block(order, 6, struct.pack(f"{order}IIIII", interface, high, low, captured, length) + padded + options)


def _zstd(data: bytes) -> bytes:
    return bytes(importlib.import_module("backports.zstd").compress(data))


def _lz4(data: bytes) -> bytes:
    return bytes(importlib.import_module("lz4.frame").compress(data))


_COMPRESSIONS: tuple[Callable[[bytes], bytes], ...] = (
    lambda data: gzip.compress(data, 1, mtime=0), _zstd, _lz4, lambda data: bz2.compress(data, 1),
    lambda data: lzma.compress(data, preset=0),
)  # fmt: skip


def compressed(data: bytes, dice: random.Random) -> bytes:
    """In one of the ways that are read, damaged in half of the cases, in two members now and then."""
    compress = dice.choice(_COMPRESSIONS)
    at = dice.randrange(len(data) + 1) if dice.random() < 0.1 else len(data)
    made = compress(data[:at]) + (compress(data[at:]) if at < len(data) else b"")
    return mutate(made, dice) if dice.random() < 0.5 else made
