"""One cell from the first message to the last: a tunnel comes up, carries pings, is rekeyed, and leaks nothing."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace

from ipsectest.base.clock import RandomBytes
from ipsectest.base.errors import LabError, PeerError, UnsupportedError
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.loop import EventLoop
from ipsectest.peers.reports import ChildReport, IkeReport
from ipsectest.runner.artifacts import settings_text
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.echoes import Pings, ping
from ipsectest.runner.interop.ends import End
from ipsectest.runner.interop.settings import Ends, settings_of
from ipsectest.runner.interop.watch import Seen, Watch
from ipsectest.runner.polling import poll_until
from ipsectest.scenario.ports import Verb
from ipsectest.scenario.results import Verdict

PINGS = 3
"""Echo requests answered in each direction, each time."""
PATIENCE = 8.0
"""Seconds for an exchange or for the pings of one direction."""
SLUGGISH = PATIENCE / 8
"""Seconds for an answer, or to ask an end what it has, after which a cell that came to nothing convicts nobody."""
_LAST_BREATH = 0.5
_SECRET_OCTETS = 32


Suite = tuple[TransformSpec, ...]
Pinger = Callable[[str, str, int], Pings]
"""Starts pings from an address to another, so many."""


@dataclass(frozen=True, slots=True)
class View:
    """Where the wire is seen."""

    namespace: Namespace
    link: str
    is_far: bool = False
    """Whether it is the other end of the initiator's link."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a cell is played."""

    pingers: tuple[Pinger, Pinger]
    """At the initiator, at the responder."""
    view: View
    ends: Ends


@dataclass(slots=True)
class Played:
    """What came of a cell."""

    cell: Cell
    verdict: Verdict = Verdict.PASS
    problem: str = ""
    expected: str = ""
    actual: str = ""
    notes: list[str] = field(default_factory=list)
    attempt: int = 1
    duration: float = 0.0
    seen: Seen = field(default_factory=Seen)
    log: str = ""
    ring: KeyRing = field(default_factory=KeyRing, repr=False)
    """What both ends told of their keys."""
    configuration: str = ""


class Disagreement(Exception):  # noqa: N818 - a verdict, no mistake of ours
    """The two ends do not do what they were told, or not the same."""

    def __init__(self, problem: str, expected: str, actual: str, *, missing: bool = False) -> None:
        """``missing``: what was waited for did not come in time."""
        super().__init__(problem)
        self.problem, self.expected, self.actual, self.missing = problem, expected, actual, missing


@dataclass(frozen=True, slots=True)
class _Tunnel:
    """What both ends agree on: as the initiator reports it."""

    ike: IkeReport
    child: ChildReport


class Player:
    """Plays cells in one event loop, one after another."""

    def __init__(self, loop: EventLoop, random: RandomBytes, slow: float = 1.0) -> None:
        self._loop = loop
        self._random = random
        self._slow = slow
        self._patience = PATIENCE * slow
        self._missing = False
        """Whether the cell failed because something did not come in time."""
        self._sign = ""
        """What shows that the machine is slow."""

    def patient(self, factor: float) -> "Player":
        """A player that waits longer."""
        return Player(self._loop, self._random, self._slow * factor)

    def play(self, cell: Cell, place: Place, initiator: End, responder: End) -> Played:
        """The result; daemons are left as they were before."""
        played = Played(cell)
        self._missing, self._sign = False, ""
        begun = self._loop.clock.now()
        with self._watching(place, played), self._judged(played, initiator, responder):
            self._converse(cell, place, initiator, responder, played)
        played.duration = self._loop.clock.now() - begun
        if played.verdict is Verdict.PASS:
            self._look_at_wire(played, place.ends)
        elif played.verdict is Verdict.FAIL and self._missing:
            self._weigh(played)
        return played

    def _weigh(self, played: Played) -> None:
        """A slow machine looks like a peer that does not do what it is asked."""
        slowest = played.seen.slowest_answer()
        if slowest > SLUGGISH * self._slow:
            self._sign = self._sign or f"an answer took {slowest:.1f} s"
        if self._sign:
            played.verdict, played.problem = Verdict.INCONCLUSIVE, f"{played.problem}, but {self._sign}"

    def _reports(self, end: End) -> list[IkeReport]:
        """What an end has, and how long it needs to say so."""
        begun = self._loop.clock.now()
        found = end.report()
        took = self._loop.clock.now() - begun
        if took > SLUGGISH * self._slow:
            self._sign = f"it took {took:.1f} s to ask an end what it has"
        return found

    def _converse(self, cell: Cell, place: Place, initiator: End, responder: End, played: Played) -> None:
        secret = self._random(_SECRET_OCTETS)
        for end, is_initiator in ((responder, False), (initiator, True)):
            settings = settings_of(cell, place.ends, secret, initiator=is_initiator)
            played.configuration += settings_text(settings)
            end.prepare(settings)
        both = initiator, responder
        initiator.perform(Verb.INITIATE)
        first = self._agreed(both, "no tunnel came up", lambda _tunnel: True)
        _compare(cell, first, rekeyed=False)
        self._cross(place, "", played)
        initiator.perform(Verb.REKEY_CHILD)
        second = self._agreed(
            both, "the Child SA was not rekeyed by the initiator", lambda _tunnel: True, old=first.child
        )
        _compare(cell, second, rekeyed=True)
        self._cross(place, " after the rekey of the Child SA", played)
        deleted, haste = "the old Child SA was not deleted after its rekey", self._patience / 2
        self._agreed(both, deleted, lambda _tunnel: True, patience=haste)
        responder.perform(Verb.REKEY_IKE)
        third = self._agreed(
            both, "the IKE SA was not rekeyed by the responder", lambda new: new.ike.name != second.ike.name
        )
        _compare(cell, third, rekeyed=True)
        if third.child.spi_in != second.child.spi_in:
            raise Disagreement("the Child SA changed with the IKE SA", str(second.child), str(third.child))
        self._cross(place, " after the rekey of the IKE SA", played)
        initiator.perform(Verb.DELETE_IKE)
        if not self._in_time(lambda: not self._reports(initiator) and not self._reports(responder)):
            raise Disagreement("the IKE SA was not deleted", "no SA", _told(both), missing=True)

    def _agreed(
        self,
        both: tuple[End, End],
        problem: str,
        suits: Callable[[_Tunnel], bool],
        old: ChildReport | None = None,
        patience: float | None = None,
    ) -> _Tunnel:
        """Wait until both ends report the same tunnel, ``old`` apart, and it is the one that is waited for."""
        found: list[_Tunnel] = []
        old_spi = old.spi_in if old else None

        def look() -> bool:
            mine = self._reports(both[0])
            if not any(child.spi_in != old_spi for ike in mine for child in ike.children):
                return False  # the other end need not be asked
            tunnel = _tunnel(mine, self._reports(both[1]), old)
            if tunnel and suits(tunnel):
                found.append(tunnel)
            return bool(found)

        if not self._in_time(look, patience):
            expected = "one IKE SA and one Child SA, the same at both ends"
            raise Disagreement(problem, expected, _told(both), missing=True)
        return found[0]

    def _in_time(self, condition: Callable[[], bool], patience: float | None = None) -> bool:
        """Wait; and if it was in vain as long again, to see whether the machine is slow only."""
        if self._wait(condition, patience):
            return True
        if self._wait(condition, patience):
            self._sign = "it came when the time was over"
        return False

    def _wait(self, condition: Callable[[], bool], patience: float | None = None) -> bool:
        return poll_until(self._loop, condition, self._patience if patience is None else patience)

    def _cross(self, place: Place, when: str, played: Played) -> None:
        inner, names = (place.ends.inner_initiator, place.ends.inner_responder), ("initiator", "responder")
        with ExitStack() as stack:
            ways: dict[str, Pings] = {}
            for pinger, (here, there) in zip(place.pingers, ((0, 1), (1, 0)), strict=True):
                echoes = pinger(inner[here], inner[there], PINGS)
                ways[f"{names[here]} to {names[there]}"] = stack.enter_context(closing(echoes))
            ping(self._loop, list(ways.values()), self._patience)
        for way, echoes in ways.items():
            if echoes.received < echoes.count:
                actual = f"{echoes.received} replies to {echoes.sent} echo requests"
                raise Disagreement(f"no way from {way}{when}", f"{PINGS} replies", actual, missing=True)
            if echoes.sent > echoes.received:
                played.notes.append(f"{echoes.sent - echoes.received} of {echoes.sent} pings lost from {way}{when}")

    @contextmanager
    def _watching(self, place: Place, played: Played) -> Iterator[None]:
        watch = Watch(place.view.namespace, place.view.link, is_far=place.view.is_far)
        self._loop.add(watch)
        try:
            yield
        finally:
            self._loop.remove(watch)
            played.seen = watch.close()

    @contextmanager
    def _judged(self, played: Played, initiator: End, responder: End) -> Iterator[None]:
        """Exceptions as verdicts; both ends forget the cell."""
        try:
            yield
        except Disagreement as error:
            played.verdict, played.problem = Verdict.FAIL, error.problem
            played.expected, played.actual = error.expected, error.actual
            self._missing = error.missing
        except UnsupportedError as error:
            played.verdict, played.problem = Verdict.UNSUPPORTED, str(error)
        except (PeerError, LabError) as error:
            played.verdict, played.problem = Verdict.INCONCLUSIVE, str(error)
            # A dying daemon closes its sockets a moment before it has an exit status.
            self._wait(lambda: bool(initiator.crash() or responder.crash()), _LAST_BREATH)
        finally:
            for role, end in (("initiator", initiator), ("responder", responder)):
                if why := end.crash():
                    played.verdict, played.problem = Verdict.FAIL, f"the {role} crashed: {why}"
                    self._missing = False
                try:
                    log, ring = end.finish()
                except PeerError as error:
                    log, ring = f"{error}\n", KeyRing()
                played.log += f"== {role}\n{log}"
                played.ring.add(ring)

    def _look_at_wire(self, played: Played, ends: Ends) -> None:
        seen, form = played.seen, played.cell.encapsulation
        clear, counts = seen.in_clear(ends, confidential=not played.cell.is_ah), seen.protected()
        problem = ("", "", "")
        if clear:
            problem = ("packets went over the wire in clear", "IKE and ESP only", "; ".join(clear[:3]))
        elif set(counts) != {"ah" if played.cell.is_ah else form}:
            problem = (
                "packets had another form on the wire",
                f"{form} {'AH' if played.cell.is_ah else 'ESP'} only",
                str(dict(counts)),
            )
        if problem[0]:
            played.verdict = Verdict.FAIL
            played.problem, played.expected, played.actual = problem


def _tunnel(here: list[IkeReport], there: list[IkeReport], old: ChildReport | None = None) -> _Tunnel | None:
    """The one tunnel that both ends report beside ``old``, as the initiator reports it; None while they differ."""
    if len(here) != 1 or len(there) != 1:
        return None
    mine_spis, their_spis = ((one.spi_i, one.spi_r) for one in (here[0], there[0]))
    if mine_spis != their_spis and all(mine_spis + their_spis):  # some daemon does not tell them
        return None
    old_spi = old.spi_in if old else None
    mine = [child for child in here[0].children if child.spi_in != old_spi]
    theirs = [child for child in there[0].children if child.spi_out != old_spi]
    if len(mine) != 1 or len(theirs) != 1:
        return None
    if (mine[0].spi_in, mine[0].spi_out) != (theirs[0].spi_out, theirs[0].spi_in):
        return None
    suite = _common(mine[0].suite, theirs[0].suite)
    alike = here[0].suite == there[0].suite and (mine[0].mode, mine[0].encapsulated) == (
        theirs[0].mode,
        theirs[0].encapsulated,
    )
    return _Tunnel(here[0], replace(mine[0], suite=suite)) if alike and suite else None


def _common(mine: Suite, theirs: Suite) -> Suite:
    """The suite of a Child SA that both ends report; empty if they differ. Some daemon does not tell the group."""
    if mine == theirs:
        return mine
    longer, shorter = sorted((mine, theirs), key=len, reverse=True)
    return longer if tuple(spec for spec in longer if spec.type != TransformType.KE) == shorter else ()


def _compare(cell: Cell, tunnel: _Tunnel, *, rekeyed: bool) -> None:
    """What was agreed on against what the cell asks for."""
    kinds = {TransformType.ENCR, TransformType.INTEG} | ({TransformType.KE} if rekeyed else set())
    esp = tuple(spec for spec in _sorted(cell.esp_suite) if spec.type in kinds)
    for what, expected, actual in (
        ("suite of the IKE SA", format_suite(_sorted(cell.ike_suite)), format_suite(_sorted(tunnel.ike.suite))),
        ("suite of the Child SA", format_suite(esp), format_suite(_sorted(tunnel.child.suite))),
        ("mode", cell.mode, tunnel.child.mode),
        ("encapsulation", cell.encapsulation, "udp" if tunnel.child.encapsulated else "plain"),
    ):
        if expected != actual:
            raise Disagreement(f"another {what} than was asked for", expected, actual)


def _sorted(suite: Suite) -> Suite:
    return tuple(sorted(suite))


def _told(both: tuple[End, End]) -> str:
    """What both ends report."""
    lines = []
    for role, end in zip(("initiator", "responder"), both, strict=True):
        reports = end.report()
        sas = [f"{ike}" + "".join(f"; {child}" for child in ike.children) for ike in reports]
        lines.append(f"{role}: {' + '.join(sas) or 'no IKE SA'}")
    return " | ".join(lines)
