"""SAs that carried packets, and what IKE told of them: who made them, what they replace."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipsectest.decrypt.likely_rekeys import likely_rekeys
from ipsectest.decrypt.lineage import ChildSa, Lineage
from ipsectest.decrypt.sas import CapturedSa


@dataclass(frozen=True, slots=True)
class Kin:
    """What is known of one direction."""

    child: ChildSa | None = None
    """Its pair, as it was negotiated; None if no message that could be read tells."""
    replaces: bytes | None = None
    """SPI of the SA before it, in the same direction."""
    guess: bool = False
    """Whether the times alone say so."""


@dataclass(frozen=True, slots=True)
class ToldRekey:
    """A rekey, as a message or the times tell it; of a guess one direction is told."""

    protocol: int
    at: int
    by: str
    old: tuple[bytes | None, ...]
    new: tuple[bytes, ...]
    guess: bool = False


class Kinship:
    """Of the SAs of one run."""

    def __init__(self, lineage: Lineage, sas: Sequence[CapturedSa]) -> None:
        self._of: dict[int, Kin] = {}
        self.rekeys = [ToldRekey(one.protocol, one.at, one.by, one.old, one.new) for one in lineage.rekeys]
        """In the order of time."""
        for sa in sas:
            if kin := _negotiated(lineage, sa):
                self._of[id(sa)] = kin
        # Of what is negotiated it is known, one way or the other.
        for old, new in likely_rekeys(sa for sa in sas if id(sa) not in self._of):
            self._of[id(new)] = Kin(replaces=old.keys.spi, guess=True)
            at = new.traffic.first or 0
            self.rekeys.append(ToldRekey(new.keys.protocol, at, "", (old.keys.spi,), (new.keys.spi,), guess=True))
        self.rekeys.sort(key=lambda one: one.at)

    def of(self, sa: CapturedSa) -> Kin:
        """What is known of an SA."""
        return self._of.get(id(sa), Kin())


def _negotiated(lineage: Lineage, sa: CapturedSa) -> Kin | None:
    """The pair that an SA belongs to: by SPI and where packets go, or by the SPI alone if that is enough (NAT)."""
    spi, host = sa.keys.spi, sa.ends[1] if sa.ends else sa.keys.destination
    with_spi = lineage.named(sa.keys.protocol, spi)
    here = [child for child in with_spi if (spi, host) in zip(child.spis, child.ends, strict=True)]
    if not here and len(with_spi) > 1:
        return None
    child = _in_time(here or with_spi, sa)
    if child is None:
        return None
    ends = list(zip(child.spis, child.ends, strict=True))
    place = ends.index((spi, host)) if here else child.spis.index(spi)
    return Kin(child, child.replaces[place] if child.replaces else None)


def _in_time(children: Sequence[ChildSa], sa: CapturedSa) -> ChildSa | None:
    """Of several with the same SPI the last that was made before the first packet."""
    first = sa.traffic.first
    before = [child for child in children if first is None or child.made <= first]
    found = before or children
    return found[-1] if found else None
