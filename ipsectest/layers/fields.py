"""Scapy fields made from wire's field tables.

The octets are written and read by wire alone; these classes give each field its default, its
text in ``show()``, its random values for ``fuzz()`` and what it accepts from a user.
"""
# ruff: noqa: ARG002 - the signatures are those of scapy.fields.Field

import difflib
import ipaddress
from enum import IntEnum
from typing import Any

from scapy.fields import Field, PacketListField
from scapy.volatile import RandBin, RandNum, VolatileValue

from ipsectest.base.errors import UsageError
from ipsectest.base.iana import TRANSFORM_IDS, name_of
from ipsectest.wire import Field as WireField
from ipsectest.wire import Form

_FORMATS = {1: "B", 2: "H", 3: "3s", 4: "I"}
_SHOWN_OCTETS = 64


def settled(value: Any) -> Any:
    """One value of a random one, value itself otherwise."""
    return value._fix() if isinstance(value, VolatileValue) else value  # noqa: SLF001 - Scapy's own name for it


class NumberField(Field[Any, Any]):  # type: ignore[misc]
    """A number; takes IANA names as text; None means that the builder computes it."""

    __slots__ = ["bits", "names"]

    def __init__(self, field: WireField, default: int | None) -> None:
        super().__init__(field.name, default, _FORMATS[field.width])
        self.names: type[IntEnum] | None = field.names
        self.bits = field.mask.bit_count() if field.mask else 8 * field.width

    def registry(self, pkt: Any) -> type[IntEnum] | None:
        """The IANA registry of the values in pkt."""
        return self.names

    def any2i(self, pkt: Any, x: Any) -> Any:
        """Names become numbers."""
        if not isinstance(x, str):
            return x
        registry = self.registry(pkt)
        names = list(registry.__members__) if registry else []
        if registry is None or x not in names:
            near = difflib.get_close_matches(x, names, n=1)
            hint = f", did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{self.name} has no value {x!r}{hint}")
        return registry[x].value

    def i2repr(self, pkt: Any, x: Any) -> str:
        """``CURVE25519 (31)``; what the builder would write for None."""
        if x is None:
            computed = pkt.automatic(self.name)
            return "auto" if computed is None else f"{self.i2repr(pkt, computed)} [auto]"
        registry = self.registry(pkt)
        return f"{name_of(registry, x)} ({x})" if registry and isinstance(x, int) else repr(x)

    def randval(self) -> Any:
        """Any number of the field's width."""
        return RandNum(0, (1 << self.bits) - 1)

    def to_wire(self, value: Any) -> Any:
        """What wire takes."""
        value = settled(value)
        return value if value is None else int(value)

    def from_wire(self, value: int) -> int:
        """What Scapy keeps."""
        return int(value)


class TransformIdField(NumberField):
    """A transform ID, named by the registry of the transform's type."""

    __slots__ = ()

    def registry(self, pkt: Any) -> type[IntEnum] | None:
        """The transform IDs of the packet's type."""
        kind = pkt.getfieldval("type") if pkt is not None else None
        return TRANSFORM_IDS.get(kind) if isinstance(kind, int) else None


class OctetsField(Field[Any, Any]):  # type: ignore[misc]
    """Octets; a user may also write text, addresses in text where ``addresses`` is set."""

    __slots__ = ["addresses", "width"]

    def __init__(self, field: WireField, default: bytes, *, addresses: bool = False) -> None:
        super().__init__(field.name, default, "s")
        self.width = field.width
        self.addresses = addresses

    def any2i(self, pkt: Any, x: Any) -> Any:
        """Text becomes octets: UTF-8, or a packed address where the field holds addresses."""
        if isinstance(x, bytearray | memoryview):
            return bytes(x)
        if not isinstance(x, str):
            return x
        if self.addresses:
            try:
                return ipaddress.ip_address(x).packed
            except ValueError:
                pass
        return x.encode()

    def i2repr(self, pkt: Any, x: Any) -> str:
        """An address, printable text in quotes, or hexadecimal digits."""
        if not isinstance(x, bytes):
            return repr(x)
        if self.addresses and len(x) in {4, 16}:
            return str(ipaddress.ip_address(x))
        if x and all(0x20 <= octet < 0x7F for octet in x):
            return repr(x.decode("ascii"))
        return x.hex() if len(x) <= _SHOWN_OCTETS else f"{x[:_SHOWN_OCTETS].hex()}... ({len(x)} octets)"

    def randval(self) -> Any:
        """Random octets of the field's width, or up to 64."""
        return RandBin(self.width or RandNum(0, 64))

    def to_wire(self, value: Any) -> bytes:
        """What wire takes."""
        return bytes(settled(value))

    def from_wire(self, value: bytes) -> bytes:
        """What Scapy keeps."""
        return value


class OctetsListField(Field[Any, Any]):  # type: ignore[misc]
    """A list of octet strings, such as the SPIs of a Delete payload."""

    __slots__ = ()
    islist = 1

    def __init__(self, field: WireField) -> None:
        super().__init__(field.name, [], "s")

    def any2i(self, pkt: Any, x: Any) -> Any:
        """One octet string stands for a list of one."""
        return [x] if isinstance(x, bytes) else x

    def i2repr(self, pkt: Any, x: Any) -> str:
        """Hexadecimal digits."""
        return "[" + ", ".join(item.hex() for item in x) + "]"

    def randval(self) -> None:
        """Left to the user: a list is not fuzzed."""

    def to_wire(self, value: Any) -> list[bytes]:
        """What wire takes."""
        return [bytes(settled(item)) for item in value]

    def from_wire(self, value: list[bytes]) -> list[bytes]:
        """What Scapy keeps."""
        return list(value)


class StructuresField(PacketListField):  # type: ignore[misc]
    """A list of structures, each a packet of one of ``kinds``."""

    __slots__ = ["kinds"]

    def __init__(self, field: WireField, kinds: tuple[Any, ...]) -> None:
        super().__init__(field.name, [], kinds[0])
        self.kinds = {kind.wire_class: kind for kind in kinds}

    def from_wire(self, value: list[Any]) -> list[Any]:
        """The packets of wire objects."""
        packets = []
        for item in value:
            packet = self.kinds[type(item)](_internal=1)
            packet.take(item)
            packets.append(packet)
        return packets

    def to_wire(self, value: Any) -> list[Any]:
        """What wire takes."""
        return [item.to_wire() for item in value]


class ValueField(Field[Any, Any]):  # type: ignore[misc]
    """The value of a transform attribute: a number (TV format) or octets (TLV format)."""

    __slots__ = ()

    def __init__(self, name: str, default: int) -> None:
        super().__init__(name, default, "H")

    def i2repr(self, pkt: Any, x: Any) -> str:
        """A number or hexadecimal digits."""
        return x.hex() if isinstance(x, bytes) else repr(x)

    def randval(self) -> Any:
        """Any number of two octets."""
        return RandNum(0, 0xFFFF)

    def to_wire(self, value: Any) -> int | bytes:
        """What wire takes."""
        value = settled(value)
        return bytes(value) if isinstance(value, bytes | bytearray | memoryview) else int(value)

    def from_wire(self, value: int | bytes) -> int | bytes:
        """The value itself."""
        return value


def scapy_field(field: WireField, default: Any, kinds: tuple[Any, ...] = (), *, addresses: bool = False) -> Any:
    """The Scapy field for one row of a wire table; kinds are the packet classes of its structures."""
    match field.form:
        case Form.OCTETS:
            return OctetsField(field, default or b"", addresses=addresses)
        case Form.OCTETS_LIST:
            return OctetsListField(field)
        case Form.STRUCTURES:
            return StructuresField(field, kinds)
    return NumberField(field, None if field.automatic and default is None else int(default or 0))
