"""What a peer lacks for a cell: known before anything is sent, so such a cell is *unsupported*, never a failure."""

from dataclasses import dataclass

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.peers import libreswan_settings, table
from ipsectest.runner.interop.cells import Cell
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
        match dimension:
            case "ike" | "esp":
                return self._lacking_in_suite(dimension, word)
            case "mode" if word == "transport" and self.user_space_esp:
                return "transport mode in user-space ESP"
            case "encapsulation" if word == "plain" and not self.raw_esp:
                return "ESP without UDP in user space"
            case "auth" if self.driver == "libreswan" and word == "ed25519":
                return "ed25519 signatures"
            case _:
                return ""

    def _lacking_in_suite(self, dimension: str, word: str) -> str:
        for spec in parse_suite(word):
            is_method = spec.type == TransformType.KE
            if is_method and self.key_exchanges is not None and spec.id not in self.key_exchanges:
                return spec.name
        if self.driver != "libreswan":
            return ""
        cell = Cell(table.BUILTIN, self.driver, **{"ike": _ANY_IKE, "esp": _ANY_ESP, dimension: word})
        try:
            libreswan_settings.connection(settings_of(cell, _PLACE, b"", initiator=False), self.version)
        except UnsupportedError as error:
            return str(error)
        return ""


_ANY_IKE = "aes128gcm16-prfsha256-ecp256"
_ANY_ESP = "aes128gcm16-noesn"
