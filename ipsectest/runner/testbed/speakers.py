"""Nodes of a topology that speak like a vendor's gateway or client, and what the other ends are told for them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from itertools import product

from ipsectest.base.errors import UsageError
from ipsectest.base.suites import format_suite, parse_suite
from ipsectest.peers import rootfs, table
from ipsectest.peers.names import PeerName
from ipsectest.peers.profile_settings import meet
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.profile_suites import suites
from ipsectest.runner.testbed.tunnels import Tunnel
from ipsectest.scenario.ports import Authentication, PeerSettings
from ipsectest.scenario.profile import ROLES, Profile


@dataclass(frozen=True, slots=True)
class Speakers:
    """The peers of a topology, by node, some of which have a profile."""

    peers: Mapping[str, PeerName]

    def profile(self, node: str) -> Profile | None:
        """What a node speaks like."""
        return table.profile_of(self.peers[node])

    def authentication(self) -> Authentication:
        """A shared secret, or else the first way to authenticate that all of them have; UsageError if there is none."""
        profiles = [profile for node in self.peers if (profile := self.profile(node))]
        known = dict.fromkeys([Authentication.PSK, *(kind for profile in profiles for kind in profile.identities)])
        common = [kind for kind in known if all(kind in profile.identities for profile in profiles)]
        if not common:
            raise UsageError("these profiles have no way to authenticate in common")
        return common[0]

    def told(self, tunnel: Tunnel, *, ike: bool, esp: bool) -> Tunnel:
        """The tunnel as its ends are told; UsageError for what a profile does not do.

        ``ike``, ``esp``: whether the user chose the suite; else it is the strongest that both ends can do.
        """
        for role, node in zip(ROLES, tunnel.nodes, strict=True):
            if profile := self.profile(node):
                tunnel = self._met(tunnel, node, profile, role, chosen=(ike, esp))
        return tunnel

    def _met(self, tunnel: Tunnel, node: str, profile: Profile, role: str, *, chosen: tuple[bool, bool]) -> Tunnel:
        (other,) = (name for name in tunnel.nodes if name != node)
        auth = tunnel.settings[node].local_auth
        if role not in profile.roles:
            raise UsageError(f"{self.peers[node]} is never {role}, as {node} of this topology is")
        if auth not in profile.identities:
            instead = " or ".join(profile.identities)
            raise UsageError(f"{self.peers[node]} has no {auth} authentication: write --auth {instead}")
        version = ip_address(tunnel.settings[node].local.host).version
        if not any(word.endswith(f"v{version}") for word in profile.ips):
            raise UsageError(f"{self.peers[node]} is not known to speak over IPv{version}")
        theirs = tunnel.settings[other]
        if not self.profile(other) and not all(chosen):
            theirs = self._fitting(theirs, profile, role, other, chosen)
        own, theirs = meet(tunnel.settings[node], theirs, profile, role)
        ways = tuple(way for way in tunnel.ways if carries(profile, own.mode, way[0][1]))
        return replace(tunnel, settings={**tunnel.settings, node: own, other: theirs}, ways=ways)

    def _fitting(
        self, settings: PeerSettings, profile: Profile, role: str, node: str, chosen: tuple[bool, bool]
    ) -> PeerSettings:
        """The settings of ``node`` with the strongest suites of the profile that it can do."""
        able = _abilities(self.peers[node])
        ikes = [format_suite(settings.ike[0])] if chosen[0] else suites(profile.ike.of(role))
        esps = [format_suite(settings.esp[0])] if chosen[1] else suites(profile.esp.of(role))
        for ike, esp in product(ikes, esps):
            if not able.lacks("suites", f"{ike},{esp}"):
                return replace(settings, ike=(parse_suite(ike),), esp=(parse_suite(esp),))
        raise UsageError(f"{self.peers[node]} at {node} can do no suite of {profile.title}")


def carries(profile: Profile, mode: str, host: str) -> bool:
    """Whether what it protects may have the IP version of an address: a gateway of 0.0.0.0/0 has no IPv6."""
    if mode != "tunnel" or not profile.selectors:
        return True
    return ip_address(host).version in {ip_network(prefix).version for prefix in profile.selectors}


def _abilities(peer: PeerName) -> Abilities:
    tree = rootfs.find(peer) if table.needs_tree(peer) else None
    return Abilities(peer.driver, tree.version if tree else "")
