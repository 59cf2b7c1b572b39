"""What ``ip xfrm state`` and ``ip xfrm monitor`` print, and ``ip xfrm state add`` commands, in and out.

``ip -j`` prints the same text (iproute2 6.1 to 6.15 have no JSON for xfrm). States come in their print of several
lines or, with ``ip -o``, in one with backslashes. A state that a monitor shows again is taken once.
"""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import kernel_names
from ipsectest.decrypt.keys.hexadecimal import octets, spi
from ipsectest.decrypt.keys.lengths import KeyLengthError
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.keys.source import Source

_BEGIN = re.compile(r"(?:\[[^\]]*\]\s*)?(Deleted |Updated |Expired )?src (\S+) dst (\S+)(?=\s|$)")
_ADD = re.compile(r"\s*(?:sudo\s+)?(?:/\S*/)?ip\b.*?\bx(?:frm)?\s+s(?:tate)?\s+(?:add|update|a)\b")
_HIDDEN = "<<Keys hidden>>"
_SIZE = re.compile(r"\s\(\d+ bits\)")
_SPI = re.compile(r"(0x[0-9a-fA-F]+)\(\d+\)")
_SEQ_HI = re.compile(r"seq-hi (0x[0-9a-fA-F]+), seq (?:0x[0-9a-fA-F]+), oseq-hi (0x[0-9a-fA-F]+)")
_MOST_DIGITS = 10
_PROTOCOLS = {"esp": ProtocolId.ESP, "50": ProtocolId.ESP, "ah": ProtocolId.AH, "51": ProtocolId.AH}
_NAME_OF = {number: name for name, number in kernel_names.CIPHERS.items()}
_AEAD_OF = {number: name for name, number in kernel_names.AEADS.items()}
_INTEGRITY_OF = {number: name for name, number in kernel_names.INTEGRITIES.items()}


class _StateError(ValueError):
    """A state cannot be used."""


@dataclass(slots=True)
class _State:
    """One state as text: its first line and the words of the others."""

    line: int
    source: str
    destination: str
    words: list[str] = field(default_factory=list)
    esn_high: int = 0
    is_policy: bool = False


def read(source: Source) -> None:
    """Every state of the text."""
    seen: set[tuple[object, ...]] = set()
    for state in _states(source):
        try:
            keys = _keys(state, source)
        except (_StateError, KeyLengthError) as error:
            source.problem(str(error), state.line)
            continue
        except kernel_names.UnknownNameError as error:
            source.note(str(error), state.line)
            continue
        identity = keys and (keys.spi, keys.destination, keys.protocol, keys.encryption_key, keys.integrity_key)
        if keys and identity and identity not in seen:
            seen.add(identity)
            source.add(keys)


def _states(source: Source) -> Iterator[_State]:
    current: _State | None = None
    for number, text in source.lines():
        if _ADD.match(text):
            if current:
                yield current
            current = None
            yield from _command(source, number, text)
            continue
        for line in text.split("\\"):
            begin = _BEGIN.match(line)
            if begin:
                if current:
                    yield current
                current = _State(number, begin[2], begin[3])
                line = line[begin.end() :]  # noqa: PLW2901 - what follows is of the state
            if current:
                _take(current, line)
    if current:
        yield current


def _take(state: _State, line: str) -> None:
    """The words of one line; a selector has addresses of its own and is left out."""
    line = _SIZE.sub("", _SPI.sub(r"\1", line))
    high = _SEQ_HI.search(line)
    if high:
        state.esn_high = max(int(high[1], 16), int(high[2], 16)) & 0xFFFFFFFF
    words = line.replace(_HIDDEN, _HIDDEN.replace(" ", "")).split()
    state.is_policy |= words[:1] in (["dir"], ["tmpl"])
    if words and words[0] not in {"sel", "tmpl"} and len(state.words) < 200:
        state.words += [*words, "\n"]


def _command(source: Source, number: int, text: str) -> Iterator[_State]:
    """The state of ``ip xfrm state add ...``."""
    try:
        words = shlex.split(text, comments=True)
    except ValueError as error:
        source.problem(f"no shell command: {error}", number)
        return
    at = next((index for index, word in enumerate(words) if word in {"add", "update", "a"}), 0)
    words = words[at + 1 :]
    ends = {name: _after(words, name) for name in ("src", "dst", "replay-seq-hi", "replay-oseq-hi")}
    if "sel" in words:
        words = words[: words.index("sel")]
    state = _State(number, ends["src"] or "any", ends["dst"] or "any")
    for name in ("replay-seq-hi", "replay-oseq-hi"):
        digits = octets((ends[name] or "0").removeprefix("0x").rjust(8, "0"))
        state.esn_high = max(state.esn_high, int.from_bytes(digits or b"", "big") & 0xFFFFFFFF)
    state.words = [word or "''" for word in words]
    yield state


def _after(words: list[str], name: str) -> str | None:
    """The word that follows a keyword."""
    return words[words.index(name) + 1] if name in words[:-1] else None


def _keys(state: _State, source: Source) -> SaKeys | None:
    """The keys of a state; None for a policy, and for a state that has none yet."""
    words = state.words
    number = _after(words, "spi")
    if number is None or state.is_policy:
        return None
    protocol = _PROTOCOLS.get(_after(words, "proto") or "")
    if protocol is None:
        source.note(f"SA {number}: proto {_after(words, 'proto')} has no keys", state.line)
        return None
    octets_of_spi = spi(number) if number.startswith("0x") else _decimal_spi(number)
    if octets_of_spi is None:
        raise _StateError(f"{number!r} is no SPI")
    if _HIDDEN.replace(" ", "") in words:
        raise _StateError(f"SA {number}: keys are hidden (nokeys, or no CAP_NET_ADMIN)")
    keys = _Algorithms(words)
    if not keys.found:
        source.note(f"SA {number}: a larval state, without keys yet", state.line)
        return None
    if protocol == ProtocolId.AH and keys.integrity is None:
        raise kernel_names.UnknownNameError(f"SA {number}: an ICV of {keys.unchecked_icv} octets cannot be checked")
    if keys.unchecked_icv:
        source.note(f"SA {number}: its ICV of {keys.unchecked_icv} octets cannot be checked", state.line)
    return SaKeys(
        spi=octets_of_spi,
        source=_address(state.source),
        destination=_address(state.destination),
        protocol=protocol,
        encryption=keys.encryption,
        encryption_key=keys.encryption_key,
        integrity=keys.integrity,
        integrity_key=keys.integrity_key if keys.integrity else b"",
        unchecked_icv=keys.unchecked_icv,
        esn=_esn(words),
        esn_high=state.esn_high,
        origin=source.origin(state.line),
    )


def _decimal_spi(text: str) -> bytes | None:
    return spi(f"{int(text):x}") if text.isdecimal() and len(text) <= _MOST_DIGITS else None


def _esn(words: list[str]) -> bool:
    """Whether the flag is set; a context named esn also stands for windows over 32 packets."""
    is_flags = False
    for word in words:
        is_flags = (is_flags or word == "flag") and word != "\n"
        if is_flags and word == "esn":
            return True
    return False


def _address(text: str) -> str:
    if text in {"any", "default"}:
        return ""
    try:
        address = ip_address(text)
    except ValueError:
        raise _StateError(f"{text!r} is no address") from None
    return "" if address.is_unspecified else str(address)


class _Algorithms:
    """Cipher and integrity algorithm of a state."""

    def __init__(self, words: list[str]) -> None:
        self.encryption: TransformSpec | None = None
        self.integrity: TransformSpec | None = None
        self.encryption_key = self.integrity_key = b""
        self.unchecked_icv = 0
        self.found = False
        for at, word in enumerate(words):
            if word in {"enc", "aead", "auth", "auth-trunc"} and at + 1 < len(words):
                self._take(word, words[at + 1], words[at + 2 : at + 4])
                self.found = True
        if self.found and not self.encryption and not self.integrity and not self.unchecked_icv:
            raise kernel_names.UnknownNameError("a state without integrity algorithm")

    def _take(self, kind: str, name: str, rest: list[str]) -> None:
        key, bits = b"", None
        for word in rest:
            if word == "\n":
                break
            if word.startswith(("0x", "0X")):
                found = octets(word)
                if found is None:
                    raise _StateError(f"the key of {name} is no even number of hexadecimal digits")
                key = found
            elif word.isascii() and word.isdigit() and len(word) < 6:
                bits = int(word)
            elif word == "''":
                continue
            else:
                break
        match kind:
            case "aead":
                self.encryption, self.encryption_key = kernel_names.aead(name, key, bits or 0), key
            case "enc":
                self.encryption, self.encryption_key = kernel_names.cipher(name, key), key
            case _:
                self.integrity_key = key
                self.integrity, self.unchecked_icv = kernel_names.authentication(name, key, bits)


def command(keys: SaKeys) -> tuple[str, str]:
    """An ``ip xfrm state add`` of tunnel mode and "", or "" and why there can be none."""
    if not keys.spi or not keys.source or not keys.destination:
        return "", "the kernel wants an SPI and both addresses"
    if keys.unchecked_icv:
        return "", f"the algorithm of its ICV of {keys.unchecked_icv} octets is not known"
    words = ["ip xfrm state add src", keys.source, "dst", keys.destination, "proto", _proto(keys)]
    words += ["spi", f"0x{keys.spi.hex()}", "mode tunnel replay-window 32", *_extended(keys)]
    for spec, key in ((keys.encryption, keys.encryption_key), (keys.integrity, keys.integrity_key)):
        if spec:
            text = _algorithm(spec.id, key, cipher=spec is keys.encryption)
            if not text:
                return "", f"Linux has no {spec}"
            words.append(text)
    return " ".join(words), ""


def _proto(keys: SaKeys) -> str:
    return "ah" if keys.protocol == ProtocolId.AH else "esp"


def _extended(keys: SaKeys) -> list[str]:
    if not keys.esn:
        return []
    high = [f"replay-seq-hi 0x{keys.esn_high:x} replay-oseq-hi 0x{keys.esn_high:x}"] if keys.esn_high else []
    return ["flag esn", *high]


def _algorithm(number: int, key: bytes, *, cipher: bool) -> str:
    value = f"0x{key.hex()}" if key else "''"
    if cipher and number in _AEAD_OF:
        name, bits = _AEAD_OF[number]
        return f"aead '{name}' {value} {bits}"
    if cipher:
        return f"enc '{_NAME_OF[number]}' {value}" if number in _NAME_OF else ""
    if number in _INTEGRITY_OF:
        name, bits = _INTEGRITY_OF[number]
        return f"auth-trunc '{name}' {value} {bits}"
    return ""
