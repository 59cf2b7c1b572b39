"""Child SAs that a packet's selectors alone do not choose: shell lines for the network of a peer with XFRM.

What `scenario.ports.PeerSettings.bound_to` speaks of: an interface of the Child SA and routes to it, or a mark and
what sets it. pluto finds its interface by a name made of the number, and wants it on the card that
has its address; charon takes any.
"""

from ipaddress import ip_address

from ipsectest.scenario.ports import BOUND_PORTS, PeerSettings

_FIRST = 1000
"""Less are the kernel's routing tables, and 1, with which pluto tries whether the kernel has such interfaces."""


def number_of(settings: PeerSettings) -> int:
    """The if_id or mark of a case, unlike that of any other which runs at once."""
    return _FIRST + int.from_bytes(ip_address(settings.inner_remote).packed[-2:], "big")


def bind(settings: PeerSettings) -> str:
    """What makes the interface, its routes and rules, or marks packets; empty where nothing is to be bound."""
    if not settings.bound_to:
        return ""
    number, host = number_of(settings), settings.inner_remote
    if settings.bound_to == "mark":
        return "\n".join([*_marking(number, host), *_marking_esp(number, settings.remote.host)])
    ip = f"ip {_family(host)}"
    return "\n".join(
        (
            *(_tunnel(number, settings) if settings.bound_to == "vti" else _interface(number, settings)),
            f"ip link set {_link(number)} up",
            f"{ip} route replace {host} dev {_link(number)} table {number}",
            *(f"{ip} rule add {rule}" for rule in _rules(number, host)),
        )
    )


def unbind(settings: PeerSettings) -> str:
    """What takes it back."""
    if not settings.bound_to:
        return ""
    number, host = number_of(settings), settings.inner_remote
    if settings.bound_to == "mark":
        return f"nft delete table inet {_table(number)}"
    rules = [f"ip {_family(host)} rule del {rule}" for rule in _rules(number, host)]
    return "\n".join([*rules, f"ip link del {_link(number)}"])


def _interface(number: int, settings: PeerSettings) -> list[str]:
    return [
        f"set -- $(ip -o addr show to {settings.local.host})",  # 2: vlan0 inet ...
        f'ip link add {_link(number)} type xfrm dev "$2" if_id {number}',
    ]


def _tunnel(number: int, settings: PeerSettings) -> list[str]:
    """A VTI: what is routed to it gets the mark of its key; what comes in is held against the policies by it alone."""
    kind, version = ("vti6", "ipv6") if ":" in settings.local.host else ("vti", "ipv4")
    ends = f"local {settings.local.host} remote {settings.remote.host}"
    return [
        f"ip link add {_link(number)} type {kind} {ends} key {number}",
        f"echo 1 >/proc/sys/net/{version}/conf/{_link(number)}/disable_policy",
    ]


def _marking(number: int, host: str) -> list[str]:
    """A chain of type route lets the packet meet the policies again, now with its mark."""
    chain, to = f"inet {_table(number)} out", f"{'ip6' if ':' in host else 'ip'} daddr {host}"
    return [
        f"nft add table inet {_table(number)}",
        f"nft 'add chain {chain} {{ type route hook output priority mangle; }}'",
        f"nft add rule {chain} {to} meta l4proto {_icmp(host)} meta mark set {number}",
        f"nft add rule {chain} {to} udp dport {BOUND_PORTS[0]}-{BOUND_PORTS[-1]} meta mark set {number}",
    ]


def _marking_esp(number: int, tester: str) -> list[str]:
    """What comes out of an SA keeps the mark that it went in with, which the inbound policy looks for."""
    chain = f"inet {_table(number)} in"
    esp = "meta l4proto esp", "udp dport 4500 @th,64,32 != 0"  # behind the UDP header: an SPI, or zero and then IKE
    return [
        f"nft 'add chain {chain} {{ type filter hook prerouting priority mangle; }}'",
        *(
            f"nft 'add rule {chain} {'ip6' if ':' in tester else 'ip'} saddr {tester} {kind} meta mark set {number}'"
            for kind in esp
        ),
    ]


def _rules(number: int, host: str) -> list[str]:
    kinds = f"ipproto {_icmp(host)}", f"ipproto udp dport {BOUND_PORTS[0]}-{BOUND_PORTS[-1]}"
    return [f"to {host} {kind} lookup {number}" for kind in kinds]


def _icmp(host: str) -> str:
    return "ipv6-icmp" if ":" in host else "icmp"


def _family(host: str) -> str:
    return "-6" if ":" in host else "-4"


def _link(number: int) -> str:
    return f"ipsec{number}"


def _table(number: int) -> str:
    return f"mark{number}"
