"""The echo request of the verb ping."""

import struct

from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP
from scapy.packet import raw

from ipsectest.lab.echo import echo_request, internet_checksum


def test_the_kernel_and_scapy_agree_with_the_checksum() -> None:
    message = echo_request(7)
    parsed = ICMP(message)
    assert (parsed.type, parsed.code, parsed.seq) == (8, 0, 7)
    given_sum = parsed.chksum
    del parsed.chksum
    assert ICMP(raw(parsed)).chksum == given_sum


def test_icmpv6_leaves_the_checksum_to_the_kernel() -> None:
    assert echo_request(1, v6=True)[:4] == b"\x80\x00\x00\x00"


@given(st.binary(max_size=200).filter(lambda data: len(data) % 2 == 0))
def test_data_with_its_checksum_sums_to_nothing(data: bytes) -> None:
    assert struct.unpack("!H", internet_checksum(data + internet_checksum(data)))[0] in {0, 0xFFFF}
