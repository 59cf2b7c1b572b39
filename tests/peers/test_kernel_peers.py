"""Our endpoint with the kernel's ESP against strongSwan and Libreswan with the kernel's ESP, in the lab VM.

``IPSECTEST_ALL_CELLS=1`` plays every combination with 10 MiB of TCP, else a spread of them with 1 MiB.
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.lab.vm import network
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import Identity, PeerRequest, PeerSettings, Selector, Verb
from tests.lab.guest_gateways import Guest, link
from tests.lab.kernel_records import check, turned
from tests.lab.xfrm_text import policies, states
from tests.unit.peers.settings import settings

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

PEERS = ("strongswan", "libreswan")
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("198.51.100.1", "203.0.113.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
IKE = "aes128gcm16-prfsha256-x25519"
SECRET = b"a secret of this test"
SUITES = ("aes128gcm16-noesn", "aes256-sha256-esn", "chacha20poly1305-esn")
ALL = bool(os.environ.get("IPSECTEST_ALL_CELLS"))
LENGTH = 10 << 20 if ALL else 1 << 20
OUR_WINDOW, THEIR_WINDOW = 64, 128
CAP = 30.0
TCP, PORT = 6, 9999


@dataclass(frozen=True)
class Cell:
    peer: str
    starts: str
    version: int
    encapsulated: bool
    mode: str
    esp: str

    def __str__(self) -> str:
        way = "udp" if self.encapsulated else "plain"
        return f"{self.peer}-{self.starts}-v{self.version}-{way}-{self.mode}-{self.esp}"

    @property
    def ends(self) -> tuple[str, str]:
        """Addresses whose traffic is protected, ours first."""
        return (INNER if self.mode == "tunnel" else OUTER)[self.version]

    @property
    def ours(self) -> str:
        return f"ours-{self.peer}"

    def for_us(self) -> dict[str, Any]:
        local, remote = OUTER[self.version]
        length = 32 if self.version == 4 else 128
        return {
            "local": local,
            "remote": remote,
            "local_id": "ours.example",
            "remote_id": "peer.example",
            "secret": SECRET.hex(),
            "ike": IKE,
            "esp": self.esp,
            "mode": self.mode,
            "local_ts": [f"{self.ends[0]}/{length}"],
            "remote_ts": [f"{self.ends[1]}/{length}"],
            "encapsulated": self.encapsulated,
            "replay_window": OUR_WINDOW,
        }

    def for_peer(self) -> PeerSettings:
        remote, local = OUTER[self.version]
        return settings(
            1,
            local=Address(local, 500),
            remote=Address(remote, 500),
            local_id=Identity("fqdn", "peer.example"),
            remote_id=Identity("fqdn", "ours.example"),
            secret=SECRET,
            ike=(parse_suite(IKE),),
            esp=(parse_suite(self.esp),),
            local_ts=(Selector(self.ends[1], self.ends[1]),),
            remote_ts=(Selector(self.ends[0], self.ends[0]),),
            inner_local=self.ends[1],
            inner_remote=self.ends[0],
            mode=self.mode,
            replay_window=THEIR_WINDOW,
            force_encapsulation=self.encapsulated,
        )


EVERY = [
    Cell(*choice, SUITES[number % len(SUITES)])
    for number, choice in enumerate(product(PEERS, ("ours", "theirs"), (4, 6), (False, True), ("tunnel", "transport")))
]
SPREAD = [
    cell
    for cell in EVERY
    if cell.encapsulated == ((cell.peer == PEERS[0]) != (cell.starts == "ours"))
    and (cell.mode == "tunnel") == ((cell.peer == PEERS[0]) != (cell.version == 4))
]
"""A quarter of them, in which each pair of choices comes twice."""


@dataclass(frozen=True)
class World:
    guest: Guest
    daemons: dict[str, StrongSwan | Libreswan]


@pytest.fixture(scope="module")
def world(kernel_guest: Guest) -> Iterator[World]:
    machine = kernel_guest.machine
    with ExitStack() as stack:
        daemons = {label: kernel_guest.daemon(label, label) for label in PEERS}
        for label, daemon in daemons.items():
            sides = (f"ours-{label}", label)
            for side in sides:
                network.namespace(machine, side)
            ends = [(side, "wire", [f"{OUTER[4][n]}/24", f"{OUTER[6][n]}/64"]) for n, side in enumerate(sides)]
            link(machine, ends[0], ends[1])
            for n, side in enumerate(sides):
                network.add_addresses(machine, side, "lo", [f"{INNER[4][n]}/32", f"{INNER[6][n]}/128"])
                routes = (
                    f"route add {INNER[v][1 - n]} via {OUTER[v][1 - n]} dev wire src {INNER[v][n]}" for v in (4, 6)
                )
                network.batch(machine, "\n".join(routes), side)
            daemon.start()
            stack.callback(daemon.stop)
        machine.run(f"head -c {LENGTH} /dev/urandom >/tmp/data", timeout=CAP, check=True)
        yield World(kernel_guest, daemons)


@contextmanager
def connected(world: World, cell: Cell, *, trapped: bool = False) -> Iterator[None]:
    """A cell with its SAs up; taken down, and its SAs seen to go, afterwards. ``trapped``: a ping sets them up."""
    daemon, agent, given = world.daemons[cell.peer], world.guest.agent, cell.for_peer()
    daemon.configure(given)
    agent("open", name=cell.ours, **cell.for_us())
    try:
        if trapped:
            agent("trap", name=cell.ours)
            world.guest.machine.run(f"nsenter --net=/run/netns/{cell.ours} ping -c1 -W1 -I {' '.join(cell.ends)}")
        elif cell.starts == "ours":
            agent("initiate", name=cell.ours)
        else:
            daemon.perform(PeerRequest(0, Verb.INITIATE, given))
        up = agent("wait", name=cell.ours, kind="ChildInstalled", count=1)
        assert up, (agent("tell", name=cell.ours), daemon.log(given))
        world.guest.await_states(cell.peer, 2)
        yield
        agent("delete", name=cell.ours)
        assert agent("wait", name=cell.ours, kind="IkeClosed", count=1), agent("tell", name=cell.ours)
        world.guest.await_states(cell.peer, 0)
        assert states(world.guest.machine, cell.ours) == []
        assert daemon.crash() is None
    finally:
        agent("close", name=cell.ours)
        daemon.forget(given)


def check_records(world: World, cell: Cell) -> None:
    """Both kernels have what we have negotiated, field by field."""
    records = world.guest.agent("records", name=cell.ours)
    machine = world.guest.machine
    for namespace, pairs, window in ((cell.ours, records, OUR_WINDOW), (cell.peer, turned(records), THEIR_WINDOW)):
        try:
            check(
                pairs,
                states(machine, namespace),
                policies(machine, namespace),
                window=window,
                addresses_only=namespace == "strongswan",
            )
        except BaseException as error:
            error.add_note(f"of the kernel of {namespace}")
            raise


def narrow(world: World, cell: Cell) -> None:
    """Another Child SA within the first, of one protocol and port: its policies must come first, its SAs be taken."""
    given, length = cell.for_us(), 32 if cell.version == 4 else 128
    given |= {
        "local_ts": [[f"{cell.ends[0]}/{length}", TCP, [0, 65535]]],
        "remote_ts": [[f"{cell.ends[1]}/{length}", TCP, [PORT, PORT]]],
    }
    agent = world.guest.agent
    agent("create", name=cell.ours, **{key: given[key] for key in ("local_ts", "remote_ts", "esp", "mode")})
    assert agent("wait", name=cell.ours, kind="ChildInstalled", count=2), agent("tell", name=cell.ours)
    world.guest.await_states(cell.peer, 4)


def send(world: World, cell: Cell) -> None:
    """A file by TCP from the side that started to the other."""
    sides = (cell.ours, cell.peer) if cell.starts == "ours" else (cell.peer, cell.ours)
    source, target = cell.ends if cell.starts == "ours" else cell.ends[::-1]
    family, address = ("TCP4", target) if cell.version == 4 else ("TCP6", f"[{target}]")
    listen = f"{family}-LISTEN:{PORT},bind={address},reuseaddr"
    result = world.guest.machine.run(
        f"nsenter --net=/run/netns/{sides[1]} socat -u {listen} - | cmp - /tmp/data &\n"
        f"nsenter --net=/run/netns/{sides[0]} socat -u OPEN:/tmp/data "
        f"{family}:{address}:{PORT},bind={source if cell.version == 4 else f'[{source}]'},retry=20,interval=0.1\n"
        "wait $!",
        timeout=120,
    )
    assert (result.status, result.text) == (0, "")
    carried = {state["spi"]: state["bytes"] for state in states(world.guest.machine, cell.ours)}
    *_, last = world.guest.agent("records", name=cell.ours)  # the narrowest
    assert carried[last["out" if cell.starts == "ours" else "in"]["spi"]] >= LENGTH


@pytest.mark.parametrize(
    "cells", [[cell] for cell in EVERY] if ALL else [SPREAD], ids=lambda c: str(c[0]) if ALL else "spread"
)
def test_ping_and_tcp_cross_and_both_kernels_have_what_we_recorded(world: World, cells: list[Cell]) -> None:
    for cell in cells:
        try:
            with connected(world, cell):
                check_records(world, cell)
                for namespace, ends in ((cell.ours, cell.ends), (cell.peer, cell.ends[::-1])):
                    said = world.guest.run(namespace, f"ping -n -c3 -i0.05 -W5 -I {ends[0]} {ends[1]}")
                    assert " 3 received" in said
                if cell.starts == "ours":
                    narrow(world, cell)
                    check_records(world, cell)
                send(world, cell)
        except BaseException as error:
            error.add_note(f"in {cell}")
            raise


@pytest.mark.parametrize("peer", PEERS)
@pytest.mark.parametrize("mode", ["tunnel", "transport"])
def test_a_packets_own_selectors_come_first_and_daemons_take_what_is_behind(world: World, peer: str, mode: str) -> None:
    """RFC 7296 section 2.9: the first selectors are the packet's, so that a responder who narrows keeps them."""
    cell = Cell(peer, "ours", 4, False, mode, SUITES[0])
    with connected(world, cell, trapped=True):
        wide, echo = (0, 0, 65535), (1, 0x0800, 0x0800)
        offered = [[[end, end, *one] for one in (echo, wide)] for end in cell.ends]
        assert world.guest.agent("wanted", name=cell.ours) == offered
        selectors = [one["selector"] for one in policies(world.guest.machine, cell.ours) if one["templates"]]
        assert {selector[2:] for selector in selectors} == {("", "", "", "")}
        for namespace, ends in ((cell.ours, cell.ends), (cell.peer, cell.ends[::-1])):
            assert " 3 received" in world.guest.run(namespace, f"ping -n -c3 -i0.05 -W5 -I {ends[0]} {ends[1]}")
