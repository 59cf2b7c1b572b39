"""Where parts of a file meet: whether what was found in one by itself would be the same behind those before it."""

from copy import copy
from dataclasses import dataclass, field, replace

from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import SaRecord, Tracks
from ipsectest.decrypt.sequence import SequenceTrack
from ipsectest.decrypt.worker import Found


@dataclass(slots=True)
class Seams:
    """What the parts so far leave to those behind them."""

    with_lines: bool
    """Whether JSON lines are written: in the order of the frames, whatever part a packet began in."""
    with_outer: bool
    frames: int = 0
    _tracks: dict[SaKeys, tuple[SequenceTrack, bool]] = field(default_factory=dict)
    _incomplete: set[tuple[object, ...]] = field(default_factory=set)

    def waits(self, found: Found) -> bool:
        """Whether a part is placed only when the one behind it is known: its last fragments lie there."""
        return self.with_lines and found.late > 0

    def tears(self, found: Found, following: Found | None) -> bool:
        """Whether a message, or the order of packets, goes across a seam in a way that only one process sees."""
        if not self._incomplete.isdisjoint(found.fragmented):
            return True
        if self.with_outer and found.late:  # the frame with the fragment is written with the part that it lies in
            return True
        if not self.waits(found):
            return False
        if following is None:
            return True
        return 0 < following.told_first <= found.late or found.late > following.totals.frames

    def tracks_for(self, found: Found) -> Tracks:
        """Numbers so far of SAs in which packets came twice, or out of order, on both sides of the seam."""
        return {
            record.keys: known
            for record in found.sas
            if (known := self._tracks.get(_named(record))) and not record.continues
            if not known[0].takes_as_new(record.sequence)
        }

    def pass_on(self, found: Found) -> None:
        """A part is in its place: remember how it ends."""
        self.frames += found.totals.frames
        self._incomplete = (self._incomplete - found.fragmented) | found.incomplete
        for record in found.sas:
            if not record.traffic.packets:
                continue
            before = self._tracks.get(_named(record))
            if before is None or record.continues:
                track = copy(record.sequence)
            else:
                track = before[0]
                track.merge(record.sequence)
            self._tracks[_named(record)] = track, record.esn


def _named(record: SaRecord) -> SaKeys:
    return replace(record.keys, origin="")
