"""The sockets towards a remote peer: no root where the ports are high, and nothing of this machine is changed."""

import errno
import socket
from dataclasses import dataclass, replace

from ipsectest.base.addresses import Address
from ipsectest.base.errors import LabError
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.net.inside import inside
from ipsectest.net.mapped_wire import MappedWire
from ipsectest.net.socket_wire import SocketWire
from ipsectest.peers.remote.description import OTHER_PORT, Remote, Seat
from ipsectest.wire.ip import ESP

_LOGICAL = (IKE_PORT, NAT_T_PORT, OTHER_PORT)


@dataclass(frozen=True, slots=True)
class OpenWire:
    """The wire, the seats with the addresses that were found for them, and whether plain ESP goes over it."""

    wire: MappedWire
    seats: tuple[Seat, ...]
    raw_esp: bool


def open_wire(remote: Remote) -> OpenWire:
    """Open the sockets; LabError says what is in the way and what would help."""
    seats = tuple(seat if seat.address else replace(seat, address=_towards(remote)) for seat in remote.seats)
    hosts = [host for seat in seats for host in (seat.address, seat.elsewhere) if host]
    ports = (remote.own_ports.ike, remote.own_ports.nat, 0)
    raw_esp = remote.raw_esp and not remote.behind_nat
    try:
        sockets = SocketWire(remote.netns, ports=ports, protocols=(ESP,) if raw_esp else (), hosts=hosts)
    except LabError as error:
        if not (raw_esp and _number(error) in {errno.EPERM, errno.EACCES}):
            raise _explained(error, remote, hosts) from None
        return open_wire(replace(remote, seats=seats, raw_esp=False))
    inner = [Address(host, port) for port in _LOGICAL for host in hosts]
    theirs = {
        Address(remote.address, IKE_PORT): Address(remote.address, remote.peer_ports.ike),
        Address(remote.address, NAT_T_PORT): Address(remote.address, remote.peer_ports.nat),
    }
    return OpenWire(MappedWire(sockets, dict(zip(inner, sockets.bound, strict=True)), theirs), seats, raw_esp)


def _towards(remote: Remote) -> str:
    """Our address on the way to the peer: what the routes of this machine say."""

    def ask() -> str:
        family = socket.AF_INET6 if remote.ip == 6 else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((remote.address, remote.peer_ports.ike))  # sends nothing
            return str(probe.getsockname()[0])

    try:
        return inside(remote.netns, ask)
    except OSError as error:
        raise LabError(f"{remote.path}: there is no way to {remote.address}: {error.strerror}") from None


def _number(error: LabError) -> int:
    return getattr(error.__cause__, "errno", None) or 0


def _explained(error: LabError, remote: Remote, hosts: list[str]) -> LabError:
    ports = f"{remote.own_ports.ike} and {remote.own_ports.nat}"
    match _number(error):
        case errno.EACCES | errno.EPERM:
            what = f"ports {ports} of ours need root"
            hint = "set port and nat_port in [tester] above 1023: the peer then sees a NAT, and ESP goes in UDP"
        case errno.EADDRINUSE:
            what = f"ports {ports} of {', '.join(hosts)} are taken"
            hint = "set others as port and nat_port in [tester], or stop the IKE daemon of this machine"
        case errno.EADDRNOTAVAIL:
            what = f"{', '.join(hosts)}: not all of them are addresses of this machine"
            hint = "address and elsewhere in [tester]; netns in [wire]"
        case _:
            return error
    return LabError(f"{remote.path}: {what} ({hint})")
