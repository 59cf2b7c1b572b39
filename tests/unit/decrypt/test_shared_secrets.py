"""Keys of every SA out of one side's private values, or out of shared secrets, and a capture."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.suites import parse_suite
from ipsectest.cli.main import main
from ipsectest.crypto import KeyExchange, KeyShare, UnsupportedAlgorithmError, key_exchange
from ipsectest.decrypt.ike import IkeDatabase
from ipsectest.decrypt.ikev1.messages import first_part
from ipsectest.decrypt.keys import detect, ours
from ipsectest.decrypt.keys.model import DhKeys, IkeV1Keys, KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.ike.keylog import KeyLog
from ipsectest.wire import KE
from ipsectest.wire.ip import UDP, build_ipv4, build_udp
from tests.pair.world import World, connection
from tests.unit.decrypt.test_ikev1 import VECTORS, content, ike_messages, keys, opened, run

GROUPS = {"x25519": 32, "ecp256": 31, "modp2048": 64, "x448": 56, "ecp521": 65}
"""Octets of a private value that is surely in range."""


def private_values(monkeypatch: pytest.MonkeyPatch, group: str) -> list[DhKeys]:
    """What is drawn from now on, the initiator of an exchange first."""
    (spec,) = parse_suite(group)
    kind = type(key_exchange(spec.id))
    drawn: list[DhKeys] = []

    def initiate(exchange: KeyExchange, random: RandomBytes) -> KeyShare:
        drawn.append(DhKeys(group=spec.id, private=random(GROUPS[group])))
        return exchange.from_private(drawn[-1].private)

    monkeypatch.setattr(kind, "initiate", initiate)
    return drawn


def packet(datagram: Datagram) -> bytes:
    ends = [ip_address(one.host).packed for one in (datagram.source, datagram.destination)]
    ports = datagram.source.port, datagram.destination.port
    return build_ipv4(*ends, UDP, build_udp(*ends, *ports, datagram.data))


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("side", [0, 1])
def test_everything_follows_from_the_private_values_of_one_side(
    group: str, side: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    drawn = private_values(monkeypatch, group)
    ike, esp = (parse_suite(f"aes256-sha256-prfsha384-{group}"),), (parse_suite(f"aes128gcm16-{group}"),)
    ends = [connection(at_alice=at_alice, child={"proposals": esp}, proposals=ike) for at_alice in (True, False)]
    world = World(alice=ends[0], bob=ends[1])
    sa = world.establish()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
    world.settle()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    assert len(drawn) == 8
    log = KeyLog()
    for event in world.alice.events:
        log.take(event)
    (tmp_path / "keys.toml").write_text(log.files()["keys.toml"])
    wanted = detect.read(tmp_path / "keys.toml")
    made = Decryption(KeyRing(dh=drawn[side::2]))
    for datagram in world.sent:
        made.learn(0, packet(datagram))
    assert [replace(one, origin="") for one in made.derived_ike] == [replace(one, origin="") for one in wanted.ike]
    assert len(made.derived_ike) == 2
    assert made.derived_ike[0].spi_i == sa.spi_i
    assert {(one.spi, content(one)) for one in made.derived} == {(one.spi, content(one)) for one in wanted.sas}
    assert not made.missing


def test_derived_keys_are_written_for_conversion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture, log = VECTORS / "main-des.pcapng", VECTORS / "main-des.log"
    (tmp_path / "phase1.toml").write_text(ours.write(KeyRing(ikev1=keys("main-des").ikev1)))
    path = tmp_path / "all.toml"
    assert main(["decrypt", str(capture), "-k", str(tmp_path / "phase1.toml"), "--write-keys", str(path)]) == 0
    assert path.stat().st_mode & 0o777 == 0o600
    found = detect.read(path)
    assert found.count == 5
    assert {sa.spi: content(sa) for sa in found.sas} == {sa.spi: content(sa) for sa in detect.read(log).sas}
    capsys.readouterr()
    assert main(["keys", "convert", str(path), "--to", "wireshark"]) == 0
    assert capsys.readouterr().out.count("TripleDES-CBC") == 4


def test_ikev1_with_pfs_opens_with_the_shared_secrets_that_charon_logs() -> None:
    told = keys("main-camellia")
    modes = [one for one in opened("main-camellia", told.ikev1) if one.message.exchange == 32]
    publics = [body for one in modes if (body := first_part(one.parts, 4))]
    secrets = []
    for text in (VECTORS / "main-camellia.log").read_text().split("DH secret => 32 bytes")[1:]:
        rows = [line.split(": ", 1)[1][:47] for line in text.splitlines()[1:3]]
        secrets.append(bytes.fromhex(" ".join(rows)))
    dh = [DhKeys(public=public, secret=secret) for public, secret in zip(publics[::2], secrets, strict=True)]
    made = run("main-camellia", KeyRing(ikev1=told.ikev1, dh=dh))
    assert {sa.spi: content(sa) for sa in made.derived} == {sa.spi: content(sa) for sa in told.sas}
    assert made.totals.opened == 12
    assert not made.missing


@pytest.mark.parametrize(("name", "psk"), [("main-aes", b"a secret of no worth"), ("main-rsa-frag", b"")])
def test_ikev1_follows_from_the_shared_secret_and_a_pre_shared_key_if_it_has_one(name: str, psk: bytes) -> None:
    (told,) = keys(name).ikev1
    public = next(body for one in opened(name, [told]) if (body := first_part(one.parts, 4)))
    log = (VECTORS / f"{name}.log").read_text().split("shared Diffie Hellman secret => 256 bytes")[1]
    secret = bytes.fromhex(" ".join(line.split(": ", 1)[1][:47] for line in log.splitlines()[1:17]))
    given = [IkeV1Keys(cookie_i=b"", pre_shared_key=one) for one in (b"another", psk) if one and psk]
    made = run(name, KeyRing(ikev1=given, dh=[DhKeys(public=public, secret=secret)]))
    (derived,) = made.ikev1.derived
    assert replace(derived, origin="") == replace(told, origin="")
    assert (made.totals.ike_opened, made.totals.ike_closed, made.totals.opened) == (11, 0, 12)
    alone = run(name, KeyRing(ikev1=given))
    assert alone.totals.ike_closed == 11


@pytest.mark.parametrize("group", GROUPS)
def test_private_values_out_of_range_are_told(group: str) -> None:
    (spec,) = parse_suite(group)
    bad = DhKeys(group=spec.id, private=b"\xff" * 600, origin="keys.toml:1")
    assert Decryption(KeyRing(dh=[bad])).notes[0].startswith("keys.toml:1: cannot be used: ")
    one, other = (key_exchange(spec.id).from_private(bytes([n]) * GROUPS[group]) for n in (1, 2))
    assert one.finish(other.public) == other.finish(one.public)


def test_a_kem_has_no_such_value() -> None:
    with pytest.raises(UnsupportedAlgorithmError):
        key_exchange(36).from_private(bytes(64))


def test_keys_change_with_an_additional_key_exchange() -> None:
    folder = VECTORS.parent / "rfc9370"
    told = detect.read(folder / "mlkem768.log").ike
    texts = (folder / "mlkem768.log").read_text().split("key exchange secret => 32 bytes")[1:]
    rows = [[line.split(": ", 1)[1][:47] for line in text.splitlines()[1:3]] for text in texts]
    secrets = [bytes.fromhex(" ".join(pair)) for pair in rows]
    messages = [
        one for octets, *_ in ike_messages(folder / "mlkem768.pcapng") if (one := IkeDatabase(told).open(octets))
    ]
    publics = [bytes(ke.data) for one in messages[:4:2] for ke in one.payloads if isinstance(ke, KE)]
    dh = [DhKeys(public=public, secret=secret) for public, secret in zip(publics, secrets, strict=True)]
    made = run("../rfc9370/mlkem768", KeyRing(dh=dh))
    assert [replace(one, origin="") for one in made.derived_ike] == [replace(one, origin="") for one in told]
    assert made.totals.ike_closed == 0
    assert made.totals.opened == 6
    assert len(made.derived) == 2
    assert "additional key exchanges" in made.missing[0]


def follow_ups(ring: KeyRing) -> Decryption:
    """A rekeyed Child SA and a rekeyed IKE SA, each with X25519 and ML-KEM-768."""
    return run("../rfc9370/follow-ups", ring)


def test_keys_of_sas_with_additional_key_exchanges_follow_from_all_secrets() -> None:
    folder = VECTORS.parent / "rfc9370"
    told = detect.read(folder / "follow-ups.keys.toml")
    made = follow_ups(detect.read(folder / "follow-ups.dh.toml"))
    assert {sa.spi: content(sa) for sa in made.derived} == {sa.spi: content(sa) for sa in told.sas}
    derived = [replace(one, origin="") for one in made.derived_ike]
    assert all(replace(one, origin="") in derived for one in told.ike)
    assert (made.totals.ike_closed, made.totals.opened, made.missing) == (0, 36, [])


@pytest.mark.parametrize(("left_out", "esp", "ike"), [(2, 12, 18), (3, 12, 18), (4, 36, 16), (5, 36, 16)])
def test_a_secret_that_lacks_is_told(left_out: int, esp: int, ike: int) -> None:
    """Those of the Child SA are the third and the fourth, those of the IKE SA come last."""
    folder = VECTORS.parent / "rfc9370"
    dh = detect.read(folder / "follow-ups.dh.toml").dh
    made = follow_ups(KeyRing(dh=[one for number, one in enumerate(dh) if number != left_out]))
    assert (made.totals.opened, made.totals.ike_opened) == (esp, ike)
    assert len(made.missing) == 1
    assert "the shared secrets of all" in made.missing[0]
