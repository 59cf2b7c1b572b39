"""What an IKE daemon's sockets need beside kernel ESP: packets past the SPD, and ESP taken out of UDP."""

import socket
from errno import ENOPROTOOPT

from ipsectest.net.xfrm.errors import XfrmError
from ipsectest.net.xfrm.messages import UserPolicyInfo
from ipsectest.net.xfrm.policies import Policy, policy_message
from ipsectest.net.xfrm.records import Selector

_POLICY_OPTION = {socket.AF_INET: (socket.IPPROTO_IP, 17), socket.AF_INET6: (socket.IPPROTO_IPV6, 35)}
"""IP_XFRM_POLICY, IPV6_XFRM_POLICY."""
_UDP_ENCAP, _ESP_IN_UDP = 100, 2
_ANYWHERE = {socket.AF_INET: "0.0.0.0/0", socket.AF_INET6: "::/0"}
_NETLINK_HEADER = 16


def bypass(endpoint: socket.socket) -> None:
    """Let a socket send and receive in clear whatever the policies say: IKE itself (RFC 4301 section 4.4.1).

    Raises XfrmError where the kernel refuses.
    """
    level, option = _POLICY_OPTION[socket.AddressFamily(endpoint.family)]
    anywhere = _ANYWHERE[socket.AddressFamily(endpoint.family)]
    for direction in ("in", "out"):
        message: UserPolicyInfo = policy_message(Policy(selector=Selector(anywhere, anywhere), dir=direction))
        message.encode()
        try:
            endpoint.setsockopt(level, option, bytes(message.data[_NETLINK_HEADER:]))
        except OSError as error:
            raise XfrmError(error.errno or ENOPROTOOPT, request="taking a socket past the policies") from error


def decapsulate(endpoint: socket.socket) -> None:
    """Let the kernel take ESP that comes to a UDP socket; IKE behind its non-ESP marker still arrives (RFC 3948).

    Raises XfrmError where the kernel refuses.
    """
    try:
        endpoint.setsockopt(socket.IPPROTO_UDP, _UDP_ENCAP, _ESP_IN_UDP)
    except OSError as error:
        raise XfrmError(error.errno or ENOPROTOOPT, request="taking ESP out of UDP") from error
