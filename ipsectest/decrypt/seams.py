"""Where parts of a file meet: whether what was found in one by itself would be the same behind those before it."""

from copy import copy
from dataclasses import dataclass, field, replace

from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import SaRecord, Tracks
from ipsectest.decrypt.sequence import SequenceTrack
from ipsectest.decrypt.worker import Connection, Found

_CONNECTION = "a TCP connection with IKE or ESP goes across a cut, and its messages are found by all octets before them"
_FRAGMENTS = "other packets lie between IP fragments on both sides of a cut"


@dataclass(slots=True)
class Seams:
    """What the parts so far leave to those behind them."""

    with_lines: bool
    """Whether JSON lines are written: in the order of the frames, whatever part a packet began in."""
    with_outer: bool
    frames: int = 0
    _tracks: dict[SaKeys, tuple[SequenceTrack, bool]] = field(default_factory=dict)
    _connections: set[Connection] = field(default_factory=set)

    def waits(self, found: Found) -> bool:
        """Whether a part is placed only when the one behind it is known: its last fragments lie there."""
        return self.with_lines and found.late > 0

    def tears(self, found: Found, following: Found | None) -> str:
        """How a connection, or the order of packets, crosses a seam in a way that only one process sees; else empty."""
        if found.tcp.goes_on(self._connections):
            return _CONNECTION
        if self.with_outer and found.late:  # the frame with the fragment is written with the part that it lies in
            return _FRAGMENTS
        if not self.waits(found):
            return ""
        if following is None or 0 < following.told_first <= found.late or found.late > following.totals.frames:
            return _FRAGMENTS
        return ""

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
        self._connections |= found.tcp.followed
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
