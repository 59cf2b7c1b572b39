"""The short look at ESP without keys has to see what the long way sees."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.flows import Flow
from ipsectest.explain.glance import known_place
from ipsectest.explain.reading import read_capture
from tests.unit.cli.test_explain import NAMES, PCAPS
from tests.unit.explain.scenes import RAW, Scene
from tests.unit.explain.test_ike_causes import established


@dataclass
class Kept:
    """A capture in memory."""

    kept: list[Frame]
    interfaces: list[Interface] = field(default_factory=lambda: [RAW])
    notes: list[str] = field(default_factory=list)

    def frames(self) -> list[Frame]:
        return self.kept

    def position(self) -> tuple[int, int | None]:
        return 0, None

    def close(self) -> None:
        return


def by_the_long_way(run: Decryption, capture: Kept) -> CaptureFacts:
    facts = CaptureFacts()
    run.observer = facts
    for frame in capture.frames():
        run.take(frame, capture.interfaces[frame.interface])
    return facts


def seen(facts: CaptureFacts) -> list[tuple[object, ...]]:
    return [shown(flow) for flow in facts.flows.found.values()]


def shown(flow: Flow) -> tuple[object, ...]:
    track = flow.sequence
    return (
        flow.spi, flow.source, flow.destination, flow.in_udp, flow.packets, flow.opened, flow.first_frame, flow.last,
        track.first, track.highest, track.unique, track.lost, track.late, track.replayed, flow.replayed, flow.failures,
    )  # fmt: skip


def test_both_ways_see_the_same() -> None:
    draw = random.Random(3)
    scene = established()
    for _ in range(400):
        number = draw.choice([draw.randrange(1, 60), draw.randrange(2**32 - 50, 2**32)])
        scene.esp(draw.choice([b"\0\0\2\2", b"\0\0\1\1"]), number, to_right=draw.random() < 0.5)
    for name in range(40):
        data = bytearray(scene.frames[draw.randrange(5, 400)].data)
        data[draw.randrange(20)] ^= 1 << draw.randrange(8)
        scene.packet(bytes(data) if name % 2 else bytes(data[: draw.randrange(60)]))
    kept = Kept(scene.frames)
    quick, slow = read_capture(Decryption(KeyRing()), kept, ""), by_the_long_way(Decryption(KeyRing()), kept)
    damaged = {flow.spi for flow in slow.flows.found.values() if flow.packets < 3}
    assert {one[0] for one in seen(quick)} >= {one[0] for one in seen(slow)} - damaged
    assert (quick.end, quick.start) == (slow.end, slow.start)
    assert sum(flow.packets for flow in quick.flows.found.values()) >= 400


@pytest.mark.parametrize("with_keys", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_real_captures_are_seen_alike(name: str, with_keys: bool) -> None:
    found = []
    for read in (lambda run, capture: read_capture(run, capture, ""), by_the_long_way):
        ring = detect.read(Path(PCAPS / f"{name}.keys.toml")) if with_keys else KeyRing()
        capture = open_capture(PCAPS / f"{name}.pcapng")
        found.append(seen(read(Decryption(ring), capture)))
        capture.close()
    assert found[0] == found[1]
    assert found[0]


def test_what_the_short_way_does_not_take() -> None:
    scene = Scene().init().esp(b"\0\0\2\2", 1)
    esp = bytes(scene.frames[-1].data)
    assert known_place(Frame(1, 0, 0, esp, len(esp)), 101)
    assert known_place(Frame(1, 0, 0, bytes(14) + esp, len(esp) + 14), 1) is None  # no ethertype of IPv4
    assert known_place(Frame(1, 0, 0, esp, len(esp)), 105) is None
    assert known_place(Frame(1, 0, 0, esp, len(esp) + 1), 101) is None  # truncated
    assert known_place(Frame(1, 0, 0, b"\x46" + esp[1:], len(esp)), 101) is None
    assert known_place(Frame(1, 0, 0, esp[:6] + b"\x20\0" + esp[8:], len(esp)), 101) is None  # a fragment
    ike = bytes(scene.frames[0].data)
    assert known_place(Frame(1, 0, 0, ike, len(ike)), 101) is None
