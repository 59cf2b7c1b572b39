"""IKEv1, from captures of real strongSwan, whole and cut off where it would have stopped."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.explanation import Explanation, explain
from ipsectest.explain.ikev1 import MOST_SAS
from tests.unit.explain.scenes import INITIATOR, RESPONDER, Scene

VECTORS = Path(__file__).parents[2] / "vectors" / "ikev1"
COOKIE = b"initiato"


def frames(name: str) -> tuple[list[Frame], Interface]:
    capture = open_capture(VECTORS / f"{name}.pcapng")
    found = [Frame(f.number, f.nanoseconds, f.interface, bytes(f.data), f.length) for f in capture.frames()]
    capture.close()
    return found, capture.interfaces[0]


def told(found: Sequence[Frame], interface: Interface) -> Explanation:
    run, facts = Decryption(KeyRing()), CaptureFacts("v1.pcapng")
    run.observer = facts
    for number, frame in enumerate(found, 1):
        frame.number = number
        run.take(frame, interface)
    return explain([facts])


def again(frame: Frame, seconds: float) -> Frame:
    return Frame(0, frame.nanoseconds + int(seconds * 1e9), 0, frame.data, frame.length)


@pytest.mark.parametrize("name", ["main-aes", "aggr-3des", "main-camellia", "main-des", "main-rsa-frag"])
def test_what_works_is_fine(name: str) -> None:
    found = told(*frames(name))
    assert [one.code for one in found.findings] == ["all-fine"]
    assert [one.is_established for one in found.stories] == [True]


def ike_of(name: str) -> tuple[list[Frame], Interface]:
    found, interface = frames(name)
    facts = CaptureFacts()
    run = Decryption(KeyRing())
    run.observer = facts
    for frame in found:
        run.take(frame, interface)
    (one,) = facts.ikev1.found.values()
    wanted = {message.sighting.frame for message in one.messages}
    return [frame for frame in found if frame.number in wanted], interface


def test_a_wrong_key_stops_main_mode_in_silence() -> None:
    messages, interface = ike_of("main-aes")
    stopped = [*messages[:5], again(messages[4], 1), again(messages[4], 3)]
    found = told(stopped, interface)
    assert [one.code for one in found.findings] == ["wrong-psk"]
    assert found.findings[0].who == RESPONDER
    assert "sent 3 times" in found.findings[0].text
    assert not found.stories[0].is_established


def test_nobody_there() -> None:
    messages, interface = ike_of("main-aes")
    found = told([messages[0], again(messages[0], 2), again(messages[0], 6)], interface)
    assert [one.code for one in found.findings] == ["peer-unreachable"]
    assert found.stories[0].rungs[-1].is_unanswered


def isakmp(exchange: int, first: int, payloads: bytes, cookie_r: bytes = bytes(8)) -> bytes:
    length = (28 + len(payloads)).to_bytes(4, "big")
    return COOKIE + cookie_r + bytes((first, 0x10, exchange, 0)) + bytes(4) + length + payloads


@pytest.mark.parametrize(
    ("kind", "code"),
    [(14, "ike-proposal-mismatch"), (18, "id-mismatch"), (24, "authentication-failed"), (16, "ikev1-error")],
)
def test_errors_in_clear(kind: int, code: str) -> None:
    notify = bytes((0, 0, 0, 12)) + (1).to_bytes(4, "big") + bytes((1, 0)) + kind.to_bytes(2, "big")
    scene = Scene().datagram(isakmp(2, 13, bytes((0, 0, 0, 8)) + b"vend"))
    scene.datagram(isakmp(5, 11, notify), to_right=False)
    found = scene.finding(code)
    assert found.who == RESPONDER
    assert INITIATOR in found.text
    assert scene.explained().has_failed


def test_memory_is_bounded() -> None:
    scene = Scene()
    for number in range(MOST_SAS + 10):
        scene.datagram(number.to_bytes(8, "big") + isakmp(2, 0, b"")[8:])
    assert len(scene.facts().ikev1.found) == MOST_SAS
