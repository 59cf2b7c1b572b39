"""A gateway of ours with one connection, closed at the end of a test."""

from contextlib import ExitStack

from ipsectest.ike.config import ConnectionConfig, EndpointConfig
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.net.loop import EventLoop
from ipsectest.runner.gateway import TunnelGateway


class Node(TunnelGateway):
    """Runs in ``loop`` until ``stack`` is closed; ``inner`` is the address behind it, ``far`` the net beyond."""

    def __init__(
        self, stack: ExitStack, loop: EventLoop, namespace: str, connection: ConnectionConfig, *, inner: str, far: str
    ) -> None:
        config = EndpointConfig((connection.local.host,), (connection,))
        super().__init__(loop, namespace, config, addresses=[inner], routes=[far])
        stack.callback(self.close)
        self.connection = connection

    @property
    def sas(self) -> dict[bytes, tuple[SecurityAssociation, SecurityAssociation]]:
        return self.children.pairs
