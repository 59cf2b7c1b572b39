"""Ways to a false pass: what must not end as one."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.scenario.lint import lint
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import PeerRequest, Verb
from ipsectest.scenario.results import CaseResult, Reason, Verdict
from ipsectest.scenario.run import Run
from tests.unit.scenario.conftest import Player, written

Change = Callable[[Datagram], list[Datagram]]
INFORMATIONAL, RESPONSE = 37, 0x20
ALIVE = "-> INFORMATIONAL ...\n<- INFORMATIONAL\n"
TAG = "[MUST 7296-2.1-02]"


class Changing(Builtin):
    """Our own endpoint behind a hand that changes what it sends."""

    def __init__(self, change: Change) -> None:
        super().__init__(random.Random(1).randbytes)
        self._change = change

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        return [new for sent in super().datagrams_to_send(now) for new in self._change(sent)]

    def perform(self, request: PeerRequest) -> int | None:
        return None if request.verb is Verb.COUNTER else super().perform(request)


def play(folder: Path, script: str, change: Change = lambda datagram: [datagram]) -> CaseResult:
    ended: list[Finished] = []

    def begin(case: Case, slot: int, now: Instant) -> tuple[Run, tuple[str, ...]]:
        place = slots.environment(slot)
        return Run(case, place, random.Random(2).randbytes, now), slots.hosts(place)

    peer = Changing(change)
    virtual.play(Conductor(peer, load(written(folder, script)).cases, begin, ended.append), peer)
    return ended[0].result


def on_information(change: Change) -> Change:
    """Changes INFORMATIONAL messages of the peer only."""
    return lambda sent: change(sent) if sent.protocol == 17 and sent.data[18] == INFORMATIONAL else [sent]


def with_octet(sent: Datagram, at: int) -> Datagram:
    data = bytearray(sent.data)
    data[at] ^= 1
    return replace(sent, data=bytes(data))


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda sent: [with_octet(sent, 15)],
        lambda sent: [with_octet(sent, 23)],
        lambda sent: [with_octet(sent, -1)],
        lambda sent: [with_octet(sent, 18)],
        lambda sent: [replace(sent, data=sent.data[:-5])],
        lambda sent: [replace(sent, source=Address(sent.source.host, 501))],
        lambda sent: [replace(sent, source=Address("192.0.2.253", 500))],
        lambda sent: [replace(sent, data=bytes(len(sent.data)))],
    ],
    ids=["none", "responder SPI", "message ID", "ICV", "exchange", "cut", "port", "address", "zeros"],
)
def test_an_answer_that_is_none_meets_no_line(tmp_path: Path, change: Change) -> None:
    result = play(tmp_path, f"use tunnel net\n-> INFORMATIONAL ...\n<- INFORMATIONAL {TAG}", on_information(change))
    assert result.verdict is Verdict.FAIL


def test_a_response_under_a_wrong_responder_spi_is_told_as_such(tmp_path: Path) -> None:
    change = on_information(lambda sent: [with_octet(sent, 15)])
    result = play(tmp_path, f"use tunnel net\n-> INFORMATIONAL ...\n<- INFORMATIONAL {TAG}", change)
    assert "its responder SPI is 0x" in result.checks[0].actual


def test_what_cannot_be_built_after_a_note_is_no_pass(run_script: Player) -> None:
    result = run_script(
        "use tunnel net\n-> INFORMATIONAL ...\n<- INFORMATIONAL N(40000) as odd [INFO 7296-2.1-02]\n"
        f"-> INFORMATIONAL ... N(40001 odd.COOKIE)\n<- INFORMATIONAL {TAG}"
    )
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.reason is not None
    assert "odd" in result.reason.actual


def test_a_tag_whose_line_is_not_looked_at_is_no_pass(run_script: Player) -> None:
    """Here the alternative is met, and the condition speaks of the line above it."""
    result = run_script(
        "use tunnel net\n-> INFORMATIONAL ... SK{icv=flip}\n<- INFORMATIONAL N(40000)\n"
        f"   and N(40001) {TAG}\n   or nothing for 100ms\n{ALIVE}"
    )
    assert result.verdict is Verdict.INCONCLUSIVE
    assert result.checks[0].met is None


def test_silence_of_a_peer_that_is_never_heard_again_is_no_pass(tmp_path: Path) -> None:
    script = "use tunnel net\n-> INFORMATIONAL ... SK{icv=flip}\n<- nothing for 100ms " + TAG
    weak = f"{script}\n-> INFORMATIONAL ...\n<- INFORMATIONAL [INFO 7296-2.4-02]"
    assert play(tmp_path, script).verdict is Verdict.INCONCLUSIVE
    assert play(tmp_path, weak, on_information(lambda _: [])).verdict is Verdict.INCONCLUSIVE
    assert play(tmp_path, weak).verdict is Verdict.PASS
    assert [f.message for f in lint([written(tmp_path, weak)]) if "silence" in f.message]


def test_a_no_line_sees_clear_messages_and_those_that_cannot_be_opened(tmp_path: Path) -> None:
    forbids = f"use tunnel net\n-> INFORMATIONAL ...\n<- no INFORMATIONAL ... for 100ms {TAG}\nping net"
    asks = f"use tunnel net\n-> INFORMATIONAL ...\n<- no INFORMATIONAL N(COOKIE) ... for 100ms {TAG}\nping net"

    def clear(sent: Datagram) -> list[Datagram]:
        header = bytearray(sent.data[:28])
        header[16], header[24:28] = 0, (28).to_bytes(4, "big")
        return [replace(sent, data=bytes(header))]

    def damaged(sent: Datagram) -> list[Datagram]:
        return [with_octet(sent, -1)]

    assert play(tmp_path, forbids, on_information(clear)).verdict is Verdict.FAIL
    assert play(tmp_path, forbids, on_information(damaged)).verdict is Verdict.FAIL
    assert play(tmp_path, asks).verdict is Verdict.PASS
    assert play(tmp_path, asks, on_information(clear)).verdict is Verdict.PASS
    result = play(tmp_path, asks, on_information(damaged))
    assert (result.verdict, result.checks[0].met) == (Verdict.INCONCLUSIVE, None)


def test_what_meets_another_line_of_a_block_breaks_no_silence(run_script: Player) -> None:
    result = run_script(
        f"use tunnel net\n-> INFORMATIONAL ... as probe\nin any order:\n  <- nothing for 100ms {TAG}\n"
        "  <- INFORMATIONAL answers probe\nping net"
    )
    assert result.verdict is Verdict.PASS


def test_a_counter_without_a_number_is_no_pass(tmp_path: Path) -> None:
    script = f"use tunnel net\nping net\npeer counter replay = 0 {TAG}"
    assert play(tmp_path, script).verdict is Verdict.INCONCLUSIVE


def test_conditions_end_with_an_untagged_one_that_is_not_met(run_script: Player) -> None:
    result = run_script(f"use tunnel net\n{ALIVE}   and N(40000)\n   and N(40001) {TAG}")
    assert (result.verdict, result.checks[0].met) == (Verdict.INCONCLUSIVE, None)


def test_the_end_by_the_runner_keeps_what_was_found(tmp_path: Path) -> None:
    case = load(written(tmp_path, f"-> IKE_SA_INIT ...\n<- IKE_SA_INIT N(COOKIE) {TAG}")).cases[0]
    run = Run(case, slots.environment(1), random.Random(2).randbytes, 0.0)
    run.handle_timer(0.0)
    run.handle_timer(2.0)
    run.handle_timer(4.0)
    result = run.stop(Verdict.INCONCLUSIVE, Reason(0, "", "", "the cap"), 5.0)
    assert result.verdict is Verdict.FAIL
    other = Run(case, slots.environment(1), random.Random(2).randbytes, 0.0)
    assert other.stop(Verdict.FAIL, Reason(0, "", "", "it crashed"), 3.0).verdict is Verdict.FAIL


def test_a_script_that_only_contested_requirements_judge_cannot_fail(tmp_path: Path) -> None:
    findings = [f.message for f in lint([written(tmp_path, f"use tunnel net\n{ALIVE[:-1]} [MAY 7296-2.4-02]")])]
    assert "every tag is of a contested requirement, so nothing can fail" in findings


def test_no_same_octets_sees_an_unasked_repetition(tmp_path: Path) -> None:
    script = "use tunnel net\n-> INFORMATIONAL ...\n<- INFORMATIONAL as reply\n"
    script += f"<- no same octets as reply for 1s {TAG}\nping net"
    assert play(tmp_path, script).verdict is Verdict.PASS
    assert play(tmp_path, script, on_information(lambda sent: [sent, sent])).verdict is Verdict.FAIL


def test_counting_padding_is_looked_at(run_script: Player) -> None:
    script = "use tunnel net\n-> ESP(net) ping size=37\n<- ESP(net {}) pong [MUST 7296-2.1-02]"
    facts = 'peer.esp = "aes128-sha256-noesn"'
    assert run_script(script.format("padding=counting"), facts=facts).verdict is Verdict.PASS
    assert run_script(script.format("padding=zeros"), facts=facts).verdict is Verdict.FAIL
    sent = script.replace("-> ESP(net)", "-> ESP(net padding=counting)")
    assert run_script(sent.format("padding=counting"), facts=facts).verdict is Verdict.PASS
    empty = script.replace("size=37", "size=34").format("padding=counting")
    assert run_script(empty, facts=facts).verdict is Verdict.FAIL
