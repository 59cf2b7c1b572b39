"""X.509 certificates as IKE uses them: loading, path validation, identity match, CERTREQ hashes.

Names of the outside are octets: CERT payload data (encoding 4 is DER), Identification Data.
Times are aware datetimes given by the caller.
"""

import hashlib
import ipaddress
import warnings
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509 import Certificate
from cryptography.x509.oid import ExtensionOID, NameOID

from ipsectest.base.errors import InputError
from ipsectest.base.iana import IdentificationType as Id
from ipsectest.crypto import der
from ipsectest.crypto.signature import PrivateKey, PublicKey

MAX_PATH = 8
"""Certificates in a path at most, so that a bag of cross-signed ones costs bounded time."""

_KNOWN_CRITICAL = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)


_NAME_PARTS = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
}
_UNREADABLE = (
    TypeError,
    ValueError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What the library raises for octets that are no certificate, or one it does not know."""
_Value = TypeVar("_Value", bound=x509.ExtensionType)


class CertificateError(Exception):
    """A certificate from the wire cannot be read or trusted; the text is the reason."""


def load_certificates(data: bytes) -> list[Certificate]:
    """All certificates of a PEM file, or the one of a DER file; InputError if there are none."""
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except _UNREADABLE as error:
        raise InputError(f"no X.509 certificate: {error}") from error


def load_private_key(data: bytes, password: bytes | None = None) -> PrivateKey:
    """The RSA, EC or EdDSA key of a PEM or DER file; InputError otherwise."""
    load = serialization.load_pem_private_key if b"-----BEGIN" in data else serialization.load_der_private_key
    try:
        key = load(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise InputError(f"no private key: {error}") from error
    if not isinstance(key, PrivateKey):
        raise InputError(f"a {type(key).__name__} signs nothing in IKE")
    return key


def kind_of(key: PrivateKey) -> str:
    """``rsa``, ``ecdsa`` or ``ed25519``; InputError for another one."""
    if isinstance(key, rsa.RSAPrivateKey):
        return "rsa"
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "ecdsa"
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    raise InputError(f"a {type(key).__name__} is none of rsa, ecdsa and ed25519")


def parse_certificate(data: bytes) -> Certificate:
    """The DER certificate of a CERT payload with encoding 4; CertificateError for other octets."""
    try:
        with warnings.catch_warnings():
            # Such as a serial number of zero: odd, but readable, and not for our user to mend.
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(data)
            # The library parses lazily: what IKE looks at is asked for here, so that it fails here.
            _ = certificate.extensions, certificate.not_valid_after_utc, certificate.subject, certificate.issuer
            certificate.public_key()
    except _UNREADABLE as error:
        raise CertificateError(f"malformed or unknown certificate: {error}") from error
    return certificate


def to_der(certificate: Certificate) -> bytes:
    """CERT payload data with encoding 4."""
    return certificate.public_bytes(serialization.Encoding.DER)


def public_key_info(key: Certificate | PublicKey) -> bytes:
    """SubjectPublicKeyInfo in DER; CERT payload data with encoding 15 (RFC 7670)."""
    public = key.public_key() if isinstance(key, Certificate) else key
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def authority_hash(certificate: Certificate) -> bytes:
    """SHA-1 of SubjectPublicKeyInfo: 20 octets of CERTREQ data (RFC 7296 section 3.7)."""
    return hashlib.sha1(public_key_info(certificate), usedforsecurity=False).digest()


def requested(authorities: bytes, anchors: Iterable[Certificate]) -> list[Certificate]:
    """Those anchors that CERTREQ data (a concatenation of 20-octet hashes) names."""
    wanted = {authorities[i : i + 20] for i in range(0, len(authorities), 20)}
    return [anchor for anchor in anchors if authority_hash(anchor) in wanted]


def verify_path(
    certificate: Certificate, others: Sequence[Certificate], anchors: Sequence[Certificate], at: datetime
) -> list[Certificate]:
    """The path from certificate to an anchor, both included; CertificateError if there is none.

    ``others`` are untrusted intermediates, e.g. the CERT payloads after the first. Checked are
    RFC 5280 section 6's signatures, validity at ``at``, CA flag, path length, key usage and unknown
    critical extensions; neither names constraints nor policies nor revocation.
    """
    if certificate in anchors:
        _check_validity(certificate, at)
        return [certificate]
    _check_leaf(certificate, at)
    reason = f"no trusted issuer for {certificate.issuer.rfc4514_string()!r}"
    paths = [[certificate]]
    for _ in range(MAX_PATH - 1):
        longer: list[list[Certificate]] = []
        for path in paths:
            for issuer in (*anchors, *others):
                if issuer in path or issuer.subject != path[-1].issuer:
                    continue
                try:
                    _check_issuer(path[-1], issuer, at, below=len(path) - 1)
                except CertificateError as error:
                    reason = str(error)
                    continue
                if issuer in anchors:
                    return [*path, issuer]
                longer.append([*path, issuer])
        paths = longer[:MAX_PATH]
    raise CertificateError(reason)


def validity_problem(certificate: Certificate, at: datetime) -> str:
    """Why a certificate is not valid at a time, with its subject and date; empty if it is."""
    try:
        _check_validity(certificate, at)
    except CertificateError as error:
        return str(error)
    return ""


def names(certificate: Certificate) -> tuple[str, str]:
    """Subject and issuer as text (RFC 4514)."""
    return certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()


def _check_validity(certificate: Certificate, at: datetime) -> None:
    name = certificate.subject.rfc4514_string()
    if at < certificate.not_valid_before_utc:
        raise CertificateError(f"{name!r} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S}")
    if at > certificate.not_valid_after_utc:
        raise CertificateError(f"{name!r} expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S}")


def _check_leaf(certificate: Certificate, at: datetime) -> None:
    _check_validity(certificate, at)
    _check_critical(certificate)
    usage = _extension(certificate, x509.KeyUsage)
    # RFC 4945 section 5.1.3.2: either of the two bits, if the extension is there at all.
    if usage and not (usage.digital_signature or usage.content_commitment):
        raise CertificateError(f"{certificate.subject.rfc4514_string()!r} is not for signatures")


def _check_issuer(certificate: Certificate, issuer: Certificate, at: datetime, *, below: int) -> None:
    _check_validity(issuer, at)
    _check_critical(issuer)
    name = issuer.subject.rfc4514_string()
    constraints = _extension(issuer, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        raise CertificateError(f"{name!r} is no certificate authority")
    if constraints.path_length is not None and below > constraints.path_length:
        raise CertificateError(f"path below {name!r} is longer than {constraints.path_length}")
    usage = _extension(issuer, x509.KeyUsage)
    if usage and not usage.key_cert_sign:
        raise CertificateError(f"{name!r} may not sign certificates")
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(f"signature of {name!r} is wrong") from error


def _check_critical(certificate: Certificate) -> None:
    for extension in certificate.extensions:
        if extension.critical and extension.oid not in _KNOWN_CRITICAL:
            raise CertificateError(f"unknown critical extension {extension.oid.dotted_string}")


def _extension(certificate: Certificate, kind: type[_Value]) -> _Value | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def matches_identity(certificate: Certificate, id_type: int, data: bytes) -> bool:
    """Whether the certificate speaks for an Identification Payload (RFC 4945 section 3.1, RFC 7296 section 4).

    Addresses, FQDN and RFC822 names are looked up in subjectAltName (no wildcards, no common
    name), a DN is compared with the subject, a GeneralName with subjectAltName; KEY_ID never matches.
    """
    if id_type == Id.ID_DER_ASN1_DN:
        return same_name(data, subject_der(certificate))
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return False
    if id_type == Id.ID_DER_ASN1_GN:
        return any(element.encoding == data for element in der.contents(names.public_bytes()))
    if id_type in {Id.ID_IPV4_ADDR, Id.ID_IPV6_ADDR}:
        octets = 4 if id_type == Id.ID_IPV4_ADDR else 16
        return len(data) == octets and ipaddress.ip_address(data) in names.get_values_for_type(x509.IPAddress)
    text = data.decode("ascii", "replace")
    if id_type == Id.ID_FQDN:
        return text.lower() in {name.lower() for name in names.get_values_for_type(x509.DNSName)}
    mailboxes = {_mailbox(name) for name in names.get_values_for_type(x509.RFC822Name)}
    return id_type == Id.ID_RFC822_ADDR and _mailbox(text) in mailboxes


def subject_der(certificate: Certificate) -> bytes:
    """The subject's octets as they stand in the certificate: the data of an ID_DER_ASN1_DN."""
    # version [0] is absent from a version-1 certificate; serial, algorithm, issuer and validity come first.
    parts = der.contents(certificate.tbs_certificate_bytes)
    return parts[5 if parts[0].tag == 0xA0 else 4].encoding


def _mailbox(text: str) -> tuple[str, str]:
    # Only the domain of a mail address is case-insensitive (RFC 5280 section 7.5).
    local, _, domain = text.rpartition("@")
    return local, domain.lower()


def name_der(text: str) -> bytes:
    """The data of an ID_DER_ASN1_DN for ``O=ipsectest, CN=host``, in this order. ValueError for other text."""
    parts = []
    for part in text.split(","):
        kind, equals, value = part.strip().partition("=")
        if kind.strip().upper() not in _NAME_PARTS or not equals or not value.strip():
            raise ValueError(f"{part.strip()!r} is no part of a distinguished name such as O=ipsectest, CN=host")
        parts.append(x509.NameAttribute(_NAME_PARTS[kind.strip().upper()], value.strip()))
    return x509.Name(parts).public_bytes()


def same_name(left: bytes, right: bytes) -> bool:
    """Whether two distinguished names in DER are one (RFC 5280 section 7.1); no exception for any octets."""
    if left == right:
        return True
    try:
        return _normal(left) == _normal(right)
    except ValueError:
        return False


def _normal(name: bytes) -> list[frozenset[tuple[bytes, bytes]]]:
    """RDNs with string type, case and runs of spaces made alike (RFC 5280 section 7.1)."""
    rdns = []
    for rdn in der.contents(name):
        pairs = [der.contents(pair.encoding) for pair in der.contents(rdn.encoding, der.SET)]
        if any(len(pair) != 2 for pair in pairs):
            raise ValueError("malformed distinguished name")
        rdns.append(frozenset((oid.content, b" ".join(value.content.lower().split())) for oid, value in pairs))
    return rdns
