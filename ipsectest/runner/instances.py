"""Daemons of a run: each in a namespace of its own, with a packet wire to us."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.lab import Lab
from ipsectest.lab.topology import furnish_peer
from ipsectest.net.packet_wire import PacketWire
from ipsectest.peers import table
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.host import Host
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.runner.guest_networks import GuestNetworks
from ipsectest.runner.slots import SLOTS

_WIRE = "tester0"


@dataclass(slots=True)
class Instance:
    """A running daemon and the wire to it."""

    name: PeerName
    peer: Daemon
    wire: PacketWire
    options: DaemonOptions
    number: int
    vm: bool = False
    """Whether it runs in the lab's virtual machine."""


class Daemons:
    """Starts instances in one lab and ends them all; a context manager."""

    def __init__(self, credentials: Credentials | None = None, *, vm: bool = False) -> None:
        self._credentials = credentials
        self._vm = vm
        self._guest: GuestNetworks | None = None
        self._stack = ExitStack()
        self._lab = self._stack.enter_context(Lab())
        self._count = 0

    def start(self, name: PeerName, options: DaemonOptions) -> Instance:
        """A new daemon with these options; LabError or PeerError say what is missing."""
        self._count += 1
        host, wire = self._in_guest(name) if self._vm else self._here(name)
        if self._vm:  # its kernel has ESP, and no TUN device that user-space ESP would need
            options = replace(options, user_space_esp=False)
        self._stack.callback(wire.close)
        peer = table.PEERS[name.driver].driver(host, self._credentials, options)
        peer.start()
        self._stack.callback(peer.stop)
        return Instance(name, peer, wire, options, self._count, self._vm)

    def _here(self, name: PeerName) -> tuple[Host, PacketWire]:
        root = table.root_of(name)
        label = f"peer{self._count}"
        namespace = self._lab.namespace(label)
        wire = PacketWire(str(namespace.path), (), name=_WIRE)
        furnish_peer(namespace, _WIRE, SLOTS)
        return NamespaceHost(self._lab, label, namespace, root), wire

    def _in_guest(self, name: PeerName) -> tuple[Host, PacketWire]:
        if self._guest is None:
            self._guest = GuestNetworks(self._lab, name)
            self._stack.callback(self._guest.close)
        return self._guest.place(self._count - 1)

    def restart(self, instance: Instance) -> Daemon:
        """A fresh daemon in place of one that died."""
        instance.peer.stop()
        instance.peer.start()
        return instance.peer

    def close(self) -> None:
        """End every daemon and remove what the lab made."""
        self._stack.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
