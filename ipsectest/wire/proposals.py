"""Reader of proposals, transforms and attributes (RFC 7296 section 3.3): the hot loop."""

from struct import Struct

from ipsectest.wire.anomalies import Anomaly, AnomalyCode
from ipsectest.wire.structures import Attribute, Proposal, Transform

MORE_PROPOSALS = 2
"""Last Substruc of a proposal that another follows (RFC 7296 section 3.3.1)."""
MORE_TRANSFORMS = 3
"""Last Substruc of a transform that another follows (RFC 7296 section 3.3.2)."""
_PROPOSAL = Struct("!BBHBBBB").unpack_from
_TRANSFORM = Struct("!BBHBBH").unpack_from
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
    """The transforms between two octets, and where they end."""
    transforms: list[Transform] = []
    append = transforms.append
    last, start = MORE_TRANSFORMS, position
    while end - position >= 8:
        following, reserved, length, kind, reserved2, number = _TRANSFORM(data, position)
        if length < 8:
            _too_small("transform", length, position, anomalies)
            break
        if last != MORE_TRANSFORMS:
            transforms[-1].last_substructure = last
            _last("transform", last, start, anomalies)
        last, start = following, position
        if length == 8:
            transform = Transform(kind, number, [])
            position += 8
        else:
            position = min(start + length, end)
            attributes, stop = _read_attributes(data, start + 8, position, anomalies)
            transform = Transform(kind, number, attributes)
            if stop != position:
                transform.trailing = data[stop:position]
                _trailing("attribute", stop, position, anomalies)
            if start + length > end:
                transform.length = length
                _beyond("transform", length, start, end, anomalies)
        if reserved or reserved2:
            transform.reserved, transform.reserved2 = reserved, reserved2
            _reserved(start + 1 if reserved else start + 5, anomalies)
        append(transform)
    if transforms and last != 0:
        transforms[-1].last_substructure = last
        _last("transform", last, start, anomalies)
    return transforms, position


def _read_attributes(data: bytes, position: int, end: int, anomalies: list[Anomaly]) -> tuple[list[Attribute], int]:
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
            _beyond("attribute", value, position - 2, end, anomalies)
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
