"""NAT traversal on ports of any number: a real capture with its ports changed, whole and in parts."""

import json
from pathlib import Path

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.utils import PcapNgReader, PcapWriter

from ipsectest.cli.main import main
from ipsectest.decrypt import nat_t
from ipsectest.decrypt.capture import parts
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from tests.pcaps.tshark import require_tshark
from tests.unit.cli.test_decrypt import NAME, files
from tests.unit.cli.test_decrypt_wireshark import with_profile

PORT = 61000


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The capture with another port instead of 4500, with and without its IKE messages behind the marker."""
    folder = tmp_path_factory.mktemp("moved")
    with (
        PcapNgReader(files(NAME)[0]) as reader,
        PcapWriter(str(folder / "all.pcap"), linktype=1) as everything,
        PcapWriter(str(folder / "esp.pcap"), linktype=1) as esp,
    ):
        for packet in reader:
            udp = packet[UDP]
            is_ike = bytes(udp.payload)[:4] == bytes(4) or 500 in (udp.sport, udp.dport)
            for name, host in (("sport", packet[IP].src), ("dport", packet[IP].dst)):
                if getattr(udp, name) == 4500:
                    setattr(udp, name, PORT + (host == "192.0.2.1"))
            del udp.chksum
            for writer in (everything,) if is_ike else (everything, esp):
                writer.write(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
    return folder


def found(capsys: pytest.CaptureFixture, *arguments: str) -> dict:
    assert main(["decrypt", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_ike_behind_a_marker_shows_where_esp_is(moved: Path, capsys: pytest.CaptureFixture) -> None:
    seen = found(capsys, str(moved / "all.pcap"))
    assert (seen["ike"]["messages"], sum(one["packets"] for one in seen["unknown"]), seen["clear"]) == (14, 36, 0)
    seen = found(capsys, str(moved / "all.pcap"), "-k", files(NAME)[1])
    assert (seen["opened"], seen["ike"]["opened"], seen["clear"]) == (36, 12, 0)


def test_without_ike_the_port_is_told(moved: Path, capsys: pytest.CaptureFixture) -> None:
    assert found(capsys, str(moved / "esp.pcap"))["clear"] == 36
    seen = found(capsys, str(moved / "esp.pcap"), "--nat-t-port", str(PORT))
    assert seen["clear"] == 0
    assert sum(one["packets"] for one in seen["unknown"]) == 36


def test_known_spis_need_neither(moved: Path, capsys: pytest.CaptureFixture) -> None:
    assert found(capsys, str(moved / "esp.pcap"), "-k", files(NAME)[1])["opened"] == 36


def test_wireshark_is_told_of_the_ports(moved: Path, tmp_path: Path) -> None:
    require_tshark()
    assert main(["decrypt", str(moved / "all.pcap"), "-k", files(NAME)[1], "--wireshark", str(tmp_path / "it")]) == 0
    rows, _ = with_profile(str(moved / "all.pcap"), tmp_path / "it")
    assert sum(bool(row[0]) for row in rows) == 36


def test_several_workers_learn_it_too(
    moved: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts behind the one with the handshake are told what it showed."""
    monkeypatch.setattr(parts, "SMALLEST", 4096)
    big, raw = tmp_path / "big.pcap", (moved / "esp.pcap").read_bytes()
    big.write_bytes((moved / "all.pcap").read_bytes() + raw[24:] * 40)
    alone = found(capsys, str(big))
    assert sum(one["packets"] for one in alone["unknown"]) == 36 * 41
    together = found(capsys, str(big), "--jobs", "2")
    assert together == alone
    assert len(list(parts.cut(big, big.stat().st_size // 8))) > 2


def test_what_is_learned_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nat_t, "MOST_PAIRS", 3)
    run = Decryption(KeyRing())
    assert run.nat_t.pairs == frozenset()
    many = nat_t.NatT(pairs=[frozenset({("192.0.2.1", port), ("192.0.2.2", port)}) for port in range(9)])
    assert len(many.pairs) == 3
