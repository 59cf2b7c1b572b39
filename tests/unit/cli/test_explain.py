"""``ipsectest explain`` as a user types it."""

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.net.pcapng import PcapngWriter
from ipsectest.wire import Nonce
from tests.unit.explain.scenes import INITIATOR, Scene, ke, notify, sa

PCAPS = Path(__file__).parents[3] / "pcaps"
NAMES = sorted(path.stem for path in PCAPS.glob("*.pcapng"))


def written(scene: Scene, path: Path) -> str:
    with PcapngWriter(path.open("wb")) as writer:
        writer.add_interface("scene")
        for frame in scene.frames:
            writer.packet(frame.nanoseconds, bytes(frame.data))
    return str(path)


def refused() -> Scene:
    scene = Scene().ike(ExchangeType.IKE_SA_INIT, sa("aes128gcm16-prfsha256-x25519"), ke(31), Nonce(b"i" * 32))
    return scene.ike(ExchangeType.IKE_SA_INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("with_keys", [True, False])
def test_real_tunnels_that_work_are_fine(name: str, with_keys: bool, capsys: pytest.CaptureFixture) -> None:
    keys = ["-k", str(PCAPS / f"{name}.keys.toml")] if with_keys else []
    assert main(["explain", str(PCAPS / f"{name}.pcapng"), *keys, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert not told["failed"]
    assert not [one for one in told["findings"] if one["severity"] == "failure"]
    assert all(one["established"] for one in told["sas"])
    made = [one["protocol"] for sa in told["sas"] for one in sa["agreed"]]
    assert made.count("ESP") == (2 if with_keys else 0)


def test_a_failure_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", written(refused(), tmp_path / "a.pcapng")]) == 1
    said = capsys.readouterr().out
    for part in (
        "not established",
        "No common proposal",
        INITIATOR,
        "aes128gcm16-prfsha256-x25519",
        "frame 1",
        "7296-2.7-04",
    ):
        assert part in said


LOG = "06:12:19.976 09[IKE] <site|7> tried 1 shared key for 'a' - 'b', but MAC mismatched\n"


def test_logs_may_be_packed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "charon.log.1.gz").write_bytes(gzip.compress(LOG.encode()))
    assert main(["explain", str(tmp_path / "charon.log.1.gz")]) == 1
    assert "charon.log.1.gz:1" in capsys.readouterr().out


def test_captures_may_be_packed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    plain = Path(written(refused(), tmp_path / "a.pcapng"))
    (tmp_path / "a.pcapng.gz").write_bytes(gzip.compress(plain.read_bytes()))
    assert main(["explain", str(tmp_path / "a.pcapng.gz")]) == 1
    assert "No common proposal" in capsys.readouterr().out


@pytest.mark.parametrize(
    "data", [b"", b"nothing\n", b"\x1f\x8b", b"\x1f\x8b\x08\0damaged", gzip.compress(b"nothing", mtime=0)]
)
def test_a_file_that_is_neither(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    assert main(["explain", str(tmp_path / "a.txt")]) == 2
    assert "a.txt" in capsys.readouterr().err


@pytest.mark.parametrize("text", [True, False])
def test_both_kinds_come_by_a_pipe(text: bool, tmp_path: Path) -> None:
    data = LOG.encode() if text else Path(written(refused(), tmp_path / "a.pcapng")).read_bytes()
    argv = [sys.executable, "-m", "ipsectest.cli.main", "explain", "-"]
    done = subprocess.run(argv, input=data, capture_output=True, check=False, timeout=60)
    assert done.returncode == 1
    assert (b"standard input:1" if text else b"No common proposal") in done.stdout


def test_a_packed_log_may_not_fill_the_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(LOG.encode() * 20_000))
    monkeypatch.setattr("ipsectest.cli.explain.MOST_OCTETS", 1 << 20)
    assert main(["explain", str(tmp_path / "a.gz")]) == 2
    assert "a.gz: holds more than" in capsys.readouterr().err


def test_keys_of_a_log_open_the_capture_beside_it(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture = str(PCAPS.parent / "tests" / "vectors" / "ikev1" / "main-aes.pcapng")
    assert main(["explain", capture, capture.replace(".pcapng", ".log"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert "MAIN_MODE: ID HASH" in [one["text"] for one in told["sas"][0]["ladder"]]


def test_files_of_the_same_name_are_told_apart(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    for side in ("left", "right"):
        (tmp_path / side).mkdir()
        (tmp_path / side / "charon.log").write_text(LOG)
    files = [str(tmp_path / side / "charon.log") for side in ("left", "right")]
    assert main(["explain", *files, "--json"]) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert [one["file"] for one in finding["evidence"]] == files
    assert "times" not in finding["text"]


def test_what_goes_into_a_pipe_is_not_padded(capsys: pytest.CaptureFixture) -> None:
    assert main(["explain", str(PCAPS / f"{NAMES[0]}.pcapng"), "-k", str(PCAPS / f"{NAMES[0]}.keys.toml")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) > 20
    assert max(map(len, lines)) < 500


def test_an_ike_sa_that_was_there_before_did_not_fail_to_come_up(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture = open_capture(PCAPS / f"{NAMES[0]}.pcapng")
    with PcapngWriter((tmp_path / "late.pcapng").open("wb")) as writer:
        writer.add_interface("wire")
        for frame in capture.frames():
            if frame.number == 49:
                writer.packet(frame.nanoseconds, bytes(frame.data))
    capture.close()
    assert main(["explain", str(tmp_path / "late.pcapng")]) == 0
    assert "0 of" not in (told := capsys.readouterr().out)
    assert "there before" in told
