"""Offers and choices: suites <-> SA payloads, without opinions (those are ``policy``'s).

RFC 7296 sections 2.7 and 3.3: a responder takes one proposal, one transform of each type in it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, product
from typing import Any, Generic, TypeVar, overload

from ipsectest.base.iana import (
    ExtendedSequenceNumbers,
    IntegrityAlgorithm,
    KeyExchangeMethod,
    ProtocolId,
    TransformAttributeType,
    TransformType,
)
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.crypto import Cipher, Integrity, Prf, cipher, integrity, prf, supported
from ipsectest.ike.checks import Check
from ipsectest.ike.config import Suite
from ipsectest.wire import SA, Proposal, Transform

NO_ESN = TransformSpec(TransformType.ESN, ExtendedSequenceNumbers.NO_ESN)
SPI_SIZES = {ProtocolId.IKE: 8, ProtocolId.AH: 4, ProtocolId.ESP: 4}
"""Octets of the SPI in a proposal, 0 instead of 8 in IKE_SA_INIT (RFC 7296 section 3.3.1)."""
_NONE_IDS: dict[int, int] = {TransformType.INTEG: IntegrityAlgorithm.NONE, TransformType.KE: KeyExchangeMethod.NONE}
_IKE_NEEDS = frozenset({TransformType.PRF, TransformType.KE})
_SOUNDNESS = (Check.REKEY_KE, Check.AEAD_INTEGRITY)
"""Checks that decide whether a choice is sound."""
MAX_COMBINATIONS = 4096
"""Upper bound of the work that one offered proposal can cause."""


T = TypeVar("T")


class _once(Generic[T]):  # noqa: N801 - used like a decorator of the library
    """functools.cached_property without the lock that it takes in Python 3.11, which costs more than the value."""

    def __init__(self, compute: Callable[[Any], T]) -> None:
        self.compute, self.__doc__ = compute, compute.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "_once[T]": ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object, owner: type) -> "_once[T] | T":
        if instance is None:
            return self
        value = instance.__dict__[self.compute.__name__] = self.compute(instance)
        return value


@dataclass(frozen=True)
class Chosen:
    """A suite with exactly one transform of each type, as it stands in an SA response."""

    number: int
    """Of the proposal it was taken from."""
    protocol: int
    peer_spi: bytes
    """SPI in the peer's proposal: none in IKE_SA_INIT."""
    transforms: Suite
    shown: Suite = ()
    """What the SA response says instead of ``transforms``; only an impaired endpoint fills it."""

    def of(self, kind: int) -> TransformSpec | None:
        """The transform of a type; None without one and for the ID NONE."""
        for spec in self.transforms:
            if spec.type == kind:
                return None if _NONE_IDS.get(spec.type) == spec.id else spec
        return None

    @_once
    def cipher(self) -> Cipher | None:
        """The encryption algorithm, None for AH."""
        spec = self.of(TransformType.ENCR)
        return cipher(spec.id, spec.key_length) if spec else None

    @_once
    def integrity(self) -> Integrity | None:
        """The integrity algorithm, None with an AEAD."""
        spec, encryption = self.of(TransformType.INTEG), self.cipher
        return None if spec is None or (encryption and encryption.is_aead) else integrity(spec.id)

    @_once
    def prf(self) -> Prf:
        """The pseudorandom function of an IKE suite; LookupError without one."""
        spec = self.of(TransformType.PRF)
        if spec is None:
            raise LookupError("a Child SA suite has no pseudorandom function")
        return prf(spec.id)

    @_once
    def group(self) -> int:
        """The key exchange method, 0 without one."""
        spec = self.of(TransformType.KE)
        return spec.id if spec else 0

    @_once
    def esn(self) -> bool:
        """Whether extended sequence numbers are used."""
        spec = self.of(TransformType.ESN)
        return spec is not None and spec.id == ExtendedSequenceNumbers.ESN

    def __str__(self) -> str:
        """The suite words."""
        return format_suite(self.transforms)


def offer(suites: Iterable[Suite], protocol: int, spi: bytes) -> list[Proposal]:
    """One proposal for each suite, numbered from 1 (RFC 7296 section 3.3.1)."""
    return [
        Proposal(number, protocol, spi, [Transform.of(spec) for spec in suite])
        for number, suite in enumerate(suites, 1)
    ]


def child_suites(suites: Iterable[Suite], *, with_ke: bool) -> list[Suite]:
    """Child SA suites ready to be offered or compared: ESN transform there, no KE in IKE_AUTH.

    ESP and AH proposals must have a Sequence Numbers transform (RFC 7296 section 3.3.3); IKE_AUTH has no
    KE payload, so it omits that transform type (RFC 7296 section 1.2).
    """
    result = []
    for suite in suites:
        specs = suite if with_ke else tuple(s for s in suite if s.type != TransformType.KE)
        if not any(s.type == TransformType.ESN for s in specs):
            specs = (*specs, NO_ESN)
        if specs not in result:
            result.append(specs)
    return result


def groups(offered: Iterable[Proposal]) -> list[int]:
    """Key exchange methods in order of appearance, NONE left out."""
    found = [t.id for p in offered for t in p.transforms if t.type == TransformType.KE and t.id]
    return list(dict.fromkeys(found))


def answer(chosen: Chosen, spi: bytes) -> SA:
    """The SA payload of a response."""
    transforms = [Transform.of(spec) for spec in chosen.shown or chosen.transforms]
    return SA([Proposal(chosen.number, chosen.protocol, spi, transforms)])


Checks = Callable[[Check], bool]


def _all(check: Check) -> bool:
    del check
    return True


def choose(
    offered: Iterable[Proposal], wanted: Sequence[Suite], protocol: int, spi_size: int, checks: Checks = _all
) -> Chosen | None:
    """The first proposal of the peer that one of our suites meets; within it our order of preference counts.

    ``spi_size`` in octets is what the exchange demands of a proposal. None: NO_PROPOSAL_CHOSEN is due.
    """
    for proposal in offered:
        if proposal.protocol != protocol or len(proposal.spi) != spi_size:
            continue
        for suite in wanted:
            transforms = _match(proposal, suite, checks)
            if transforms is not None:
                return Chosen(proposal.number, protocol, bytes(proposal.spi), transforms)
    return None


def _match(proposal: Proposal, suite: Suite, checks: Checks) -> Suite | None:
    """One transform of each type that the proposal offers, all allowed by suite; None if there is no such choice."""
    acceptable = tuple(_acceptable(proposal.transforms, checks))
    offered_types = tuple(dict.fromkeys([t.type for t in proposal.transforms]))
    if not checks(Check.TRANSFORM_TYPE):
        offered_types = tuple(kind for kind in offered_types if kind in set(TransformType))
    skipped = tuple(check for check in _SOUNDNESS if not checks(check))
    return _combine(acceptable, offered_types, suite, proposal.protocol, skipped)


@lru_cache(maxsize=64)
def _combine(
    acceptable: Suite, offered_types: tuple[int, ...], suite: Suite, protocol: int, skipped: tuple[Check, ...]
) -> Suite | None:
    """The choice, remembered: peers offer the same again and again."""
    ours, theirs = _by_type(suite), _by_type(acceptable)
    candidates: list[list[TransformSpec]] = []
    for kind in dict.fromkeys((*offered_types, *ours)):
        both = _common(kind, theirs.get(kind, []), ours.get(kind, []), offered=kind in offered_types)
        if not both:
            return None
        candidates.append(both)
    for transforms in islice(product(*candidates), MAX_COMBINATIONS):
        if is_sound(transforms, protocol, skipped):
            return tuple(s for s in transforms if s.type in offered_types)
    return None


def _common(kind: int, theirs: list[TransformSpec], ours: list[TransformSpec], *, offered: bool) -> list[TransformSpec]:
    """What both sides take for a type; a type that one side does not name counts as its ID NONE."""
    nothing = [TransformSpec(kind, _NONE_IDS[kind])] if kind in _NONE_IDS else []
    there = theirs if offered else nothing
    common = [spec for spec in ours or nothing if spec in there]
    if kind == TransformType.INTEG:
        # A suite names the integrity algorithms of its plain ciphers; AEADs go without (RFC 7296 section 3.3).
        common += [spec for spec in nothing if spec in there and spec not in common]
    return common


def _acceptable(transforms: Iterable[Transform], checks: Checks) -> Iterator[TransformSpec]:
    """Transforms without attributes that we do not understand (RFC 7296 section 3.3.6), for which there is code."""
    known, strict = TransformAttributeType.KEY_LENGTH, checks(Check.TRANSFORM_ATTRIBUTE)
    for transform in transforms:
        if strict and transform.attributes and any(a.type != known for a in transform.attributes):
            continue
        spec = transform.spec
        if supported(spec):
            yield spec


def _by_type(specs: Suite) -> dict[int, list[TransformSpec]]:
    result: dict[int, list[TransformSpec]] = {}
    for spec in specs:
        result.setdefault(spec.type, []).append(spec)
    return result


def is_sound(transforms: Suite, protocol: int, skipped: Sequence[Check] = ()) -> bool:
    """Whether a choice has what its protocol needs (RFC 7296 section 3.3.3): an AEAD or integrity, never both."""
    there = {spec.type: spec for spec in transforms if _NONE_IDS.get(spec.type) != spec.id}
    if protocol == ProtocolId.AH:
        return TransformType.INTEG in there and TransformType.ENCR not in there
    needed = _IKE_NEEDS - {TransformType.KE} if Check.REKEY_KE in skipped else _IKE_NEEDS
    encryption = there.get(TransformType.ENCR)
    if encryption is None or (protocol == ProtocolId.IKE and not needed <= there.keys()):
        return False
    is_aead = cipher(encryption.id, encryption.key_length).is_aead
    if is_aead and Check.AEAD_INTEGRITY in skipped:
        return True
    return is_aead != (TransformType.INTEG in there)


def accept(offered: Sequence[Proposal], answered: SA, spi_size: int) -> Chosen | None:
    """The initiator's side: the choice in a response, None unless it is one of ours (RFC 7296 section 2.7)."""
    if len(answered.proposals) != 1:
        return None
    got = answered.proposals[0]
    ours = next((p for p in offered if p.number == got.number and p.protocol == got.protocol), None)
    if ours is None or len(got.spi) != spi_size:
        return None
    specs = got.specs
    return Chosen(got.number, got.protocol, bytes(got.spi), specs) if _fits(specs, ours.specs, got.protocol) else None


@lru_cache(maxsize=64)
def _fits(specs: Suite, allowed: Suite, protocol: int) -> bool:
    """Whether a choice has one transform of each type that was offered, and code for all of them."""
    types = {spec.type for spec in specs}
    required = {s.type for s in allowed} - {s.type for s in allowed if _NONE_IDS.get(s.type) == s.id}
    if len(types) != len(specs) or not required <= types or not set(specs) <= set(allowed):
        return False
    return all(map(supported, specs)) and is_sound(specs, protocol)


def overridden(chosen: Chosen | None, answered: SA) -> Chosen | None:
    """The choice as a script's SA payload tells it, if there is code for all of it, else ``chosen``."""
    if len(answered.proposals) != 1:
        return chosen
    proposal = answered.proposals[0]
    types = {spec.type for spec in proposal.specs}
    if len(types) != len(proposal.specs) or not all(map(supported, proposal.specs)):
        return chosen
    if not is_sound(proposal.specs, proposal.protocol):
        return chosen
    return Chosen(proposal.number, proposal.protocol, chosen.peer_spi if chosen else b"", proposal.specs)
