"""Readers of payload bodies: octets start to end of the datagram -> a payload, or None.

None says that the body is shorter than the fixed part of its layout; the caller keeps it as an
UnknownPayload of that type. Everything longer fits: spare octets go to ``trailing``.
"""

from collections.abc import Callable
from struct import Struct

from ipsectest.base.iana import PayloadType
from ipsectest.wire.anomalies import Anomaly, AnomalyCode
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
    TSi,
    TSr,
    VendorID,
)
from ipsectest.wire.proposals import read_proposals
from ipsectest.wire.structures import ConfigurationAttribute, OtherTrafficSelector, TrafficSelector

Reader = Callable[[bytes, int, int, list[Anomaly]], Payload | None]

_BHH = Struct("!BHH").unpack_from
_HH = Struct("!HH").unpack_from
_BBH = Struct("!BBH").unpack_from
_I = Struct("!I").unpack_from
_SELECTOR4 = Struct("!BBHHH4s4s").unpack_from
_SELECTOR6 = Struct("!BBHHH16s16s").unpack_from
_ADDRESS_LENGTH = {7: 4, 8: 16}


def too_short(what: str, start: int, end: int, anomalies: list[Anomaly]) -> None:
    """Note a body that ends before its fixed part does."""
    text = f"{what} body of {end - start} octets ends before its fixed part"
    anomalies.append(Anomaly(AnomalyCode.BODY_TOO_SHORT, text, start, end))


def reserved_set(start: int, end: int, anomalies: list[Anomaly]) -> None:
    """Note a RESERVED field that is not zero."""
    anomalies.append(Anomaly(AnomalyCode.RESERVED_SET, "reserved octets are not zero", start, end))


def trailing(what: str, start: int, end: int, anomalies: list[Anomaly]) -> None:
    """Note octets behind the last structure of a list."""
    text = f"{end - start} octets follow the {what}"
    anomalies.append(Anomaly(AnomalyCode.TRAILING_OCTETS, text, start, end))


def _sa(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> SA:
    proposals, stop = read_proposals(data, start, end, anomalies)
    payload = SA(proposals)
    if stop != end:
        payload.trailing = data[stop:end]
    return payload


def _ke(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> KE | None:
    if end - start < 4:
        too_short("KE", start, end, anomalies)
        return None
    group, reserved = _HH(data, start)
    if reserved:
        reserved_set(start + 2, start + 4, anomalies)
    return KE(group, data[start + 4 : end], reserved)


def _octet_reserved_data(kind: type[IDi | IDr | AUTH]) -> Reader:
    """A reader for one octet, three reserved octets and data: IDi, IDr and AUTH."""

    def read(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> Payload | None:
        if end - start < 4:
            too_short(kind.__name__, start, end, anomalies)
            return None
        (word,) = _I(data, start)
        reserved = word & 0xFFFFFF
        if reserved:
            reserved_set(start + 1, start + 4, anomalies)
        return kind(word >> 24, data[start + 4 : end], reserved)

    return read


def _octet_data(kind: type[CERT | CERTREQ]) -> Reader:
    """A reader for one octet and data: CERT and CERTREQ."""

    def read(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> Payload | None:
        if start == end:
            too_short(kind.__name__, start, end, anomalies)
            return None
        return kind(data[start], data[start + 1 : end])

    return read


def _all_data(kind: type[Nonce | VendorID | SK]) -> Reader:
    """A reader for a body that is all data."""

    def read(data: bytes, start: int, end: int, _: list[Anomaly]) -> Payload:
        return kind(data[start:end])

    return read


def _notify(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> Notify | None:
    if end - start < 4:
        too_short("Notify", start, end, anomalies)
        return None
    protocol, spi_size, notify_type = _BBH(data, start)
    if not spi_size:
        return Notify(notify_type, data[start + 4 : end], protocol)
    data_start = start + 4 + spi_size
    if data_start > end:
        text = f"SPI size {spi_size}, {end - start - 4} octets are left"
        anomalies.append(Anomaly(AnomalyCode.SPI_SIZE, text, start + 1, start + 2))
        return Notify(notify_type, b"", protocol, data[start + 4 : end], spi_size)
    return Notify(notify_type, data[data_start:end], protocol, data[start + 4 : data_start])


def _delete(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> Delete | None:
    if end - start < 4:
        too_short("Delete", start, end, anomalies)
        return None
    protocol, spi_size, count = _BBH(data, start)
    payload = Delete(protocol)
    stop = start + 4
    if spi_size:
        stop = end - (end - stop) % spi_size
        payload.spis = [data[at : at + spi_size] for at in range(start + 4, stop, spi_size)]
        if not payload.spis:
            payload.spi_size = spi_size
    if count != len(payload.spis):
        payload.count = count
        text = f"{count} SPIs announced, {len(payload.spis)} present"
        anomalies.append(Anomaly(AnomalyCode.COUNT_MISMATCH, text, start + 2, start + 4))
    if stop != end:
        payload.trailing = data[stop:end]
        trailing("last SPI", stop, end, anomalies)
    return payload


def _selectors(kind: type[TSi | TSr]) -> Reader:
    """A reader for TSi and TSr."""

    def read(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> Payload | None:
        if end - start < 4:
            too_short(kind.__name__, start, end, anomalies)
            return None
        (word,) = _I(data, start)
        selectors, stop = read_selectors(data, start + 4, end, anomalies)
        payload = kind(selectors, body_reserved=word & 0xFFFFFF)
        if word & 0xFFFFFF:
            reserved_set(start + 1, start + 4, anomalies)
        if word >> 24 != len(selectors):
            payload.count = word >> 24
            text = f"{word >> 24} selectors announced, {len(selectors)} present"
            anomalies.append(Anomaly(AnomalyCode.COUNT_MISMATCH, text, start, start + 1))
        if stop != end:
            payload.trailing = data[stop:end]
            trailing("last selector", stop, end, anomalies)
        return payload

    return read


def read_selectors(
    data: bytes, position: int, end: int, anomalies: list[Anomaly]
) -> tuple[list[TrafficSelector | OtherTrafficSelector], int]:
    """The selectors of a TS body, and where they end."""
    selectors: list[TrafficSelector | OtherTrafficSelector] = []
    while end - position >= 4:
        ts_type, protocol, length = _BBH(data, position)
        if length < 4:
            text = f"selector length {length} is less than its header"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_TOO_SMALL, text, position + 2, position + 4))
            break
        stop = min(position + length, end)
        if ts_type == 7 and stop - position == 16:
            _, _, _, *range4 = _SELECTOR4(data, position)
            selector: TrafficSelector | OtherTrafficSelector = TrafficSelector(ts_type, protocol, *range4)
        elif ts_type == 8 and stop - position == 40:
            _, _, _, *range6 = _SELECTOR6(data, position)
            selector = TrafficSelector(ts_type, protocol, *range6)
        else:
            selector = OtherTrafficSelector(ts_type, protocol, data[position + 4 : stop])
            if ts_type in _ADDRESS_LENGTH:
                text = f"length {length} does not fit traffic selector type {ts_type}"
                anomalies.append(Anomaly(AnomalyCode.SELECTOR_LENGTH, text, position + 2, position + 4))
        if position + length > end:
            selector.length = length
            text = f"selector length {length}, {end - position} octets are left"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, position + 2, position + 4))
        selectors.append(selector)
        position = stop
    return selectors, position


def _skf(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> SKF | None:
    if end - start < 4:
        too_short("SKF", start, end, anomalies)
        return None
    fragment, total = _HH(data, start)
    return SKF(fragment, total, data[start + 4 : end])


def read_configuration_attributes(
    data: bytes, position: int, end: int, anomalies: list[Anomaly]
) -> tuple[list[ConfigurationAttribute], int]:
    """The attributes of a CP body, and where they end."""
    attributes: list[ConfigurationAttribute] = []
    while end - position >= 4:
        kind, length = _HH(data, position)
        stop = min(position + 4 + length, end)
        attribute = ConfigurationAttribute(kind & 0x7FFF, data[position + 4 : stop], None, kind >> 15)
        if kind > 0x7FFF:
            reserved_set(position, position + 1, anomalies)
        if position + 4 + length > end:
            attribute.length = length
            text = f"attribute length {length}, {end - position - 4} octets are left"
            anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, position + 2, position + 4))
        attributes.append(attribute)
        position = stop
    return attributes, position


def _cp(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> CP | None:
    if end - start < 4:
        too_short("CP", start, end, anomalies)
        return None
    (word,) = _I(data, start)
    if word & 0xFFFFFF:
        reserved_set(start + 1, start + 4, anomalies)
    attributes, position = read_configuration_attributes(data, start + 4, end, anomalies)
    payload = CP(word >> 24, attributes, word & 0xFFFFFF)
    if position != end:
        payload.trailing = data[position:end]
        trailing("last attribute", position, end, anomalies)
    return payload


def _eap(data: bytes, start: int, end: int, anomalies: list[Anomaly]) -> EAP | None:
    if end - start < 4:
        too_short("EAP", start, end, anomalies)
        return None
    code, identifier, length = _BBH(data, start)
    if length == end - start:
        return EAP(code, identifier, data[start + 4 : end])
    # RFC 3748 section 4.1: octets outside the Length field are link padding; a longer Length lies.
    stop = start + length if 4 <= length < end - start else end
    payload = EAP(code, identifier, data[start + 4 : stop])
    if stop != end:
        payload.trailing = data[stop:end]
        trailing("EAP message", stop, end, anomalies)
    else:
        payload.eap_length = length
        code_ = AnomalyCode.LENGTH_TOO_SMALL if length < 4 else AnomalyCode.LENGTH_BEYOND_CONTAINER
        text = f"EAP length {length} in a body of {end - start} octets"
        anomalies.append(Anomaly(code_, text, start + 2, start + 4))
    return payload


READERS: dict[int, Reader] = {
    PayloadType.SA.value: _sa,
    PayloadType.KE.value: _ke,
    PayloadType.IDi.value: _octet_reserved_data(IDi),
    PayloadType.IDr.value: _octet_reserved_data(IDr),
    PayloadType.CERT.value: _octet_data(CERT),
    PayloadType.CERTREQ.value: _octet_data(CERTREQ),
    PayloadType.AUTH.value: _octet_reserved_data(AUTH),
    PayloadType.NONCE.value: _all_data(Nonce),
    PayloadType.N.value: _notify,
    PayloadType.D.value: _delete,
    PayloadType.V.value: _all_data(VendorID),
    PayloadType.TSi.value: _selectors(TSi),
    PayloadType.TSr.value: _selectors(TSr),
    PayloadType.SK.value: _all_data(SK),
    PayloadType.SKF.value: _skf,
    PayloadType.CP.value: _cp,
    PayloadType.EAP.value: _eap,
}
"""Payload type -> reader of its body."""
