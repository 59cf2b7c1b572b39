"""Which keys belong to an SA that no file names: found by trying them on its first packets.

An ICV decides at once. Without one the plaintext has to look like one of ESP (RFC 4303 section 2): padding, next
header and inner IP header are weighed against chance, over as many packets as that takes. Work and memory are bounded.
"""

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field, replace

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import CapturedSa, SaDatabase, SaError, association_of
from ipsectest.ipsec.ah import open_ah
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import Opened, open_esp
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.tunnel import without_tfc_padding
from ipsectest.wire.ip import (
    AH,
    ESP,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPV4_IN_IP,
    IPV6_IN_IP,
    NO_NEXT_HEADER,
    TCP,
    UDP,
    IpPacket,
    parse_ip,
)

MOST_PACKETS = 16
"""Packets of an SA that are tried before it is given up."""
MOST_ATTEMPTS = 1_000_000
"""Of one run: about a minute."""
MOST_FLOWS = 10_000
"""SAs that are remembered."""
MOST_EVIDENCE = 200_000
"""Candidates without an ICV that are weighed at once, of all SAs."""
_ENOUGH = 48
"""Bits of evidence: one in 2^48 by chance, for each pair of an SA and a key."""
MOST_CANDIDATES = 5000
_GRE, _SCTP = 47, 132
_NEXT_HEADERS = frozenset(
    {ICMP, IPV4_IN_IP, TCP, UDP, IPV6_IN_IP, _GRE, ESP, AH, ICMPV6, NO_NEXT_HEADER, _SCTP, HOP_BY_HOP}
)
_NEXT_HEADER_BITS = 4
"""12 of 256 values."""
_DUMMY_BITS = 8
"""Next header 59, with padding that nobody looked at."""
_VERSION_BITS, _CHECKSUM_BITS, _LENGTH_BITS = 4, 16, 16


@dataclass(frozen=True, slots=True)
class Flow:
    """An SA as a packet shows it."""

    protocol: int
    spi: bytes
    source: str
    destination: str


@dataclass(slots=True)
class _Candidate:
    keys: SaKeys
    forms: list[SecurityAssociation]
    """With 32 and with 64 bits of sequence number."""


@dataclass(slots=True)
class Tried:
    """What the packets of a flow gave so far."""

    packets: int = 0
    evidence: Counter[int] = field(default_factory=Counter)
    """Bits, by number of a candidate without an ICV that every packet so far spoke for."""


@dataclass(frozen=True, slots=True)
class TrialState:
    """What is known after a part of a capture."""

    found: tuple[SaKeys, ...] = ()
    flows: dict[Flow, Tried] = field(default_factory=dict)
    attempts: int = 0
    busy: frozenset[tuple[int, bytes]] = frozenset()
    """Protocol and SPI of SAs that opened packets: nothing is tried for these any more."""


class Trial:
    """Of one run. ``take`` packets that nothing opened. ``state`` is that of the run whose capture goes on here."""

    def __init__(self, database: SaDatabase, state: TrialState | None = None) -> None:
        self.found: list[SaKeys] = []
        """Keys with the SPI and the addresses that they turned out to be for."""
        self.attempts = 0
        self.asked: set[Flow] = set()
        """SAs for which keys were sought."""
        self._busy: frozenset[tuple[int, bytes]] = frozenset()
        self._database = database
        self._candidates: list[_Candidate] = []
        self._read = 0
        self._entered: set[SaKeys] = set()
        database.guesses = False
        self._flows: Bounded[Flow, Tried] = Bounded(MOST_FLOWS, MOST_EVIDENCE)
        if state:
            self.restore(state)

    def state(self) -> TrialState:
        """What is known by now; later attempts do not change it."""
        return TrialState(tuple(self.found), deepcopy(dict(self._flows.items())), self.attempts, self._busy)

    def restore(self, state: TrialState) -> None:
        """Know this and nothing else. Keys that were found have to be in the database, or will be."""
        self.found, self.attempts, self._busy = [*state.found], state.attempts, state.busy
        self._entered = set(state.found)
        self._read = min(self._read, len(self._database.sas))
        self._flows.clear()
        for flow, tried in state.flows.items():
            self._flows.put(flow, deepcopy(tried), 1 + len(tried.evidence))

    def enter(self, keys: SaKeys) -> None:
        """Keys that another run found for a later part of the capture."""
        self._enter(keys)

    @property
    def is_over(self) -> bool:
        """Whether no more attempts are made."""
        return self.attempts >= MOST_ATTEMPTS

    def take(self, flow: Flow, ip: IpPacket, data: bytes) -> CapturedSa | None:
        """The SA of a packet, entered into the database; None if no keys are known to be its own."""
        if (flow.protocol, flow.spi) in self._busy:
            return None
        if len(self.asked) <= MOST_FLOWS:
            self.asked.add(flow)
        tried = self._flows.get(flow) or Tried()
        if tried.packets >= MOST_PACKETS or self.is_over:
            return None
        self._read_candidates()
        numbers = range(len(self._candidates)) if tried.packets == 0 else None
        found = None
        for number in numbers if numbers is not None else self._left(tried):
            found = self._try(number, tried, flow, ip, data)
            if found or self.is_over:
                break
        tried.packets += 1
        self._flows.put(flow, tried, 1 + len(tried.evidence))
        return self._enter(found) if found else None

    def _left(self, tried: Tried) -> list[int]:
        """Candidates whose ICV may have been wrong for a damaged packet, and those that are weighed still."""
        return [
            number
            for number, candidate in enumerate(self._candidates)
            if candidate.forms[0].has_integrity or number in tried.evidence
        ]

    def _read_candidates(self) -> None:
        """Take what was added to the database; keys that were found for one SA serve as they were read."""
        sas = self._database.sas
        for sa in sas[self._read :]:
            if sa.keys not in self._entered and len(self._candidates) < MOST_CANDIDATES:
                self._candidates.append(_Candidate(sa.keys, _forms(sa.keys)))
        self._read = len(sas)

    def _try(self, number: int, tried: Tried, flow: Flow, ip: IpPacket, data: bytes) -> SaKeys | None:
        candidate = self._candidates[number]
        keys = candidate.keys
        if keys.protocol != flow.protocol:
            return None
        seen = replace(
            keys, spi=flow.spi, source=flow.source, destination=flow.destination,
            origin=f"{keys.origin}, found by trial" if keys.origin else "found by trial",
        )  # fmt: skip
        for association in candidate.forms:
            self.attempts += 1
            association.spi = flow.spi
            association.replay.highest = keys.esn_high << 32 if association.esn else 0
            if flow.protocol == ProtocolId.AH:
                result = open_ah(association, ip)
            else:
                result = open_esp(association, data[: len(data) - keys.unchecked_icv])
            if association.has_integrity:
                if isinstance(result, Opened) or result.reason is DropReason.DUMMY:
                    return seen
                continue
            bits = plausibility(result)
            tried.evidence[number] += bits
            if not bits:
                del tried.evidence[number]
            elif tried.evidence[number] >= _ENOUGH:
                return seen
            break  # the size of sequence numbers shows in an ICV only
        return None

    def _enter(self, keys: SaKeys) -> CapturedSa | None:
        made = self._database.add(keys)
        if made:
            self.found.append(keys)
            self._entered.add(keys)
        return made


def plausibility(result: Opened | Drop) -> int:
    """Bits of evidence that a packet without an ICV was decrypted with its key; 0: it was not."""
    if isinstance(result, Drop):
        return _DUMMY_BITS if result.reason is DropReason.DUMMY else 0
    if result.next_header not in _NEXT_HEADERS or result.padding != bytes(range(1, len(result.padding) + 1)):
        return 0
    bits = _NEXT_HEADER_BITS + 8 * (1 + len(result.padding))
    if result.next_header in {IPV4_IN_IP, IPV6_IN_IP}:
        inner = _tunnelled(result)
        return bits + inner if inner else 0
    return bits


def _tunnelled(result: Opened) -> int:
    """The same for an inner IP packet; behind it may be TFC padding."""
    inner = parse_ip(result.payload)
    if inner is None or inner.version != (4 if result.next_header == IPV4_IN_IP else 6):
        return 0
    fills_it = len(without_tfc_padding(result.payload, inner)) == len(result.payload)
    return _VERSION_BITS + _CHECKSUM_BITS * (inner.version == 4) + _LENGTH_BITS * fills_it


def _forms(keys: SaKeys) -> list[SecurityAssociation]:
    esns = (False, True) if keys.esn is None else (keys.esn,)
    made = []
    for esn in esns:
        try:
            made.append(association_of(keys, esn=esn, high=keys.esn_high))
        except SaError:  # was tried when the database took it
            continue
    return made
