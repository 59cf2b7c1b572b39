"""Scripts for a peer that can set up no Child SA, because the kernel it leaves ESP to has none.

Such a peer answers IKE_AUTH with IDr, AUTH and an error notify, and the IKE SA lives on (RFC 7296 section 1.2). What
a script says of IKE holds all the same; what it says of Child SAs cannot be tried.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import ExchangeType, NotifyType, PayloadType, ProtocolId
from ipsectest.scenario.model import ChildSpi, Condition, DataPattern, MessagePattern, PayloadItem
from ipsectest.scenario.ports import Counter, Verb
from ipsectest.scenario.steps import AskStep, AwaitAllStep, AwaitStep, Option, SendStep, Step

NOTE = "IKE only: no Child SA was asked of the peer's IKE_AUTH responses, and ours refused the one it wanted"
_CHILD_PAYLOADS = frozenset({PayloadType.SA, PayloadType.TSi, PayloadType.TSr})
_REFUSAL = (
    PayloadItem("SA", int(PayloadType.SA), action="-"),
    PayloadItem("TSi", int(PayloadType.TSi), action="-"),
    PayloadItem("TSr", int(PayloadType.TSr), action="-"),
    PayloadItem("N", int(PayloadType.N), notify=int(NotifyType.NO_PROPOSAL_CHOSEN)),
)
_CHILD_VERBS = frozenset({Verb.CREATE, Verb.REKEY_CHILD, Verb.DELETE_CHILD, Verb.PING})
_CHILD_COUNTERS = frozenset({Counter.REPLAY, Counter.INTEGRITY, Counter.CHILD_SAS})


def ike_only(steps: list[Step], why: str) -> list[Step]:
    """The steps without Child SAs in IKE_AUTH: not wished for in the peer's responses, refused in ours.

    A peer whose Child SA we took would at once send a Delete for it, into whatever the script is about.
    Raises UnsupportedError, with the line and ``why``, if more than that needs a Child SA.
    """
    reader = _Reader(why)
    return [reader.step(step) for step in steps]


class _Reader:
    """Goes through the steps in order: which CREATE_CHILD_SA exchanges rekey the IKE SA shows in their requests."""

    def __init__(self, why: str) -> None:
        self._why = why
        self._ike_rekeys: set[str] = set()
        self._asked_for_ike_rekey = False

    def step(self, step: Step) -> Step:
        match step:
            case SendStep():
                if self._is_ike_rekey(step.what, step.answers):
                    self._ike_rekeys.add(step.key)
                elif _needs_child(step.what):
                    raise self._unsupported(step.text)
                return _refusing(step)
            case AwaitStep():
                return self._await(step)
            case AwaitAllStep():
                return replace(step, awaits=tuple(self._await(one) for one in step.awaits))
            case AskStep(verb=verb):
                if verb.verb in _CHILD_VERBS or verb.counter in _CHILD_COUNTERS:
                    raise self._unsupported(step.text)
                self._asked_for_ike_rekey |= verb.verb is Verb.REKEY_IKE
        return step

    def _await(self, step: AwaitStep) -> AwaitStep:
        options = tuple(_without_child(option) for option in step.options)
        for option in options:
            asked = self._asked_for_ike_rekey and not option.response
            if self._is_ike_rekey(option.what, option.answers, asked=asked):
                self._ike_rekeys.add(step.key)
            elif _needs_child(option.what):
                raise self._unsupported(step.text)
        is_auth = any(_is_auth_response(option) for option in options)
        for condition in step.conditions:
            if _condition_needs_child(condition, is_auth=is_auth):
                raise self._unsupported(condition.text)
        return replace(step, options=options)

    def _is_ike_rekey(self, what: object, answers: str, *, asked: bool = False) -> bool:
        if not isinstance(what, MessagePattern) or what.exchange != ExchangeType.CREATE_CHILD_SA:
            return False
        return asked or answers in self._ike_rekeys or _offers_ike(what)

    def _unsupported(self, text: str) -> UnsupportedError:
        return UnsupportedError(f"a Child SA for {text.strip()!r}", self._why)


def _without_child(option: Option) -> Option:
    what = option.what
    if not isinstance(what, MessagePattern) or not _is_auth_response(option):
        return option
    kept = tuple(i for i in what.items if i.type not in _CHILD_PAYLOADS or i.action == "-" or not i.is_bare)
    return replace(option, what=replace(what, items=kept, ellipsis=what.ellipsis or kept != what.items))


def _refusing(step: SendStep) -> SendStep:
    """Our IKE_AUTH response, where the script leaves it to us, with a refusal instead of the Child SA."""
    what = step.what
    if not isinstance(what, MessagePattern) or what.exchange != ExchangeType.IKE_AUTH or not step.response:
        return step
    if not what.ellipsis or any(item.type in _CHILD_PAYLOADS for item in what.items):
        return step
    return replace(step, what=replace(what, items=(*what.items, *_REFUSAL)))


def _is_auth_response(option: Option) -> bool:
    return (
        isinstance(option.what, MessagePattern)
        and option.what.exchange == ExchangeType.IKE_AUTH
        and bool(option.answers)
    )


def _needs_child(what: object) -> bool:
    """Whether a message speaks of a Child SA that has to be there."""
    if isinstance(what, DataPattern):
        return True
    if not isinstance(what, MessagePattern):
        return any(isinstance(part, ChildSpi) for part in _parts(what))
    return what.exchange == ExchangeType.CREATE_CHILD_SA or any(isinstance(part, ChildSpi) for part in _parts(what))


def _offers_ike(pattern: MessagePattern) -> bool:
    """An offer for an IKE SA, or payloads that say that no Child SA is meant."""
    offer = pattern.item(PayloadType.SA)
    if offer is not None and offer.offer is not None and offer.offer.protocol == ProtocolId.IKE:
        return True
    left_out = {item.type for item in pattern.items if item.action == "-"}
    return {PayloadType.TSi, PayloadType.TSr} <= left_out


def _condition_needs_child(condition: Condition, *, is_auth: bool) -> bool:
    if condition.data is not None:
        return True
    wanted: list[PayloadItem] = [item for item in condition.items if item.action != "-"]
    if is_auth and any(item.type in _CHILD_PAYLOADS for item in wanted):
        return True
    return any(isinstance(part, ChildSpi) for part in _parts(condition))


def _parts(value: object) -> Iterator[object]:
    """Everything a literal of the model is made of."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, tuple):
            waiting += one
        elif is_dataclass(one):
            waiting += [getattr(one, field.name) for field in fields(one)]
