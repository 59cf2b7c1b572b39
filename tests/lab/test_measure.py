"""`ipsectest measure` end to end: numbers that can be, both ways, in all forms."""

import json
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.runner.measure.traffic import has_iperf3
from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

QUICK = ["--pings=20", "--seconds=1", "--handshakes=3", "--setups=10", "--sas=1,50"]


@pytest.fixture(autouse=True)
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab("ip", "ping")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))


@pytest.mark.parametrize(
    ("topology", "ip"),
    [("host-to-host", 4), ("host-to-host", 6), ("two-paths", 4), ("hub-and-spoke", 4), ("two-clients-one-nat", 4)],
)
def test_numbers_with_and_without_ipsec(capsys: pytest.CaptureFixture[str], topology: str, ip: int) -> None:
    assert main(["measure", f"--topology={topology}", f"--ip={ip}", "--json", *QUICK]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["run"]["topology"], document["run"]["ip"]) == (topology, str(ip))
    assert document["run"]["without"].endswith("(outer addresses)" if "nat" in topology else "(same hosts)")
    found = {(row["metric"], row["ipsec"], *row["labels"].values()): row["value"] for row in document["samples"]}
    assert 0 < found["round_trip_seconds", False, "0.5"] < found["round_trip_seconds", True, "0.5"] < 1
    assert 0 < found["handshake_seconds", True, "0.5"] < 5
    assert found["child_sa_setup_per_second", True] > 1
    if has_iperf3():
        assert 1e5 < found["throughput_bits_per_second", True] < found["throughput_bits_per_second", False]


def test_daemons_and_the_kernels_esp_in_the_guest(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if not Path(PROGRAM).exists():
        pytest.skip("QEMU is not installed: script/bootstrap")
    assert main(["measure", "--lab=vm", "--ip=6", "--json", *QUICK]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["run"]["plane"], document["run"]["ip"]) == ("kernel", "6")
    assert document["run"]["daemon"].startswith("strongswan@")
    found = {(row["metric"], row["ipsec"], *row["labels"].values()): row["value"] for row in document["samples"]}
    assert 0 < found["round_trip_seconds", False, "0.5"] < found["round_trip_seconds", True, "0.5"] < 1
    assert 1e4 < found["throughput_bits_per_second", True] < found["throughput_bits_per_second", False]
    assert 0 < found["handshake_seconds", True, "0.5"] < 10
    assert found["ike_sa_setup_per_second", True] > 0.2
    assert found["child_sa_setup_per_second", True] > 0.2
    for count in ("1", "50"):
        assert 0 < found["flood_round_trip_seconds", False, count] < found["flood_round_trip_seconds", True, count]
    assert 0 < found["install_seconds", True, "50"] < found["install_seconds", True, "1"]
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--peer=strongswan"], "--peer goes with --lab vm"),
        (["--lab=vm", "--peer=libreswan"], "measures with strongswan"),
        (["--lab=vm", "--topology=two-paths"], "measures host-to-host"),
    ],
)
def test_what_the_guest_cannot_measure_is_told(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", *arguments]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--esp=aes128gcm61"], 2, "did you mean 'aes128gcm16'"),
        (["--ike=nonsense"], 2, "unknown algorithm keyword 'nonsense'"),
        (["--ike=aes128gcm16"], 3, "NO_PROPOSAL_CHOSEN"),
        (["--esp=aes128gcm16-sha256"], 3, "NO_PROPOSAL_CHOSEN"),
    ],
)
def test_suites_that_cannot_be_are_told_at_once(
    arguments: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["measure", *arguments, *QUICK]) == code
    assert said in capsys.readouterr().err


def test_prometheus_text_and_unknown_topologies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["measure", "--prometheus", *QUICK]) == 0
    assert 'ipsectest_handshake_seconds{plane="user",topology="host-to-host",ip="4"' in capsys.readouterr().out
    assert not list((tmp_path / "run").iterdir())
    assert main(["measure", "--topology=ring"]) == 2
    assert "there is no topology 'ring'" in capsys.readouterr().err
