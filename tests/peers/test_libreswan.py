"""Real pluto daemons in namespaces, from Debian root file systems; IKE only where the kernel has no ESP."""

import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import pki
from ipsectest.lab import Lab
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.topology import pair
from ipsectest.peers import rootfs
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.libreswan_settings import options_for
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.scenario.ports import Authentication, Counter, Identity, PeerRequest, PeerSettings, Verb
from tests.unit.peers.settings import mirrored, settings

pytestmark = [pytest.mark.lab, pytest.mark.peer]

CAP = 10.0
SUITES = ("trixie", "bookworm")


@pytest.fixture(params=SUITES)
def root(request: pytest.FixtureRequest) -> Path:
    """The root file system of libreswan, one release after the other."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    name = PeerName("libreswan", request.param)
    tree = rootfs.find(name)
    if tree is None:
        pytest.skip(f"ipsectest peers install {name}")
    return tree.root


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with Lab() as made:
        yield made


def eventually(look: Callable[[], bool]) -> bool:
    """Whether it comes true within the cap; each look is a whack of some milliseconds."""
    end = time.monotonic() + CAP
    while not (seen := look()) and time.monotonic() < end:
        os.sched_yield()
    return seen


def ask(verb: Verb, given: PeerSettings, **fields: Any) -> PeerRequest:
    return PeerRequest(1, verb, given, **fields)


@dataclass
class Tunnel:
    """Two plutos on either side of a veth, with one connection."""

    left: Libreswan
    right: Libreswan
    mine: PeerSettings
    theirs: PeerSettings

    def configure(self, **changes: Any) -> None:
        given = replace(settings(1), local=Address("192.0.2.1", 500), remote=Address("192.0.2.2", 500), **changes)
        self.mine, self.theirs = given, mirrored(given)
        self.left.configure(self.mine)
        self.right.configure(self.theirs)

    def count(self, counter: Counter) -> int | None:
        return self.left.perform(ask(Verb.COUNTER, self.mine, counter=counter))

    def establish(self) -> None:
        self.right.perform(ask(Verb.INITIATE, self.theirs))
        assert eventually(lambda: self.count(Counter.IKE_SAS) == 1), self.left.log(self.mine)


def daemons(lab: Lab, root: Path, options: DaemonOptions) -> Tunnel:
    net = pair(lab)
    made = pki.generate(["peer.example", "tester1.example"], datetime.now(UTC), secrets.token_bytes)
    ends = []
    for namespace, host in ((net.left, "peer.example"), (net.right, "tester1.example")):
        daemon = Libreswan(
            NamespaceHost(lab, namespace.name[-5:], namespace, root), Credentials.of(made, host), options
        )
        daemon.start()
        ends.append(daemon)
    given = settings(1)
    return Tunnel(ends[0], ends[1], given, mirrored(given))


@pytest.fixture
def tunnel(lab: Lab, root: Path) -> Iterator[Tunnel]:
    made = daemons(lab, root, DaemonOptions())
    yield made
    made.left.stop()
    made.right.stop()


def test_verbs_on_the_ike_sa(tunnel: Tunnel) -> None:
    tunnel.configure()
    assert tunnel.left.version.startswith(("4.", "5."))
    with pytest.raises(PeerError, match="no IKE SA"):
        tunnel.left.perform(ask(Verb.REKEY_IKE, tunnel.mine))
    tunnel.establish()
    (first,) = (state.number for state in tunnel.left.states(tunnel.mine) if state.is_ike)
    tunnel.left.perform(ask(Verb.LIVENESS, tunnel.mine))
    tunnel.left.perform(ask(Verb.REKEY_IKE, tunnel.mine))
    assert eventually(lambda: [s.number for s in tunnel.left.states(tunnel.mine) if s.is_ike] not in ([], [first])), (
        tunnel.left.log(tunnel.mine)
    )
    assert eventually(lambda: tunnel.count(Counter.IKE_SAS) == 1)
    assert tunnel.count(Counter.HALF_OPEN) == 0
    tunnel.left.perform(ask(Verb.DELETE_IKE, tunnel.mine))
    assert eventually(lambda: tunnel.left.states(tunnel.mine) == [])
    assert eventually(lambda: tunnel.right.states(tunnel.theirs) == [])
    assert (tunnel.left.crash(), tunnel.right.crash()) == (None, None)


def test_what_whack_cannot_do_is_unsupported(tunnel: Tunnel) -> None:
    tunnel.configure()
    for counter in (Counter.REPLAY, Counter.INTEGRITY):
        with pytest.raises(UnsupportedError):
            tunnel.count(counter)
    with pytest.raises(UnsupportedError):
        tunnel.left.perform(ask("dance", tunnel.mine))  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match="aes_ccm_c128"):
        tunnel.left.configure(settings(2, ike=(parse_suite("aes128ccm16-prfsha256-x25519"),)))
    with pytest.raises(UnsupportedError):
        tunnel.left.configure(settings(2, cookies=True))


@pytest.mark.parametrize("fact", [{"dpd": 2.0}, {"bound_to": "interface"}, {"bound_to": "mark"}], ids=str)
def test_what_is_for_child_sas_needs_a_kernel_with_esp(tunnel: Tunnel, fact: dict[str, Any]) -> None:
    """pluto checks no liveness of an IKE SA alone: its silence would be taken for a fault."""
    if not tunnel.left.without_children:
        pytest.skip("this kernel has ESP")
    with pytest.raises(UnsupportedError, match="without ESP"):
        tunnel.left.configure(settings(2, **fact))


def test_child_sas_come_up_where_the_kernel_has_esp(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.establish()
    if why := tunnel.left.without_children:
        assert "kernel without ESP" in why
        assert tunnel.count(Counter.CHILD_SAS) == 0
        with pytest.raises(PeerError, match="no Child SA"):
            tunnel.left.perform(ask(Verb.REKEY_CHILD, tunnel.mine))
        return
    assert eventually(lambda: tunnel.count(Counter.CHILD_SAS) == 1)
    (first,) = (state.spi for state in tunnel.left.states(tunnel.mine) if state.is_child)
    tunnel.left.perform(ask(Verb.REKEY_CHILD, tunnel.mine, spi=first))
    assert eventually(lambda: first not in {s.spi for s in tunnel.left.states(tunnel.mine)})
    tunnel.left.perform(ask(Verb.DELETE_CHILD, tunnel.mine))
    assert eventually(lambda: tunnel.count(Counter.CHILD_SAS) == 0)


@pytest.mark.parametrize(
    "identity", [Identity("keyid", "0102ab"), Identity("email", "peer@example.org"), Identity("dn", "CN=peer, O=lab")]
)
def test_identities(tunnel: Tunnel, identity: Identity) -> None:
    tunnel.configure(local_id=identity)
    tunnel.establish()


@pytest.mark.parametrize("kind", [Authentication.RSA, Authentication.ECDSA])
def test_certificates(lab: Lab, root: Path, kind: Authentication) -> None:
    given = settings(1, local_auth=kind, remote_auth=kind)
    tunnel = daemons(lab, root, options_for(given))
    tunnel.configure(local_auth=kind, remote_auth=kind)
    tunnel.establish()
    assert "authby=secret" not in tunnel.left.log(tunnel.mine)
    tunnel.left.stop()
    tunnel.right.stop()


def test_a_wrong_secret_leaves_no_sa(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.right.forget(tunnel.theirs)
    tunnel.right.configure(replace(tunnel.theirs, secret=b"another secret"))
    tunnel.right.perform(ask(Verb.INITIATE, tunnel.theirs))
    assert eventually(lambda: "AUTHENTICATION_FAILED" in tunnel.right.log(tunnel.theirs))
    assert tunnel.count(Counter.IKE_SAS) == 0


def test_logs_are_cut_by_case(tunnel: Tunnel) -> None:
    tunnel.configure()
    other = settings(22, local=tunnel.mine.local)
    tunnel.left.configure(other)
    tunnel.establish()
    assert '"case-1"' in tunnel.left.log(tunnel.mine)
    assert '"case-1"' not in tunnel.left.log(other)
    # Readers of keys need the release: 4.x and 5.x print them in another order.
    assert f"Libreswan Version {tunnel.left.version}" in tunnel.left.key_log(tunnel.mine)
    tunnel.left.forget(other)
    tunnel.left.forget(other)  # it is gone already


def test_a_crash_is_told_and_a_new_daemon_is_healthy(tunnel: Tunnel) -> None:
    tunnel.configure()
    os.kill(tunnel.left._process.pid, signal.SIGABRT)
    assert tunnel.left._process.wait(CAP) is not None
    assert "SIGABRT" in (tunnel.left.crash() or "")
    with pytest.raises(PeerError):
        tunnel.left.perform(ask(Verb.INITIATE, tunnel.mine))
    assert tunnel.left.stop() != 0
    tunnel.left.start()
    assert tunnel.left.crash() is None
    tunnel.configure()
    tunnel.establish()
