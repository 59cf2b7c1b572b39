"""AH against Scapy's, and what may and may not change on the way (RFC 4302)."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, IPOption_NOP, IPOption_RR, IPOption_Security
from scapy.layers.inet6 import (
    HBHOptUnknown,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    RouterAlert,
)
from scapy.layers.ipsec import AH
from scapy.layers.ipsec import SecurityAssociation as ScapyAssociation

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import parse_suite
from ipsectest.crypto.integrities import integrity
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import Forced
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.packets import Unprotected, protect, unprotect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.wire.ip import build_ipv4, build_ipv6, checksum
from tests.unit.ipsec.sas import SPI, seeded

NAMES = {
    "md5": "HMAC-MD5-96",
    "sha1": "HMAC-SHA1-96",
    "sha256": "SHA2-256-128",
    "sha384": "SHA2-384-192",
    "sha512": "SHA2-512-256",
    "aescmac": "AES-CMAC-96",
}
ALGORITHMS = [*NAMES, "aesxcbc", "aes128gmacauth", "aes256gmacauth"]
INNER4 = bytes(IP(src="198.51.100.1", dst="203.0.113.9") / UDP(sport=1, dport=2) / b"data")
INNER6 = bytes(IPv6(src="2001:db8:1::1", dst="2001:db8:2::9") / UDP(sport=1, dport=2) / b"data")


def ends(word: str, **changes: Any) -> tuple[SecurityAssociation, SecurityAssociation]:
    (spec,) = parse_suite(word)
    values = {
        "spi": SPI,
        "source": "192.0.2.1",
        "destination": "192.0.2.2",
        "protocol": ProtocolId.AH,
        "integrity": spec,
        "integrity_key": seeded(5)(integrity(spec.id).key_length),
    } | changes
    return SecurityAssociation(**values), SecurityAssociation(**values)


def scapy_end(word: str, sa: SecurityAssociation, header: IP | IPv6 | None = None) -> ScapyAssociation:
    return ScapyAssociation(
        AH,
        spi=int.from_bytes(SPI, "big"),
        auth_algo=NAMES[word],
        auth_key=sa.integrity_key,
        tunnel_header=header,
    )


def reason(result: Unprotected | Drop) -> DropReason | None:
    return result.reason if isinstance(result, Drop) else None


@pytest.mark.parametrize("inner", [INNER4, INNER6], ids=["inner4", "inner6"])
@pytest.mark.parametrize("six", [False, True], ids=["outer4", "outer6"])
@pytest.mark.parametrize("word", NAMES)
def test_scapy_verifies_our_tunnel_and_we_its(word: str, six: bool, inner: bytes) -> None:
    hosts = ("2001:db8::1", "2001:db8::2") if six else ("192.0.2.1", "192.0.2.2")
    sender, receiver = ends(word, source=hosts[0], destination=hosts[1])
    layer = IPv6 if six else IP
    other = scapy_end(word, sender, layer(src=hosts[0], dst=hosts[1]))
    assert bytes(other.decrypt(layer(protect(sender, inner, seeded(1))))) == inner
    theirs = other.encrypt((IP if inner is INNER4 else IPv6)(inner), seq_num=9)
    assert unprotect(receiver, bytes(theirs)) == Unprotected(inner, 9)


PACKETS = {
    "ipv4": IP(src="192.0.2.1", dst="192.0.2.2", tos=184, flags="DF") / UDP(sport=1, dport=2) / b"data",
    "ipv4-options": IP(
        src="192.0.2.1",
        dst="192.0.2.2",
        options=[IPOption_NOP(), IPOption_RR(routers=["192.0.2.9", "192.0.2.8"]), IPOption_Security()],
    )
    / UDP(sport=1, dport=2)
    / b"data",
    "ipv6": IPv6(src="2001:db8::1", dst="2001:db8::2", tc=9, fl=77) / UDP(sport=1, dport=2) / b"data",
    "ipv6-options": IPv6(src="2001:db8::1", dst="2001:db8::2")
    / IPv6ExtHdrHopByHop(options=[RouterAlert(), HBHOptUnknown(otype=0x3E, optlen=4, optdata=b"abcd")])
    / IPv6ExtHdrDestOpt(options=[HBHOptUnknown(otype=0x1E, optlen=4, optdata=b"kept")])
    / UDP(sport=1, dport=2)
    / b"data",
}


@pytest.mark.parametrize("name", PACKETS)
@pytest.mark.parametrize("word", ["sha1", "sha256"])
def test_transport_mode_with_all_sorts_of_headers(word: str, name: str) -> None:
    sender, receiver = ends(word, mode=Mode.TRANSPORT)
    packet = bytes(PACKETS[name])
    layer = IPv6 if name.startswith("ipv6") else IP
    other = scapy_end(word, sender)
    assert bytes(other.decrypt(layer(protect(sender, packet, seeded(1))))) == packet
    assert unprotect(receiver, bytes(other.encrypt(layer(packet), seq_num=3))) == Unprotected(packet, 3)


def test_a_type_0_route_is_covered_as_it_ends() -> None:
    sender, receiver = ends("sha256", mode=Mode.TRANSPORT)
    stops = ["2001:db8::a", "2001:db8::b"]
    start = IPv6(src="2001:db8::1", dst="2001:db8::5") / IPv6ExtHdrRouting(addresses=stops) / UDP(sport=1, dport=2)
    end = (
        IPv6(src="2001:db8::1", dst="2001:db8::b")
        / IPv6ExtHdrRouting(addresses=["2001:db8::5", "2001:db8::a"], segleft=0)
        / UDP(sport=1, dport=2)
    )
    protected = IPv6(protect(sender, bytes(start), seeded(1)))
    protected.dst = "2001:db8::b"
    protected[IPv6ExtHdrRouting].addresses = ["2001:db8::5", "2001:db8::a"]
    protected[IPv6ExtHdrRouting].segleft = 0
    result = unprotect(receiver, bytes(protected))
    assert isinstance(result, Unprotected)
    assert result.inner[:-8] == bytes(end)[:-8]


@pytest.mark.parametrize("word", ALGORITHMS)
@pytest.mark.parametrize("esn", [False, True])
def test_every_algorithm_replay_and_extended_numbers(word: str, esn: bool) -> None:
    last = (1 << 32) - 2
    sender, receiver = ends(word, esn=esn, sent=last if esn else 0)
    receiver.replay.highest = sender.sent
    packets = [protect(sender, INNER4, seeded(n)) for n in range(3)]
    assert [unprotect(receiver, p).sequence - sender.sent for p in packets] == [-2, -1, 0]
    assert reason(unprotect(receiver, packets[0])) is DropReason.REPLAYED


@pytest.mark.parametrize(("six", "setting", "length"), [(False, 0, 28), (True, 0, 32), (False, 8, 32), (True, 4, 28)])
def test_the_header_is_aligned(six: bool, setting: int, length: int) -> None:
    hosts = ("2001:db8::1", "2001:db8::2") if six else ("192.0.2.1", "192.0.2.2")
    sender, receiver = ends("sha256", source=hosts[0], destination=hosts[1], ah_alignment=setting)
    packet = protect(sender, INNER4, seeded(1))
    assert len(packet) == (40 if six else 20) + length + len(INNER4)
    assert unprotect(receiver, packet).inner == INNER4


def test_mutable_fields_may_change_and_others_may_not() -> None:
    # IPv4: TOS, flags and offset (not of fragments), TTL, checksum. A changed address breaks the ICV (no NAT).
    fresh = {"tos": 3, "ttl": 7, "flags": "DF"}
    for change, expected in (
        ({**fresh}, None),
        ({"src": "192.0.2.9"}, DropReason.BAD_ICV),
        ({"id": 9}, DropReason.BAD_ICV),
    ):
        sender, receiver = ends("sha256")
        packet = IP(protect(sender, bytes(IP(src="198.51.100.1", dst="203.0.113.9", tos=1) / b"x"), seeded(1)))
        for field, value in change.items():
            setattr(packet, field, value)
        del packet.chksum
        assert reason(unprotect(receiver, bytes(packet))) is expected
    for change, expected in (({"tc": 2, "fl": 5, "hlim": 1}, None), ({"dst": "2001:db8::3"}, DropReason.BAD_ICV)):
        sender, receiver = ends("sha256", source="2001:db8::1", destination="2001:db8::2")
        packet = IPv6(protect(sender, INNER6, seeded(1)))
        for field, value in change.items():
            setattr(packet, field, value)
        assert reason(unprotect(receiver, bytes(packet))) is expected


def test_forced_fields_and_wrong_packets() -> None:
    sender, receiver = ends("sha256")
    plain = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / b"x")
    cases = [
        (protect(sender, INNER4, seeded(1), Forced(spi=b"\0\0\0\1")), DropReason.UNKNOWN_SPI),
        (protect(sender, INNER4, seeded(1), Forced(icv=bytes(16))), DropReason.BAD_ICV),
        (protect(sender, INNER4, seeded(1), Forced(pad_length=1)), DropReason.BAD_LENGTH),
        (protect(sender, INNER4, seeded(1), Forced(pad_length=255)), DropReason.BAD_LENGTH),
        (protect(sender, INNER4, seeded(1), Forced(next_header=6)), DropReason.BAD_NEXT_HEADER),
        (plain, DropReason.NOT_IPSEC),
        (bytes(IP(proto=51, src="192.0.2.1", dst="192.0.2.2") / b"short"), DropReason.TOO_SHORT),
        (bytes(IP(proto=51, src="192.0.2.1", dst="192.0.2.2", flags="MF") / bytes(64)), DropReason.FRAGMENT),
    ]
    for packet, expected in cases:
        assert reason(unprotect(receiver, packet)) is expected
    assert unprotect(receiver, protect(sender, INNER4, seeded(1), Forced(padding=b"more"))).inner == INNER4
    with pytest.raises(ValueError, match="AH needs an integrity"):
        SecurityAssociation(spi=SPI, source="192.0.2.1", destination="192.0.2.2", protocol=ProtocolId.AH)


def test_the_gateway_carries_ah_as_whole_packets() -> None:
    out, peer_in = ends("sha256")
    peer_out, into = ends("sha256", spi=b"\xc0\0\0\5", source="192.0.2.2", destination="192.0.2.1")
    ours, theirs = Gateway(), Gateway()
    ours.add(outbound=out, inbound=into)
    theirs.add(outbound=peer_out, inbound=peer_in)
    sent = ours.outbound(INNER4, seeded(1))
    assert (sent.protocol, sent.data[:1]) == (51, b"\x45")
    assert theirs.open(sent) == INNER4
    largest = build_ipv4(bytes(4), bytes(4), 17, bytes(65515))
    assert ours.outbound(largest, seeded(1)).reason is DropReason.TOO_LONG


def test_options_with_lengths_of_their_own_are_walked_to_the_end() -> None:
    # Nonsense in options must neither raise nor hang, and both ends must agree on what it means.
    payload = b"\0\1\0\2\0\x0cab\x64data"
    for options in (b"\x83\0\1\1", b"\x83\xff\1\1", b"\1\1\1\x07", b"\0\x07\x04\1"):
        header = bytearray(build_ipv4(bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2]), 17, options + payload))
        header[0], header[10:12] = 0x46, b"\0\0"
        header[10:12] = checksum(bytes(header[:24])).to_bytes(2, "big")
        sender, receiver = ends("sha1", mode=Mode.TRANSPORT)
        assert unprotect(receiver, protect(sender, bytes(header), seeded(1))).inner == bytes(header)
    for extension in (b"\x11\0\0\0\0\0\0\0", b"\x11\0\x3e\xff\0\0\0\0", b"\x11\0\1\3\0\0\0\x3e"):
        packet = build_ipv6(bytes(15) + b"\1", bytes(15) + b"\2", 0, extension + payload)
        sender, receiver = ends("sha1", mode=Mode.TRANSPORT)
        assert unprotect(receiver, protect(sender, packet, seeded(1))).inner == packet


@pytest.mark.parametrize(("kind", "left"), [(2, 1), (0, 9), (4, 0)])
def test_routes_other_than_type_0_are_covered_as_they_are(kind: int, left: int) -> None:
    route = bytes([17, 2, kind, left, 0, 0, 0, 0]) + bytes(16)
    packet = build_ipv6(bytes(15) + b"\1", bytes(15) + b"\2", 43, route + bytes(8))
    sender, receiver = ends("sha1", mode=Mode.TRANSPORT)
    protected = protect(sender, packet, seeded(1))
    assert unprotect(receiver, protected).inner == packet
    sender, receiver = ends("sha1", mode=Mode.TRANSPORT)
    changed = protected[:43] + bytes([left + 1]) + protected[44:]
    assert reason(unprotect(receiver, changed)) is DropReason.BAD_ICV


@given(st.binary(max_size=80), st.booleans(), st.data())
@settings(deadline=None)
def test_no_octets_raise(noise: bytes, transport: bool, data: st.DataObject) -> None:
    sender, receiver = ends("sha1", mode=Mode.TRANSPORT if transport else Mode.TUNNEL)
    packet = bytearray(protect(sender, bytes(PACKETS[data.draw(st.sampled_from(sorted(PACKETS)))]), seeded(1)))
    for _ in range(data.draw(st.integers(0, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] ^= data.draw(st.integers(0, 255))
    header = bytes(IPv6(src="2001:db8::1", dst="2001:db8::2", nh=51, plen=len(noise) + 4))
    for octets in (
        bytes(packet) + noise,
        bytes(IP(proto=51, src="192.0.2.1") / noise),
        header + SPI + noise,
    ):
        assert isinstance(unprotect(receiver, octets), Unprotected | Drop)
