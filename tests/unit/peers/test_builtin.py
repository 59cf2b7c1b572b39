"""The built-in peer against another endpoint of ours: verbs, data, counters, lifetimes."""

from dataclasses import replace

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.suites import parse_suite
from ipsectest.peers.builtin import Builtin
from ipsectest.runner.seed import stream
from ipsectest.scenario.ports import Authentication, Counter, Identity, PeerRequest, PeerSettings, Selector, Verb

LEFT = PeerSettings(
    name="case-1",
    local=Address("192.0.2.254", 500),
    remote=Address("192.0.2.1", 500),
    local_id=Identity("fqdn", "peer.example.org"),
    remote_id=Identity("fqdn", "tester.example.org"),
    local_auth=Authentication.PSK,
    remote_auth=Authentication.PSK,
    secret=b"secret",
    ike=(parse_suite("aes128gcm16-prfsha256-x25519"),),
    esp=(parse_suite("aes128gcm16-noesn"),),
    local_ts=(Selector("203.0.113.1", "203.0.113.1"),),
    remote_ts=(Selector("198.51.100.1", "198.51.100.1"),),
    inner_local="203.0.113.1",
    inner_remote="198.51.100.1",
)
RIGHT = replace(
    LEFT,
    local=LEFT.remote,
    remote=LEFT.local,
    local_id=LEFT.remote_id,
    remote_id=LEFT.local_id,
    local_ts=LEFT.remote_ts,
    remote_ts=LEFT.local_ts,
    inner_local=LEFT.inner_remote,
    inner_remote=LEFT.inner_local,
)


class Pair:
    """Two built-in peers and the time between them."""

    def __init__(self, left: PeerSettings = LEFT, impairments: tuple[str, ...] = ()) -> None:
        self.left, self.right = Builtin(stream(1, "left"), impairments), Builtin(stream(1, "right"))
        self.left.configure(left)
        self.right.configure(RIGHT)
        self.settings = {id(self.left): left, id(self.right): RIGHT}
        self.now = 0.0
        self.seen: list[Datagram] = []

    def ask(self, who: Builtin, verb: Verb, counter: Counter | None = None) -> int | None:
        answer = who.perform(PeerRequest(1, verb, self.settings[id(who)], counter=counter))
        self.carry()
        return answer

    def carry(self) -> None:
        for _ in range(100):
            out = [(self.right, d) for d in self.left.datagrams_to_send(self.now)]
            out += [(self.left, d) for d in self.right.datagrams_to_send(self.now)]
            if not out:
                return
            for receiver, datagram in out:
                self.seen.append(datagram)
                receiver.receive(datagram, self.now)
        raise AssertionError("they never stop")

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while True:
            timers = [t for t in (self.left.get_timer(), self.right.get_timer()) if t is not None and t <= end]
            if not timers:
                break
            self.now = max(self.now, min(timers))
            self.left.handle_timer(self.now)
            self.right.handle_timer(self.now)
            self.carry()
        self.now = end

    def counters(self, counter: Counter) -> tuple[int | None, int | None]:
        return self.ask(self.left, Verb.COUNTER, counter), self.ask(self.right, Verb.COUNTER, counter)


def test_a_tunnel_comes_up_and_carries_pings_both_ways() -> None:
    pair = Pair()
    pair.ask(pair.left, Verb.INITIATE)
    assert pair.counters(Counter.IKE_SAS) == (1, 1)
    assert pair.counters(Counter.CHILD_SAS) == (1, 1)
    for who in (pair.left, pair.right):
        before = len(pair.seen)
        pair.ask(who, Verb.PING)
        assert [d.protocol for d in pair.seen[before:]] == [50, 50]  # request and reply
    assert pair.counters(Counter.INTEGRITY) == (0, 0)


@pytest.mark.parametrize("verb", [Verb.REKEY_CHILD, Verb.REKEY_IKE, Verb.LIVENESS])
def test_what_was_made_anew_still_carries_pings(verb: Verb) -> None:
    pair = Pair()
    pair.ask(pair.left, Verb.INITIATE)
    pair.ask(pair.left, verb)
    assert pair.counters(Counter.IKE_SAS) == (1, 1)
    assert pair.counters(Counter.CHILD_SAS) == (1, 1)
    before = len(pair.seen)
    pair.ask(pair.right, Verb.PING)
    assert len(pair.seen) - before == 2


def test_deleting_leaves_nothing() -> None:
    pair = Pair()
    pair.ask(pair.left, Verb.INITIATE)
    pair.ask(pair.left, Verb.CREATE)
    assert pair.counters(Counter.CHILD_SAS) == (2, 2)
    pair.ask(pair.right, Verb.DELETE_CHILD)
    assert pair.counters(Counter.CHILD_SAS) == (1, 1)
    pair.ask(pair.right, Verb.DELETE_IKE)
    assert pair.counters(Counter.IKE_SAS) == (0, 0)
    assert pair.counters(Counter.CHILD_SAS) == (0, 0)
    with pytest.raises(PeerError, match="no IKE SA"):
        pair.ask(pair.left, Verb.REKEY_IKE)


@pytest.mark.parametrize(("impairments", "answers", "counted"), [((), 0, 1), (("accepts-replay",), 1, 0)])
def test_a_replayed_packet_is_dropped_unless_impaired(impairments: tuple[str, ...], answers: int, counted: int) -> None:
    pair = Pair(impairments=impairments)
    pair.ask(pair.left, Verb.INITIATE)
    pair.ask(pair.right, Verb.PING)
    request = next(d for d in pair.seen if d.protocol == 50)
    pair.left.receive(request, pair.now)
    assert len(pair.left.datagrams_to_send(pair.now)) == answers
    assert pair.ask(pair.left, Verb.COUNTER, Counter.REPLAY) == counted


def test_lifetimes_rekey_by_themselves() -> None:
    pair = Pair(replace(LEFT, child_lifetime=5.0, ike_lifetime=12.0))
    pair.ask(pair.left, Verb.INITIATE)
    first = len(pair.seen)
    pair.wait(4.0)
    assert len(pair.seen) == first
    pair.wait(10.0)
    assert len(pair.seen) > first + 4
    assert pair.counters(Counter.IKE_SAS) == (1, 1)
    assert pair.counters(Counter.CHILD_SAS) == (1, 1)


@pytest.mark.parametrize(
    "change", [{"mobike": True}, {"fragmentation": True}, {"local_auth": Authentication.RSA}, {"childless": "force"}]
)
def test_what_it_lacks_is_unsupported(change: dict[str, object]) -> None:
    with pytest.raises(UnsupportedError):
        Pair(replace(LEFT, **change))  # type: ignore[arg-type]


def test_it_says_in_its_log_what_happened_and_forgets_in_silence() -> None:
    pair = Pair()
    pair.ask(pair.left, Verb.INITIATE)
    assert "IkeEstablished" in pair.left.log(LEFT)
    pair.left.forget(LEFT)
    assert pair.left.datagrams_to_send(0.0) == []
    assert pair.left.get_timer() is None
    with pytest.raises(PeerError, match="not configured"):
        pair.ask(pair.left, Verb.PING)
