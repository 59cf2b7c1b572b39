"""Fresh tunnels with strongSwan, captured; tshark decrypts them with the tables of that very run."""

from pathlib import Path

import pytest

from ipsectest.base.iana import ExchangeType, PayloadType
from ipsectest.scenario.ports import Authentication
from tests.lab.two_namespaces import require_lab
from tests.pcaps.tshark import dissect, require_tshark
from tests.peers.gateways import OURS, THEIRS, is_installed
from tests.peers.record_pcaps import GCM, Plan, record_plan

pytestmark = [pytest.mark.lab, pytest.mark.peer]

ECHO, REPLY = 8, 0


@pytest.mark.parametrize(
    "plan",
    [
        Plan("responder", Authentication.PSK, GCM, "aes128gcm16"),
        Plan("initiator", Authentication.ECDSA, "aes256-sha256-prfsha256-ecp256", "aes256-sha256", encapsulated=True),
    ],
    ids=lambda plan: plan.name,
)
def test_tshark_decrypts_a_tunnel_of_this_moment(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conversation itself checks that all pings are answered through the tunnel, at least nine each way."""
    require_lab("ip", "ping")
    require_tshark()
    if not is_installed():
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    path, log = record_plan(plan, tmp_path)
    seen = dissect(path, log, tmp_path / "wireshark")
    auth = [one for one in seen if one.exchange == ExchangeType.IKE_AUTH]
    assert len(auth) == 2
    assert all(PayloadType.AUTH in one.payloads and PayloadType.TSi in one.payloads for one in auth)
    assert not any(one.bad_ike_icv or one.icv_bad or one.malformed for one in seen)
    packets = [one for one in seen if one.esp]
    assert all(one.icv_good for one in packets)
    for source in (OURS, THEIRS):
        for kind in (ECHO, REPLY):
            assert sum(one.source == source and one.icmp == (kind,) for one in packets) >= 9
