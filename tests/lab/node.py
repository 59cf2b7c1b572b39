"""A gateway of ours in a namespace: endpoint, sockets, data plane and TUN device put together."""

import secrets
from contextlib import ExitStack

from ipsectest.base.iana import TransformType
from ipsectest.ike.config import ConnectionConfig, EndpointConfig
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, ChildRemoved, Event
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.spd import Selector, TrafficRange
from ipsectest.net.data_plane import UserDataPlane
from ipsectest.net.loop import EventLoop
from ipsectest.net.socket_wire import SocketWire
from ipsectest.net.tun import TunDevice
from ipsectest.net.udp_driver import UdpDriver


def one_way(event: ChildInstalled, *, outbound: bool) -> SecurityAssociation:
    child, keys = event.child, event.child.keys
    source, destination = (event.local, event.remote) if outbound else (event.remote, event.local)
    sides = [
        tuple(TrafficRange(t.start, t.end, t.protocol, t.start_port, t.end_port) for t in ts)
        for ts in (child.local_ts, child.remote_ts)
    ]
    return SecurityAssociation(
        spi=child.spi_out if outbound else child.spi_in,
        source=source.host,
        destination=destination.host,
        encryption=child.chosen.of(TransformType.ENCR),
        encryption_key=keys.encryption_out if outbound else keys.encryption_in,
        integrity=child.chosen.of(TransformType.INTEG),
        integrity_key=keys.integrity_out if outbound else keys.integrity_in,
        udp_ports=(source.port, destination.port) if event.udp_ports else None,
        esn=child.chosen.esn,
        selectors=(Selector(*sides),),
    )


class Node:
    """Runs in ``loop`` until ``stack`` is closed; ``inner`` is the address behind it, ``far`` the net beyond."""

    def __init__(
        self, stack: ExitStack, loop: EventLoop, namespace: str, connection: ConnectionConfig, *, inner: str, far: str
    ) -> None:
        self.loop = loop
        self.connection = connection
        self.endpoint = Endpoint(EndpointConfig((connection.local.host,), (connection,)), secrets.token_bytes)
        self.gateway = Gateway()
        self.sas: dict[bytes, tuple[SecurityAssociation, SecurityAssociation]] = {}
        self.events: list[Event] = []
        wire = SocketWire(namespace)
        stack.callback(wire.close)
        tun = TunDevice("esp0", namespace, addresses=[inner], routes=[far], mtu=1400)
        stack.callback(tun.close)
        self.plane = UserDataPlane(self.gateway, tun, wire, secrets.token_bytes)
        self.driver = UdpDriver(self.endpoint, wire, self.follow, self.plane)
        for machine in (self.driver, self.plane):
            loop.add(machine)

    def follow(self, event: Event) -> None:
        self.events.append(event)
        if isinstance(event, ChildInstalled):
            pair = one_way(event, outbound=True), one_way(event, outbound=False)
            self.sas[event.child.spi_in] = pair
            self.gateway.add(outbound=pair[0], inbound=pair[1])
        elif isinstance(event, ChildRemoved):
            outbound, inbound = self.sas.pop(event.child.spi_in)
            self.gateway.remove(outbound=outbound, inbound=inbound)

    def has(self, kind: type[Event]) -> bool:
        return any(isinstance(event, kind) for event in self.events)

    def flush(self) -> None:
        self.driver.flush(self.loop.clock.now())
