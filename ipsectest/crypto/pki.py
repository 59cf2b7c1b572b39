"""A generated PKI for labs and tests: authorities and end entities of every kind, good and bad.

Nothing here is secret or lasting: callers keep the PEM in run folders only. Keys and serial numbers
come from ``random``, except RSA keys, which the library draws itself.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.certificates import to_der
from ipsectest.crypto.signature import PrivateKey

KEY_TYPES = ("rsa2048", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519")
"""Words that name the key of a certificate."""

_CURVES: dict[str, ec.EllipticCurve] = {
    "ecdsa256": ec.SECP256R1(),
    "ecdsa384": ec.SECP384R1(),
    "ecdsa521": ec.SECP521R1(),
}
_HASH_OF_CURVE: dict[int, hashes.SHA256 | hashes.SHA384 | hashes.SHA512] = {
    256: hashes.SHA256(),
    384: hashes.SHA384(),
    521: hashes.SHA512(),
}
_ORGANIZATION = "ipsectest"
_LIFETIME = timedelta(days=30)
_CLOCK_SKEW = timedelta(hours=1)


def generate_key(kind: str, random: RandomBytes) -> PrivateKey:
    """A key of one of KEY_TYPES; KeyError for another word."""
    if kind == "rsa2048":
        return rsa.generate_private_key(65537, 2048)
    if kind == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(random(32))
    curve = _CURVES[kind]
    scalar = int.from_bytes(random(curve.key_size // 8 + 8), "big") % (curve.group_order - 1) + 1
    return ec.derive_private_key(scalar, curve)


@dataclass(frozen=True, slots=True)
class Credential:
    """A certificate, its key and the intermediates between it and the root."""

    certificate: x509.Certificate
    key: PrivateKey
    chain: tuple[x509.Certificate, ...] = ()

    @property
    def certificate_der(self) -> bytes:
        """CERT payload data."""
        return to_der(self.certificate)

    @property
    def certificate_pem(self) -> bytes:
        """The certificate alone."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def chain_pem(self) -> bytes:
        """The intermediates, nearest first."""
        return b"".join(link.public_bytes(serialization.Encoding.PEM) for link in self.chain)

    @property
    def key_pem(self) -> bytes:
        """The private key as unencrypted PKCS #8."""
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


@dataclass(slots=True)
class Authority:
    """A certificate authority: a credential that issues others, valid around the instant ``at``."""

    credential: Credential
    at: datetime
    random: RandomBytes
    is_root: bool = True

    @classmethod
    def root(cls, name: str, key_type: str, at: datetime, random: RandomBytes) -> "Authority":
        """A self-signed authority."""
        key = generate_key(key_type, random)
        subject = _name(name)
        builder = _as_authority(_builder(subject, subject, key, at - _CLOCK_SKEW, random), path_length=None)
        return cls(Credential(_signed(builder, key), key), at, random)

    def intermediate(self, name: str, key_type: str) -> "Authority":
        """An authority below this one that may issue end entities only."""
        key = generate_key(key_type, self.random)
        issuer = self.credential.certificate.subject
        builder = _builder(_name(name), issuer, key, self.at - _CLOCK_SKEW, self.random)
        certificate = _signed(_as_authority(builder, path_length=0), self.credential.key)
        return Authority(Credential(certificate, key, self._chain()), self.at, self.random, is_root=False)

    def issue(
        self,
        name: str,
        key: PrivateKey,
        sans: Sequence[str],
        *,
        starts: timedelta = -_CLOCK_SKEW,
        lasts: timedelta = _LIFETIME,
    ) -> Credential:
        """An end entity; ``sans`` are addresses, mail addresses (with ``@``) or host names.

        It is valid from ``at + starts`` for ``lasts``.
        """
        issuer = self.credential.certificate
        builder = _builder(_name(name), issuer.subject, key, self.at + starts, self.random, lasts=lasts)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        if sans:
            names = x509.SubjectAlternativeName([_general_name(san) for san in sans])
            builder = builder.add_extension(names, critical=False)
        return Credential(_signed(builder, self.credential.key), key, self._chain())

    def _chain(self) -> tuple[x509.Certificate, ...]:
        return () if self.is_root else (self.credential.certificate, *self.credential.chain)


@dataclass(frozen=True, slots=True)
class TestPki:
    """One trusted root, an intermediate, a root nobody trusts, and end entities by name."""

    __test__ = False  # the name does not make it a pytest class

    root: Authority
    intermediate: Authority
    untrusted: Authority
    credentials: dict[str, Credential]

    @property
    def anchors(self) -> list[x509.Certificate]:
        """The trusted certificates."""
        return [self.root.credential.certificate]


def generate(
    hosts: Sequence[str],
    at: datetime,
    random: RandomBytes,
    *,
    key_types: Sequence[str] = KEY_TYPES,
    authority_key: str = "ecdsa256",
) -> TestPki:
    """A PKI for ``hosts`` at the instant ``at`` (aware).

    For each host ``h``: ``h/<key type>`` under the root, and with the first key type
    ``h/intermediate``, ``h/wrong-san``, ``h/no-san``, ``h/expired``, ``h/not-yet`` and ``h/untrusted``.
    """
    root = Authority.root("ipsectest root", authority_key, at, random)
    intermediate = root.intermediate("ipsectest intermediate", authority_key)
    untrusted = Authority.root("ipsectest stranger", authority_key, at, random)
    credentials: dict[str, Credential] = {}
    for host in hosts:
        keys = {kind: generate_key(kind, random) for kind in key_types}
        credentials |= {f"{host}/{kind}": root.issue(host, key, [host]) for kind, key in keys.items()}
        key = keys[key_types[0]]
        credentials[f"{host}/intermediate"] = intermediate.issue(host, key, [host])
        credentials[f"{host}/wrong-san"] = root.issue(host, key, [f"not-{host}"])
        credentials[f"{host}/no-san"] = root.issue(host, key, [])
        credentials[f"{host}/expired"] = root.issue(host, key, [host], starts=-2 * _LIFETIME)
        credentials[f"{host}/not-yet"] = root.issue(host, key, [host], starts=_LIFETIME)
        credentials[f"{host}/untrusted"] = untrusted.issue(host, key, [host])
    return TestPki(root, intermediate, untrusted, credentials)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PrivateKey,
    starts: datetime,
    random: RandomBytes,
    *,
    lasts: timedelta = _LIFETIME,
) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        # RFC 5280 section 4.1.2.2: a positive number of at most 20 octets.
        .serial_number(int.from_bytes(random(16), "big") | 1)
        .not_valid_before(starts)
        .not_valid_after(starts + lasts)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _as_authority(builder: x509.CertificateBuilder, *, path_length: int | None) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    constraints = x509.BasicConstraints(ca=True, path_length=path_length)
    return builder.add_extension(constraints, critical=True).add_extension(usage, critical=True)


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
    builder = builder.add_extension(authority_key, critical=False)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return builder.sign(key, _HASH_OF_CURVE[key.curve.key_size], ecdsa_deterministic=True)
    return builder.sign(key, hashes.SHA256() if isinstance(key, rsa.RSAPrivateKey) else None)


def subject_text(host: str) -> str:
    """The subject of a host's certificates as people write it, and as ``certificates.name_der`` takes it."""
    return f"O={_ORGANIZATION}, CN={host}"


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)
