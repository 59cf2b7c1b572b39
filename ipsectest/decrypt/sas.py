"""The SAs of a capture: keys that open packets, found by SPI and address, with what was seen of each."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.crypto import UnsupportedAlgorithmError
from ipsectest.decrypt.keys.model import ANY, SaKeys
from ipsectest.decrypt.marks import MOST, Marks
from ipsectest.decrypt.sequence import SequenceTrack
from ipsectest.ipsec.ah import open_ah
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import Opened, default_padding, open_esp
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire.ip import IPV4_IN_IP, IPV6_IN_IP, IpPacket

HIGHEST_ESN = 16
"""Upper halves of extended sequence numbers that are tried where the key file names none."""
_NOWHERE = "192.0.2.0"


class SaError(ValueError):
    """Keys that cannot be used, with the reason."""


@dataclass(slots=True)
class Traffic:
    """What was seen of an SA."""

    packets: int = 0
    """Opened ones, replays included."""
    octets: int = 0
    """Of their payload."""
    first: int | None = None
    """Nanoseconds since 1970."""
    last: int | None = None


@dataclass(slots=True)
class SaRecord:
    """What one process saw of an SA, to be handed to another."""

    keys: SaKeys
    esn: bool
    traffic: Traffic
    sequence: SequenceTrack
    failures: Counter[DropReason]
    ends: tuple[str, str] | None
    continues: bool = False
    """Whether its sequence numbers are those of the parts before as well."""
    replays: Marks = field(default_factory=Marks)
    failed: Marks = field(default_factory=Marks)


class CapturedSa:
    """One direction of ESP or AH. Raises SaError for keys that do not fit their algorithm."""

    def __init__(self, keys: SaKeys) -> None:
        self.keys = keys
        self.traffic = Traffic()
        self.sequence = SequenceTrack()
        self.failures: Counter[DropReason] = Counter()
        self.verified = not keys.unchecked_icv
        """Whether ICVs are checked."""
        self.was_new = True
        """Whether the sequence number of the packet opened last was not seen before."""
        self.ends: tuple[str, str] | None = None
        """Outer addresses of the packet that opened first."""
        self.continues = False
        self.replays, self.failed = Marks(), Marks()
        """When packets came twice, and when some did not open."""
        self.room: Callable[[], int] | None = lambda: MOST
        """Asked once how many marks of each kind may be kept, when there is the first."""
        first, *self._forms = _sequence_forms(keys)
        self.association = association_of(keys, esn=first[0], high=first[1])
        """What opens the packets: of several forms of sequence numbers the one that did it first."""
        self._others: list[SecurityAssociation] | None = None if self._forms else []
        """Other forms to try, made when they are needed."""

    @property
    def suite(self) -> str:
        """The algorithms in words of ``base.suites``."""
        return format_suite([spec for spec in (self.keys.encryption, self.keys.integrity) if spec])

    @property
    def esn(self) -> bool:
        """Whether the SA counts with 64 bits, as far as is known by now."""
        return self.association.esn

    def open_esp(self, data: bytes, at: int) -> Opened | Drop:
        """Check and decrypt an ESP packet (SPI to ICV) captured ``at`` nanoseconds; never raises."""
        if self.keys.unchecked_icv:
            data = data[: max(0, len(data) - self.keys.unchecked_icv)]
        if not self.keys.spi and len(data) >= 4:
            self.association.spi = data[:4]
            for association in self._others or []:
                association.spi = data[:4]
        return self._try(lambda sa: _plausible(sa, open_esp(sa, data), checked=self.verified), at)

    def open_ah(self, packet: IpPacket, at: int) -> Opened | Drop:
        """Check an AH packet; never raises."""
        return self._try(lambda sa: open_ah(sa, packet), at)

    def record(self) -> SaRecord:
        """What was seen so far, without the contexts that hold the keys."""
        return SaRecord(
            self.keys, self.esn, self.traffic, self.sequence, self.failures, self.ends, self.continues,
            self.replays, self.failed,
        )  # fmt: skip

    def go_on(self, sequence: SequenceTrack, *, esn: bool) -> None:
        """Take up the numbers of another process, which read the parts before."""
        self.sequence, self.continues = sequence, True
        self.association, self._others = association_of(self.keys, esn=esn), []
        self.association.replay.highest = sequence.highest

    def merge(self, later: SaRecord) -> None:
        """Add what another process saw in a later part of the capture."""
        mine, theirs = self.traffic, later.traffic
        mine.packets += theirs.packets
        mine.octets += theirs.octets
        mine.first = theirs.first if mine.first is None else mine.first
        mine.last = mine.last if theirs.last is None else theirs.last
        if later.continues:
            self.sequence = later.sequence
        else:
            self.sequence.merge(later.sequence)
        self.failures += later.failures
        self._limit_marks()
        self.replays.merge(later.replays)
        self.failed.merge(later.failed)
        self.ends = self.ends or later.ends
        if theirs.packets:
            self.association, self._others = association_of(self.keys, esn=later.esn), []
            self.association.replay.highest = self.sequence.highest

    def passed(self, packets: int, octets: int, first: int, last: int) -> None:
        """Count packets that the fast path opened: all genuine, with the numbers that follow the highest."""
        self.traffic.packets += packets
        self.traffic.octets += octets
        self.traffic.first = first if self.traffic.first is None else self.traffic.first
        self.traffic.last = last
        self.sequence.advance(packets, first, last)
        self.association.replay.highest = self.sequence.highest

    def _seen(self, opened: Opened, at: int) -> None:
        self.traffic.packets += 1
        self.traffic.octets += len(opened.payload)
        self.traffic.first = at if self.traffic.first is None else self.traffic.first
        self.traffic.last = at
        self.was_new = self.sequence.take(opened.sequence, at)
        if not self.was_new:
            self.replays.add(at)
        if not self.was_new or self.sequence.gaps:
            self._limit_marks()

    def _limit_marks(self) -> None:
        if self.room:
            self.sequence.gaps.most = self.replays.most = self.failed.most = self.room()
            self.room = None

    def _try(self, opener: "Opener", at: int) -> Opened | Drop:
        result = opener(self.association)
        if not _is_genuine(result) and self._others != []:
            if self._others is None:
                self._others = [association_of(self.keys, esn=esn, high=high) for esn, high in self._forms]
            for association in self._others:
                result = opener(association)
                if _is_genuine(result):
                    self.association = association
                    break
        if _is_genuine(result):
            self._others = []
        if isinstance(result, Opened):
            # Without a window nothing is refused as a replay; the number is what later ones are inferred from.
            self.association.replay.highest = max(self.association.replay.highest, result.sequence)
            self._seen(result, at)
        else:
            self.failures[result.reason] += 1
            self.failed.add(at)
            self._limit_marks()
        return result


def association_of(keys: SaKeys, *, esn: bool, high: int = 0) -> SecurityAssociation:
    """What opens packets, without a window: nothing is refused as a replay. SaError for keys that do not fit."""
    try:
        made = SecurityAssociation(
            spi=keys.spi if len(keys.spi) == 4 else bytes(4),
            source=keys.source or _NOWHERE,
            destination=keys.destination or _NOWHERE,
            protocol=keys.protocol,
            encryption=keys.encryption,
            encryption_key=keys.encryption_key,
            integrity=keys.integrity,
            integrity_key=keys.integrity_key,
            esn=esn,
            replay_window=0,
            checks_padding=False,
        )
    except (UnsupportedAlgorithmError, ValueError) as error:
        raise SaError(str(error)) from error
    made.replay.highest = high << 32
    return made


Opener = Callable[[SecurityAssociation], Opened | Drop]


def _is_genuine(result: Opened | Drop) -> bool:
    return isinstance(result, Opened) or result.reason is DropReason.DUMMY


def _plausible(sa: SecurityAssociation, result: Opened | Drop, *, checked: bool) -> Opened | Drop:
    """Without an ICV only the padding tells a wrong key (RFC 4303 section 2.4); a tunnel's packet tells it besides."""
    if isinstance(result, Drop) or (checked and sa.has_integrity) or result.next_header in {IPV4_IN_IP, IPV6_IN_IP}:
        return result
    length = len(result.padding)
    if result.padding in {default_padding(length), bytes(length)}:
        return result
    return Drop(DropReason.BAD_PADDING, sa.spi, result.sequence)


def _sequence_forms(keys: SaKeys) -> list[tuple[bool, int]]:
    """(ESN, upper half) to try in this order."""
    if keys.esn is False:
        return [(False, 0)]
    highs = [keys.esn_high, *(high for high in range(HIGHEST_ESN + 1) if high != keys.esn_high)]
    extended = [(True, high) for high in highs]
    return extended if keys.esn else [(False, 0), *extended]


Tracks = dict[SaKeys, tuple[SequenceTrack, bool]]
"""Sequence numbers of SAs, and whether they have 64 bits."""


class SaDatabase:
    """SAs by SPI and addresses; more may come while a capture is read."""

    def __init__(self, keys: Iterable[SaKeys] = ()) -> None:
        self.sas: list[CapturedSa] = []
        self.unusable: list[tuple[SaKeys, str]] = []
        """Keys with the reason why they open nothing."""
        self.unknown: Counter[tuple[int, bytes, str, str]] = Counter()
        """(protocol, SPI, source, destination) of packets without keys; bounded."""
        self.esp_spis: set[bytes] = set()
        """Of all keys; grows with them."""
        self.guesses = True
        """Whether keys without an SPI are taken for those of any."""
        self.seek: Callable[[int, bytes], bool] | None = None
        """Asked where there are no keys for an SPI; whether more came."""
        self._marked = 0
        self._known: dict[SaKeys, CapturedSa] = {}
        """By keys without their origin."""
        self._by_spi: dict[tuple[int, bytes], list[CapturedSa]] = {}
        for one in keys:
            self.add(one)

    def add(self, keys: SaKeys) -> CapturedSa | None:
        """Take keys into use; None for unusable ones and for what is there already."""
        identity = replace(keys, origin="")
        if identity in self._known:
            return None
        try:
            made = CapturedSa(keys)
        except SaError as error:
            if len(self.unusable) < MOST_UNUSABLE:
                self.unusable.append((keys, str(error)))
            return None
        made.room = self._room
        self._known[identity] = made
        if keys.protocol == ProtocolId.ESP and keys.spi:
            self.esp_spis.add(keys.spi)
        place = self._by_spi.setdefault((keys.protocol, keys.spi), [])
        place.append(made)
        if keys.spi:
            del place[:-MOST_OF_ONE_SPI]
        self.sas.append(made)
        return made

    def forget(self, behind: int) -> None:
        """Give up all SAs but the first, which nothing was opened with yet."""
        for sa in self.sas[behind:]:
            del self._known[replace(sa.keys, origin="")]
            place = self._by_spi[sa.keys.protocol, sa.keys.spi]
            place[:] = [one for one in place if one is not sa]
            if not place:
                del self._by_spi[sa.keys.protocol, sa.keys.spi]
                self.esp_spis.discard(sa.keys.spi)
        del self.sas[behind:]

    def merge(self, record: SaRecord) -> None:
        """Add what another process saw of an SA in a later part of the capture."""
        self.add(record.keys)
        sa = self._known.get(replace(record.keys, origin=""))
        if sa:
            sa.merge(record)

    def go_on(self, tracks: "Tracks") -> None:
        """Take up where the parts before end."""
        for keys, (sequence, esn) in tracks.items():
            sa = self._known.get(replace(keys, origin=""))
            if sa:
                sa.go_on(sequence, esn=esn)

    def _room(self) -> int:
        self._marked += 1
        return MOST if self._marked <= MOST_MARKED else MOST_OF_OTHERS

    def find(self, protocol: int, spi: bytes, source: str, destination: str) -> list[CapturedSa]:
        """The SAs that may have sealed a packet, the likeliest first.

        An SPI with other addresses is a candidate too: NAT changes them, and key files tell the inner ones.
        """
        candidates = list(self._by_spi.get((protocol, spi), ()))
        if not candidates and self.seek and self.seek(protocol, spi):
            candidates += self._by_spi.get((protocol, spi), ())
        if self.guesses:
            candidates += self._by_spi.get((protocol, b""), ())
        if len(candidates) > 1:
            candidates.sort(key=lambda sa: -_closeness(sa.keys, spi, source, destination))
        return candidates

    def knows(self, protocol: int, spi: bytes) -> bool:
        """Whether there are keys for an SPI."""
        return (protocol, spi) in self._by_spi

    def miss(self, protocol: int, spi: bytes, source: str, destination: str) -> None:
        """Remember a packet for which there are no keys."""
        name = protocol, spi, source, destination
        if name in self.unknown or len(self.unknown) < MOST_UNKNOWN:
            self.unknown[name] += 1


MOST_OF_ONE_SPI = 256
"""SAs that are tried for a packet, the newest: a peer may choose the same SPI for all of its Child SAs."""
MOST_UNUSABLE = 1000
MOST_MARKED = 1000
"""SAs of which each loss, replay and failure has a place in time; of others these are told by few places."""
MOST_OF_OTHERS = 2
MOST_UNKNOWN = 10_000
"""SPIs without keys that are told apart."""


def _closeness(keys: SaKeys, spi: bytes, source: str, destination: str) -> int:
    if (keys.source not in {ANY, source}) or (keys.destination not in {ANY, destination}):
        return 0
    return 1 + (keys.spi == spi) + (keys.source == source) + (keys.destination == destination)


def describe(keys: SaKeys) -> str:
    """One SA in a line, without its keys: ``ESP c1a2b3c4 192.0.2.1 > 192.0.2.2 aes128gcm16``."""
    name = "AH" if keys.protocol == ProtocolId.AH else "ESP"
    specs: list[TransformSpec] = [spec for spec in (keys.encryption, keys.integrity) if spec]
    ends = f"{keys.source or '*'} > {keys.destination or '*'}"
    return f"{name} {keys.spi.hex() or '*'} {ends} {format_suite(specs)}"
