"""Which SA came of which: rekeys by either end, in clear and closed, and what the times alone tell."""

import json
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.decrypt import lineage
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.summary import SCHEMA_FILE, summary
from ipsectest.ike.keylog import KeyLog
from ipsectest.ipsec.packets import protect
from ipsectest.wire.ip import UDP, build_ipv4, build_udp
from tests.pair.world import ALICE, BOB, LATENCY, End, World
from tests.unit.decrypt.test_jsonl_schema import each, frames_of
from tests.unit.decrypt.test_unwrap import INNER, keys_of, sender
from tests.unit.ipsec.sas import seeded

VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
RAW = Interface(101)
SECOND = 1_000_000_000


def packet(datagram: Datagram) -> bytes:
    source, destination = (ip_address(end.host).packed for end in (datagram.source, datagram.destination))
    ports = datagram.source.port, datagram.destination.port
    return build_ipv4(source, destination, UDP, build_udp(source, destination, *ports, datagram.data))


def told(packets: list[tuple[int, bytes]], ring: KeyRing) -> dict[str, Any]:
    run = Decryption(ring)
    for number, (at, data) in enumerate(packets, start=1):
        run.take(Frame(number, at, 0, data, len(data)), RAW)
    run.finish()
    found = summary(run, ["a.pcap"])
    VALIDATOR.validate(found)
    return found


def captured(world: World) -> list[tuple[int, bytes]]:
    return [(number * SECOND, packet(datagram)) for number, datagram in enumerate(world.sent)]


def keys(world: World, tmp_path: Path) -> KeyRing:
    log = KeyLog()
    for event in world.alice.events:
        log.take(event)
    path = tmp_path / "keys.toml"
    path.write_text(log.files()["keys.toml"])
    return detect.read(path)


def established(**changes: Any) -> World:
    world = World(**changes)
    world.establish()
    return world


def rekey_child(world: World, end: End) -> None:
    end.endpoint.rekey_child(end.children()[0], world.now)
    world.settle()


def rekey_ike(world: World, end: End) -> None:
    end.endpoint.rekey_ike(end.ike(), world.now)
    world.settle()


def spis_at(world: World, end: End) -> tuple[str, str]:
    child = end.children()[0]
    return child.spi_in.hex(), child.spi_out.hex()


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_a_child_sa_is_linked_to_the_one_before_it_end_by_end(by: str, tmp_path: Path) -> None:
    world = established()
    end: End = getattr(world, by)
    old = spis_at(world, end)
    rekey_child(world, end)
    new = spis_at(world, end)
    found = told(captured(world), keys(world, tmp_path))
    (rekey,) = found["rekeys"]
    assert (rekey["protocol"], rekey["by"], rekey["guess"]) == ("ESP", end.connection.local.host, False)
    assert (tuple(rekey["old"]), tuple(rekey["new"])) == (old, new)
    assert [child["deleted"] is not None for child in found["child_sas"]] == [True, False]


@pytest.mark.parametrize("by", ["alice", "bob"])
def test_an_ike_sa_is_linked_to_the_one_before_it(by: str, tmp_path: Path) -> None:
    world = established()
    end: End = getattr(world, by)
    first = end.ike()
    rekey_ike(world, end)
    second = end.ike()
    rekey_child(world, world.bob)
    found = told(captured(world), keys(world, tmp_path))
    names = [f"{sa.spi_i.hex()}:{sa.spi_r.hex()}" for sa in (first, second)]
    assert [f"{sa['spi_i']}:{sa['spi_r']}" for sa in found["ike_sas"]] == names
    assert [sa["replaces"] for sa in found["ike_sas"]] == [None, names[0]]
    assert [sa["initiator"] for sa in found["ike_sas"]] == [ALICE.host, end.connection.local.host]
    assert found["ike_sas"][0]["replaced"] is not None
    assert [child["ike"] for child in found["child_sas"]] == names
    assert [rekey["protocol"] for rekey in found["rekeys"]] == ["IKE", "ESP"]


def test_closed_messages_give_rows_and_no_links() -> None:
    world = established()
    rekey_child(world, world.alice)
    rekey_ike(world, world.alice)
    found = told(captured(world), KeyRing())
    assert found["rekeys"] == found["child_sas"] == []
    assert [sa["replaces"] for sa in found["ike_sas"]] == [None] * len(found["ike_sas"])
    assert sum(sa["closed"] for sa in found["ike_sas"]) == found["ike"]["closed"] > 0


def test_a_capture_that_begins_later_knows_the_end_that_was_named(tmp_path: Path) -> None:
    world = established()
    old, begins = spis_at(world, world.alice), len(world.sent)
    rekey_child(world, world.alice)
    found = told(captured(world)[begins:], keys(world, tmp_path))
    assert [rekey["old"] for rekey in found["rekeys"]] == [[old[0], None]]


def test_repetitions_are_counted_and_have_their_time(tmp_path: Path) -> None:
    world = World()
    first: list[Datagram] = []

    def loses_the_first(datagram: Datagram) -> list[float]:
        first.append(datagram)
        return [] if len(first) == 1 else [LATENCY]

    world.route = loses_the_first
    world.alice.endpoint.initiate(world.alice.connection, world.now)
    world.run(10)
    found = told(captured(world), keys(world, tmp_path))
    (sa,) = found["ike_sas"]
    assert sa["retransmitted"] == 1
    assert sa["marks"]["retransmitted"] == [[SECOND, SECOND, 1]]


def test_an_exchange_seen_twice_is_one_rekey(tmp_path: Path) -> None:
    world = established()
    rekey_child(world, world.alice)
    twice = [one for one in captured(world) for _ in range(2)]
    found = told(twice, keys(world, tmp_path))
    assert len(found["rekeys"]) == 1
    assert len(found["child_sas"]) == 2


def test_records_are_bounded_and_what_is_left_out_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lineage, "MOST_IKE", 1)
    monkeypatch.setattr(lineage, "MOST_CHILDREN", 1)
    monkeypatch.setattr(lineage, "MOST_HALF_OPEN", 2)
    world = established()
    rekey_child(world, world.alice)
    rekey_ike(world, world.alice)
    packets = captured(world)
    for number in range(5):  # requests under other SPIs that nobody answers
        data = bytes([number + 1]) * 8 + world.sent[0].data[8:]
        packets.append((number, packet(replace(world.sent[0], data=data))))
    found = told(packets, keys(world, tmp_path))
    assert len(found["ike_sas"]) == 1 + 2
    assert len(found["child_sas"]) == 1
    assert any("are not told of" in note for note in found["notes"])
    assert any("3 more IKE_SA_INIT requests were not answered" in note for note in found["notes"])


def esp(spans: list[tuple[int, int]]) -> tuple[list[tuple[int, bytes]], KeyRing]:
    """A packet each second of SAs with these times."""
    ring, packets = KeyRing(), []
    for number, (first, last) in enumerate(spans):
        sa = sender("aes128gcm16", spi=(0x1000 + number).to_bytes(4, "big"), seed=number)
        ring.sas.append(keys_of(sa))
        packets += [(at * SECOND, protect(sa, INNER, seeded(at))) for at in range(first, last + 1)]
    return sorted(packets), ring


def test_without_ike_a_rekey_is_told_as_a_guess() -> None:
    found = told(*esp([(0, 20), (21, 40), (40, 60)]))
    assert [(rekey["old"], rekey["new"], rekey["guess"]) for rekey in found["rekeys"]] == [
        (["00001000"], ["00001001"], True),
        (["00001001"], ["00001002"], True),
    ]
    assert [(sa["replaces"], sa["guess"]) for sa in found["sas"]] == [
        (None, False), ("00001000", True), ("00001001", True),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 20), (30, 40)],  # too far apart
        [(0, 20), (0, 20)],  # side by side
        [(0, 40), (21, 30)],  # one inside the other
        [(0, 20), (1, 20), (21, 40)],  # two may have been replaced
        [(0, 20), (21, 40), (22, 40)],  # two may have replaced it
    ],
)
def test_what_the_times_leave_open_is_not_guessed(spans: list[tuple[int, int]]) -> None:
    assert told(*esp(spans))["rekeys"] == []


def test_the_other_direction_is_no_successor() -> None:
    packets, ring = esp([(0, 20)])
    back = sender("aes128gcm16", spi=b"back", seed=9, source=BOB.host, destination="192.0.2.77")
    ring.sas.append(keys_of(back))
    packets += [(at * SECOND, protect(back, INNER, seeded(at))) for at in range(21, 30)]
    assert told(packets, ring)["rekeys"] == []


@each
@pytest.mark.parametrize("has_keys", [True, False])
def test_the_summary_of_real_captures_is_as_the_schema_says(capture: Path, keys: Path, has_keys: bool) -> None:
    packets = [(frame.nanoseconds, frame.data, interface) for frame, interface in frames_of(capture)]
    run = Decryption(detect.read(keys) if has_keys else KeyRing())
    for number, (at, data, interface) in enumerate(packets, start=1):
        run.take(Frame(number, at, 0, data, len(data)), interface)
    found = summary(run, [capture.name])
    VALIDATOR.validate(found)
    if has_keys and capture.name.startswith("strongswan"):
        assert {rekey["protocol"] for rekey in found["rekeys"]} == {"IKE", "ESP"}
        assert all(sa["ike"] for sa in found["sas"])
        assert {sa["replaces"] for sa in found["sas"]} <= {sa["spi"] for sa in found["sas"]} | {None}
    if not has_keys:
        assert found["rekeys"] == []
