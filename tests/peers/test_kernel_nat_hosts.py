"""Two hosts in transport mode with real NATs between them, ours and a daemon's, with kernel ESP in the lab VM.

``IPSECTEST_ALL_CELLS=1`` plays every combination, else a spread of them. RFC 7296 section 2.23.1 is what is seen here:
no two of client, NATs and server have the same addresses.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.lab.topology.model import Nat
from ipsectest.lab.topology.nat import rules
from ipsectest.lab.vm import network
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import Identity, PeerRequest, PeerSettings, Selector, Verb
from tests.lab.guest_gateways import Guest, link
from tests.lab.xfrm_text import states
from tests.unit.peers.settings import settings

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

ALL = bool(os.environ.get("IPSECTEST_ALL_CELLS"))
IKE, ESP = "aes128gcm16-prfsha256-x25519", "aes128gcm16-noesn"
SECRET = b"a secret of two hosts"
HOSTS = {"client": "198.51.100.2", "server": "203.0.113.2"}
NATS = {"client": "192.0.2.1", "server": "192.0.2.2"}
OTHER_NAT = "192.0.2.3"
PORTS, OTHER_PORTS = (20000, 20999), (30000, 30999)
PORT, LENGTH = 9999, 1 << 18
CAP = 30.0


@dataclass(frozen=True)
class Cell:
    peer: str
    ours: str
    """Which of client and server we are; the client begins."""
    natted: tuple[str, ...]
    """Who is behind a NAT."""

    def __str__(self) -> str:
        return f"{self.peer}-we-are-{self.ours}-nat-of-{'-and-'.join(self.natted)}"

    @property
    def theirs(self) -> str:
        return other(self.ours)

    def outside(self, side: str) -> str:
        """Where the other side sees this one."""
        return NATS[side] if side in self.natted else HOSTS[side]

    def for_us(self) -> dict[str, Any]:
        local, remote = HOSTS[self.ours], self.outside(self.theirs)
        return {
            "local": local,
            "remote": remote,
            "local_id": f"{self.ours}.example",
            "remote_id": f"{self.theirs}.example",
            "secret": SECRET.hex(),
            "ike": IKE,
            "esp": ESP,
            "mode": "transport",
            "local_ts": [f"{local}/32"],
            "remote_ts": [f"{remote}/32"],
            "encapsulated": False,
            "replay_window": 64,
        }

    def for_daemon(self) -> PeerSettings:
        local, remote = HOSTS[self.theirs], self.outside(self.ours)
        return settings(
            1,
            local=Address(local, 500),
            remote=Address(remote, 500),
            local_id=Identity("fqdn", f"{self.theirs}.example"),
            remote_id=Identity("fqdn", f"{self.ours}.example"),
            secret=SECRET,
            ike=(parse_suite(IKE),),
            esp=(parse_suite(ESP),),
            local_ts=(Selector(local, local),),
            remote_ts=(Selector(remote, remote),),
            inner_local=local,
            inner_remote=remote,
            mode="transport",
        )


BOTH = ("client", "server")
EVERY = [Cell("strongswan", *choice) for choice in product(BOTH, (BOTH, ("client",), ("server",)))]
SPREAD = [EVERY[0], EVERY[4]]


def other(side: str) -> str:
    return "server" if side == "client" else "client"


@pytest.fixture(scope="module")
def path(kernel_guest: Guest) -> Guest:
    machine = kernel_guest.machine
    for name in ("client", "client-nat", "server-nat", "server"):
        network.namespace(machine, name)
    link(machine, ("client", "wire", [f"{HOSTS['client']}/24"]), ("client-nat", "lan", ["198.51.100.1/24"]))
    link(machine, ("client-nat", "wan", [f"{NATS['client']}/24"]), ("server-nat", "wan", [f"{NATS['server']}/24"]))
    link(machine, ("server-nat", "lan", ["203.0.113.1/24"]), ("server", "wire", [f"{HOSTS['server']}/24"]))
    for name, gateway in (
        ("client", "198.51.100.1"),
        ("client-nat", NATS["server"]),
        ("server-nat", NATS["client"]),
        ("server", "203.0.113.1"),
    ):
        network.batch(machine, f"route add default via {gateway}", name)
    for name in ("client-nat", "server-nat"):
        kernel_guest.run(name, "sysctl -w net.ipv4.ip_forward=1")
    return kernel_guest


def translate(guest: Guest, natted: tuple[str, ...], ports: tuple[int, int] = PORTS) -> None:
    """Make NATs of the routers of these sides, which forget what they knew; the others only pass packets on."""
    for side in HOSTS:
        namespace = f"{side}-nat"
        nat = Nat("wan", server=HOSTS["server"] if side == "server" else "")
        text = rules(nat, ports) if side in natted else "table ip ipsectest_nat\ndelete table ip ipsectest_nat\n"
        guest.machine.put("/tmp/hosts.nft", text.encode())
        guest.run(namespace, "nft -f /tmp/hosts.nft")
        guest.agent("forget", namespace=namespace)


@contextmanager
def begun(guest: Guest, cell: Cell) -> Iterator[StrongSwan | Libreswan]:
    """A cell whose IKE SA the client has begun."""
    agent, given = guest.agent, cell.for_daemon()
    translate(guest, cell.natted)
    daemon = guest.daemon(cell.peer, cell.theirs)
    daemon.start()
    try:
        daemon.configure(given)
        agent("open", name=cell.ours, **cell.for_us())
        if cell.ours == "client":
            agent("initiate", name=cell.ours)
        else:
            daemon.perform(PeerRequest(0, Verb.INITIATE, given))
        yield daemon
        assert daemon.crash() is None
    finally:
        agent("close", name=cell.ours)
        daemon.stop()
        guest.machine.run(f"ip -n {cell.theirs} xfrm state flush; ip -n {cell.theirs} xfrm policy flush")


def cross(guest: Guest, cell: Cell) -> None:
    """Pings and a file by TCP, each in both directions, and all of it in ESP."""
    before = carried(guest, cell)
    for side in HOSTS:
        assert " 3 received" in guest.run(side, f"ping -n -c3 -i0.05 -W5 {cell.outside(other(side))}")
        send(guest, cell, side)
    now = carried(guest, cell)
    assert all(now[spi] - before[spi] > LENGTH for spi in before), (before, now)


def carried(guest: Guest, cell: Cell) -> dict[str, int]:
    return {state["spi"]: state["bytes"] for state in states(guest.machine, cell.ours)}


def send(guest: Guest, cell: Cell, side: str) -> None:
    """A file by TCP to the other side."""
    there = other(side)
    result = guest.machine.run(
        f"nsenter --net=/run/netns/{there} socat -u TCP4-LISTEN:{PORT},reuseaddr - | cmp - /tmp/hosts.data &\n"
        f"nsenter --net=/run/netns/{side} socat -u OPEN:/tmp/hosts.data "
        f"TCP4:{cell.outside(there)}:{PORT},retry=20,interval=0.1\n"
        "wait $!",
        timeout=CAP,
    )
    assert (result.status, result.text) == (0, ""), side


@pytest.mark.parametrize(
    "cells", [[cell] for cell in EVERY] if ALL else [SPREAD], ids=lambda c: str(c[0]) if ALL else "spread"
)
def test_ping_and_tcp_cross_both_ways_and_rekeys_keep_it_so(path: Guest, cells: list[Cell]) -> None:
    path.machine.run(f"head -c {LENGTH} /dev/urandom >/tmp/hosts.data", check=True)
    for cell in cells:
        try:
            with begun(path, cell) as daemon:
                up = path.agent("wait", name=cell.ours, kind="ChildInstalled", count=1)
                assert up, (path.agent("tell", name=cell.ours), daemon.log(cell.for_daemon())[-6000:])
                path.await_states(cell.theirs, 2)
                held = states(path.machine, cell.ours)
                ends = HOSTS[cell.ours], cell.outside(cell.theirs)
                assert {(state["src"], state["dst"]) for state in held} == {ends, ends[::-1]}
                assert {state["mode"] for state in held} == {"transport"}
                assert {state["encap"][0] for state in held} == {"espinudp"}
                # What the peer has for its own address, of the inbound SA (RFC 3948 section 3.1.2).
                assert f"addr {HOSTS[cell.theirs]}\n" in path.run(cell.ours, "ip xfrm state")
                cross(path, cell)
                path.agent("rekey", name=cell.ours, kind="child")
                assert path.agent("wait", name=cell.ours, kind="ChildRemoved", count=1)
                cross(path, cell)
        except BaseException as error:
            error.add_note(f"in {cell}")
            raise


def readdress(guest: Guest, former: str, address: str) -> None:
    """Another address for the outside of the client's NAT."""
    text = f"addr del {former}/24 dev wan\naddr add {address}/24 dev wan\nroute replace default via {NATS['server']}"
    network.batch(guest.machine, text, "client-nat")


def test_we_follow_a_client_whose_nat_gives_it_another_port_or_address(path: Guest) -> None:
    """Without a rekey; with another address the selectors are for that one (RFC 7296 sections 2.23 and 2.23.1)."""
    cell, former = Cell("strongswan", "server", ("client",)), NATS["client"]
    with begun(path, cell):
        assert path.agent("wait", name="server", kind="ChildInstalled", count=1), path.agent("tell", name="server")
        path.await_states("client", 2)
        for number, (address, ports) in enumerate(((former, OTHER_PORTS), (OTHER_NAT, PORTS)), 1):
            if address != former:
                readdress(path, former, address)
            translate(path, cell.natted, ports)
            # What the first ones answer goes to where the client was, or they are not let in.
            path.machine.run(f"nsenter --net=/run/netns/client ping -n -c3 -i0.2 -W1 {HOSTS['server']}")
            assert path.agent("wait", name="server", kind="PeerMoved", count=number), path.agent("tell", name="server")
            assert " 5 received" in path.run("client", f"ping -n -c5 -i0.1 -W5 {HOSTS['server']}")
            assert " 5 received" in path.run("server", f"ping -n -c5 -i0.1 -W5 {address}")
            held, port = states(path.machine, "server"), path.agent("remote", name="server")[1]
            assert ports[0] <= port <= ports[1]
            assert {(one["src"], one["encap"][1]) for one in held} == {(HOSTS["server"], 4500), (address, port)}
            ends = _prefixes(HOSTS["server"], address)
            assert {tuple(one["selector"][:2]) for one in held} == {ends, ends[::-1]}
        events = path.agent("events", name="server")
        assert "ChildRekeyed" not in events
        assert events["ChildInstalled"] == 1
    readdress(path, OTHER_NAT, former)


def _prefixes(*hosts: str) -> tuple[str, ...]:
    return tuple(f"{host}/32" for host in hosts)


@pytest.mark.parametrize("ours", BOTH)
def test_libreswan_knows_no_substitution(path: Guest, ours: str) -> None:
    """Libreswan 5.2 holds the selectors of IKEv2 against its own addresses as they come, in both roles.

    So it refuses what a client behind a NAT asks for, and as such a client what a server answers. No words of RFC 2119
    speak of that in RFC 7296 section 2.23.1. Our IKE SA outlives either.
    """
    cell = Cell("libreswan", ours, ("client",))
    with begun(path, cell):
        failed = "ExchangeFailed" if ours == "client" else "ChildRemoved"
        assert path.agent("wait", name=ours, kind=failed, count=1), path.agent("tell", name=ours)
        told = path.agent("tell", name=ours)
        expected = "the peer refuses the Child SA" if ours == "client" else "deleted by the peer"
        assert f"{failed} {expected}" in told["events"]
        assert path.agent("events", name=ours).get("IkeClosed", 0) == 0
