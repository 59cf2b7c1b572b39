"""Expected lines and the background: what becomes of the peer's datagrams."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.iana import ExchangeType
from ipsectest.scenario.account import Account
from ipsectest.scenario.association import Arrival, Carried, arrival_of
from ipsectest.scenario.composer import Composer, shown
from ipsectest.scenario.judge import Fit, Judge, text_of
from ipsectest.scenario.model import DataPattern, Silence
from ipsectest.scenario.results import Verdict
from ipsectest.scenario.session import Labelled, Session, give_back_id
from ipsectest.scenario.steps import AwaitAllStep, AwaitStep, Option, Step

PATIENCE = 2.0
"""Default cap of an expected line in seconds."""
_ECHOES = frozenset({"pong", "reset"})
"""Contents that answer a packet of ours."""


class Progress(Enum):
    """What a step came to."""

    WAIT = "wait"
    DONE = "done"
    END = "end"
    """The case ends here."""


@dataclass(eq=False, slots=True)
class Listener:
    """Holds arrivals against the lines that are waited for; answers in the background what no line speaks of."""

    session: Session
    composer: Composer
    account: Account
    slow: float
    judge: Judge = field(init=False)
    arrivals: list[Arrival] = field(default_factory=list)
    left: list[AwaitStep] = field(default_factory=list)
    """The lines of the current step that are not met yet."""
    later: Sequence[Step] = ()
    """The steps after the current one."""
    kept_silent: list[AwaitStep] = field(default_factory=list)
    """``no ...`` lines that were met, as far as they speak of the answer to one request: it may still come, late."""
    wake: Instant | None = None
    """When the first of the lines runs out of patience."""
    slowest: float = 0.0
    """The longest that an answer took, as a part of the patience with it."""
    _entered: Instant = 0.0
    _overdue: dict[int, Instant] = field(default_factory=dict)
    """Lines that would convict, by number, and when they ran out of patience: what comes now tells of slowness only."""
    _closest: str = ""
    """What came that was not quite it."""

    def __post_init__(self) -> None:
        self.judge = Judge(self.session)

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the peer in."""
        arrival = arrival_of(datagram, now)
        arrival.again = arrival.carried is not Carried.KEEPALIVE and arrival.raw in self.session.dealt_with
        self.session.dealt_with.setdefault(arrival.raw, None)
        self.arrivals.append(arrival)

    def expect(self, steps: Iterable[AwaitStep], later: Sequence[Step]) -> None:
        """Begin to wait for lines, in any order if there are several."""
        self.left = list(steps)
        self.later = later
        self._closest = ""
        self._overdue.clear()

    def listen(self, entered: Instant, now: Instant, *, reading: bool) -> Progress:
        """Look at what has come and at the time. ``reading``: more may have come already, so nothing is missed yet."""
        self._entered = entered
        for arrival in list(self.arrivals):
            self.judge.decode(arrival)
            if not self._take(arrival, now):
                return Progress.END
            if not self.left:
                return Progress.DONE
        self.background(now)
        for step in list(self.left):
            due, is_silence = self._due(step, entered)
            if now < due - 1e-9 or (reading and not is_silence):
                continue
            if not is_silence and step.line not in self._overdue and _convicts(step):
                self._overdue[step.line] = now
                continue
            self.left.remove(step)
            if is_silence:
                self._silent(step, now)
            elif not self._unmet(step, self._closest or "nothing came", now, missing=True):
                return Progress.END
        if not self.left:
            return Progress.DONE
        self.wake = min(self._due(step, entered)[0] for step in self.left)
        return Progress.WAIT

    def forgive(self, now: Instant) -> None:
        """We slept: what is late already has its grace again."""
        self._overdue = dict.fromkeys(self._overdue, now)

    def _due(self, step: AwaitStep, entered: Instant) -> tuple[Instant, bool]:
        """When a line is over. A busy machine may repeat a request late; its answer has a fair chance all the same."""
        seconds, is_silence = self._cap(step)
        if step.line in self._overdue:
            return self._overdue[step.line] + PATIENCE * self.slow, False
        repeated, chance = self.session.repeated_at, self.session.place.retransmit
        if is_silence or repeated is None or repeated < entered:
            return entered + seconds, is_silence
        return max(entered + seconds, repeated + chance), is_silence

    def _cap(self, step: AwaitStep) -> tuple[float, bool]:
        """How long a line waits, and whether it is met when the time is over."""
        silences = [o.what.seconds for o in step.options if isinstance(o.what, Silence)]
        if silences:
            return max(silences), True
        within = step.options[0].modifiers.within
        return (PATIENCE if within is None else within) * self.slow, False

    # One arrival ----------------------------------------------------------------------------------------------------

    def _take(self, arrival: Arrival, now: Instant) -> bool:
        """Hold an arrival against the lines waited for; False if the case ends."""
        differing: tuple[AwaitStep, str] | None = None
        for step in self.left:
            for option in step.options:
                fit, why = self.judge.judge(arrival, option)
                if isinstance(option.what, Silence):
                    if fit is Fit.FITS and not self._fits_another(arrival):
                        return self._broken(step, arrival, now)
                    if fit is Fit.UNCLEAR and not self._fits_another(arrival):
                        return self._unclear(step, arrival, why)
                elif fit is Fit.FITS:
                    return self._met(step, option, arrival, now)
                elif fit is Fit.DIFFERS:
                    differing = differing or (step, f"{text_of(arrival)}: {why}")
        return differing is None or self._differs(arrival, *differing, now)

    def _differs(self, arrival: Arrival, step: AwaitStep, actual: str, now: Instant) -> bool:
        """What a line speaks of has come, but not as written."""
        self._closest = actual
        message = arrival.message
        is_news = message is None or (not message.is_response and message.exchange_type == ExchangeType.INFORMATIONAL)
        if is_news or message is None or arrival.trouble:
            return True  # data, news of the peer, noise: what the line wants may still come
        self.left.remove(step)
        self.arrivals.remove(arrival)
        self._show(arrival, step, met=False)
        if arrival.exchange is not None and message.is_response:
            self.session.process_response(arrival.exchange, arrival)
        return self._unmet(step, actual, now)

    def _fits_another(self, arrival: Arrival) -> bool:
        """Whether a message that breaks a silence is taken by an alternative or by another line waited for."""
        options = (option for step in self.left for option in step.options)
        others = (option for option in options if not isinstance(option.what, Silence))
        return any(self.judge.judge(arrival, option)[0] is Fit.FITS for option in others)

    def _met(self, step: AwaitStep, option: Option, arrival: Arrival, now: Instant) -> bool:
        self.left.remove(step)
        self.arrivals.remove(arrival)
        self._show(arrival, step, met=True)
        self.account.silence = None
        self._label(step, option, arrival, now)
        is_echo = isinstance(option.what, DataPattern) and option.what.content in _ECHOES
        if option.answers or is_echo:
            self.slowest = max(self.slowest, (arrival.at - self._entered) / (PATIENCE * self.slow))
        late = step.line in self._overdue
        going = not late and self.account.judge_line(step.tag, step.line, step.text, "")
        if late:
            self._late(step, arrival)
        for condition in () if late else step.conditions:
            actual = self.judge.condition(arrival, condition, option)
            actual = f"{text_of(arrival)}: {actual}" if actual else ""
            going = self.account.judge_line(condition.tag, condition.spot.line, condition.text, actual) and going
            if actual and condition.tag is None:
                break  # the precondition of the lines that follow
        message = arrival.message
        if arrival.exchange is not None and message is not None and message.is_response and not option.modifiers.drop:
            self.session.process_response(arrival.exchange, arrival)
        return going

    def _label(self, step: AwaitStep, option: Option, arrival: Arrival, now: Instant) -> None:
        """Remember the message under its label; a request of the peer opens an exchange."""
        message = arrival.message
        if message is None or arrival.again:
            return
        if not message.is_response:
            arrival.exchange = self.session.open_exchange(step.key, option.sa, arrival, message, now)
        self.session.dealt_with[arrival.raw] = arrival.exchange
        self.session.labels[step.key] = Labelled(message, [arrival.datagram], arrival.exchange)

    def _late(self, step: AwaitStep, arrival: Arrival) -> None:
        """It is what was wanted: no RFC says how fast a machine has to be, so nobody is convicted."""
        actual = f"{text_of(arrival)}, {arrival.at - self._overdue[step.line]:.2f} s after its time"
        self.account.give_up(Verdict.INCONCLUSIVE, step.line, step.text, actual, "the peer or the machine is slow")

    # Lines that are over --------------------------------------------------------------------------------------------

    def _unmet(self, step: AwaitStep, actual: str, now: Instant, *, missing: bool = False) -> bool:
        """Enter an unmet line; False if the case ends. Its request keeps its message ID for the next one."""
        self.account.event(now, "--", f"not met: {step.text}", line=step.line, met=False, tag=step.tag)
        going = self.account.judge_line(step.tag, step.line, step.text, actual, missing=missing)
        if going:
            self._give_back_id(step)
        return going

    def _silent(self, step: AwaitStep, now: Instant) -> None:
        self.account.event(now, "--", step.text.removeprefix("<-").strip(), line=step.line, met=True, tag=step.tag)
        self.account.judge_line(step.tag, step.line, step.text, "")
        self.account.silence = self.account.silence or (step.line, step.text)
        self._give_back_id(step)
        if step.tag and any(isinstance(o.what, Silence) and o.what.but and o.answers for o in step.options):
            self.kept_silent.append(step)

    def _broken_late(self, arrival: Arrival) -> None:
        """A slow peer gives the forbidden answer when the window is over: it is no better for that."""
        for step in self.kept_silent:
            if step.tag and any(self.judge.judge(arrival, option)[0] is Fit.FITS for option in step.options):
                self.kept_silent.remove(step)
                self.account.revoke(step.line)
                self.account.judge_line(step.tag, step.line, step.text, f"{text_of(arrival)} (late)")
                return

    def _broken(self, step: AwaitStep, arrival: Arrival, now: Instant) -> bool:
        """Something came where silence was due."""
        self.left.remove(step)
        self.arrivals.remove(arrival)
        self._show(arrival, step, met=False)
        return self._unmet(step, text_of(arrival), now)

    def _unclear(self, step: AwaitStep, arrival: Arrival, why: str) -> bool:
        """Nobody can say whether the silence was kept."""
        self.arrivals.remove(arrival)
        self._show(arrival, step, met=None)
        actual = f"{text_of(arrival)}: {why or 'we have no keys for it'}"
        self.account.give_up(Verdict.INCONCLUSIVE, step.line, step.text, actual, "what came cannot be looked into")
        return False

    def _give_back_id(self, step: AwaitStep) -> None:
        for option in step.options:
            labelled = self.session.labels.get(option.answers)
            if labelled is not None and labelled.exchange is not None and labelled.exchange.ours:
                give_back_id(labelled.exchange)

    def _show(self, arrival: Arrival, step: AwaitStep | None, *, met: bool | None) -> None:
        text = text_of(arrival) + (" (again)" if arrival.again else "")
        line, tag = (step.line, step.tag) if step else (0, None)
        size = len(arrival.datagram.data)
        self.account.event(arrival.at, "<-", text, line=line, met=met, tag=tag, octets=size, message=arrival.message)

    # In the background ----------------------------------------------------------------------------------------------

    def background(self, now: Instant) -> None:
        """Deal with arrivals that neither this step nor a later one speaks of."""
        for arrival in list(self.arrivals):
            self.judge.decode(arrival)
            if not self._is_expected(arrival):
                self.arrivals.remove(arrival)
                self._show(arrival, None, met=None)
                self._broken_late(arrival)
                self._deal_with(arrival, now)

    def _is_expected(self, arrival: Arrival) -> bool:
        """Whether this or a later line may speak of an arrival."""
        if arrival.again:
            return False
        steps: list[AwaitStep] = list(self.left)
        for step in self.later:
            steps += (step,) if isinstance(step, AwaitStep) else step.awaits if isinstance(step, AwaitAllStep) else ()
        return any(self._may_mean(arrival, option) for step in steps for option in step.options)

    def _may_mean(self, arrival: Arrival, option: Option) -> bool:
        fit, _ = self.judge.judge(arrival, option)
        message = arrival.message
        if fit is Fit.DIFFERS and message is not None and not message.is_response:
            return message.exchange_type != ExchangeType.INFORMATIONAL  # liveness and news do not wait for their line
        return fit is not Fit.OTHER

    def _deal_with(self, arrival: Arrival, now: Instant) -> None:
        message = arrival.message
        if message is None or arrival.trouble:
            return
        if arrival.again:
            known = self.session.dealt_with.get(arrival.raw)
            if known is not None and not known.ours:
                waiting = self.session.outbox  # an answer that has not left yet serves the copy too
                waiting += [datagram for datagram in known.response_datagrams if datagram not in waiting]
        elif message.is_response:
            if arrival.exchange is not None:
                self.session.process_response(arrival.exchange, arrival)
        elif arrival.association is not None and arrival.protected:
            self._answer(arrival, arrival.association.name, now)

    def _answer(self, arrival: Arrival, sa_name: str, now: Instant) -> None:
        """Answer a request correctly, if a correct endpoint can."""
        message = arrival.message
        assert message is not None
        exchange = self.session.open_exchange("", sa_name, arrival, message, now)
        self.session.dealt_with[arrival.raw] = exchange
        try:
            self.session.outbox += self.composer.background_answer(exchange, now)
        except (LookupError, TypeError):
            return  # for instance a Child SA for an IKE SA that never got one: nothing can be said
        if exchange.response is not None:
            size = sum(len(d.data) for d in exchange.response_datagrams)
            self.account.event(now, "->", shown(exchange.response), octets=size, message=exchange.response)


def _convicts(step: AwaitStep) -> bool:
    """Whether somebody is accused if the line is not met."""
    return step.tag is not None and step.tag.level.verdict_if_unmet is not Verdict.PASS
