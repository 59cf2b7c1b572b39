"""The structures inside payloads: proposals, transforms, attributes, traffic selectors.

``None`` in a length, count, SPI-size or last-substructure field means "fill in"; a number is
written as it is. ``trailing`` holds octets inside the structure that its layout cannot place.
"""

import ipaddress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import ClassVar, Self

from ipsectest.base.iana import (
    ConfigurationAttributeType,
    ProtocolId,
    TrafficSelectorType,
    TransformAttributeType,
    TransformType,
)
from ipsectest.base.suites import TransformSpec
from ipsectest.wire.fields import Field, Form, auto, octets, structures, uint

Fields = tuple[Field, ...]
ANY_PORT = (0, 0xFFFF)
_KEY_LENGTH = TransformAttributeType.KEY_LENGTH.value
_spec = lru_cache(maxsize=4096)(TransformSpec)


@dataclass(slots=True)
class Attribute:
    """Transform attribute (RFC 7296 section 3.3.5): an int value is TV, octets are TLV."""

    type: int
    value: int | bytes
    length: int | None = None

    TV_FIELDS: ClassVar[Fields] = (
        Field("type", 2, names=TransformAttributeType, mask=0x7FFF),
        uint("value", 2),
    )
    TLV_FIELDS: ClassVar[Fields] = (
        Field("type", 2, names=TransformAttributeType, mask=0x7FFF),
        auto("length", 2),
        octets("value"),
    )

    @property
    def FIELDS(self) -> Fields:  # noqa: N802 - the same name as in every other structure
        """The table of the format that the value chooses."""
        return self.TV_FIELDS if isinstance(self.value, int) else self.TLV_FIELDS


@dataclass(slots=True)
class Transform:
    """Transform substructure (RFC 7296 section 3.3.2)."""

    type: int
    id: int
    attributes: list[Attribute] = field(default_factory=list)
    last_substructure: int | None = None
    length: int | None = None
    reserved: int = 0
    reserved2: int = 0
    trailing: bytes = b""

    FIELDS: ClassVar[Fields] = (
        auto("last_substructure", 1),
        uint("reserved", 1),
        auto("length", 2),
        uint("type", 1, TransformType),
        uint("reserved2", 1),
        uint("id", 2),
        structures("attributes"),
        octets("trailing"),
    )

    @classmethod
    def of(cls, spec: TransformSpec) -> Self:
        """The transform that a suite word stands for."""
        attributes = [] if spec.key_length is None else [Attribute(_KEY_LENGTH, spec.key_length)]
        return cls(int(spec.type), int(spec.id), attributes)

    @property
    def spec(self) -> TransformSpec:
        """Type, ID and key length: what negotiation compares."""
        return _spec(self.type, self.id, self.key_length)

    @property
    def key_length(self) -> int | None:
        """Bits of the Key Length attribute, None without one."""
        for attribute in self.attributes:
            if attribute.type == _KEY_LENGTH and isinstance(attribute.value, int):
                return attribute.value
        return None


@dataclass(slots=True)
class Proposal:
    """Proposal substructure (RFC 7296 section 3.3.1)."""

    number: int
    protocol: int
    spi: bytes = b""
    transforms: list[Transform] = field(default_factory=list)
    last_substructure: int | None = None
    length: int | None = None
    spi_size: int | None = None
    count: int | None = None
    reserved: int = 0
    trailing: bytes = b""

    FIELDS: ClassVar[Fields] = (
        auto("last_substructure", 1),
        uint("reserved", 1),
        auto("length", 2),
        uint("number", 1),
        uint("protocol", 1, ProtocolId),
        auto("spi_size", 1),
        auto("count", 1),
        octets("spi"),
        structures("transforms"),
        octets("trailing"),
    )

    @property
    def specs(self) -> tuple[TransformSpec, ...]:
        """The transforms as suite words, in the order sent."""
        return tuple(transform.spec for transform in self.transforms)


@dataclass(slots=True)
class TrafficSelector:
    """An address range selector, IPv4 or IPv6 (RFC 7296 section 3.13.1); addresses are 4 or 16 octets."""

    ts_type: int
    protocol: int
    start_port: int
    end_port: int
    start: bytes
    end: bytes
    length: int | None = None

    FIELDS: ClassVar[Fields] = (
        uint("ts_type", 1, TrafficSelectorType),
        uint("protocol", 1),
        auto("length", 2),
        uint("start_port", 2),
        uint("end_port", 2),
        octets("start"),
        octets("end"),
    )

    @classmethod
    def of(cls, addresses: str, protocol: int = 0, ports: tuple[int, int] = ANY_PORT) -> Self:
        """A selector from ``192.0.2.0/24``, ``2001:db8::1`` or ``192.0.2.1-192.0.2.9``."""
        if "-" in addresses:
            first, last = (ipaddress.ip_address(part.strip()) for part in addresses.split("-", 1))
        else:
            network = ipaddress.ip_network(addresses)
            first, last = network[0], network[-1]
        ipv4 = TrafficSelectorType.TS_IPV4_ADDR_RANGE
        kind = ipv4 if first.version == 4 else TrafficSelectorType.TS_IPV6_ADDR_RANGE
        return cls(kind.value, protocol, *ports, first.packed, last.packed)

    def __str__(self) -> str:
        """``192.0.2.0-192.0.2.255 protocol 17 ports 53-53``."""
        start, end = (str(ipaddress.ip_address(a)) if len(a) in {4, 16} else a.hex() for a in (self.start, self.end))
        return f"{start}-{end} protocol {self.protocol} ports {self.start_port}-{self.end_port}"


@dataclass(slots=True)
class OtherTrafficSelector:
    """A selector of another type or length: everything behind its length field as octets."""

    ts_type: int
    protocol: int
    data: bytes = b""
    length: int | None = None

    FIELDS: ClassVar[Fields] = (
        uint("ts_type", 1, TrafficSelectorType),
        uint("protocol", 1),
        auto("length", 2),
        octets("data"),
    )


@dataclass(slots=True)
class ConfigurationAttribute:
    """Configuration attribute (RFC 7296 section 3.15.1); ``reserved`` is the R bit."""

    type: int
    value: bytes = b""
    length: int | None = None
    reserved: int = 0

    FIELDS: ClassVar[Fields] = (
        Field("reserved", 2, mask=0x8000),
        Field("type", 2, names=ConfigurationAttributeType, mask=0x7FFF, shared=True),
        auto("length", 2),
        octets("value"),
    )


Structure = Attribute | Transform | Proposal | TrafficSelector | OtherTrafficSelector | ConfigurationAttribute

SPI_LIST = Field("spis", 0, Form.OCTETS_LIST)
