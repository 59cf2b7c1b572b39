"""What scenarios made our own endpoint do, recorded and explained: each finding from an exchange under real keys."""

import json
from pathlib import Path

import pytest

from ipsectest.cli.main import main

REFUSED = "ike/auth/initiator-child-refused"
EXPECTED = {
    "esp/receive/bad-icv/cbc-hmac": "packets-damaged",
    "esp/receive/bad-icv/gcm": "packets-damaged",
    "esp/replay/duplicate/default": "packets-replayed",
    f"{REFUSED}/failed-cp-required": "address-request-required",
    f"{REFUSED}/internal-address-failure": "no-address-left",
    f"{REFUSED}/no-proposal-chosen": "child-proposal-mismatch",
    f"{REFUSED}/single-pair-required": "single-pair-required",
    f"{REFUSED}/ts-unacceptable": "traffic-selector-mismatch",
    "ike/child/child-sa-not-found/peer-initiates": "child-sa-not-found",
    "ike/child/temporary-failure-no-immediate-retry/peer-responds": "temporary-failure",
    "ike/info/invalid-spi-inside/peer-initiates": "unknown-spi",
    "ike/init/initiator-invalid-ke-payload/default": "group-retry",
    "ike/init/ke-wrong-length/longer": "invalid-syntax",
    "ike/init/message-of-3000-octets/default": "capture-ends-early",
    "ike/init/major-version-3/default": "version-mismatch",
    "ike/init/no-proposal-chosen/default": "ike-proposal-mismatch",
    "ike/init/unknown-critical-payload/unassigned": "unsupported-critical-payload",
    "ike/rekey/ike-no-additional-sas/peer-responds": "no-additional-sas",
}
"""Cases, and a finding that has to be among those with the keys of the case."""
WITHOUT_KEYS = {name: "child-refused" for name in EXPECTED if name.startswith(REFUSED)}
FINE = ["ike/init/cookie-demanded/default", "ike/init/vendor-ids/default"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a report with these cases."""
    folder = tmp_path_factory.mktemp("explained") / "report"
    scenarios = sorted({name.rpartition("/")[0] for name in [*EXPECTED, *FINE]})
    assert main(["run", "--peer", "builtin", *scenarios, "--report", str(folder)]) == 0
    return folder / "cases" / "builtin"


def codes(folder: Path, capsys: pytest.CaptureFixture, *, with_keys: bool) -> list[str]:
    capsys.readouterr()
    keys = ["-k", str(folder)] if with_keys else []
    main(["explain", "--json", str(folder / "trace.pcapng"), *keys])
    return [one["code"] for one in json.loads(capsys.readouterr().out)["findings"]]


@pytest.mark.parametrize("name", EXPECTED)
def test_what_went_wrong_in_a_case(name: str, cases: Path, capsys: pytest.CaptureFixture) -> None:
    has_keys = any((cases / name).glob("keys.toml"))
    assert EXPECTED[name] in codes(cases / name, capsys, with_keys=has_keys)


@pytest.mark.parametrize("name", WITHOUT_KEYS)
def test_a_refused_child_sa_shows_without_keys(name: str, cases: Path, capsys: pytest.CaptureFixture) -> None:
    assert codes(cases / name, capsys, with_keys=False) == [WITHOUT_KEYS[name]]


@pytest.mark.parametrize("name", FINE)
def test_what_is_only_unusual_is_fine(name: str, cases: Path, capsys: pytest.CaptureFixture) -> None:
    assert codes(cases / name, capsys, with_keys=False) == ["all-fine"]
