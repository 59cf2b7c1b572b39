"""pluto's log with ``plutodebug=private`` (or ``all,private``): IKE SAs by two lines, Child SAs by blocks of octets.

    | ikev2 I 0x... 0x... sha256:0x... aes256:0x...        see ``ikev2_lines``
    | ESP enckey:                                          4.x; 5.x says "ESP encrypt key:"
    |   cc 1e 3a e5  bf e7 75 6d  ...
    | ESP authkey:                                         "ESP integrity key:"
    "conn" #2: responder established Child SA using #1; ... {ESP=>0x<outbound> <0x<inbound> xfrm=AES_CBC_256-...}

A block does not tell its SPI, unless ``all`` adds ``Add SA esp.SPI@ADDRESS``. 4.10 prints the outbound half first, 5.2
the inbound one. SK_d is never logged.
"""

import re
from collections import deque
from dataclasses import dataclass

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import daemon_names, lengths
from ipsectest.decrypt.keys.hexadecimal import spi
from ipsectest.decrypt.keys.ikev2_lines import Ikev2Lines, LineError
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_VERSION = re.compile(r"Libreswan Version v?(\d+)\.(\d+)")
_HEADER = re.compile(r"\| (ESP|AH) (enckey|encrypt key|authkey|integrity key):\s*$")
_ROW = re.compile(r"\|   ((?:[0-9a-f]{2} {1,2}){1,16})")
_ADDED = re.compile(r"Add SA (?:esp|ah)\.([0-9a-f]{1,8})@(\S+?)[:,]?(?=\s|$)")
_ESTABLISHED = re.compile(r"\{(ESP|AH)(\S{0,40}?)=>0x([0-9a-f]{1,8}) <0x([0-9a-f]{1,8}) xfrm=(\S+)")
_PEER = re.compile(r"\"[^\"]*\"(?:\[\d+\])? ([0-9a-f.:]+) #\d+:")
_WAITING = 64
"""Halves that are kept until their Child SA is established."""
_LONGEST = 256


@dataclass(slots=True)
class _Half:
    """Keys of one direction."""

    line: int
    encryption_key: bytes = b""
    integrity_key: bytes = b""
    spi: bytes = b""
    destination: str = ""


class _Reader:
    """What the lines so far say."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._ike = Ikev2Lines(source)
        self._halves: deque[_Half] = deque(maxlen=_WAITING)
        self._octets: bytearray | None = None
        self._is_cipher = True
        self._major = 0
        self._guessed = False

    def take(self, number: int, line: str) -> None:
        """One line."""
        row = _ROW.search(line) if self._octets is not None else None
        if row and self._octets is not None:
            if len(self._octets) < _LONGEST:
                self._octets += bytes.fromhex(row[1])
            return
        self._finish()
        header = _HEADER.search(line)
        if header:
            self._begin(number, header)
            return
        if self._ike.take(number, line):
            return
        version, added, established = _VERSION.search(line), _ADDED.search(line), _ESTABLISHED.search(line)
        if version:
            self._major = int(version[1][:4])
        if added and self._halves:
            self._halves[-1].spi, self._halves[-1].destination = spi(added[1]) or b"", added[2]
        if established and "inbound IPsec SA installed" not in line:  # IKEv1's responder has one half by then
            peer = _PEER.search(line)
            self._establish(number, established, peer[1] if peer else "")

    def end(self) -> None:
        """Tell of what stayed alone."""
        self._finish()
        self._ike.end()

    def _begin(self, number: int, header: re.Match[str]) -> None:
        self._is_cipher = header[2] in {"enckey", "encrypt key"}
        if self._is_cipher or not self._halves or self._halves[-1].integrity_key:
            self._halves.append(_Half(number))
        self._octets = bytearray()

    def _finish(self) -> None:
        """A block is over."""
        if self._octets is None:
            return
        if self._is_cipher:
            self._halves[-1].encryption_key = bytes(self._octets)
        else:
            self._halves[-1].integrity_key = bytes(self._octets)
        self._octets = None

    def _establish(self, number: int, found: re.Match[str], peer: str) -> None:
        outbound, inbound = spi(found[3]) or b"", spi(found[4]) or b""
        halves = self._take_halves(outbound, inbound, number)
        if halves is None:
            self._source.note(f"the log has no keys of SAs 0x{found[3]} and 0x{found[4]}", number)
            return
        names = found[5].rstrip("}").split("-")
        cipher = names.pop(0) if found[1] == "ESP" else ""
        esn = "ESN" in found[2].split("/")
        for half, number_of_sa, ends in ((halves[0], outbound, ("", peer)), (halves[1], inbound, (peer, ""))):
            try:
                keys = self._keys(half, cipher, names[0] if names else "NONE", spi=number_of_sa, ends=ends, esn=esn)
                self._source.add(keys)
            except (LineError, lengths.KeyLengthError) as error:
                self._source.problem(f"SA {number_of_sa.hex()}: {error}", half.line)

    def _take_halves(self, outbound: bytes, inbound: bytes, line: int) -> tuple[_Half, _Half] | None:
        """The halves of a Child SA, outbound first: by their SPIs if told, else the last two."""
        by_spi = {half.spi: half for half in self._halves if half.spi}
        if outbound in by_spi and inbound in by_spi:
            found = by_spi[outbound], by_spi[inbound]
        else:
            last = [half for half in self._halves if not half.spi][-2:]
            if len(last) < 2:
                return None
            if not self._major and not self._guessed:
                self._guessed = True
                self._source.note("the log does not tell pluto's version: halves are taken as 5.x prints them", line)
            found = (last[0], last[1]) if self._major == 4 else (last[1], last[0])
        for half in found:
            self._halves.remove(half)
        return found

    def _keys(self, half: _Half, cipher: str, mac: str, *, spi: bytes, ends: tuple[str, str], esn: bool) -> SaKeys:
        """Of one direction; AH has no cipher."""
        encryption: TransformSpec | None = None
        if cipher:
            number = daemon_names.cipher(cipher)
            if number is None:
                raise LineError(f"nothing here knows {cipher}")
            encryption = lengths.encryption(number, half.encryption_key)
        integrity: TransformSpec | None = None
        if mac != "NONE":
            number = daemon_names.integrity(mac)
            if number is None:
                raise LineError(f"nothing here knows {mac}")
            integrity = lengths.integrity(number, half.integrity_key)
        if not encryption and not integrity:
            raise LineError("AH without an integrity algorithm")
        return SaKeys(
            spi=spi,
            source=ends[0],
            destination=ends[1] or half.destination,
            protocol=ProtocolId.ESP if encryption else ProtocolId.AH,
            encryption=encryption,
            encryption_key=half.encryption_key if encryption else b"",
            integrity=integrity,
            integrity_key=half.integrity_key if integrity else b"",
            esn=esn,
            origin=self._source.origin(half.line),
        )


def read(source: Source) -> None:
    """Every SA of the log."""
    reader = _Reader(source)
    for number, line in source.lines():
        reader.take(number, line)
    reader.end()
    if not source.ring.count:
        source.note("a log of Libreswan without secrets: plutodebug=private prints them")
