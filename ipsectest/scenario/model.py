"""A parsed scenario: facts, lines and what is written in them. Frozen, without behaviour.

Arguments are kept as *operands*: what a field shall be made (sent lines) or has to be (expected lines).
"""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from ipsectest.base.suites import TransformSpec
from ipsectest.scenario.ports import Counter, Verb
from ipsectest.scenario.results import Level


@dataclass(frozen=True, slots=True)
class Spot:
    """1-based line and column in the scenario file."""

    line: int = 0
    column: int = 0


# Operands -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Number:
    """Exactly this number."""

    value: int


@dataclass(frozen=True, slots=True)
class Offset:
    """The correct number plus ``delta``."""

    delta: int


@dataclass(frozen=True, slots=True)
class Octets:
    """Exactly these octets."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Damage:
    """The correct octets, damaged: ``flip zeros ones short long``, for KE also ``one prime prime-1``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Fresh:
    """Random octets; ``size`` None keeps the correct length."""

    size: int | None = None


@dataclass(frozen=True, slots=True)
class Between:
    """Expected lines: a number from ``low`` to ``high``."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Copied:
    """The data octets of a payload (``part``: payload or notify name) of the message with a label."""

    label: str
    part: str


@dataclass(frozen=True, slots=True)
class ChildSpi:
    """SPI of the Child SA ``child``: at the sender of the line, at us (``ours``) or at the peer (``theirs``)."""

    child: str
    side: str = "sender"


@dataclass(frozen=True, slots=True)
class NatHash:
    """The NAT detection hash that fits the datagram's addresses, or one that does not."""

    matches: bool


@dataclass(frozen=True, slots=True)
class Inverse:
    """Expected lines: anything but this."""

    operand: "Operand"


@dataclass(frozen=True, slots=True)
class Holds:
    """A list of 16-bit numbers (hash algorithms): these are in it, those are not; sent, it is ``present``."""

    present: tuple[int, ...] = ()
    absent: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Counting:
    """1, 2, 3 and so on, at least one octet: the padding of RFC 4303 section 2.4."""


Operand = Number | Offset | Octets | Damage | Fresh | Between | Copied | ChildSpi | NatHash | Inverse | Holds | Counting


@dataclass(frozen=True, slots=True)
class Edit:
    """One field (attribute name of the wire class, or a word of ours) and its operand."""

    name: str
    operand: Operand
    spot: Spot = field(default=Spot(), compare=False)


# Payloads -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ProposalItem:
    """One proposal of an SA item: ``suite`` None keeps the correct one; edits are proposal or transform fields."""

    suite: tuple[TransformSpec, ...] | None
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class Offer:
    """The arguments of SA(...)."""

    protocol: int | None = None
    proposals: tuple[ProposalItem, ...] = ()
    as_before: bool = False


@dataclass(frozen=True, slots=True)
class SelectorWords:
    """A selector as written: where, IP protocol number, port range."""

    where: str
    protocol: int = 0
    ports: tuple[int, int] = (0, 0xFFFF)
    relation: str = ""
    """Expected lines: ``within`` (all lie inside), ``covers`` (together they hold it), empty: is one of them."""
    edits: tuple[Edit, ...] = ()


@dataclass(frozen=True, slots=True)
class IdentityWords:
    """The arguments of IDi(...) and IDr(...): ``side`` (ours, theirs) or a kind and its text."""

    kind: str
    value: str = ""


@dataclass(frozen=True, slots=True)
class AttributeItem:
    """One attribute of CP(...)."""

    type: int
    value: bytes | None = None


@dataclass(frozen=True, slots=True)
class PayloadItem:
    """A payload in a line: type number, for Notify its type, and what is written in its brackets."""

    name: str
    type: int
    edits: tuple[Edit, ...] = ()
    notify: int | None = None
    offer: Offer | None = None
    selectors: tuple[SelectorWords, ...] = ()
    identity: IdentityWords | None = None
    group: int | None = None
    method: int | None = None
    secret: bytes | None = None
    delete: int | None = None
    """Protocol of D(...)."""
    spis: tuple[Operand, ...] = ()
    cfg_type: int | None = None
    attributes: tuple[AttributeItem, ...] = ()
    action: str = ""
    """``+`` add, ``-`` leave out (must be absent), empty: replace (must be present)."""
    place: str = ""
    """``before`` or ``after`` the SK payload, empty: inside."""
    at: int | None = None
    count: int | None = None
    spot: Spot = field(default=Spot(), compare=False)

    @property
    def is_bare(self) -> bool:
        """Whether nothing but the name is written."""
        written = (self.edits, self.offer, self.selectors, self.identity, self.spis, self.attributes)
        numbers = (self.group, self.method, self.secret, self.delete, self.cfg_type)
        return not any(written) and all(n is None for n in numbers)


# Lines --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tag:
    """``[MUST 7296-2.1-02]``."""

    level: Level
    requirements: tuple[str, ...]
    spot: Spot = field(default=Spot(), compare=False)


@dataclass(frozen=True, slots=True)
class MessagePattern:
    """An IKE message as written: exchange type, header edits, SK edits, payloads."""

    exchange: int
    items: tuple[PayloadItem, ...] = ()
    ellipsis: bool = False
    header: tuple[Edit, ...] = ()
    protection: tuple[Edit, ...] = ()
    spot: Spot = field(default=Spot(), compare=False)

    def item(self, type_: int, notify: int | None = None) -> PayloadItem | None:
        """The first item of a payload type (and notify type) that is not left out."""
        for item in self.items:
            if item.type == type_ and item.action != "-" and (notify is None or item.notify == notify):
                return item
        return None


@dataclass(frozen=True, slots=True)
class DataPattern:
    """``ESP(child ...) content``, ``AH(child ...) content`` or ``clear content``."""

    child: str
    """Empty in an expected line: any Child SA."""
    content: str
    edits: tuple[Edit, ...] = ()
    """Of the packet on the wire: ESP or AH, and the IP header in front of it."""
    fields: tuple[Edit, ...] = ()
    """Of the packet inside."""
    carrier: str = "ESP"
    encapsulation: str = ""
    """``udp`` or ``raw`` against what the SA says."""
    octets: bytes = b""
    size: int = 56
    source: str = ""
    """Selector words, empty: the inner host."""
    destination: str = ""
    spot: Spot = field(default=Spot(), compare=False)


@dataclass(frozen=True, slots=True)
class SamePattern:
    """``same octets as NAME``."""

    label: str
    spot: Spot = field(default=Spot(), compare=False)


@dataclass(frozen=True, slots=True)
class OctetsPattern:
    """``octets 0x..`` or ``keepalive``: the whole UDP payload."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """``nothing for 1s``; with ``but`` only that message is forbidden (``no ... for 1s``)."""

    seconds: float
    but: "MessagePattern | SamePattern | DataPattern | None" = None
    modifiers: "Modifiers | None" = None


Outgoing = MessagePattern | DataPattern | SamePattern | OctetsPattern
Incoming = MessagePattern | DataPattern | SamePattern | OctetsPattern | Silence


class Kind(Enum):
    """Request or response; AUTO until resolved."""

    AUTO = "auto"
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class Modifiers:
    """The words behind a message."""

    label: str = ""
    answers: str = ""
    kind: Kind = Kind.AUTO
    sa: str = ""
    within: float | None = None
    source: str = ""
    destination: str = ""
    unencrypted: bool = False
    ordered: bool = False
    reversed: bool = False
    hold: bool = False
    drop: bool = False
    twice: bool = False


@dataclass(frozen=True, slots=True)
class Send:
    """A ``->`` line."""

    what: Outgoing
    modifiers: Modifiers
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """One way to meet a ``<-`` line."""

    what: Incoming
    modifiers: Modifiers
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class Condition:
    """An ``and`` line."""

    items: tuple[PayloadItem, ...]
    header: tuple[Edit, ...]
    modifiers: Modifiers
    tag: Tag | None
    spot: Spot
    text: str
    data: DataPattern | None = None
    """For a data line: further fields; its content is empty."""


@dataclass(frozen=True, slots=True)
class Expect:
    """A ``<-`` line with its ``or`` and ``and`` lines; the label and the tag are those of the first line."""

    alternatives: tuple[Alternative, ...]
    conditions: tuple[Condition, ...]
    tag: Tag | None
    spot: Spot
    text: str

    @property
    def first(self) -> Alternative:
        """The ``<-`` line itself."""
        return self.alternatives[0]


@dataclass(frozen=True, slots=True)
class AnyOrder:
    """``in any order:`` and its lines."""

    lines: tuple[Expect, ...]
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class UseTunnel:
    """``use tunnel NAME [behind nat]``."""

    child: str
    behind_nat: bool
    sa: str
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class PingLine:
    """``ping NAME``."""

    child: str
    tag: Tag | None
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class PeerVerb:
    """``peer ...``; ``child`` is the Child SA meant, ``expected`` the number a counter has to show."""

    verb: Verb
    child: str
    sa: str
    counter: Counter | None
    expected: Operand | None
    tag: Tag | None
    spot: Spot
    text: str
    packet: DataPattern | None = None
    """What ``peer send`` sends."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """``release NAME`` or ``duplicate NAME``."""

    label: str
    held: bool
    spot: Spot
    text: str


@dataclass(frozen=True, slots=True)
class Wait:
    """``wait 2s``."""

    seconds: float
    spot: Spot
    text: str


Line = Send | Expect | AnyOrder | UseTunnel | PingLine | PeerVerb | Repeat | Wait


# Scenario and case --------------------------------------------------------------------------------------------------


class Tests(Enum):
    """The role of the peer."""

    RESPONDER = "responder"
    INITIATOR = "initiator"
    EITHER = "either"
    ESP_RECEIVER = "esp-receiver"
    ESP_SENDER = "esp-sender"
    GATEWAY = "gateway"


Facts = dict[str, object]
"""``peer.*`` or ``tester.*`` as read from TOML."""


@dataclass(frozen=True, slots=True)
class Case:
    """One variant of a scenario in one role, ready to run."""

    scenario: str
    """Id of the scenario: its path below ``scenarios`` without suffix."""
    variant: str
    """Name of the variant, and ``peer-initiates`` or ``peer-responds`` for scenarios that run in both roles."""
    title: str
    why: str
    tests: Tests
    peer_initiates: bool
    cites: tuple[str, ...]
    proof: tuple[str, ...]
    peer: Facts
    tester: Facts
    lines: tuple[Line, ...]
    path: Path
    sha256: str
    """Of the file."""

    @property
    def id(self) -> str:
        """``ike/init/cookie`` or ``ike/init/cookie[variant]``."""
        return f"{self.scenario}[{self.variant}]" if self.variant else self.scenario


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario file."""

    id: str
    path: Path
    title: str
    why: str
    tests: Tests
    cites: tuple[str, ...]
    proof: tuple[str, ...]
    see: tuple[str, ...]
    script: str
    script_line: int
    """Line of the file on which the script begins."""
    sha256: str
    cases: tuple[Case, ...]
