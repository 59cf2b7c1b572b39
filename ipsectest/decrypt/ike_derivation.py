"""Keys of IKE SAs out of a shared secret and what messages tell (RFC 7296 sections 2.14, 2.18; RFC 9370 2.2.2)."""

from dataclasses import dataclass

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.crypto import cipher, integrity, prf
from ipsectest.crypto.keys import ike_keys, rekey_skeyseed, skeyseed
from ipsectest.decrypt.keys.model import IkeKeys
from ipsectest.wire import Proposal


@dataclass(frozen=True, slots=True)
class Exchanged:
    """What an exchange settled for an IKE SA."""

    spis: tuple[bytes, bytes]
    nonces: tuple[bytes, bytes]
    secret: bytes
    more_secrets: bytes = b""
    """Of IKE_FOLLOWUP_KE exchanges."""


def first(chosen: Proposal, exchanged: Exchanged) -> IkeKeys:
    """The keys of IKE_SA_INIT. Raises ValueError and UnsupportedAlgorithmError, as all here."""
    specs = {spec.type: spec for spec in chosen.specs}
    function = _wanted(specs, TransformType.PRF)
    return _keys(specs, skeyseed(prf(function.id), exchanged.secret, *exchanged.nonces), exchanged)


def rekeyed(old: IkeKeys, old_prf: TransformSpec, chosen: Proposal, exchanged: Exchanged) -> IkeKeys:
    """The keys of an IKE SA that replaces another: by the old PRF and SK_d, then by the new PRF."""
    secrets = exchanged.more_secrets
    seed = rekey_skeyseed(prf(old_prf.id), old.sk_d, exchanged.secret, *exchanged.nonces, more_secrets=secrets)
    return _keys({spec.type: spec for spec in chosen.specs}, seed, exchanged)


def renewed(old: IkeKeys, function: TransformSpec, exchanged: Exchanged) -> IkeKeys:
    """The keys of the same IKE SA after an additional key exchange."""
    seed = rekey_skeyseed(prf(function.id), old.sk_d, exchanged.secret, *exchanged.nonces)
    specs = {spec.type: spec for spec in (old.encryption, old.integrity, function) if spec}
    return _keys(specs, seed, exchanged)


def _wanted(specs: dict[int, TransformSpec], kind: int) -> TransformSpec:
    if kind not in specs:
        raise ValueError("the proposal lacks an algorithm")
    return specs[kind]


def _keys(specs: dict[int, TransformSpec], seed: bytes, exchanged: Exchanged) -> IkeKeys:
    function, encryption = _wanted(specs, TransformType.PRF), _wanted(specs, TransformType.ENCR)
    algorithm = cipher(encryption.id, encryption.key_length)
    mac = None if algorithm.is_aead else specs.get(TransformType.INTEG)
    (ni, nr), (spi_i, spi_r) = exchanged.nonces, exchanged.spis
    made = ike_keys(
        prf(function.id), algorithm, integrity(mac.id) if mac else None, seed, ni=ni, nr=nr, spi_i=spi_i, spi_r=spi_r
    )
    return IkeKeys(
        spi_i=spi_i, spi_r=spi_r, encryption=encryption, integrity=mac, prf=function,
        sk_d=made.sk_d, sk_ai=made.sk_ai, sk_ar=made.sk_ar, sk_ei=made.sk_ei, sk_er=made.sk_er,
        sk_pi=made.sk_pi, sk_pr=made.sk_pr, origin="derived from a key exchange",
    )  # fmt: skip
