"""The step engine: one case against one peer, without sockets and without a clock.

    run = Run(case, environment, random, now)
    configure the peer with run.settings, then run.handle_timer(now) starts the script
    run.receive(datagram, now)   run.datagrams_to_send(now)   run.get_timer()   run.handle_timer(now)
    run.peer_requests() -> run.peer_answered(number, answer, now)     run.result
"""

from collections.abc import Iterator
from itertools import count

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant, RandomBytes
from ipsectest.base.errors import IpsectestError, PeerError, UnsupportedError
from ipsectest.base.iana import ExchangeType
from ipsectest.ike.sa import IkeSa
from ipsectest.scenario import keytables, requirements
from ipsectest.scenario.account import Account
from ipsectest.scenario.association import Arrival, Association, Carried, Exchange, arrival_of
from ipsectest.scenario.composer import Composer, shown
from ipsectest.scenario.facts import both_ends
from ipsectest.scenario.judge import Fit, Judge, is_liveness, text_of
from ipsectest.scenario.model import (
    Case,
    DataPattern,
    MessagePattern,
    Number,
    OctetsPattern,
    Offset,
    PeerVerb,
    SamePattern,
    Silence,
    Spot,
)
from ipsectest.scenario.ports import Counter, Environment, PeerRequest, Verb
from ipsectest.scenario.results import CaseResult, Reason, Verdict
from ipsectest.scenario.session import Labelled, Session, give_back_id
from ipsectest.scenario.steps import (
    AskStep,
    AwaitAllStep,
    AwaitStep,
    Option,
    PauseStep,
    RepeatStep,
    SendStep,
    Step,
    resolve,
)
from ipsectest.scenario.tester import endpoint_config
from ipsectest.scenario.traffic import Traffic
from ipsectest.wire import Message

PATIENCE = 2.0
"""Default cap of an expected line in seconds."""
POLL = 0.05
"""Seconds between two looks at a counter."""
TIDY = 0.5
"""Seconds for the answer to the Delete after the last line."""


class Run:
    """Interprets the steps of a case."""

    def __init__(self, case: Case, environment: Environment, random: RandomBytes, now: Instant) -> None:
        self.case = case
        self.place = environment
        self._random = random
        self._ends = both_ends(case, environment)
        self.settings = self._ends.peer
        self.result: CaseResult | None = None
        self._account = Account(requirements.load(), now)
        self._steps: list[Step] = [*_baselines(case), *resolve(case).steps]
        self._at = 0
        self._entered: Instant | None = None
        self._timer: Instant | None = now
        self._arrivals: list[Arrival] = []
        self._left: list[AwaitStep] = []
        self._closest = ""
        self._requests: list[PeerRequest] = []
        self._numbers = count(1)
        self._asked: int | None = None
        self._ask_again_at: Instant | None = None
        self._counters: dict[Counter, int] = {}
        self._held: dict[str, list[Datagram]] = {}
        self._closing: list[Exchange] | None = None
        try:
            config = endpoint_config(self._ends, environment)
        except UnsupportedError as error:
            self._finish(Verdict.UNSUPPORTED, Reason(0, "", "", str(error)), now)
            return
        traffic = Traffic(environment, random)
        self._session = Session(environment, random, self._ends, config, traffic)
        self._composer = Composer(self._session)
        self._judge = Judge(self._session)

    # The outside --------------------------------------------------------------------------------------------------------

    def receive(self, datagram: Datagram, now: Instant) -> None:
        """Take a datagram of the peer."""
        if self.result is not None:
            return
        arrival = arrival_of(datagram, now)
        arrival.again = arrival.carried is not Carried.KEEPALIVE and arrival.raw in self._session.dealt_with
        self._session.dealt_with.setdefault(arrival.raw, None)
        self._arrivals.append(arrival)
        self._advance(now)

    def datagrams_to_send(self, now: Instant) -> list[Datagram]:
        """What goes on the wire now."""
        del now
        if self.result is not None and not hasattr(self, "_session"):
            return []
        outgoing, self._session.outbox = self._session.outbox, []
        return outgoing

    def get_timer(self) -> Instant | None:
        """When `handle_timer` is due."""
        return None if self.result is not None else self._timer

    def handle_timer(self, now: Instant) -> None:
        """Begin, repeat requests, run out of patience."""
        if self.result is None:
            self._retransmit(now)
            self._advance(now)

    def peer_requests(self) -> list[PeerRequest]:
        """Verbs for the peer, each handed out once."""
        requests, self._requests = self._requests, []
        return requests

    def peer_answered(self, number: int, answer: int | IpsectestError | None, now: Instant) -> None:
        """What a verb came to: a number for counters, an error, or None."""
        if self.result is not None or number != self._asked:
            return
        self._asked = None
        step = self._steps[self._at]
        if isinstance(answer, PeerError) and self._may_ask_again(step, now):
            self._timer = self._ask_again_at = now + POLL
        elif isinstance(answer, IpsectestError):
            verdict = Verdict.UNSUPPORTED if isinstance(answer, UnsupportedError) else Verdict.INCONCLUSIVE
            self._account.give_up(verdict, step.line, step.text, str(answer), "the peer cannot do that")
            self._begin_closing(now)
        elif isinstance(step, AskStep) and step.verb.counter is not None and isinstance(answer, int):
            self._counted(step, answer, now)
        else:
            self._next()
        self._advance(now)

    def _may_ask_again(self, step: Step, now: Instant) -> bool:
        """The peer may not have got so far yet, for instance not have read our last IKE_AUTH message."""
        is_start = isinstance(step, AskStep) and step.verb.verb is Verb.INITIATE
        return not is_start and self._entered is not None and now < self._entered + PATIENCE * self.place.slow

    def stop(self, verdict: Verdict, reason: Reason, now: Instant) -> CaseResult:
        """The runner gives the case up: a result with what there is."""
        if self.result is None:
            self._account.verdict = verdict
            self._finish(verdict, reason, now)
        assert self.result is not None
        return self.result

    # Walking through the steps ------------------------------------------------------------------------------------------

    def _advance(self, now: Instant) -> None:
        """Go on until something has to be waited for."""
        while self.result is None:
            if self._closing is not None:
                self._close(now)
                return
            if self._at >= len(self._steps):
                self._begin_closing(now)
                continue
            if self._entered is None:
                self._entered = now
            step = self._steps[self._at]
            try:
                done = self._try(step, now)
            except (LookupError, ValueError) as error:
                self._account.give_up(Verdict.INCONCLUSIVE, step.line, step.text, str(error.args[0]), "our line cannot be sent")
                self._begin_closing(now)
                continue
            except UnsupportedError as error:
                self._account.give_up(Verdict.UNSUPPORTED, step.line, step.text, str(error), "not possible here")
                self._begin_closing(now)
                continue
            if not done:
                return

    def _next(self) -> None:
        self._at += 1
        self._entered = None
        self._left = []
        self._closest = ""
        self._ask_again_at = None

    def _try(self, step: Step, now: Instant) -> bool:
        """Do a step or look whether it is met; False to wait."""
        match step:
            case SendStep():
                self._send(step, now)
            case AwaitStep():
                return self._await_all((step,), now)
            case AwaitAllStep():
                return self._await_all(step.awaits, now)
            case AskStep():
                return self._ask(step, now)
            case RepeatStep():
                self._repeat(step, now)
            case PauseStep():
                self._background(now)
                return self._until(now, step.seconds) and self._passed()
        self._next()
        return True

    def _passed(self) -> bool:
        self._next()
        return True

    def _until(self, now: Instant, seconds: float) -> bool:
        """Whether so much time has passed since the step began; sets the timer otherwise."""
        assert self._entered is not None
        deadline = self._entered + seconds
        self._timer = deadline
        return now >= deadline - 1e-9

    # Sending ------------------------------------------------------------------------------------------------------------

    def _send(self, step: SendStep, now: Instant) -> None:
        what = step.what
        message: Message | None = None
        match what:
            case MessagePattern():
                exchange = (self._composer.response if step.response else self._composer.request)(step, what, now)
                message = exchange.response if step.response else exchange.request
                datagrams = exchange.response_datagrams if step.response else exchange.request_datagrams
                assert message is not None
                self._session.labels[step.key] = Labelled(message, datagrams, exchange)
                if not step.response and step.answered and self.place.retransmit and not step.modifiers.hold:
                    exchange.retransmit_at = now + self.place.retransmit
                text = shown(message)
            case DataPattern():
                datagrams = [self._session.traffic.send(what, self._session.values(by_us=True))]
                if datagrams[0].protocol == 50 and not self.place.raw_esp:
                    raise UnsupportedError("ESP as IP protocol 50", "this lab carries it in UDP only: use tunnel net behind nat")
                text = step.text.removeprefix("->").strip()
            case SamePattern():
                datagrams = self._moved(self._labelled(what.label).datagrams, step)
                text = f"{shown(self._labelled(what.label).message)} (again)"
            case OctetsPattern():
                datagrams = [self._raw(what.data, step)]
                text = step.text.removeprefix("->").strip()
        if step.modifiers.hold:
            self._held[step.key] = datagrams
        elif not step.modifiers.drop:
            self._session.outbox += datagrams * (2 if step.modifiers.twice else 1)
        note = " (held)" if step.modifiers.hold else " (lost)" if step.modifiers.drop else ""
        size = sum(len(d.data) for d in datagrams)
        self._account.event(now, "->", text + note, line=step.line, octets=size, message=message)

    def _labelled(self, label: str) -> Labelled:
        if label not in self._session.labels:
            raise LookupError(f"the message {label!r} did not come to pass")
        return self._session.labels[label]

    def _moved(self, datagrams: list[Datagram], step: SendStep) -> list[Datagram]:
        """The same octets, perhaps from another port or address of ours."""
        modifiers, place = step.modifiers, self.place
        moved = []
        for d in datagrams:
            host = place.elsewhere if modifiers.source == "elsewhere" else d.source.host
            port = {"500": 500, "4500": 4500, "other": place.other_port}.get(modifiers.source, d.source.port)
            if not host or not port:
                raise LookupError(f"the tester has no address for: from {modifiers.source}")
            moved.append(Datagram(d.data, type(d.source)(host, port), d.destination, d.protocol))
        return moved

    def _raw(self, data: bytes, step: SendStep) -> Datagram:
        """Any UDP payload, to the port that the line or the IKE SA says."""
        known = self._session.associations.get(step.sa)
        local, remote = (known.sa.local, known.sa.remote) if known else (self.place.tester, self.place.peer)
        wanted = step.modifiers.destination or step.modifiers.source
        if data == b"\xff" and not wanted:
            wanted = "4500"
        if wanted in {"500", "4500"}:
            local, remote = type(local)(local.host, int(wanted)), type(remote)(remote.host, int(wanted))
        return self._moved([Datagram(data, local, remote)], step)[0]

    def _repeat(self, step: RepeatStep, now: Instant) -> None:
        datagrams = self._held.pop(step.key, []) if step.held else self._labelled(step.key).datagrams
        if not datagrams:
            raise LookupError(f"nothing is held as {step.key!r}")
        self._session.outbox += datagrams
        text = f"{shown(self._labelled(step.key).message)} ({'released' if step.held else 'again'})"
        self._account.event(now, "->", text, line=step.line, octets=sum(len(d.data) for d in datagrams))

    def _retransmit(self, now: Instant) -> None:
        """Repeat our requests whose answers are waited for, so that a lost datagram spoils nothing."""
        wanted = {option.answers for step in self._waiting() for option in step.options}
        for exchange in self._our_exchanges():
            due = exchange.retransmit_at
            if due is None or due > now or exchange.response is not None:
                continue
            if exchange.key in wanted or (self._closing is not None and exchange in self._closing):
                self._session.outbox += exchange.request_datagrams
                text = f"{shown(exchange.request)} (again)"
                self._account.event(now, "->", text, octets=sum(len(d.data) for d in exchange.request_datagrams))
            exchange.transmissions += 1
            exchange.retransmit_at = now + self.place.retransmit * 2 ** (exchange.transmissions - 1)

    def _our_exchanges(self) -> Iterator[Exchange]:
        for association in self._session.associations.values():
            yield from (e for e in association.exchanges if e.ours)

    # Expecting ----------------------------------------------------------------------------------------------------------

    def _waiting(self) -> tuple[AwaitStep, ...]:
        """The expected lines that are waited for now."""
        if self._at >= len(self._steps):
            return ()
        step = self._steps[self._at]
        if isinstance(step, AwaitStep):
            return (step,)
        return tuple(self._left) if isinstance(step, AwaitAllStep) else ()

    def _await_all(self, steps: tuple[AwaitStep, ...], now: Instant) -> bool:
        """One line, or several in any order; True when the script goes on."""
        if not self._left:
            self._left = list(steps)
        for arrival in list(self._arrivals):
            self._judge.decode(arrival)
            if arrival in self._arrivals and not self._take(arrival, now):
                return True
            if not self._left:
                self._next()
                return True
        self._background(now)
        for step in list(self._left):
            seconds, is_silence = self._cap(step)
            if not self._until(now, seconds):
                continue
            self._left.remove(step)
            if is_silence:
                self._silent(step, now)
            elif not self._unmet(step, self._closest or "nothing came", now):
                return True
        if not self._left:
            self._next()
            return True
        self._set_timer()
        return False

    def _cap(self, step: AwaitStep) -> tuple[float, bool]:
        """How long a line waits, and whether it is met when the time is over."""
        silences = [o.what.seconds for o in step.options if isinstance(o.what, Silence)]
        if silences:
            return max(silences), True
        within = step.options[0].modifiers.within
        return (PATIENCE if within is None else within) * self.place.slow, False

    def _set_timer(self) -> None:
        assert self._entered is not None
        times = [self._entered + self._cap(step)[0] for step in self._left]
        times += [e.retransmit_at for e in self._our_exchanges() if e.retransmit_at is not None and e.response is None]
        self._timer = min(times)

    def _take(self, arrival: Arrival, now: Instant) -> bool:
        """Hold an arrival against the lines waited for; False if the case ends."""
        differing: tuple[AwaitStep, str] | None = None
        for step in self._left:
            for option in step.options:
                fit, why = self._judge.judge(arrival, option)
                if isinstance(option.what, Silence):
                    if fit is Fit.FITS and not self._fits_another(arrival, step):
                        return self._broken(step, arrival, now)
                elif fit is Fit.FITS:
                    return self._met(step, option, arrival, now)
                elif fit is Fit.DIFFERS:
                    differing = differing or (step, f"{text_of(arrival)}: {why}")
        if differing is None:
            return True
        step, actual = differing
        self._closest = actual
        message = arrival.message
        if message is None or (not message.is_response and message.exchange_type == ExchangeType.INFORMATIONAL):
            return True  # data and other news of the peer: what the line wants may still come
        if arrival.trouble:
            return True
        self._left.remove(step)
        self._arrivals.remove(arrival)
        self._arrived(arrival, now, step, met=False)
        if arrival.exchange is not None and message.is_response:
            self._session.process_response(arrival.exchange, arrival)
        return self._unmet(step, actual, now)

    def _fits_another(self, arrival: Arrival, step: AwaitStep) -> bool:
        """Whether a message breaks the silence of a line that also takes it as an alternative."""
        return any(self._judge.judge(arrival, o)[0] is Fit.FITS for o in step.options if not isinstance(o.what, Silence))

    def _met(self, step: AwaitStep, option: Option, arrival: Arrival, now: Instant) -> bool:
        self._left.remove(step)
        self._arrivals.remove(arrival)
        self._arrived(arrival, now, step, met=True)
        self._label(step, option, arrival, now)
        going = self._account.judge_line(step.tag, step.line, step.text, "")
        for condition in step.conditions:
            actual = self._judge.condition(arrival, condition, option)
            actual = f"{text_of(arrival)}: {actual}" if actual else ""
            going = self._account.judge_line(condition.tag, condition.spot.line, condition.text, actual) and going
        exchange = arrival.exchange
        message = arrival.message
        if exchange is not None and message is not None and message.is_response and not option.modifiers.drop:
            self._session.process_response(exchange, arrival)
        if not going:
            self._begin_closing(now)
        return going

    def _label(self, step: AwaitStep, option: Option, arrival: Arrival, now: Instant) -> None:
        """Remember the message under its label; a request of the peer opens an exchange."""
        message = arrival.message
        if message is None or arrival.again:
            return
        if not message.is_response:
            arrival.exchange = self._opened(step.key, option.sa, arrival, message, now)
        self._session.dealt_with[arrival.raw] = arrival.exchange
        self._session.labels[step.key] = Labelled(message, [arrival.datagram], arrival.exchange)

    def _opened(self, key: str, sa_name: str, arrival: Arrival, message: Message, now: Instant) -> Exchange:
        """The exchange that a request of the peer begins."""
        session, datagram = self._session, arrival.datagram
        association = arrival.association
        if message.exchange_type == ExchangeType.IKE_SA_INIT:
            sa = IkeSa.responder(message, session.connection, datagram.destination, datagram.source)
            sa.received(arrival.raw)
            association = session.associations[sa_name] = Association(sa_name, sa)
        assert association is not None
        sa = association.sa
        if arrival.protected:
            sa.local, sa.remote = datagram.destination, datagram.source
            sa.next_expected_id = max(sa.next_expected_id, message.message_id + 1)
        context = session.context(now)
        exchange = Exchange(
            key, association, message.exchange_type, message.message_id, False, context, message, [datagram], arrival=arrival
        )
        association.exchanges.append(exchange)
        return exchange

    def _unmet(self, step: AwaitStep, actual: str, now: Instant) -> bool:
        """Enter an unmet line; False if the case ends. Its request keeps its message ID for the next one."""
        self._account.event(now, "--", f"not met: {step.text}", line=step.line, met=False, tag=step.tag)
        going = self._account.judge_line(step.tag, step.line, step.text, actual)
        if going:
            self._give_back_id(step)
        else:
            self._begin_closing(now)
        return going

    def _give_back_id(self, step: AwaitStep) -> None:
        for option in step.options:
            labelled = self._session.labels.get(option.answers)
            if labelled is not None and labelled.exchange is not None and labelled.exchange.ours:
                give_back_id(labelled.exchange)

    def _silent(self, step: AwaitStep, now: Instant) -> None:
        self._account.event(now, "--", step.text.removeprefix("<-").strip(), line=step.line, met=True, tag=step.tag)
        self._account.judge_line(step.tag, step.line, step.text, "")
        self._give_back_id(step)

    def _broken(self, step: AwaitStep, arrival: Arrival, now: Instant) -> bool:
        """Something came where silence was due."""
        self._left.remove(step)
        self._arrivals.remove(arrival)
        self._arrived(arrival, now, step, met=False)
        return self._unmet(step, text_of(arrival), now)

    def _arrived(self, arrival: Arrival, now: Instant, step: AwaitStep | None, *, met: bool | None) -> None:
        del now
        note = " (again)" if arrival.again else ""
        line, tag = (step.line, step.tag) if step else (0, None)
        size = len(arrival.datagram.data)
        self._account.event(
            arrival.at, "<-", text_of(arrival) + note, line=line, met=met, tag=tag, octets=size, message=arrival.message
        )

    # In the background --------------------------------------------------------------------------------------------------

    def _background(self, now: Instant) -> None:
        """Deal with arrivals that neither this line nor a later one speaks of."""
        for arrival in list(self._arrivals):
            self._judge.decode(arrival)
            if self._is_expected(arrival):
                continue
            self._arrivals.remove(arrival)
            self._arrived(arrival, now, None, met=None)
            self._deal_with(arrival, now)

    def _is_expected(self, arrival: Arrival) -> bool:
        """Whether this or a later line may speak of an arrival."""
        if arrival.again:
            return False
        if self._at >= len(self._steps):
            return False
        steps: list[AwaitStep] = list(self._left)
        for step in self._steps[self._at + 1 :]:
            steps += (step,) if isinstance(step, AwaitStep) else step.awaits if isinstance(step, AwaitAllStep) else ()
        return any(self._may_mean(arrival, option) for step in steps for option in step.options)

    def _may_mean(self, arrival: Arrival, option: Option) -> bool:
        what = option.what
        if isinstance(what, Silence):
            return self._judge.judge(arrival, option)[0] is Fit.FITS
        fit, _ = self._judge.judge(arrival, option)
        message = arrival.message
        if fit is Fit.DIFFERS and message is not None and not message.is_response:
            return message.exchange_type != ExchangeType.INFORMATIONAL  # liveness and news do not wait for their line
        return fit is not Fit.OTHER

    def _deal_with(self, arrival: Arrival, now: Instant) -> None:
        message = arrival.message
        if message is None or arrival.trouble:
            return
        if arrival.again:
            known = self._session.dealt_with.get(arrival.raw)
            if known is not None and not known.ours and known.response_datagrams:
                self._session.outbox += known.response_datagrams
            return
        if message.is_response:
            if arrival.exchange is not None:
                self._session.process_response(arrival.exchange, arrival)
            return
        if arrival.association is None or not arrival.protected:
            return
        exchange = self._opened("", arrival.association.name, arrival, message, now)
        self._session.dealt_with[arrival.raw] = exchange
        try:
            self._session.outbox += self._composer.background_answer(exchange, now)
        except (LookupError, TypeError):
            return
        if exchange.response is not None:
            size = sum(len(d.data) for d in exchange.response_datagrams)
            self._account.event(now, "->", shown(exchange.response), octets=size, message=exchange.response)

    # Verbs --------------------------------------------------------------------------------------------------------------

    def _ask(self, step: AskStep, now: Instant) -> bool:
        """Hand a verb to the peer once; it is done when the peer has answered."""
        self._background(now)
        if self._asked is not None:
            return False
        assert self._entered is not None
        if self._ask_again_at is not None and now < self._ask_again_at:
            return False
        if step.verb.counter is None and self._ask_again_at is None:
            self._account.event(now, "--", step.text, line=step.line)
        self._asked = next(self._numbers)
        self._requests.append(self._request(step))
        self._timer = self._ask_again_at = None
        return False

    def _request(self, step: AskStep) -> PeerRequest:
        assert self._asked is not None
        verb = step.verb
        spi = b""
        if verb.verb in {Verb.REKEY_CHILD, Verb.DELETE_CHILD, Verb.PING}:
            spi = self._session.child_spi(verb.child, "theirs", False)  # noqa: FBT003
        known = self._session.associations.get(step.sa)
        ike_spi = known.sa.spi_remote if known is not None and verb.verb is not Verb.INITIATE else b""
        if verb.verb is Verb.CREATE:
            self._session.next_child = verb.child
        return PeerRequest(self._asked, verb.verb, self.settings, verb.child, spi, ike_spi, verb.counter)

    def _counted(self, step: AskStep, value: int, now: Instant) -> None:
        """Compare a counter; it may lag, so it is looked at again until patience is over."""
        counter, expected = step.verb.counter, step.verb.expected
        assert counter is not None and self._entered is not None
        before = self._counters.get(counter)
        if before is None or expected is None:
            self._counters[counter] = value
            if expected is None:
                self._next()
                return
        base = self._counters[counter] if before is None else before
        wanted = base + expected.delta if isinstance(expected, Offset) else expected.value if isinstance(expected, Number) else 0
        if value != wanted and now < self._entered + PATIENCE * self.place.slow:
            self._timer = self._ask_again_at = now + POLL
            return
        self._counters[counter] = value
        actual = "" if value == wanted else f"{counter} went from {base} to {value}" if isinstance(expected, Offset) else f"{counter} is {value}"
        self._account.event(now, "--", step.text, line=step.line, met=not actual, tag=step.verb.tag)
        going = self._account.judge_line(step.verb.tag, step.line, step.text, actual)
        if going:
            self._next()
        else:
            self._begin_closing(now)

    # The end ------------------------------------------------------------------------------------------------------------

    def _begin_closing(self, now: Instant) -> None:
        """Delete what is still up, so that the peer stays clean; the verdict is made already."""
        if self._closing is not None:
            return
        self._left = []
        self._at = len(self._steps)
        self._entered = now
        self._closing = []
        for association in list(self._session.associations.values()):
            sa = association.sa
            if association.established and not association.closed and sa.keys is not None and sa.successor is None:
                exchange = self._composer.delete(association, now)
                self._session.outbox += exchange.request_datagrams
                exchange.retransmit_at = now + self.place.retransmit if self.place.retransmit else None
                self._closing.append(exchange)
        self._account.event(now, "--", "end of the script")

    def _close(self, now: Instant) -> None:
        self._background(now)
        open_still = [e for e in self._closing or () if e.response is None]
        if not open_still or self._until(now, TIDY * self.place.slow):
            self._finish(None, None, now)

    def _finish(self, verdict: Verdict | None, reason: Reason | None, now: Instant) -> None:
        if reason is not None:
            self._account.reason = reason
        keys = keytables.tables(self._session) if hasattr(self, "_session") else {}
        self.result = self._account.result(self._steps, now, keys, verdict)


def _baselines(case: Case) -> list[Step]:
    """A first look at every counter that a line wants to have grown."""
    counters = dict.fromkeys(
        line.counter for line in case.lines if isinstance(line, PeerVerb) and line.counter and isinstance(line.expected, Offset)
    )
    steps: list[Step] = []
    for counter in counters:
        verb = PeerVerb(Verb.COUNTER, "", "", counter, None, None, Spot(), "")
        steps.append(AskStep(verb, "", 0, f"peer counter {counter}"))
    return steps


