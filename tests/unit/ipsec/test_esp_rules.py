"""Rules of RFC 4303 that no vector shows: what is refused, and what a tester may force."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ipsectest.base.suites import TransformSpec
from ipsectest.crypto.support import UnsupportedAlgorithmError
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import Forced, Opened, default_padding, icv_size, open_esp, seal_esp
from ipsectest.ipsec.gateway import Gateway, open_datagram, seal_datagram
from ipsectest.ipsec.inner import Echo, build_echo, is_intact
from ipsectest.ipsec.packets import Unprotected, protect, unprotect
from ipsectest.ipsec.sa import DontFragment, Mode, SecurityAssociation, SequenceExhaustedError
from ipsectest.ipsec.transport import repair_checksum
from ipsectest.wire.ip import build_ip, build_ipv4, build_ipv6, build_udp, checksum, parse_ip, parse_udp, pseudo_header
from tests.unit.ipsec.sas import SPI, SUITES, arguments, ends, seeded

ECHO4 = build_echo(Echo("198.51.100.1", "203.0.113.1", 7, 1, b"ping", is_reply=False))
ECHO6 = build_echo(Echo("2001:db8:1::1", "2001:db8:2::1", 7, 1, b"ping", is_reply=False))
WRAP = 1 << 32


def reason(result: object) -> DropReason | None:
    return result.reason if isinstance(result, Drop) else None


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("length", [0, 1, 2, 3, 13, 14, 15, 16, 100])
def test_padding_is_minimal_and_right_aligned(suite: str, length: int) -> None:
    sender, receiver = ends(suite)
    packet = seal_esp(sender, bytes(length), 4, seeded(3))
    align = max(4, sender.cipher.block_length)
    assert (len(packet) - 8 - sender.cipher.iv_length - icv_size(sender)) % align == 0
    opened = open_esp(receiver, packet)
    assert isinstance(opened, Opened)
    assert opened.padding == default_padding(len(opened.padding))
    assert len(opened.padding) < align
    assert (opened.payload, opened.next_header, opened.sequence) == (bytes(length), 4, 1)


@pytest.mark.parametrize("suite", SUITES)
def test_sequence_numbers_start_at_one_and_a_second_copy_is_dropped(suite: str) -> None:
    sender, receiver = ends(suite)
    packets = [protect(sender, ECHO4, seeded(n)) for n in range(3)]
    assert [unprotect(receiver, p).sequence for p in packets] == [1, 2, 3]
    assert reason(unprotect(receiver, packets[1])) is DropReason.REPLAYED
    assert receiver.drops == {DropReason.REPLAYED: 1}


@pytest.mark.parametrize("suite", [s for s in SUITES if not s.startswith("null")])
def test_a_flipped_bit_anywhere_is_noticed_and_does_not_move_the_window(suite: str) -> None:
    sender, receiver = ends(suite)
    packet = seal_esp(sender, ECHO4, 4, seeded(1), Forced(sequence=5000))
    for at in range(4, len(packet)):
        broken = packet[:at] + bytes([packet[at] ^ 0x40]) + packet[at + 1 :]
        assert reason(open_esp(receiver, broken)) is DropReason.BAD_ICV
    assert receiver.replay.highest == 0
    assert isinstance(open_esp(receiver, packet), Opened)
    assert receiver.replay.highest == 5000


def test_another_spi_and_short_octets_are_refused() -> None:
    sender, receiver = ends("aes128gcm16")
    packet = seal_esp(sender, ECHO4, 4, seeded(1), Forced(spi=b"\0\0\0\1"))
    assert reason(open_esp(receiver, packet)) is DropReason.UNKNOWN_SPI
    for length in range(8 + 8 + 2 + 16):
        assert reason(open_esp(receiver, packet[:length])) is DropReason.TOO_SHORT


def test_a_packet_without_integrity_has_no_replay_check() -> None:
    # RFC 4303 section 3.4.3: anti-replay needs integrity.
    values = arguments("aes128-sha256") | {"integrity": None, "integrity_key": b""}
    sender, receiver = SecurityAssociation(**values), SecurityAssociation(**values)
    packet = seal_esp(sender, ECHO4, 4, seeded(1))
    assert isinstance(open_esp(receiver, packet), Opened)
    assert isinstance(open_esp(receiver, packet), Opened)
    assert reason(open_esp(receiver, packet[:-1])) is DropReason.BAD_LENGTH


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes256-sha256", "null-sha1"])
def test_padding_other_than_one_two_three_is_dropped_unless_allowed(suite: str) -> None:
    sender, strict = ends(suite)
    lenient = SecurityAssociation(**arguments(suite, checks_padding=False))
    # ECHO4 has 32 octets: with 14 of padding and the trailer that is three AES blocks.
    packet = seal_esp(sender, ECHO4, 4, seeded(1), Forced(padding=bytes(14)))
    assert reason(open_esp(strict, packet)) is DropReason.BAD_PADDING
    opened = open_esp(lenient, packet)
    assert isinstance(opened, Opened)
    assert opened.padding == bytes(14)


def test_the_longest_padding_is_accepted_and_a_pad_length_beyond_the_packet_is_not() -> None:
    sender, receiver = ends("aes128gcm16")
    long = seal_esp(sender, bytes(3), 4, seeded(1), Forced(padding=default_padding(255)))
    assert open_esp(receiver, long).payload == bytes(3)
    beyond = seal_esp(sender, bytes(10), 4, seeded(1), Forced(pad_length=11))
    assert reason(open_esp(receiver, beyond)) is DropReason.BAD_PADDING


def test_dummy_packets_are_discarded_after_the_icv() -> None:
    sender, receiver = ends("aes128-sha256")
    dummy = seal_esp(sender, b"nothing", 59, seeded(1))
    assert reason(open_esp(receiver, dummy[:-1] + bytes([dummy[-1] ^ 1]))) is DropReason.BAD_ICV
    assert reason(open_esp(receiver, dummy)) is DropReason.DUMMY
    assert reason(open_esp(receiver, dummy)) is DropReason.REPLAYED


@pytest.mark.parametrize("packet", [ECHO4, ECHO6])
def test_tfc_padding_is_sent_and_trimmed(packet: bytes) -> None:
    sender, receiver = ends("aes128gcm16", pads_to=500)
    protected = protect(sender, packet, seeded(1))
    assert len(protected) == 20 + 8 + 8 + 504 + 16
    result = unprotect(receiver, protected)
    assert isinstance(result, Unprotected)
    assert result.inner == packet
    assert result.tfc_padding == bytes(500 - len(packet))


def test_tunnelled_octets_must_be_the_announced_packet() -> None:
    sender, receiver = ends("aes128gcm16")
    for forced, expected in (
        (Forced(next_header=41), DropReason.BAD_INNER),
        (Forced(next_header=6), DropReason.BAD_NEXT_HEADER),
        (Forced(next_header=59), DropReason.DUMMY),
    ):
        assert reason(unprotect(receiver, protect(sender, ECHO4, seeded(1), forced))) is expected
    truncated = seal_esp(sender, ECHO4[:-1], 4, seeded(1))
    outer = build_ipv4(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), 50, truncated)
    assert reason(unprotect(receiver, outer)) is DropReason.BAD_INNER


def test_numbers_are_forced_and_later_ones_follow() -> None:
    sender, receiver = ends("aes128gcm16")
    numbers = [
        unprotect(receiver, protect(sender, ECHO4, seeded(n), Forced(sequence=s))) for n, s in enumerate((100, 40))
    ]
    assert [n.sequence for n in numbers] == [100, 40]
    assert unprotect(receiver, protect(sender, ECHO4, seeded(9))).sequence == 101
    assert (
        reason(unprotect(receiver, protect(sender, ECHO4, seeded(9), Forced(sequence=0)))) is DropReason.SEQUENCE_ZERO
    )
    assert (
        reason(unprotect(receiver, protect(sender, ECHO4, seeded(9), Forced(sequence=37)))) is DropReason.LEFT_OF_WINDOW
    )


@pytest.mark.parametrize(("esn", "last"), [(False, WRAP - 1), (True, WRAP * WRAP - 1)])
def test_the_counter_does_not_cycle(esn: bool, last: int) -> None:
    sender, receiver = ends("aes128gcm16", esn=esn, sent=last - 1)
    receiver.replay.highest = last - 1
    assert unprotect(receiver, protect(sender, ECHO4, seeded(1))).sequence == last
    with pytest.raises(SequenceExhaustedError, match=SPI.hex()):
        protect(sender, ECHO4, seeded(1))


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes128-sha256", "chacha20poly1305", "null-sha1", "aes128gmac"])
def test_an_extended_counter_crosses_the_wrap_and_late_packets_still_fit(suite: str) -> None:
    sender, receiver = ends(suite, esn=True, sent=WRAP - 11)
    receiver.replay.highest = WRAP - 11
    packets = [protect(sender, ECHO6, seeded(n)) for n in range(20)]
    order = [0, 12, 1, 19, 2, 18, *range(3, 12)]
    assert [unprotect(receiver, packets[n]).sequence for n in order] == [WRAP - 10 + n for n in order]
    short = SecurityAssociation(**arguments(suite, esn=False))
    assert reason(unprotect(short, packets[15])) is DropReason.BAD_ICV


@pytest.mark.parametrize("udp_ports", [None, (4500, 4500), (4500, 61000)])
@pytest.mark.parametrize("hosts", [("192.0.2.1", "192.0.2.2"), ("2001:db8::1", "2001:db8::2")])
@pytest.mark.parametrize("inner", [ECHO4, ECHO6])
def test_outer_headers(udp_ports: tuple[int, int] | None, hosts: tuple[str, str], inner: bytes) -> None:
    sender, receiver = ends("aes128gcm16", source=hosts[0], destination=hosts[1], udp_ports=udp_ports)
    packet = protect(sender, inner, seeded(1))
    outer = parse_ip(packet)
    assert outer is not None
    assert (outer.protocol, outer.hop_limit) == (17 if udp_ports else 50, 64)
    if udp_ports:
        source_port, destination_port, esp = parse_udp(outer.payload)
        assert (source_port, destination_port) == udp_ports
        assert esp[:4] == SPI  # no marker before ESP (RFC 3948 section 2.1)
        assert (outer.payload[6:8] == b"\0\0") == (outer.version == 4)
    assert unprotect(receiver, packet).inner == inner


def test_keepalives_ike_messages_and_fragments_are_told_apart() -> None:
    sender, receiver = ends("aes128gcm16", udp_ports=(4500, 4500))
    hosts = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])
    for payload, expected in ((b"\xff", DropReason.NAT_KEEPALIVE), (bytes(32), DropReason.IKE_MESSAGE)):
        udp = build_udp(*hosts, 4500, 4500, payload)
        assert reason(unprotect(receiver, build_ipv4(*hosts, 17, udp))) is expected
    esp = seal_esp(sender, ECHO4, 4, seeded(1))
    fragment = build_ipv4(*hosts, 50, esp, flags_and_offset=0x2000)
    assert reason(unprotect(receiver, fragment)) is DropReason.FRAGMENT
    assert reason(unprotect(receiver, build_ipv4(*hosts, 6, esp))) is DropReason.NOT_IPSEC
    assert reason(unprotect(receiver, b"E")) is DropReason.NOT_IP


def test_dscp_and_ecn_go_out_and_congestion_comes_in() -> None:
    # RFC 4301 section 5.1.2.1; the decapsulation rows of RFC 6040 section 4.2.
    for ecn, outer_ecn, expected in ((0, 0, 0), (1, 3, 3), (2, 3, 3), (2, 1, 2), (3, 0, 3), (0, 3, None)):
        for build in (
            lambda tos: build_echo(Echo("198.51.100.1", "203.0.113.1", 7, 1, b"", is_reply=False), traffic_class=tos),
            lambda tos: build_echo(
                Echo("2001:db8:1::1", "2001:db8:2::1", 7, 1, b"", is_reply=False), traffic_class=tos
            ),
        ):
            sender, receiver = ends("null-sha1")
            packet = parse_ip(protect(sender, build(46 << 2 | ecn), seeded(1)))
            assert packet.traffic_class == 46 << 2 | ecn
            marked = build_ipv4(packet.source, packet.destination, 50, packet.payload, traffic_class=outer_ecn)
            result = unprotect(receiver, marked)
            if expected is None:
                assert reason(result) is DropReason.ECN_CE
            else:
                assert result.inner == build(46 << 2 | expected)


@pytest.mark.parametrize(
    ("setting", "inner_df", "expected"),
    [("copy", True, True), ("copy", False, False), ("set", False, True), ("clear", True, False)],
)
def test_the_df_bit_is_copied_set_or_cleared(setting: str, inner_df: bool, expected: bool) -> None:
    sender, _ = ends("aes128gcm16", dont_fragment=DontFragment(setting))
    inner = build_ipv4(b"\xc6\x33\x64\x01", b"\xcb\x00\x71\x01", 1, b"", flags_and_offset=0x4000 if inner_df else 0)
    assert parse_ip(protect(sender, inner, seeded(1))).dont_fragment is expected


CLIENT, SERVER = bytes([10, 1, 0, 2]), bytes([10, 2, 0, 2])
CLIENT_NAT, SERVER_NAT = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


def through_nats(protocol: int, payload: bytes) -> bytes:
    """What a server behind a NAT has of a packet that a client behind another one sends (RFC 7296 section 2.23.1)."""
    sender, _ = ends("aes128gcm16", mode=Mode.TRANSPORT, udp_ports=(4500, 4500))
    _, receiver = ends("aes128gcm16", mode=Mode.TRANSPORT, udp_ports=(4500, 4500), real_addresses=(CLIENT, SERVER_NAT))
    sent = parse_ip(protect(sender, build_ipv4(CLIENT, SERVER_NAT, protocol, payload), seeded(1)))
    return unprotect(receiver, build_ipv4(CLIENT_NAT, SERVER, 17, sent.payload)).inner


def tcp(source: bytes, destination: bytes, data: bytes) -> bytes:
    segment = bytes([0x03, 0xE8, 0, 80, *bytes(8), 0x50, 0x18, 0xFF, 0xFF, *bytes(4)]) + data
    total = checksum(pseudo_header(source, destination, 6, len(segment)) + segment)
    return segment[:16] + total.to_bytes(2, "big") + segment[18:]


@given(st.binary(max_size=40))
def test_transport_mode_repairs_checksums_after_nats(data: bytes) -> None:
    payload = build_udp(CLIENT, SERVER_NAT, 1000, 2000, data)
    expected = build_udp(CLIENT_NAT, SERVER, 1000, 2000, data)
    assert through_nats(17, payload) == build_ipv4(CLIENT_NAT, SERVER, 17, expected)
    repaired = parse_ip(through_nats(6, tcp(CLIENT, SERVER_NAT, data))).payload
    assert checksum(pseudo_header(CLIENT_NAT, SERVER, 6, len(repaired)) + repaired) == 0
    assert repaired[18:] == tcp(CLIENT, SERVER_NAT, data)[18:]


def test_transport_mode_repairs_icmpv6_too() -> None:
    real, seen = (
        [bytes([0x20, 1, 0x0D, 0xB8, *bytes(11), last]) for last in (1, 2)],
        [bytes(15) + b"\3", bytes(15) + b"\4"],
    )
    echo = bytes([128, 0, 0, 0, 0, 1, 0, 2]) + b"data"
    total = checksum(pseudo_header(*real, 58, len(echo)) + echo)
    _, receiver = ends("aes128gcm16", mode=Mode.TRANSPORT, real_addresses=(real[0], real[1]))
    sent = echo[:2] + total.to_bytes(2, "big") + echo[4:]
    repaired = repair_checksum(receiver, 58, sent, parse_ip(build_ip(*seen, 58, sent)))
    assert checksum(pseudo_header(*seen, 58, len(repaired)) + repaired) == 0


def test_what_was_damaged_before_a_nat_remains_so() -> None:
    damaged = tcp(CLIENT, SERVER_NAT, b"data")[:-1] + b"!"
    repaired = parse_ip(through_nats(6, damaged)).payload
    assert checksum(pseudo_header(CLIENT_NAT, SERVER, 6, len(repaired)) + repaired) != 0


def test_a_nat_leaves_absent_and_short_checksums_alone() -> None:
    for payload in (build_udp(CLIENT, SERVER_NAT, 1, 2, b"data", checksummed=False), b"short"):
        assert parse_ip(through_nats(17, payload)).payload == payload
    echo = build_echo(Echo("10.1.0.2", "192.0.2.2", 1, 1, b"data", is_reply=False))
    assert parse_ip(through_nats(1, echo[20:])).payload == echo[20:]


@pytest.mark.parametrize("mode", Mode)
def test_what_is_no_packet_or_too_long_is_not_protected(mode: Mode) -> None:
    for octets in (b"", b"\x15nonsense"):
        sender, _ = ends("aes128gcm16", mode=mode)
        with pytest.raises(ValueError, match="IP"):
            protect(sender, octets, seeded(1))
        assert sender.sent == 0
    for size, build in ((65515, build_ipv4), (65535, build_ipv6)):
        address = bytes(4 if build is build_ipv4 else 16)
        hosts = ("192.0.2.1", "192.0.2.2") if build is build_ipv4 else ("2001:db8::1", "2001:db8::2")
        sender, _ = ends("aes128gcm16", mode=mode, source=hosts[0], destination=hosts[1])
        with pytest.raises(ValueError, match="longer than"):
            protect(sender, build(address, address, 17, bytes(size)), seeded(1))
        with pytest.raises(ValueError, match="longer than"):
            build(address, address, 17, bytes(size + 1))


def test_a_forced_icv_takes_the_place_of_the_right_one() -> None:
    for suite in ("aes128gcm16", "aes128-sha256"):
        sender, receiver = ends(suite)
        packet = seal_esp(sender, ECHO4, 4, seeded(1), Forced(icv=b"0123456789abcdef"))
        assert packet.endswith(b"0123456789abcdef")
        assert reason(open_esp(receiver, packet)) is DropReason.BAD_ICV
        good = seal_esp(sender, ECHO4, 4, seeded(1))
        assert len(good) == len(packet)
        assert isinstance(open_esp(receiver, good), Opened)


def test_transport_mode_refuses_to_protect_fragments() -> None:
    sender, _ = ends("aes128gcm16", mode=Mode.TRANSPORT)
    fragment = build_ipv4(b"\xc0\0\2\1", b"\xc0\0\2\2", 17, bytes(64), flags_and_offset=0x2000)
    with pytest.raises(ValueError, match="whole IP packets"):
        protect(sender, fragment, seeded(1))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spi": b"abc"}, "4 octets"),
        ({"encryption_key": b"short"}, "octets of key"),
        ({"integrity": TransformSpec(3, 12), "integrity_key": bytes(32)}, "AEAD"),
        ({"integrity": TransformSpec(3, 12), "integrity_key": bytes(31)}, "31 octets"),
        (
            {"encryption": None, "encryption_key": b"", "integrity": TransformSpec(3, 9), "integrity_key": bytes(20)},
            "for AH only",
        ),
    ],
)
def test_an_association_that_does_not_fit_together_is_refused(change: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SecurityAssociation(**arguments("aes128gcm16", **change))
    with pytest.raises(UnsupportedAlgorithmError):
        SecurityAssociation(**arguments("aes128gcm16", encryption=TransformSpec(1, 4000)))


@pytest.mark.parametrize("suite", SUITES)
@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.booleans(), st.booleans(), st.data())
@example(b"", True, True, None)
def test_no_octets_raise(suite: str, noise: bytes, esn: bool, transport: bool, data: st.DataObject | None) -> None:
    mode = Mode.TRANSPORT if transport else Mode.TUNNEL
    sender, receiver = ends(suite, esn=esn, mode=mode, checks_padding=False, udp_ports=(4500, 4500))
    packet = bytearray(protect(sender, ECHO6 if esn else ECHO4, seeded(1), Forced(tfc_padding=bytes(len(noise) & ~15))))
    if data is not None:
        for _ in range(data.draw(st.integers(0, 4))):
            packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(0, 255))
        packet = packet[: data.draw(st.integers(0, len(packet)))] + noise
    for octets in (noise, bytes(packet), SPI + noise):
        assert isinstance(unprotect(receiver, octets), Unprotected | Drop)
        assert isinstance(open_esp(receiver, octets), Opened | Drop)


@pytest.mark.parametrize("suite", SUITES)
@given(st.binary(max_size=120), st.integers(0, 255))
@settings(max_examples=30, deadline=None)
def test_authentic_nonsense_does_not_raise(suite: str, payload: bytes, next_header: int) -> None:
    # A peer that knows the keys may still send anything.
    for mode in Mode:
        sender, receiver = ends(suite, mode=mode, udp_ports=(4500, 4500))
        esp = seal_esp(sender, payload, next_header, seeded(2))
        hosts = bytes([192, 0, 2, 9]), bytes([192, 0, 2, 2])
        result = unprotect(receiver, build_ipv4(*hosts, 50, esp))
        assert isinstance(result, Unprotected | Drop)


@pytest.mark.parametrize("ports", [None, (4500, 4500)])
def test_datagrams_of_transport_mode_carry_the_payload_without_a_header(ports: tuple[int, int] | None) -> None:
    ends_of = {"mode": Mode.TRANSPORT, "source": "198.51.100.1", "destination": "203.0.113.1", "udp_ports": ports}
    sender, receiver = ends("aes128gcm16", **ends_of)
    datagram = seal_datagram(sender, ECHO4, seeded(1))
    assert (datagram.source.host, datagram.destination.host) == ("198.51.100.1", "203.0.113.1")
    assert len(datagram.data) < len(ECHO4) + 8 + 8 + 16
    assert open_datagram(receiver, datagram).inner == ECHO4
    gateway = Gateway()
    gateway.add(outbound=sender)
    fragment = build_ipv4(b"\xc6\x33\x64\x01", b"\xcb\x00\x71\x01", 17, bytes(8), flags_and_offset=0x2000)
    assert gateway.seal(fragment, seeded(1)) is None


def test_a_host_looks_at_the_checksums_of_whole_tcp_and_udp_packets() -> None:
    for protocol, payload, at in (
        (6, tcp(CLIENT, SERVER, b"data"), 16),
        (17, build_udp(CLIENT, SERVER, 1, 2, b"d"), 6),
    ):
        wrong = payload[:at] + bytes([payload[at] ^ 1]) + payload[at + 1 :]
        assert is_intact(parse_ip(build_ipv4(CLIENT, SERVER, protocol, payload)))
        assert not is_intact(parse_ip(build_ipv4(CLIENT, SERVER, protocol, wrong)))
        assert is_intact(parse_ip(build_ipv4(CLIENT, SERVER, protocol, wrong, flags_and_offset=0x2000)))
    bare = build_udp(CLIENT, SERVER, 1, 2, b"data", checksummed=False)
    assert is_intact(parse_ip(build_ipv4(CLIENT, SERVER, 17, bare)))
    assert not is_intact(parse_ip(build_ipv6(bytes(16), bytes(16), 17, bare)))  # RFC 8200 section 8.1
    assert is_intact(parse_ip(ECHO4))
