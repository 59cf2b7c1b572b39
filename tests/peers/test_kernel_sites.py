"""Hosts behind two gateways with kernel ESP, ours and a daemon's, with a NAT between them, in the lab VM.

``IPSECTEST_SITES_SECONDS=60`` makes the transfers with rekeys that long; ``-rP`` shows their numbers.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.lab.topology.model import Nat
from ipsectest.lab.topology.nat import rules
from ipsectest.lab.vm import network
from ipsectest.lab.vm.channel import Result
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import Identity, PeerRequest, PeerSettings, Selector, Verb
from tests.lab.guest_gateways import Guest, link
from tests.lab.xfrm_text import states
from tests.unit.peers.settings import settings

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

SECONDS = float(os.environ.get("IPSECTEST_SITES_SECONDS", "4"))
INTERVAL = 0.02
IKE, ESP = "aes128gcm16-prfsha256-x25519", "aes128gcm16-esn"
SECRET = b"a secret of two sites"
OUTER = {"east": "192.0.2.66", "west": "192.0.2.2"}
NAT, OTHER_NAT = "192.0.2.1", "192.0.2.3"
SITES = {"east": "198.51.100.0/24", "west": "203.0.113.0/24"}
HOSTS = {"east": "198.51.100.2", "west": "203.0.113.2"}
PLACE, PORT, PIECE, PAUSE = "/tmp/transfer", 9999, 1 << 16, 0.1
"""The pause leaves the guest's only CPU time for IKE."""
INNER_MTU = 1400
CAP = 30.0
PORTS = ((20000, 20499), (30000, 30499))


def other(side: str) -> str:
    return "west" if side == "east" else "east"


def seen_from(side: str) -> str:
    """Where the gateway of that side sees the other one."""
    return NAT if side == "west" else OUTER["west"]


def for_us(side: str) -> dict[str, Any]:
    return {
        "local": OUTER[side],
        "remote": seen_from(side),
        "local_id": f"{side}.example",
        "remote_id": f"{other(side)}.example",
        "secret": SECRET.hex(),
        "ike": IKE,
        "esp": ESP,
        "mode": "tunnel",
        "local_ts": [SITES[side]],
        "remote_ts": [SITES[other(side)]],
        "encapsulated": False,
        "replay_window": 128,
    }


def for_daemon(side: str) -> PeerSettings:
    near, far = (Selector(f"{net[:-4]}0", f"{net[:-4]}255") for net in (SITES[side], SITES[other(side)]))
    return settings(
        1,
        local=Address(OUTER[side], 500),
        remote=Address(seen_from(side), 500),
        local_id=Identity("fqdn", f"{side}.example"),
        remote_id=Identity("fqdn", f"{other(side)}.example"),
        secret=SECRET,
        ike=(parse_suite(IKE),),
        esp=(parse_suite(ESP),),
        local_ts=(near,),
        remote_ts=(far,),
        replay_window=128,
    )


@pytest.fixture(scope="module")
def sites(kernel_guest: Guest) -> Guest:
    machine = kernel_guest.machine
    for name in ("host-east", "east", "nat", "west", "host-west"):
        network.namespace(machine, name)
    link(machine, ("host-east", "lan", ["198.51.100.2/24"]), ("east", "lan", ["198.51.100.1/24"]))
    link(machine, ("east", "wan", ["192.0.2.66/26"]), ("nat", "lan", ["192.0.2.65/26"]))
    link(machine, ("nat", "wan", [f"{NAT}/26"]), ("west", "wan", ["192.0.2.2/26"]))
    link(machine, ("west", "lan", ["203.0.113.1/24"]), ("host-west", "lan", ["203.0.113.2/24"]))
    network.batch(machine, "route add default via 192.0.2.65", "east")
    for name, gateway in (("host-east", "198.51.100.1"), ("host-west", "203.0.113.1")):
        # Else the first segments are lost that are too large for the tunnel.
        network.batch(machine, f"route add default via {gateway} mtu {INNER_MTU}", name)
    network.batch(machine, "route add 198.51.100.0/24 via 192.0.2.1", "west")
    for name in ("east", "nat", "west"):
        kernel_guest.run(name, "sysctl -w net.ipv4.ip_forward=1")
    return kernel_guest


def translate(guest: Guest, ports: tuple[int, int]) -> None:
    """Let the NAT give ports of that range, and forget those that it gave."""
    guest.machine.put("/tmp/nat.nft", rules(Nat("wan"), ports).encode())
    guest.run("nat", "nft -f /tmp/nat.nft")
    guest.agent("forget", namespace="nat")


@contextmanager
def tunnel(guest: Guest, label: str, ours: str) -> Iterator[StrongSwan | Libreswan]:
    """The sites joined; ``ours`` is the side of our gateway, and the east begins."""
    agent, theirs = guest.agent, other(ours)
    translate(guest, PORTS[0])
    daemon, given = guest.daemon(label, theirs), for_daemon(theirs)
    daemon.start()
    try:
        daemon.configure(given)
        agent("open", name=ours, **for_us(ours))
        if ours == "east":
            agent("initiate", name=ours)
        else:
            daemon.perform(PeerRequest(0, Verb.INITIATE, given))
        up = agent("wait", name=ours, kind="ChildInstalled", count=1)
        assert up, (agent("tell", name=ours), daemon.log(given))
        guest.await_states(theirs, 2)
        yield daemon
        assert daemon.crash() is None
    finally:
        agent("close", name=ours)
        daemon.stop()
        guest.machine.run(f"ip -n {theirs} xfrm state flush; ip -n {theirs} xfrm policy flush")


def errors(guest: Guest, side: str) -> dict[str, int]:
    """The counters of xfrm_stat that are not 0."""
    lines = (line.split() for line in guest.run(side, "cat /proc/net/xfrm_stat").splitlines())
    return {name: int(count) for name, count in lines if int(count)}


@contextmanager
def traffic(guest: Guest, **texts: str) -> Iterator[dict[str, Callable[[float], Result | None]]]:
    """Scripts that run meanwhile in ``PLACE`` of the host of that name, until there is ``stop`` in it."""
    guest.machine.run(f"rm -rf {PLACE}; mkdir {PLACE}", check=True)
    with ExitStack() as stack:
        results = {}
        for host, text in texts.items():
            guest.machine.put(f"{PLACE}/{host}", f"cd {PLACE}\n{text}".encode())
            results[host] = stack.enter_context(guest.background(f"host-{host}", f"sh {PLACE}/{host}"))
        stack.callback(guest.machine.run, f"touch {PLACE}/stop")
        yield results


def rekey(guest: Guest, daemon: StrongSwan | Libreswan) -> None:
    """Rekeys of Child and IKE SA in turn, two by the daemon and two by us, for so long."""
    agent, given = guest.agent, for_daemon("west")
    end, rekeys = time.monotonic() + SECONDS, 0
    while time.monotonic() < end or rekeys < 4:
        kind, theirs = ("child", "ike")[rekeys % 2], rekeys // 2 % 2 == 0
        if theirs:
            daemon.perform(PeerRequest(rekeys, Verb.REKEY_CHILD if kind == "child" else Verb.REKEY_IKE, given))
        else:
            agent("rekey", name="east", kind=kind)
        event = "ChildRemoved" if kind == "child" else "IkeClosed"
        gone = agent("wait", name="east", kind=event, count=rekeys // 2 + 1)
        assert gone, (rekeys, agent("tell", name="east"), daemon.log(given)[-3000:])
        rekeys += 1
    print(f"\n{rekeys} rekeys")  # noqa: T201
    guest.machine.run(f"touch {PLACE}/stop", check=True)


def check_that_none_is_lost(guest: Guest, before: dict[str, dict[str, int]]) -> None:
    """No counter of the kernels has moved, though packets came under SAs that we could not have yet.

    Who answers a rekey may send under the new SA as soon as it has answered, while we still make keys of the answer
    (RFC 7296 section 2.8). strongSwan waits until it sees the new SA used, or the old one deleted; Libreswan 5.2 does
    not where it has begun the IKE SA or its last rekey (`esp/old-until-used` shows the same).
    """
    rekeyed, kept = guest.agent("early", name="east")
    early = [counts for began, _, *counts in rekeyed if began]
    least, most = (sum(counts[number] for counts in early) for number in (0, 1))
    print(f"{len(rekeyed)} Child SAs, {least} to {most} packets before theirs was there, {kept} kept")  # noqa: T201
    assert not any(latest for began, *_, latest in rekeyed if not began)
    assert {side: errors(guest, side) for side in SITES} == before
    assert kept >= least


def counters(guest: Guest, host: str, protocol: str) -> dict[str, int]:
    """What a host's kernel counts of a protocol."""
    lines = guest.run(host, "cat /proc/net/snmp").splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith(f"{protocol}: "))
    return dict(zip(names, map(int, values), strict=True))


COUNTED = {"Icmp": (("OutMsgs",), "InMsgs"), "Tcp": (("OutSegs", "RetransSegs"), "InSegs")}
"""What is sent and what comes; Linux counts segments that are sent again apart."""


class Crossing:
    """What has left one host and what has reached the other, by their kernels, in both directions.

    ping does not tell what is lost: it waits for its last replies only twice as long as others took.
    """

    def __init__(self, guest: Guest, protocol: str) -> None:
        self._guest, self._protocol = guest, protocol
        self._before = self._now()

    def counts(self) -> dict[str, tuple[int, int]]:
        """Sent and received by the host that sends, once they are equal, or nothing more can come."""
        end = time.monotonic() + CAP
        while True:
            now = self._now()
            counted = {side: (now[side][0] - sent, now[side][1] - came) for side, (sent, came) in self._before.items()}
            if all(sent == came for sent, came in counted.values()) or time.monotonic() > end:
                return counted

    def _now(self) -> dict[str, tuple[int, int]]:
        out, came = COUNTED[self._protocol]
        found = {side: counters(self._guest, f"host-{side}", self._protocol) for side in SITES}
        return {side: (sum(found[side][name] for name in out), found[other(side)][came]) for side in SITES}


@pytest.mark.parametrize("label", ["strongswan", "libreswan"])
def test_rekeys_of_both_kinds_by_both_sides_lose_no_packet(sites: Guest, label: str) -> None:
    ping = f"while [ ! -e stop ]; do ping -n -q -c50 -i{INTERVAL} -W5 {HOSTS['west']}; done"
    before, crossing = {side: errors(sites, side) for side in SITES}, Crossing(sites, "Icmp")
    with tunnel(sites, label, "east") as daemon:
        sites.agent("watch", name="east", link="wan")
        with traffic(sites, east=ping) as results:
            rekey(sites, daemon)
            assert results["east"](CAP)
        counts = crossing.counts()
        print(f"pings and replies that were sent and came: {counts}")  # noqa: T201
        check_that_none_is_lost(sites, before)
        assert len({*counts["east"], *counts["west"]}) == 1
        carried = [state["encap"] for state in states(sites.machine, "east")]
        assert carried == [["espinudp", 4500, 4500]] * 2


RECEIVE = f"""
mkfifo copy
wc -c <copy >count &
socat -u TCP4-LISTEN:{PORT},reuseaddr - | tee copy | sha256sum
wait
cat count
"""
SEND = f"""
while [ ! -e stop ]; do cat /tmp/piece; echo >>sent; sleep {PAUSE}; done \\
| socat -u - TCP4:{HOSTS["east"]}:{PORT},retry=100,interval=0.1
"""


@pytest.mark.parametrize("label", ["strongswan", "libreswan"])
def test_a_file_crosses_by_tcp_while_both_sides_rekey(sites: Guest, label: str) -> None:
    machine, piece = sites.machine, os.urandom(PIECE)
    machine.put("/tmp/piece", piece)
    before, crossing = {side: errors(sites, side) for side in SITES}, Crossing(sites, "Tcp")
    again_before = counters(sites, "host-west", "Tcp")["RetransSegs"]
    with tunnel(sites, label, "east") as daemon:
        sites.agent("watch", name="east", link="wan")
        with traffic(sites, east=RECEIVE, west=SEND) as results:
            rekey(sites, daemon)
            sent, received = results["west"](CAP), results["east"](CAP)
        counts = crossing.counts()
        print(f"segments that were sent and came: {counts}")  # noqa: T201
        check_that_none_is_lost(sites, before)
    assert sent
    assert received
    assert (sent.status, sent.text) == (0, "")
    pieces = len(machine.get(f"{PLACE}/sent"))
    digest, _, octets = received.text.split()
    again = counters(sites, "host-west", "Tcp")["RetransSegs"] - again_before
    print(f"{octets} octets, {again} segments sent again")  # noqa: T201
    assert all(left == came for left, came in counts.values())
    assert (int(octets), digest) == (pieces * PIECE, hashlib.sha256(piece * pieces).hexdigest())


@pytest.mark.parametrize("label", ["strongswan", "libreswan"])
def test_we_follow_a_peer_whose_nat_gives_it_another_port_or_address(sites: Guest, label: str) -> None:
    agent = sites.agent
    ping = f"ping -n -c5 -i0.1 -W1 {HOSTS['west']}"
    with tunnel(sites, label, "west"):
        assert " 5 received" in sites.run("host-east", ping)
        for number, (address, ports) in enumerate(((NAT, PORTS[1]), (OTHER_NAT, PORTS[0])), 1):
            if address != NAT:
                network.batch(sites.machine, f"addr del {NAT}/26 dev wan\naddr add {address}/26 dev wan", "nat")
            translate(sites, ports)
            # What the first one answers goes to where the peer was.
            sites.machine.run(f"nsenter --net=/run/netns/host-east ping -n -c2 -W1 {HOSTS['west']}")
            assert agent("wait", name="west", kind="PeerMoved", count=number), agent("tell", name="west")
            host, port = agent("remote", name="west")
            assert (host, ports[0] <= port <= ports[1]) == (address, True)
            assert " 5 received" in sites.run("host-east", ping)
            assert " 5 received" in sites.run("host-west", f"ping -n -c5 -i0.1 -W1 {HOSTS['east']}")
            ends = {(state["src"], state["encap"][1]) for state in states(sites.machine, "west")}
            assert ends == {(OUTER["west"], 4500), (host, port)}
            agent("rekey", name="west", kind="child")
            assert agent("wait", name="west", kind="ChildRemoved", count=number), agent("tell", name="west")
        network.batch(sites.machine, f"addr del {OTHER_NAT}/26 dev wan\naddr add {NAT}/26 dev wan", "nat")
