"""Script lines -> steps: which line is a request or a response, of whom, on which IKE SA.

A script has no conditions, so all this is known before anything is sent
(docs/notation.md, "Requests, responses, message IDs").
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ipsectest.base.iana import ExchangeType, NotifyType, PayloadType
from ipsectest.scenario.model import (
    Alternative,
    AnyOrder,
    Case,
    ChildSpi,
    Condition,
    Copied,
    DataPattern,
    Edit,
    Expect,
    Incoming,
    Inverse,
    Kind,
    Line,
    MessagePattern,
    Modifiers,
    NatHash,
    Operand,
    Outgoing,
    PayloadItem,
    PeerVerb,
    PingLine,
    Repeat,
    SamePattern,
    Send,
    Silence,
    Spot,
    Tag,
    UseTunnel,
    Wait,
)
from ipsectest.scenario.ports import Verb
from ipsectest.scenario.reader import Problem
from ipsectest.scenario.syntax import nearest

FIRST_SA = "ike"
FIRST_CHILD = "net"
NEW = "new"
"""Name of a Child SA or IKE SA that a CREATE_CHILD_SA exchange without a label makes."""
_RESPONSE_ONLY = ("Nr",)


@dataclass(frozen=True, slots=True)
class SendStep:
    """A ``->`` line. ``answers``: key of the peer's request, empty for our own requests and unasked responses."""

    what: Outgoing
    modifiers: Modifiers
    key: str
    sa: str
    response: bool
    answers: str
    answered: bool
    """Whether some line takes the response: only then the message ID is used up."""
    nat: bool
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Option:
    """One way to meet a ``<-`` line; ``answers``: key of our request."""

    what: Incoming
    modifiers: Modifiers
    sa: str
    response: bool
    answers: str
    text: str


@dataclass(frozen=True, slots=True)
class AwaitStep:
    """A ``<-`` line."""

    options: tuple[Option, ...]
    conditions: tuple[Condition, ...]
    tag: Tag | None
    key: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class AwaitAllStep:
    """``in any order:``."""

    awaits: tuple[AwaitStep, ...]
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class AskStep:
    """A verb for the peer."""

    verb: PeerVerb
    sa: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class RepeatStep:
    """Send what was held, or what was sent, again."""

    key: str
    held: bool
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class PauseStep:
    """Let time pass."""

    seconds: float
    line: int
    text: str


Step = SendStep | AwaitStep | AwaitAllStep | AskStep | RepeatStep | PauseStep


@dataclass(slots=True)
class _Open:
    """A request without answer."""

    key: str
    exchange: int
    sa: str


class Resolver:
    """Walks the lines of a case once; ``steps`` and ``problems`` are what it found."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.steps: list[Step] = []
        self.problems: list[Problem] = []
        self._ours: list[_Open] = []
        self._theirs: list[_Open] = []
        self._answered: set[str] = set()
        self._labels: dict[str, tuple[str, int, bool]] = {}
        """Label -> (IKE SA, exchange type, sent by us)."""
        self._children = {FIRST_CHILD, NEW, *(line.child for line in case.lines if isinstance(line, UseTunnel))}
        self._sas = {FIRST_SA, NEW}
        self._number = 0
        self._spoken_for = {m.answers for m, _ in _messages(case.lines) if m.answers}
        """Requests that a line answers by name: no other line is taken for their answer."""

    def run(self) -> "Resolver":
        """Resolve all lines."""
        self._forward_names()
        for line in self.case.lines:
            for plain in self._expanded(line):
                self._resolve(plain)
        self.steps = [
            replace(step, answered=step.key in self._answered) if isinstance(step, SendStep) else step
            for step in self.steps
        ]
        return self

    def _forward_names(self) -> None:
        """Names that lines give: labels of CREATE_CHILD_SA, and ``on`` with IKE_SA_INIT or peer initiate."""
        for modifiers, what in _messages(self.case.lines):
            if isinstance(what, MessagePattern) and what.exchange == ExchangeType.CREATE_CHILD_SA and modifiers.label:
                self._children.add(modifiers.label)
                self._sas.add(modifiers.label)
            if isinstance(what, MessagePattern) and what.exchange == ExchangeType.IKE_SA_INIT and modifiers.sa:
                self._sas.add(modifiers.sa)
        for line in self.case.lines:
            if isinstance(line, UseTunnel) or (isinstance(line, PeerVerb) and line.verb is Verb.INITIATE):
                self._sas.add(line.sa or FIRST_SA)
            if isinstance(line, PeerVerb) and line.verb is Verb.CREATE:
                self._children.add(line.child)

    # Lines that stand for several -----------------------------------------------------------------------------------

    def _expanded(self, line: Line) -> Iterator[Line]:
        if isinstance(line, UseTunnel):
            yield from _tunnel(line, peer_initiates=self.case.peer_initiates)
        elif isinstance(line, PingLine):
            yield Send(
                DataPattern(line.child, "ping", spot=line.spot), Modifiers(), line.spot, f"-> ESP({line.child}) ping"
            )
            text = f"<- ESP({line.child}) pong"
            pong = Alternative(DataPattern(line.child, "pong", spot=line.spot), Modifiers(), line.spot, text)
            yield Expect((pong,), (), line.tag, line.spot, text)
        else:
            yield line

    # One line -------------------------------------------------------------------------------------------------------

    def _resolve(self, line: Line) -> None:
        match line:
            case Send():
                self._send(line)
            case Expect():
                self.steps.append(self._await(line))
            case AnyOrder():
                self.steps.append(AwaitAllStep(tuple(self._await(e) for e in line.lines), line.spot.line, line.text))
            case PeerVerb():
                self._name("IKE SA", line.sa or FIRST_SA, self._sas, line.spot)
                if line.verb in {Verb.REKEY_CHILD, Verb.DELETE_CHILD, Verb.PING}:
                    self._name("Child SA", line.child, self._children, line.spot)
                self.steps.append(AskStep(line, line.sa or FIRST_SA, line.spot.line, line.text))
            case Repeat():
                self._label(line.label, line.spot)
                self.steps.append(RepeatStep(line.label, line.held, line.spot.line, line.text))
            case Wait():
                self.steps.append(PauseStep(line.seconds, line.spot.line, line.text))
            case _:
                raise AssertionError(line)

    def _send(self, line: Send) -> None:
        what, modifiers = line.what, line.modifiers
        sa = self._sa_of(modifiers, line.spot)
        key = self._key(modifiers)
        response, answers = False, ""
        self._check_names(what, (), line.spot)
        if isinstance(what, MessagePattern):
            response, answers = self._direction(what, modifiers, sa, self._theirs)
            self._labels[key] = (sa, what.exchange, True)
            if not response:
                self._ours.append(_Open(key, what.exchange, sa))
        elif isinstance(what, DataPattern) and not what.child and what.carrier != "clear":
            problem = f"a sent {what.carrier} line names its Child SA"
            self.problems.append(Problem(what.spot, problem, f"-> {what.carrier}(net) ping"))
        self.steps.append(
            SendStep(what, modifiers, key, sa, response, answers, False, _claims_nat(what), line.spot.line, line.text)
        )

    def _await(self, line: Expect) -> AwaitStep:
        key = self._key(line.first.modifiers)
        options = tuple(self._option(alternative, key) for alternative in line.alternatives)
        for condition in line.conditions:
            self._check_names(condition.data, condition.items, condition.spot)
        for option in options:
            if option.answers and not option.modifiers.drop:
                self._ours = [o for o in self._ours if o.key != option.answers]
        return AwaitStep(options, line.conditions, line.tag, key, line.spot.line, line.text)

    def _option(self, line: Alternative, key: str) -> Option:
        what, modifiers = line.what, line.modifiers
        if isinstance(what, Silence):
            return self._silence(what, line)
        sa = self._sa_of(modifiers, line.spot)
        response, answers = False, ""
        self._check_names(what, (), line.spot)
        if isinstance(what, MessagePattern):
            response, answers = self._direction(what, modifiers, sa, self._ours)
            self._labels[key] = (sa, what.exchange, False)
            if answers:
                self._answered.add(answers)
            elif not response:
                self._theirs.append(_Open(key, what.exchange, sa))
        return Option(what, modifiers, sa, response, answers, line.text)

    def _silence(self, what: Silence, line: Alternative) -> Option:
        modifiers = what.modifiers or line.modifiers
        sa = self._sa_of(modifiers, line.spot)
        response, answers = False, ""
        if what.but is not None:
            self._check_names(what.but, (), line.spot)
        if isinstance(what.but, SamePattern | DataPattern):
            return Option(what, modifiers, sa, response, answers, line.text)
        if what.but is not None:
            response, answers = self._direction(what.but, modifiers, sa, self._ours)
        self._ours = [o for o in self._ours if o.sa != sa]
        return Option(what, modifiers, sa, response, answers, line.text)

    def _direction(self, what: MessagePattern, modifiers: Modifiers, sa: str, asked: list[_Open]) -> tuple[bool, str]:
        """(response?, key of the request it answers) for a message, given the open requests of the other side."""
        if modifiers.answers:
            self._label(modifiers.answers, what.spot)
            asked[:] = [o for o in asked if o.key != modifiers.answers]
            return True, modifiers.answers
        names = {item.name for item in what.items if item.action != "-"}
        notifies = {item.notify for item in what.items}
        if modifiers.kind is Kind.REQUEST or "Ni" in names or NotifyType.REKEY_SA in notifies:
            return False, ""
        for request in asked:
            if request.exchange == what.exchange and request.sa == sa and request.key not in self._spoken_for:
                if asked is self._theirs:
                    asked.remove(request)
                return True, request.key
        return modifiers.kind is Kind.RESPONSE or not names.isdisjoint(_RESPONSE_ONLY), ""

    # Names ----------------------------------------------------------------------------------------------------------

    def _key(self, modifiers: Modifiers) -> str:
        self._number += 1
        if modifiers.label:
            return modifiers.label
        return f"#{self._number}"

    def _sa_of(self, modifiers: Modifiers, spot: Spot) -> str:
        if modifiers.answers in self._labels and not modifiers.sa:
            return self._labels[modifiers.answers][0]
        return self._name("IKE SA", modifiers.sa or FIRST_SA, self._sas, spot)

    def _name(self, what: str, name: str, known: set[str], spot: Spot) -> str:
        if name not in known:
            near = nearest(name, sorted(known))
            self.problems.append(
                Problem(spot, f"no {what} is called {name!r}", f"did you mean {near!r}?" if near else "")
            )
        return name

    def _label(self, label: str, spot: Spot) -> None:
        if label not in self._labels:
            near = nearest(label, [k for k in self._labels if not k.startswith("#")])
            hint = f"did you mean {near!r}?" if near else "label a message with: as NAME"
            self.problems.append(Problem(spot, f"no message above is called {label!r}", hint))

    def _check_names(self, what: Incoming | None, items: tuple[PayloadItem, ...], spot: Spot) -> None:
        """Labels and Child SA names inside brackets."""
        if isinstance(what, SamePattern):
            self._label(what.label, what.spot)
        if isinstance(what, DataPattern) and what.child:
            self._name("Child SA", what.child, self._children, what.spot)
        if isinstance(what, MessagePattern):
            items += what.items
        for item in items:
            for operand in (*(e.operand for e in item.edits), *item.spis):
                self._check_operand(operand, item.spot or spot)

    def _check_operand(self, operand: Operand, spot: Spot) -> None:
        if isinstance(operand, Inverse):
            self._check_operand(operand.operand, spot)
        elif isinstance(operand, Copied):
            self._label(operand.label, spot)
        elif isinstance(operand, ChildSpi) and operand.child:
            self._name("Child SA", operand.child, self._children, spot)


def resolve(case: Case) -> Resolver:
    """The steps of a case and what is wrong with its names."""
    return Resolver(case).run()


def _messages(lines: tuple[Line, ...]) -> Iterator[tuple[Modifiers, Outgoing | Incoming]]:
    for line in lines:
        if isinstance(line, Send):
            yield line.modifiers, line.what
        elif isinstance(line, Expect | AnyOrder):
            for expect in (line,) if isinstance(line, Expect) else line.lines:
                for alternative in expect.alternatives:
                    yield alternative.modifiers, alternative.what


def _claims_nat(what: Outgoing) -> bool:
    """Whether a message pretends a NAT: a wrong NAT detection hash."""
    return isinstance(what, MessagePattern) and any(
        item.notify in {NotifyType.NAT_DETECTION_SOURCE_IP, NotifyType.NAT_DETECTION_DESTINATION_IP} and item.edits
        for item in what.items
    )


def _tunnel(line: UseTunnel, *, peer_initiates: bool) -> Iterator[Line]:
    """The ladder of ``use tunnel``: IKE_SA_INIT and IKE_AUTH in the role of the case, without tags."""
    init, auth = int(ExchangeType.IKE_SA_INIT), int(ExchangeType.IKE_AUTH)
    modifiers = Modifiers(sa=line.sa)
    nat = (_nat_item(line.spot),) if line.behind_nat else ()
    hello = MessagePattern(init, nat, ellipsis=True, spot=line.spot)
    prove = MessagePattern(auth, ellipsis=True, spot=line.spot)
    if peer_initiates:
        yield PeerVerb(Verb.INITIATE, line.child, line.sa, None, None, None, line.spot, line.text)
        yield _expectation(line, init, ("SA", "KE", "Ni"), Kind.REQUEST)
        yield Send(hello, modifiers, line.spot, line.text)
        yield _expectation(line, auth, ("IDi", "AUTH", "SA", "TSi", "TSr"), Kind.REQUEST)
        yield Send(prove, modifiers, line.spot, line.text)
        # What comes next must not overtake our response in the peer, so its last message has to be one it answers.
        alive = MessagePattern(int(ExchangeType.INFORMATIONAL), ellipsis=True, spot=line.spot)
        yield Send(alive, replace(modifiers, kind=Kind.REQUEST), line.spot, line.text)
        yield _expectation(line, int(ExchangeType.INFORMATIONAL), (), Kind.RESPONSE)
    else:
        yield Send(hello, modifiers, line.spot, line.text)
        yield _expectation(line, init, ("SA", "KE", "Nr"), Kind.RESPONSE)
        yield Send(prove, modifiers, line.spot, line.text)
        yield _expectation(line, auth, ("IDr", "AUTH", "SA", "TSi", "TSr"), Kind.RESPONSE)


_TYPES = {
    "SA": PayloadType.SA,
    "KE": PayloadType.KE,
    "Ni": PayloadType.NONCE,
    "Nr": PayloadType.NONCE,
    "IDi": PayloadType.IDi,
    "IDr": PayloadType.IDr,
    "AUTH": PayloadType.AUTH,
    "TSi": PayloadType.TSi,
    "TSr": PayloadType.TSr,
}


def _expectation(line: UseTunnel, exchange: int, names: tuple[str, ...], kind: Kind) -> Expect:
    items = tuple(PayloadItem(name, int(_TYPES[name]), spot=line.spot) for name in names)
    pattern = MessagePattern(exchange, items, ellipsis=True, spot=line.spot)
    text = f"<- {ExchangeType(exchange).name} {' '.join(names)} ... ({line.text})"
    modifiers = Modifiers(sa=line.sa, kind=Kind.AUTO if kind is Kind.RESPONSE else kind)
    return Expect((Alternative(pattern, modifiers, line.spot, text),), (), None, line.spot, text)


def _nat_item(spot: Spot) -> PayloadItem:
    source = int(NotifyType.NAT_DETECTION_SOURCE_IP)
    return PayloadItem("N", int(PayloadType.N), (Edit("data", NatHash(matches=False)),), notify=source, spot=spot)
