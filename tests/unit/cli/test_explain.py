"""``ipsectest explain`` as a user types it."""

import json
from pathlib import Path

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.cli.main import main
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


def test_a_file_that_is_neither(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "a.txt").write_text("nothing\n")
    assert main(["explain", str(tmp_path / "a.txt")]) == 2
    assert "a.txt" in capsys.readouterr().err
