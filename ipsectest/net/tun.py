"""TUN and TAP devices: whole IP packets, or Ethernet frames, between a network namespace and this process."""

import fcntl
import os
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import IPv4Interface, IPv6Interface, ip_interface, ip_network
from types import TracebackType
from typing import Self

from pyroute2 import IPRoute, NetlinkError

from ipsectest.base.errors import LabError
from ipsectest.net.inside import inside

_DEVICE = "/dev/net/tun"
_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_TAP, _IFF_NO_PI = 0x0001, 0x0002, 0x1000
_NO_DUPLICATE_ADDRESS_DETECTION = 0x02
_RTN_LOCAL = 2
_ADDRESS_TIMEOUT = 2.0
_MAX_PACKET = 65535
_BATCH = 64


class TunDevice:
    """A layer-3 device in ``namespace`` whose other end is this process; gone when closed.

    What the namespace routes into the device is read here; what is written here arrives there.
    Addresses are texts such as ``192.0.2.254/24``, routes prefixes such as ``203.0.113.0/24``.
    Raises LabError where the machine does not let us.
    """

    _KIND = _IFF_TUN

    def __init__(
        self,
        name: str,
        namespace: str | None = None,
        *,
        addresses: Iterable[str] = (),
        routes: Iterable[str] = (),
        mtu: int = 1500,
    ) -> None:
        self.name = name
        self.namespace = namespace
        self.mtu = mtu
        try:
            interfaces, prefixes = (
                [ip_interface(text) for text in addresses],
                [str(ip_network(text)) for text in routes],
            )
        except ValueError as error:
            raise LabError(f"cannot configure TUN device {name}: {error}") from error
        self._handle = inside(namespace, lambda: _open(name, self._KIND))
        try:
            self._configure(interfaces, prefixes)
        except (NetlinkError, LabError) as error:
            self.close()
            raise LabError(f"cannot configure TUN device {name}: {error}") from error

    def fileno(self) -> int:
        """For selectors."""
        return self._handle

    def read(self) -> list[bytes]:
        """The packets that wait, at most 64 of them at once; never blocks."""
        packets: list[bytes] = []
        while len(packets) < _BATCH:
            try:
                packets.append(os.read(self._handle, _MAX_PACKET))
            except BlockingIOError:
                break
        return packets

    def write(self, packet: bytes) -> bool:
        """Hand a packet to the namespace; False if its kernel refuses it (no IP packet, link down)."""
        try:
            os.write(self._handle, packet)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Remove the device; a second call does nothing."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _configure(self, addresses: list[IPv4Interface | IPv6Interface], routes: list[str]) -> None:
        with IPRoute(netns=self.namespace, flags=0) if self.namespace else IPRoute() as route:
            index = route.link_lookup(ifname=self.name)[0]
            route.link("set", index=index, mtu=self.mtu, state="up")
            for address in addresses:
                options = {"flags": _NO_DUPLICATE_ADDRESS_DETECTION} if address.version == 6 else {}
                route.addr("add", index=index, address=str(address.ip), prefixlen=address.network.prefixlen, **options)
                if address.version == 6:
                    _await_local(route, str(address.ip))
            for prefix in routes:
                route.route("add", dst=prefix, oif=index)


class TapDevice(TunDevice):
    """The same with Ethernet frames in place of IP packets; a bridge may take it."""

    _KIND = _IFF_TAP


def _await_local(route: IPRoute, host: str) -> None:
    """Return once the kernel delivers to a new IPv6 address: it installs the local route a moment after answering."""
    deadline = time.monotonic() + _ADDRESS_TIMEOUT
    while time.monotonic() < deadline:
        with suppress(NetlinkError):  # no route at all so far
            if any(answer["type"] == _RTN_LOCAL for answer in route.route("get", dst=host)):
                return
    raise LabError(f"the kernel does not take up address {host}")


def require() -> None:
    """LabError, with what to do, where this process may make no TUN and TAP devices."""
    os.close(_handle())


def _handle() -> int:
    try:
        return os.open(_DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        remedy = f"as root: chmod 0666 {_DEVICE}" if isinstance(error, PermissionError) else "modprobe tun"
        raise LabError(f"cannot open {_DEVICE}: {error.strerror} ({remedy})") from error


def _open(name: str, kind: int) -> int:
    """The device exists in the namespace where /dev/net/tun is *opened*, so this runs inside."""
    handle = _handle()
    try:
        fcntl.ioctl(handle, _TUNSETIFF, struct.pack("16sH22x", name.encode()[:15], kind | _IFF_NO_PI))
    except OSError as error:
        os.close(handle)
        raise LabError(f"cannot create TUN or TAP device {name}: {error.strerror}") from error
    return handle
