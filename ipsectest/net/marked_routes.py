"""Routes that lead everything into a device but the packets of one mark: transport mode in user space needs them.

There the protected packets and ESP itself go to the same host (RFC 4301 section 4.1), so a route alone would lead ESP
back to where it came from.
"""

import socket
from collections.abc import Iterable
from contextlib import suppress
from ipaddress import ip_address, ip_network

from pyroute2 import IPRoute, NetlinkError

from ipsectest.base.errors import LabError

_INVERT = 0x2
"""FIB_RULE_INVERT: what the rule does not match."""
_PRIORITY = 100
"""Behind the table of local addresses (0), before the main one (32766)."""
_FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


class MarkedRoutes:
    """In place until ``close``. ``sources``: our address for the packets, of each IP version that there are routes of.

    Sockets that have ``mark`` (SO_MARK) go the usual ways. Raises LabError where the kernel refuses.
    """

    def __init__(self, namespace: str, device: str, mark: int, prefixes: Iterable[str], sources: Iterable[str]) -> None:
        self._namespace = namespace
        self._mark = mark
        self._device = device
        self._versions: list[int] = []
        self._preferred = {ip_address(host).version: host for host in sources}
        try:
            self.lead(*prefixes)
        except LabError:
            self.close()
            raise

    def lead(self, *prefixes: str) -> None:
        """Lead these into the device too; those that are led there already do no harm. Raises LabError."""
        try:
            with IPRoute(netns=self._namespace, flags=0) as route:
                index = route.link_lookup(ifname=self._device)[0]
                for network in map(ip_network, prefixes):
                    if network.version not in self._versions:
                        route.rule("add", flags=_INVERT, **self._rule(network.version))
                        self._versions.append(network.version)
                    host = self._preferred.get(network.version)
                    source = {"prefsrc": host} if host else {}
                    route.route("replace", dst=str(network), oif=index, table=self._mark, **source)
        except (NetlinkError, ValueError) as error:
            raise LabError(f"cannot lead packets into {self._device}: {error}") from error

    def close(self) -> None:
        """Remove the rules; the routes go with their device."""
        versions, self._versions = self._versions, []
        if not versions:
            return
        with suppress(OSError), IPRoute(netns=self._namespace, flags=0) as route:  # the namespace may be gone
            for version in versions:
                with suppress(NetlinkError):
                    route.rule("del", flags=_INVERT, **self._rule(version))

    def _rule(self, version: int) -> dict[str, int]:
        return {"family": _FAMILIES[version], "priority": _PRIORITY, "table": self._mark, "fwmark": self._mark}
