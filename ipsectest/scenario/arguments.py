"""Arguments of payloads: what may stand in the brackets of SA(...), KE(...), N(...) and the others."""

import re
from collections.abc import Callable
from dataclasses import replace

from ipsectest.base.iana import (
    AuthenticationMethod,
    ConfigurationAttributeType,
    ConfigurationType,
    KeyExchangeMethod,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsectest.base.suites import TransformSpec, UnknownKeywordError, parse_suite
from ipsectest.scenario import operands
from ipsectest.scenario.model import (
    AttributeItem,
    Edit,
    IdentityWords,
    NatHash,
    Number,
    Octets,
    Offer,
    Operand,
    PayloadItem,
    ProposalItem,
    SelectorWords,
    Spot,
)
from ipsectest.scenario.operands import Argument, Word
from ipsectest.scenario.syntax import ScriptSyntaxError, nearest
from ipsectest.wire import GENERIC_HEADER, LAYOUTS, Field, Form, Message, Payload, Proposal

NAMES: dict[str, int] = {
    "SA": PayloadType.SA,
    "KE": PayloadType.KE,
    "IDi": PayloadType.IDi,
    "IDr": PayloadType.IDr,
    "CERT": PayloadType.CERT,
    "CERTREQ": PayloadType.CERTREQ,
    "AUTH": PayloadType.AUTH,
    "Ni": PayloadType.NONCE,
    "Nr": PayloadType.NONCE,
    "N": PayloadType.N,
    "D": PayloadType.D,
    "V": PayloadType.V,
    "TSi": PayloadType.TSi,
    "TSr": PayloadType.TSr,
    "CP": PayloadType.CP,
    "EAP": PayloadType.EAP,
    "SKF": PayloadType.SKF,
}
"""Payload names of the notation; PAYLOAD(n) is any other."""
PROTOCOLS = {"ike": ProtocolId.IKE, "ah": ProtocolId.AH, "esp": ProtocolId.ESP}
METHODS = {
    "rsa": AuthenticationMethod.RSA_DIGITAL_SIGNATURE,
    "psk": AuthenticationMethod.SHARED_KEY_MIC,
    "null": AuthenticationMethod.NULL,
    "digital": AuthenticationMethod.DIGITAL_SIGNATURE,
}
IDENTITIES = ("fqdn", "email", "keyid", "ipv4", "ipv6", "dn", "ours", "theirs")
PLACES = ("ours", "theirs", "our-end", "their-end", "our-net", "their-net", "other-net", "behind", "any")
IP_PROTOCOLS = {"any": 0, "icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132, "mh": 135}
SHORT = {"len": "length", "next": "next_payload"}
HEADER_FIELDS = {
    "spi_i": "initiator_spi",
    "spi_r": "responder_spi",
    "id": "message_id",
    "exchange": "exchange_type",
    "i": "i",
    "r": "r",
    "v": "v",
    "trailing": "trailing",
} | SHORT
PROTECTION_NUMBERS = {"pad", "pad_length", "first", "length", "critical", "reserved"}
PROTECTION_OCTETS = {"icv", "iv", "padding", "ciphertext"}
TRANSFORM_FIELDS = {"keylen", "attribute", "transform_last", "transform_length", "transform_reserved"}
PROPOSAL_FIELDS = {
    "number": "number",
    "num": "number",
    "protocol": "protocol",
    "spi": "spi",
    "spi_size": "spi_size",
    "count": "count",
    "last": "last_substructure",
    "proposal_length": "length",
    "proposal_reserved": "reserved",
}
SELECTOR_FIELDS = {
    "ts_type": "ts_type",
    "proto": "protocol",
    "start_port": "start_port",
    "end_port": "end_port",
    "start": "start",
    "end": "end",
    "selector_length": "length",
}
NOTIFY_NUMBERS = {"group": 2, "window": 4, "payload": 1, "id": 4}
"""Words for notification data that is one number, and its size in octets (RFC 7296 section 3.10.1)."""


def read_payload(name: str, arguments: list[Argument], spot: Spot) -> PayloadItem:
    """The item for ``NAME(arguments)``; ScriptSyntaxError for whatever does not exist."""
    if name == "PAYLOAD":
        if not arguments or arguments[0].field:
            raise ScriptSyntaxError(spot.column, "PAYLOAD needs a type number first", "PAYLOAD(49 data=0x00)")
        kind = operands.plain_number(arguments[0].value, PayloadType)
        return _plain(PayloadItem(name, kind, spot=spot), arguments[1:])
    if name not in NAMES:
        near = nearest(name, [*NAMES, "PAYLOAD", "HDR", *("unencrypted", "ordered", "within", "answers", "as")])
        hint = f"did you mean {near!r}?" if near else f"payloads are {', '.join(NAMES)}"
        raise ScriptSyntaxError(spot.column, f"there is no payload {name!r}", hint)
    item = PayloadItem(name, int(NAMES[name]), spot=spot)
    return READERS.get(name, _plain)(item, arguments)


def fields_of(type_: int) -> dict[str, Field]:
    """Field tables of a payload type by attribute name, generic header included."""
    layout: type[Payload] | None = LAYOUTS.get(type_)
    own = layout.FIELDS if layout else (Field("data", 0, Form.OCTETS),)
    return {f.name: f for f in (*GENERIC_HEADER, *own, Field("trailing", 0, Form.OCTETS))}


def _edit(item: PayloadItem, argument: Argument) -> Edit:
    """A field of the payload's own layout."""
    name = SHORT.get(argument.field, argument.field)
    if name == "type" and item.name in {"IDi", "IDr"}:
        name = "id_type"
    spot = Spot(item.spot.line, argument.column)
    table = fields_of(item.type)
    if name == "at" and argument.value.text == "first":
        return Edit(name, Number(0), spot)
    if name in {"size", "at"}:
        return Edit(name, operands.number(argument.value), spot)
    if name not in table or table[name].form is Form.STRUCTURES:
        known = [n for n, f in table.items() if f.form is not Form.STRUCTURES]
        near = nearest(name, [*known, "size", "at", *SHORT])
        hint = f"did you mean {near!r}?" if near else f"fields are {', '.join(known)}"
        raise ScriptSyntaxError(argument.column, f"{item.name} has no field {argument.field!r}", hint)
    form = table[name].form
    if name == "spi":
        return Edit(name, operands.spi(argument.value), spot)
    if form is Form.NUMBER:
        return Edit(name, operands.number(argument.value, table[name].names), spot)
    damages = operands.KE_DAMAGES if item.name == "KE" else operands.DAMAGES
    return Edit(name, operands.octets(argument.value, damages), spot)


def _plain(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    """Fields by name; one positional value is the data."""
    edits = []
    for argument in arguments:
        named = argument if argument.field else replace(argument, field="data")
        edits.append(_edit(item, named))
    return _with_edits(item, edits)


def _with_edits(item: PayloadItem, edits: list[Edit]) -> PayloadItem:
    at = next((e.operand.value for e in edits if e.name == "at" and isinstance(e.operand, Number)), None)
    return replace(item, edits=tuple(e for e in edits if e.name != "at"), at=at)


def _security_association(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    protocol: int | None = None
    proposals: list[ProposalItem] = []
    edits: list[Edit] = []
    as_before = False
    for argument in arguments:
        word, spot = argument.value, Spot(item.spot.line, argument.column)
        if argument.field in TRANSFORM_FIELDS or argument.field in PROPOSAL_FIELDS:
            proposals = proposals or [ProposalItem(None)]
            last = proposals[-1]
            proposals[-1] = replace(last, edits=(*last.edits, _proposal_edit(argument, spot)))
        elif argument.field == "transform" and proposals and proposals[-1].suite:
            last = proposals[-1]
            proposals[-1] = replace(last, suite=(*(last.suite or ()), *_suite(word)))
        elif argument.field:
            edits.append(_edit(item, argument))
        elif word.text in PROTOCOLS:
            protocol = PROTOCOLS[word.text]
        elif word.text in {"as", "before"}:
            as_before = True
        else:
            proposals.append(ProposalItem(_suite(word)))
    offer = Offer(protocol, tuple(proposals), as_before)
    return replace(_with_edits(item, edits), offer=None if offer == Offer() else offer)


def _suite(word: Word) -> tuple[TransformSpec, ...]:
    try:
        return parse_suite(word.text)
    except UnknownKeywordError as error:
        hint = f"did you mean {error.suggestion!r}?" if error.suggestion else ""
        raise ScriptSyntaxError(word.column + error.offset, f"unknown algorithm {error.word!r}", hint) from None


def _proposal_edit(argument: Argument, spot: Spot) -> Edit:
    word = argument.value
    if argument.field == "keylen" and word.text in {"none", "empty", "twice", "tlv"}:
        return Edit("keylen", Octets(word.text.encode()), spot)
    if argument.field in TRANSFORM_FIELDS:
        return Edit(argument.field, operands.number(word), spot)
    name = PROPOSAL_FIELDS[argument.field]
    if name == "spi":
        return Edit(name, operands.spi(word), spot)
    names = next(f.names for f in Proposal.FIELDS if f.name == name)
    return Edit(name, operands.number(word, names), spot)


def _key_exchange(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    group, edits = None, []
    for argument in arguments:
        if argument.field not in {"", "group"}:
            edits.append(_edit(item, argument))
        elif argument.value.negated or ".." in argument.value.text:
            edits.append(_edit(item, replace(argument, field="group")))
        else:
            group = operands.plain_number(argument.value, KeyExchangeMethod)
    return replace(_with_edits(item, edits), group=group)


def _identification(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    words = [a.value for a in arguments if not a.field]
    edits = [_edit(item, a) for a in arguments if a.field]
    identity = None
    if words:
        kind = words[0].text
        if kind not in IDENTITIES:
            near = nearest(kind, list(IDENTITIES))
            raise ScriptSyntaxError(
                words[0].column, f"{kind!r} is no kind of identity", f"did you mean {near!r}?" if near else ""
            )
        if len(words) > 2 or (len(words) == 1 and kind not in {"ours", "theirs"}):
            raise ScriptSyntaxError(words[0].column, f"{item.name}({kind} ...) takes one value")
        value = words[1].text if len(words) == 2 else ""
        identity = IdentityWords(kind, value.removeprefix("0x"))
    return replace(_with_edits(item, edits), identity=identity)


def _authentication(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    method, secret, edits = None, None, []
    for argument in arguments:
        word = argument.value
        if argument.field == "psk":
            secret = operands.literal_octets(word)
        elif not argument.field:
            known = METHODS.get(word.text)
            method = operands.plain_number(word, AuthenticationMethod) if known is None else int(known)
        else:
            edits.append(_edit(item, argument))
    return replace(_with_edits(item, edits), method=method, secret=secret)


def _notify(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    if not arguments:
        return item
    if arguments[0].field:
        raise ScriptSyntaxError(item.spot.column, "N needs a type first", "N(NO_PROPOSAL_CHOSEN)")
    kind = operands.plain_number(arguments[0].value, NotifyType)
    edits: list[Edit] = []
    for argument in arguments[1:]:
        word, spot = argument.value, Spot(item.spot.line, argument.column)
        if argument.field in NOTIFY_NUMBERS:
            names = {"group": KeyExchangeMethod, "payload": PayloadType}.get(argument.field)
            value = operands.plain_number(word, names)
            data = Octets(value.to_bytes(NOTIFY_NUMBERS[argument.field], "big"))
            edits.append(Edit("data", data, spot))
        elif argument.field == "hashes":
            edits.append(Edit("data", operands.hashes(word), spot))
        elif not argument.field and word.text in {"match", "mismatch"}:
            edits.append(Edit("data", NatHash(word.text == "match"), spot))
        else:
            edits.append(_edit(item, argument if argument.field else replace(argument, field="data")))
    return replace(_with_edits(item, edits), notify=kind)


def _delete(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    protocol, spis, edits = None, [], []
    for argument in arguments:
        if argument.field:
            edits.append(_edit(item, argument))
        elif protocol is None:
            word = argument.value
            known = PROTOCOLS.get(word.text)
            protocol = operands.plain_number(word, ProtocolId) if known is None else int(known)
        else:
            spis.append(operands.spi(argument.value))
    return replace(_with_edits(item, edits), delete=protocol, spis=tuple(spis))


def _traffic_selectors(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    selectors: list[SelectorWords] = []
    edits: list[Edit] = []
    relation = ""
    for argument in arguments:
        if argument.field in SELECTOR_FIELDS:
            if not selectors:
                raise ScriptSyntaxError(argument.column, f"{argument.field} stands behind a selector")
            last = selectors[-1]
            selectors[-1] = replace(last, edits=(*last.edits, _selector_edit(item, argument)))
        elif argument.field:
            edits.append(_edit(item, argument))
        elif argument.value.text in {"within", "covers"}:
            relation = argument.value.text
        else:
            selectors.append(replace(read_selector(argument.value), relation=relation))
    return replace(_with_edits(item, edits), selectors=tuple(selectors))


def _selector_edit(item: PayloadItem, argument: Argument) -> Edit:
    name = SELECTOR_FIELDS[argument.field]
    read: Callable[[Word], Operand] = operands.octets if name in {"start", "end"} else operands.number
    return Edit(name, read(argument.value), Spot(item.spot.line, argument.column))


def read_selector(word: Word) -> SelectorWords:
    """``theirs``, ``our-net/tcp/80``, ``198.51.100.0/24/udp/1000-2000``."""
    pattern = (
        r"(?P<place>[a-z-]+|[0-9a-fA-F:.]+(?:-[0-9a-fA-F:.]+|/\d{1,3})?)(?:/(?P<proto>\w+))?(?:/(?P<ports>[\w-]+))?"
    )
    match = re.fullmatch(pattern, word.text)
    if not match or (match["place"][0].isalpha() and match["place"] not in PLACES and ":" not in match["place"]):
        near = nearest(word.text.split("/")[0], list(PLACES))
        hint = f"did you mean {near!r}?" if near else f"selectors are {', '.join(PLACES)} or a prefix"
        raise ScriptSyntaxError(word.column, f"{word.text!r} is no traffic selector", hint)
    protocol = match["proto"] or "any"
    if protocol not in IP_PROTOCOLS and not (protocol.isdigit() and int(protocol) < 256):
        raise ScriptSyntaxError(word.column, f"{protocol!r} is no IP protocol", f"known: {', '.join(IP_PROTOCOLS)}")
    number = IP_PROTOCOLS[protocol] if protocol in IP_PROTOCOLS else int(protocol)
    return SelectorWords(match["place"], number, _ports(match["ports"], word))


def _ports(text: str | None, word: Word) -> tuple[int, int]:
    if text is None:
        return (0, 0xFFFF)
    if text == "opaque":
        return (0xFFFF, 0)
    match = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    low, high = (int(match[1]), int(match[2] or match[1])) if match else (0, 0x10000)
    if max(low, high) > 0xFFFF:
        raise ScriptSyntaxError(word.column, f"{text!r} is no port range")
    return low, high


def _configuration(item: PayloadItem, arguments: list[Argument]) -> PayloadItem:
    kind, attributes, edits = None, [], []
    for argument in arguments:
        word = argument.value
        if argument.field.upper() in ConfigurationAttributeType.__members__:
            number = ConfigurationAttributeType[argument.field.upper()]
            attributes.append(AttributeItem(int(number), operands.literal_octets(word)))
        elif argument.field:
            edits.append(_edit(item, argument))
        elif kind is None:
            name = word.text if word.text.isdigit() else f"CFG_{word.text}"
            kind = operands.plain_number(replace(word, text=name), ConfigurationType)
        else:
            attributes.append(AttributeItem(operands.plain_number(word, ConfigurationAttributeType)))
    return replace(_with_edits(item, edits), cfg_type=kind, attributes=tuple(attributes))


READERS: dict[str, Callable[[PayloadItem, list[Argument]], PayloadItem]] = {
    "SA": _security_association,
    "KE": _key_exchange,
    "IDi": _identification,
    "IDr": _identification,
    "AUTH": _authentication,
    "N": _notify,
    "D": _delete,
    "TSi": _traffic_selectors,
    "TSr": _traffic_selectors,
    "CP": _configuration,
}


def read_header(arguments: list[Argument], line: int) -> tuple[Edit, ...]:
    """The edits of HDR(...)."""
    table = {f.name: f for f in (*Message.FIELDS, Field("trailing", 0, Form.OCTETS))}
    edits = []
    for argument in arguments:
        name = HEADER_FIELDS.get(argument.field, argument.field)
        spot = Spot(line, argument.column)
        if name in {"i", "r", "v"}:
            edits.append(Edit(name, operands.number(argument.value), spot))
        elif name not in table:
            near = nearest(argument.field, [*HEADER_FIELDS, *table])
            raise ScriptSyntaxError(
                argument.column, f"HDR has no field {argument.field!r}", f"did you mean {near!r}?" if near else ""
            )
        elif table[name].form is Form.NUMBER:
            edits.append(Edit(name, operands.number(argument.value, table[name].names), spot))
        else:
            edits.append(Edit(name, operands.octets(argument.value), spot))
    return tuple(edits)


def read_protection(arguments: list[Argument], line: int) -> tuple[Edit, ...]:
    """The edits of SK{...}."""
    edits = []
    for argument in arguments:
        name = SHORT.get(argument.field, argument.field)
        spot = Spot(line, argument.column)
        if name in PROTECTION_NUMBERS:
            edits.append(Edit(name, operands.number(argument.value), spot))
        elif name in PROTECTION_OCTETS:
            edits.append(Edit(name, operands.octets(argument.value), spot))
        else:
            known = sorted(PROTECTION_NUMBERS | PROTECTION_OCTETS)
            near = nearest(name, known)
            hint = f"did you mean {near!r}?" if near else f"fields are {', '.join(known)}"
            raise ScriptSyntaxError(argument.column, f"SK has no field {argument.field!r}", hint)
    return tuple(edits)
