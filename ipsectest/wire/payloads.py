"""The payloads of RFC 7296 section 3, RFC 7383 and RFC 3748, each with its field table.

``None`` in a length, count, next-payload or SPI-size field means "fill in"; a number is written
as it is. ``trailing`` holds octets inside the payload that its layout cannot place.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from ipsectest.base.iana import (
    AuthenticationMethod,
    CertificateEncoding,
    ConfigurationType,
    EapCode,
    IdentificationType,
    KeyExchangeMethod,
    NotifyType,
    PayloadType,
    ProtocolId,
)
from ipsectest.wire.fields import Field, auto, octets, structures, uint
from ipsectest.wire.structures import (
    SPI_LIST,
    ConfigurationAttribute,
    Fields,
    OtherTrafficSelector,
    Proposal,
    TrafficSelector,
)

GENERIC_HEADER: Fields = (
    auto("next_payload", 1, PayloadType),
    Field("critical", 1, mask=0x80),
    Field("reserved", 1, mask=0x7F, shared=True),
    auto("length", 2),
)
"""Generic payload header (RFC 7296 section 3.2), before the FIELDS of every payload."""


@dataclass(slots=True, kw_only=True)
class Payload:
    """Generic payload header (RFC 7296 section 3.2), shared by all payloads."""

    critical: bool = False
    reserved: int = 0
    next_payload: int | None = None
    length: int | None = None
    trailing: bytes = b""

    type: ClassVar[int]
    FIELDS: ClassVar[Fields]


@dataclass(slots=True)
class SA(Payload):
    """Security Association (RFC 7296 section 3.3)."""

    proposals: list[Proposal] = field(default_factory=list)

    type = PayloadType.SA.value
    FIELDS = (structures("proposals"), octets("trailing"))


@dataclass(slots=True)
class KE(Payload):
    """Key Exchange (RFC 7296 section 3.4): method number and public value."""

    group: int
    data: bytes
    body_reserved: int = 0

    type = PayloadType.KE.value
    FIELDS = (uint("group", 2, KeyExchangeMethod), uint("body_reserved", 2), octets("data"))


@dataclass(slots=True)
class Identification(Payload):
    """Identification (RFC 7296 section 3.5); use IDi or IDr."""

    id_type: int
    data: bytes
    body_reserved: int = 0

    FIELDS = (uint("id_type", 1, IdentificationType), uint("body_reserved", 3), octets("data"))


@dataclass(slots=True)
class IDi(Identification):
    """Identification of the initiator."""

    type = PayloadType.IDi.value


@dataclass(slots=True)
class IDr(Identification):
    """Identification of the responder."""

    type = PayloadType.IDr.value


@dataclass(slots=True)
class CERT(Payload):
    """Certificate (RFC 7296 section 3.6)."""

    encoding: int
    data: bytes

    type = PayloadType.CERT.value
    FIELDS = (uint("encoding", 1, CertificateEncoding), octets("data"))


@dataclass(slots=True)
class CERTREQ(Payload):
    """Certificate Request (RFC 7296 section 3.7): SHA-1 hashes of trusted keys."""

    encoding: int
    data: bytes

    type = PayloadType.CERTREQ.value
    FIELDS = (uint("encoding", 1, CertificateEncoding), octets("data"))


@dataclass(slots=True)
class AUTH(Payload):
    """Authentication (RFC 7296 section 3.8)."""

    method: int
    data: bytes
    body_reserved: int = 0

    type = PayloadType.AUTH.value
    FIELDS = (uint("method", 1, AuthenticationMethod), uint("body_reserved", 3), octets("data"))


@dataclass(slots=True)
class Nonce(Payload):
    """Nonce (RFC 7296 section 3.9)."""

    data: bytes

    type = PayloadType.NONCE.value
    FIELDS = (octets("data"),)


@dataclass(slots=True)
class Notify(Payload):
    """Notify (RFC 7296 section 3.10)."""

    notify_type: int
    data: bytes = b""
    protocol: int = 0
    spi: bytes = b""
    spi_size: int | None = None

    type = PayloadType.N.value
    FIELDS = (
        uint("protocol", 1, ProtocolId),
        auto("spi_size", 1),
        uint("notify_type", 2, NotifyType),
        octets("spi"),
        octets("data"),
    )


@dataclass(slots=True)
class Delete(Payload):
    """Delete (RFC 7296 section 3.11); no SPIs for an IKE SA."""

    protocol: int
    spis: list[bytes] = field(default_factory=list)
    spi_size: int | None = None
    count: int | None = None

    type = PayloadType.D.value
    FIELDS = (
        uint("protocol", 1, ProtocolId),
        auto("spi_size", 1),
        auto("count", 2),
        SPI_LIST,
        octets("trailing"),
    )


@dataclass(slots=True)
class VendorID(Payload):
    """Vendor ID (RFC 7296 section 3.12)."""

    data: bytes

    type = PayloadType.V.value
    FIELDS = (octets("data"),)


@dataclass(slots=True)
class TrafficSelectors(Payload):
    """Traffic Selectors (RFC 7296 section 3.13); use TSi or TSr."""

    selectors: list[TrafficSelector | OtherTrafficSelector] = field(default_factory=list)
    count: int | None = None
    body_reserved: int = 0

    FIELDS = (
        auto("count", 1),
        uint("body_reserved", 3),
        structures("selectors"),
        octets("trailing"),
    )


@dataclass(slots=True)
class TSi(TrafficSelectors):
    """Traffic Selectors of the initiator."""

    type = PayloadType.TSi.value


@dataclass(slots=True)
class TSr(TrafficSelectors):
    """Traffic Selectors of the responder."""

    type = PayloadType.TSr.value


@dataclass(slots=True)
class SK(Payload):
    """Encrypted and Authenticated (RFC 7296 section 3.14): IV, ciphertext and ICV.

    ``first`` is the type of the first inner payload; it stands in the next-payload field.
    """

    data: bytes
    first: int = 0

    type = PayloadType.SK.value
    FIELDS = (octets("data"),)


@dataclass(slots=True)
class SKF(Payload):
    """Encrypted and Authenticated Fragment (RFC 7383 section 2.5).

    ``first`` is the type of the first inner payload in fragment 1 and 0 in the others.
    """

    fragment: int
    total: int
    data: bytes
    first: int = 0

    type = PayloadType.SKF.value
    FIELDS = (uint("fragment", 2), uint("total", 2), octets("data"))


@dataclass(slots=True)
class CP(Payload):
    """Configuration (RFC 7296 section 3.15)."""

    cfg_type: int
    attributes: list[ConfigurationAttribute] = field(default_factory=list)
    body_reserved: int = 0

    type = PayloadType.CP.value
    FIELDS = (
        uint("cfg_type", 1, ConfigurationType),
        uint("body_reserved", 3),
        structures("attributes"),
        octets("trailing"),
    )


@dataclass(slots=True)
class EAP(Payload):
    """Extensible Authentication (RFC 7296 section 3.16, RFC 3748 section 4)."""

    code: int
    identifier: int
    data: bytes = b""
    eap_length: int | None = None

    type = PayloadType.EAP.value
    FIELDS = (
        uint("code", 1, EapCode),
        uint("identifier", 1),
        auto("eap_length", 2),
        octets("data"),
        octets("trailing"),
    )


@dataclass(slots=True)
class UnknownPayload(Payload):
    """A payload without a layout here, or a body that does not fit its type's layout."""

    type: int  # type: ignore[misc]
    data: bytes = b""

    FIELDS = (octets("data"),)


LAYOUTS: dict[int, type[Payload]] = {
    layout.type: layout
    for layout in (SA, KE, IDi, IDr, CERT, CERTREQ, AUTH, Nonce, Notify, Delete, VendorID, TSi, TSr, SK, SKF, CP, EAP)
}
"""Payload type number -> class, for every type that has a layout."""
