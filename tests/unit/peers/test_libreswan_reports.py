"""Reading what pluto logs of its SAs. The lines are those of Libreswan 4.10 and 5.2."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.suites import format_suite
from ipsectest.peers.libreswan_reports import reports
from ipsectest.peers.libreswan_states import State
from ipsectest.peers.reports import IkeReport

AH = """\
29 05:48:28.996574: "interop"[1] 192.0.2.2 #1: sent IKE_SA_INIT response to 192.0.2.2:UDP/500 \
{cipher=AES_CBC_128 integ=HMAC_SHA2_256_128 prf=HMAC_SHA2_256 group=MODP2048}
29 05:48:29.243698: "interop"[1] 192.0.2.2 #2: responder established Child SA using #1; IPsec tunnel \
[203.0.113.1/32===198.51.100.2/32] {AH=>0xce44a422 <0x297013f1 xfrm=HMAC_SHA2_512_256 DPD=passive}
29 05:48:30.290722: "interop"[1] 192.0.2.2 #3: proposal 1:AH=HMAC_SHA2_512_256-ECP_256-ESN:NO SPI=c420283f chosen \
from remote proposals 1:AH:INTEG=HMAC_SHA2_512_256;DH=ECP_256;ESN=NO[first-match]
29 05:48:30.425909: "interop"[1] 192.0.2.2 #3: responder rekeyed Child SA #2 using #1; IPsec tunnel \
[203.0.113.1/32===198.51.100.2/32] {AH=>0xc420283f <0x1a48c48c xfrm=HMAC_SHA2_512_256 DPD=passive}
"""
ESP = """\
29 05:44:53.9: "interop"[1] 192.0.2.1 #7: initiator established IKE SA; authenticated peer
29 05:44:53.7: "interop"[1] 192.0.2.1 #7: processed IKE_SA_INIT response from 192.0.2.102:UDP/500 \
{cipher=AES_GCM_16_256 integ=n/a prf=HMAC_SHA2_512 group=DH19}, initiating IKE_AUTH
29 05:44:53.9: "interop"[1] 192.0.2.1 #8: initiator established Child SA using #7; IPsec tunnel \
[203.0.113.1-203.0.113.1:0-65535 0] -> [198.51.100.2-198.51.100.2:0-65535 0] \
{ESPinUDP=>0x02c0dfcf <0x6044ea2 xfrm=AES_CBC_256-HMAC_SHA2_512_256-MODP2048 NATD=192.0.2.2:4500 DPD=passive}
"""


def the_only(states: list[State], log: str) -> IkeReport:
    (report,) = reports(states, log)
    return report


def test_ah_rekeyed_with_a_group() -> None:
    states = [State(1, "interop", "ESTABLISHED_IKE_SA"), State(3, "interop", "ESTABLISHED_CHILD_SA", 1)]
    ike = the_only(states, AH)
    assert format_suite(ike.suite) == "aes128-sha256-prfsha256-modp2048"
    (child,) = ike.children
    assert (child.spi_in.hex(), child.spi_out.hex(), child.mode) == ("1a48c48c", "c420283f", "tunnel")
    assert (format_suite(child.suite), child.encapsulated) == ("sha512-ecp256", False)


def test_encapsulated_esp_with_an_spi_that_begins_with_zero() -> None:
    states = [State(7, "interop", "ESTABLISHED_IKE_SA"), State(8, "interop", "ESTABLISHED_CHILD_SA", 7)]
    ike = the_only(states, ESP)
    assert format_suite(ike.suite) == "aes256gcm16-prfsha512-ecp256"
    (child,) = ike.children
    assert (child.spi_in.hex(), child.encapsulated) == ("06044ea2", True)
    assert format_suite(child.suite) == "aes256-sha512-modp2048"


def test_pluto_tells_a_key_length_of_chacha20() -> None:
    log = '"interop"[1] #1: sent IKE_SA_INIT response {cipher=CHACHA20_POLY1305_256 prf=HMAC_SHA2_256 group=DH19}'
    ike = the_only([State(1, "interop", "ESTABLISHED_IKE_SA")], log)
    assert format_suite(ike.suite) == "chacha20poly1305-prfsha256-ecp256"


def test_what_is_not_in_the_log_is_left_out() -> None:
    states = [State(1, "interop", "ESTABLISHED_IKE_SA"), State(2, "interop", "ESTABLISHED_CHILD_SA", 1)]
    assert (the_only(states, "").suite, the_only(states, "").children) == ((), ())
    assert not reports(states[1:], AH)


@given(st.text(), st.text())
def test_any_log_is_read(text: str, more: str) -> None:
    states = [State(1, "interop", "ESTABLISHED_IKE_SA"), State(2, "interop", "ESTABLISHED_CHILD_SA", 1)]
    reports(states, text)
    reports(states, f"#2: IPsec tunnel {text} {{ESP=>0x1 <0x2 xfrm={more} }}\n#2: proposal 1:AH={more} SPI=1 chosen ")
