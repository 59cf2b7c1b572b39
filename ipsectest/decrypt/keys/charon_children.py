"""Child SAs in charon's log: keys by role, then SPIs and addresses of both directions."""

import re
from dataclasses import dataclass, field

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import daemon_names, lengths
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_USING = re.compile(r"\s*using (\S+) for (encryption|integrity)$")
_KEY = re.compile(r"(encryption|integrity) (initiator|responder) key$")
_DIRECTION = re.compile(r"(?:adding|registering) (inbound|outbound) (ESP|AH) SA$")
_SPI = re.compile(r"\s*SPI 0x([0-9a-f]{8}), src (\S+) dst (\S+)$")
_MOST = 50_000
_MOST_AT_ONCE = 1000
"""Derivations that threads are at, each for one IKE SA."""


@dataclass(slots=True)
class Child:
    """The derivation that a thread is at."""

    names: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    direction: str = ""
    protocol: str = "ESP"


class Children:
    """What the lines so far say of Child SAs."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._threads: dict[tuple[str, str], Child] = {}
        self._known: set[tuple[bytes, str]] = set()
        self.esn: dict[str, bool] = {}
        """IKE SA -> what was negotiated for its Child SA."""
        self.initiates: dict[str, bool] = {}
        """Thread -> whether charon is the initiator of the exchange it reads."""

    def take(self, thread: str, context: str, number: int, text: str) -> None:
        """A line of group chd."""
        using, direction, spi = _USING.match(text), _DIRECTION.match(text), _SPI.match(text)
        if using:
            child = self._threads.setdefault((thread, context), Child())
            if child.keys:
                child = self._threads[(thread, context)] = Child()
            child.names[using[2]] = using[1]
            if len(self._threads) > _MOST_AT_ONCE:
                del self._threads[next(iter(self._threads))]
        child_at = self._threads.get((thread, context))
        if child_at is None:
            return
        if direction:
            child_at.direction, child_at.protocol = direction[1], direction[2]
        elif spi and child_at.direction:
            try:
                self._install(thread, context, child_at, spi, number)
            except lengths.KeyLengthError as error:
                self._source.problem(str(error), number)
            child_at.direction = ""

    def secret(self, thread: str, context: str, label: str, octets: bytes) -> None:
        """A dump."""
        key = _KEY.match(label)
        child = self._threads.get((thread, context))
        if key and child:
            child.keys[(key[1], key[2])] = octets

    def add(self, keys: SaKeys) -> None:
        """An SA, if it is not known yet: the kernel's message and the lines of group chd tell the same."""
        identity = keys.spi, keys.destination
        if identity in self._known:
            return
        if len(self._known) < _MOST:
            self._known.add(identity)
        self._source.add(keys)

    def end(self) -> None:
        """The daemon starts again."""
        self._threads.clear()
        self._known.clear()
        self.esn.clear()
        self.initiates.clear()

    def _install(self, thread: str, context: str, child: Child, spi: re.Match[str], number: int) -> None:
        if not child.keys or (bytes.fromhex(spi[1]), spi[3]) in self._known:
            return
        if thread not in self.initiates:
            raise lengths.KeyLengthError(f"SA {spi[1]}: the log does not tell who initiated (enc = 1 would)")
        # The initiator's keys protect what the initiator sends (RFC 7296 section 2.17).
        sends = child.direction == "outbound"
        role = "initiator" if sends == self.initiates[thread] else "responder"
        encryption, key = self._encryption(child, role)
        integrity, icv_key = self._integrity(child, role, encryption)
        self.add(
            SaKeys(
                spi=bytes.fromhex(spi[1]),
                source=_address(spi[2]),
                destination=_address(spi[3]),
                protocol=ProtocolId.AH if child.protocol == "AH" else ProtocolId.ESP,
                encryption=encryption,
                encryption_key=key,
                integrity=integrity,
                integrity_key=icv_key,
                esn=self.esn.get(context),
                origin=self._source.origin(number),
            )
        )

    def _encryption(self, child: Child, role: str) -> tuple[TransformSpec | None, bytes]:
        name, key = child.names.get("encryption"), child.keys.get(("encryption", role), b"")
        if name is None:
            if child.protocol == "ESP":
                raise lengths.KeyLengthError("the log does not tell the cipher")
            return None, b""
        number = daemon_names.cipher(name)
        if number is None:
            raise lengths.KeyLengthError(f"nothing here knows {name}")
        return lengths.encryption(number, key), key

    def _integrity(
        self, child: Child, role: str, encryption: TransformSpec | None
    ) -> tuple[TransformSpec | None, bytes]:
        name, key = child.names.get("integrity"), child.keys.get(("integrity", role), b"")
        if name is None or (encryption and encryption.id in lengths.AEADS):
            return None, b""
        number = daemon_names.integrity(name)
        if number is None:
            raise lengths.KeyLengthError(f"nothing here knows {name}")
        return lengths.integrity(number, key), key


def _address(text: str) -> str:
    return "" if text.startswith("%") else text
