"""Items of a sent line -> payloads: edit what a correct endpoint would send, or make what it would not."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

from ipsectest.base.iana import NotifyType, PayloadType, ProtocolId, TransformType
from ipsectest.crypto import key_exchange
from ipsectest.ike.config import Identity
from ipsectest.scenario.model import Edit, Number, Octets, PayloadItem, ProposalItem, SelectorWords
from ipsectest.scenario.values import Values
from ipsectest.wire import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    KE,
    SA,
    SKF,
    Attribute,
    ConfigurationAttribute,
    Delete,
    Identification,
    IDi,
    IDr,
    Nonce,
    Notify,
    Payload,
    Proposal,
    TrafficSelector,
    TrafficSelectors,
    Transform,
    TSi,
    TSr,
    UnknownPayload,
    VendorID,
    build_payloads,
)

_KEY_LENGTH = 14
_PROTOCOL_OF: dict[int, int] = {NotifyType.REKEY_SA: ProtocolId.ESP, NotifyType.CHILD_SA_NOT_FOUND: ProtocolId.ESP}
"""Notifies about a Child SA carry its protocol beside the SPI (RFC 7296 section 3.10)."""


@dataclass(slots=True)
class Workshop:
    """Makes and edits the payloads of one line."""

    values: Values
    identity_of: Callable[[PayloadItem], Identity]
    """The identity that IDi(...) or IDr(...) means."""
    selector: Callable[[SelectorWords], TrafficSelector]
    next_number: int = 1

    # Whole lists ----------------------------------------------------------------------------------------------------

    def assemble(self, composed: list[Payload], items: tuple[PayloadItem, ...], *, ellipsis: bool) -> list[Payload]:
        """The payloads of a line, given what a correct endpoint would send."""
        items = tuple(item for item in items if not item.place)
        if not ellipsis:
            return self._exactly(composed, items)
        payloads = list(composed)
        for item in items:
            found = [p for p in payloads if belongs(p, item)]
            if item.action == "-":
                payloads = [p for p in payloads if p not in found]
            elif item.action == "+" or not found:
                self._insert(payloads, item)
            else:
                self.edit(found[0], item)
                at = payloads.index(found[0])
                payloads[at + 1 : at + 1] = [copy.deepcopy(found[0]) for _ in range((item.count or 1) - 1)]
        return payloads

    def _insert(self, payloads: list[Payload], item: PayloadItem) -> None:
        made = self.make_all(item)
        at = item.at
        if at is None:
            at = 0 if item.notify == NotifyType.COOKIE and not item.action else len(payloads)
        payloads[at:at] = made

    def _exactly(self, composed: list[Payload], items: tuple[PayloadItem, ...]) -> list[Payload]:
        left = list(composed)
        payloads: list[Payload] = []
        for item in items:
            correct = next((p for p in left if belongs(p, item)), None)
            if correct is None:
                payloads += self.make_all(item)
                continue
            left.remove(correct)
            self.edit(correct, item)
            payloads += [correct, *(copy.deepcopy(correct) for _ in range((item.count or 1) - 1))]
        return payloads

    def outside(self, items: tuple[PayloadItem, ...], place: str) -> list[Payload]:
        """Payloads that the line puts before or after SK."""
        return [p for item in items if item.place == place for p in self.make_all(item)]

    def make_all(self, item: PayloadItem) -> list[Payload]:
        """New payloads for an item, as many as it says."""
        return [self._made(item) for _ in range(item.count or 1)]

    def _made(self, item: PayloadItem) -> Payload:
        payload = self._blank(item)
        self.edit(payload, item)
        return payload

    # One payload ----------------------------------------------------------------------------------------------------

    def _blank(self, item: PayloadItem) -> Payload:
        """A sound payload of the item's type, with nothing of the exchange in it."""
        random = self.values.random
        makers: dict[int, Callable[[], Payload]] = {
            PayloadType.SA: lambda: SA([]),
            PayloadType.KE: lambda: KE(item.group or 0, b""),
            PayloadType.IDi: lambda: IDi(0, b""),
            PayloadType.IDr: lambda: IDr(0, b""),
            PayloadType.CERT: lambda: CERT(4, b""),
            PayloadType.CERTREQ: lambda: CERTREQ(4, b""),
            PayloadType.AUTH: lambda: AUTH(2, random(32)),
            PayloadType.NONCE: lambda: Nonce(random(32)),
            PayloadType.N: lambda: Notify(item.notify or 0, protocol=_PROTOCOL_OF.get(item.notify or 0, 0)),
            PayloadType.D: lambda: Delete(ProtocolId.ESP, []),
            PayloadType.V: lambda: VendorID(b""),
            PayloadType.TSi: lambda: TSi([]),
            PayloadType.TSr: lambda: TSr([]),
            PayloadType.CP: lambda: CP(item.cfg_type or 1, []),
            PayloadType.EAP: lambda: EAP(1, 1, b""),
            PayloadType.SKF: lambda: SKF(1, 1, b""),
        }
        make = makers.get(item.type) if item.name != "PAYLOAD" else None
        if make is None:
            return UnknownPayload(item.type, b"")
        payload = make()
        if isinstance(payload, KE) and payload.group:
            payload.data = key_exchange(payload.group).initiate(random).public
        return payload

    def edit(self, payload: Payload, item: PayloadItem) -> None:
        """Change a payload as the item says; LookupError if a name has no value here."""
        match payload:
            case SA():
                self._edit_offer(payload, item)
            case KE():
                payload.group = payload.group if item.group is None else item.group
            case AUTH():
                payload.method = payload.method if item.method is None else item.method
            case Identification() if item.identity is not None:
                identity = self.identity_of(item)
                payload.id_type, payload.data = identity.type, identity.data
            case Delete() if item.delete is not None:
                payload.protocol = item.delete
                payload.spis = [self.values.octets(spi, b"") for spi in item.spis]
            case TrafficSelectors():
                self._edit_selectors(payload, item)
            case CP() if item.cfg_type is not None:
                payload.attributes = [ConfigurationAttribute(a.type, a.value or b"") for a in item.attributes]
        for edit in item.edits:
            if not (isinstance(payload, Nonce) and edit.name in {"data", "size"}):
                self._apply(payload, edit, payload.group if isinstance(payload, KE) else None)

    def _apply(self, target: object, edit: Edit, group: int | None = None) -> None:
        name, operand = edit.name, edit.operand
        if name == "size":
            target.data = self.values.random(self.values.number(operand, 0))  # type: ignore[attr-defined]
            return
        current = getattr(target, name)
        if isinstance(current, bytes):
            setattr(target, name, self.values.octets(operand, current, group))
        elif isinstance(current, bool):
            setattr(target, name, bool(self.values.number(operand, 0)))
        else:
            correct = correct_number(target, name) if current is None else current
            setattr(target, name, self.values.number(operand, correct))

    def _edit_offer(self, payload: SA, item: PayloadItem) -> None:
        if item.offer is None:
            return
        if not payload.proposals:
            protocol = item.offer.protocol or ProtocolId.IKE
            spi = b"" if protocol == ProtocolId.IKE else self.values.random(4)
            payload.proposals = [
                Proposal(number, protocol, spi, [Transform.of(spec) for spec in made.suite or ()])
                for number, made in enumerate(item.offer.proposals, 1)
            ]
        for proposal, written in zip(payload.proposals, item.offer.proposals, strict=False):
            self._edit_proposal(proposal, written)

    def _edit_proposal(self, proposal: Proposal, written: ProposalItem) -> None:
        for edit in written.edits:
            if edit.name in {"keylen", "attribute"}:
                cipher = next((t for t in proposal.transforms if t.type == TransformType.ENCR), None)
                if cipher is not None:
                    self._edit_attributes(cipher, edit)
            elif edit.name.startswith("transform_") and proposal.transforms:
                name = {"transform_last": "last_substructure"}.get(edit.name, edit.name.removeprefix("transform_"))
                self._apply(proposal.transforms[-1], Edit(name, edit.operand))
            else:
                self._apply(proposal, edit)

    def _edit_attributes(self, cipher: Transform, edit: Edit) -> None:
        bits = cipher.key_length or 128
        if edit.name == "attribute":
            cipher.attributes.append(Attribute(self.values.number(edit.operand, 0), 1))
        elif isinstance(edit.operand, Octets):
            length = Attribute(_KEY_LENGTH, bits)
            cipher.attributes = {
                b"none": [],
                b"empty": [Attribute(_KEY_LENGTH, b"")],
                b"twice": [length, Attribute(_KEY_LENGTH, bits)],
                b"tlv": [Attribute(_KEY_LENGTH, bits.to_bytes(2, "big"))],
            }[edit.operand.data]
        else:
            cipher.attributes = [Attribute(_KEY_LENGTH, self.values.number(edit.operand, bits))]

    def _edit_selectors(self, payload: TrafficSelectors, item: PayloadItem) -> None:
        if not item.selectors:
            return
        payload.selectors = [self.selector(words) for words in item.selectors]
        for selector, words in zip(payload.selectors, item.selectors, strict=True):
            for edit in words.edits:
                self._apply(selector, edit)


def belongs(payload: Payload, item: PayloadItem) -> bool:
    """Whether an item speaks of this payload: the type, and for notifies the notify type."""
    if payload.type != item.type:
        return False
    return not isinstance(payload, Notify) or item.notify in {None, payload.notify_type}


def correct_number(target: object, name: str) -> int:
    """What the builder would fill in for a length, count or SPI size."""
    if isinstance(target, Payload):
        if name == "length":
            return len(build_payloads([target])[1])
        if name == "count":
            return len(getattr(target, "spis", ())) or len(getattr(target, "selectors", ()))
        if name == "spi_size":
            spis = getattr(target, "spis", None)
            return len(spis[0]) if spis else len(getattr(target, "spi", b""))
    if isinstance(target, Proposal):
        numbers = {"count": len(target.transforms), "spi_size": len(target.spi)}
        return numbers[name] if name in numbers else _structure_length(target)
    return _structure_length(target) if name == "length" else 0


def _structure_length(target: object) -> int:
    """Octets of a substructure, by building it inside its payload."""
    if isinstance(target, Proposal):
        return len(build_payloads([SA([target])])[1]) - 4
    if isinstance(target, Transform):
        return 8 + sum(4 + (0 if isinstance(a.value, int) else len(a.value)) for a in target.attributes)
    if isinstance(target, TrafficSelector):
        return 8 + len(target.start) + len(target.end)
    return 0


def numbers_of(edits: tuple[Edit, ...], name: str) -> int | None:
    """The plain number an edit gives a field, None if it does not."""
    return next((e.operand.value for e in edits if e.name == name and isinstance(e.operand, Number)), None)
