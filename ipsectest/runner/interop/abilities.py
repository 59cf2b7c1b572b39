"""What a peer lacks for a cell: known before anything is sent, so such a cell is *unsupported*, never a failure."""

from dataclasses import dataclass

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import format_suite, parse_suite
from ipsectest.peers import libreswan_settings, rootfs, table
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.names import PeerName
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner.interop.cells import Cell, is_ah
from ipsectest.runner.interop.settings import Ends, settings_of
from ipsectest.scenario.profile import Profile

_PLACE = Ends("192.0.2.1", "192.0.2.2", "198.51.100.1", "203.0.113.1")
"""Any addresses: only the words of a cell matter here."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What is known of a peer that is there."""

    driver: str
    version: str
    raw_esp: bool = True
    without_children: str = ""
    user_space_esp: bool = True
    key_exchanges: frozenset[int] | None = None
    """IANA numbers of the methods it has; None if it cannot tell."""
    profile: Profile | None = None
    """What our endpoint speaks like."""

    def lacks(self, dimension: str, word: str) -> str:
        """What it lacks for a word of a dimension; empty if nothing."""
        if self.without_children:
            return f"Child SAs ({self.without_children})"
        if self.profile and (what := _not_of(self.profile, dimension, word)):
            return what
        if dimension == "suites":
            return self._lacking_in_both(*word.split(","))
        if dimension in {"ike", "esp"}:
            return self._lacking_in_suite(dimension, word)
        found = {
            "transport mode in user-space ESP": word == "transport" and self.user_space_esp and not self._is_ours,
            "ESP without UDP in user space": word == "plain" and not self.raw_esp,
            "ed25519 signatures": word == "ed25519" and self.driver == _LIBRESWAN,
        }
        return next((what for what, is_lacking in found.items() if is_lacking), "")

    @property
    def _is_ours(self) -> bool:
        return self.driver == table.BUILTIN

    def _lacking_in_both(self, ike: str, esp: str) -> str:
        """For an IKE SA and its Child SAs: what one suite alone may lack can be there beside the other."""
        if self._has_one_group and _group_of(esp) == _group_of(ike):
            esp = format_suite([spec for spec in parse_suite(esp) if spec.type != TransformType.KE])
        return self._lacking_in_suite("ike", ike) or self._lacking_in_suite("esp", esp)

    @property
    def _has_one_group(self) -> bool:
        """Whether its Child SAs are rekeyed with the group of their IKE SA."""
        return self.driver == _LIBRESWAN and not libreswan_settings.is_modern(self.version)

    def _lacking_in_suite(self, dimension: str, word: str) -> str:
        if dimension == "esp" and is_ah(word) and self.user_space_esp:
            return "AH in user space"
        for spec in parse_suite(word):
            is_method = spec.type == TransformType.KE
            if is_method and self.key_exchanges is not None and spec.id not in self.key_exchanges:
                return spec.name
        if self.driver != _LIBRESWAN:
            return ""
        if dimension == "esp" and self._has_one_group and _group_of(word):
            return "a group of its own for Child SAs (Libreswan 4 rekeys them with the group of the IKE SA)"
        cell = Cell(table.BUILTIN, self.driver, **{"ike": _ANY_IKE, "esp": _ANY_ESP, dimension: word})
        try:
            libreswan_settings.connection(settings_of(cell, _PLACE, b"", initiator=False), self.version)
        except UnsupportedError as error:
            return str(error)
        return ""


def _not_of(profile: Profile, dimension: str, word: str) -> str:
    """What a vendor's gateway does not do, or is not documented to."""
    known: dict[str, tuple[str, ...]] = {
        "role": profile.roles,
        "auth": tuple(profile.identities),
        "mode": profile.modes,
        "encapsulation": profile.encapsulations,
        "ip": profile.ips,
    }
    if word in known.get(dimension, (word,)):
        return ""
    return f"{word} {_WHAT.get(dimension, '')}".strip()


def abilities_of(
    peer: PeerName, daemon: Daemon, *, without_children: str = "", user_space_esp: bool = True
) -> Abilities:
    """What a daemon can do that runs, or does not because of ``without_children``."""
    if without_children:
        tree = rootfs.find(peer)
        return Abilities(peer.driver, tree.version if tree else "", without_children=without_children)
    exchanges = daemon.key_exchanges() if isinstance(daemon, StrongSwan) else None
    return Abilities(
        peer.driver, daemon.version, daemon.raw_esp, user_space_esp=user_space_esp, key_exchanges=exchanges
    )


def _group_of(suite: str) -> int:
    """The method of a suite with at most one; 0: none."""
    return next((spec.id for spec in parse_suite(suite) if spec.type == TransformType.KE), 0)


_WHAT = {"role": "role", "auth": "authentication", "mode": "mode", "encapsulation": "ESP"}
"""What a word of a dimension is."""
_LIBRESWAN = "libreswan"
_ANY_IKE = "aes128gcm16-prfsha256-ecp256"
_ANY_ESP = "aes128gcm16-noesn"
