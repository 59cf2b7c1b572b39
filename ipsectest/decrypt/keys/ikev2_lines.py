"""``ikev2 I|R SPIi SPIr INTEGRITY:KEY ENCRYPTION:KEY``: what tcpdump reads from the file of ``-E`` and pluto logs.

Two lines make an IKE SA, the initiator's keys and the responder's. pluto (4.10 and 5.2 were tried) leaves out the salt
of an AEAD, and ends keys of SHA-384 and SHA-512 after 32 octets.
"""

import re
from dataclasses import dataclass

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import lengths
from ipsectest.decrypt.keys.hexadecimal import octets
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.decrypt.keys.source import Source

_LINE = re.compile(r"ikev2 ([IR]) (?:0x)?(\S+) (?:0x)?(\S+) ([\w-]+):(\S*) ([\w-]+):(\S+)\s*$")
_PENDING = 10_000
_CIPHERS: dict[str, int] = {
    "aes_gcm_16": Encr.ENCR_AES_GCM_16,
    "aes_gcm_12": Encr.ENCR_AES_GCM_12,
    "aes_gcm_8": Encr.ENCR_AES_GCM_8,
    "aes_ctr": Encr.ENCR_AES_CTR,
    "aesctr": Encr.ENCR_AES_CTR,
    "aes_cbc": Encr.ENCR_AES_CBC,
    "aes": Encr.ENCR_AES_CBC,
    "camellia_cbc": Encr.ENCR_CAMELLIA_CBC,
    "camellia": Encr.ENCR_CAMELLIA_CBC,
    "chacha20_poly1305": Encr.ENCR_CHACHA20_POLY1305,
    "chacha20poly1305": Encr.ENCR_CHACHA20_POLY1305,
    "3des_cbc": Encr.ENCR_3DES,
    "3des": Encr.ENCR_3DES,
    "des3": Encr.ENCR_3DES,
}
"""A name begins with one of these, the longest that fits; the key length in bits may follow."""
_INTEGRITIES: dict[str, int] = {
    "none": Integ.NONE,
    "md5": Integ.AUTH_HMAC_MD5_96,
    "sha": Integ.AUTH_HMAC_SHA1_96,
    "sha1": Integ.AUTH_HMAC_SHA1_96,
    "sha256": Integ.AUTH_HMAC_SHA2_256_128,
    "sha384": Integ.AUTH_HMAC_SHA2_384_192,
    "sha512": Integ.AUTH_HMAC_SHA2_512_256,
    "aes_xcbc": Integ.AUTH_AES_XCBC_96,
    "aes128_xcbc": Integ.AUTH_AES_XCBC_96,
    "aes_cmac": Integ.AUTH_AES_CMAC_96,
}
_ICVS: dict[int, int] = {
    Integ.AUTH_HMAC_MD5_96: 12,
    Integ.AUTH_HMAC_SHA1_96: 12,
    Integ.AUTH_HMAC_SHA2_256_128: 16,
    Integ.AUTH_HMAC_SHA2_384_192: 24,
    Integ.AUTH_HMAC_SHA2_512_256: 32,
    Integ.AUTH_AES_XCBC_96: 12,
    Integ.AUTH_AES_CMAC_96: 12,
}
_TRUNCATED = 32
_WRITTEN_CIPHERS: dict[int, str] = {Encr.ENCR_AES_CBC: "aes", Encr.ENCR_3DES: "des3"}
_WRITTEN_INTEGRITIES = {number: name for name, number in reversed(_INTEGRITIES.items())}


class LineError(ValueError):
    """A line cannot be used."""


@dataclass(frozen=True, slots=True)
class _Half:
    """One direction."""

    line: int
    encryption: int
    sk_e: bytes
    integrity: int
    sk_a: bytes


class Ikev2Lines:
    """Pairs the lines of one file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._halves: dict[tuple[bytes, bytes], dict[str, _Half]] = {}
        self._said: set[str] = set()

    def take(self, number: int, text: str) -> bool:
        """Whether this is such a line, good or bad; it may begin anywhere in the text."""
        at = text.find("ikev2 ")
        found = _LINE.match(text, at) if at >= 0 else None
        if not found:
            return False
        spis = [octets(digits) for digits in (found[2], found[3])]
        if any(spi is None or len(spi) != 8 for spi in spis):
            self._source.problem("an SPI of IKE has 8 octets", number, at + 1)
            return True
        try:
            half = _Half(number, *_cipher(found[6], found[7]), *_integrity(found[4], found[5]))
            self._pair((spis[0] or b"", spis[1] or b""), found[1], half)
        except (LineError, lengths.KeyLengthError) as error:
            self._source.problem(str(error), number, at + 1)
        return True

    def end(self) -> None:
        """Tell of what stayed alone."""
        for (spi_i, spi_r), halves in self._halves.items():
            (half,) = halves.values()
            self._source.problem(f"IKE SA {spi_i.hex()}:{spi_r.hex()} has keys of one direction only", half.line)

    def _pair(self, spis: tuple[bytes, bytes], role: str, half: _Half) -> None:
        halves = self._halves.setdefault(spis, {})
        halves[role] = half
        if len(halves) == 2:
            del self._halves[spis]
            self._add(spis, halves["I"], halves["R"])
        elif len(self._halves) > _PENDING:
            del self._halves[spis]
            raise LineError(f"more than {_PENDING} IKE SAs with keys of one direction only")

    def _add(self, spis: tuple[bytes, bytes], i: _Half, r: _Half) -> None:
        if (i.encryption, i.integrity) != (r.encryption, r.integrity):
            raise LineError(f"the lines of IKE SA {spis[0].hex()}:{spis[1].hex()} name different algorithms")
        salted = _is_salted(i.encryption, i.sk_e)
        encryption = lengths.encryption(i.encryption, i.sk_e, salted=salted)
        if lengths.encryption(r.encryption, r.sk_e, salted=salted) != encryption:
            raise LineError(f"the keys of IKE SA {spis[0].hex()}:{spis[1].hex()} have different lengths")
        integrity, icv = self._checked(i, r)
        keys = IkeKeys(
            spi_i=spis[0],
            spi_r=spis[1],
            encryption=encryption,
            integrity=integrity,
            sk_ai=i.sk_a if integrity else b"",
            sk_ar=r.sk_a if integrity else b"",
            sk_ei=i.sk_e,
            sk_er=r.sk_e,
            unchecked_icv=icv,
            origin=self._source.origin(i.line),
        )
        if salted:
            self._source.add(keys)
        else:
            self._source.add_without_salt(keys)
            self._once(f"the log leaves out the salt of {encryption}, which a capture may tell", i.line)

    def _checked(self, i: _Half, r: _Half) -> tuple[TransformSpec | None, int]:
        """The integrity algorithm and 0, or None and the octets of an ICV whose key is not all there."""
        if i.integrity == Integ.NONE:
            return None, 0
        if i.integrity in {Integ.AUTH_HMAC_SHA2_384_192, Integ.AUTH_HMAC_SHA2_512_256} and len(i.sk_a) == _TRUNCATED:
            self._once(f"the log ends integrity keys after {_TRUNCATED} octets: ICVs of IKE cannot be checked", i.line)
            return None, _ICVS[i.integrity]
        lengths.integrity(r.integrity, r.sk_a)
        return lengths.integrity(i.integrity, i.sk_a), 0

    def _once(self, text: str, line: int) -> None:
        if text not in self._said:
            self._said.add(text)
            self._source.note(text, line)


def _cipher(name: str, key: str) -> tuple[int, bytes]:
    known = [word for word in _CIPHERS if name.startswith(word)]
    found = octets(key)
    if not known:
        raise LineError(f"{name!r} is no cipher known here")
    if found is None:
        raise LineError("the key is no even number of hexadecimal digits")
    return _CIPHERS[max(known, key=len)], found


def _integrity(name: str, key: str) -> tuple[int, bytes]:
    found = octets(key)
    if name not in _INTEGRITIES:
        raise LineError(f"{name!r} is no integrity algorithm known here")
    if found is None:
        raise LineError("the key is no even number of hexadecimal digits")
    return _INTEGRITIES[name], found


def _is_salted(encryption: int, key: bytes) -> bool:
    """Whether the salt is there."""
    try:
        lengths.encryption(encryption, key)
    except lengths.KeyLengthError:
        return False
    return True


def written(keys: IkeKeys) -> tuple[list[str], str]:
    """The two lines of an IKE SA for tcpdump and "", or none and why."""
    cipher = _WRITTEN_CIPHERS.get(keys.encryption.id)
    if cipher is None:
        return [], f"tcpdump decrypts ciphers in CBC mode, not {keys.encryption}"
    if not keys.spi_i or not keys.integrity or keys.integrity.id not in _WRITTEN_INTEGRITIES:
        return [], "tcpdump wants the SPIs and the integrity algorithm"
    bits = keys.encryption.key_length or ""
    name = _WRITTEN_INTEGRITIES[keys.integrity.id]
    halves = (("I", keys.sk_ai, keys.sk_ei), ("R", keys.sk_ar, keys.sk_er))
    spis = f"0x{keys.spi_i.hex()} 0x{keys.spi_r.hex()}"
    return [
        f"ikev2 {role} {spis} {name}:0x{sk_a.hex()} {cipher}{bits}:0x{sk_e.hex()}" for role, sk_a, sk_e in halves
    ], ""
