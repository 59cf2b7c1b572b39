"""Cases with the facts of a remote peer: what fits it never fails for a reason that is not the peer's."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.base.errors import UnsupportedError
from ipsectest.crypto.pki import generate
from ipsectest.peers.builtin import Builtin
from ipsectest.peers.remote.description import Remote
from ipsectest.peers.remote.fit import fitted
from ipsectest.peers.remote.load import load
from ipsectest.runner import library, slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.runner.pki import make_hosts
from ipsectest.runner.seed import stream
from ipsectest.scenario.load import load as load_scenario
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Certificates, Environment
from ipsectest.scenario.results import Verdict
from ipsectest.scenario.run import Run

AT = datetime(2026, 6, 1, tzinfo=UTC)
FILE = """\
name = "gateway"
[peer]
address = "192.0.2.254"
inner = "203.0.113.1"
id = "fqdn:peer.example"
{peer}
[tester]
address = "192.0.2.1"
inner = "198.51.100.1"
{tester}
"""
NETWORKS = """\
ike = ["aes256-sha384-ecp256", "aes128gcm16-prfsha256-x25519"]
esp = "aes256-sha256-modp2048"
psk = "secret"
ts = "203.0.113.0/24"
childless = "allow"
"""
SIGNED = """\
ike = "aes128gcm16-prfsha256-x25519"
esp = "aes128gcm16"
auth = "ecdsa"
trust = "ca.pem"
"""
OURS = """\
id = "fqdn:us.example"
certificate = "us.pem"
key = "us.key"
"""


def play(case: Case, place: Environment, certificates: Certificates | None) -> Finished:
    ended: list[Finished] = []
    peer = Builtin(stream(1, "peer"), (), certificates)

    def begin(case: Case, slot: int, now: float) -> tuple[Run, tuple[str, ...]]:
        return Run(case, place, stream(1, case.id), now), slots.hosts(place)

    virtual.play(Conductor(peer, [case], begin, ended.append), peer)
    return ended[0]


def outcomes(remote: Remote, certificates: Certificates | None, *families: str) -> dict[str, str]:
    """What each case that fits came to: its verdict, and why if it did not pass."""
    place = replace(slots.environment(1, pki=remote.certificates), elsewhere="", shared=True)
    found = {}
    for file in library.select(families, library.root()):
        for case in load_scenario(file, library.root()).cases:
            try:
                mine = fitted(remote, remote.seats[0], case, place)
            except UnsupportedError:
                continue
            result = play(mine, place, certificates).result
            if result.verdict is not Verdict.UNSUPPORTED:  # by a peer in memory, which needs more than a remote one
                found[case.id] = f"{result.verdict}: {result.reason}" if result.reason else str(result.verdict)
    return found


def bad(found: dict[str, str]) -> dict[str, str]:
    return {name: what for name, what in found.items() if what != Verdict.PASS}


def test_what_fits_a_peer_with_suites_and_networks_of_its_own_passes(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(FILE.format(peer=NETWORKS, tester='id = "email:us@example.org"'))
    found = outcomes(load(path, AT), None)
    assert bad(found) == {}
    assert len(found) > 90


@pytest.mark.parametrize(("more", "least"), [('mode = "transport"', 12), ("cookies = true", 1)])
def test_what_fits_a_peer_with_other_habits_passes(more: str, least: int, tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    suites = 'ike = "aes128gcm16-prfsha256-x25519"\nesp = "aes128gcm16"\npsk = "secret"\n'
    path.write_text(FILE.format(peer=suites + more, tester=""))
    families = "esp", "policy", "ike/child", "ike/init/cookie-demanded", "natt"
    found = outcomes(load(path, AT), None, *families)
    assert bad(found) == {}
    assert len(found) >= least


def test_what_fits_a_peer_with_certificates_passes(tmp_path: Path) -> None:
    made = generate(["us.example"], AT, stream(1, "pki"), key_types=("ed25519",))
    ours = made.credentials["us.example/intermediate"]
    theirs = make_hosts(["peer.example"], AT, stream(2, "pki"))["peer.example"].certificates
    (tmp_path / "us.pem").write_bytes(ours.certificate_pem + ours.chain_pem)
    (tmp_path / "us.key").write_bytes(ours.key_pem)
    (tmp_path / "ca.pem").write_bytes(theirs.anchors[0])
    path = tmp_path / "gateway.toml"
    path.write_text(FILE.format(peer=SIGNED, tester=OURS))
    found = outcomes(load(path, AT), replace(theirs, anchors=(made.root.credential.certificate_der,)))
    assert bad(found) == {}
    assert len(found) > 100
