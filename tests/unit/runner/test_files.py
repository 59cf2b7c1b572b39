import shutil
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import UsageError
from ipsectest.net.wire import Direction
from ipsectest.runner import artifacts, capture, library
from ipsectest.runner.seed import stream
from ipsectest.scenario.model import Case
from tests.unit.runner.runner_fakes import case


def test_a_seed_brings_back_every_octet_however_it_is_drawn() -> None:
    first, second = stream(7, "a"), stream(7, "a")
    assert b"".join(first(n) for n in (1, 40, 0, 23)) == second(64)
    assert stream(7, "a")(32) != stream(7, "b")(32)
    assert stream(7, "a")(32) != stream(8, "a")(32)


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_tshark_reads_the_capture(tmp_path: Path) -> None:
    tester, peer = Address("192.0.2.1", 500), Address("192.0.2.254", 500)
    header = bytes(range(8)) + bytes(8) + bytes([0, 0x20, 34, 8]) + bytes(4) + (28).to_bytes(4, "big")
    seen = [
        (0.0, Direction.SENT, Datagram(header, tester, peer)),
        (0.25, Direction.RECEIVED, Datagram(b"\0\0\1\2" * 8, Address(peer.host), Address(tester.host), 50)),
    ]
    path = tmp_path / "trace.pcapng"
    path.write_bytes(capture.pcapng(seen, 1_000_000_000.0, "a case"))
    command = [
        "tshark",
        "-r",
        str(path),
        "-T",
        "fields",
        "-e",
        "frame.time_epoch",
        "-e",
        "isakmp.ispi",
        "-e",
        "esp.spi",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert rows == [["1000000000.000000000", "0001020304050607", ""], ["1000000000.250000000", "", "0x00000102"]]


def test_artifacts_are_private_and_named(tmp_path: Path) -> None:
    root = tmp_path / "run"
    files = {"peer.log": "a\ud800", "ikev2_decryption_table": "x", "esp_sa": "", "trace.pcapng": b"\0"}
    written = artifacts.write(root, "cases/p/a/b/default", files)
    assert written == {
        "peer_log": "cases/p/a/b/default/peer.log",
        "ikev2_table": "cases/p/a/b/default/ikev2_decryption_table",
        "pcap": "cases/p/a/b/default/trace.pcapng",
        "open": "cases/p/a/b/default/open.sh",
    }
    assert stat.S_IMODE((root / "cases/p/a/b/default").stat().st_mode) == 0o700
    script = root / written["open"]
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=10)
    done = subprocess.run(
        [script, "-x"], env={"VIEWER": "echo", "PATH": "/bin:/usr/bin"}, capture_output=True, check=True
    )
    assert done.stdout.split()[-2:] == [f"{root}/cases/p/a/b/default/trace.pcapng".encode(), b"-x"]


def test_variants_can_be_picked(tmp_path: Path) -> None:
    (tmp_path / "ike").mkdir()
    (tmp_path / "ike" / "psk.toml").write_text("")
    cases = [_variant(case("ike/psk"), v) for v in ("a", "b")]
    assert library.select(["ike/psk[a]"], tmp_path) == [tmp_path / "ike" / "psk.toml"]
    assert [c.variant for c in library.wanted(["ike/psk[a]"], cases)] == ["a"]
    assert [c.variant for c in library.wanted(["ike/psk"], cases)] == ["a", "b"]
    with pytest.raises(UsageError, match="has no variant 'c'"):
        library.wanted(["ike/psk[c]"], cases)


def _variant(whole: Case, name: str) -> Case:
    return replace(whole, variant=name)
