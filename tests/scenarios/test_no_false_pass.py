# ruff: noqa: ARG002 - fakes have the signatures of what they stand for
"""No case passes against a peer that is dead, parrots, babbles or loses its mind: a pass has to be earned."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.iana import NON_ESP_MARKER, ExchangeType
from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.runner.pki import RunPki, make
from ipsectest.runner.seed import stream
from ipsectest.scenario import load
from ipsectest.scenario.model import AnyOrder, Case, DataPattern, Expect, MessagePattern, PingLine
from ipsectest.scenario.ports import PeerRequest, PeerSettings, Verb
from ipsectest.scenario.results import CaseResult, Level, Verdict
from ipsectest.scenario.run import Run

SCENARIOS = Path(__file__).parents[2] / "scenarios"
FILES = [path for path in load.files([SCENARIOS]) if path.parent.name not in {"expected", "requirements"}]
_CONVICTS = {Level.MUST, Level.SHOULD}
CASES = [case for path in FILES for case in load.load(path, SCENARIOS).cases]


@cache
def pki() -> RunPki:
    """Certificates for all cases."""
    return make(datetime.now(UTC), stream(1, "pki"))


class Silent:
    """Takes every verb and every datagram, and answers nothing; base of the others."""

    name, version = "silent", "1"

    def __init__(self) -> None:
        self.out: list[Datagram] = []

    def configure(self, settings: PeerSettings) -> None:
        pass

    def perform(self, request: PeerRequest) -> int | None:
        return 0 if request.verb is Verb.COUNTER else None

    def forget(self, settings: PeerSettings) -> None:
        pass

    def log(self, settings: PeerSettings) -> str:
        return ""

    def crash(self) -> str | None:
        return None

    def receive(self, datagram: Datagram, now: Instant) -> None:
        pass

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        out, self.out = self.out, []
        return out

    def get_timer(self) -> Instant | None:
        return None

    def handle_timer(self, now: Instant) -> None:
        pass


def back(datagram: Datagram, data: bytes) -> Datagram:
    return Datagram(data, datagram.destination, datagram.source, datagram.protocol)


class Parrot(Silent):
    """Sends back what it gets."""

    def receive(self, datagram: Datagram, now: Instant) -> None:
        self.out.append(back(datagram, datagram.data))


class Mirror(Silent):
    """Sends back what it gets with the Response flag set, and for IKE_SA_INIT an SPI of its own."""

    def receive(self, datagram: Datagram, now: Instant) -> None:
        data, marker = bytearray(datagram.data), len(NON_ESP_MARKER) if datagram.destination.port == 4500 else 0
        if datagram.protocol == 17 and len(data) >= marker + 28:
            data[marker + 19] = 0x20
            data[marker + 15] |= 1
        self.out.append(back(datagram, bytes(data)))


class Babbler(Silent):
    """Answers with random octets, every other time behind a header that fits."""

    def __init__(self) -> None:
        super().__init__()
        self.random = random.Random(7)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        octets = self.random.randbytes(self.random.randrange(200))
        self.out.append(back(datagram, octets))
        self.out.append(back(datagram, datagram.data[:32] + octets))


class Forgetful(Builtin):
    """Our own endpoint that loses all state as soon as it has sent its last message of IKE_AUTH."""

    settings: PeerSettings
    lost = False

    def configure(self, settings: PeerSettings) -> None:
        self.settings = settings
        super().configure(settings)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        sent = super().datagrams_to_send(now)
        if any(_is_auth(datagram) for datagram in sent) and not self.lost:
            self.lost = True
            super().configure(self.settings)
        return sent


def _is_auth(datagram: Datagram) -> bool:
    marker = len(NON_ESP_MARKER) if datagram.source.port == 4500 else 0
    return datagram.protocol == 17 and datagram.data[marker + 18 : marker + 19] == bytes([ExchangeType.IKE_AUTH])


def play(case: Case, peer: Silent | Builtin, retransmit: float = 0.5) -> CaseResult:
    """One case in virtual time."""
    ended: list[Finished] = []

    def begin(case: Case, slot: int, now: Instant) -> tuple[Run, tuple[str, ...]]:
        place = slots.environment(slot, retransmit=retransmit, pki=pki().tester)
        return Run(case, place, random.Random(2).randbytes, now), slots.hosts(place)

    virtual.play(Conductor(peer, [case], begin, ended.append), peer)
    return ended[0].result


def wants_protected(case: Case) -> bool:
    """Whether a tagged line wants something positive under the keys of the IKE SA, after IKE_AUTH."""
    for line in case.lines:
        if isinstance(line, PingLine) and line.tag and line.tag.level in _CONVICTS:
            return True
        for expect in (line,) if isinstance(line, Expect) else line.lines if isinstance(line, AnyOrder) else ():
            what, modifiers = expect.first.what, expect.first.modifiers
            early = isinstance(what, MessagePattern) and what.exchange in {
                ExchangeType.IKE_SA_INIT,
                ExchangeType.IKE_AUTH,
            }
            positive = isinstance(what, MessagePattern | DataPattern) and len(expect.alternatives) == 1
            weighs = expect.tag is not None and expect.tag.level in _CONVICTS
            if weighs and positive and not early and not modifiers.unencrypted:
                return True
    return False


@pytest.mark.parametrize("peer", [Silent, Parrot, Mirror, Babbler])
def test_no_case_passes_against_a_peer_without_a_mind(peer: type[Silent]) -> None:
    passed = [case.id for case in CASES if play(case, peer()).verdict is Verdict.PASS]
    assert not passed, "\n".join(passed)


def test_no_case_with_a_line_about_a_living_sa_passes_against_a_peer_that_lost_it() -> None:
    passed = []
    for case in filter(wants_protected, CASES):
        peer = Forgetful(random.Random(1).randbytes, (), pki().builtin)
        verdict = play(case, peer).verdict
        if peer.lost and verdict is Verdict.PASS:
            passed.append(case.id)
    assert not passed, "\n".join(passed)


def test_what_a_healthy_peer_passes_was_looked_at_line_by_line() -> None:
    for case in CASES:
        result = play(case, Builtin(random.Random(1).randbytes, (), pki().builtin), 0.0)
        assert result.verdict is Verdict.PASS, case.id
        assert all(check.met is not None for check in result.checks), case.id
