"""SAs and what lives on them, against a kernel with ESP and AH, with `ip xfrm` as the other reader and writer.

Skipped where the kernel has none; test_xfrm_guest.py runs them in the lab VM.
"""

import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from pyroute2 import IPRoute

from ipsectest.net.inside import inside
from ipsectest.net.xfrm import (
    Acquire,
    AsyncEvent,
    Event,
    Expire,
    ExtraFlag,
    Lifetimes,
    Mapping,
    Migration,
    Policy,
    Replay,
    Selector,
    State,
    StateChange,
    StateFlag,
    Template,
    Xfrm,
    XfrmError,
    XfrmEvents,
    add_interface,
    encryption,
    integrity,
    statistics,
)
from tests.lab.two_namespaces import Pair, joined, namespaces, require_lab

pytestmark = pytest.mark.lab

CAP = 10.0
LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
INNER_LEFT, INNER_RIGHT = "198.51.100.1", "203.0.113.1"
GCM = encryption(20, bytes(range(20)))
ANY4 = Selector("0.0.0.0/0", "0.0.0.0/0")

STATES = {
    "gcm": State(src=LEFT, dst=RIGHT, spi=0x1001, reqid=7, mode="tunnel", replay_window=32, aead=GCM, selector=ANY4),
    "esn": State(
        src="2001:db8::1",
        dst="2001:db8::2",
        spi=0xC0FFEE01,
        replay_window=128,
        esn=True,
        auth=integrity(12, b"\x11" * 32),
        crypt=encryption(12, b"\x22" * 16),
        selector=Selector("2001:db8::1/128", "2001:db8::2/128", 17, 500, 4500),
    ),
    "udp": State(
        src=LEFT,
        dst="198.51.100.2",
        spi=0x2002,
        mode="tunnel",
        auth=integrity(2, b"\x33" * 20),
        crypt=encryption(11, b""),
        encap=("espinudp", 4500, 14500, ""),
        mark=(5, 0xFF),
        output_mark=(6, 0xF0),
        if_id=42,
        limits=Lifetimes(1000, 2000, 10, 20, 3000, 4000, 5000, 6000),
        flags=StateFlag.NOPMTUDISC | StateFlag.ALIGN4,
        extra_flags=ExtraFlag.OSEQ_MAY_WRAP,
        selector=ANY4,
    ),
    "ah": State(
        src=LEFT, dst=RIGHT, spi=0x4004, proto="ah", replay_window=8, auth=integrity(14, b"\x44" * 64), selector=ANY4
    ),
    "comp": State(src=LEFT, dst=RIGHT, spi=0x3003, proto="comp", mode="tunnel", comp=("deflate", b""), selector=ANY4),
    "6in4": State(
        src=LEFT,
        dst=RIGHT,
        spi=0x5005,
        mode="tunnel",
        aead=encryption(28, bytes(36)),
        replay_window=64,
        selector=Selector("2001:db8:1::/64", "2001:db8:2::/64"),
        tfc_padding=500,
    ),
}
COMMANDS = {
    "gcm": f"src {LEFT} dst {RIGHT} proto esp spi 0x1001 reqid 7 mode tunnel replay-window 32 "
    f"aead rfc4106(gcm(aes)) 0x{bytes(range(20)).hex()} 128 sel src 0.0.0.0/0 dst 0.0.0.0/0",
    "esn": "src 2001:db8::1 dst 2001:db8::2 proto esp spi 0xc0ffee01 mode transport replay-window 128 flag esn "
    f"auth-trunc hmac(sha256) 0x{'11' * 32} 128 enc cbc(aes) 0x{'22' * 16} "
    "sel src 2001:db8::1/128 dst 2001:db8::2/128 proto 17 sport 500 dport 4500",
    "udp": f"src {LEFT} dst 198.51.100.2 proto esp spi 0x2002 mode tunnel auth-trunc hmac(sha1) 0x{'33' * 20} 96 "
    "enc ecb(cipher_null) '' encap espinudp 4500 14500 0.0.0.0 mark 5 mask 0xff output-mark 6 mask 0xf0 if_id 42 "
    "limit byte-soft 1000 limit byte-hard 2000 limit packet-soft 10 limit packet-hard 20 limit time-soft 3000 "
    "limit time-hard 4000 limit time-use-soft 5000 limit time-use-hard 6000 flag nopmtudisc flag align4 "
    "extra-flag oseq-may-wrap sel src 0.0.0.0/0 dst 0.0.0.0/0",
    "ah": f"src {LEFT} dst {RIGHT} proto ah spi 0x4004 mode transport replay-window 8 "
    f"auth-trunc hmac(sha512) 0x{'44' * 64} 256",
    "comp": f"src {LEFT} dst {RIGHT} proto comp spi 0x3003 mode tunnel comp deflate sel src 0.0.0.0/0 dst 0.0.0.0/0",
    "6in4": f"src {LEFT} dst {RIGHT} proto esp spi 0x5005 mode tunnel replay-window 64 tfcpad 500 "
    f"aead rfc7539esp(chacha20,poly1305) 0x{'00' * 36} 128 sel src 2001:db8:1::/64 dst 2001:db8:2::/64",
}
SHOWN = {
    "gcm": (
        "src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x00001001(4097) reqid 7(0x00000007) mode tunnel",
        "replay-window 32",
        "aead rfc4106(gcm(aes)) 0x000102030405060708090a0b0c0d0e0f10111213 (160 bits) 128",
    ),
    "esn": (
        "src 2001:db8::1 dst 2001:db8::2 proto esp spi 0xc0ffee01",
        "flag esn",
        f"auth-trunc hmac(sha256) 0x{'11' * 32} (256 bits) 128",
        f"enc cbc(aes) 0x{'22' * 16} (128 bits)",
        "replay_window 128, bitmap-length 4",
        "sel src 2001:db8::1/128 dst 2001:db8::2/128 proto 17 sport 500 dport 4500",
    ),
    "udp": (
        "encap type espinudp sport 4500 dport 14500 addr 0.0.0.0",
        "mark 0x5/0xff output-mark 0x6/0xf0",
        "flag nopmtudisc align4",
        "extra_flag oseq-may-wrap",
        "limit: soft 1000(bytes), hard 2000(bytes) limit: soft 10(packets), hard 20(packets)",
        "expire add: soft 3000(sec), hard 4000(sec) expire use: soft 5000(sec), hard 6000(sec)",
        "if_id 0x2a",
    ),
    "ah": ("proto ah spi 0x00004004", f"auth-trunc hmac(sha512) 0x{'44' * 64} (512 bits) 256"),
    "comp": ("proto comp spi 0x00003003", "comp deflate"),
    "6in4": ("sel src 2001:db8:1::/64 dst 2001:db8:2::/64", "replay_window 64"),
}


def kernel_lacks_esp() -> str:
    """Why the kernel takes no SA; empty if it does."""
    with namespaces(1) as (name,), Xfrm(netns=name) as xfrm:
        try:
            xfrm.state("add", STATES["gcm"])
        except XfrmError as error:
            return str(error)
    return ""


@pytest.fixture(scope="module", autouse=True)
def _kernel_with_esp() -> None:
    require_lab("ip")
    if refusal := kernel_lacks_esp():
        pytest.skip(f"this kernel has no ESP: {refusal}")


@pytest.fixture
def namespace() -> Iterator[str]:
    with namespaces(1) as (name,):
        yield name


@pytest.fixture
def xfrm(namespace: str) -> Iterator[Xfrm]:
    with Xfrm(netns=namespace) as opened:
        yield opened


def ip(namespace: str, arguments: str) -> str:
    command = ["ip", "-n", namespace, "-s", "xfrm", *(word.replace("''", "") for word in arguments.split())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 0, done.stderr
    return done.stdout


def words(text: str) -> str:
    """On one line, with protocols as numbers: their names depend on /etc/protocols."""
    line = " ".join(text.split())
    for name, number in (("tcp", 6), ("udp", 17), ("ipv6-icmp", 58)):
        line = line.replace(f"proto {name} ", f"proto {number} ")
    return line


@pytest.mark.parametrize("name", STATES)
def test_ip_shows_the_state_that_we_add(name: str, namespace: str, xfrm: Xfrm) -> None:
    assert xfrm.state("add", STATES[name]) == ()
    shown = words(ip(namespace, "state"))
    missing = [text for text in SHOWN[name] if text not in shown]
    assert not missing, shown
    assert STATES[name] in xfrm.state("dump")


@pytest.mark.parametrize("name", COMMANDS)
def test_we_show_the_state_that_ip_adds(name: str, namespace: str, xfrm: Xfrm) -> None:
    ip(namespace, f"state add {COMMANDS[name]}")
    assert STATES[name] in xfrm.state("dump")


def test_states_are_found_updated_and_deleted(xfrm: Xfrm) -> None:
    for state in STATES.values():
        xfrm.state("add", state)
    for state in STATES.values():
        assert xfrm.state("get", state) == (state,)
    # IPComp in a tunnel brings a state of IP in IP with it.
    assert len(xfrm.state("dump", proto="esp")) == 4
    from_left = {state.spi for state in STATES.values() if state.src == LEFT and state.proto == "esp"}
    assert {state.spi for state in xfrm.state("dump", proto="esp", src=f"{LEFT}/32")} == from_left
    assert xfrm.state("dump", src="192.0.2.128/25", dst=f"{RIGHT}/32") == ()
    assert {state.family for state in xfrm.state("dump", src="2001:db8::/32")} == {socket.AF_INET6}
    assert xfrm.sadinfo().states == len(xfrm.state("dump"))
    shorter = replace(STATES["gcm"], limits=Lifetimes(hard_packets=99))
    xfrm.state("update", shorter)
    assert xfrm.state("get", dst=RIGHT, spi=0x1001)[0].limits == shorter.limits
    xfrm.state("del", dst=RIGHT, spi=0x1001)
    with pytest.raises(XfrmError, match=r"getting state 192.0.2.2 esp 0x00001001: .*ESRCH"):
        xfrm.state("get", dst=RIGHT, spi=0x1001)
    xfrm.state("flush", proto="ah")
    assert [state.proto for state in xfrm.state("dump") if state.proto == "ah"] == []
    xfrm.state("flush")
    assert xfrm.state("dump") == ()


def test_an_allocated_spi_becomes_an_sa(xfrm: Xfrm) -> None:
    spi = xfrm.allocspi(src=LEFT, dst=RIGHT, mode="tunnel", reqid=7)
    state = replace(STATES["gcm"], spi=spi)
    xfrm.state("update", state)
    assert xfrm.state("dump") == (state,)


def test_refusals_have_the_kernels_words(xfrm: Xfrm) -> None:
    xfrm.state("add", STATES["gcm"])
    with pytest.raises(XfrmError, match="EEXIST"):
        xfrm.state("add", STATES["gcm"])
    with pytest.raises(XfrmError, match=r"adding state 192.0.2.2 esp 0x00001009: [A-Z][a-z]+ .* \(E[A-Z]+\)"):
        xfrm.state("add", src=LEFT, dst=RIGHT, spi=0x1009, mode="tunnel")
    with pytest.raises(XfrmError, match=r"not found|ENOSYS"):
        xfrm.state("add", src=LEFT, dst=RIGHT, spi=0x1009, auth=("hmac(nosuch)", bytes(16), 96))
    with pytest.raises(XfrmError, match=r"EINVAL"):
        xfrm.state("add", replace(STATES["gcm"], spi=0x1009, offload=(1, 0x80)))


def test_replay_state_is_written_and_read(xfrm: Xfrm) -> None:
    esn = replace(STATES["esn"], replay=Replay(5 << 32 | 6, 7 << 32 | 8, (1, 2, 3, 4)))
    xfrm.state("add", esn)
    assert xfrm.state("get", esn)[0].replay == esn.replay
    moved = replace(esn, replay=Replay(9 << 32, 10 << 32, (0xFFFFFFFF, 0, 0, 1)))
    xfrm.aevent("set", moved)
    (event,) = xfrm.aevent("get", esn)
    assert event.replay == moved.replay
    assert (event.dst, event.spi, event.proto) == (esn.dst, esn.spi, "esp")
    xfrm.state("add", STATES["gcm"])
    xfrm.aevent("set", dst=RIGHT, spi=0x1001, replay=Replay(70, 80, (0b101,)))
    assert xfrm.state("get", STATES["gcm"])[0].replay == Replay(70, 80, (0b101,))


def test_changes_of_states_are_told(xfrm: Xfrm) -> None:
    seen: list[Event] = []
    with xfrm.events("sa") as events:
        for verb in ("add", "update", "del"):
            xfrm.state(verb, STATES["gcm"])
            seen += events.wait(CAP)
    assert seen == [StateChange(change, STATES["gcm"]) for change in ("add", "update", "delete")]


def test_states_move_to_other_addresses(xfrm: Xfrm) -> None:
    xfrm.state("add", STATES["gcm"])
    selector = Selector("198.51.100.0/24", "203.0.113.0/24")
    template = Template(LEFT, RIGHT, mode="tunnel", reqid=7)
    xfrm.policy("add", selector=selector, dir="out", templates=(template,))
    try:
        xfrm.migrate(selector, "out", [Migration(LEFT, RIGHT, "192.0.2.7", "192.0.2.8", reqid=7)])
    except XfrmError as error:
        pytest.skip(f"no XFRM_MIGRATE: {error}")
    (moved,) = xfrm.state("dump")
    assert moved == replace(STATES["gcm"], src="192.0.2.7", dst="192.0.2.8")


# Traffic between two namespaces, each a host and a gateway of its own.


class Ends:
    """Both ends of a tunnel or a transport pair: what one sends the other receives."""

    def __init__(self, pair: Pair, left: Xfrm, right: Xfrm) -> None:
        self.pair, self.left, self.right = pair, left, right

    def add(self, state: State, back: State, selector: Selector, *, template: Template) -> None:
        """The two SAs and the policies of both ends; ``selector`` and ``template`` as the left end sends."""
        mirrored = replace(selector, src=selector.dst, dst=selector.src)
        reversed_template = replace(template, src=template.dst, dst=template.src)
        for xfrm in (self.left, self.right):
            xfrm.state("add", state)
            xfrm.state("add", back)
        self.left.policy("add", selector=selector, dir="out", templates=(template,))
        self.left.policy("add", selector=mirrored, dir="in", templates=(reversed_template,))
        self.right.policy("add", selector=mirrored, dir="out", templates=(reversed_template,))
        self.right.policy("add", selector=selector, dir="in", templates=(template,))

    def ping(self, source: str, destination: str, count: int = 3) -> int:
        """Echo replies that came back to the left end."""
        command = ["ip", "netns", "exec", self.pair.left, "ping", "-c", str(count), "-i", "0.05", "-W", "2"]
        done = subprocess.run(
            [*command, "-I", source, destination], capture_output=True, text=True, check=False, timeout=30
        )
        found = re.search(r"(\d+) received", done.stdout)
        return int(found[1]) if found else 0


@pytest.fixture
def ends() -> Iterator[Ends]:
    with joined() as pair, Xfrm(netns=pair.left) as left, Xfrm(netns=pair.right) as right:
        for name, inner, far in ((pair.left, INNER_LEFT, RIGHT), (pair.right, INNER_RIGHT, LEFT)):
            with IPRoute(netns=name, flags=0) as route:
                route.addr("add", index=1, address=inner, prefixlen=32)
                other = INNER_RIGHT if inner == INNER_LEFT else INNER_LEFT
                route.route("add", dst=f"{other}/32", gateway=far, prefsrc=inner)
        yield Ends(pair, left, right)


TUNNEL_OUT = State(src=LEFT, dst=RIGHT, spi=0x1001, mode="tunnel", reqid=1, replay_window=32, aead=GCM, selector=ANY4)
TUNNEL_IN = replace(TUNNEL_OUT, src=RIGHT, dst=LEFT, spi=0x1002)
TUNNEL = Template(LEFT, RIGHT, mode="tunnel", reqid=1)
SITES = Selector(f"{INNER_LEFT}/32", f"{INNER_RIGHT}/32")


def _encapsulated(state: State) -> State:
    return replace(state, encap=("espinudp", 4500, 4500, ""))


@pytest.mark.parametrize(
    "dress",
    [
        lambda state: state,
        _encapsulated,
        lambda state: replace(state, esn=True, replay_window=256),
        lambda state: replace(state, proto="ah", aead=None, auth=integrity(12, bytes(32))),
        lambda state: replace(state, aead=None, crypt=encryption(13, bytes(36)), auth=integrity(5, bytes(16))),
        lambda state: replace(state, tfc_padding=600),
    ],
    ids=["gcm", "udp", "esn", "ah", "ctr-xcbc", "tfc"],
)
def test_traffic_crosses_and_is_counted(ends: Ends, dress: Callable[[State], State]) -> None:
    out, back = dress(TUNNEL_OUT), dress(TUNNEL_IN)
    ends.add(out, back, SITES, template=replace(TUNNEL, proto=out.proto))
    holders = [encapsulation_socket(name) for name in (ends.pair.left, ends.pair.right)] if out.encap else []
    assert ends.ping(INNER_LEFT, INNER_RIGHT) == 3
    for holder in holders:
        holder.close()
    (sent,), (received,) = ends.left.state("get", out), ends.right.state("get", out)
    assert (sent.current.packets, received.current.packets) == (3, 3)
    assert sent.current.octets >= 3 * 84
    assert sent.replay.oseq == received.replay.seq == 3
    assert received.replay.bitmap[0] == 0b111
    assert received.statistics.integrity_failed == 0
    assert statistics(ends.pair.right)["XfrmInNoStates"] == 0


def encapsulation_socket(namespace: str) -> socket.socket:
    """The IKE daemon's socket, by which the kernel takes ESP out of UDP (RFC 3948)."""
    opened = inside(namespace, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    opened.setsockopt(socket.IPPROTO_UDP, 100, 2)  # UDP_ENCAP, UDP_ENCAP_ESPINUDP
    opened.bind(("0.0.0.0", 4500))
    return opened


def test_what_the_kernel_drops_is_counted(ends: Ends) -> None:
    ends.add(TUNNEL_OUT, TUNNEL_IN, SITES, template=TUNNEL)
    ends.right.state("del", TUNNEL_OUT)
    ends.right.state("add", replace(TUNNEL_OUT, aead=encryption(20, b"\xff" * 20)))
    assert ends.ping(INNER_LEFT, INNER_RIGHT, 1) == 0
    assert ends.right.state("get", TUNNEL_OUT)[0].statistics.integrity_failed == 1
    assert statistics(ends.pair.right)["XfrmInStateProtoError"] == 1


def expiries(events: XfrmEvents, enough: int) -> list[Expire]:
    found: list[Expire] = []
    while len(found) < enough:
        more = events.wait(CAP)
        assert more, f"only {found}"
        found += [event for event in more if isinstance(event, Expire)]
    return found


def test_limits_of_packets_expire_softly_then_hard(ends: Ends) -> None:
    limited = replace(TUNNEL_OUT, limits=Lifetimes(soft_packets=2, hard_packets=4))
    ends.add(limited, TUNNEL_IN, SITES, template=TUNNEL)
    ends.right.state("update", TUNNEL_OUT)  # limits end the sender's SA only
    with ends.left.events("expire") as events:
        assert ends.ping(INNER_LEFT, INNER_RIGHT, 6) == 4
        soft, hard = expiries(events, 2)[:2]
    assert (soft.hard, soft.state.spi, soft.state.current.packets) == (False, limited.spi, 2)
    assert (hard.hard, hard.state.spi) == (True, limited.spi)
    assert limited.spi not in {state.spi for state in ends.left.state("dump")}


def test_limits_of_seconds_expire(xfrm: Xfrm) -> None:
    with xfrm.events("expire") as events:
        xfrm.state("add", replace(STATES["gcm"], limits=Lifetimes(soft_seconds=1, hard_seconds=2)))
        soft, hard = expiries(events, 2)
    assert (soft.hard, hard.hard) == (False, True)
    assert xfrm.state("dump") == ()


def test_counters_are_told_while_traffic_flows(ends: Ends) -> None:
    ends.add(TUNNEL_OUT, TUNNEL_IN, SITES, template=TUNNEL)
    with ends.left.events("aevents") as events:
        assert ends.ping(INNER_LEFT, INNER_RIGHT, 5) == 5
        told = [event for event in events.wait(CAP) if isinstance(event, AsyncEvent)]
    assert {event.spi for event in told} <= {TUNNEL_OUT.spi, TUNNEL_IN.spi}
    assert told


def test_an_acquire_is_answered_with_an_sa(ends: Ends) -> None:
    ends.add(TUNNEL_OUT, TUNNEL_IN, SITES, template=TUNNEL)
    ends.left.state("flush")
    with ends.left.events("acquire") as events:
        assert ends.ping(INNER_LEFT, INNER_RIGHT, 1) == 0
        acquire = next(event for event in events.wait(CAP) if isinstance(event, Acquire))
    assert (acquire.src, acquire.dst, acquire.policy.selector) == (LEFT, RIGHT, SITES)
    ends.left.state("add", TUNNEL_IN)
    ends.left.state("add", replace(TUNNEL_OUT, seq=acquire.seq))
    assert ends.ping(INNER_LEFT, INNER_RIGHT) == 3
    assert [state.spi for state in ends.left.state("dump") if state.dst == RIGHT] == [TUNNEL_OUT.spi]


def test_a_peer_that_moves_behind_its_nat_is_told(ends: Ends) -> None:
    ends.add(_encapsulated(TUNNEL_OUT), _encapsulated(TUNNEL_IN), SITES, template=TUNNEL)
    ends.left.state("update", replace(_encapsulated(TUNNEL_OUT), encap=("espinudp", 4511, 4500, "")))
    holders = [encapsulation_socket(name) for name in (ends.pair.left, ends.pair.right)]
    with ends.right.events("mapping") as events:
        ends.ping(INNER_LEFT, INNER_RIGHT, 1)
        mapping = next(event for event in events.wait(CAP) if isinstance(event, Mapping))
    for holder in holders:
        holder.close()
    assert (mapping.spi, mapping.old_src, mapping.old_sport) == (TUNNEL_OUT.spi, LEFT, 4500)
    assert (mapping.new_src, mapping.new_sport) == (LEFT, 4511)


def test_an_xfrm_interface_carries_what_has_its_number(ends: Ends) -> None:
    numbered = [replace(state, if_id=42, selector=ANY4) for state in (TUNNEL_OUT, TUNNEL_IN)]
    for xfrm, out, name, far in (
        (ends.left, numbered[0], ends.pair.left, INNER_RIGHT),
        (ends.right, numbered[1], ends.pair.right, INNER_LEFT),
    ):
        for state in numbered:
            xfrm.state("add", state)
        outward = Template(out.src, out.dst, mode="tunnel", reqid=1)
        xfrm.policy("add", Policy(selector=ANY4, dir="out", templates=(outward,), if_id=42))
        inward = replace(outward, src=out.dst, dst=out.src)
        xfrm.policy("add", Policy(selector=ANY4, dir="in", templates=(inward,), if_id=42))
        index = add_interface("ipsec0", if_id=42, netns=name)
        with IPRoute(netns=name, flags=0) as route:
            route.link("set", index=index, state="up")
            route.route("replace", dst=f"{far}/32", oif=index)
    assert ends.ping(INNER_LEFT, INNER_RIGHT) == 3
    assert ends.left.state("get", numbered[0])[0].current.packets == 3
    assert ends.left.state("get", numbered[0])[0].if_id == 42
