"""`ipsectest measure` end to end: numbers that can be, both ways, in all forms."""

import json
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.runner.measure.traffic import has_iperf3
from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

QUICK = ["--pings=20", "--seconds=1", "--handshakes=3", "--setups=10", "--sas=1,50"]


@pytest.fixture(autouse=True)
def _lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab("ip", "ping")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))


@pytest.mark.parametrize(("topology", "ip"), [("host-to-host", 4), ("host-to-host", 6), ("two-paths", 4)])
def test_numbers_with_and_without_ipsec(capsys: pytest.CaptureFixture[str], topology: str, ip: int) -> None:
    assert main(["measure", f"--topology={topology}", f"--ip={ip}", "--json", *QUICK]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["run"]["topology"], document["run"]["ip"]) == (topology, str(ip))
    found = {(row["metric"], row["ipsec"], *row["labels"].values()): row["value"] for row in document["samples"]}
    assert 0 < found["round_trip_seconds", False, "0.5"] < found["round_trip_seconds", True, "0.5"] < 1
    assert 0 < found["handshake_seconds", True, "0.5"] < 5
    assert found["child_sa_setup_per_second", True] > 1
    if has_iperf3():
        assert 1e5 < found["throughput_bits_per_second", True] < found["throughput_bits_per_second", False]


def test_prometheus_text_and_unknown_topologies(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["measure", "--prometheus", *QUICK]) == 0
    assert 'ipsectest_handshake_seconds{plane="user",topology="host-to-host",ip="4"' in capsys.readouterr().out
    assert not list((tmp_path / "run").iterdir())
    assert main(["measure", "--topology=ring"]) == 2
    assert "there is no topology 'ring'" in capsys.readouterr().err
