"""The peer's message against an expected line: what does not fit, in words."""

from collections.abc import Callable
from dataclasses import dataclass

from ipsectest.base.iana import HeaderFlag, NotifyType, PayloadType, TransformType
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.ike import selectors
from ipsectest.ike.config import Identity
from ipsectest.scenario.model import Edit, MessagePattern, NatHash, PayloadItem, ProposalItem, SelectorWords
from ipsectest.scenario.payloads import belongs, correct_number
from ipsectest.scenario.values import Values
from ipsectest.wire import (
    AUTH,
    CP,
    KE,
    SA,
    Delete,
    Identification,
    Message,
    Notify,
    Payload,
    Proposal,
    TrafficSelector,
    TrafficSelectors,
    payload_name,
)

_BITS = {"i": HeaderFlag.INITIATOR, "r": HeaderFlag.RESPONSE, "v": HeaderFlag.VERSION}
_KNOWN_NOTIFIES = frozenset(int(n) for n in NotifyType)


@dataclass(slots=True)
class Matcher:
    """Compares one message of the peer with what is written; every method gives "" or what does not fit."""

    values: Values
    identity_of: Callable[[PayloadItem], Identity]
    selector: Callable[[SelectorWords], TrafficSelector]
    nat_hash: Callable[[Notify], bytes]
    """The NAT detection hash that fits the message's addresses."""
    next_number: int = 0
    """What ``id=+0`` stands for."""
    choosing: bool = False
    """Whether an SA payload is a choice, as in responses, and not an offer."""

    def message(self, pattern: MessagePattern, message: Message, *, ordered: bool = False) -> str:
        """A whole message against a line."""
        if message.exchange_type != pattern.exchange:
            return f"exchange type {message.exchange_type} instead of {pattern.exchange}"
        return self.header(pattern.header, message) or self.payloads(pattern, message, ordered=ordered)

    def header(self, edits: tuple[Edit, ...], message: Message) -> str:
        """HDR(...)."""
        for edit in edits:
            bit = _BITS.get(edit.name)
            actual = int(bool(message.flags & bit)) if bit else getattr(message, edit.name)
            if isinstance(actual, bytes):
                if not self.values.fits_octets(edit.operand, actual):
                    return f"HDR {edit.name} is 0x{actual.hex()}"
            elif not self.values.fits_number(edit.operand, _number(message, edit.name, actual), self.next_number):
                return f"HDR {edit.name} is {_number(message, edit.name, actual)}"
        return ""

    def payloads(self, pattern: MessagePattern, message: Message, *, ordered: bool = False) -> str:
        """The written payloads are there, the unwanted ones are not, and without ``...`` nothing else is."""
        left = list(message.payloads)
        last = -1
        for item in pattern.items:
            if item.action == "-":
                if any(belongs(p, item) and not self._differs(p, item) for p in message.payloads):
                    return f"{_written(item)} is there"
                continue
            for _ in range(item.count or 1):
                found, why = self._find(left, item)
                if found is None:
                    return why
                left.remove(found)
                place = next(i for i, p in enumerate(message.payloads) if p is found)
                if ordered and place < last:
                    return f"{_written(item)} is not in the written order"
                last = place
            if item.count and any(belongs(p, item) for p in left):
                return f"more than {item.count} {_written(item)}"
        if not pattern.ellipsis:
            extra = [payload_name(p, is_response=message.is_response) for p in left if not _tolerated(p)]
            if extra:
                return f"{' '.join(extra)} not expected"
        return ""

    def _find(self, payloads: list[Payload], item: PayloadItem) -> tuple[Payload | None, str]:
        why = f"no {_written(item)}"
        for payload in payloads:
            if belongs(payload, item):
                difference = self._differs(payload, item)
                if not difference:
                    return payload, ""
                why = f"{_written(item)}: {difference}"
        return None, why

    # One payload ----------------------------------------------------------------------------------------------------

    def _differs(self, payload: Payload, item: PayloadItem) -> str:
        """What of the written arguments a payload does not have."""
        if item.is_bare:
            return ""
        difference = self._details(payload, item)
        for edit in item.edits:
            difference = difference or self._field(payload, edit)
        return difference

    def _details(self, payload: Payload, item: PayloadItem) -> str:  # noqa: PLR0911 - one answer for each type
        match payload:
            case SA() if item.offer is not None:
                return self._offer(payload, item)
            case KE() if item.group is not None and payload.group != item.group:
                return f"group {payload.group}"
            case AUTH() if item.method is not None and payload.method != item.method:
                return f"method {payload.method}"
            case Identification() if item.identity is not None:
                wanted = self.identity_of(item)
                same = (payload.id_type, payload.data) == (wanted.type, wanted.data)
                return "" if same else f"it is {Identity(payload.id_type, payload.data)}"
            case Delete() if item.delete is not None:
                return self._delete(payload, item)
            case TrafficSelectors() if item.selectors:
                return self._selectors(payload, item)
            case CP() if item.cfg_type is not None:
                return self._configuration(payload, item)
        return ""

    def _field(self, target: object, edit: Edit) -> str:
        name = edit.name
        if name == "size":
            size = len(getattr(target, "data", b""))
            return "" if self.values.fits_number(edit.operand, size) else f"{size} octets"
        actual = getattr(target, name, None)
        if isinstance(target, Notify) and isinstance(edit.operand, NatHash):
            same = (target.data == self.nat_hash(target)) is edit.operand.matches
            return "" if same else "the hash does not fit" if edit.operand.matches else "the hash fits"
        if isinstance(actual, bytes):
            return "" if self.values.fits_octets(edit.operand, actual) else f"{name} is 0x{actual.hex()}"
        if actual is None:
            actual = correct_number(target, name)
        return "" if self.values.fits_number(edit.operand, int(actual)) else f"{name} is {int(actual)}"

    def _offer(self, payload: SA, item: PayloadItem) -> str:
        offer = item.offer
        if offer is None:
            return ""
        if offer.protocol is not None and any(p.protocol != offer.protocol for p in payload.proposals):
            return f"protocol {payload.proposals[0].protocol}"
        if self.choosing and len(payload.proposals) != 1:
            return f"{len(payload.proposals)} proposals"
        for written in offer.proposals:
            problems = [self._proposal(p, written) for p in payload.proposals] or ["no proposal"]
            if all(problems):
                return problems[0]
        return ""

    def _proposal(self, proposal: Proposal, written: ProposalItem) -> str:
        specs = [t.spec for t in proposal.transforms]
        if written.suite is not None and not _suite_fits(specs, written.suite, choice=self.choosing):
            return format_suite(specs)
        for edit in written.edits:
            if edit.name not in {"keylen", "attribute"} and not edit.name.startswith("transform_"):
                problem = self._field(proposal, edit)
                if problem:
                    return problem
        return ""

    def _delete(self, payload: Delete, item: PayloadItem) -> str:
        if payload.protocol != item.delete:
            return f"protocol {payload.protocol}"
        if not item.spis:
            return ""
        unmatched = list(payload.spis)
        for spi in item.spis:
            found = next((s for s in unmatched if self.values.fits_octets(spi, s)), None)
            if found is None:
                return f"SPIs {' '.join(s.hex() for s in payload.spis)}"
            unmatched.remove(found)
        return f"also SPIs {' '.join(s.hex() for s in unmatched)}" if unmatched else ""

    def _selectors(self, payload: TrafficSelectors, item: PayloadItem) -> str:
        actual = selectors.usable(payload.selectors)
        wanted = [self.selector(words) for words in item.selectors]
        shown = selectors.text(actual)
        relation = item.selectors[0].relation
        if relation == "within":
            return "" if selectors.within(actual, wanted) else shown
        if relation == "covers":
            return "" if all(any(selectors.contains(a, w) for a in actual) for w in wanted) else shown
        same = len(actual) == len(wanted) and all(any(selectors.same(a, w) for a in actual) for w in wanted)
        return "" if same else shown

    def _configuration(self, payload: CP, item: PayloadItem) -> str:
        if payload.cfg_type != item.cfg_type:
            return f"type {payload.cfg_type}"
        for attribute in item.attributes:
            values = [a.value for a in payload.attributes if a.type == attribute.type]
            if not values or (attribute.value is not None and attribute.value not in values):
                return f"no attribute {attribute.type}"
        return ""


def _number(message: Message, name: str, actual: object) -> int:
    if isinstance(actual, int):
        return int(actual)
    return len(message.raw) if name == "length" else 0


def _suite_fits(actual: list[TransformSpec], written: tuple[TransformSpec, ...], *, choice: bool) -> bool:
    """A choice has one transform of each written type; an offer has all the written ones."""
    if not choice:
        return set(written) <= set(actual)
    kinds = {spec.type for spec in written}
    for spec in actual:
        is_implied = spec.type == TransformType.ESN and TransformType.ESN not in kinds
        if spec not in written and not is_implied:
            return False
    actual_kinds = [spec.type for spec in actual]
    return len(set(actual_kinds)) == len(actual_kinds) and kinds <= set(actual_kinds)


def _tolerated(payload: Payload) -> bool:
    """Vendor IDs and status notifies that IANA does not know (RFC 7296 sections 3.10.1 and 3.12)."""
    if payload.type == PayloadType.V:
        return True
    return isinstance(payload, Notify) and payload.notify_type >= 16384 and payload.notify_type not in _KNOWN_NOTIFIES


def _written(item: PayloadItem) -> str:
    """The item's name as in the script."""
    if item.notify is not None:
        try:
            return f"N({NotifyType(item.notify).name})"
        except ValueError:
            return f"N({item.notify})"
    return f"PAYLOAD({item.type})" if item.name == "PAYLOAD" else item.name
