"""How a field table is written: one literal ``FIELDS`` per structure of the wire.

The tables are read by ``spans`` (where is a field), ``describe`` (how is it shown) and the
Scapy layers (which fields does a layer have). The codecs in ``parse`` and ``build`` unpack
several fields at once for speed; a test holds them against the tables.
"""

from dataclasses import dataclass
from enum import Enum, IntEnum


class Form(Enum):
    """What the octets of a field hold."""

    NUMBER = "number"
    OCTETS = "octets"
    OCTETS_LIST = "list of octets"
    STRUCTURES = "list of structures"


@dataclass(frozen=True, slots=True)
class Field:
    """One field: attribute name, width in octets (0: as long as its value), form.

    ``names`` is the IANA registry of its values; ``mask`` the bits used when several fields
    share octets, and ``shared`` marks the second and later ones of those. ``automatic``
    fields are filled in by the builder when their attribute is None.
    """

    name: str
    width: int = 0
    form: Form = Form.NUMBER
    names: type[IntEnum] | None = None
    mask: int = 0
    shared: bool = False
    automatic: bool = False


def uint(name: str, width: int, names: type[IntEnum] | None = None) -> Field:
    """A big-endian number of width octets."""
    return Field(name, width, names=names)


def auto(name: str, width: int, names: type[IntEnum] | None = None) -> Field:
    """A number that the builder computes unless it is given."""
    return Field(name, width, names=names, automatic=True)


def octets(name: str, width: int = 0) -> Field:
    """Octets taken as they are; width 0: the rest, or what a size field says."""
    return Field(name, width, Form.OCTETS)


def structures(name: str) -> Field:
    """A list of structures that have their own tables."""
    return Field(name, 0, Form.STRUCTURES)
