"""A key ring in the notation of another tool, and what that cannot hold."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.keys import esp_sa, ike_tables, ikev2_lines, iproute2, ours, tcpdump
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, IkeV1Keys, KeyRing, SaKeys

Keys = SaKeys | IkeKeys | IkeV1Keys | DhKeys
_UNFINISHED = "keys follow from it and a capture: `ipsectest decrypt --write-keys FILE` derives them"
_K = TypeVar("_K", SaKeys, IkeKeys, IkeV1Keys)


@dataclass(slots=True)
class Converted:
    """Files by name (one without a name goes where the user says) and one line for each SA that is in none."""

    files: dict[str, str] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def wireshark(ring: KeyRing) -> Converted:
    """The tables of a profile folder."""
    made = Converted()
    esp: list[str] = []
    for keys in ring.sas:
        rows = esp_sa.rows(keys)
        if isinstance(rows, str):
            made.left_out.append(_refusal(keys, rows))
        else:
            esp += rows
    ikev2 = _collect(made, ring.ike, ike_tables.ikev2_row)
    ikev1 = _collect(made, ring.ikev1, ike_tables.ikev1_row)
    for name, rows in (("esp_sa", esp), ("ikev2_decryption_table", ikev2), ("ikev1_decryption_table", ikev1)):
        if rows:
            made.files[name] = "".join(f"{row}\n" for row in dict.fromkeys(rows))
    _leave_out_unfinished(made, ring)
    return made


def to_tcpdump(ring: KeyRing) -> Converted:
    """A file for ``tcpdump -E 'file NAME'``."""
    made = Converted()
    lines = _collect(made, ring.sas, tcpdump.entry)
    for keys in ring.ike:
        pair, why = ikev2_lines.written(keys)
        if why:
            made.left_out.append(_refusal(keys, why))
        else:
            lines.append("\n".join(pair))  # one entry, so that a line which two SAs share is written with each
    made.left_out += [_refusal(keys, "tcpdump does not decrypt IKEv1") for keys in ring.ikev1]
    _leave_out_unfinished(made, ring)
    return _one_file(made, lines)


def to_iproute2(ring: KeyRing) -> Converted:
    """Commands that make the SAs."""
    made = Converted()
    lines = _collect(made, ring.sas, iproute2.command)
    ike: list[Keys] = [*ring.ike, *ring.ikev1, *ring.without_salt]
    made.left_out += [_refusal(keys, "the kernel knows no IKE") for keys in ike]
    made.left_out += [_refusal(keys, _UNFINISHED) for keys in ring.dh]
    return _one_file(made, lines)


def to_ours(ring: KeyRing) -> Converted:
    """``keys.toml``, which holds all that has a meaning."""
    made = Converted()
    _leave_out_unsalted(made, ring)
    text = ours.write(ring)
    if text:
        made.files[""] = text
    return made


TARGETS: dict[str, Callable[[KeyRing], Converted]] = {
    "wireshark": wireshark,
    "tcpdump": to_tcpdump,
    "ours": to_ours,
    "iproute2": to_iproute2,
}
"""Word of ``--to`` -> conversion."""


def describe(keys: Keys) -> str:
    """An SA in a message."""
    match keys:
        case SaKeys():
            return f"{'ESP' if keys.protocol == ProtocolId.ESP else 'AH'} SA {keys.spi.hex() or '*'}"
        case IkeKeys():
            return f"IKE SA {keys.spi_i.hex() or '?'}:{keys.spi_r.hex() or '?'}"
        case IkeV1Keys():
            return f"IKEv1 SA {keys.cookie_i.hex() or '?'}"
        case DhKeys():
            return "a key exchange"


def _refusal(keys: Keys, why: str) -> str:
    return f"{keys.origin}: {describe(keys)} is left out: {why}"


def _collect(made: Converted, some: Iterable[_K], write: Callable[[_K], tuple[str, str]]) -> list[str]:
    lines: list[str] = []
    for keys in some:
        line, why = write(keys)
        if why:
            made.left_out.append(_refusal(keys, why))
        else:
            lines.append(line)
    return lines


def _leave_out_unsalted(made: Converted, ring: KeyRing) -> None:
    made.left_out += [_refusal(keys, "its salt is not known") for keys in ring.without_salt]


def _leave_out_unfinished(made: Converted, ring: KeyRing) -> None:
    _leave_out_unsalted(made, ring)
    made.left_out += [_refusal(keys, _UNFINISHED) for keys in ring.dh]


def _one_file(made: Converted, lines: list[str]) -> Converted:
    if lines:
        made.files[""] = "".join(f"{line}\n" for line in dict.fromkeys(lines))
    return made
