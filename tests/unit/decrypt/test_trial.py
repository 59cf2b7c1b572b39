"""Keys whose SPI no file tells, found on packets of strongSwan and the kernel, of Scapy, and on noise."""

import random
import re
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, ESP, SecurityAssociation
from scapy.packet import Raw

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import parse_suite
from ipsectest.cli.main import main
from ipsectest.decrypt import trial
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.trial import Trial
from ipsectest.decrypt.unwrap import Unwrapped, unwrap
from ipsectest.ipsec.packets import protect
from ipsectest.wire.ip import ICMP, ICMPV6
from tests.unit.cli.test_decrypt import NAME, NAMES, files
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, keys_of, sender
from tests.unit.ipsec.sas import seeded

draw = random.Random(1).randbytes


def without_names(keys: str, to: Path) -> str:
    """Only the ESP keys of a file, in reverse order, with SPIs and addresses of other SAs."""
    text = Path(keys).read_text()
    tables = text[text.index("[[esp]]") :].split("[[esp]]")[:0:-1]
    for number, table in enumerate(tables):
        wrong = re.sub(r"(?m)^(source|destination) = .*$", "", table)
        tables[number] = re.sub(r"(?m)^spi = .*$", f'spi = "dead{number:04x}"', wrong)
    to.write_text("".join(f"[[esp]]{table}" for table in tables))
    return str(to)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", ["--slow", "--no-comments"])
def test_real_captures_open_as_with_the_right_spis(name: str, way: str, tmp_path: Path) -> None:
    capture, keys = files(name)
    nameless = without_names(keys, tmp_path / "keys.toml")
    for options, out in ((["-k", keys], "known"), (["-k", nameless, "--try"], "tried"), (["-k", nameless], "closed")):
        assert main(["decrypt", capture, *options, way, "-o", str(tmp_path / out)]) == 0
    esp = {out: icmp(tmp_path / out) for out in ("known", "tried", "closed")}
    assert esp["tried"] == esp["known"]
    assert not esp["closed"]


def icmp(path: Path) -> list[bytes]:
    capture = open_capture(path)
    packets = [bytes(frame.data) for frame in capture.frames()]
    capture.close()
    return [packet for packet in packets if packet[6 if packet[0] >> 4 == 6 else 9] in {ICMP, ICMPV6}]


def spoken(keys: list[SaKeys], packets: list[bytes]) -> tuple[list[Unwrapped], Trial]:
    database = SaDatabase(keys)
    tries = Trial(database)
    results = [unwrap(packet, database, 1, trial=tries) for packet in packets]
    return [result for result in results if result], tries


def decoys(suite: str, count: int) -> list[SaKeys]:
    sa = sender(suite)
    return [
        keys_of(
            sa,
            spi=number.to_bytes(4, "big"),
            encryption_key=draw(len(sa.encryption_key)),
            integrity_key=draw(len(sa.integrity_key)),
        )
        for number in range(count)
    ]


@pytest.mark.parametrize(
    "tunnel", [None, IP(src="192.0.2.1", dst="192.0.2.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")]
)
@pytest.mark.parametrize(
    "inner", [IP(src="198.51.100.1", dst="203.0.113.1"), IPv6(src="2001:db8:1::1", dst="2001:db8:2::1")]
)
def test_scapys_packets_without_an_icv_are_told_by_their_form(tunnel: object, inner: object) -> None:
    key = draw(16)
    theirs = SecurityAssociation(ESP, spi=0x1234, crypt_algo="AES-CBC", crypt_key=key, tunnel_header=tunnel)
    clear = [inner / UDP(sport=5000, dport=53) / Raw(draw(20 + n)) for n in range(12)]
    packets = [bytes(theirs.encrypt(type(one)(bytes(one)))) for one in clear]
    mine = SaKeys(spi=b"", encryption=parse_suite("aes128-sha1")[0], encryption_key=key)
    results, tries = spoken([*decoys("aes128-sha256", 20), *no_icv(decoys("aes128-sha256", 20)), mine], packets)
    assert [keys.encryption_key for keys in tries.found] == [key]
    opened = [result.packet for result in results if result.packet]
    assert len(opened) >= 6
    assert opened == [bytes(type(one)(bytes(one))) for one in clear[-len(opened) :]]
    if tunnel is not None and isinstance(inner, IP):
        assert len(opened) == len(clear)


def no_icv(keys: list[SaKeys]) -> list[SaKeys]:
    return [SaKeys(spi=one.spi, encryption=one.encryption, encryption_key=one.encryption_key) for one in keys]


@pytest.mark.parametrize("suite", ["aes128gcm16", "aes256-sha384", "chacha20poly1305", "null-sha256", "aes128ccm8"])
@pytest.mark.parametrize("esn", [False, True])
def test_an_icv_decides_with_the_first_packet(suite: str, esn: bool) -> None:
    sa = sender(suite, esn=esn)
    keys = [*decoys(suite, 50), *no_icv(decoys("aes128-sha256", 50)), keys_of(sa, spi=b"\0\0\0\1", source="192.0.2.9")]
    if suite == "null-sha256":
        del keys[:50]  # its keys are all the same
    results, tries = spoken(keys, [protect(sa, INNER, seeded(1)), protect(sa, INNER_V6, seeded(2))])
    assert [result.packet for result in results] == [INNER, INNER_V6]
    (found,) = tries.found
    assert (found.spi, found.source, found.destination) == (sa.spi, "192.0.2.1", "192.0.2.2")


@pytest.mark.parametrize("version", [IP(src="192.0.2.1", dst="192.0.2.2"), IPv6(src="2001:db8::1", dst="2001:db8::2")])
def test_scapys_ah_is_found(version: object) -> None:
    key = draw(32)
    theirs = SecurityAssociation(AH, spi=77, auth_algo="SHA2-256-128", auth_key=key)
    clear = version / TCP(sport=1, dport=2) / b"of AH"
    integrity = parse_suite("aes128-sha256")[1]
    keys = [
        SaKeys(spi=b"\0\0\0\5", protocol=ProtocolId.AH, integrity=integrity, integrity_key=one)
        for one in (draw(32), key)
    ]
    (result,), tries = spoken(keys, [bytes(theirs.encrypt(clear))])
    assert result.packet == bytes(clear)
    assert tries.found[0].integrity_key == key


def test_noise_is_nobodys() -> None:
    sa = sender("aes128-sha256")
    packets = []
    for number in range(60):
        outer = protect(sa, INNER, seeded(number))
        packets += [outer[:20] + number.to_bytes(4, "big") + draw(len(outer) - 24) for _ in range(4)]
    keys = no_icv(decoys("aes128-sha256", 100))
    results, tries = spoken(keys, [as_unknown(packet) for packet in packets])
    assert len(results) == len(packets)
    assert not tries.found
    assert not any(result.packet for result in results)


def as_unknown(packet: bytes) -> bytes:
    """With an SPI that no decoy has."""
    return packet[:20] + b"\xff" + packet[21:]


def test_attempts_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "MOST_ATTEMPTS", 1000)
    sa = sender("aes128gcm16")
    whole = protect(sa, INNER, seeded(1))
    packets = [as_unknown(whole[:23] + bytes((n,)) + whole[24:-1] + b"!") for n in range(256)]
    _, tries = spoken(decoys("aes128gcm16", 30), packets)
    assert 1000 <= tries.attempts <= 1002
    assert tries.is_over


def test_what_was_found_can_be_kept(tmp_path: Path) -> None:
    capture, keys = files(NAME)
    nameless, kept = without_names(keys, tmp_path / "keys.toml"), tmp_path / "kept.toml"
    assert main(["decrypt", capture, "-k", nameless, "--try", "--write-keys", str(kept)]) == 0
    for options, out in ((["-k", nameless, "--try"], "tried"), (["-k", str(kept)], "kept")):
        assert main(["decrypt", capture, *options, "-o", str(tmp_path / out)]) == 0
    assert (tmp_path / "tried").read_bytes() == (tmp_path / "kept").read_bytes()
