"""Proposals, transforms, attributes and selectors as Scapy packets."""
# ruff: noqa: N801, RUF012 - names and declarations follow Scapy's habits

from ipsectest import wire
from ipsectest.layers.fields import NumberField, TransformIdField, ValueField
from ipsectest.layers.layer import WireLayer, fields_of, link, raw_layer


class StructureLayer(WireLayer):
    """A structure inside a payload."""

    def octets(self) -> bytes:
        """The structure, encoded as the last of its list."""
        return wire.build_structure(self.to_wire())

    def automatic(self, name: str) -> int | None:
        """The computed number; the last-substructure value depends on what follows."""
        return None if name == "last_substructure" else super().automatic(name)

    def dissect(self, s: bytes) -> None:
        """Take the first structure, keep what follows as octets."""
        items, rest = wire.parse_structures(self.wire_class, s)
        if items and isinstance(items[0], self.wire_class):
            self.take(items[0])
            rest = b"".join(map(wire.build_structure, items[1:])) + rest
        else:
            rest = s
        if rest:
            link(self, raw_layer(rest))


class IKEv2_Attribute(StructureLayer):
    """Transform attribute: an int value is TV, octets are TLV."""

    name = "Attribute"
    wire_class = wire.Attribute
    fields_desc = [
        NumberField(wire.Attribute.TLV_FIELDS[0], 14),
        NumberField(wire.Attribute.TLV_FIELDS[1], None),
        ValueField("value", 128),
    ]

    def table(self) -> tuple[wire.Field, ...]:
        """The table of the format that the value chooses."""
        fields: tuple[wire.Field, ...] = self.to_wire().FIELDS
        return fields


class IKEv2_Transform(StructureLayer):
    """Transform substructure."""

    name = "Transform"
    wire_class = wire.Transform
    fields_desc = [
        TransformIdField(wire.Field("id", 2), 12) if field.name == "id" else field
        for field in fields_of(wire.Transform, {"type": 1}, (IKEv2_Attribute,))
    ]


class IKEv2_Proposal(StructureLayer):
    """Proposal substructure."""

    name = "Proposal"
    wire_class = wire.Proposal
    fields_desc = fields_of(wire.Proposal, {"number": 1, "protocol": 1}, (IKEv2_Transform,))


class IKEv2_TrafficSelector(StructureLayer):
    """Address range selector; addresses may be written as text."""

    name = "Traffic Selector"
    wire_class = wire.TrafficSelector
    fields_desc = fields_of(
        wire.TrafficSelector,
        {"ts_type": 7, "end_port": 65535, "start": bytes(4), "end": b"\xff" * 4},
        addresses=("start", "end"),
    )


class IKEv2_OtherTrafficSelector(StructureLayer):
    """Selector of another type or length."""

    name = "Other Traffic Selector"
    wire_class = wire.OtherTrafficSelector
    fields_desc = fields_of(wire.OtherTrafficSelector, {"ts_type": 10})


class IKEv2_ConfigurationAttribute(StructureLayer):
    """Configuration attribute; an address value may be written as text."""

    name = "Configuration Attribute"
    wire_class = wire.ConfigurationAttribute
    fields_desc = fields_of(wire.ConfigurationAttribute, {"type": 1}, addresses=("value",))
