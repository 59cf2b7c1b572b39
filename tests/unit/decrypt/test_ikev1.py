"""IKEv1 between real daemons (``tests/vectors/ikev1/README.md``): messages in clear, and the keys of phase 2."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.ikev1 import Ikev1Database, OpenedV1, QuickModes
from ipsectest.decrypt.ikev1.messages import is_ikev1, parse
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import IkeV1Keys, KeyRing, SaKeys
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import parse_ip, parse_udp

VECTORS = Path(__file__).parent.parent.parent / "vectors" / "ikev1"
NAMES = sorted(path.stem for path in VECTORS.glob("*.pcapng"))
PFS = {"aggr-3des", "main-camellia"}
ENCRYPTED = {"aggr-3des": 4}
"""Others have 11: two of main mode, six of two quick modes, three Deletes."""


@cache
def keys(name: str) -> KeyRing:
    return detect.read(VECTORS / f"{name}.log")


@cache
def messages(name: str) -> tuple[tuple[bytes, str, str], ...]:
    """IKE messages with their outer addresses."""
    return tuple(one for one in ike_messages(VECTORS / f"{name}.pcapng") if is_ikev1(one[0]))


def ike_messages(path: Path) -> Iterator[tuple[bytes, str, str]]:
    """Of either version, without their markers."""
    capture = open_capture(str(path))
    for frame in capture.frames():
        ip = parse_ip(bytes(frame.data[14:]))
        udp = parse_udp(ip.payload) if ip and ip.protocol == 17 else None
        if udp:
            octets = udp[2][4 * (udp[2][:4] == bytes(4)) :]
            yield octets, host_text(ip.source), host_text(ip.destination)
    capture.close()


def opened(name: str, given: list[IkeV1Keys]) -> list[OpenedV1]:
    database = Ikev1Database(given)
    return [one for octets, source, _ in messages(name) if (one := database.open(octets, source))]


def run(name: str, ring: KeyRing, output: Output | None = None) -> Decryption:
    made = Decryption(ring, output)
    capture = open_capture(str(VECTORS / f"{name}.pcapng"))
    decrypt_one(made, capture, output, fast=False)
    capture.close()
    return made


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("has_cipher_key", [True, False])
def test_every_message_opens(name: str, has_cipher_key: bool) -> None:
    given = [one if has_cipher_key else replace(one, encryption_key=b"") for one in keys(name).ikev1]
    found = opened(name, given)
    assert [one.failure for one in found] == [""] * len(found)
    assert sum(one.is_encrypted for one in found) == ENCRYPTED.get(name, 11)
    for one in found:
        rebuilt = parse(one.rebuilt())
        assert not rebuilt.is_encrypted
        assert rebuilt.parts == one.parts


def content(sa: SaKeys) -> tuple[object, ...]:
    return sa.source, sa.destination, sa.encryption, sa.encryption_key, sa.integrity, sa.integrity_key


@pytest.mark.parametrize("name", NAMES)
def test_esp_opens_with_keys_that_follow_from_skeyid_d(name: str) -> None:
    made = run(name, KeyRing(ikev1=keys(name).ikev1))
    told = {sa.spi: content(sa) for sa in keys(name).sas}
    if name in PFS:
        assert not made.derived
        assert all("PFS" in text for text in made.missing)
        assert run(name, keys(name)).totals.opened >= 6
        return
    assert {sa.spi: content(sa) for sa in made.derived} == told
    assert made.totals.opened == 12
    assert not made.totals.closed
    without = run(name, KeyRing(ikev1=[replace(one, skeyid_d=b"") for one in keys(name).ikev1]))
    assert "SKEYID_d" in without.missing[0]


def fields(path: Path, *options: str) -> list[str]:
    argv = ["tshark", "-n", "-r", str(path), "-Y", "isakmp", "-T", "fields"]
    argv += ["-e", "isakmp.typepayload", "-e", "_ws.malformed", *options]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return [line.replace("132,", "") for line in lines if line != "132\t"]


@pytest.mark.parametrize("name", sorted(set(NAMES) - {"main-camellia"}))
def test_tshark_reads_without_keys_what_it_reads_with_its_table(name: str, tmp_path: Path) -> None:
    path = tmp_path / "clear.pcapng"
    output = Output(path.open("wb"))
    run(name, KeyRing(ikev1=keys(name).ikev1), output)
    output.close()
    (one,) = keys(name).ikev1
    row = f"uat:ikev1_decryption_table:{one.cookie_i.hex()},{one.encryption_key.hex()}"
    ours = fields(path)
    assert len(ours) >= 6
    assert ours == fields(VECTORS / f"{name}.pcapng", "-o", row)


def test_repeated_messages_do_not_move_the_chain_of_ivs() -> None:
    database = Ikev1Database(keys("main-aes").ikev1)
    for octets, source, _ in messages("main-aes"):
        assert database.open(octets, source) == database.open(octets, source)
        assert database.open(octets, source).failure == ""


def test_a_lost_message_closes_the_next_one_only() -> None:
    database = Ikev1Database(keys("main-aes").ikev1)
    found = [database.open(octets, source) for n, (octets, source, _) in enumerate(messages("main-aes")) if n != 4]
    assert ["a message before it is missing" in one.failure for one in found] == [n == 4 for n in range(len(found))]


def test_what_stays_closed_says_why() -> None:
    (one,) = keys("main-aes").ikev1
    wrong = opened("main-aes", [replace(one, encryption_key=bytes(32))])
    assert all("wrong key" in each.failure for each in wrong if each.is_encrypted)
    short = opened("main-aes", [replace(one, encryption_key=bytes(16))])
    assert all("the cipher takes 32" in each.failure for each in short if each.is_encrypted)
    assert "no keys" in opened("main-aes", [])[-1].failure
    octets, source, _ = messages("main-aes")[-1]
    assert "phase 1" in Ikev1Database([one]).open(octets, source).failure
    anonymous = opened("main-aes", [replace(one, cookie_i=b"", encryption_key=bytes(32)), replace(one, cookie_i=b"")])
    assert not any(each.failure for each in anonymous)


@given(st.data())
def test_no_octets_raise(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    database, modes = Ikev1Database(keys(name).ikev1), QuickModes()
    for octets, source, destination in messages(name):
        damaged = bytearray(octets)
        for at, value in data.draw(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 255)), max_size=3)):
            damaged[at % len(damaged)] = value
        cut = bytes(damaged[: data.draw(st.integers(28, len(damaged)))]) if data.draw(st.booleans()) else bytes(damaged)
        if is_ikev1(cut) and (one := database.open(cut, source)):
            one.rebuilt()
            modes.take(one, source, destination)
