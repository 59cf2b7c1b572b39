"""XFRM verbs against the kernel here, with `ip xfrm` as the other reader and writer.

This kernel may lack ESP: policies, larval states, events and refusals need none. States are in test_xfrm_states.py.
"""

import errno
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from ipsectest.base.addresses import Address, Datagram
from ipsectest.net.inside import inside
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.xfrm import (
    Acquire,
    AsyncXfrm,
    Expire,
    Flushed,
    Lifetimes,
    Migrated,
    Migration,
    Policy,
    PolicyChange,
    PolicyDefaults,
    PolicyExpire,
    PolicyFlag,
    Selector,
    Template,
    Xfrm,
    XfrmError,
    XfrmEvents,
    add_interface,
    statistics,
)
from tests.lab.two_namespaces import namespaces, require_lab

pytestmark = pytest.mark.lab

CAP = 5.0
_NODAD = 0x02
TUNNEL = Template("192.0.2.1", "192.0.2.2", mode="tunnel", reqid=3)
OUT = Policy(
    selector=Selector("198.51.100.0/24", "203.0.113.0/24", 6, None, 443),
    dir="out",
    priority=17,
    mark=(1, 3),
    if_id=9,
    flags=PolicyFlag.LOCALOK | PolicyFlag.ICMP,
    limits=Lifetimes(1000, 2000, 10, 20, 300, 400, 500, 600),
    templates=(TUNNEL, Template(proto="ah", optional=True)),
)
FORWARD = Policy(selector=Selector("2001:db8:1::/48", "2001:db8:2::/48", 58, 128, 0), dir="fwd", action="block")


@pytest.fixture
def namespace() -> Iterator[str]:
    require_lab("ip")
    with namespaces(1) as (name,):
        yield name


@pytest.fixture
def xfrm(namespace: str) -> Iterator[Xfrm]:
    with Xfrm(netns=namespace) as opened:
        yield opened


def ip(namespace: str, arguments: str) -> str:
    command = ["ip", "-n", namespace, "-s", "xfrm", *arguments.split()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout


def words(text: str) -> str:
    """On one line, with protocols as numbers: their names depend on /etc/protocols."""
    line = " ".join(text.split())
    for name, number in (("tcp", 6), ("udp", 17), ("ipv6-icmp", 58)):
        line = line.replace(f"proto {name} ", f"proto {number} ")
    return line


def send_datagram(namespace: str, source: str, destination: str) -> None:
    """A packet that a policy may want protected; the kernel may refuse it."""
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    with inside(namespace, lambda: socket.socket(family, socket.SOCK_DGRAM)) as sender:
        sender.bind((source, 0))
        sender.setblocking(False)
        with suppress(BlockingIOError, PermissionError):
            sender.sendto(b"wanted", (destination, 9))


def give_addresses(namespace: str, *addresses: str) -> None:
    """On a device that leads nowhere; lo takes no policies."""
    with IPRoute(netns=namespace, flags=0) as route:
        route.link("add", ifname="veth0", kind="veth", peer={"ifname": "veth1"})
        index = route.link_lookup(ifname="veth0")[0]
        route.link("set", index=index, state="up")
        for address in addresses:
            route.addr("add", index=index, address=address, prefixlen=64 if ":" in address else 24, flags=_NODAD)
        route.route("add", dst="203.0.113.0/24", oif=index)


def test_ip_shows_the_policy_that_we_add(namespace: str, xfrm: Xfrm) -> None:
    assert xfrm.policy("add", OUT) == ()
    shown = words(ip(namespace, "policy"))
    for text in (
        "src 198.51.100.0/24 dst 203.0.113.0/24 proto 6 dport 443",
        "dir out action allow index",
        "priority 17 ptype main share any flag localok icmp (0x00000011)",
        "limit: soft 1000(bytes), hard 2000(bytes) limit: soft 10(packets), hard 20(packets)",
        "expire add: soft 300(sec), hard 400(sec) expire use: soft 500(sec), hard 600(sec)",
        "mark 0x1/0x3",
        "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x00000000(0) reqid 3(0x00000003) mode tunnel level required",
        "tmpl src 0.0.0.0 dst 0.0.0.0 proto ah spi 0x00000000(0) reqid 0(0x00000000) mode transport level use",
        "if_id 0x9",
    ):
        assert text in shown
    xfrm.policy("add", FORWARD)
    assert "src 2001:db8:1::/48 dst 2001:db8:2::/48 proto 58 type 128 code 0 uid 0 dir fwd action block" in words(
        ip(namespace, "policy")
    )


def test_we_show_the_policy_that_ip_adds(namespace: str, xfrm: Xfrm) -> None:
    ip(
        namespace,
        "policy add src 198.51.100.0/24 dst 203.0.113.0/24 proto 6 dport 443 dir out action allow priority 17 mark 1 "
        "mask 3 if_id 9 flag localok flag icmp limit byte-soft 1000 limit byte-hard 2000 limit packet-soft 10 "
        "limit packet-hard 20 limit time-soft 300 limit time-hard 400 limit time-use-soft 500 limit time-use-hard 600 "
        "tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 3 mode tunnel tmpl proto ah mode transport level use",
    )
    ip(
        namespace,
        "policy add src 2001:db8:1::/48 dst 2001:db8:2::/48 proto 58 type 128 code 0 dir fwd action block",
    )
    assert sorted(xfrm.policy("dump"), key=lambda policy: policy.dir, reverse=True) == [OUT, FORWARD]


def test_policies_are_found_updated_and_deleted(xfrm: Xfrm) -> None:
    xfrm.policy("add", OUT)
    xfrm.policy("add", FORWARD)
    (found,) = xfrm.policy("get", selector=OUT.selector, dir="out", mark=OUT.mark, if_id=OUT.if_id)
    assert found == OUT
    assert found.index
    assert found.current.added
    xfrm.policy("update", selector=FORWARD.selector, dir="fwd", action="allow", priority=5)
    (found,) = xfrm.policy("get", FORWARD)
    assert (found.action, found.priority) == ("allow", 5)
    size = xfrm.spdinfo()
    assert (size.inbound, size.outbound, size.forward) == (0, 1, 1)
    xfrm.policy("del", found)
    assert xfrm.policy("dump") == (OUT,)
    xfrm.policy("flush")
    assert xfrm.policy("dump") == ()


def test_many_policies_are_dumped_whole(xfrm: Xfrm) -> None:
    policies = [
        Policy(selector=Selector("198.51.100.0/24", f"203.0.113.{n}/32"), dir="out", priority=n, templates=(TUNNEL,))
        for n in range(200)
    ]
    for policy in policies:
        xfrm.policy("add", policy)
    assert sorted(xfrm.policy("dump"), key=lambda policy: policy.priority) == policies


def test_refusals_have_number_and_text(xfrm: Xfrm) -> None:
    xfrm.policy("add", OUT)
    with pytest.raises(XfrmError, match=r"adding policy out 198.51.100.0/24 -> 203.0.113.0/24: File exists") as caught:
        xfrm.policy("add", OUT)
    assert caught.value.code == errno.EEXIST
    with pytest.raises(XfrmError, match="ENOENT"):
        xfrm.policy("del", FORWARD)
    with pytest.raises(XfrmError, match=r"deleting state 192.0.2.2 esp 0x00001001: .*ESRCH"):
        xfrm.state("del", dst="192.0.2.2", spi=0x1001)
    with pytest.raises(XfrmError) as caught:
        xfrm.state("add", dst="192.0.2.2", spi=0x1001, aead=("rfc4106(gcm(nosuch))", bytes(20), 128))
    assert caught.value.code in {errno.ENOSYS, errno.EINVAL}
    assert caught.value.text == "Requested AEAD algorithm not found"
    with pytest.raises(ValueError, match="is none of add, update"):
        xfrm.policy("ad", OUT)
    with pytest.raises(ValueError, match="does not fit"):
        xfrm.state("add", dst="192.0.2.2", spi=0x1001, if_id=-1)


def test_a_namespace_that_is_not_there_is_an_error_and_is_not_made() -> None:
    for opener in (lambda: Xfrm(netns="ipsectest-none"), lambda: XfrmEvents("sa", netns="ipsectest-none")):
        with pytest.raises(XfrmError, match="opening a socket in namespace ipsectest-none: No such file"):
            opener()
    with pytest.raises(XfrmError, match="reading xfrm_stat"):
        statistics("ipsectest-none")
    assert not Path("/run/netns/ipsectest-none").exists()


def test_spis_are_allocated_and_expire(namespace: str, xfrm: Xfrm) -> None:
    inside(namespace, lambda: Path("/proc/sys/net/core/xfrm_acq_expires").write_text("1", encoding="ascii"))
    with xfrm.events("expire") as events:
        spi = xfrm.allocspi(0x5000, 0x5000, src="192.0.2.1", dst="192.0.2.2", mode="tunnel", reqid=8)
        assert spi == 0x5000
        (larval,) = xfrm.state("dump")
        assert (larval.src, larval.dst, larval.spi, larval.reqid) == ("192.0.2.1", "192.0.2.2", spi, 8)
        assert xfrm.sadinfo().states == 1
        with pytest.raises(XfrmError):
            xfrm.allocspi(0x5000, 0x5000, src="192.0.2.3", dst="192.0.2.2", mode="tunnel")
        # The one that found no SPI may expire together with it.
        (expired,) = [one for one in events.wait(CAP) if isinstance(one, Expire) and one.state.spi == spi]
        assert (expired.hard, expired.state.spi) == (True, spi)


@pytest.mark.parametrize(
    ("source", "destination", "template"),
    [
        ("198.51.100.1", "203.0.113.1", TUNNEL),
        ("198.51.100.1", "203.0.113.1", Template("2001:db8::1", "2001:db8::2", mode="tunnel")),
        ("198.51.100.1", "203.0.113.1", Template()),
    ],
)
def test_a_packet_that_needs_a_missing_sa_gives_acquire(
    namespace: str, xfrm: Xfrm, source: str, destination: str, template: Template
) -> None:
    give_addresses(namespace, source, "2001:db8::1")
    policy = Policy(selector=Selector("198.51.100.0/24", "203.0.113.0/24"), dir="out", templates=(template,))
    xfrm.policy("add", policy)
    with xfrm.events("acquire") as events:
        send_datagram(namespace, source, destination)
        acquire, *_ = events.wait(CAP)
    assert isinstance(acquire, Acquire)
    outer = (template.src or source, template.dst or destination)
    assert (acquire.src, acquire.dst, acquire.proto) == (*outer, "esp")
    assert acquire.seq
    assert (acquire.selector.src, acquire.selector.dst) == (f"{source}/32", f"{destination}/32")
    assert (acquire.selector.proto, acquire.selector.dport) == (17, 9)
    assert acquire.policy == policy
    assert xfrm.state("dump")[0].seq == acquire.seq


def test_changes_of_policies_are_told(xfrm: Xfrm) -> None:
    seen = []
    with xfrm.events("policy", "sa") as events:
        xfrm.policy("add", OUT)
        seen += events.wait(CAP)
        xfrm.policy("update", FORWARD)
        seen += events.wait(CAP)
        xfrm.policy("del", OUT)
        seen += events.wait(CAP)
        xfrm.policy("flush")
        seen += events.wait(CAP)
        xfrm.allocspi(dst="192.0.2.2", proto="ah")
        xfrm.state("flush", proto="ah")
        seen += events.wait(CAP)
        assert events.lost == 0
        assert events.read() == []
    assert seen == [
        PolicyChange("add", OUT),
        PolicyChange("update", FORWARD),
        PolicyChange("delete", OUT),
        Flushed("policies", "main"),
        Flushed("states", "ah"),
    ]


def test_policies_expire(xfrm: Xfrm) -> None:
    with xfrm.events("expire") as events:
        xfrm.policy("add", selector=OUT.selector, dir="out", limits=Lifetimes(hard_seconds=1))
        (expired,) = events.wait(CAP)
    assert isinstance(expired, PolicyExpire)
    assert expired.hard
    assert expired.policy.selector == OUT.selector
    assert xfrm.policy("dump") == ()


def test_templates_move_to_other_addresses(xfrm: Xfrm) -> None:
    policy = Policy(selector=Selector("198.51.100.0/24", "203.0.113.0/24"), dir="out", templates=(TUNNEL,))
    xfrm.policy("add", policy)
    move = Migration("192.0.2.1", "192.0.2.2", "192.0.2.7", "192.0.2.8", reqid=3)
    with xfrm.events("migrate") as events:
        try:
            xfrm.migrate(policy.selector, "out", [move])
        except XfrmError as error:
            if error.code != errno.ENOPROTOOPT:
                raise
            pytest.skip("this kernel has no XFRM_MIGRATE")
        assert events.wait(CAP) == [Migrated(policy.selector, "out", (move,))]
    (moved,) = xfrm.policy("dump")
    assert (moved.templates[0].src, moved.templates[0].dst) == ("192.0.2.7", "192.0.2.8")


def test_thresholds_are_read_and_set(xfrm: Xfrm) -> None:
    before = xfrm.spdinfo()
    xfrm.set_thresholds(ipv4=(24, 16))
    xfrm.set_thresholds(ipv6=(64, 48))
    after = xfrm.spdinfo()
    assert (before.ipv4_threshold, before.ipv6_threshold) == ((32, 32), (128, 128))
    assert (after.ipv4_threshold, after.ipv6_threshold) == ((24, 16), (64, 48))
    with pytest.raises(XfrmError, match="setting thresholds"):
        xfrm.set_thresholds(ipv4=(33, 0))


def test_groups_that_there_are_not_are_told(xfrm: Xfrm) -> None:
    with pytest.raises(ValueError, match="'aquire' is none of acquire, expire"):
        xfrm.events("aquire")


def test_defaults_are_read_and_set(namespace: str, xfrm: Xfrm) -> None:
    assert xfrm.defaults() == PolicyDefaults("accept", "accept", "accept")
    blocked = PolicyDefaults("block", "accept", "block")
    assert xfrm.defaults(blocked) == blocked
    assert words(ip(namespace, "policy getdefault")).endswith("in: block fwd: accept out: block")


def test_statistics_are_those_of_the_namespace(namespace: str, xfrm: Xfrm) -> None:
    give_addresses(namespace, "198.51.100.1")
    before = statistics(namespace)
    xfrm.policy("add", selector=Selector("198.51.100.0/24", "203.0.113.0/24"), dir="out", action="block")
    here = statistics()
    send_datagram(namespace, "198.51.100.1", "203.0.113.1")
    after = statistics(namespace)
    assert after["XfrmOutPolBlock"] == before["XfrmOutPolBlock"] + 1
    assert statistics()["XfrmOutPolBlock"] == here["XfrmOutPolBlock"]


def test_an_interface_is_made_or_refused_with_a_reason(namespace: str) -> None:
    try:
        index = add_interface("ipsec0", if_id=42, netns=namespace)
    except XfrmError as refusal:
        error = refusal
    else:
        with IPRoute(netns=namespace, flags=0) as route:
            assert route.get_links(index)[0].get_nested("linkinfo", "data").get_attr("IFLA_XFRM_IF_ID") == 42
        return
    assert re.fullmatch(r"adding xfrm interface ipsec0: .+ \(E[A-Z]+\)", str(error))


def test_ike_passes_policies_that_block_all_else(xfrm: Xfrm, namespace: str) -> None:
    give_addresses(namespace, "198.51.100.1")
    for direction in ("in", "out"):
        xfrm.policy("add", selector=Selector("0.0.0.0/0", "0.0.0.0/0"), dir=direction, action="block")
    wire = SocketWire(namespace, protocols=())
    try:
        before = statistics(namespace)["XfrmOutPolBlock"]
        question = Datagram(bytes(28), Address("198.51.100.1", 500), Address("203.0.113.1", 500))
        assert not wire.send(question, 0.0)
        assert statistics(namespace)["XfrmOutPolBlock"] == before + 1
        wire.leave_esp_to_kernel()
        assert wire.send(question, 0.0)
        assert statistics(namespace)["XfrmOutPolBlock"] == before + 1
    finally:
        wire.close()


def test_waiting_ends_at_its_cap(xfrm: Xfrm) -> None:
    with xfrm.events("acquire") as events:
        assert events.wait(0.05) == []
        assert events.fileno() >= 0


async def _by_hand(namespace: str) -> tuple[Policy, ...]:
    async with AsyncXfrm(netns=namespace) as xfrm:
        await xfrm.policy("add", OUT)
        return await xfrm.policy("dump")


def test_verbs_are_there_for_asyncio(namespace: str) -> None:
    import asyncio

    assert asyncio.run(_by_hand(namespace)) == (OUT,)


def test_no_descriptor_is_left(namespace: str) -> None:
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    def use() -> None:
        with Xfrm(netns=namespace) as xfrm, xfrm.events("sa"):
            xfrm.policy("dump")

    use()
    before = opened()
    for _ in range(5):
        use()
    assert opened() == before
