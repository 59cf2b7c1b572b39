"""IKE messages in a file that several workers read: opened in their order, whatever they follow from."""

from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture, parts
from ipsectest.decrypt.heard import filled
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.parallel import Workers, decrypt_in_parts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.wire.ip import UDP, build_ipv4, build_udp
from tests.pair.world import World, connection
from tests.unit.cli.test_decrypt import files
from tests.unit.decrypt.test_ike import ike_keys, sealed_fragments
from tests.unit.decrypt.test_ikev1 import NAMES, PFS, VECTORS
from tests.unit.decrypt.test_parallel import NAME, packets_of, write
from tests.unit.decrypt.test_seams import nameless, same
from tests.unit.decrypt.test_shared_secrets import packet, private_values
from tests.unit.decrypt.test_streams import Connection, conversation, framed
from tests.unit.decrypt.test_unwrap import PCAPS


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 1024)


def frames_of(path: Path) -> list[bytes]:
    """IP packets."""
    capture = open_capture(path)
    packets = [bytes(frame.data)[14 * (capture.interfaces[0].link_type == 1) :] for frame in capture.frames()]
    capture.close()
    return packets


@pytest.mark.parametrize("name", NAMES)
def test_ikev1(name: str, tmp_path: Path) -> None:
    """IVs go on from message to message, and its log has no keys of ESP: they follow from messages."""
    ring = detect.read(VECTORS / f"{name}.log")
    path = write(tmp_path / "in", frames_of(VECTORS / f"{name}.pcapng"), classic=False)
    many = same(path, KeyRing(ikev1=ring.ikev1), 3)
    assert many.in_parts
    assert many.told["ike"]["opened"] > 3
    assert many.told["derived"] or name in PFS


@pytest.mark.parametrize("side", [0, 1])
def test_private_values_of_one_side(side: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Keys of every IKE SA follow from messages, those of the rekeyed one from messages that its keys opened."""
    drawn = private_values(monkeypatch, "x25519")
    world = World(alice=connection(at_alice=True), bob=connection(at_alice=False))
    world.establish()
    world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
    world.settle()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    path = write(tmp_path / "in", [packet(datagram) for datagram in world.sent] * 3, classic=True)
    many = same(path, KeyRing(dh=drawn[side::2]), 3)
    assert many.in_parts
    assert many.told["derived"] > 4


@pytest.mark.parametrize("behind", [0, 7])
def test_a_message_in_fragments_across_a_cut(behind: int, tmp_path: Path) -> None:
    """Whatever lies between its fragments (RFC 7383)."""
    keys, octets, _ = sealed_fragments(5)
    frames = [build_ipv4(bytes(4), bytes(4), UDP, build_udp(bytes(4), bytes(4), 500, 500, one)) for one in octets]
    ring = detect.read(PCAPS / f"{NAME}.keys.toml")
    ring.ike.append(keys)
    esp = [one for one in packets_of(PCAPS / f"{NAME}.pcapng") if one[9] == 50]
    between = [one for n, frame in enumerate(frames) for one in (frame, *esp[n * behind : n * behind + behind])]
    many = same(write(tmp_path / "in", [*between, *esp], classic=True), ring, 3)
    assert many.in_parts
    assert many.told["ike"]["opened"] == 1


def test_ikev1_without_esp_keys_beside_many_packets(tmp_path: Path) -> None:
    frames = frames_of(VECTORS / "main-aes.pcapng")
    esp = [one for one in frames if one[9] == 50]
    ring = detect.read(VECTORS / "main-aes.log")
    path = write(tmp_path / "in", [*esp[:3], *frames, *esp * 20], classic=True)
    many = same(path, KeyRing(ikev1=ring.ikev1), 3)
    assert many.in_parts
    assert many.told["opened"] > 100


def test_salts_that_a_log_left_out(tmp_path: Path) -> None:
    """They are told by the first message of each direction, which lies in an earlier part than others."""
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    ring = KeyRing()
    for one in ike_keys(NAME):
        ring.without_salt.append(replace(one, sk_ei=one.sk_ei[:-4], sk_er=one.sk_er[:-4]))
    many = same(write(tmp_path / "in", [*frames, *frames], classic=False), ring, 3)
    assert many.in_parts
    assert many.told["ike"]["opened"] == 24
    assert many.told["derived"] > 0


def test_keys_of_ike_and_trial(tmp_path: Path) -> None:
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    esp = [one for one in frames if one[9] == 50]
    path = write(tmp_path / "in", [*esp[:5], *frames, *esp * 8], classic=True)
    ring = KeyRing()
    ring.ike += list(ike_keys(NAME))[:1]
    whole = detect.read(PCAPS / f"{NAME}.keys.toml")
    ring.sas += nameless(KeyRing(sas=whole.sas[-2:])).sas
    many = same(path, ring, 3, tries=True)
    assert many.in_parts
    assert many.told["opened"] > 200


def test_a_short_tcp_connection_in_one_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    esp = [one for one in frames if one[9] == 50]
    tcp = conversation().packets
    monkeypatch.setattr(parts, "SMALLEST", 1 << 15)
    path = write(tmp_path / "in", [*tcp[:5], *esp * 14], classic=True)
    many = same(path, detect.read(PCAPS / f"{NAME}.keys.toml"), 2)
    assert many.in_parts
    assert many.told["tcp"] == 2


def test_a_tcp_connection_across_cuts_is_read_by_one(tmp_path: Path) -> None:
    tcp = conversation().packets
    path = write(tmp_path / "in", [*tcp, *tcp[3:]], classic=True)
    ring = detect.read(PCAPS / f"{NAME}.keys.toml")
    assert not same(path, ring, 3).in_parts
    assert "TCP" in decrypt_in_parts(Decryption(ring), path, ring, None, Workers(2))


def test_octets_that_a_tcp_connection_lacks(tmp_path: Path) -> None:
    """At the end of a part nobody knows whether they come later."""
    made = Connection().handshake()
    whole = b"".join(framed(bytes(4) + bytes(60)) for _ in range(4))
    made.segment(0, b"IKETCP" + whole)
    made.next[0] += 500
    made.segment(0, whole)
    filler = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    path = write(tmp_path / "in", [*made.packets, *filler * 3], classic=True)
    same(path, detect.read(PCAPS / f"{NAME}.keys.toml"), 3)


def test_whoever_asked_for_workers_is_told_why_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("ipsectest.cli.decrypt._LARGE", 1000)
    path = write(tmp_path / "in", conversation().packets * 3, classic=True)
    assert main(["decrypt", str(path), "-k", files(NAME)[1], "--jobs", "2"]) == 0
    error = capsys.readouterr().err
    assert "one process" in error
    assert "TCP" in error


def test_messages_fill_the_places_that_were_left_for_them() -> None:
    assert "".join(filled("abcdef", [(0, "1"), (2, "2"), (2, "3"), (4, ""), (6, "4")])) == "1ab23cdef4"
    assert b"".join(filled(memoryview(b"abc"), [])) == b"abc"
