"""Reassembly stays small whatever arrives."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.net.reassembly import Reassembler
from ipsectest.wire.fragments import cut
from ipsectest.wire.ip import build_ipv4, build_ipv6, parse_ip

A4, B4 = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
A6, B6 = bytes(15) + b"\1", bytes(15) + b"\2"


def pieces(number: int, size: int = 3000, *, six: bool = False) -> list[bytes]:
    if six:
        return cut(build_ipv6(A6, B6, 50, bytes([number & 255]) * size), 1280, number)
    return cut(build_ipv4(A4, B4, 50, bytes([number & 255]) * size, identification=number), 576, number)


def test_whole_packets_pass_and_others_too() -> None:
    reassembler = Reassembler()
    packet = build_ipv4(A4, B4, 50, b"whole")
    assert reassembler.feed(packet, 0.0) == packet
    assert reassembler.feed(b"no packet", 0.0) == b"no packet"
    assert len(reassembler) == 0


@given(st.permutations(range(12)), st.booleans())
@settings(deadline=None)
def test_two_packets_are_told_apart_in_any_order(order: list[int], six: bool) -> None:
    reassembler = Reassembler()
    size = 6 * 552 - 20 if not six else 6 * 1232
    mixed = pieces(1, size, six=six) + pieces(2, size, six=six)
    whole = [out for n in order if n < len(mixed) and (out := reassembler.feed(mixed[n], 0.0))]
    payloads = {parse_ip(packet).payload for packet in whole}
    assert payloads == {b"\1" * size, b"\2" * size}
    assert len(reassembler) == 0


def test_a_duplicate_does_no_harm() -> None:
    reassembler = Reassembler()
    parts = pieces(1)
    assert reassembler.feed(parts[0], 0.0) is None
    assert reassembler.feed(parts[0], 0.0) is None
    assert [bool(reassembler.feed(part, 0.0)) for part in parts[1:]][-1]


def test_incomplete_packets_are_forgotten_by_age_and_by_number() -> None:
    reassembler = Reassembler(max_packets=8, lifetime=30.0)
    for number in range(1000):
        reassembler.feed(pieces(number)[0], 0.0)
        assert len(reassembler) <= 8
    reassembler.feed(pieces(5000)[0], 31.0)
    assert len(reassembler) == 1
    assert [reassembler.feed(part, 31.0) for part in pieces(999)[1:]][-1] is None  # its first piece is gone


def test_a_packet_of_very_many_pieces_is_given_up() -> None:
    reassembler = Reassembler(max_fragments=16)
    many = cut(build_ipv4(A4, B4, 50, bytes(40 * 8), identification=3), 28, 3)
    assert len(many) == 40
    assert all(reassembler.feed(piece, 0.0) is None for piece in many[1:17])
    assert len(reassembler) == 0
