"""Key derivation and AUTH octets of IKEv2 (RFC 7296 sections 2.14 to 2.18 and its extensions)."""

from dataclasses import dataclass, replace

from ipsectest.crypto.ciphers import Cipher
from ipsectest.crypto.integrities import Integrity
from ipsectest.crypto.prfs import Prf

KEY_PAD = b"Key Pad for IKEv2"
"""Stretches a shared secret before it keys the AUTH MAC (RFC 7296 section 2.15)."""


@dataclass(frozen=True, slots=True)
class IkeKeys:
    """The seven keys of an IKE SA; sk_ai and sk_ar are empty with an AEAD, whose sk_e ends with the salt."""

    sk_d: bytes
    sk_ai: bytes
    sk_ar: bytes
    sk_ei: bytes
    sk_er: bytes
    sk_pi: bytes
    sk_pr: bytes


@dataclass(frozen=True, slots=True)
class ChildKeys:
    """Keys of an ESP or AH pair of SAs; ``_i`` protects what the exchange's initiator sends."""

    encryption_i: bytes
    integrity_i: bytes
    encryption_r: bytes
    integrity_r: bytes


def skeyseed(prf: Prf, secret: bytes, ni: bytes, nr: bytes) -> bytes:
    """SKEYSEED = prf(Ni | Nr, g^ir) of a first key exchange (RFC 7296 section 2.14)."""
    return prf.compute(prf.nonce_key(ni, nr), secret)


def rekey_skeyseed(prf: Prf, sk_d: bytes, secret: bytes, ni: bytes, nr: bytes, *, more_secrets: bytes = b"") -> bytes:
    """SKEYSEED = prf(SK_d, g^ir | Ni | Nr) with the old SA's PRF and SK_d (RFC 7296 section 2.18).

    Also the step after an additional key exchange, and with ``more_secrets`` = SK(1) | ... | SK(n)
    the rekeying with several of them (RFC 9370 sections 2.2.2 and 2.2.4).
    """
    return prf.compute(sk_d, secret + ni + nr + more_secrets)


def ike_keys(
    prf: Prf,
    cipher: Cipher,
    integrity: Integrity | None,
    seed: bytes,
    *,
    ni: bytes,
    nr: bytes,
    spi_i: bytes,
    spi_r: bytes,
) -> IkeKeys:
    """{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr).

    ``integrity`` is None with an AEAD cipher; ``seed`` is SKEYSEED; nonces are used whole.
    """
    size, auth, encr = prf.key_length, integrity.key_length if integrity else 0, cipher.keymat_length
    material = prf.plus(seed, ni + nr + spi_i + spi_r, 3 * size + 2 * auth + 2 * encr)
    return IkeKeys(*_split(material, size, auth, auth, encr, encr, size, size))


def child_keymat(prf: Prf, sk_d: bytes, ni: bytes, nr: bytes, length: int, *, secret: bytes = b"") -> bytes:
    """KEYMAT = prf+(SK_d, [g^ir |] Ni | Nr): ``length`` octets (RFC 7296 section 2.17)."""
    return prf.plus(sk_d, secret + ni + nr, length)


def child_keys(
    prf: Prf,
    sk_d: bytes,
    cipher: Cipher | None,
    integrity: Integrity | None,
    *,
    ni: bytes,
    nr: bytes,
    secret: bytes = b"",
    more_secrets: bytes = b"",
) -> ChildKeys:
    """KEYMAT cut up: first the initiator's direction, in each encryption before integrity.

    ``cipher`` is None for AH, ``integrity`` is None for an AEAD; ``secret`` is g^ir with PFS and
    ``more_secrets`` those of additional key exchanges, which follow the nonces (RFC 9370 section 2.2.4).
    """
    encr = cipher.keymat_length if cipher else 0
    auth = integrity.key_length if integrity else 0
    material = prf.plus(sk_d, secret + ni + nr + more_secrets, 2 * (encr + auth))
    return ChildKeys(*_split(material, encr, auth, encr, auth))


def mix_ppk(prf: Prf, keys: IkeKeys, ppk: bytes) -> IkeKeys:
    """SK_d, SK_pi and SK_pr after a post-quantum preshared key (RFC 8784 section 3)."""
    size = prf.key_length
    return replace(
        keys,
        sk_d=prf.plus(ppk, keys.sk_d, size),
        sk_pi=prf.plus(ppk, keys.sk_pi, size),
        sk_pr=prf.plus(ppk, keys.sk_pr, size),
    )


def signed_octets(
    prf: Prf, message: bytes, peer_nonce: bytes, sk_p: bytes, id_body: bytes, *, int_auth: bytes = b""
) -> bytes:
    """What one side's AUTH covers (RFC 7296 section 2.15).

    ``message`` is the signer's own IKE_SA_INIT message from the first SPI octet on, ``peer_nonce``
    the other side's nonce, ``sk_p`` and ``id_body`` (ID payload without generic header) the
    signer's; ``int_auth`` is IntAuth of RFC 9242 section 3.3.2 if IKE_INTERMEDIATE was used.
    """
    return message + peer_nonce + prf.compute(sk_p, id_body) + int_auth


def psk_auth(prf: Prf, shared_secret: bytes, octets: bytes) -> bytes:
    """AUTH data of method 2: prf(prf(shared secret, "Key Pad for IKEv2"), octets).

    With SK_pi or SK_pr as the secret it is NULL authentication (RFC 7619 section 2.1), with an
    EAP MSK that of EAP (RFC 7296 section 2.16).
    """
    return prf.compute(prf.compute(shared_secret, KEY_PAD), octets)


def _split(material: bytes, *sizes: int) -> list[bytes]:
    parts, start = [], 0
    for size in sizes:
        parts.append(material[start : start + size])
        start += size
    return parts
