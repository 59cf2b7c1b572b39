"""Messages -> octets. ``None`` fields are filled in, numbers are written as given.

The only error is a value that its field cannot hold: BuildError, naming the structure.
"""

from collections.abc import Callable, Iterable, Sequence
from struct import Struct, error
from typing import Any

from ipsectest.wire.message import HEADER_LENGTH, Message
from ipsectest.wire.payloads import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    KE,
    SA,
    SK,
    SKF,
    Delete,
    IDi,
    IDr,
    Nonce,
    Notify,
    Payload,
    TrafficSelectors,
    TSi,
    TSr,
    UnknownPayload,
    VendorID,
)
from ipsectest.wire.proposals import MORE_PROPOSALS, MORE_TRANSFORMS
from ipsectest.wire.structures import (
    Attribute,
    ConfigurationAttribute,
    OtherTrafficSelector,
    Proposal,
    Structure,
    TrafficSelector,
    Transform,
)

_HEADER = Struct("!BBBBII").pack
_GENERIC = Struct("!BBH").pack
_PROPOSAL = Struct("!BBHBBBB").pack
_TRANSFORM = Struct("!BBHBBH").pack
_HH = Struct("!HH").pack
_BBH = Struct("!BBH").pack
_SELECTOR = Struct("!BBHHH").pack
_I = Struct("!I").pack
_ENCRYPTED = (SK, SKF)  # a tuple: the union SK | SKF would be made anew for each payload


class BuildError(ValueError):
    """A value does not fit the field it was given for."""


def build_message(message: Message) -> bytes:
    """Encode a message, without a non-ESP marker. Raises BuildError."""
    if message.headerless:
        return message.trailing
    first, chain = build_payloads(message.payloads)
    size = HEADER_LENGTH + len(chain) + len(message.trailing)
    try:
        fixed = _HEADER(
            first if message.next_payload is None else message.next_payload,
            (message.major & 0x0F) << 4 | message.minor & 0x0F,
            message.exchange_type,
            message.flags,
            message.message_id,
            size if message.length is None else message.length,
        )
    except error as problem:
        raise BuildError(f"IKE header: {problem}") from None
    return message.initiator_spi + message.responder_spi + fixed + chain + message.trailing


def build_payloads(items: Iterable[Payload]) -> tuple[int, bytes]:
    """Encode a payload chain: the type of its first payload (0: none) and the octets. Raises BuildError."""
    payloads = items if isinstance(items, Sequence) else list(items)
    parts: list[bytes] = []
    # From the end, where each payload knows the type of the one that follows it.
    following = 0
    for payload in reversed(payloads):
        try:
            body = _WRITERS[type(payload)](payload) + payload.trailing
            named = payload.next_payload
            if named is None:
                named = payload.first if isinstance(payload, _ENCRYPTED) else following
            parts.append(body)
            parts.append(
                _GENERIC(
                    named,
                    (0x80 if payload.critical else 0) | payload.reserved,
                    len(body) + 4 if payload.length is None else payload.length,
                )
            )
        except error as problem:
            place = len(payloads) - 1 - len(parts) // 2
            raise BuildError(f"payload {place} ({type(payload).__name__}): {problem}") from None
        following = payload.type
    return following, b"".join(reversed(parts))


def build_transform(transform: Transform, last: int) -> bytes:
    """Encode a transform; ``last`` is used where its own last-substructure value is None."""
    if transform.last_substructure is not None:
        last = transform.last_substructure
    attributes = transform.trailing
    if transform.attributes:
        attributes = b"".join(map(build_attribute, transform.attributes)) + attributes
    length = transform.length
    if length is None:
        length = 8 + len(attributes)
    return _TRANSFORM(last, transform.reserved, length, transform.type, transform.reserved2, transform.id) + attributes


def build_attribute(attribute: Attribute) -> bytes:
    """Encode a transform attribute: TV for an int value, TLV for octets."""
    value = attribute.value
    if isinstance(value, int):
        return _HH(attribute.type | 0x8000, value)
    return _HH(attribute.type, len(value) if attribute.length is None else attribute.length) + value


def build_proposal(proposal: Proposal, last: int) -> bytes:
    """Encode a proposal; ``last`` is used where its own last-substructure value is None."""
    parts = [build_transform(transform, MORE_TRANSFORMS) for transform in proposal.transforms[:-1]]
    parts += [build_transform(transform, 0) for transform in proposal.transforms[-1:]]
    body = b"".join((proposal.spi, *parts, proposal.trailing))
    fixed = _PROPOSAL(
        last if proposal.last_substructure is None else proposal.last_substructure,
        proposal.reserved,
        8 + len(body) if proposal.length is None else proposal.length,
        proposal.number,
        proposal.protocol,
        len(proposal.spi) if proposal.spi_size is None else proposal.spi_size,
        len(parts) if proposal.count is None else proposal.count,
    )
    return fixed + body


def build_structure(structure: Structure) -> bytes:
    """Encode one proposal, transform, attribute or selector as the last of its list. Raises BuildError."""
    try:
        match structure:
            case Proposal():
                return build_proposal(structure, 0)
            case Transform():
                return build_transform(structure, 0)
            case Attribute():
                return build_attribute(structure)
            case ConfigurationAttribute():
                return build_configuration_attribute(structure)
        return build_selector(structure)
    except error as problem:
        raise BuildError(f"{type(structure).__name__}: {problem}") from None


def _sa(payload: SA) -> bytes:
    final = len(payload.proposals) - 1
    return b"".join(
        build_proposal(proposal, 0 if place == final else MORE_PROPOSALS)
        for place, proposal in enumerate(payload.proposals)
    )


def _ke(payload: KE) -> bytes:
    return _HH(payload.group, payload.body_reserved) + payload.data


def _octet_reserved(first: int, reserved: int) -> bytes:
    """One octet and three reserved ones."""
    if not 0 <= first < 256 or not 0 <= reserved < 1 << 24:
        raise error(f"{first} or {reserved} is out of range")
    return _I(first << 24 | reserved)


def _identification(payload: IDi | IDr) -> bytes:
    return _octet_reserved(payload.id_type, payload.body_reserved) + payload.data


def _auth(payload: AUTH) -> bytes:
    return _octet_reserved(payload.method, payload.body_reserved) + payload.data


def _certificate(payload: CERT | CERTREQ) -> bytes:
    if not 0 <= payload.encoding < 256:
        raise error(f"encoding {payload.encoding} is out of range")
    return bytes((payload.encoding,)) + payload.data


def _data(payload: Nonce | VendorID | SK | UnknownPayload) -> bytes:
    return payload.data


def _notify(payload: Notify) -> bytes:
    spi_size = len(payload.spi) if payload.spi_size is None else payload.spi_size
    return _BBH(payload.protocol, spi_size, payload.notify_type) + payload.spi + payload.data


def _delete(payload: Delete) -> bytes:
    spi_size = payload.spi_size
    if spi_size is None:
        spi_size = len(payload.spis[0]) if payload.spis else 0
    count = len(payload.spis) if payload.count is None else payload.count
    return _BBH(payload.protocol, spi_size, count) + b"".join(payload.spis)


def build_selector(selector: TrafficSelector | OtherTrafficSelector) -> bytes:
    """Encode one traffic selector."""
    if isinstance(selector, OtherTrafficSelector):
        length = 4 + len(selector.data) if selector.length is None else selector.length
        return _BBH(selector.ts_type, selector.protocol, length) + selector.data
    addresses = selector.start + selector.end
    length = 8 + len(addresses) if selector.length is None else selector.length
    return _SELECTOR(selector.ts_type, selector.protocol, length, selector.start_port, selector.end_port) + addresses


def _selectors(payload: TrafficSelectors) -> bytes:
    count = len(payload.selectors) if payload.count is None else payload.count
    return _octet_reserved(count, payload.body_reserved) + b"".join(map(build_selector, payload.selectors))


def _skf(payload: SKF) -> bytes:
    return _HH(payload.fragment, payload.total) + payload.data


def build_configuration_attribute(attribute: ConfigurationAttribute) -> bytes:
    """Encode one configuration attribute."""
    length = len(attribute.value) if attribute.length is None else attribute.length
    return _HH(attribute.type | attribute.reserved << 15, length) + attribute.value


def _cp(payload: CP) -> bytes:
    attributes = b"".join(map(build_configuration_attribute, payload.attributes))
    return _octet_reserved(payload.cfg_type, payload.body_reserved) + attributes


def _eap(payload: EAP) -> bytes:
    length = 4 + len(payload.data) if payload.eap_length is None else payload.eap_length
    return _BBH(payload.code, payload.identifier, length) + payload.data


_WRITERS: dict[type[Payload], Callable[[Any], bytes]] = {
    SA: _sa,
    KE: _ke,
    IDi: _identification,
    IDr: _identification,
    CERT: _certificate,
    CERTREQ: _certificate,
    AUTH: _auth,
    Nonce: _data,
    Notify: _notify,
    Delete: _delete,
    VendorID: _data,
    TSi: _selectors,
    TSr: _selectors,
    SK: _data,
    SKF: _skf,
    CP: _cp,
    EAP: _eap,
    UnknownPayload: _data,
}
"""Payload class -> writer of its body without trailing octets."""
