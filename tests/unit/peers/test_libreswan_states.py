"""Reading what pluto says of its states and its log."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.peers.libreswan_states import lines_of_case, read_states

MODERN = """\
#3: "case-1"[1] 192.0.2.1:500 ESTABLISHED_IKE_SA (established IKE SA); EXPIRE in 28799s; newest; idle;
#4: "case-1"[1] 192.0.2.1:500 ESTABLISHED_CHILD_SA (established Child SA); EXPIRE in 28799s; newest; IKE SA #3; idle;
#4: "case-1"[1] 192.0.2.1 esp.a1b2c3d@192.0.2.1 esp.11223344@192.0.2.254 tun.0@192.0.2.1 tun.0@192.0.2.254
#5: "case-2"[1] 2001:db8:0:2::2:500 IKE_SA_INIT_I (sent IKE_SA_INIT request); RETRANSMIT in 0s; idle;
#5: pending Child SA for "case-2"[1] 2001:db8:0:2::2
"""
OLD = """\
000 #3: "case-1":500 STATE_V2_ESTABLISHED_IKE_SA (established IKE SA); EXPIRE in 28799s; newest; idle;
000 #5: "case-2"[1] 192.0.2.2:4500 STATE_V2_PARENT_I1 (sent IKE_SA_INIT request); CRYPTO_TIMEOUT in 59s;
000 #5: pending CHILD SA for "case-2"[1] 192.0.2.2
"""
LOG = """\
Nov 21 03:14:16.81: "case-1": added IKEv2 connection
Nov 21 03:14:16.82: packet from 192.0.2.1:500: dropped
Nov 21 03:14:16.83: packet from 192.0.2.10:500: dropped
Nov 21 03:14:16.84: "case-10" #2: sent IKE_SA_INIT response to 192.0.2.10:500
Nov 21 03:14:16.85: "case-2" #3: peer of 192.0.2.1 looks alike
Nov 21 03:14:16.86: "case-1"[1] 192.0.2.1 #1: deleting IKE SA
"""


def test_states_of_both_releases() -> None:
    ike, child, half_open = read_states(MODERN)
    assert (ike.number, ike.connection, ike.is_ike, ike.is_child, ike.is_half_open) == (3, "case-1", True, False, False)
    assert (child.is_child, child.parent, child.spi.hex()) == (True, 3, "11223344")
    assert (half_open.connection, half_open.is_half_open) == ("case-2", True)
    over_ipv6 = MODERN.replace("esp.", "esp:").replace("192.0.2.1 ", "2001:db8:0:2::1 ")
    assert read_states(over_ipv6)[1].spi.hex() == "11223344"
    assert read_states(MODERN.replace("esp.", "ah."))[1].spi.hex() == "11223344"
    ike, half_open = read_states(OLD)
    assert (ike.is_ike, half_open.is_half_open) == (True, True)


def test_a_case_gets_its_own_lines() -> None:
    kept = lines_of_case(LOG, "case-1", "192.0.2.1")
    assert [line[16:18] for line in kept.splitlines()] == ["81", "82", "86"]


@given(st.text(), st.text())
def test_any_text_is_read(text: str, more: str) -> None:
    read_states(text)
    read_states(f'#1: "{text}":500 ESTABLISHED_IKE_SA ({more}')
    lines_of_case(text, "case-1", more)
