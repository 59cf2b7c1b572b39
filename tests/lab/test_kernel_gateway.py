"""Our endpoint with the kernel's ESP and AH on both sides. Needs a kernel with ESP; test_xfrm_guest.py gives it one."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ProtocolId
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, Mode, SharedKey, suites
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, ChildRemoved, ExchangeDone
from ipsectest.ike.sa import ChildSa
from ipsectest.ike.tasks import Initiate
from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop
from ipsectest.net.xfrm import Lifetimes, Xfrm, XfrmError, statistics
from ipsectest.peers.builtin_settings import Encapsulating
from ipsectest.runner.kernel_gateway import KernelGateway
from ipsectest.wire import TrafficSelector
from tests.lab.two_namespaces import ProcessEnd, joined, require_lab

pytestmark = pytest.mark.lab

CAP = 20.0
_SO_RCVBUFFORCE = 33
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
INNER = {4: ("198.51.100.1", "203.0.113.1"), 6: ("2001:db8:1::1", "2001:db8:2::1")}
PSK = SharedKey(b"a secret for this test")


@dataclass(frozen=True)
class Form:
    """What the two are to agree on."""

    esp: str = "aes128gcm16-esn"
    mode: Mode = Mode.TUNNEL
    udp: bool = False
    version: int = 4
    protocol: int = ProtocolId.ESP
    inner: int = 0
    """IP version inside, if it is another one."""

    @property
    def ends(self) -> tuple[str, str]:
        return (INNER if self.mode is Mode.TUNNEL else OUTER)[self.inner or self.version]

    def connection(self, side: int) -> ConnectionConfig:
        local, remote = OUTER[self.version][:: -1 if side else 1]
        near, far = (
            (TrafficSelector.of(f"{end}/{128 if ':' in end else 32}"),) for end in self.ends[:: -1 if side else 1]
        )
        child = ChildConfig("net", near, far, suites(self.esp), self.mode, self.protocol)
        ends = Address(local, 500), Address(remote, 500), Identity.of(local), Identity.of(remote)
        return ConnectionConfig("pair", *ends, PSK, PSK, (child,))


class World:
    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        pair = stack.enter_context(joined())
        self.names = pair.left, pair.right
        self.loop = stack.enter_context(EventLoop())
        for side, name in enumerate(self.names):
            with IPRoute(netns=name, flags=0) as route:
                for version, inner in INNER.items():
                    length = 32 if version == 4 else 128
                    # A tentative address is no prefsrc yet (EINVAL).
                    nodad = {"flags": 0x02} if version == 6 else {}
                    route.addr("add", index=1, address=inner[side], prefixlen=length, **nodad)
                    far, via = f"{inner[1 - side]}/{length}", OUTER[version][1 - side]
                    route.route("add", dst=far, gateway=via, prefsrc=inner[side])

    def gateways(
        self,
        form: Form,
        limits: Lifetimes | None = None,
        *,
        behind_nat: tuple[int, ...] = (0, 1),
        children: tuple[tuple[ChildConfig, ...], ...] = (),
    ) -> list[KernelGateway]:
        made = []
        for side, name in enumerate(self.names):
            connection = form.connection(side)
            if children:
                connection = replace(connection, children=children[side])
            config = EndpointConfig((connection.local.host,), (connection,))
            policy = Encapsulating() if form.udp and side in behind_nat else None
            gateway = KernelGateway(self.loop, name, config, limits=None if side else limits, policy=policy)
            self._stack.callback(gateway.close)
            made.append(gateway)
        return made

    def connected(self, form: Form, limits: Lifetimes | None = None) -> list[KernelGateway]:
        gateways = self.gateways(form, limits)
        gateways[0].initiate(form.connection(0))
        self.wait(lambda: all(g.has(ChildInstalled) for g in gateways), gateways)
        return gateways

    def wait(self, condition: object, gateways: list[KernelGateway]) -> None:
        assert self.loop.run_until(condition, CAP), [(g.events, g.refused) for g in gateways]

    def ping(self, side: int, address: str, *options: str) -> str:
        """What ping printed, with the loop turning meanwhile."""
        return self.finish(self.start_ping(side, address, *options))

    def start_ping(self, side: int, address: str, *options: str) -> subprocess.Popen[str]:
        command = ["ip", "netns", "exec", self.names[side], "ping", "-q", "-i", "0.02", "-W", "2", *options, address]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, process: subprocess.Popen[str]) -> str:
        end = ProcessEnd(process.pid)
        self.loop.add(end)
        assert self.loop.run_until(lambda: end.ended, 60.0)
        self.loop.remove(end)
        return process.communicate(timeout=CAP)[0]


@pytest.fixture
def world() -> Iterator[World]:
    require_lab("ip", "ping")
    with ExitStack() as stack:
        made = World(stack)
        try:
            with Xfrm(netns=made.names[0]) as xfrm:
                xfrm.state("add", src="192.0.2.1", dst="192.0.2.2", spi=9, aead=("rfc4106(gcm(aes))", bytes(20), 128))
                xfrm.state("flush")
        except XfrmError as error:
            pytest.skip(f"this kernel has no ESP: {error}")
        yield made


def check_records(gateway: KernelGateway, form: Form) -> None:
    """What the kernel has is what was negotiated, field by field."""
    ((child, local, remote),) = gateway.pairs.values()
    for state, outbound in zip(gateway.plane.counters(child), (False, True), strict=True):
        source, destination = (local, remote) if outbound else (remote, local)
        keys = child.keys
        secret = keys.encryption_out + keys.integrity_out if outbound else keys.encryption_in + keys.integrity_in
        held = b"".join(algorithm.key for algorithm in (state.aead or state.crypt, state.auth) if algorithm)
        assert (state.src, state.dst) == (source.host, destination.host)
        assert state.spi == int.from_bytes(child.spi_out if outbound else child.spi_in, "big")
        assert (state.proto, state.mode) == ("ah" if form.protocol == ProtocolId.AH else "esp", form.mode.value)
        assert held == secret
        assert state.esn == child.chosen.esn
        assert (state.encap[:3] if state.encap else None) == (
            ("espinudp", source.port, destination.port) if form.udp else None
        )


def _icmp(given: TrafficSelector) -> TrafficSelector:
    return replace(given, protocol=1)


FORMS = [
    Form(),
    Form(version=6),
    Form(inner=6),
    Form(version=6, inner=4),
    Form(mode=Mode.TRANSPORT),
    Form(mode=Mode.TRANSPORT, version=6),
    Form(udp=True),
    Form(esp="aes256-sha256-esn"),
    Form(esp="chacha20poly1305-noesn"),
    Form(esp="sha256-noesn", protocol=ProtocolId.AH),
    Form(esp="sha256-esn", mode=Mode.TRANSPORT, version=6, protocol=ProtocolId.AH),
]


@pytest.mark.parametrize(
    "form", FORMS, ids=lambda f: f"{f.esp}-{f.mode.value}-{f.inner or f.version}in{f.version}-{f.udp}-{f.protocol}"
)
def test_a_tunnel_carries_pings_both_ways_and_the_kernel_has_what_was_negotiated(world: World, form: Form) -> None:
    gateways = world.connected(form)
    for side in (0, 1):
        assert " 5 received" in world.ping(side, form.ends[1 - side], "-c", "5")
    for gateway in gateways:
        check_records(gateway, form)
        ((child, _, _),) = gateway.pairs.values()
        assert [state.current.packets for state in gateway.plane.counters(child)] == [10, 10]


def test_rekeys_of_both_kinds_lose_no_packet(world: World) -> None:
    form = Form()
    gateways = world.connected(form)
    left = gateways[0]
    ping = world.start_ping(0, form.ends[1], "-c", "400")
    for number in range(1, 6):
        ((child, _, _),) = left.pairs.values()
        left.endpoint.rekey_child(child, world.loop.clock.now())
        left.flush()
        world.wait(lambda n=number: all(g.has(ChildRemoved, n) for g in gateways), gateways)
        left.endpoint.rekey_ike(left.endpoint.sessions()[0], world.loop.clock.now())
        left.flush()
    assert " 400 received, 0% packet loss" in world.finish(ping)
    assert left.has(ChildRekeyed, 5)
    world.wait(lambda: all(g.get_timer() is None for g in gateways), gateways)
    for name in world.names:
        with Xfrm(netns=name) as xfrm:
            assert len(xfrm.state("dump")) == 2


@pytest.mark.parametrize(
    ("form", "rekeyed"),
    [
        (Form(), True),
        (Form(udp=True), False),
        (Form(mode=Mode.TRANSPORT, version=6), False),
        (Form(esp="sha256-noesn", protocol=ProtocolId.AH), True),
    ],
    ids=["esp-rekeyed", "udp", "transport6", "ah-rekeyed"],
)
def test_packets_of_a_child_sa_wait_while_its_answer_is_not_read(world: World, form: Form, rekeyed: bool) -> None:
    gateways = ours, theirs = world.connected(form) if rekeyed else world.gateways(form)
    if rekeyed:
        ((old, _, _),) = ours.pairs.values()
        ours.endpoint.rekey_child(old, world.loop.clock.now())
        ours.flush()
    else:
        ours.initiate(form.connection(0))
    world.wait(lambda: theirs.has(ChildInstalled, 2 if rekeyed else 1), gateways)
    world.loop.remove(ours.driver)  # its socket has the answer, and keeps it
    theirs.plane.switch(list(theirs.pairs.values())[-1][0])  # as RFC 7296 section 2.8 allows
    ping = world.start_ping(1, form.ends[0], "-c", "3", "-W", "10")
    world.wait(lambda: ours.early.kept == 3, gateways)
    assert len(ours.pairs) == rekeyed
    world.loop.add(ours.driver)
    assert " 3 received" in world.finish(ping)
    assert not any(statistics(name)["XfrmInNoStates"] for name in world.names)
    assert ours.early.kept == 3
    assert ours.early.problem is None


def test_the_first_packet_sets_the_tunnel_up(world: World) -> None:
    form = Form()
    gateways = world.gateways(form)
    gateways[0].trap(form.connection(0))
    world.ping(0, form.ends[1], "-c", "1", "-I", form.ends[0])  # without -I ping tries a UDP socket first
    world.wait(lambda: all(g.has(ChildInstalled) for g in gateways), gateways)
    assert " 3 received" in world.ping(0, form.ends[1], "-c", "3")
    (done,) = (event for event in gateways[0].events if isinstance(event, ExchangeDone))
    assert isinstance(done.task, Initiate)
    assert done.task.first
    echo = 0x0800, 0x0800  # the packet's own selectors come first (RFC 7296 section 2.9)
    wanted = form.connection(0).children[0]
    assert done.task.first == wanted.wanted_by(*(TrafficSelector.of(end, 1, echo) for end in form.ends))
    for name in world.names:
        with Xfrm(netns=name) as xfrm:
            assert [one.selector.proto for one in xfrm.policy("dump") if one.templates] == [0, 0, 0]
    (sa,) = gateways[0].endpoint.sessions()
    gateways[0].endpoint.delete_child(next(iter(sa.children.values())), world.loop.clock.now())
    gateways[0].flush()
    world.wait(lambda: all(g.has(ChildRemoved) for g in gateways), gateways)
    world.ping(0, form.ends[1], "-c", "1")
    world.wait(lambda: all(g.has(ChildInstalled, 2) for g in gateways), gateways)
    gateways[0].close()
    with Xfrm(netns=world.names[0]) as xfrm:
        assert [one for one in xfrm.policy("dump") if one.templates] == []


def test_two_flows_at_once_get_a_child_sa_each_and_one_ike_sa(world: World) -> None:
    form = Form()
    near, far = (TrafficSelector.of(f"{end}/32", 17, (port, port)) for end, port in zip(form.ends, (7, 9), strict=True))
    other = [
        ChildConfig("udp", (near,), (far,), suites(form.esp)),
        ChildConfig("udp", (far,), (near,), suites(form.esp)),
    ]
    pings = [form.connection(side).children[0] for side in (0, 1)]
    icmp = [
        replace(child, local_ts=tuple(map(_icmp, child.local_ts)), remote_ts=tuple(map(_icmp, child.remote_ts)))
        for child in pings
    ]
    gateways = world.gateways(form, children=((icmp[0], other[0]), (icmp[1], other[1])))
    gateways[0].trap(gateways[0].endpoint.config.connections[0])

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((form.ends[0], 7))
            sender.sendto(b"x", (form.ends[1], 9))

    inside(world.names[0], send)
    inside(world.names[0], send)
    world.ping(0, form.ends[1], "-c", "1")
    world.wait(lambda: all(g.has(ChildInstalled, 2) for g in gateways), gateways)
    (sa,) = gateways[0].endpoint.sessions()
    assert sorted(child.config.name for child in sa.children.values()) == ["net", "udp"]


def test_nothing_leaves_under_an_old_sa_when_its_successor_is_deleted(world: World) -> None:
    gateways = world.connected(Form())
    left = gateways[0]
    for number in (1, 2):
        ((child, _, _),) = left.pairs.values()
        left.endpoint.rekey_child(child, world.loop.clock.now())
        left.flush()
        world.wait(lambda n=number: all(g.has(ChildRemoved, n) for g in gateways), gateways)
    ((child, _, _),) = left.pairs.values()
    left.endpoint.delete_child(child, world.loop.clock.now())
    left.flush()
    world.wait(lambda: all(g.has(ChildRemoved, 3) for g in gateways), gateways)
    assert [g.get_timer() for g in gateways] == [None, None]
    for name in world.names:
        with Xfrm(netns=name) as xfrm:
            assert not xfrm.state("dump")


@pytest.mark.parametrize(
    ("mode", "gone"),
    [(Mode.TUNNEL, False), (Mode.TRANSPORT, False), (Mode.TUNNEL, True)],
    ids=["tunnel", "transport", "gone"],
)
def test_a_moved_peer_takes_its_child_sas_along(world: World, mode: Mode, gone: bool) -> None:
    """Where the kernel has lost the SAs (expired, flushed) they cannot move, and are deleted."""
    form = Form(udp=True, mode=mode)
    gateways = world.gateways(form, behind_nat=(0,))
    gateways[0].initiate(form.connection(0))
    world.wait(lambda: all(g.has(ChildInstalled) for g in gateways), gateways)
    right = gateways[1]
    (sa,) = right.endpoint.sessions()
    for child in tuple(sa.children.values()):
        right.endpoint.create_child(sa, child.config, world.loop.clock.now())
    right.flush()
    world.wait(lambda: all(g.has(ChildInstalled, 2) for g in gateways), gateways)
    for new in (Address(sa.remote.host, 40000), Address("192.0.2.77", 40001)):
        with Xfrm(netns=world.names[1]) as xfrm:
            before = {state.spi for state in xfrm.state("dump")}
            if gone:
                xfrm.state("flush")
            right.endpoint.follow(sa.remote, new)
            right.flush()
            found, policies = xfrm.state("dump"), [one for one in xfrm.policy("dump") if one.templates]
        if gone:
            assert len(right.refused) == 2
            assert not found
            return
        assert {state.spi for state in found} == before
        for state in found:
            source, peer = ((state.src, state.encap[1]), (state.dst, state.encap[2])) if state.encap else ("", "")
            assert (new.host, new.port) in {source, peer}
        if mode is Mode.TRANSPORT:  # RFC 7296 section 2.23.1: the peer is what can be seen of it
            ends = {f"{new.host}/32", f"{OUTER[4][1]}/32"}
            held = [{one.selector.src, one.selector.dst} for one in (*found, *policies)]
            assert held == [ends] * 6  # two pairs of SAs share their policies
    assert not right.refused


def test_moves_to_and_fro_lose_no_packet_and_use_no_sequence_number_twice(world: World) -> None:
    """Each move is undone by the kernel's next MAPPING: the packets go on coming from where the peer is."""
    form, count = Form(udp=True), 300
    left, right = world.gateways(form, behind_nat=(0,))
    left.initiate(form.connection(0))
    world.wait(lambda: left.has(ChildInstalled) and right.has(ChildInstalled), [left, right])
    here, there = right.endpoint.sessions()[0].remote, Address("192.0.2.77", 4500)
    with IPRoute(netns=world.names[0]) as route:
        route.addr("add", index=route.link_lookup(ifname="veth0")[0], address=there.host, prefixlen=24)
    seen = inside(world.names[0], lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
    seen.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    seen.bind(("veth0", 0x0800))
    seen.setblocking(False)
    before = echoes(world.names[1])
    ping = world.start_ping(0, form.ends[1], "-c", str(count), "-i", "0.005", "-I", form.ends[0])
    while echoes(world.names[1])[0] - before[0] < count - 20:
        for old, new in ((here, there), (there, here)):
            right.endpoint.follow(old, new)
            right.flush()
            world.loop.run_until(lambda: False, 0.02)
    world.finish(ping)
    assert [now - then for now, then in zip(echoes(world.names[1]), before, strict=True)] == [count, count]
    numbers = sequence_numbers(seen, f"{OUTER[4][1]}")
    assert len(numbers) == len(set(numbers)) == count
    assert right.endpoint.sessions()[0].remote == here
    assert right.early.problem is None
    assert not right.refused


def echoes(namespace: str) -> tuple[int, int]:
    """Echo requests that have come to a namespace, and replies that have left it."""
    lines = inside(namespace, Path("/proc/thread-self/net/snmp").read_text).splitlines()
    names, values = (line.split()[1:] for line in lines if line.startswith("Icmp: "))
    counts = dict(zip(names, map(int, values), strict=True))
    return counts["InEchos"], counts["OutEchoReps"]


def sequence_numbers(seen: socket.socket, source: str) -> list[int]:
    """Those of ESP in UDP from a host, of what a packet socket has seen."""
    numbers = []
    with seen, suppress(BlockingIOError):
        while True:
            packet = seen.recv(256)
            udp = 4 * (packet[0] & 15)
            if packet[12:16] == socket.inet_aton(source) and packet[9] == socket.IPPROTO_UDP and any(packet[28:32]):
                numbers.append(int.from_bytes(packet[udp + 12 : udp + 16], "big"))
    return numbers


def test_a_hard_limit_deletes_and_traffic_brings_a_new_sa(world: World) -> None:
    form = Form()
    gateways = world.connected(form, Lifetimes(hard_packets=10))
    gateways[0].trap(form.connection(0))
    spis = [spi for gateway in gateways for spi in gateway.pairs]
    ping = world.start_ping(0, form.ends[1], "-c", "60")
    world.wait(lambda: all(g.has(ChildRemoved) and g.has(ChildInstalled, 2) for g in gateways), gateways)
    for name, gateway in zip(world.names, gateways, strict=True):
        assert not set(spis) & set(gateway.pairs)
        with Xfrm(netns=name) as xfrm:
            assert not set(spis) & {state.spi.to_bytes(4, "big") for state in xfrm.state("dump")}
    world.finish(ping)


def test_an_algorithm_that_linux_lacks_is_deleted_at_the_peer(world: World) -> None:
    form = Form(esp="camellia128ctr-sha256-noesn")
    gateways = world.gateways(form)
    gateways[0].initiate(form.connection(0))
    world.wait(lambda: all(g.has(ChildRemoved) for g in gateways), gateways)
    assert "no ESP encryption algorithm 24" in str(gateways[0].refused[0])


def test_what_the_kernel_cannot_do_is_deleted_at_the_peer(world: World) -> None:
    form = Form()
    gateways = world.gateways(form)
    with Xfrm(netns=world.names[0]) as xfrm:
        original = gateways[0].plane.install

        def taken(child: ChildSa, local: Address, remote: Address, *, sends: bool, seq: int) -> None:
            spi = int.from_bytes(child.spi_in, "big")
            aead = ("rfc4106(gcm(aes))", bytes(20), 128)
            xfrm.state("add", src=remote.host, dst=local.host, spi=spi, mode="tunnel", aead=aead)
            original(child, local, remote, sends=sends, seq=seq)

        gateways[0].plane.install = taken
        gateways[0].initiate(form.connection(0))
        world.wait(lambda: gateways[1].has(ChildRemoved), gateways)
    assert "EEXIST" in str(gateways[0].refused[0])
    assert not gateways[0].pairs
