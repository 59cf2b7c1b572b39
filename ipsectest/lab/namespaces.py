"""Network namespaces, links, addresses and routes, by pyroute2."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address, ip_interface
from pathlib import Path
from threading import Thread

from pyroute2 import IPRoute, netns

from ipsectest.lab import mounts
from ipsectest.net.inside import inside

_HOST_SCOPE = 254


class Namespace:
    """One network namespace; loopback is up. Nothing here moves the calling process into it."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def path(self) -> Path:
        """The file that holds the namespace, for setns(2)."""
        return Path("/run/netns", self.name)

    @contextmanager
    def route(self) -> Iterator[IPRoute]:
        """A route-netlink socket inside; LookupError when the namespace is gone."""
        if not self.path.exists():
            raise LookupError(f"no network namespace {self.name}")
        with IPRoute(netns=self.name, flags=0) as ipr:  # pyroute2 would make a namespace that is gone anew
            yield ipr

    def socket(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket that lives inside."""
        return inside(self.name, lambda: socket.socket(family, kind, protocol))

    def up(self, link: str) -> None:
        """Set a link up."""
        with self.route() as ipr:
            ipr.link("set", index=_index(ipr, link), state="up")

    def down(self, link: str) -> None:
        """Set a link down; its routes and IPv6 addresses are gone then."""
        with self.route() as ipr:
            ipr.link("set", index=_index(ipr, link), state="down")

    def add_addresses(self, link: str, *interfaces: str) -> None:
        """Give a link addresses such as ``192.0.2.1/24``; IPv6 ones are usable at once (no DAD)."""
        with self.route() as ipr:
            index = _index(ipr, link)
            for text in interfaces:
                interface = ip_interface(text)
                nodad = {"flags": 0x02} if interface.version == 6 else {}
                ipr.addr("add", index=index, address=str(interface.ip), prefixlen=interface.network.prefixlen, **nodad)

    def add_route(
        self, destination: str, *, link: str = "", gateway: str = "", metric: int = 0, local: bool = False
    ) -> None:
        """Route a prefix over a link or a gateway; ``local`` makes every address of the prefix ours (AnyIP)."""
        with self.route() as ipr:
            spec: dict[str, object] = {"dst": destination}
            if link:
                spec["oif"] = _index(ipr, link)
            if gateway:
                spec["gateway"] = str(ip_address(gateway))
            if metric:
                spec["priority"] = metric
            if local:
                spec |= {"type": "local", "table": 255, "scope": _HOST_SCOPE}
            ipr.route("replace", **spec)


def create(name: str) -> tuple[Namespace, int]:
    """Make a namespace of that name and set its loopback up; the descriptor says that it is in use until closed.

    The lock goes with the process, however that ends, and so tells `orphans` what a living run still needs.
    """
    failed: list[OSError] = []
    held: list[int] = []

    def make() -> None:
        try:
            mounts.unshare(mounts.CLONE_NEWNET)
            held.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))
            fcntl.flock(held[0], fcntl.LOCK_SH)  # before anybody can see the name
            netns.attach(name, "thread-self")
        except OSError as error:
            failed.append(error)

    # A thread ends with us when we are killed; the child that netns.create forks may make it after the clean-up.
    thread = Thread(target=make)
    thread.start()
    thread.join()
    if failed:
        for descriptor in held:
            os.close(descriptor)
        raise failed[0]
    namespace = Namespace(name)
    try:
        namespace.up("lo")
    except BaseException:
        os.close(held[0])
        raise
    return namespace, held[0]


def add_veth(first: Namespace, first_link: str, second: Namespace, second_link: str, mtu: int = 1500) -> None:
    """Join two namespaces by a veth pair, both ends up."""
    with first.route() as ipr:
        peer = {"ifname": second_link, "net_ns_fd": second.name, "mtu": mtu}
        ipr.link("add", ifname=first_link, kind="veth", mtu=mtu, peer=peer)
    first.up(first_link)
    second.up(second_link)


def add_bridge(namespace: Namespace, name: str, *links: str) -> None:
    """Join links of a namespace by a bridge, made if need be; all are up."""
    with namespace.route() as ipr:
        if not ipr.link_lookup(ifname=name):
            ipr.link("add", ifname=name, kind="bridge", br_mcast_snooping=0)
            namespace.up(name)
        bridge = _index(ipr, name)
        for link in links:
            ipr.link("set", index=_index(ipr, link), master=bridge, state="up")


def _index(ipr: IPRoute, link: str) -> int:
    found = ipr.link_lookup(ifname=link)
    if not found:
        raise LookupError(f"no link {link}")
    return int(found[0])
