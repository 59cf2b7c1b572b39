"""IKE messages in clear again, and the keys of Child SAs that follow from them: captures of real strongSwan."""

import random
import struct
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from ipsectest.base.iana import ExchangeType, PayloadType, TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.ike import MOST_PARTIAL, IkeDatabase, Opened
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.decrypt.negotiations import Negotiations
from ipsectest.wire import SKF, IDi, Message, build_message, build_payloads, parse_message, parse_payloads
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import UDP, build_ipv4, build_udp, parse_ip, parse_udp
from tests.unit.decrypt.test_unwrap import PCAPS, committed

NAMES = sorted(path.stem for path in PCAPS.glob("*.pcapng"))


def ike_keys(name: str) -> Iterator[IkeKeys]:
    for table in tomllib.loads((PCAPS / f"{name}.keys.toml").read_text())["ike"]:
        specs = {spec.type: spec for spec in parse_suite(table["suite"])}
        secrets = {key: bytes.fromhex(value) for key, value in table.items() if key.startswith(("sk_", "spi_"))}
        yield IkeKeys(
            encryption=specs[TransformType.ENCR], integrity=specs.get(TransformType.INTEG),
            prf=specs[TransformType.PRF], **secrets,
        )  # fmt: skip


def messages(name: str) -> Iterator[tuple[bytes, str, str]]:
    """IKE messages of a capture, with their addresses."""
    with RawPcapNgReader(str(PCAPS / f"{name}.pcapng")) as reader:
        for data, _ in reader:
            ip = parse_ip(data)
            udp = parse_udp(ip.payload) if ip.protocol == UDP else None
            if udp and (udp[:2] == (500, 500) or udp[2][:4] == bytes(4)):
                marker = 0 if udp[:2] == (500, 500) else 4
                yield udp[2][marker:], host_text(ip.source), host_text(ip.destination)


@pytest.mark.parametrize("name", NAMES)
def test_every_message_of_a_real_sa_opens(name: str) -> None:
    database = IkeDatabase(ike_keys(name))
    opened = [database.open(octets) for octets, _, _ in messages(name)]
    assert len(opened) >= 10
    for one in opened:
        assert one
        assert one.failure == ""
        rebuilt = parse_message(one.rebuilt())
        assert [p.type for p in rebuilt.payloads] == [p.type for p in one.payloads]
        assert not {PayloadType.SK, PayloadType.SKF} & {p.type for p in rebuilt.payloads}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("knows_prf", [True, False])
def test_keys_of_child_sas_follow_from_sk_d(name: str, knows_prf: bool) -> None:
    keys = [replace(one, prf=one.prf if knows_prf else None) for one in ike_keys(name)]
    database, negotiations = IkeDatabase(keys[:1]), Negotiations()
    learned, notes = [], []
    for octets, source, destination in messages(name):
        found = negotiations.take(database.open(octets), source, destination)
        learned += found.sas
        notes += map(str, found.closed)
    wanted = {(one.spi, one.source, one.destination, one.encryption_key, one.integrity_key) for one in committed(name)}
    got = {(one.spi, one.source, one.destination, one.encryption_key, one.integrity_key) for one in learned}
    assert got <= wanted
    assert len(got) in {2, 4}
    if len(got) == 2:
        assert any("PFS" in note for note in notes)
    assert any(note.startswith("IKE SAs") for note in notes)


@pytest.mark.parametrize("name", NAMES)
def test_tshark_reads_the_rebuilt_messages_without_keys(name: str, tmp_path: Path) -> None:
    database = IkeDatabase(ike_keys(name))
    path = tmp_path / "clear.pcap"
    count = 0
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 101))
        for octets, _, _ in messages(name):
            packet = build_ipv4(
                bytes(4), bytes(4), UDP, build_udp(bytes(4), bytes(4), 500, 500, database.open(octets).rebuilt())
            )
            file.write(struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet)
            count += 1
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", "-e", "isakmp.typepayload", "-e", "_ws.malformed"]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(lines) == count
    for line in lines:
        payloads, malformed = line.split("\t")
        assert malformed == ""
        assert not {"46", "53"} & set(payloads.split(","))
    assert any("39" in line.split("\t")[0].split(",") for line in lines)  # AUTH


SUITES = ["aes128gcm16-prfsha256", "aes256-sha256-prfsha256", "chacha20poly1305-prfsha256", "aes128ccm8-prfsha256"]


def sealed_fragments(count: int, suite: str = SUITES[0], message_id: int = 1) -> tuple[IkeKeys, list[bytes], bytes]:
    """Keys, the fragments of a message, and its payload chain."""
    from ipsectest.crypto import cipher, integrity

    specs = {spec.type: spec for spec in parse_suite(suite)}
    encr, integ = specs[TransformType.ENCR], specs.get(TransformType.INTEG)
    algorithm, check = cipher(encr.id, encr.key_length), integrity(integ.id) if integ else None
    draw = random.Random(1).randbytes
    key, key_a = draw(algorithm.keymat_length), draw(check.key_length) if check else b""
    keys = IkeKeys(
        spi_i=b"i" * 8, spi_r=b"r" * 8, encryption=encr, integrity=integ, sk_ei=key, sk_er=key, sk_ai=key_a, sk_ar=key_a
    )
    first, chain = build_payloads([IDi(id_type=11, data=bytes(range(256)) * 2)])
    size = -(-len(chain) // count)
    octets = []
    for number in range(1, count + 1):
        part = chain[(number - 1) * size : number * size]
        part += bytes(-(len(part) + 1) % algorithm.block_length)
        part += bytes((len(part) - len(chain[(number - 1) * size : number * size]),))
        iv = draw(algorithm.iv_length)
        icv = check.icv_length if check else algorithm.icv_length
        body = SKF(
            fragment=number, total=count, data=bytes(len(iv) + len(part) + icv), first=first if number == 1 else 0
        )
        message = Message(keys.spi_i, keys.spi_r, ExchangeType.IKE_AUTH, 8, message_id, [body])
        head = build_message(message)[: -len(body.data)]
        sealed = iv + algorithm.encrypt(key, iv, part, head if algorithm.is_aead else b"")
        octets.append(head + sealed + (check.compute(key_a, head + sealed) if check else b""))
    return keys, octets, chain


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (0, 0, 1, 1, 2)])
def test_fragments_are_joined_in_any_order(suite: str, order: tuple[int, ...]) -> None:
    keys, octets, chain = sealed_fragments(3, suite)
    database = IkeDatabase([keys])
    results = [database.open(octets[n]) for n in order]
    assert [isinstance(one, Opened) for one in results] == [False] * (len(order) - 1) + [True]
    last = results[-1]
    assert [p.type for p in last.payloads] == [PayloadType.IDi]
    assert build_payloads(last.payloads)[1] == chain


def test_smaller_fragments_replace_larger_ones() -> None:
    keys, three, _ = sealed_fragments(3)
    _, five, _ = sealed_fragments(5)
    database = IkeDatabase([keys])
    assert [database.open(octets) for octets in (three[0], five[0], three[1], three[2], *five[1:4])] == [None] * 7
    assert database.open(five[4]).payloads


def test_messages_that_never_complete_take_bounded_memory() -> None:
    database = IkeDatabase([sealed_fragments(2)[0]])
    for number in range(MOST_PARTIAL + 50):
        assert database.open(sealed_fragments(2, message_id=number)[1][0]) is None
    assert len(database._partial) == MOST_PARTIAL


def test_what_does_not_open_says_why() -> None:
    keys, octets, _ = sealed_fragments(1)
    assert IkeDatabase().open(octets[0]).failure == "no keys for this IKE SA"
    wrong = IkeDatabase([replace(keys, sk_ei=bytes(20))])
    assert "ICV mismatch" in wrong.open(octets[0]).failure
    several = IkeDatabase([keys, replace(keys, sk_ei=bytes(20))])
    assert several.open(octets[0]).failure == ""
    short = IkeDatabase([replace(keys, sk_er=b"short")])
    assert "SK_er has 5 octets" in short.unusable[0][1]


@given(st.binary(max_size=300), st.integers(0, 2))
def test_no_octets_raise(data: bytes, kind: int) -> None:
    keys, octets, _ = sealed_fragments(1)
    database, negotiations = IkeDatabase([keys]), Negotiations()
    damaged = bytearray(octets[0])
    if kind == 1 and data:
        damaged[len(data) % len(damaged)] = data[0]
    message = {0: data, 1: bytes(damaged), 2: octets[0][: len(data)]}[kind]
    opened = database.open(message)
    if opened:
        opened.rebuilt()
        negotiations.take(opened, "192.0.2.1", "192.0.2.2")


def test_a_chain_ends_where_it_was_sealed() -> None:
    keys, octets, chain = sealed_fragments(1)
    opened = IkeDatabase([keys]).open(octets[0] + b"trailing octets")
    assert opened.payloads == parse_payloads(PayloadType.IDi, chain).items
