"""The capture of one case: the datagrams that went by, as raw IP packets in a pcapng file."""

import io
from collections.abc import Iterable

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.net.pcapng import PcapngWriter, WireCapture
from ipsectest.net.wire import Direction
from ipsectest.wire.datagrams import packet_of

Seen = tuple[Instant, Direction, Datagram]
"""When on the clock of the run, which way seen from the tester, and what."""


def pcapng(seen: Iterable[Seen], epoch: float, comment: str) -> bytes:
    """The octets of the file; ``epoch`` is the time of day (seconds since 1970) at instant 0."""
    file = io.BytesIO()
    writer = PcapngWriter(file, comment)
    record = WireCapture(writer, "tester", epoch)
    for at, direction, datagram in seen:
        record(at, direction, packet_of(datagram))
    return file.getvalue()
