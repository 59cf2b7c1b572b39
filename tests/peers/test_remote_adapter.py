"""The adapter of docs/peers.md drives a real strongSwan by its command line, as well as our own driver does."""

import json
from pathlib import Path

import pytest

from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.results import Verdict
from tests.peers.remote_peer import THEM, US, gateway
from tests.peers.test_remote import require, run, verdicts

pytestmark = [
    pytest.mark.peer,
    pytest.mark.lab,
    pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (root)"),
]
ADAPTER = Path(__file__).parents[2] / "docs" / "adapters" / "swanctl.py"
FILE = f"""\
name = "adapted"
[peer]
address = "{THEM}"
inner = "203.0.113.1"
[tester]
address = "{US}"
inner = "198.51.100.1"
[wire]
netns = "NETNS"
[adapter]
command = COMMAND
"""
CASES = (
    "ike/auth/identity-types", "ike/info/delete-ike", "ike/init/initiator-request", "ike/init/ke-wrong-length",
    "ike/rekey/ike-by-peer", "ike/rekey/child-by-peer", "esp/replay/duplicate", "ike/init/cookie-demanded",
)  # fmt: skip


def test_cases_through_the_adapter_end_as_with_our_own_driver(tmp_path: Path) -> None:
    require("strongswan")
    _, direct = run(Path("strongswan"), tmp_path / "direct", *CASES)
    with gateway("strongswan") as there:
        assert isinstance(there.daemon, StrongSwan)
        there.daemon.forget(there.configured)
        pid = there.daemon._process.pid
        command = ["env", "VICI_URI=unix:///run/peer/charon.vici", "python3", str(ADAPTER)]
        command += ["nsenter", f"--target={pid}", "--mount", "--net", "--root", "--wd", "--"]
        described = there.describe(tmp_path / "gw.toml", FILE.replace("COMMAND", json.dumps(command)))
        _, adapted = run(described, tmp_path / "adapted", *CASES)
        assert there.daemon.sas(there.configured) == []
    through = {name: verdict for name, verdict in verdicts(adapted).items() if not name.startswith("sanity/")}
    played = {name for name, verdict in through.items() if verdict is not Verdict.UNSUPPORTED}
    ours = verdicts(direct)
    assert {name: through[name] for name in played} == {name: ours[name] for name in played}
    assert len(played) > 10
    assert "ike/init/cookie-demanded" not in played
    assert adapted.peers["adapted"].version == direct.peers["strongswan@trixie"].version
