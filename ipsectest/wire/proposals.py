"""Reader of proposals, transforms and attributes (RFC 7296 section 3.3): the hot loop."""

from struct import Struct

from ipsectest.wire.anomalies import Anomaly, AnomalyCode
from ipsectest.wire.structures import Attribute, Proposal, Transform

MORE_PROPOSALS = 2
"""Last Substruc of a proposal that another follows (RFC 7296 section 3.3.1)."""
MORE_TRANSFORMS = 3
"""Last Substruc of a transform that another follows (RFC 7296 section 3.3.2)."""
_PROPOSAL = Struct("!BBHBBBB").unpack_from
_TRANSFORM = Struct("!IBBH").unpack_from
_PLAIN_RUN = Struct("!IBBH").iter_unpack
_KEYED_RUN = Struct("!IBBHHH").iter_unpack
_FOLLOWED = MORE_TRANSFORMS << 8
_PLAIN = _FOLLOWED << 16 | 8
_KEYED = _FOLLOWED << 16 | 12
_FINAL = 8
_HH = Struct("!HH").unpack_from


def read_proposals(data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[list[Proposal], int]:
    """The proposals of an SA body, and where they end."""
    proposals: list[Proposal] = []
    marks: list[tuple[int, int]] = []
    while end - position >= 8:
        last, reserved, length, number, protocol, spi_size, count = _PROPOSAL(data, position)
        if length < 8:
            _too_small("proposal", length, position, anomalies)
            break
        stop = position + length
        proposal = Proposal(number, protocol)
        if stop > end:
            _beyond("proposal", length, position, end, anomalies)
            stop = end
            proposal.length = length
        spi_end = position + 8 + spi_size
        if spi_end > stop:
            text = f"SPI size {spi_size}, {stop - position - 8} octets are left"
            anomalies.append(Anomaly(AnomalyCode.SPI_SIZE, text, position + 6, position + 7))
            spi_end = stop
            proposal.spi_size = spi_size
        proposal.spi = data[position + 8 : spi_end]
        proposal.transforms, transforms_end = read_transforms(data, spi_end, stop, anomalies)
        if transforms_end != stop:
            proposal.trailing = data[transforms_end:stop]
            _trailing("transform", transforms_end, stop, anomalies)
        if count != len(proposal.transforms):
            proposal.count = count
            text = f"{count} transforms announced, {len(proposal.transforms)} present"
            anomalies.append(Anomaly(AnomalyCode.COUNT_MISMATCH, text, position + 7, position + 8))
        if reserved:
            proposal.reserved = reserved
            _reserved(position + 1, anomalies)
        proposals.append(proposal)
        marks.append((last, position))
        position = stop
    _check_order(proposals, marks, anomalies)
    if position != end:
        _trailing("proposal", position, end, anomalies)
    return proposals, position


def _check_order(proposals: list[Proposal], marks: list[tuple[int, int]], anomalies: list[Anomaly]) -> None:
    """Proposal numbers and last-substructure values, which depend on what follows."""
    for place, (proposal, (last, start)) in enumerate(zip(proposals, marks, strict=True), 1):
        if last != (0 if place == len(proposals) else MORE_PROPOSALS):
            proposal.last_substructure = last
            _last("proposal", last, start, anomalies)
        if proposal.number != place:
            text = f"proposal {proposal.number} at place {place}"
            anomalies.append(Anomaly(AnomalyCode.PROPOSAL_NUMBER, text, start + 4, start + 5))


def read_transforms(data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[list[Transform], int]:
    """The transforms between two octets, and where they end.

    Real proposals are runs of two shapes, without attribute and with a key length: those are
    recognised by their first four octets at once. Whatever else comes goes to ``_read_odd``.
    """
    transforms: list[Transform] = []
    odd: list[tuple[Transform, int, int]] = []
    limit = end - 8
    while position <= limit:
        head, kind, reserved2, number = _TRANSFORM(data, position)
        if head == _PLAIN and not reserved2:
            position = _read_plain_run(data, position, end, transforms)
        elif head == _KEYED and not reserved2 and position < limit - 3 and data[position + 8] > 0x7F:
            position = _read_keyed_run(data, position, end, transforms)
        elif head == _FINAL and not reserved2 and position == limit and not odd:
            transforms.append(Transform(kind, number, []))
            return transforms, end
        elif head & 0xFFFF < 8:
            _too_small("transform", head & 0xFFFF, position, anomalies)
            break
        else:
            transform, stop = _read_odd(data, position, end, anomalies)
            odd.append((transform, head >> 16, position))
            transforms.append(transform)
            position = stop
    if transforms:
        _check_marks(transforms[-1], position, odd, anomalies)
    return transforms, position


def _read_plain_run(data: bytes, position: int, end: int, transforms: list[Transform]) -> int:
    """Append transforms without attributes until another shape comes, and say where that is.

    Setting the slots costs two thirds of calling __init__, and these are the bulk of what is parsed.
    """
    before = len(transforms)
    append = transforms.append
    new = object.__new__
    for head, kind, reserved2, number in _PLAIN_RUN(memoryview(data)[position : end - (end - position) % 8]):
        if head != _PLAIN or reserved2:
            break
        transform = new(Transform)
        transform.type = kind
        transform.id = number
        transform.attributes = []
        transform.last_substructure = transform.length = None
        transform.reserved = transform.reserved2 = 0
        transform.trailing = b""
        append(transform)
    return position + 8 * (len(transforms) - before)


def _read_keyed_run(data: bytes, position: int, end: int, transforms: list[Transform]) -> int:
    """Append transforms with one attribute in TV format until another shape comes, and say where that is."""
    before = len(transforms)
    append = transforms.append
    new = object.__new__
    for head, kind, reserved2, number, attribute, value in _KEYED_RUN(
        memoryview(data)[position : end - (end - position) % 12]
    ):
        if head != _KEYED or reserved2 or attribute < 0x8000:
            break
        key_length = new(Attribute)
        key_length.type = attribute & 0x7FFF
        key_length.value = value
        key_length.length = None
        transform = new(Transform)
        transform.type = kind
        transform.id = number
        transform.attributes = [key_length]
        transform.last_substructure = transform.length = None
        transform.reserved = transform.reserved2 = 0
        transform.trailing = b""
        append(transform)
    return position + 12 * (len(transforms) - before)


def _read_odd(data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[Transform, int]:
    """Any transform whose length is at least that of its header, and where it ends."""
    head, kind, reserved2, number = _TRANSFORM(data, position)
    length = head & 0xFFFF
    stop = min(position + length, end)
    attributes, attributes_end = read_attributes(data, position + 8, stop, anomalies)
    transform = Transform(kind, number, attributes)
    if attributes_end != stop:
        transform.trailing = data[attributes_end:stop]
        _trailing("attribute", attributes_end, stop, anomalies)
    if position + length > end:
        transform.length = length
        _beyond("transform", length, position, end, anomalies)
    if reserved2:
        transform.reserved2 = reserved2
        _reserved(position + 5, anomalies)
    return transform, stop


def _check_marks(final: Transform, end: int, odd: list[tuple[Transform, int, int]], anomalies: list[Anomaly]) -> None:
    """Last-substructure and reserved octets, which depend on whether another transform follows."""
    if not odd or odd[-1][0] is not final:
        odd = [*odd, (final, _FOLLOWED, end - 8 - 4 * len(final.attributes))]
    for transform, mark, start in odd:
        last = mark >> 8
        if last != (0 if transform is final else MORE_TRANSFORMS):
            transform.last_substructure = last
            _last("transform", last, start, anomalies)
        if mark & 0xFF:
            transform.reserved = mark & 0xFF
            _reserved(start + 1, anomalies)


def read_attributes(data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[list[Attribute], int]:
    """Transform attributes: the top bit of the type says TV (value) or TLV (length and octets)."""
    attributes: list[Attribute] = []
    while end - position >= 4:
        kind, value = _HH(data, position)
        if kind & 0x8000:
            attributes.append(Attribute(kind & 0x7FFF, value))
            position += 4
            continue
        stop = min(position + 4 + value, end)
        attribute = Attribute(kind, data[position + 4 : stop])
        if position + 4 + value > end:
            attribute.length = value
            _beyond("attribute", value, position, end, anomalies)
        if kind == 14:
            # RFC 7296 section 3.3.5: Key Length is always sent in the TV format.
            text = "key length in TLV format"
            anomalies.append(Anomaly(AnomalyCode.ATTRIBUTE_FORMAT, text, position, position + 2))
        attributes.append(attribute)
        position = stop
    return attributes, position


def _too_small(what: str, length: int, position: int, anomalies: list[Anomaly]) -> None:
    text = f"{what} length {length} is less than its header"
    anomalies.append(Anomaly(AnomalyCode.LENGTH_TOO_SMALL, text, position + 2, position + 4))


def _beyond(what: str, length: int, position: int, end: int, anomalies: list[Anomaly]) -> None:
    text = f"{what} length {length} goes beyond octet {end}"
    anomalies.append(Anomaly(AnomalyCode.LENGTH_BEYOND_CONTAINER, text, position + 2, position + 4))


def _trailing(what: str, start: int, end: int, anomalies: list[Anomaly]) -> None:
    text = f"{end - start} octets follow the last {what}"
    anomalies.append(Anomaly(AnomalyCode.TRAILING_OCTETS, text, start, end))


def _reserved(start: int, anomalies: list[Anomaly]) -> None:
    anomalies.append(Anomaly(AnomalyCode.RESERVED_SET, "reserved octet is not zero", start, start + 1))


def _last(what: str, value: int, start: int, anomalies: list[Anomaly]) -> None:
    text = f"last-substructure value {value} of a {what} is wrong for its place"
    anomalies.append(Anomaly(AnomalyCode.LAST_SUBSTRUCTURE, text, start, start + 1))
