"""ESP and AH: what a bystander can tell of them."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.explain import flows
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.explanation import Explanation, explain
from ipsectest.explain.findings import Severity
from ipsectest.wire.datagrams import host_octets
from ipsectest.wire.ip import ESP, build_ip
from tests.unit.cli.test_explain import PCAPS
from tests.unit.explain.scenes import INITIATOR, RESPONDER, Scene, notify
from tests.unit.explain.test_ike_causes import established

OUT, BACK = b"\0\0\2\2", b"\0\0\1\1"


def traffic(scene: Scene, numbers: range | list[int], back: range | list[int] = range(1, 11)) -> Scene:
    for number in numbers:
        scene.esp(OUT, number)
    for number in back:
        scene.esp(BACK, number, to_right=False)
    return scene


def test_traffic_both_ways_is_fine() -> None:
    assert traffic(established(), range(1, 11)).codes() == ["all-fine"]


def test_loss_is_counted_by_sequence_numbers() -> None:
    found = traffic(established(), [*range(1, 50), *range(60, 101)]).finding("packets-lost")
    assert found.text.startswith("10 of 100 sequence numbers")
    assert found.who == f"ESP 00000202 {INITIATOR} > {RESPONDER}"
    assert found.severity is Severity.FAILURE


def test_a_little_loss_is_a_warning() -> None:
    scene = traffic(established(), [*range(1, 50), *range(51, 101)])
    assert scene.finding("packets-lost").severity is Severity.WARNING
    assert not scene.explained().has_failed


def test_reordering_is_nothing() -> None:
    assert traffic(established(), [1, 3, 2, 4, 6, 5, 7]).codes() == ["all-fine"]


def test_replays_name_their_frames() -> None:
    found = traffic(established(), [1, 2, 3, 2, 3, 4]).finding("packets-replayed")
    assert [one.number for one in found.evidence] == [8, 9]


def test_extended_sequence_numbers_wrap_without_loss() -> None:
    numbers = [*range(2**32 - 3, 2**32), *range(5)]
    assert traffic(established(), numbers).codes() == ["all-fine"]


def test_one_way_only() -> None:
    found = traffic(established(), range(1, 11), []).finding("one-way-traffic")
    assert found.who == f"{INITIATOR} > {RESPONDER}"
    assert "10 packets" in found.text


def test_one_way_in_a_capture_that_may_see_one_only() -> None:
    found = traffic(Scene(), range(1, 11), []).finding("one-way-traffic")
    assert found.severity is Severity.WARNING
    assert "one direction only" in found.text


def to(host: str, scene: Scene, sequence: int) -> Scene:
    packet = OUT + sequence.to_bytes(4, "big") + bytes(40)
    return scene.packet(build_ip(host_octets(INITIATOR), host_octets(host), ESP, packet))


def test_one_sa_to_several_hosts_has_one_counter() -> None:
    scene = Scene()
    for number in range(1, 31):
        to("224.0.0.5" if number % 3 else "203.0.113.9", scene, number)
    assert "packets-lost" not in scene.codes()
    assert [one.who for one in scene.explained().findings if one.code == "one-way-traffic"] == [
        f"{INITIATOR} > 203.0.113.9"
    ]


def test_few_packets_one_way_are_nothing() -> None:
    assert traffic(established(), range(1, 4), []).codes() == ["all-fine"]


def test_an_spi_that_nobody_made() -> None:
    scene = traffic(established(), range(1, 11))
    for number in range(1, 4):
        scene.esp(b"\xde\xad\0\1", number, after=1)
    assert "dead0001" in scene.finding("unknown-spi").text


def test_an_spi_that_the_receiver_reports() -> None:
    scene = established()
    scene.ike(ExchangeType.INFORMATIONAL, notify(NotifyType.INVALID_SPI, b"\0\0\2\2"), message_id=0, by_initiator=False)
    scene.ike(ExchangeType.INFORMATIONAL, message_id=0, by_initiator=False, response=True)
    assert "00000202" in scene.finding("unknown-spi").text


@pytest.mark.parametrize(("code", "name"), [(4, "esp-too-big"), (2, "esp-unreachable"), (13, "esp-unreachable")])
def test_icmp_about_esp(code: int, name: str) -> None:
    scene = traffic(established(), range(1, 11)).esp(OUT, 11).icmp(code, reporter="192.0.2.254")
    assert scene.finding(name).who == "192.0.2.254"


def test_a_peer_that_stops_answering() -> None:
    scene = established()
    for pause in (0, 1, 2, 4):
        scene.ike(ExchangeType.INFORMATIONAL, message_id=2, after=pause)
    found = scene.finding("dead-peer")
    assert found.who == f"{RESPONDER} (responder)"
    assert "4 times INFORMATIONAL request 2" in found.text


def test_a_peer_of_before_the_capture_that_does_not_answer() -> None:
    scene = Scene()
    for pause in (0, 1, 2):
        scene.ike(ExchangeType.INFORMATIONAL, message_id=7, after=pause)
    assert scene.finding("dead-peer").text.startswith(f"{RESPONDER} (responder) is silent: 3 times")
    assert scene.explained().stories[0].is_established is None


def test_one_repetition_less_and_it_is_alive() -> None:
    scene = established().ike(ExchangeType.INFORMATIONAL, message_id=2).esp(OUT, 1, after=5)
    assert "dead-peer" not in scene.codes()


NAME = "strongswan-responder-psk-aes128gcm16"


def real(damaged: Callable[[int], bool], *, wrong: bool = False) -> Explanation:
    """A capture of a real tunnel with its ESP keys, some ICVs of one direction flipped, or with keys of zeros."""
    ring = detect.read(PCAPS / f"{NAME}.keys.toml")
    if wrong:
        ring.ike.clear()
        ring.sas = [replace(one, encryption_key=bytes(len(one.encryption_key))) for one in ring.sas]
    run, facts = Decryption(ring), CaptureFacts(NAME)
    run.observer = facts
    capture = open_capture(PCAPS / f"{NAME}.pcapng")
    count = 0
    for frame in capture.frames():
        data = bytearray(frame.data)
        if data[9] == 50 and data[15] == 1:  # ESP from 192.0.2.1
            count += 1
            data[-1] ^= damaged(count)
        run.take(replace(frame, data=bytes(data)), capture.interfaces[frame.interface])
    capture.close()
    assert count > 5
    return explain([facts])


def test_packets_that_are_damaged_on_the_way() -> None:
    told = real(lambda number: number in {2, 4})
    found = {one.code: one for one in told.findings}["packets-damaged"]
    assert "The ICV of 2 packets is wrong" in found.text
    assert len(found.evidence) == 2
    assert told.has_failed


def test_keys_that_fit_nothing() -> None:
    told = real(lambda _: False, wrong=True)
    assert "wrong-keys" in [one.code for one in told.findings]
    assert "packets-damaged" not in [one.code for one in told.findings]


def test_keys_that_fit_everything() -> None:
    assert [one.code for one in real(lambda _: False).findings] == ["all-fine"]


def test_flows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "MOST_FLOWS", 50)
    scene = Scene()
    for number in range(70):
        scene.esp(number.to_bytes(4, "big"), 1)
    facts = scene.facts()
    assert len(facts.flows.found) == 50
    assert facts.flows.left_out == 20
