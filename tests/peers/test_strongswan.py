"""Real strongSwan daemons in namespaces, from Debian root file systems."""

import contextlib
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyroute2 import netns
from scapy.layers.inet import ICMP, IP

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import pki
from ipsectest.lab import Lab, clean
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.processes import Launch
from ipsectest.lab.topology import PEER, furnish_peer, pair
from ipsectest.net.packet_wire import PacketWire
from ipsectest.peers import rootfs, strongswan, table
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.peers.strongswan_settings import options_for
from ipsectest.scenario.ports import Authentication, Counter, PeerRequest, PeerSettings, Verb
from ipsectest.wire import KE, SA, Message, Nonce, Proposal, Transform, build_message, parse_message
from tests.unit.peers.settings import mirrored, settings

pytestmark = [pytest.mark.lab, pytest.mark.peer]

CAP = 10.0


@pytest.fixture(scope="module")
def root() -> Path:
    """The root file system of strongswan."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    tree = rootfs.find(table.parse("strongswan"))
    if tree is None:
        pytest.skip("ipsectest peers install strongswan")
    return tree.root


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    with Lab() as made:
        yield made


def eventually(look: Callable[[], bool], *wakers: socket.socket) -> bool:
    """Whether it comes true within the cap; looks again at whatever arrives on a waker, or after 10 ms."""
    end = time.monotonic() + CAP
    while not (seen := look()) and time.monotonic() < end:
        select.select(wakers, [], [], 0.01)
    return seen


def request(verb: Verb, given: PeerSettings, **fields: Any) -> PeerRequest:
    return PeerRequest(1, verb, given, **fields)


@dataclass
class Tunnel:
    """Two strongSwans on either side of a veth, with one connection."""

    left: StrongSwan
    right: StrongSwan
    mine: PeerSettings
    theirs: PeerSettings

    def configure(self, **changes: Any) -> None:
        given = replace(settings(1), local=Address("192.0.2.1", 500), remote=Address("192.0.2.2", 500), **changes)
        self.mine, self.theirs = given, mirrored(given)
        self.left.configure(self.mine)
        self.right.configure(self.theirs)

    def forget(self) -> None:
        self.left.forget(self.mine)
        self.right.forget(self.theirs)

    def count(self, counter: Counter) -> int | None:
        return self.left.perform(request(Verb.COUNTER, self.mine, counter=counter))

    def children(self) -> list[bytes]:
        """Inbound SPIs of the installed Child SAs at the left, oldest first."""
        found = [child for sa in self.left.sas(self.mine) for child in sa["child-sas"].values()]
        return [bytes.fromhex(child["spi-in"].decode()) for child in found if child["state"] == b"INSTALLED"]

    def establish(self) -> None:
        self.right.perform(request(Verb.INITIATE, self.theirs))
        assert eventually(lambda: self.count(Counter.CHILD_SAS) == 1), self.left.log(self.mine)


@pytest.fixture
def tunnel(lab: Lab, root: Path) -> Iterator[Tunnel]:
    net = pair(lab)
    made = pki.generate(["peer.example", "tester1.example"], datetime.now(UTC), secrets.token_bytes)
    ends = []
    for namespace, inner, host in (
        (net.left, "203.0.113.1", "peer.example"),
        (net.right, "198.51.100.1", "tester1.example"),
    ):
        namespace.add_addresses("lo", f"{inner}/32")
        daemon = StrongSwan(NamespaceHost(lab, namespace.name[-5:], namespace, root), Credentials.of(made, host))
        daemon.start()
        ends.append(daemon)
    given = settings(1)
    yield Tunnel(ends[0], ends[1], given, mirrored(given))
    for daemon in ends:
        daemon.stop()


def test_every_verb_but_liveness(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.establish()
    assert tunnel.count(Counter.IKE_SAS) == 1
    assert tunnel.count(Counter.HALF_OPEN) == 0
    assert tunnel.count(Counter.REPLAY) == 0
    (first,) = tunnel.children()
    tunnel.left.perform(request(Verb.CREATE, tunnel.mine))
    assert eventually(lambda: len(tunnel.children()) == 2)
    tunnel.left.perform(request(Verb.REKEY_CHILD, tunnel.mine, spi=first))
    assert eventually(lambda: len(tunnel.children()) == 2 and first not in tunnel.children())
    before = tunnel.left.sas(tunnel.mine)[0]["responder-spi"].decode()
    tunnel.left.perform(request(Verb.REKEY_IKE, tunnel.mine, ike_spi=bytes.fromhex(before)))
    assert eventually(
        lambda: [sa["responder-spi"].decode() for sa in tunnel.left.sas(tunnel.mine)] not in ([], [before])
    )
    assert eventually(lambda: tunnel.count(Counter.IKE_SAS) == 1)
    tunnel.left.perform(request(Verb.DELETE_CHILD, tunnel.mine, spi=tunnel.children()[0]))
    assert eventually(lambda: len(tunnel.children()) == 1)
    tunnel.left.perform(request(Verb.DELETE_IKE, tunnel.mine))
    assert eventually(lambda: tunnel.count(Counter.IKE_SAS) == 0)
    for verb, gone in ((Verb.REKEY_CHILD, {"spi": first}), (Verb.DELETE_IKE, {"ike_spi": bytes(8)}), (Verb.CREATE, {})):
        tunnel.left.perform(request(verb, tunnel.mine, **gone))
        assert eventually(lambda: f"peer {verb}: strongSwan has no " in tunnel.left.log(tunnel.mine))  # noqa: B023
    with pytest.raises(UnsupportedError):
        tunnel.left.perform(request(Verb.LIVENESS, tunnel.mine))
    with pytest.raises(UnsupportedError):
        tunnel.left.perform(request(Verb.COUNTER, tunnel.mine, counter=Counter.INTEGRITY))
    with pytest.raises(UnsupportedError):
        tunnel.left.perform(request("dance", tunnel.mine))  # type: ignore[arg-type]
    assert (tunnel.left.crash(), tunnel.right.crash()) == (None, None)


def test_a_verb_waits_a_moment_for_its_sa(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.left.perform(request(Verb.REKEY_CHILD, tunnel.mine))
    tunnel.establish()
    (first,) = tunnel.children() or [b""]
    assert eventually(lambda: tunnel.children() not in ([], [first]) or "rekey" in tunnel.left.log(tunnel.mine).lower())


def test_pings_cross_both_ways(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.establish()
    for pinging, there, given in (
        (tunnel.left, tunnel.left, tunnel.mine),
        (tunnel.right, tunnel.right, tunnel.theirs),
    ):
        with there._host.namespace.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as ears:
            ears.settimeout(CAP)
            pinging.perform(request(Verb.PING, given))
            answer = IP(ears.recv(2000))
            assert (answer.src, answer.dst, answer[ICMP].type) == (given.inner_remote, given.inner_local, 0)


@pytest.mark.parametrize("kind", [Authentication.RSA, Authentication.ECDSA, Authentication.ED25519])
def test_certificates_by_vici(tunnel: Tunnel, kind: Authentication) -> None:
    tunnel.configure(local_auth=kind, remote_auth=kind)
    tunnel.establish()
    tunnel.forget()
    assert eventually(lambda: tunnel.left.sas(tunnel.mine) == [])


def test_a_wrong_secret_leaves_no_sa(tunnel: Tunnel) -> None:
    tunnel.configure()
    tunnel.right.forget(tunnel.theirs)
    tunnel.right.configure(replace(tunnel.theirs, secret=b"another"))
    tunnel.right.perform(request(Verb.INITIATE, tunnel.theirs))
    assert eventually(
        lambda: (
            "AUTHENTICATION_FAILED" in tunnel.right.log(tunnel.theirs)
            or "AUTH_FAILED" in tunnel.right.log(tunnel.theirs)
        )
    )
    assert tunnel.count(Counter.CHILD_SAS) == 0


def test_a_crash_is_told_and_a_new_daemon_is_healthy(tunnel: Tunnel) -> None:
    tunnel.configure()
    os.kill(tunnel.left._process.pid, signal.SIGSEGV)
    assert tunnel.left._process.wait(CAP) is not None
    reason = tunnel.left.crash()
    assert reason
    assert "received critical signal" in reason
    with pytest.raises(PeerError):
        tunnel.left.configure(settings(2))
    assert tunnel.left.stop() != 0
    tunnel.left.start()
    assert tunnel.left.crash() is None
    tunnel.configure()
    tunnel.establish()


@contextlib.contextmanager
def behind_a_wire(lab: Lab, root: Path, options: DaemonOptions) -> Iterator[tuple[StrongSwan, PacketWire]]:
    namespace = lab.namespace("peer")
    wire = PacketWire(str(namespace.path), (), name="tester0")
    try:
        furnish_peer(namespace, "tester0", range(1, 5))
        peer = StrongSwan(NamespaceHost(lab, "peer", namespace, root), None, options)
        peer.start()
        yield peer, wire
        peer.stop()
    finally:
        wire.close()


def next_message(wire: PacketWire) -> tuple[Datagram, Message]:
    end = time.monotonic() + CAP
    while time.monotonic() < end:
        select.select(wire.handles(), [], [], 0.5)
        for datagram in wire.receive(wire.handles()[0], time.monotonic()):
            return datagram, parse_message(datagram.data)
    pytest.fail("no datagram from the peer")


def ike_sa_init() -> bytes:
    transforms = [Transform.of(spec) for spec in parse_suite("aes128gcm16-prfsha256-x25519")]
    payloads = [SA([Proposal(1, 1, b"", transforms)]), KE(31, secrets.token_bytes(32)), Nonce(secrets.token_bytes(32))]
    return build_message(Message(secrets.token_bytes(8), bytes(8), ExchangeType.IKE_SA_INIT, 8, 0, payloads))


def test_it_initiates_towards_each_tester_address(lab: Lab, root: Path) -> None:
    with behind_a_wire(lab, root, DaemonOptions()) as (peer, wire):
        assert peer.raw_esp
        for slot in (1, 2, 3):
            begin = time.perf_counter()
            peer.configure(settings(slot))
            assert time.perf_counter() - begin < 0.5
            peer.perform(request(Verb.INITIATE, settings(slot)))
            datagram, message = next_message(wire)
            assert (datagram.source, datagram.destination.host) == (Address(PEER, 500), f"192.0.2.{slot}")
            assert message.exchange_type == ExchangeType.IKE_SA_INIT
            assert "initiating IKE_SA" in peer.log(settings(slot))
            peer.forget(settings(slot))
        assert peer.sas(settings(1)) == []


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next(
    lab: Lab, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strongswan, "_ANSWER_CAP", 0.5)
    with behind_a_wire(lab, root, DaemonOptions()) as (peer, _):
        peer.configure(settings(1))
        charon = peer._process.pid
        os.kill(charon, signal.SIGSTOP)
        threads = list(Path(f"/proc/{charon}/task").glob("*/stat"))
        assert eventually(lambda: all(") T " in stat.read_text() for stat in threads))
        try:
            with pytest.raises(PeerError, match="timed out"):
                peer.sas(settings(1))
        finally:
            os.kill(charon, signal.SIGCONT)
        assert peer.sas(settings(1)) == []
        assert peer.key_exchanges()
        peer.configure(settings(2))
        assert peer.crash() is None


def test_it_demands_cookies_from_the_first_message_on(lab: Lab, root: Path) -> None:
    given = settings(1, cookies=True)
    with behind_a_wire(lab, root, options_for(given)) as (peer, wire):
        peer.configure(given)
        for _ in range(2):
            wire.send(Datagram(ike_sa_init(), given.remote, given.local), time.monotonic())
            _, answer = next_message(wire)
            assert answer.notify(NotifyType.COOKIE)
        with pytest.raises(UnsupportedError):
            peer.configure(settings(2))


def test_another_version_stands_beside_it(lab: Lab) -> None:
    tree = rootfs.find(PeerName("strongswan", "bookworm"))
    if os.geteuid() != 0 or tree is None:
        pytest.skip("ipsectest peers install strongswan@bookworm")
    with behind_a_wire(lab, tree.root, DaemonOptions()) as (peer, wire):
        assert peer.version.startswith("5.9")
        assert not peer.raw_esp
        peer.configure(settings(1))
        peer.perform(request(Verb.INITIATE, settings(1)))
        assert next_message(wire)[1].exchange_type == ExchangeType.IKE_SA_INIT


def test_the_tree_is_read_only_and_secrets_are_private(lab: Lab, root: Path) -> None:
    place = lab.directory("shell")
    script = "ls /dev /dev/net; touch /new && echo writable; echo y >/run/peer/y; ls /run"
    launch = Launch(
        ["/bin/sh", "-c", script], root=str(root), binds={str(place): "/run/peer"}, environment={"PATH": "/bin"}
    )
    assert lab.process(launch, place / "out").wait(CAP) is not None
    said = (place / "out").read_text()
    assert {"null", "zero", "random", "urandom", "tun"} <= set(said.split())
    assert "writable" not in said
    assert (place / "y").read_text() == "y\n"
    assert place.stat().st_mode & 0o077 == 0


ROOTLESS = """
import select, sys
from pathlib import Path
from ipsectest.lab import Lab, clean
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.privileges import can_make_namespaces, reexec
from ipsectest.lab.topology import furnish_peer
if len(sys.argv) == 2:
    assert not can_make_namespaces()
    reexec([sys.executable, *sys.argv, "again"])
from ipsectest.net.packet_wire import PacketWire
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import PeerRequest, Verb
from tests.unit.peers.settings import settings
with Lab() as lab:
    namespace = lab.namespace("peer")
    wire = PacketWire(str(namespace.path), (), name="tester0")
    furnish_peer(namespace, "tester0", range(1, 3))
    peer = StrongSwan(NamespaceHost(lab, "peer", namespace, Path(sys.argv[1])))
    peer.start()
    peer.configure(settings(1))
    peer.perform(PeerRequest(1, Verb.INITIATE, settings(1)))
    datagrams = []
    while not datagrams:  # neighbours speak too
        assert select.select(wire.handles(), [], [], 10)[0], "charon sends nothing"
        datagrams = wire.receive(wire.handles()[0], 0.0)
    print(datagrams[0].destination)
    peer.stop()
    wire.close()
"""


def test_it_runs_without_root_in_a_user_namespace(root: Path, tmp_path: Path) -> None:
    script = tmp_path / "rootless.py"
    script.write_text(ROOTLESS)
    environment = os.environ | {
        "IPSECTEST_RUNTIME": str(tmp_path / "run"),
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)]),
    }
    # Root without capabilities is as powerless as any user; mapping user id 0 itself takes CAP_SETFCAP.
    powerless = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"]
    command = [*powerless, sys.executable, str(script), str(root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    if "user namespaces are not available" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "192.0.2.1:500\n", "")


VICTIM = """
import sys
from pathlib import Path
from ipsectest.lab import Lab, clean
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.topology import furnish_peer
from ipsectest.net.packet_wire import PacketWire
from ipsectest.peers.strongswan import StrongSwan
lab = Lab()
namespace = lab.namespace("peer")
wire = PacketWire(str(namespace.path), (), name="tester0")
furnish_peer(namespace, "tester0", range(1, 3))
peer = StrongSwan(NamespaceHost(lab, "peer", namespace, Path(sys.argv[1])))
peer.start()
print(lab.run, peer._process.pid, flush=True)
input()
"""


def test_kill_9_of_the_tester_leaves_nothing_after_clean(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    tester = subprocess.Popen([sys.executable, "-c", VICTIM, str(root)], **pipes)
    assert tester.stdout
    run, pid = tester.stdout.readline().split()
    daemon = os.pidfd_open(int(pid))
    assert f"ipsectest-{run}-peer" in netns.listnetns()
    tester.kill()
    tester.communicate(timeout=CAP)
    assert {"namespace", "directory"} <= {thing.kind for thing in clean()}
    assert select.select([daemon], [], [], CAP)[0]  # charon died with the tester, or of the cleaning
    os.close(daemon)
    assert f"ipsectest-{run}-peer" not in netns.listnetns()
    assert list((tmp_path / "run").iterdir()) == []
    assert str(root) not in Path("/proc/self/mounts").read_text()
