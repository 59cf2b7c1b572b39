"""Keys out of the logs of daemons that run right now, held against the keys that the other end has."""

from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import IkeKeys, SaKeys
from ipsectest.lab import Lab
from ipsectest.peers import libreswan, rootfs, strongswan, table
from ipsectest.peers.options import DaemonOptions
from ipsectest.scenario.ports import Authentication, Counter, Verb
from tests.lab.two_namespaces import require_lab
from tests.peers.gateways import joined_gateways
from tests.peers.record_pcaps import Conversation, Plan
from tests.peers.test_libreswan import ask, daemons, eventually

pytestmark = [pytest.mark.lab, pytest.mark.peer]

SECRETS = "ike = 4\n      chd = 4\n      mgr = 2"
PLANS = {
    "bookworm": ("aes128gcm16-prfsha256-x25519", "aes256-sha256", True),
    "trixie": ("aes256-sha384-prfsha384-ecp256", "aes128gcm16-x25519", False),
    "forky": ("chacha20poly1305-prfsha256-x25519", "chacha20poly1305", False),
}
"""strongSwan in each suite of Debian: suites of both protocols, ESP in UDP (5.9 knows no other in user space)."""


def sas(found: list[SaKeys]) -> dict[bytes, SaKeys]:
    return {sa.spi: replace(sa, origin="") for sa in found}


def ikes(found: list[IkeKeys]) -> dict[bytes, IkeKeys]:
    return {ike.spi_i: replace(ike, origin="", prf=None) for ike in found}


@pytest.mark.parametrize("suite", PLANS)
def test_charon_logs_the_keys_that_our_end_has(suite: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab("ip", "ping")
    name = table.parse(f"strongswan@{suite}")
    if rootfs.find(name) is None:
        pytest.skip(f"ipsectest peers install {name}")
    conf = strongswan.daemon_conf
    monkeypatch.setattr(strongswan, "daemon_conf", lambda *given: conf(*given).replace("ike = 2", SECRETS))
    monkeypatch.setattr(table, "parse", lambda _default: name)
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    ike, esp, encapsulated = PLANS[suite]
    with joined_gateways() as gateways:
        conversation = Conversation(gateways, Plan("responder", Authentication.PSK, ike, esp, encapsulated))
        conversation.hold()
        (tmp_path / "keys.toml").write_text(conversation.log().files()["keys.toml"])
        (tmp_path / "whole.log").write_bytes(gateways.peer._log.read_bytes())
    told, ours = detect.read(tmp_path / "whole.log"), detect.read(tmp_path / "keys.toml")
    assert not told.problems
    assert not told.notes
    assert (len(told.sas), len(told.ike)) == (4, 2)
    assert sas(told.sas) == sas(ours.sas)
    assert ikes(told.ike) == ikes(ours.ike)


@pytest.mark.parametrize(("suite", "words"), [("bookworm", "aes256-sha256"), ("trixie", "aes128-sha1")])
def test_both_plutos_log_the_same_ike_sas(
    suite: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Child SAs need a kernel with ESP: ``tests/vectors/keys`` has logs of such a run."""
    require_lab("ip")
    tree = rootfs.find(table.parse(f"libreswan@{suite}"))
    if tree is None:
        pytest.skip(f"ipsectest peers install libreswan@{suite}")
    conf = libreswan.daemon_conf
    monkeypatch.setattr(libreswan, "daemon_conf", lambda *given: conf(*given) + "\tplutodebug=private\n")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with Lab() as lab:
        tunnel = daemons(lab, tree.root, DaemonOptions())
        tunnel.configure(ike=(parse_suite(f"{words}-prf{words.partition('-')[2]}-ecp256"),))
        tunnel.establish()
        tunnel.left.perform(ask(Verb.REKEY_IKE, tunnel.mine))
        logs = [end._log for end in (tunnel.left, tunnel.right)]
        assert eventually(lambda: all(log.read_text().count("ikev2 R 0x") == 2 for log in logs))
        assert tunnel.count(Counter.IKE_SAS)
        rings = [detect.read(log) for log in logs]
        tunnel.left.stop()
        tunnel.right.stop()
    left, right = (ikes(ring.ike) for ring in rings)
    assert left == right
    assert len(left) == 2
    assert {str(ike.encryption) + "-" + str(ike.integrity) for ike in left.values()} == {words}
    assert not any(ring.problems or ring.notes for ring in rings)
