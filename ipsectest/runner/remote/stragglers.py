"""What a peer still sends about cases that are over: with one address for all of them it would meet the next one."""

from collections import deque
from collections.abc import Mapping, Sequence

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.iana import NAT_T_PORT, NON_ESP_MARKER, HeaderFlag
from ipsectest.net.wire import IcmpError, Wire
from ipsectest.wire.ip import ESP

_SPI_SIZE, _ESP_SPI_SIZE = 8, 4
_FLAGS_AT = 19
_MOST = 100_000


class Stragglers:
    """Remembers the SPIs of earlier cases of one seat."""

    def __init__(self, *, is_asked: bool) -> None:
        """``is_asked``: whether something asks the peer to initiate; else all IKE SAs are ours."""
        self._is_asked = is_asked
        self._old: dict[bytes, None] = {}
        self._current: dict[bytes, None] = {}
        self.unasked = 0
        """Requests of IKE SAs that nobody had asked for: the peer initiates by itself."""

    def next_case(self) -> None:
        """A case is over, and another one begins."""
        self._old |= self._current
        self._current = {}
        while len(self._old) > _MOST:
            del self._old[next(iter(self._old))]

    def sent(self, datagram: Datagram) -> None:
        """Something of the case that runs."""
        if (name := _name(datagram)) is not None:
            self._current[name] = None

    def takes(self, datagram: Datagram) -> bool:
        """Whether what came is for the case that runs."""
        name = _name(datagram)
        if name is None:
            return True
        if name in self._old and name not in self._current:
            return False
        if not self._is_asked and len(name) == _SPI_SIZE and name not in self._current and _is_request(datagram):
            self.unasked += 1
            self._old[name] = None
            return False
        self._current[name] = None
        return True


def _ike(datagram: Datagram) -> bytes | None:
    """The IKE message of a datagram; None for ESP and what is too short to be either."""
    data = datagram.data
    if datagram.protocol == ESP:
        return None
    if NAT_T_PORT in {datagram.source.port, datagram.destination.port}:
        if not data.startswith(NON_ESP_MARKER):
            return None
        data = data[len(NON_ESP_MARKER) :]
    return data


def _name(datagram: Datagram) -> bytes | None:
    """What tells SAs apart: the initiator's IKE SPI (8 octets), or the SPI of ESP (4)."""
    message = _ike(datagram)
    if message is not None:
        return message[:_SPI_SIZE] if len(message) >= _SPI_SIZE else None
    return datagram.data[:_ESP_SPI_SIZE] if len(datagram.data) > _ESP_SPI_SIZE else None


def _is_request(datagram: Datagram) -> bool:
    message = _ike(datagram) or b""
    return len(message) > _FLAGS_AT and not message[_FLAGS_AT] & HeaderFlag.RESPONSE


class Sieve:
    """A wire with what belongs to earlier cases kept back."""

    def __init__(self, wire: Wire, stragglers: Mapping[str, Stragglers]) -> None:
        """``stragglers``: by address of ours."""
        self._wire = wire
        self._stragglers = stragglers
        self.icmp_errors: deque[IcmpError] = wire.icmp_errors

    def handles(self) -> Sequence[int]:
        """Those of the wire."""
        return self._wire.handles()

    def receive(self, handle: int, now: Instant) -> list[Datagram]:
        """What is for the cases that run."""
        return [d for d in self._wire.receive(handle, now) if self._stragglers[d.destination.host].takes(d)]

    def send(self, datagram: Datagram, now: Instant) -> bool:
        """Send it, and remember whose it is."""
        self._stragglers[datagram.source.host].sent(datagram)
        return self._wire.send(datagram, now)

    def close(self) -> None:
        """Close the wire."""
        self._wire.close()
