"""xfrm interfaces: devices that carry what SAs and policies of one ``if_id`` protect."""

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from ipsectest.net.xfrm.errors import XfrmError


def add_interface(name: str, *, if_id: int, link: int = 0, netns: str | None = None) -> int:
    """Make a device and give its index; ``link`` is the index of the device below, 0 for none. Raises XfrmError.

    Everything else about it (addresses, state, removal) is IPRoute's as for any link.
    """
    with IPRoute(netns=netns, flags=0) as route:
        try:
            below = {"xfrm_link": link} if link else {}
            route.link("add", ifname=name, kind="xfrm", xfrm_if_id=if_id, **below)
        except NetlinkError as error:
            raise XfrmError(error.code, str(error.args[1]), f"adding xfrm interface {name}") from error
        index: int = route.link_lookup(ifname=name)[0]
        return index
