from dataclasses import replace
from ipaddress import ip_address

import pytest

from ipsectest.base.iana import ExchangeType, HeaderFlag
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.runner.interop.ladder import ladder
from ipsectest.runner.interop.settings import Ends
from ipsectest.runner.interop.watch import PATTERN, Frame, Seen
from ipsectest.runner.records import AGAIN
from ipsectest.wire import Message, build_message
from ipsectest.wire.ip import ESP, ICMP, ICMPV6, IPV4_IN_IP, UDP, build_ip, build_udp

ENDS = Ends("192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1")
SIX = Ends("2001:db8:1::1", "2001:db8:1::2", "198.51.100.1", "203.0.113.1")
IKE = build_message(Message(bytes(8), bytes(8), ExchangeType.IKE_SA_INIT, HeaderFlag.INITIATOR, 0, []))


def frame(protocol: int, payload: bytes, *, ends: Ends = ENDS, source: str = "", destination: str = "") -> Frame:
    addresses = [ip_address(text).packed for text in (source or ends.initiator, destination or ends.responder)]
    ether_type = b"\x08\x00" if len(addresses[0]) == 4 else b"\x86\xdd"
    return Frame(0, True, bytes(12) + ether_type + build_ip(*addresses, protocol, payload))


def udp(port: int, data: bytes) -> Frame:
    addresses = [ip_address(text).packed for text in (ENDS.initiator, ENDS.responder)]
    return frame(UDP, build_udp(*addresses, port, port, data))


def icmp_error(about: Frame, *, ends: Ends = ENDS) -> Frame:
    """The port or the protocol is unreachable, says the initiator."""
    kind = b"\x03\x03" if ends is ENDS else b"\x01\x04"
    return frame(ICMP if ends is ENDS else ICMPV6, kind + bytes(6) + about.data[14:], ends=ends)


PROPER = [
    udp(500, IKE),
    udp(4500, bytes(4) + IKE),
    udp(4500, b"\xff"),
    udp(4500, b"\x12\x34\x56\x78" + bytes(40)),
    frame(ESP, b"\x12\x34\x56\x78" + bytes(40)),
    frame(ESP, b"\x12\x34\x56\x78" + bytes(40), ends=SIX),
    frame(ICMPV6, bytes([135]) + bytes(23), ends=SIX),
    Frame(0, True, bytes(12) + b"\x08\x06" + bytes(28)),
    icmp_error(udp(500, IKE)),
    icmp_error(udp(4500, bytes(4) + IKE)),
    icmp_error(frame(ESP, b"\x12\x34\x56\x78" + bytes(40))),
    icmp_error(frame(ESP, b"\x12\x34\x56\x78" + bytes(40), ends=SIX), ends=SIX),
]
LEAKS = [
    frame(ICMP, b"\x08\0" + bytes(6), source=ENDS.inner_initiator, destination=ENDS.inner_responder),
    frame(ESP, bytes(40), destination=ENDS.inner_responder),
    frame(ESP, b"\x12\x34\x56\x78" + bytes(4) + PATTERN),
    udp(4500, b"\x12\x34\x56\x78" + PATTERN),
    frame(ICMP, b"\x08\0" + bytes(6)),
    frame(IPV4_IN_IP, bytes(20)),
    udp(53, bytes(12)),
    frame(ICMPV6, bytes([128]) + bytes(7), ends=SIX),
    Frame(0, True, bytes(12) + b"\x88\xb5" + PATTERN),
    icmp_error(udp(53, bytes(12))),
    icmp_error(frame(ICMP, b"\x08\0" + bytes(6), source=ENDS.inner_initiator, destination=ENDS.inner_responder)),
    icmp_error(udp(4500, b"\x12\x34\x56\x78" + PATTERN)),
]


def test_what_gateways_say_is_no_leak() -> None:
    assert Seen(PROPER).in_clear(ENDS) == []


@pytest.mark.parametrize("leak", LEAKS)
def test_a_leak_is_found_among_proper_packets(leak: Frame) -> None:
    assert len(Seen([*PROPER, leak]).in_clear(ENDS)) == 1


def test_forms_of_esp_are_counted() -> None:
    assert Seen(PROPER).protected() == {"plain": 2, "udp": 1}


def test_the_ladder_has_ike_messages_and_counts_esp_between_them() -> None:
    esp = frame(ESP, bytes(40))
    frames = [udp(500, IKE), esp, esp, replace(udp(4500, bytes(4) + IKE), at=2_000_000, sent=False)]
    rungs = [(rung.at, rung.direction, rung.text.partition(" ")[0]) for rung in ladder(frames, KeyRing())]
    assert rungs == [(0.0, "->", "IKE_SA_INIT"), (0.002, "--", "2"), (0.002, "<-", "IKE_SA_INIT")]


def test_only_what_was_sent_before_is_told_as_repeated() -> None:
    answer = replace(udp(500, IKE), sent=False)
    texts = [rung.text.endswith(AGAIN) for rung in ladder([udp(500, IKE), udp(500, IKE), answer], KeyRing())]
    assert texts == [False, True, False]


def test_truncated_frames_do_no_harm() -> None:
    for whole in (*PROPER, *LEAKS):
        for length in range(len(whole.data)):
            seen = Seen([Frame(0, True, whole.data[:length])])
            seen.in_clear(ENDS)
            ladder(seen.frames, KeyRing())
            seen.protected()


def _asked(seconds: float, message_id: int, *, sent: bool, response: bool = False) -> Frame:
    flags = HeaderFlag.RESPONSE if response else HeaderFlag.INITIATOR
    message = build_message(Message(bytes(8), bytes(8), ExchangeType.INFORMATIONAL, flags, message_id, []))
    return replace(udp(500, message), at=int(seconds * 1e9), sent=sent)


def test_the_slowest_answer_is_counted_from_the_first_copy_of_its_request() -> None:
    frames = [
        _asked(0.0, 0, sent=True), _asked(0.1, 0, sent=False, response=True),
        _asked(1.0, 1, sent=True), _asked(1.5, 1, sent=True), _asked(4.2, 1, sent=False, response=True),
        _asked(2.0, 0, sent=False), _asked(3.0, 0, sent=True, response=True),
    ]  # fmt: skip
    assert Seen(frames).slowest_answer() == pytest.approx(3.2)


def test_what_nobody_answers_or_asks_is_no_slow_answer() -> None:
    frames = [_asked(0.0, 0, sent=True), _asked(9.0, 7, sent=False, response=True), udp(500, b"x")]
    assert Seen(frames).slowest_answer() == 0.0
