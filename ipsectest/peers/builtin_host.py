"""The hosts at the built-in peer: one that answers, and the way to one behind it that the tester plays."""

from dataclasses import dataclass, field
from ipaddress import ip_address

from ipsectest.ipsec.inner import is_intact
from ipsectest.scenario import probes
from ipsectest.wire.fragments import Pieces
from ipsectest.wire.ip import altered, parse_ip


@dataclass(slots=True)
class Hosts:
    """Takes packets that were let in. ``behind``: packed addresses of hosts that are reached by forwarding."""

    behind: frozenset[bytes] = frozenset()
    _pieces: Pieces = field(default_factory=Pieces)

    def answer(self, packet: bytes) -> bytes | None:
        """What the addressed host says: an echo reply, a reset; None if nothing, such as to a wrong checksum."""
        whole = self._pieces.whole(packet)
        ip = parse_ip(whole) if whole else None
        probe = probes.recognise(whole) if whole and ip and is_intact(ip) else None
        return probes.answer_to(probe) if probe else None

    def is_behind(self, address: bytes) -> bool:
        """Whether packets to or from an address are forwarded."""
        return address in self.behind


def forwarded(packet: bytes) -> bytes | None:
    """The packet one hop further; None if that was one hop too many."""
    ip = parse_ip(packet)
    if ip is None or ip.hop_limit <= 1:
        return None
    return altered(packet, hop_limit=ip.hop_limit - 1)


def packed(hosts: tuple[str, ...]) -> frozenset[bytes]:
    """Addresses as octets."""
    return frozenset(ip_address(host).packed for host in hosts if host)
