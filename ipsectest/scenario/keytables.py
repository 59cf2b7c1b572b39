"""The keys of a case as files: ours (``keys.toml``) and Wireshark's ``ikev2_decryption_table`` and ``esp_sa``.

Names are those of Wireshark 4.0 to 4.4; algorithms it cannot decrypt (ChaCha20, Camellia, AES-CCM in ESP) stand in
keys.toml only.
"""

from collections.abc import Iterable

from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.scenario.session import Session

_GCM: dict[int, int] = {Encr.ENCR_AES_GCM_8: 8, Encr.ENCR_AES_GCM_12: 12, Encr.ENCR_AES_GCM_16: 16}
_CCM: dict[int, int] = {Encr.ENCR_AES_CCM_8: 8, Encr.ENCR_AES_CCM_12: 12, Encr.ENCR_AES_CCM_16: 16}
_IKE_INTEGRITY: dict[int, str] = {
    Integ.AUTH_HMAC_MD5_96: "HMAC_MD5_96 [RFC2403]",
    Integ.AUTH_HMAC_SHA1_96: "HMAC_SHA1_96 [RFC2404]",
    Integ.AUTH_HMAC_SHA2_256_128: "HMAC_SHA2_256_128 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_384_192: "HMAC_SHA2_384_192 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_512_256: "HMAC_SHA2_512_256 [RFC4868]",
    Integ.AUTH_AES_XCBC_96: "ANY 96-bits of Authentication [No Checking]",
    Integ.AUTH_AES_CMAC_96: "ANY 96-bits of Authentication [No Checking]",
}
_ESP_INTEGRITY: dict[int, str] = {
    Integ.AUTH_HMAC_MD5_96: "HMAC-MD5-96 [RFC2403]",
    Integ.AUTH_HMAC_SHA1_96: "HMAC-SHA-1-96 [RFC2404]",
    Integ.AUTH_HMAC_SHA2_256_128: "HMAC-SHA-256-128 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_384_192: "HMAC-SHA-384-192 [RFC4868]",
    Integ.AUTH_HMAC_SHA2_512_256: "HMAC-SHA-512-256 [RFC4868]",
    Integ.AUTH_AES_XCBC_96: "ANY 96 bit authentication [no checking]",
    Integ.AUTH_AES_CMAC_96: "ANY 96 bit authentication [no checking]",
}
_ESP_ENCRYPTION: dict[int, str] = {
    Encr.ENCR_NULL: "NULL",
    Encr.ENCR_3DES: "TripleDES-CBC [RFC2451]",
    Encr.ENCR_AES_CBC: "AES-CBC [RFC3602]",
    Encr.ENCR_AES_CTR: "AES-CTR [RFC3686]",
} | {kind: f"AES-GCM with {size} octet ICV [RFC4106]" for kind, size in _GCM.items()}


def tables(session: Session) -> dict[str, str]:
    """File name -> text; tables without rows are left out."""
    directions = [sa for pair in session.traffic.all_pairs for sa in pair]
    files = {
        "keys.toml": "\n".join([*map(_ike_toml, session.keyed), *map(_esp_toml, directions)]),
        "ikev2_decryption_table": _rows(map(_ike_row, session.keyed)),
        "esp_sa": _rows(map(_esp_row, directions)),
    }
    return {name: text for name, text in files.items() if text}


def _rows(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in dict.fromkeys(rows) if row)


def _ike_row(sa: IkeSa) -> str:
    """``SPIi,SPIr,SK_ei,SK_er,"encryption",SK_ai,SK_ar,"integrity"``, "" if Wireshark lacks the algorithm."""
    if sa.keys is None or sa.chosen is None:
        return ""
    encryption = _ike_encryption(sa.chosen.of(TransformType.ENCR))
    spec = sa.chosen.of(TransformType.INTEG)
    integrity = "NONE [RFC4306]" if spec is None else _IKE_INTEGRITY.get(spec.id, "")
    if not encryption or not integrity:
        return ""
    keys = sa.keys
    return (
        f"{sa.spi_i.hex()},{sa.spi_r.hex()},{keys.sk_ei.hex()},{keys.sk_er.hex()},"
        f'"{encryption}",{keys.sk_ai.hex()},{keys.sk_ar.hex()},"{integrity}"'
    )


def _ike_encryption(spec: TransformSpec | None) -> str:
    if spec is None:
        return ""
    if spec.id in _GCM:
        return f"AES-GCM-{spec.key_length} with {_GCM[spec.id]} octet ICV [RFC5282]"
    if spec.id in _CCM:
        return f"AES-CCM-{spec.key_length} with {_CCM[spec.id]} octet ICV [RFC5282]"
    names: dict[int, str] = {
        Encr.ENCR_AES_CBC: f"AES-CBC-{spec.key_length} [RFC3602]",
        Encr.ENCR_AES_CTR: f"AES-CTR-{spec.key_length} [RFC5930]",
        Encr.ENCR_3DES: "3DES [RFC2451]",
        Encr.ENCR_NULL: "NULL [RFC2410]",
    }
    return names.get(spec.id, "")


def _esp_row(sa: SecurityAssociation) -> str:
    """The ten columns of ``esp_sa``, "" if Wireshark lacks the algorithm."""
    encr = sa.encryption or TransformSpec(TransformType.ENCR, Encr.ENCR_NULL)
    encryption = _ESP_ENCRYPTION.get(encr.id, "")
    integrity = "NULL"
    if sa.authenticator is not None and sa.integrity is not None:
        integrity = _ESP_INTEGRITY.get(sa.integrity.id, "")
    if not encryption or not integrity:
        return ""
    columns = (
        "IPv6" if ":" in sa.source else "IPv4", sa.source, sa.destination, f"0x{sa.spi.hex()}",
        encryption, _hex(sa.encryption_key), integrity, _hex(sa.integrity_key), "64-bit" if sa.esn else "32-bit", "0",
    )  # fmt: skip
    return ",".join(f'"{column}"' for column in columns)


def _hex(key: bytes) -> str:
    return f"0x{key.hex()}" if key else ""


def _ike_toml(sa: IkeSa) -> str:
    if sa.keys is None:
        return ""
    names = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
    keys = "".join(f'{name} = "{getattr(sa.keys, name).hex()}"\n' for name in names)
    return f'[[ike]]\nspi_i = "{sa.spi_i.hex()}"\nspi_r = "{sa.spi_r.hex()}"\nsuite = "{_suite(sa.chosen)}"\n{keys}'


def _esp_toml(sa: SecurityAssociation) -> str:
    suite = format_suite([spec for spec in (sa.encryption, sa.integrity) if spec is not None])
    return (
        f'[[esp]]\nsource = "{sa.source}"\ndestination = "{sa.destination}"\nspi = "{sa.spi.hex()}"\n'
        f'suite = "{suite}"\nencryption_key = "{sa.encryption_key.hex()}"\nintegrity_key = "{sa.integrity_key.hex()}"\n'
        f"esn = {str(sa.esn).lower()}\n"
    )


def _suite(chosen: Chosen | None) -> str:
    return str(chosen) if chosen is not None else ""
