"""Two kernel data planes with Child SAs made by hand. Needs a kernel with ESP; test_xfrm_guest.py gives it one."""

import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import Enum

import pytest
from pyroute2 import IPRoute

from ipsectest.base.addresses import Address
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop
from ipsectest.net.xfrm import Acquire, Lifetimes, Selector, XfrmError
from ipsectest.net.xfrm.sockets import bypass, decapsulate
from ipsectest.net.xfrm.statistics import statistics
from ipsectest.net.xfrm_plane import XfrmPlane
from ipsectest.wire import TrafficSelector
from tests.lab.two_namespaces import Pair, joined, require_lab

pytestmark = pytest.mark.lab

CAP = 10.0
LEFT, RIGHT = Address("192.0.2.1"), Address("192.0.2.2")
INNER_LEFT, INNER_RIGHT = "198.51.100.1", "203.0.113.1"


class Mode(Enum):
    TUNNEL = "tunnel"
    TRANSPORT = "transport"


@dataclass
class Chosen:
    esn: bool = True

    def of(self, kind: int) -> TransformSpec | None:
        return TransformSpec(TransformType.ENCR, 20, 128) if kind == TransformType.ENCR else None


@dataclass
class Keys:
    encryption_in: bytes
    encryption_out: bytes
    integrity_in: bytes = b""
    integrity_out: bytes = b""


@dataclass
class Child:
    number: int
    left: bool = True
    mode: Mode = Mode.TUNNEL
    replaces: "Child | None" = None
    protocol: int = 3
    real: None = None
    chosen: Chosen = field(default_factory=Chosen)
    udp: tuple[int, int] | None = None
    """Ports of left and right, if the selectors are for them only."""

    @property
    def spi_in(self) -> bytes:
        return (0x1000 * self.number + self.left).to_bytes(4, "big")

    @property
    def spi_out(self) -> bytes:
        return (0x1000 * self.number + (not self.left)).to_bytes(4, "big")

    @property
    def keys(self) -> Keys:
        return Keys(*(spi * 5 for spi in (self.spi_in, self.spi_out)))

    @property
    def local_ts(self) -> list[TrafficSelector]:
        return [self._selector(self.left)]

    @property
    def remote_ts(self) -> list[TrafficSelector]:
        return [self._selector(not self.left)]

    def _selector(self, left: bool) -> TrafficSelector:
        if not self.udp:
            return TrafficSelector.of(self._side(left))
        port = self.udp[not left]
        return TrafficSelector.of(self._side(left), socket.IPPROTO_UDP, (port, port))

    def _side(self, left: bool) -> str:
        if self.mode is Mode.TRANSPORT:
            return f"{(LEFT if left else RIGHT).host}/32"
        return f"{INNER_LEFT if left else INNER_RIGHT}/32"

    def mirrored(self) -> "Child":
        return replace(self, left=not self.left, replaces=self.replaces and self.replaces.mirrored())


@dataclass
class World:
    pair: Pair
    left: XfrmPlane
    right: XfrmPlane
    acquired: list[Acquire]
    expired: list[tuple[bytes, bool]]

    def install(self, child: Child, local: Address = LEFT, remote: Address = RIGHT, *, sends: bool = True) -> None:
        self.right.install(child.mirrored(), remote, local, sends=sends)
        self.left.install(child, local, remote, sends=sends)

    def start_ping(self, destination: str = INNER_RIGHT, *, count: int = 3) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.pair.left, "ping", "-c", str(count), "-i", "0.02", "-W", "2"]
        return subprocess.Popen([*command, destination], stdout=subprocess.PIPE, text=True)

    def ping(self, destination: str = INNER_RIGHT, *, count: int = 3) -> int:
        return replies(self.start_ping(destination, count=count))


def replies(ping: subprocess.Popen[str]) -> int:
    found = re.search(r"(\d+) received", ping.communicate(timeout=30)[0])
    return int(found[1]) if found else 0


@pytest.fixture
def world() -> Iterator[World]:
    require_lab("ip", "ping")
    acquired: list[Acquire] = []
    expired: list[tuple[bytes, bool]] = []
    with joined() as pair:
        for name, inner, other, far in (
            (pair.left, INNER_LEFT, INNER_RIGHT, RIGHT),
            (pair.right, INNER_RIGHT, INNER_LEFT, LEFT),
        ):
            with IPRoute(netns=name, flags=0) as route:
                route.addr("add", index=1, address=inner, prefixlen=32)
                route.route("add", dst=f"{other}/32", gateway=far.host, prefsrc=inner)
        left = XfrmPlane(
            pair.left,
            on_acquire=lambda acquire, _now: acquired.append(acquire),
            on_expire=lambda spi, hard, _now: expired.append((spi, hard)),
            limits=Lifetimes(soft_packets=300),
        )
        right = XfrmPlane(pair.right)
        try:
            yield World(pair, left, right, acquired, expired)
        finally:
            left.close()
            right.close()


@pytest.fixture(autouse=True)
def _kernel_with_esp(world: World) -> None:
    child = Child(9)
    try:
        world.left.install(child, LEFT, RIGHT)
    except XfrmError as error:
        pytest.skip(f"this kernel has no ESP: {error}")
    world.left.remove(child)


@pytest.mark.parametrize("mode", Mode)
def test_a_child_sa_carries_traffic_and_leaves_nothing(world: World, mode: Mode) -> None:
    child = Child(1, mode=mode)
    destination = INNER_RIGHT if mode is Mode.TUNNEL else RIGHT.host
    world.install(child)
    assert world.ping(destination) == 3
    inbound, outbound = world.left.counters(child)
    assert (inbound.current.packets, outbound.current.packets) == (3, 3)
    assert (inbound.spi, outbound.spi) == (0x1001, 0x1000)
    world.left.remove(child)
    assert world.left.xfrm.state("dump") == ()
    assert world.left.xfrm.policy("dump") == ()


def test_transport_mode_brings_nothing_beside_its_selectors(world: World) -> None:
    """RFC 4301 section 5.2: the peer may send under its SA what was not negotiated for it."""
    wide = Child(1, mode=Mode.TRANSPORT)
    world.left.install(wide, LEFT, RIGHT)
    world.right.install(replace(wide, udp=(7, 9)).mirrored(), RIGHT, LEFT)
    sender, within, beside = (
        inside(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for name in (world.pair.left, world.pair.right, world.pair.right)
    )
    with sender, within, beside:
        sender.bind((LEFT.host, 7))
        for receiver, port in ((within, 9), (beside, 10)):
            receiver.bind((RIGHT.host, port))
            receiver.settimeout(CAP)
        for port in (10, 9):
            sender.sendto(b"data", (RIGHT.host, port))
        assert within.recv(64) == b"data"
        beside.setblocking(False)
        with pytest.raises(BlockingIOError):
            beside.recv(64)
    assert statistics(world.pair.right)["XfrmInStateMismatch"] == 1


def test_a_rekey_loses_no_packet(world: World) -> None:
    old, new = Child(1), Child(2)
    new.replaces = old
    world.install(old)
    ping = world.start_ping(count=150)
    world.install(new, sends=False)
    world.left.switch(new)
    world.right.switch(new.mirrored())
    world.left.remove(old)
    world.right.remove(old.mirrored())
    assert replies(ping) == 150
    inbound, outbound = world.left.counters(new)
    assert inbound.current.packets > 50
    assert outbound.current.packets > 50
    assert {state.spi for state in world.left.xfrm.state("dump")} == {0x2000, 0x2001}
    assert len(world.left.xfrm.policy("dump")) == 3


def test_a_second_child_sa_for_the_same_traffic_leaves_the_first_in_use(world: World) -> None:
    first, second = Child(1), Child(2)
    world.install(first)
    world.install(second)
    assert world.ping() == 3
    world.left.remove(second)
    world.right.remove(second.mirrored())
    assert world.ping() == 3
    assert world.left.counters(first)[1].current.packets == 3


def test_what_the_kernel_refuses_leaves_nothing(world: World) -> None:
    taken, child = Child(1), Child(1)
    world.left.install(taken, LEFT, RIGHT)
    before = world.left.xfrm.state("dump")
    other = XfrmPlane(world.pair.left)
    with pytest.raises(XfrmError, match="EEXIST"):
        other.install(child, LEFT, RIGHT)
    other.close()
    assert world.left.xfrm.state("dump") == before


def test_a_child_sa_moves_to_udp_and_other_ports(world: World) -> None:
    child = Child(1)
    world.install(child)
    assert world.ping() == 3
    sockets = []
    for name in (world.pair.left, world.pair.right):
        endpoint = inside(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        endpoint.bind(("0.0.0.0", 4500))
        decapsulate(endpoint)
        bypass(endpoint)
        sockets.append(endpoint)
    local, remote = Address(LEFT.host, 4500), Address(RIGHT.host, 4500)
    world.left.move(child, local, remote)
    world.right.move(child.mirrored(), remote, local)
    assert world.ping() == 3
    inbound, outbound = world.left.counters(child)
    assert outbound.encap == ("espinudp", 4500, 4500, "")
    assert (inbound.replay.seq, outbound.replay.oseq) == (6, 6)
    for endpoint in sockets:
        endpoint.close()


def test_the_first_packet_asks_for_a_child_sa(world: World) -> None:
    loop = EventLoop()
    loop.add(world.left)
    world.left.trap(Selector(f"{INNER_LEFT}/32", f"{INNER_RIGHT}/32"), LEFT.host, RIGHT.host)
    assert world.ping(count=1) == 0
    assert loop.run_until(lambda: bool(world.acquired), CAP)
    assert (world.acquired[0].src, world.acquired[0].dst) == (LEFT.host, RIGHT.host)
    world.install(Child(1))
    assert world.ping() == 3
    loop.remove(world.left)


def test_a_soft_limit_is_told_with_the_pairs_spi(world: World) -> None:
    loop = EventLoop()
    loop.add(world.left)
    world.install(Child(1))
    assert world.ping(count=310) == 310
    assert loop.run_until(lambda: len(world.expired) >= 2, CAP)
    assert set(world.expired) == {(Child(1).spi_in, False)}
    loop.remove(world.left)


def test_a_socket_of_ike_passes_the_policies(world: World) -> None:
    child = Child(1, mode=Mode.TRANSPORT)
    world.left.install(child, LEFT, RIGHT)
    left, right = (
        inside(name, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        for name in (world.pair.left, world.pair.right)
    )
    with left, right:
        right.settimeout(CAP)
        right.bind((RIGHT.host, 500))
        left.bind((LEFT.host, 500))
        bypass(left)
        left.sendto(b"in clear", (RIGHT.host, 500))
        assert right.recv(64) == b"in clear"
