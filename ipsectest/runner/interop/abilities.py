"""What a peer lacks for a cell: known before anything is sent, so such a cell is *unsupported*, never a failure."""

from dataclasses import dataclass

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.peers import libreswan_settings, rootfs, table
from ipsectest.peers.daemon import Daemon
from ipsectest.peers.names import PeerName
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner.interop.cells import Cell, is_ah
from ipsectest.runner.interop.settings import Ends, settings_of

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

    def lacks(self, dimension: str, word: str) -> str:
        """What it lacks for a word of a dimension; empty if nothing."""
        if self.without_children:
            return f"Child SAs ({self.without_children})"
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

    def _lacking_in_suite(self, dimension: str, word: str) -> str:
        if dimension == "esp" and is_ah(word) and self.user_space_esp:
            return "AH in user space"
        for spec in parse_suite(word):
            is_method = spec.type == TransformType.KE
            if is_method and self.key_exchanges is not None and spec.id not in self.key_exchanges:
                return spec.name
        if self.driver != _LIBRESWAN:
            return ""
        if dimension == "esp" and not libreswan_settings.is_modern(self.version) and _has_pfs(word):
            return "a group of its own for Child SAs (Libreswan 4 rekeys them with the group of the IKE SA)"
        cell = Cell(table.BUILTIN, self.driver, **{"ike": _ANY_IKE, "esp": _ANY_ESP, dimension: word})
        try:
            libreswan_settings.connection(settings_of(cell, _PLACE, b"", initiator=False), self.version)
        except UnsupportedError as error:
            return str(error)
        return ""


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


def _has_pfs(suite: str) -> bool:
    return any(spec.type == TransformType.KE for spec in parse_suite(suite))


_LIBRESWAN = "libreswan"
_ANY_IKE = "aes128gcm16-prfsha256-ecp256"
_ANY_ESP = "aes128gcm16-noesn"
