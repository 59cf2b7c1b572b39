"""Published ESP packets, sealed and opened octet by octet."""

import tomllib
from pathlib import Path

import pytest

from ipsectest.base.suites import parse_suite
from ipsectest.ipsec.esp import Forced, Opened, open_esp, seal_esp
from ipsectest.ipsec.sa import SecurityAssociation

VECTORS = tomllib.loads((Path(__file__).parents[2] / "vectors" / "esp.toml").read_text())["vector"]


def association(vector: dict) -> SecurityAssociation:
    packet = bytes.fromhex(vector["packet"])
    sa = SecurityAssociation(
        spi=packet[:4],
        source="192.0.2.1",
        destination="192.0.2.2",
        encryption=parse_suite(vector["suite"])[0],
        encryption_key=bytes.fromhex(vector["key"]),
        esn=vector["esn"],
    )
    sa.replay.highest = int(vector["sequence"], 16) - 1
    return sa


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_published_packet_is_opened(vector: dict) -> None:
    opened = open_esp(association(vector), bytes.fromhex(vector["packet"]))
    assert isinstance(opened, Opened)
    assert opened.payload.hex() == vector["payload"]
    assert opened.next_header == vector["next_header"]
    assert opened.iv.hex() == vector["iv"]
    if "gcm" in vector["suite"] or "chacha" in vector["suite"]:
        assert opened.sequence == int(vector["sequence"], 16)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_a_published_packet_is_sealed(vector: dict) -> None:
    forced = Forced(sequence=int(vector["sequence"], 16), iv=bytes.fromhex(vector["iv"]))
    payload = bytes.fromhex(vector["payload"])
    packet = seal_esp(association(vector), payload, vector["next_header"], bytes, forced)
    assert packet.hex() == vector["packet"]
