"""IKE that has arrived and is not read yet, while ESP behind it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from ipsectest.base.addresses import Datagram
from ipsectest.net.data_plane import carries_esp
from ipsectest.runner.gateway import TunnelGateway


@contextmanager
def withheld(gateway: TunnelGateway) -> Iterator[list[Datagram]]:
    """IKE that arrives inside waits in the list, and is given to the endpoint at the end."""
    driver, kept = gateway.driver, []
    receive = driver.wire.receive

    def without_ike(handle: int, now: float) -> list[Datagram]:
        arrived = receive(handle, now)
        kept.extend(datagram for datagram in arrived if not carries_esp(datagram))
        return [datagram for datagram in arrived if carries_esp(datagram)]

    driver.wire.receive = without_ike  # type: ignore[method-assign]
    try:
        yield kept
    finally:
        driver.wire.receive = receive  # type: ignore[method-assign]
    now = gateway.loop.clock.now()
    for datagram in kept:
        driver.endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, now)
    gateway.flush()
