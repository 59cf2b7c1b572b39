"""NAPT in a namespace by nftables, and how it forgets."""

from pyroute2 import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from ipsectest.base.errors import LabError
from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology.commands import run_inside, set_sysctl
from ipsectest.lab.topology.model import Nat

_TIMEOUTS = ("udp_timeout", "udp_timeout_stream")


def translate(namespace: Namespace, nat: Nat, ports: tuple[int, int] | None) -> None:
    """Install the rules of a NAT, in place of those that an earlier call installed."""
    run_inside(namespace, ["nft", "-f", "-"], rules(nat, ports), package="nftables")
    for name in _TIMEOUTS if nat.timeout else ():
        set_sysctl(namespace, f"netfilter/nf_conntrack_{name}", str(nat.timeout))


def rules(nat: Nat, ports: tuple[int, int] | None) -> str:
    """The nftables script: one table, replaced as a whole."""
    masquerade = f"masquerade to :{ports[0]}-{ports[1]}" if ports else "masquerade"
    outbound = [f'oifname "{nat.outside}" meta l4proto {protocol} {masquerade}' for protocol in ("udp", "tcp")]
    outbound.append(f'oifname "{nat.outside}" masquerade')
    inbound = [f'iifname "{nat.outside}" udp dport {port} dnat to {nat.server}' for port in (IKE_PORT, NAT_T_PORT)]
    return "\n".join(
        [
            "table ip ipsectest_nat",  # so that there is one to delete
            "delete table ip ipsectest_nat",
            "table ip ipsectest_nat {",
            "chain outbound {",
            "type nat hook postrouting priority 100",
            *outbound,
            "}",
            "chain inbound {",
            "type nat hook prerouting priority -100",
            *(inbound if nat.server else ()),
            "}",
            "}",
            "",
        ]
    )


def forget_mappings(namespace: Namespace) -> None:
    """Empty the table of connections."""
    try:
        with NFCTSocket(netns=namespace.name, flags=0) as conntrack:
            conntrack.flush()
    except (NetlinkError, OSError) as error:
        raise LabError(f"the kernel does not let us forget NAT mappings: {error}") from error
