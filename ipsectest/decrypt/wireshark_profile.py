"""A folder that makes Wireshark open a capture in clear: its preferences, and the tables with the keys.

Wireshark takes it as ``WIRESHARK_CONFIG_DIR``, or as a profile among others. A file of anyone else is never touched.
"""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ipsectest.base.errors import InputError
from ipsectest.base.iana import NAT_T_PORT
from ipsectest.decrypt.keys.convert import Converted, describe, wireshark
from ipsectest.decrypt.keys.model import IkeKeys, KeyRing, SaKeys
from ipsectest.decrypt.nat_t import NatT
from ipsectest.decrypt.sas import CapturedSa

MARK = "# written by `ipsectest decrypt --wireshark`; holds secrets\n"
"""First line of every file, which tells ours from others."""
_PREFERENCES = """\
esp.enable_encryption_decode: TRUE
esp.enable_authentication_check: TRUE
esp.do_esp_sequence_analysis: TRUE
gui.column.format:
\t"No.", "%m",
\t"Time", "%t",
\t"Source", "%s",
\t"Destination", "%d",
\t"Protocol", "%p",
\t"SPI", "%Cus:esp.spi or ah.spi or isakmp.ispi:0:R",
\t"Sequence", "%Cus:esp.sequence or ah.sequence or isakmp.messageid:0:R",
\t"Length", "%L",
\t"Info", "%i"
"""
_COLOURS = """\
@IPsec: ICV wrong@esp.icv_bad == 1@[65535,48059,48059][26214,0,0]
@IPsec: packets lost, late or replayed@esp.sequence-analysis.wrong-sequence-number@[65535,61166,47545][19789,13107,0]
@IPsec: not decrypted@esp && !esp.decrypted_data@[59110,59110,59110][17990,17990,17990]
@IKE refused@isakmp.notify.msgtype > 0 && isakmp.notify.msgtype < 16384@[65535,48059,48059][26214,0,0]
@IKE@isakmp@[56026,61166,65535][4626,10023,11822]
@IPsec@esp || ah@[58596,65535,51143][4626,10023,11822]
"""
_MOST_PORTS = 1000
_FILES = (
    "preferences",
    "colorfilters",
    "decode_as_entries",
    "esp_sa",
    "ikev2_decryption_table",
    "ikev1_decryption_table",
)


class ProfileFolder:
    """The folder. Raises InputError where files of others would have to give way."""

    def __init__(self, path: Path) -> None:
        self._path = path
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise InputError(f"{path} is no folder")
        names = sorted(one.name for one in path.iterdir()) if path.exists() else []
        foreign = [name for name in names if not self._is_ours(name)]
        if "preferences" in foreign or (foreign and not (path / "preferences").exists()):
            raise InputError(f"{path} holds {foreign[0]}, which something else wrote: name a new folder")
        clash = next((name for name in foreign if name in _FILES), None)
        if clash:
            raise InputError(f"{path}/{clash} was written by something else: name a new folder")

    def write(self, files: dict[str, str]) -> None:
        """Write the files and remove those of ours that are there and not among them."""
        self._path.mkdir(mode=0o700, exist_ok=True)
        self._path.chmod(0o700)
        for name in _FILES:
            place = self._path / name
            if self._is_ours(name):
                place.unlink(missing_ok=True)
            if name not in files:
                continue
            # Never through a link, never into a file that came meanwhile.
            descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(MARK + files[name])

    def _is_ours(self, name: str) -> bool:
        place = self._path / name
        if place.is_symlink() or not place.is_file():
            return False
        with place.open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()


def profile(ring: KeyRing, captured: list[CapturedSa], nat_t: NatT | None = None) -> Converted:
    """The files for these keys, for SAs and ports as a capture shows them, and what Wireshark cannot hold."""
    known = replace(ring, sas=[*ring.sas, *_as_captured(captured)], ike=list(ring.ike))
    left_out = [
        f"{keys.origin}: {describe(keys)} changed its keys (RFC 9370), Wireshark opens what came last"
        for keys in _superseded(known)
    ]
    made = wireshark(known)
    files = {"preferences": _PREFERENCES, "colorfilters": _COLOURS, **made.files}
    ports = sorted(_other_ports(nat_t)) if nat_t else []
    if ports:
        rows = (f"decode_as_entry: udp.port,{port},(none),UDPENCAP\n" for port in ports[:_MOST_PORTS])
        files["decode_as_entries"] = "".join(rows)
    return Converted(files, [*left_out, *made.left_out])


def _other_ports(nat_t: NatT) -> set[int]:
    """Ports of NAT traversal beside 4500, which Wireshark has to be told of."""
    return {*nat_t.ports, *(port for pair in nat_t.pairs for _, port in pair)} - {NAT_T_PORT}


def _as_captured(captured: list[CapturedSa]) -> Iterator[SaKeys]:
    """SAs whose addresses, SPI or size of sequence numbers their keys do not tell, or tell otherwise (NAT)."""
    for sa in captured:
        if sa.ends is None:
            continue
        source, destination = sa.ends
        seen = replace(sa.keys, spi=sa.association.spi, source=source, destination=destination, esn=sa.esn)
        if (seen.spi, seen.source, seen.destination) != (sa.keys.spi, sa.keys.source, sa.keys.destination):
            yield seen


def _superseded(ring: KeyRing) -> list[IkeKeys]:
    """Take keys out of the ring that have the SPIs of later ones: Wireshark's table holds one row for each pair."""
    last = {(keys.spi_i, keys.spi_r): keys for keys in ring.ike}
    gone = [
        keys for keys in ring.ike if keys.spi_i and replace(last[keys.spi_i, keys.spi_r], origin=keys.origin) != keys
    ]
    ring.ike = [keys for keys in ring.ike if not keys.spi_i or keys is last[keys.spi_i, keys.spi_r]]
    return gone
