# ruff: noqa: ARG002 - fakes have the signatures of what they stand for
"""A script and a peer of a few lines, to try conductor and loops without the rooms below."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.errors import IpsectestError, PeerError, UnsupportedError
from ipsectest.runner.slots import environment
from ipsectest.scenario.model import Case, Tests
from ipsectest.scenario.ports import Authentication, Identity, PeerRequest, PeerSettings, Verb
from ipsectest.scenario.results import CaseResult, Reason, Verdict


def case(name: str = "a/b") -> Case:
    return Case(name, "", "title", "", Tests.RESPONDER, False, (), (), {}, {}, (), Path(f"{name}.toml"), "")


def settings(slot: int) -> PeerSettings:
    place = environment(slot)
    return PeerSettings(
        name=f"case-{slot}",
        local=place.peer,
        remote=place.tester,
        local_id=Identity("fqdn", "peer"),
        remote_id=Identity("fqdn", "tester"),
        local_auth=Authentication.PSK,
        remote_auth=Authentication.PSK,
        secret=b"secret",
        ike=(),
        esp=(),
        local_ts=(),
        remote_ts=(),
        inner_local=place.inner_peer,
        inner_remote=place.inner_tester,
    )


@dataclass
class Script:
    """Sends a question, waits for the answer, is silent for an hour, and passes if the answer was right."""

    slot: int
    now: Instant
    verb: Verb | None = None
    silence: float = 3600.0
    settings: PeerSettings = field(init=False)
    result: CaseResult | None = None
    slowest: float = 0.0
    stalls: list[Instant] = field(default_factory=list)
    answers: list[int | IpsectestError | None] = field(default_factory=list)
    _out: list[Datagram] = field(default_factory=list)
    _requests: list[PeerRequest] = field(default_factory=list)
    _timer: Instant | None = None
    _started: bool = False

    def __post_init__(self) -> None:
        self.settings = settings(self.slot)

    def handle_timer(self, now: Instant) -> None:
        if not self._started:
            self._started = True
            self._out.append(Datagram(b"question", self.settings.remote, self.settings.local))
            if self.verb:
                self._requests.append(PeerRequest(1, self.verb, self.settings))
        elif self._timer is not None and now >= self._timer:
            self.result = CaseResult(Verdict.PASS, started=self.now, finished=now)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if datagram.data == b"answer":
            self._timer = now + self.silence

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        out, self._out = self._out, []
        return out

    def get_timer(self) -> Instant | None:
        return self._timer

    def stalled(self, now: Instant) -> None:
        self.stalls.append(now)

    def peer_requests(self) -> Sequence[PeerRequest]:
        requests, self._requests = self._requests, []
        return requests

    def peer_answered(self, number: int, answer: int | IpsectestError | None, now: Instant) -> None:
        self.answers.append(answer)

    def parting(self, now: Instant) -> list[Datagram]:
        return []

    def stop(self, verdict: Verdict, reason: Reason, now: Instant) -> CaseResult:
        return CaseResult(verdict, reason=reason, started=self.now, finished=now)


@dataclass
class Echo:
    """A peer in memory that answers every question; `deaf` answers none, `unable` configures nothing."""

    name: str = "echo"
    version: str = "1"
    deaf: bool = False
    chatty: bool = False
    unable: bool = False
    unreachable: bool = False
    dead: str | None = None
    configured: list[str] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    _out: list[Datagram] = field(default_factory=list)

    def configure(self, settings: PeerSettings) -> None:
        if self.unable:
            raise UnsupportedError("everything")
        if self.unreachable:
            raise PeerError("does not answer")
        self.configured.append(settings.name)

    def perform(self, request: PeerRequest) -> int | None:
        if request.verb is Verb.LIVENESS:
            raise UnsupportedError("peer liveness")
        if request.verb is Verb.DELETE_IKE:
            raise PeerError("has none")
        return 7 if request.verb is Verb.COUNTER else None

    def forget(self, settings: PeerSettings) -> None:
        self.forgotten.append(settings.name)

    def log(self, settings: PeerSettings) -> str:
        return f"log of {settings.name}"

    def crash(self) -> str | None:
        return self.dead

    def receive(self, datagram: Datagram, now: Instant) -> None:
        if not self.deaf:
            self._out.append(Datagram(b"answer", datagram.destination, datagram.source))

    def datagrams_to_send(self, now: Instant) -> Sequence[Datagram]:
        out, self._out = self._out, []
        if self.chatty and not out:
            out = [Datagram(b"noise", Address("192.0.2.254", 500), Address("192.0.2.1", 500))]
        return [replace(d) for d in out]

    def get_timer(self) -> Instant | None:
        return None

    def handle_timer(self, now: Instant) -> None:
        raise AssertionError("no timer was set")
