"""The common part of all IKEv2 layers: a Scapy packet whose octets are wire's.

Scapy walks payload chains by recursion and copies them on each ``/``; the layers here walk them
in loops, so that a datagram of thousands of tiny payloads neither raises nor stalls.
"""

from collections.abc import Iterator
from typing import Any, ClassVar, Self

from scapy.base_classes import Gen
from scapy.config import conf
from scapy.packet import NoPayload, Packet
from scapy.volatile import VolatileValue

from ipsectest import wire
from ipsectest.layers.fields import scapy_field, settled


def fields_of(
    kind: Any,
    defaults: dict[str, Any] | None = None,
    structures: tuple[Any, ...] = (),
    addresses: tuple[str, ...] = (),
) -> list[Any]:
    """The Scapy fields of a wire class, in the order of the wire.

    ``defaults`` replace zeros and empty octets, ``structures`` are the packet classes of a list field,
    ``addresses`` names octet fields that also take addresses as text.
    """
    table = tuple(kind.FIELDS)
    if issubclass(kind, wire.Payload):
        table = wire.GENERIC_HEADER + table
    given = defaults or {}
    return [scapy_field(row, given.get(row.name), structures, addresses=row.name in addresses) for row in table]


class WireLayer(Packet):  # type: ignore[misc]
    """A packet that stands for one object of wire."""

    wire_class: ClassVar[Any]
    fields_desc: ClassVar[list[Any]] = []
    show_indent = 0

    def to_wire(self) -> Any:
        """The wire object with this layer's values, random ones settled."""
        values = {field.name: field.to_wire(self.getfieldval(field.name)) for field in self.fields_desc}
        return self.wire_class(**values)

    def octets(self) -> bytes:
        """This layer alone, encoded."""
        raise NotImplementedError

    def automatic(self, name: str) -> int | None:
        """The number that the builder would write into an automatic field, None if it cannot be told."""
        position = 0
        for row in self.table():
            if row.name == name:
                octets = self.octets()
                return int.from_bytes(octets[position : position + row.width])
            position += 0 if row.shared else row.width
        return None

    def table(self) -> tuple[wire.Field, ...]:
        """The wire table of the layer, from its first octet."""
        return tuple(self.wire_class.FIELDS)

    def take(self, structure: Any) -> None:
        """Set the fields from a wire object."""
        for field in self.fields_desc:
            value = getattr(structure, field.name)
            if value is not None:
                self.fields[field.name] = field.from_wire(value)
        self.explicit = 1

    def self_build(self) -> bytes:
        """This layer alone; Scapy's way through addfield is not taken."""
        return self.octets()

    def do_build(self) -> bytes:
        """This layer and what follows it."""
        octets: bytes = self.octets() + self.payload.do_build()
        return octets

    def build_padding(self) -> bytes:
        """Padding of what follows the chain."""
        octets: bytes = after_chain(self).build_padding()
        return octets

    def build_done(self, p: bytes) -> bytes:
        """Scapy's last hook, passed on to what follows the chain."""
        octets: bytes = after_chain(self).build_done(p)
        return octets

    def dissection_done(self, pkt: Packet) -> None:
        """Scapy's hook after a dissection, passed on to what follows the chain."""
        after_chain(self).dissection_done(pkt)

    def copy(self) -> Self:
        """A deep copy with everything that follows."""
        first = last = self.copy_alone()
        for layer in chain(self.payload):
            clone = layer.copy_alone()
            link(last, clone)
            last = clone
        rest = after_chain(self)
        if not isinstance(rest, NoPayload):
            link(last, rest.copy())
        return first

    def copy_alone(self) -> Self:
        """A deep copy of this layer without what follows."""
        clone = type(self)(_internal=1)
        for name in ("explicit", "time", "comments", "direction", "sniffed_on", "parent", "underlayer"):
            setattr(clone, name, getattr(self, name))
        clone.fields = self.copy_fields_dict(self.fields)
        clone.default_fields = self.copy_fields_dict(self.default_fields)
        clone.overloaded_fields = self.overloaded_fields.copy()
        return clone

    def __iter__(self) -> Iterator[Any]:
        """The packets that a packet with lists of values stands for, random values settled in each."""
        layers = list(chain(self))
        foreign = not isinstance(layers[-1].payload, NoPayload) and not self.explicit
        if foreign or any(isinstance(value, Gen | list | tuple) for layer in layers for value in layer.numbers()):
            packets: Iterator[Any] = super().__iter__()
            return packets
        packet = self.copy()
        for layer in chain(packet):
            layer.settle()
        return iter((packet,))

    def numbers(self) -> list[Any]:
        """The values of the number fields."""
        return [self.getfieldval(field.name) for field in self.fields_desc if not field.islist]

    def settle(self) -> None:
        """Replace random values, in the structures too, so that each building gives the same octets."""
        for field in self.fields_desc:
            value = self.getfieldval(field.name)
            if isinstance(value, VolatileValue):
                self.fields[field.name] = settled(value)
            elif field.holds_packets:
                for item in value:
                    item.settle()
        self.explicit = 1

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """Nothing is padding: what is left is part of the message."""
        return s, b""


def link(layer: Packet, payload: Packet) -> None:
    """Put payload behind layer, which has none yet, without walking the chain."""
    layer.payload = payload
    payload.add_underlayer(layer)


def chain(layer: Packet) -> Iterator["WireLayer"]:
    """The wire layers from layer on."""
    while isinstance(layer, WireLayer):
        yield layer
        layer = layer.payload


def after_chain(layer: Packet) -> Packet:
    """The first layer behind a chain of wire layers."""
    while isinstance(layer, WireLayer):
        layer = layer.payload
    return layer


def raw_layer(octets: bytes) -> Packet:
    """Octets without a layer of their own."""
    packet = conf.raw_layer(_internal=1)
    packet.fields["load"] = octets
    packet.explicit = 1
    return packet
