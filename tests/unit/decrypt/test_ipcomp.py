"""IPComp inside ESP and AH: unpacked as tshark does, named where it cannot be, bounded."""

import json
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.iana import ProtocolId
from ipsectest.cli.main import main
from ipsectest.decrypt.ipcomp import IPCOMP, unpack
from ipsectest.decrypt.keys import ours
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.output import comment_of
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.unwrap import Unwrapped, unwrap
from ipsectest.ipsec.inner import Echo, build_echo
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode
from ipsectest.wire.ip import IPV4_IN_IP, build_ipv4
from tests.pcaps.tshark import require_tshark
from tests.unit.cli.test_decrypt import tshark
from tests.unit.cli.test_decrypt_wireshark import with_profile
from tests.unit.decrypt.test_two_paths import pcap
from tests.unit.decrypt.test_unwrap import keys_of, sender
from tests.unit.ipsec.sas import seeded

INNER = build_echo(Echo("198.51.100.1", "203.0.113.1", 7, 1, b"compressible " * 60, is_reply=False))
ENDS = bytes([192, 0, 2, 1]), bytes([192, 0, 2, 2])


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-12)
    return packer.compress(data) + packer.flush()


def ipcomp(next_header: int, cpi: int, body: bytes) -> bytes:
    """The packet that transport mode protects: the kernel puts IPComp innermost (RFC 3173 section 3.2)."""
    return build_ipv4(*ENDS, IPCOMP, bytes((next_header, 0)) + cpi.to_bytes(2, "big") + body)


def opened(packet: bytes, suite: str = "aes128gcm16", **changes: object) -> Unwrapped:
    sa = sender(suite, mode=Mode.TRANSPORT, **changes)
    result = unwrap(protect(sa, packet, seeded(1)), SaDatabase([keys_of(sa)]), 1)
    assert result
    return result


@pytest.mark.parametrize("cpi", [2, 0x1234])
def test_a_compressed_tunnel_is_unpacked(cpi: int) -> None:
    result = opened(ipcomp(IPV4_IN_IP, cpi, deflated(INNER)))
    assert result.packet == INNER
    assert comment_of(result).endswith(f"IPComp CPI {cpi:04x} DEFLATE")


def test_ah_around_it_and_transport_mode() -> None:
    result = opened(
        ipcomp(17, 2, deflated(b"\0\1\0\2\0\x64\0\0" + bytes(92))), "aes128-sha256",
        protocol=ProtocolId.AH, encryption=None, encryption_key=b"",
    )  # fmt: skip
    assert (result.packet[9], result.packet[20:]) == (17, b"\0\1\0\2\0\x64\0\0" + bytes(92))


@pytest.mark.parametrize(
    ("cpi", "body", "text"),
    [
        (3, b"anything", "IPComp CPI 0003 LZS, not unpacked"),
        (99, b"anything", "IPComp CPI 0063 of an unknown algorithm, not unpacked"),
        (2, b"\xff" * 9, "IPComp CPI 0002, no DEFLATE"),
        (2, deflated(INNER)[:-3], "IPComp CPI 0002, longer than a packet can be or cut off"),
        (2, deflated(bytes(1 << 20)), "IPComp CPI 0002, longer than a packet can be or cut off"),
    ],
)
def test_what_cannot_be_unpacked_is_named_and_kept(cpi: int, body: bytes, text: str) -> None:
    packet = ipcomp(IPV4_IN_IP, cpi, body)
    result = opened(packet)
    assert result.packet == packet
    assert comment_of(result).endswith(text)


def test_a_payload_that_fits_no_packet_is_no_packet() -> None:
    result = opened(ipcomp(17, 2, deflated(bytes(65_530))))
    assert result.failure
    assert result.failure.reason.value == "bad-inner"


def test_wireshark_reads_the_same(tmp_path: Path) -> None:
    require_tshark()
    sa = sender("aes128gcm16", mode=Mode.TRANSPORT)
    packets = [protect(sa, ipcomp(IPV4_IN_IP, 2, deflated(INNER)), seeded(n)) for n in range(3)]
    (tmp_path / "in").write_bytes(pcap(packets))
    (tmp_path / "keys.toml").write_text(ours.write(KeyRing(sas=[keys_of(sa)])))
    options = ["-o", str(tmp_path / "out"), "--jsonl", str(tmp_path / "lines"), "--wireshark", str(tmp_path / "it")]
    assert main(["decrypt", str(tmp_path / "in"), "-k", str(tmp_path / "keys.toml"), *options]) == 0
    rows, _ = with_profile(str(tmp_path / "in"), tmp_path / "it")
    ours_too = tshark(tmp_path / "out", "icmp.type", "icmp.seq")
    assert [row[:2] for row in rows] == ours_too == [["8", "1"]] * 3
    lines = [json.loads(line) for line in (tmp_path / "lines").read_text().splitlines()]
    assert {line["compression"] for line in lines} == {"IPComp CPI 0002 DEFLATE"}
    assert {line["inner"]["octets"] for line in lines} == {INNER.hex()}


@given(st.binary(max_size=300))
def test_no_octets_raise(data: bytes) -> None:
    assert len(unpack(data).payload) <= max(65_535, len(data))
