"""Algorithm keywords: ``aes128gcm16-prfsha256-modp2048`` and back.

One word per transform, joined by ``-``; the words are those strongSwan and its users write.
Several words of one type are alternatives. A suite says nothing of protocol or SPI: the same
notation serves IKE, ESP and AH proposals.
"""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from ipsectest.base.iana import (
    EncryptionAlgorithm as Encr,
)
from ipsectest.base.iana import (
    ExtendedSequenceNumbers as Esn,
)
from ipsectest.base.iana import (
    IntegrityAlgorithm as Integ,
)
from ipsectest.base.iana import (
    KeyExchangeMethod as Ke,
)
from ipsectest.base.iana import (
    PseudorandomFunction as Prf,
)
from ipsectest.base.iana import (
    TransformType,
    transform_name,
)


@dataclass(frozen=True, slots=True, order=True)
class TransformSpec:
    """One transform: IANA type and ID, key length in bits for variable-key ciphers."""

    type: int
    id: int
    key_length: int | None = None

    def __str__(self) -> str:
        """The keyword, or ``type/id/bits`` where there is none."""
        word = _WORD_OF.get(self)
        if word is None:
            bits = f"/{self.key_length}" if self.key_length is not None else ""
            return f"{self.type}/{self.id}{bits}"
        return word

    @property
    def name(self) -> str:
        """The IANA name, with the key length in bits where there is one."""
        name = transform_name(self.type, self.id)
        return name if self.key_length is None else f"{name}_{self.key_length}"


class UnknownKeywordError(ValueError):
    """A word of a suite names no algorithm; ``word``, ``offset`` in the text, ``suggestion``."""

    def __init__(self, word: str, offset: int, suggestion: str | None) -> None:
        hint = f", did you mean {suggestion!r}?" if suggestion else ""
        super().__init__(f"unknown algorithm keyword {word!r}{hint}")
        self.word = word
        self.offset = offset
        self.suggestion = suggestion


def _ciphers() -> dict[str, TransformSpec]:
    words: dict[str, TransformSpec] = {}
    for bits in (128, 192, 256):
        for word, cipher in (
            (f"aes{bits}", Encr.ENCR_AES_CBC),
            (f"aes{bits}ctr", Encr.ENCR_AES_CTR),
            (f"aes{bits}ccm8", Encr.ENCR_AES_CCM_8),
            (f"aes{bits}ccm12", Encr.ENCR_AES_CCM_12),
            (f"aes{bits}ccm16", Encr.ENCR_AES_CCM_16),
            (f"aes{bits}gcm8", Encr.ENCR_AES_GCM_8),
            (f"aes{bits}gcm12", Encr.ENCR_AES_GCM_12),
            (f"aes{bits}gcm16", Encr.ENCR_AES_GCM_16),
            (f"aes{bits}gmac", Encr.ENCR_NULL_AUTH_AES_GMAC),
            (f"camellia{bits}", Encr.ENCR_CAMELLIA_CBC),
            (f"camellia{bits}ctr", Encr.ENCR_CAMELLIA_CTR),
            (f"camellia{bits}ccm8", Encr.ENCR_CAMELLIA_CCM_8),
            (f"camellia{bits}ccm12", Encr.ENCR_CAMELLIA_CCM_12),
            (f"camellia{bits}ccm16", Encr.ENCR_CAMELLIA_CCM_16),
        ):
            words[word] = TransformSpec(TransformType.ENCR, cipher, bits)
    words["3des"] = TransformSpec(TransformType.ENCR, Encr.ENCR_3DES)
    words["des"] = TransformSpec(TransformType.ENCR, Encr.ENCR_DES)
    words["null"] = TransformSpec(TransformType.ENCR, Encr.ENCR_NULL)
    words["chacha20poly1305"] = TransformSpec(TransformType.ENCR, Encr.ENCR_CHACHA20_POLY1305)
    return words


_PRF = {
    "prfmd5": Prf.PRF_HMAC_MD5,
    "prfsha1": Prf.PRF_HMAC_SHA1,
    "prfaesxcbc": Prf.PRF_AES128_XCBC,
    "prfsha256": Prf.PRF_HMAC_SHA2_256,
    "prfsha384": Prf.PRF_HMAC_SHA2_384,
    "prfsha512": Prf.PRF_HMAC_SHA2_512,
    "prfaescmac": Prf.PRF_AES128_CMAC,
}
_INTEG = {
    "integnone": Integ.NONE,
    "md5": Integ.AUTH_HMAC_MD5_96,
    "sha1": Integ.AUTH_HMAC_SHA1_96,
    "aesxcbc": Integ.AUTH_AES_XCBC_96,
    "aescmac": Integ.AUTH_AES_CMAC_96,
    "aes128gmacauth": Integ.AUTH_AES_128_GMAC,
    "aes192gmacauth": Integ.AUTH_AES_192_GMAC,
    "aes256gmacauth": Integ.AUTH_AES_256_GMAC,
    "sha256": Integ.AUTH_HMAC_SHA2_256_128,
    "sha384": Integ.AUTH_HMAC_SHA2_384_192,
    "sha512": Integ.AUTH_HMAC_SHA2_512_256,
}
PRF_OF_INTEGRITY: dict[int, int] = {
    _INTEG[word]: prf for name, prf in _PRF.items() if (word := name.removeprefix("prf")) in _INTEG
}
"""Integrity algorithm -> PRF of the same hash or cipher, which daemons take where a proposal names none."""
_KE = {
    "modpnone": Ke.NONE,
    "modp768": Ke.MODP_768,
    "modp1024": Ke.MODP_1024,
    "modp1536": Ke.MODP_1536,
    "modp2048": Ke.MODP_2048,
    "modp3072": Ke.MODP_3072,
    "modp4096": Ke.MODP_4096,
    "modp6144": Ke.MODP_6144,
    "modp8192": Ke.MODP_8192,
    "ecp256": Ke.ECP_256,
    "ecp384": Ke.ECP_384,
    "ecp521": Ke.ECP_521,
    "modp1024s160": Ke.MODP_1024_160,
    "modp2048s224": Ke.MODP_2048_224,
    "modp2048s256": Ke.MODP_2048_256,
    "ecp192": Ke.ECP_192,
    "ecp224": Ke.ECP_224,
    "ecp224bp": Ke.BRAINPOOL_P224R1,
    "ecp256bp": Ke.BRAINPOOL_P256R1,
    "ecp384bp": Ke.BRAINPOOL_P384R1,
    "ecp512bp": Ke.BRAINPOOL_P512R1,
    "x25519": Ke.CURVE25519,
    "x448": Ke.CURVE448,
    "mlkem512": Ke.ML_KEM_512,
    "mlkem768": Ke.ML_KEM_768,
    "mlkem1024": Ke.ML_KEM_1024,
}


def _vocabulary() -> dict[str, TransformSpec]:
    words = _ciphers()
    words |= {w: TransformSpec(TransformType.PRF, i) for w, i in _PRF.items()}
    words |= {w: TransformSpec(TransformType.INTEG, i) for w, i in _INTEG.items()}
    words |= {w: TransformSpec(TransformType.KE, i) for w, i in _KE.items()}
    for n in range(1, 8):
        kind = TransformType.ADDKE1 + n - 1
        words |= {f"ke{n}_{w}": TransformSpec(kind, i) for w, i in _KE.items()}
    words["noesn"] = TransformSpec(TransformType.ESN, Esn.NO_ESN)
    words["esn"] = TransformSpec(TransformType.ESN, Esn.ESN)
    return words


KEYWORDS: dict[str, TransformSpec] = _vocabulary()
"""Every keyword and the transform it stands for."""
_WORD_OF = {spec: word for word, spec in KEYWORDS.items()}
_ALIASES = {"curve25519": "x25519", "curve448": "x448"}


def parse_suite(text: str) -> tuple[TransformSpec, ...]:
    """Turn ``aes128-sha256-modp2048`` into transforms, in the order written.

    Raises UnknownKeywordError with the offset of the word in text. ``type/id`` and
    ``type/id/bits`` in decimal name a transform that has no keyword.
    """
    specs: list[TransformSpec] = []
    offset = 0
    for word in text.split("-"):
        name = word.strip().lower()
        spec = KEYWORDS.get(_ALIASES.get(name, name)) or _numeric(name)
        if spec is None:
            near = difflib.get_close_matches(name, KEYWORDS, n=1)
            raise UnknownKeywordError(word, offset, near[0] if near else None)
        specs.append(spec)
        offset += len(word) + 1
    return tuple(specs)


def format_suite(specs: tuple[TransformSpec, ...] | list[TransformSpec]) -> str:
    """The keywords of specs, joined by ``-``: the inverse of parse_suite."""
    return "-".join(str(spec) for spec in specs)


_ORDER = (TransformType.ENCR, TransformType.INTEG, TransformType.PRF, TransformType.KE)


def ordered(specs: Iterable[TransformSpec]) -> list[TransformSpec]:
    """Specs as suites are written: cipher, integrity, PRF, groups. On the wire they may come in any order."""
    return sorted(specs, key=lambda spec: _ORDER.index(spec.type) if spec.type in _ORDER else len(_ORDER))


def _numeric(word: str) -> TransformSpec | None:
    parts = word.split("/")
    if len(parts) not in {2, 3} or not all(p.isascii() and p.isdigit() for p in parts):
        return None
    numbers = [int(p) for p in parts]
    return TransformSpec(numbers[0], numbers[1], numbers[2] if len(numbers) == 3 else None)
