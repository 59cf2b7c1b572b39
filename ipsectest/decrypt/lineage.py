"""Which SA came of which: IKE SAs and the Child SAs that they negotiate, with their rekeys (RFC 7296 1.3, 2.8).

Everything is read out of messages: an IKE SA is replaced by CREATE_CHILD_SA with an SA payload for IKE (section
1.3.2), a Child SA by one with N(REKEY_SA), whose SPI is that of the sender's inbound SA (section 1.3.3).
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field

from ipsectest.base.iana import ExchangeType, NotifyType, ProtocolId
from ipsectest.base.suites import format_suite, ordered
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ikev1 import OpenedV1
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.marks import Marks
from ipsectest.decrypt.negotiations import Agreed
from ipsectest.wire import Delete, Notify

MOST_IKE = 10_000
"""IKE SAs of which a record is kept, the first."""
MOST_CHILDREN = 20_000
MOST_HALF_OPEN = 1000
"""IKE SAs without an answer, the last."""
MOST_OPEN_MARKED = 1000
"""IKE SAs whose repeated and closed messages have a place in time."""
Spis = tuple[bytes, bytes]
NO_SPI = bytes(8)


@dataclass(slots=True)
class IkeSa:
    """What was seen of an IKE SA; times are nanoseconds since 1970."""

    spis: Spis
    """Of its original initiator and responder."""
    version: int
    ends: tuple[str, str]
    """Outer addresses at first, in the same order."""
    first: int
    last: int
    suite: str = ""
    messages: int = 0
    closed: int = 0
    """Messages that did not open."""
    repeated: int = 0
    """Messages that are octet by octet the one before of their kind: retransmissions (RFC 7296 section 2.1)."""
    replaces: Spis | None = None
    replaced: int | None = None
    """When another took its place."""
    deleted: int | None = None
    repeats: Marks = field(default_factory=Marks)
    failures: Marks = field(default_factory=Marks)
    is_marked: bool = False
    last_of_kind: dict[tuple[bool, bool], int] = field(default_factory=dict)


@dataclass(slots=True)
class ChildSa:
    """A pair of SAs that an exchange agreed on."""

    protocol: int
    spis: Spis
    """Where the initiator and the responder of that exchange take packets in."""
    ends: tuple[str, str]
    """Outer addresses, in the same order."""
    ike: Spis
    """Of the IKE SA whose exchange it was."""
    made: int
    suite: str = ""
    replaces: tuple[bytes | None, bytes | None] | None = None
    """SPIs of the pair that it is a rekey of, each the one at the same end; None: that of this end is not known."""
    deleted: int | None = None


@dataclass(frozen=True, slots=True)
class Rekey:
    """One SA, or pair, in the place of another."""

    protocol: int
    at: int
    by: str
    """Outer address of who asked for it."""
    old: tuple[bytes | None, bytes | None]
    new: Spis


class Lineage:
    """Take every message in its order, and every exchange that agreed on SAs. Nothing here raises."""

    def __init__(self) -> None:
        self.ike: dict[Spis, IkeSa] = {}
        self.children: list[ChildSa] = []
        self.rekeys: list[Rekey] = []
        self.left_out = 0
        """IKE SAs and Child SAs beyond those of which records are kept."""
        self.unanswered = 0
        """IKE SAs that were asked for without an answer, and are forgotten."""
        self._half: OrderedDict[bytes, IkeSa] = OrderedDict()
        self._by_spi: dict[tuple[int, bytes], list[ChildSa]] = {}
        self._marked = 0

    @property
    def ike_sas(self) -> list[IkeSa]:
        """All, those without an answer too, by their first message."""
        return sorted([*self.ike.values(), *self._half.values()], key=lambda one: (one.first, one.spis))

    def take(self, opened: Opened | OpenedV1, ends: tuple[str, str], at: int) -> None:
        """A message, opened or not, between these outer addresses."""
        if isinstance(opened, OpenedV1):
            one = opened.message
            self._take((one.cookie_i, one.cookie_r), 1, ends, at, closed=bool(opened.failure))
            return
        message = opened.message
        if message.headerless:
            return
        from_initiator = message.from_initiator
        sa = self._take(
            (message.initiator_spi, message.responder_spi), 2, ends if from_initiator else ends[::-1], at,
            closed=bool(opened.failure),
        )  # fmt: skip
        if sa is None:
            return
        kind, octets = (from_initiator, message.is_response), hash(message.raw)
        if sa.last_of_kind.get(kind) == octets:
            sa.repeated += 1
            self._mark(sa, sa.repeats, at)
        sa.last_of_kind[kind] = octets
        if opened.keys and not message.is_response and message.exchange_type == ExchangeType.INFORMATIONAL:
            self._deletes(sa, opened, ends, at)

    def agree(self, agreed: Agreed, at: int) -> None:
        """An exchange settled SAs."""
        message, chosen, spis, ends = agreed.response.message, agreed.chosen, agreed.spis, agreed.ends
        ike = message.initiator_spi, message.responder_spi
        suite = format_suite(ordered(chosen.specs))
        if message.exchange_type == ExchangeType.IKE_SA_INIT:
            if sa := self.ike.get(ike):
                sa.suite = suite
        elif chosen.protocol == ProtocolId.IKE:
            self._succeed(ike, spis, suite, ends, at)
        else:
            self._child(ChildSa(chosen.protocol, spis, ends, ike, at, suite), agreed.request)

    def quick_mode(self, opened: OpenedV1, keys: Iterable[SaKeys], at: int) -> None:
        """Both directions of what IKEv1's phase 2 made; it does not tell what a rekey is in place of."""
        message = opened.message
        ike = message.cookie_i, message.cookie_r
        pairs = iter(keys)
        for towards_responder, towards_initiator in zip(pairs, pairs, strict=False):
            one = towards_responder
            spis, ends = (towards_initiator.spi, one.spi), (one.source, one.destination)
            suite = format_suite([spec for spec in (one.encryption, one.integrity) if spec])
            self._remember(ChildSa(one.protocol, spis, ends, ike, at, suite))

    def named(self, protocol: int, spi: bytes) -> list[ChildSa]:
        """The Child SAs with this SPI at either end, as they were made."""
        return self._by_spi.get((protocol, spi), [])

    def _take(self, spis: Spis, version: int, ends: tuple[str, str], at: int, *, closed: bool) -> IkeSa | None:
        sa = self._of(spis, version, ends, at)
        if sa is None:
            return None
        sa.messages += 1
        sa.last = at
        if closed:
            sa.closed += 1
            self._mark(sa, sa.failures, at)
        return sa

    def _of(self, spis: Spis, version: int, ends: tuple[str, str], at: int) -> IkeSa | None:
        if spis[1] == NO_SPI:
            half = self._half.get(spis[0])
            if half is None:
                half = self._half[spis[0]] = IkeSa(spis, version, ends, at, at)
                if len(self._half) > MOST_HALF_OPEN:
                    self._half.popitem(last=False)
                    self.unanswered += 1
            return half
        sa = self.ike.get(spis)
        if sa is None:
            sa = self._half.pop(spis[0], None) or IkeSa(spis, version, ends, at, at)
            sa.spis = spis
            if len(self.ike) >= MOST_IKE:
                self.left_out += 1
                return None
            self.ike[spis] = sa
        return sa

    def _mark(self, sa: IkeSa, marks: Marks, at: int) -> None:
        if not sa.is_marked:
            if self._marked >= MOST_OPEN_MARKED:
                return
            sa.is_marked = True
            self._marked += 1
        marks.add(at)

    def _deletes(self, sa: IkeSa, opened: Opened, ends: tuple[str, str], at: int) -> None:
        """A request to delete: the SPIs are those at which its sender takes packets in (section 1.4.1)."""
        for payload in opened.payloads:
            if not isinstance(payload, Delete):
                continue
            if payload.protocol == ProtocolId.IKE:
                sa.deleted = sa.deleted or at
            for spi in payload.spis:
                child = self._at(payload.protocol, bytes(spi), ends[0])
                if child:
                    child.deleted = child.deleted or at

    def _succeed(self, old: Spis, new: Spis, suite: str, ends: tuple[str, str], at: int) -> None:
        """A new IKE SA, whose initiator is that of the exchange (section 2.18)."""
        if new in self.ike:
            return
        if len(self.ike) >= MOST_IKE:
            self.left_out += 1
            return
        self.ike[new] = IkeSa(new, 2, ends, at, at, suite, replaces=old)
        if old in self.ike:
            self.ike[old].replaced = self.ike[old].replaced or at
        self.rekeys.append(Rekey(ProtocolId.IKE, at, ends[0], old, new))

    def _child(self, child: ChildSa, request: Opened) -> None:
        notifies = [payload for payload in request.payloads if isinstance(payload, Notify)]
        rekeyed = next((one for one in notifies if one.notify_type == NotifyType.REKEY_SA and one.spi), None)
        if rekeyed and request.message.exchange_type == ExchangeType.CREATE_CHILD_SA:
            spi = bytes(rekeyed.spi)
            old = self._at(rekeyed.protocol, spi, child.ends[0])
            child.replaces = spi, next((one for one in old.spis if one != spi), spi) if old else None
        if self._remember(child) and child.replaces:
            self.rekeys.append(Rekey(child.protocol, child.made, child.ends[0], child.replaces, child.spis))

    def _remember(self, child: ChildSa) -> bool:
        """Keep a record; False for one that is there already (a repeated exchange), and beyond the limit."""
        if any(one.spis == child.spis and one.ike == child.ike for one in self.named(child.protocol, child.spis[0])):
            return False
        if len(self.children) >= MOST_CHILDREN:
            self.left_out += 1
            return False
        self.children.append(child)
        for spi in dict.fromkeys(child.spis):
            self._by_spi.setdefault((child.protocol, spi), []).append(child)
        return True

    def _at(self, protocol: int, spi: bytes, host: str) -> ChildSa | None:
        """The Child SA that takes packets in under this SPI at a host, the newest; addresses change with MOBIKE."""
        with_spi = self.named(protocol, spi)
        here = [one for one in with_spi if (spi, host) in zip(one.spis, one.ends, strict=True)]
        found = here or with_spi
        return found[-1] if found else None
