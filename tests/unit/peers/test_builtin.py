"""The built-in peer, with another one in the tester's place."""

import random as stdlib_random
from typing import Any

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.errors import PeerError, UnsupportedError, UsageError
from ipsectest.base.suites import parse_suite
from ipsectest.ipsec.drop import DropReason
from ipsectest.peers.builtin import Builtin
from ipsectest.scenario.ports import Authentication, Counter, PeerRequest, PeerSettings, Verb
from ipsectest.wire import parse_message
from ipsectest.wire.ip import ESP
from tests.unit.peers.settings import mirrored, settings


class Duo:
    """A peer and its mirror image; datagrams are carried by hand, time is a number."""

    def __init__(self, *impairments: str, **changes: Any) -> None:
        self.mine: PeerSettings = settings(1, **changes)
        self.theirs = mirrored(self.mine)
        self.peer = Builtin(stdlib_random.Random(1).randbytes, impairments)
        self.tester = Builtin(stdlib_random.Random(2).randbytes)
        self.peer.configure(self.mine)
        self.tester.configure(self.theirs)
        self.now = 0.0
        self.seen: list[Datagram] = []

    def carry(self, rounds: int = 20) -> list[Datagram]:
        """Carry datagrams until both are silent; what the peer sent."""
        sent: list[Datagram] = []
        for _ in range(rounds):
            from_peer = self.peer.datagrams_to_send(self.now)
            from_tester = self.tester.datagrams_to_send(self.now)
            if not from_peer and not from_tester:
                return sent
            sent += from_peer
            for datagram in from_peer:
                self.tester.receive(datagram, self.now)
            for datagram in from_tester:
                self.peer.receive(datagram, self.now)
        pytest.fail("they never fall silent")

    def ask(self, verb: Verb, **fields: Any) -> None:
        self.peer.perform(PeerRequest(1, verb, self.mine, **fields))

    def count(self, counter: Counter) -> int | None:
        return self.peer.perform(PeerRequest(1, Verb.COUNTER, self.mine, counter=counter))

    def establish(self, *, by_peer: bool = True) -> None:
        if by_peer:
            self.ask(Verb.INITIATE)
        else:
            self.tester.perform(PeerRequest(1, Verb.INITIATE, self.theirs))
        self.carry()
        assert self.count(Counter.CHILD_SAS) == 1, self.peer.log(self.mine)


@pytest.mark.parametrize("by_peer", [True, False])
@pytest.mark.parametrize("encapsulated", [False, True])
def test_it_connects_and_pings_cross(by_peer: bool, encapsulated: bool) -> None:
    duo = Duo(force_encapsulation=encapsulated)
    duo.establish(by_peer=by_peer)
    assert (duo.count(Counter.IKE_SAS), duo.count(Counter.HALF_OPEN)) == (1, 0)
    duo.ask(Verb.PING)
    (ping,) = duo.peer.datagrams_to_send(0.0)
    assert ping.protocol == (17 if encapsulated else ESP)
    assert ping.destination.port == (4500 if encapsulated else 0)
    duo.tester.receive(ping, 0.0)
    (pong,) = duo.tester.datagrams_to_send(0.0)
    duo.peer.receive(pong, 0.0)
    duo.peer.receive(pong, 0.0)
    assert duo.count(Counter.REPLAY) == 1
    flipped = Datagram(pong.data[:-1] + bytes([pong.data[-1] ^ 1]), pong.source, pong.destination, pong.protocol)
    duo.tester.perform(PeerRequest(1, Verb.PING, duo.theirs))
    (fresh,) = duo.tester.datagrams_to_send(0.0)
    flipped = Datagram(fresh.data[:-1] + bytes([fresh.data[-1] ^ 1]), fresh.source, fresh.destination, fresh.protocol)
    duo.peer.receive(flipped, 0.0)
    assert duo.count(Counter.INTEGRITY) == 1
    duo.peer.receive(fresh, 0.0)
    assert len(duo.peer.datagrams_to_send(0.0)) == 1


def test_every_verb() -> None:
    duo = Duo()
    duo.establish()
    duo.ask(Verb.CREATE)
    duo.carry()
    assert duo.count(Counter.CHILD_SAS) == 2
    duo.ask(Verb.REKEY_CHILD)
    duo.carry()
    assert duo.count(Counter.CHILD_SAS) == 2
    duo.ask(Verb.REKEY_IKE)
    duo.carry()
    assert (duo.count(Counter.IKE_SAS), duo.count(Counter.CHILD_SAS)) == (1, 2)
    duo.ask(Verb.PING)
    assert len(duo.carry()) == 1
    duo.ask(Verb.LIVENESS)
    (liveness,) = duo.carry()
    assert parse_message(liveness.data).exchange_type == 37
    duo.ask(Verb.DELETE_CHILD)
    duo.carry()
    assert duo.count(Counter.CHILD_SAS) == 1
    duo.ask(Verb.DELETE_IKE)
    duo.carry()
    assert (duo.count(Counter.IKE_SAS), duo.count(Counter.CHILD_SAS)) == (0, 0)
    with pytest.raises(PeerError, match="no Child SA carries"):
        duo.ask(Verb.PING)
    for verb in (Verb.REKEY_IKE, Verb.DELETE_IKE, Verb.CREATE, Verb.LIVENESS, Verb.REKEY_CHILD, Verb.DELETE_CHILD):
        duo.ask(verb, spi=b"none")
        assert duo.carry() == []
        duo.now += 2.0
        assert duo.carry() == []
        assert f"peer {verb}: no " in duo.peer.log(duo.mine).splitlines()[-1]


def test_a_verb_waits_a_moment_for_its_sa() -> None:
    duo = Duo()
    duo.ask(Verb.INITIATE)
    duo.ask(Verb.REKEY_CHILD)
    duo.carry()
    assert [line.split()[1] for line in duo.peer.log(duo.mine).splitlines()].count("ChildRekeyed") == 1


def test_an_invented_verb_is_unsupported() -> None:
    duo = Duo()
    with pytest.raises(UnsupportedError):
        duo.ask("dance")  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError):
        duo.count("courage")  # type: ignore[arg-type]


def test_rekeyed_traffic_moves_to_the_new_child() -> None:
    duo = Duo()
    duo.establish(by_peer=False)
    duo.ask(Verb.PING)
    (before,) = duo.carry()
    duo.ask(Verb.REKEY_CHILD)
    duo.carry()
    duo.ask(Verb.PING)
    (after,) = duo.carry()
    assert before.data[:4] != after.data[:4]


def test_lifetimes_and_liveness_are_kept_by_itself() -> None:
    duo = Duo(ike_lifetime=10.0, child_lifetime=4.0, dpd=3.0)
    duo.establish()
    kinds = []
    while duo.now < 11.0:
        timers = [timer for timer in (duo.peer.get_timer(), duo.tester.get_timer()) if timer is not None]
        duo.now = min(timers)
        duo.peer.handle_timer(duo.now)
        duo.tester.handle_timer(duo.now)
        kinds += [(round(duo.now), parse_message(d.data).exchange_type) for d in duo.carry()]
    assert (3, 37) in kinds
    assert (4, 36) in kinds
    assert (10, 36) in kinds
    assert (duo.count(Counter.IKE_SAS), duo.count(Counter.CHILD_SAS)) == (1, 1)


def test_a_cookie_is_demanded_if_asked_for() -> None:
    for cookies, rounds in ((True, 3), (False, 2)):
        duo = Duo(cookies=cookies)
        duo.tester.perform(PeerRequest(1, Verb.INITIATE, duo.theirs))
        assert len(duo.carry()) == rounds
        assert duo.count(Counter.IKE_SAS) == 1


def test_one_identity_replaces_its_own_older_sa_if_asked_for() -> None:
    for unique, count in (("never", 2), ("replace", 1)):
        duo = Duo(unique=unique)
        duo.establish(by_peer=False)
        duo.tester.forget(duo.theirs)
        duo.tester.configure(duo.theirs)
        duo.tester._nodes[duo.theirs.name]._endpoint.is_only = lambda _session: False  # no INITIAL_CONTACT
        duo.tester.perform(PeerRequest(1, Verb.INITIATE, duo.theirs))
        duo.carry()
        assert duo.count(Counter.IKE_SAS) == count


@pytest.mark.parametrize(
    "changes",
    [
        {"mobike": True},
        {"fragmentation": True},
        {"unique": "keep"},
        {"local_auth": Authentication.NULL},
        {"local_auth": Authentication.RSA},
        {"remote_auth": Authentication.ECDSA},
        {"hashes": ("sha256",)},
        {"send_certificate": False},
    ],
)
def test_what_it_cannot_do_is_unsupported(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        Builtin(bytes).configure(settings(1, **changes))


def test_unknown_impairments_are_usage_errors() -> None:
    with pytest.raises(UsageError):
        Builtin(bytes, ["no-such-fault"])


def test_cases_stand_beside_each_other() -> None:
    peer = Builtin(stdlib_random.Random(3).randbytes)
    testers = {}
    for slot in (1, 2):
        peer.configure(settings(slot))
        tester = Builtin(stdlib_random.Random(slot).randbytes)
        tester.configure(mirrored(settings(slot)))
        testers[f"192.0.2.{slot}"] = tester
        peer.perform(PeerRequest(1, Verb.INITIATE, settings(slot)))
    for _ in range(6):
        for datagram in peer.datagrams_to_send(0.0):
            testers[datagram.destination.host].receive(datagram, 0.0)
        for tester in testers.values():
            for datagram in tester.datagrams_to_send(0.0):
                peer.receive(datagram, 0.0)
    for slot in (1, 2):
        request = PeerRequest(1, Verb.COUNTER, settings(slot), counter=Counter.CHILD_SAS)
        assert peer.perform(request) == 1
        assert "Child SA" in peer.log(settings(slot))
        peer.forget(settings(slot))
        with pytest.raises(PeerError):
            peer.perform(request)
        assert peer.log(settings(slot)) == ""


SUITES = ["aes128gcm16", "aes256-sha256", "chacha20poly1305", "null-sha256"]


def faulty(name: str, suite: str = "aes128gcm16", **changes: Any) -> tuple[Duo, Datagram]:
    """An established pair of which the peer has the fault, and a ping of the tester not delivered yet."""
    duo = Duo(name, esp=(parse_suite(suite),), **changes)
    duo.establish()
    return duo, next_ping(duo)


def next_ping(duo: Duo) -> Datagram:
    duo.tester.perform(PeerRequest(1, Verb.PING, duo.theirs))
    (ping,) = duo.tester.datagrams_to_send(duo.now)
    return ping


def answers(duo: Duo, data: bytes, ping: Datagram) -> int:
    duo.peer.receive(Datagram(data, ping.source, ping.destination, ping.protocol), duo.now)
    return len(duo.peer.datagrams_to_send(duo.now))


@pytest.mark.parametrize("suite", SUITES)
def test_fault_accepts_bad_icv(suite: str) -> None:
    duo, ping = faulty("accepts-bad-esp-icv", suite)
    assert answers(duo, ping.data[:-1] + bytes([ping.data[-1] ^ 1]), ping) == 1


@pytest.mark.parametrize("suite", SUITES)
def test_fault_ignores_spi(suite: str) -> None:
    duo, ping = faulty("ignores-esp-spi", suite)
    assert answers(duo, b"\0\0\0\1" + ping.data[4:], ping) == 1


def test_fault_accepts_replay() -> None:
    duo, ping = faulty("accepts-replay")
    assert [answers(duo, ping.data, ping), answers(duo, ping.data, ping)] == [1, 1]


def test_fault_window_moves_before_icv() -> None:
    duo, ping = faulty("window-moves-before-icv")
    assert answers(duo, ping.data[:4] + b"\0\1\0\0" + ping.data[8:], ping) == 0
    assert answers(duo, ping.data, ping) == 0


def test_fault_narrow_window() -> None:
    for fault, expected in (("narrow-replay-window", 0), ("answers-dummy", 1)):
        duo, first = faulty(fault)
        for _ in range(20):
            assert answers(duo, (later := next_ping(duo)).data, later) == 1
        assert answers(duo, first.data, first) == expected


def test_fault_answers_keepalive() -> None:
    for fault, expected in (("answers-keepalive", 1), ("accepts-replay", 0)):
        duo, ping = faulty(fault, force_encapsulation=True)
        for junk in (b"\xff", b"\0", b"\xff\xff", b""):
            assert answers(duo, junk, ping) == expected


def test_faults_of_the_sender() -> None:
    assert pong_of("esp-starts-at-zero").data[4:8] == bytes(4)
    assert pong_of("accepts-replay").data[4:8] == b"\0\0\0\1"
    assert pong_of("sends-raw-esp-behind-nat", force_encapsulation=True).protocol == ESP


def pong_of(fault: str, **changes: Any) -> Datagram:
    duo, ping = faulty(fault, **changes)
    duo.peer.receive(ping, duo.now)
    (pong,) = duo.peer.datagrams_to_send(duo.now)
    return pong


def test_fault_wrong_keys() -> None:
    duo, ping = faulty("wrong-child-keys")
    assert answers(duo, ping.data, ping) == 0
    assert duo.count(Counter.INTEGRITY) == 1


def test_fault_new_child_is_not_installed() -> None:
    duo, ping = faulty("new-child-not-installed")
    assert answers(duo, ping.data, ping) == 1
    duo.ask(Verb.REKEY_CHILD)
    duo.carry()
    later = next_ping(duo)
    assert answers(duo, later.data, later) == 0


def test_drop_reasons_of_the_counters_exist() -> None:
    assert {DropReason.REPLAYED, DropReason.LEFT_OF_WINDOW, DropReason.BAD_ICV} <= set(DropReason)
