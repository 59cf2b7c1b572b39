"""What loss, delay and stragglers of a real wire must not change."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.scenario.listener import PATIENCE
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import CaseResult, Verdict
from ipsectest.scenario.run import Run
from tests.unit.scenario.conftest import written

ESP, UDP = 50, 17


class _LosesFirstEsp(Builtin):
    """Has no use for the first ESP packet, like a peer that is still busy with IKE_AUTH."""

    lost = False
    kept: Datagram | None = None

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if datagram.protocol == ESP and not self.lost:
            self.lost = True
        else:
            super().receive(datagram, now)


class _AnswersEspTwice(_LosesFirstEsp):
    """Keeps the first ESP packet instead and answers it with the second."""

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if datagram.protocol == ESP and not self.lost:
            self.lost, self.kept = True, datagram
        else:
            super().receive(datagram, now)
            if datagram.protocol == ESP and self.kept:
                super().receive(self.kept, now)
                self.kept = None


class _RefusesTwice(Builtin):
    """Late with its first answer: by then the request was repeated, and each copy gets an SPI of its own."""

    late: Sequence[Datagram] = ()
    refused = 0

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        sent = super().datagrams_to_send(now)
        if sent and self.refused < 2 and len(sent[0].data) < 60:
            self.refused += 1
            if self.refused == 1:
                copy = bytearray(sent[0].data)
                copy[15] ^= 1
                self.late = [replace(sent[0], data=bytes(copy))]
                return []
            return [*self.late, *sent]
        return sent


def _play(folder: Path, script: str, peer: Builtin, facts: str = "") -> CaseResult:
    ended: list[Finished] = []

    def begin(case: Case, slot: int, now: Instant) -> tuple[Run, tuple[str, ...]]:
        place = slots.environment(slot, retransmit=0.5)
        return Run(case, place, random.Random(2).randbytes, now), slots.hosts(place)

    cases = load(written(folder, script, facts=facts)).cases
    virtual.play(Conductor(peer, cases, begin, ended.append), peer)
    return ended[0].result


def test_an_echo_request_that_overtook_its_child_sa_is_asked_again(tmp_path: Path) -> None:
    peer = _LosesFirstEsp(random.Random(1).randbytes)
    result = _play(tmp_path, "use tunnel net\nping net [MUST 7296-2.1-02]", peer)
    assert (peer.lost, result.verdict) == (True, Verdict.PASS)
    assert [rung.text for rung in result.ladder if "ping" in rung.text][:2] == [
        "ESP(net) ping",
        "ESP(net) ping (again)",
    ]


def test_a_forced_packet_is_not_sent_again(tmp_path: Path) -> None:
    script = "use tunnel net\n-> ESP(net seq=1) ping\n<- ESP(net) pong"
    assert _play(tmp_path, script, _LosesFirstEsp(random.Random(1).randbytes)).verdict is Verdict.INCONCLUSIVE


def test_a_second_answer_to_a_repeated_echo_request_breaks_no_silence(tmp_path: Path) -> None:
    script = "use tunnel net\nping net\n-> INFORMATIONAL ... SK{icv=flip}\n<- nothing for 100ms [MUST 7296-3.14-09]\n"
    script += "ping net"
    result = _play(tmp_path, script, _AnswersEspTwice(random.Random(1).randbytes))
    assert result.verdict is Verdict.PASS
    assert sum("pong" in rung.text for rung in result.ladder) == 3


def test_the_second_refusal_of_a_repeated_try_is_no_answer_to_the_next(tmp_path: Path) -> None:
    script = (
        "-> IKE_SA_INIT ... KE(0 data=01 x32)\n<- IKE_SA_INIT N(INVALID_KE_PAYLOAD group=x25519)\n"
        "-> IKE_SA_INIT ... KE(x25519)\n<- IKE_SA_INIT SA KE(x25519) Nr ... [MUST 7296-2.1-02]"
    )
    peer = _RefusesTwice(random.Random(1).randbytes)
    result = _play(tmp_path, script, peer)
    assert (peer.refused, result.verdict) == (2, Verdict.PASS)


class _SlowToAccept(Builtin):
    """Takes its time over IKE_SA_INIT."""

    held: Sequence[Datagram] = ()

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        sent = super().datagrams_to_send(now)
        if sent and not self.held:
            self.held = sent
            return []
        return [*self.held, *sent] if sent else sent


def test_a_forbidden_answer_that_comes_late_convicts_too(tmp_path: Path) -> None:
    script = (
        "-> IKE_SA_INIT ...\n<- no IKE_SA_INIT SA ... for 100ms [MUST 7296-2.1-02]\n"
        "-> IKE_SA_INIT ... on two\n<- IKE_SA_INIT SA KE Nr ... on two"
    )
    result = _play(tmp_path, script, _SlowToAccept(random.Random(1).randbytes))
    assert (result.verdict, [check.met for check in result.checks]) == (Verdict.FAIL, [False])
    assert result.checks[0].actual.endswith("(late)")


def test_a_message_under_the_keys_of_another_case_breaks_no_silence(tmp_path: Path) -> None:
    script = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ...\n<- nothing for 300ms [MUST 7296-2.1-02]\n"
    script += "-> IKE_AUTH ...\n<- IKE_AUTH ..."
    case = load(written(tmp_path, script)).cases[0]
    place = slots.environment(1)
    run, peer = Run(case, place, random.Random(2).randbytes, 0.0), Builtin(random.Random(1).randbytes)
    peer.configure(run.settings)
    run.handle_timer(0.0)
    for datagram in run.datagrams_to_send(0.0):
        peer.receive(datagram, 0.0)
    for datagram in peer.datagrams_to_send(0.0):
        run.receive(datagram, 0.0)
    header = bytes.fromhex("0102030405060708 1112131415161718 2e202500 00000002 00000039")
    run.receive(Datagram(header + bytes.fromhex("0000001d") + bytes(25), place.peer, place.tester, UDP), 0.1)
    run.handle_timer(0.3)
    assert [check.met for check in run._account.checks] == [True]


def test_a_request_repeated_late_still_has_time_for_its_answer(tmp_path: Path) -> None:
    case = load(written(tmp_path, "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ... [MUST 7296-2.1-02]")).cases[0]
    run = Run(case, slots.environment(1, retransmit=0.5), random.Random(2).randbytes, 0.0)
    run.handle_timer(0.0)
    run.handle_timer(2.4)  # the machine was busy with something else
    assert len(run.datagrams_to_send(2.4)) == 2
    assert run.get_timer() == 3.4
    run.handle_timer(3.4)
    assert run._account.checks == []
    while not run._account.checks:
        run.handle_timer(run.get_timer() or 0.0)
    assert run._now > 3.4 + PATIENCE
    assert [check.met for check in run._account.checks] == [False]


def test_a_machine_that_stalls_takes_no_patience_from_the_peer(tmp_path: Path) -> None:
    case = load(written(tmp_path, "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ... [MUST 7296-2.1-02]")).cases[0]
    place = slots.environment(1, retransmit=0.5)
    run, peer = Run(case, place, random.Random(2).randbytes, 0.0), Builtin(random.Random(1).randbytes)
    peer.configure(run.settings)
    run.handle_timer(0.0)
    for datagram in run.datagrams_to_send(0.0):
        peer.receive(datagram, 0.0)
    run.receive(Datagram(b"noise", place.peer, place.tester), 5.0)  # we were asleep, and this came first
    for datagram in peer.datagrams_to_send(0.0):
        run.receive(datagram, 5.0)
    assert [check.met for check in run._account.checks] == [True]


def test_a_copy_of_a_request_needs_no_second_answer_before_the_first_has_left(tmp_path: Path) -> None:
    case = load(
        written(
            tmp_path,
            "peer initiate\n<- IKE_SA_INIT SA KE Ni ...\n-> IKE_SA_INIT N(COOKIE 5a x20)\n"
            "<- IKE_SA_INIT N(COOKIE) SA ... [MUST 7296-2.1-02]",
            tests="initiator",
        )
    ).cases[0]
    place = slots.environment(1)
    run, peer = Run(case, place, random.Random(2).randbytes, 0.0), Builtin(random.Random(1).randbytes)
    peer.configure(run.settings)
    run.handle_timer(0.0)
    for request in run.peer_requests():
        run.peer_answered(request.number, peer.perform(request), 0.0)
    (first,) = peer.datagrams_to_send(0.0)
    for _ in range(3):
        run.receive(first, 0.1)
    assert len(run.datagrams_to_send(0.1)) == 1
    run.receive(first, 0.6)
    assert len(run.datagrams_to_send(0.6)) == 1


def test_a_silence_begins_when_the_message_leaves(tmp_path: Path) -> None:
    case = load(written(tmp_path, "-> IKE_SA_INIT ...\n<- nothing for 400ms [MUST 7296-2.1-02]\n<- keepalive")).cases[0]
    run = Run(case, slots.environment(1), random.Random(2).randbytes, 0.0)
    run.handle_timer(0.0)
    assert run.get_timer() == 0.4
    assert len(run.datagrams_to_send(0.3)) == 1
    assert run.get_timer() == 0.7
    run.handle_timer(0.5)
    assert run._account.checks == []
    run.handle_timer(0.7)
    assert [check.met for check in run._account.checks] == [True]


class _Slow(Builtin):
    """Answers each request that is no repetition after so many seconds; None: never."""

    delays: Sequence[float | None] = ()

    def __init__(self, *delays: float | None) -> None:
        super().__init__(random.Random(1).randbytes)
        self.delays = list(delays)
        self._late: list[tuple[Instant, Datagram]] = []
        self._heard: set[bytes] = set()

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if datagram.data in self._heard:
            return
        self._heard.add(datagram.data)
        super().receive(datagram, now)
        delay = self.delays.pop(0) if len(self.delays) > 1 else self.delays[0]
        sent = super().datagrams_to_send(now)
        self._late += [] if delay is None else [(now + delay, one) for one in sent]

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        due = [one for at, one in self._late if at <= now]
        self._late = [(at, one) for at, one in self._late if at > now]
        return [*due, *super().datagrams_to_send(now)]

    def get_timer(self) -> Instant | None:
        times = [super().get_timer(), *(at for at, _ in self._late)]
        return min((time for time in times if time is not None), default=None)


TAGGED = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ... [{} 7296-2.1-02]"


@pytest.mark.parametrize("level", ["MUST", "SHOULD"])
def test_what_comes_a_little_late_convicts_nobody(tmp_path: Path, level: str) -> None:
    result = _play(tmp_path, TAGGED.format(level), _Slow(PATIENCE + 0.36))
    assert (result.verdict, [check.met for check in result.checks]) == (Verdict.INCONCLUSIVE, [None])
    assert result.reason
    assert "0.36 s after its time" in result.reason.actual
    assert not result.missing


def test_a_silent_peer_is_convicted_when_the_grace_is_over(tmp_path: Path) -> None:
    result = _play(tmp_path, TAGGED.format("MUST"), _Slow(None))
    assert (result.verdict, [check.met for check in result.checks]) == (Verdict.FAIL, [False])
    assert result.missing
    assert result.finished - result.started < 2 * PATIENCE + 1


def test_a_wrong_answer_convicts_though_it_is_late(tmp_path: Path) -> None:
    script = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT N(COOKIE) [MUST 7296-2.1-02]"
    result = _play(tmp_path, script, _Slow(PATIENCE + 0.36))
    assert (result.verdict, result.missing) == (Verdict.FAIL, False)


def test_a_line_that_convicts_nobody_has_no_grace(tmp_path: Path) -> None:
    result = _play(tmp_path, TAGGED.format("INFO"), _Slow(PATIENCE + 0.36))
    assert (result.verdict, [check.met for check in result.checks]) == (Verdict.PASS, [False])


TWO = "-> IKE_SA_INIT ...\n<- IKE_SA_INIT SA KE Nr ...\n-> IKE_AUTH ...\n<- IKE_AUTH SA ... [MUST 7296-2.1-02]"


def test_silence_after_slow_answers_convicts_nobody(tmp_path: Path) -> None:
    result = _play(tmp_path, TWO, _Slow(1.2, None))
    assert (result.verdict, [check.met for check in result.checks]) == (Verdict.INCONCLUSIVE, [None])
    assert result.reason
    assert "an answer took 1.2 s" in result.reason.text


def test_silence_after_quick_answers_convicts(tmp_path: Path) -> None:
    assert _play(tmp_path, TWO, _Slow(0.8, None)).verdict is Verdict.FAIL


def test_nothing_is_missed_while_more_may_lie_on_the_wire(tmp_path: Path) -> None:
    """Both were there when we came back, and the first is not what the line speaks of."""
    case = load(written(tmp_path, TAGGED.format("MUST"))).cases[0]
    place = slots.environment(1)
    run, peer = Run(case, place, random.Random(2).randbytes, 0.0), Builtin(random.Random(1).randbytes)
    peer.configure(run.settings)
    run.handle_timer(0.0)
    for datagram in run.datagrams_to_send(0.0):
        peer.receive(datagram, 0.0)
    run.receive(Datagram(b"noise", place.peer, place.tester), PATIENCE + 0.1)
    for datagram in peer.datagrams_to_send(0.0):
        run.receive(datagram, PATIENCE + 0.1)
    run.handle_timer(PATIENCE + 0.1)
    assert [check.met for check in run._account.checks] == [True]
