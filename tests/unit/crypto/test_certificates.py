"""Certificates: path validation, identity match, CERTREQ hashes, and the generated PKI itself."""

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address
from pathlib import Path
from random import Random

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.base.iana import IdentificationType as Id
from ipsectest.crypto import certificates, der, pki
from ipsectest.crypto.certificates import CertificateError, matches_identity, verify_path

AT = datetime(2026, 11, 21, tzinfo=UTC)
HOST = "gw.example.net"


@pytest.fixture(scope="module")
def tree() -> pki.TestPki:
    return pki.generate([HOST], AT, Random(1).randbytes, key_types=["ecdsa256", "rsa2048", "ed25519"])


@pytest.mark.parametrize("kind", ["ecdsa256", "rsa2048", "ed25519", "wrong-san", "no-san"])
def test_end_entities_of_the_root_are_trusted(tree: pki.TestPki, kind: str) -> None:
    credential = tree.credentials[f"{HOST}/{kind}"]
    certificate = certificates.parse_certificate(credential.certificate_der)
    assert verify_path(certificate, [], tree.anchors, AT) == [certificate, *tree.anchors]


def test_an_intermediate_must_be_sent_along(tree: pki.TestPki) -> None:
    credential = tree.credentials[f"{HOST}/intermediate"]
    assert len(verify_path(credential.certificate, credential.chain, tree.anchors, AT)) == 3
    with pytest.raises(CertificateError, match="no trusted issuer"):
        verify_path(credential.certificate, [], tree.anchors, AT)


@pytest.mark.parametrize(
    ("kind", "reason"), [("expired", "expired on"), ("not-yet", "not valid before"), ("untrusted", "no trusted issuer")]
)
def test_bad_certificates_are_refused_with_a_reason(tree: pki.TestPki, kind: str, reason: str) -> None:
    with pytest.raises(CertificateError, match=reason):
        verify_path(tree.credentials[f"{HOST}/{kind}"].certificate, [], tree.anchors, AT)


def test_an_expired_authority_is_refused(tree: pki.TestPki) -> None:
    late = tree.root.issue(HOST, pki.generate_key("ecdsa256", Random(2).randbytes), [], lasts=timedelta(days=90))
    with pytest.raises(CertificateError, match=r"root.* expired"):
        verify_path(late.certificate, [], tree.anchors, AT + timedelta(days=60))


def test_a_pinned_end_entity_is_its_own_path(tree: pki.TestPki) -> None:
    certificate = tree.credentials[f"{HOST}/untrusted"].certificate
    assert verify_path(certificate, [], [certificate], AT) == [certificate]
    with pytest.raises(CertificateError, match="expired"):
        verify_path(certificate, [], [certificate], AT + timedelta(days=60))


def test_an_end_entity_cannot_issue(tree: pki.TestPki) -> None:
    middle = tree.credentials[f"{HOST}/ecdsa256"]
    fake = pki.Authority(pki.Credential(middle.certificate, middle.key), AT, Random(3).randbytes, is_root=False)
    leaf = fake.issue("evil.example.net", pki.generate_key("ecdsa256", Random(4).randbytes), [])
    with pytest.raises(CertificateError, match="no certificate authority"):
        verify_path(leaf.certificate, leaf.chain, tree.anchors, AT)


def test_the_path_length_of_an_intermediate_counts(tree: pki.TestPki) -> None:
    lower = tree.intermediate.intermediate("one too many", "ecdsa256")
    leaf = lower.issue(HOST, pki.generate_key("ecdsa256", Random(4).randbytes), [])
    with pytest.raises(CertificateError, match="longer than 0"):
        verify_path(leaf.certificate, leaf.chain, tree.anchors, AT)


def test_a_forged_signature_is_refused(tree: pki.TestPki) -> None:
    impostor = pki.Authority.root("ipsectest root", "ecdsa256", AT, Random(5).randbytes)
    leaf = impostor.issue(HOST, pki.generate_key("ecdsa256", Random(6).randbytes), [HOST])
    with pytest.raises(CertificateError, match="signature"):
        verify_path(leaf.certificate, [], tree.anchors, AT)


def custom(tree: pki.TestPki, extension: x509.ExtensionType, *, critical: bool) -> x509.Certificate:
    """An end entity of the root with one extension."""
    key = pki.generate_key("ecdsa256", Random(7).randbytes)
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).public_key(key.public_key()).serial_number(7)
    builder = builder.issuer_name(tree.anchors[0].subject).not_valid_before(AT).not_valid_after(AT + timedelta(days=1))
    signer = tree.root.credential.key
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    return builder.add_extension(extension, critical=critical).sign(signer, hashes.SHA256())


def key_usage(*set_bits: str) -> x509.KeyUsage:
    bits = (
        "digital_signature content_commitment key_encipherment data_encipherment key_agreement key_cert_sign crl_sign"
    )
    return x509.KeyUsage(**{bit: bit in set_bits for bit in bits.split()}, encipher_only=False, decipher_only=False)


def test_key_usage_must_allow_signatures_if_present(tree: pki.TestPki) -> None:
    for bit in ("digital_signature", "content_commitment"):
        assert verify_path(custom(tree, key_usage(bit), critical=True), [], tree.anchors, AT)
    with pytest.raises(CertificateError, match="not for signatures"):
        verify_path(custom(tree, key_usage("key_encipherment"), critical=True), [], tree.anchors, AT)


def test_unknown_critical_extensions_are_refused(tree: pki.TestPki) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\0")
    assert verify_path(custom(tree, unknown, critical=False), [], tree.anchors, AT)
    with pytest.raises(CertificateError, match=r"1\.3\.6\.1\.4\.1\.99999\.1"):
        verify_path(custom(tree, unknown, critical=True), [], tree.anchors, AT)


def test_a_bag_of_cross_signed_authorities_costs_bounded_work(tree: pki.TestPki) -> None:
    random = Random(8).randbytes
    bag = [pki.Authority.root("loop", "ecdsa256", AT, random).credential.certificate for _ in range(30)]
    leaf = pki.Authority.root("loop", "ecdsa256", AT, random).issue("x", pki.generate_key("ecdsa256", random), [])
    with pytest.raises(CertificateError):
        verify_path(leaf.certificate, bag, tree.anchors, AT)


def test_identities_are_looked_up_in_subject_alt_name(tree: pki.TestPki) -> None:
    names = [HOST, "192.0.2.1", "2001:db8::1", "User@example.NET"]
    certificate = tree.root.issue(
        "cn.example.net", pki.generate_key("ecdsa256", Random(9).randbytes), names
    ).certificate
    mac = certificates.subject_der(certificate)
    right = [
        (Id.ID_FQDN, b"GW.example.net"),
        (Id.ID_IPV4_ADDR, bytes([192, 0, 2, 1])),
        (Id.ID_IPV6_ADDR, IPv6Address("2001:db8::1").packed),
        (Id.ID_RFC822_ADDR, b"User@EXAMPLE.net"),
        (Id.ID_DER_ASN1_DN, mac),
        (Id.ID_DER_ASN1_GN, der.encode(0x82, HOST.encode())),
    ]
    wrong = [
        (Id.ID_FQDN, b"cn.example.net"),
        (Id.ID_FQDN, b"\xff" + HOST.encode()),
        (Id.ID_FQDN, b"192.0.2.1"),
        (Id.ID_IPV4_ADDR, bytes([192, 0, 2, 2])),
        (Id.ID_IPV4_ADDR, IPv6Address("2001:db8::1").packed),
        (Id.ID_IPV6_ADDR, b""),
        (Id.ID_RFC822_ADDR, b"user@example.net"),
        (Id.ID_RFC822_ADDR, HOST.encode()),
        (Id.ID_DER_ASN1_DN, mac[:-1]),
        (Id.ID_DER_ASN1_DN, b""),
        (Id.ID_DER_ASN1_GN, der.encode(0x82, b"other.example.net")),
        (Id.ID_KEY_ID, HOST.encode()),
        (Id.ID_NULL, b""),
    ]
    assert [matches_identity(certificate, *pair) for pair in right] == [True] * len(right)
    assert [matches_identity(certificate, *pair) for pair in wrong] == [False] * len(wrong)


def test_without_subject_alt_name_only_the_dn_matches(tree: pki.TestPki) -> None:
    certificate = tree.credentials[f"{HOST}/no-san"].certificate
    assert not matches_identity(certificate, Id.ID_FQDN, HOST.encode())
    assert matches_identity(certificate, Id.ID_DER_ASN1_DN, certificates.subject_der(certificate))


def test_distinguished_names_match_across_string_types_and_case(tree: pki.TestPki) -> None:
    certificate = tree.credentials[f"{HOST}/no-san"].certificate

    def attribute(oid: str, tag: int, text: bytes) -> bytes:
        pair = der.encode(der.SEQUENCE, der.encode(der.OID, bytes.fromhex(oid)), der.encode(tag, text))
        return der.encode(der.SET, pair)

    organization, common_name = "55040a", "550403"
    other = [attribute(organization, 0x13, b"IPSECTEST"), attribute(common_name, 0x13, b" " + HOST.encode())]
    assert matches_identity(certificate, Id.ID_DER_ASN1_DN, der.encode(der.SEQUENCE, *other))
    assert not matches_identity(certificate, Id.ID_DER_ASN1_DN, der.encode(der.SEQUENCE, *reversed(other)))
    assert not matches_identity(
        certificate, Id.ID_DER_ASN1_DN, der.encode(der.SEQUENCE, der.encode(der.SET, b"\x30\0"))
    )


@given(st.integers(0, 70_000), st.sampled_from([der.SEQUENCE, der.OID, 0xA0]))
def test_der_lengths_round_trip(size: int, tag: int) -> None:
    encoded = der.encode(tag, bytes(size))
    (element,) = der.elements(encoded)
    assert element == (tag, bytes(size), encoded)


def test_subject_der_is_what_the_library_encodes(tree: pki.TestPki) -> None:
    for credential in tree.credentials.values():
        assert certificates.subject_der(credential.certificate) == credential.certificate.subject.public_bytes()


def test_certreq_data_names_authorities_by_key_hash(tree: pki.TestPki) -> None:
    stranger = tree.untrusted.credential.certificate
    digest = certificates.authority_hash(tree.anchors[0])
    assert digest == hashlib.sha1(certificates.public_key_info(tree.anchors[0])).digest()
    assert certificates.requested(bytes(20) + digest, [stranger, *tree.anchors]) == tree.anchors
    assert certificates.requested(digest[:19], tree.anchors) == []
    assert certificates.public_key_info(stranger.public_key()) == certificates.public_key_info(stranger)


def test_pem_and_der_files_are_loaded(tree: pki.TestPki) -> None:
    credential = tree.credentials[f"{HOST}/intermediate"]
    both = certificates.load_certificates(credential.certificate_pem + credential.chain_pem)
    assert both == [credential.certificate, *credential.chain]
    assert certificates.load_certificates(credential.certificate_der) == [credential.certificate]
    assert certificates.load_private_key(credential.key_pem).public_key() == credential.certificate.public_key()


def test_a_key_that_cannot_sign_is_an_input_error() -> None:
    key = X25519PrivateKey.from_private_bytes(bytes(32))
    encodings = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    with pytest.raises(InputError, match="signs nothing"):
        certificates.load_private_key(key.private_bytes(*encodings))


@pytest.mark.parametrize("authority_key", ["rsa2048", "ed25519", "ecdsa521"])
def test_authorities_may_have_any_key(authority_key: str) -> None:
    made = pki.generate([HOST], AT, Random(1).randbytes, key_types=["ecdsa256"], authority_key=authority_key)
    credential = made.credentials[f"{HOST}/intermediate"]
    assert len(verify_path(credential.certificate, credential.chain, made.anchors, AT)) == 3


def test_an_authority_whose_key_usage_forbids_it_cannot_issue(tree: pki.TestPki) -> None:
    key = tree.credentials[f"{HOST}/ecdsa256"].key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "no signing")])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(AT).not_valid_after(AT + timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    anchor = builder.add_extension(key_usage("crl_sign"), critical=True).sign(key, hashes.SHA256())
    leaf = pki.Authority(pki.Credential(anchor, key), AT, Random(2).randbytes).issue(HOST, key, [])
    with pytest.raises(CertificateError, match="may not sign"):
        verify_path(leaf.certificate, [], [anchor], AT)


@pytest.mark.parametrize("load", [certificates.load_certificates, certificates.load_private_key])
@pytest.mark.parametrize(
    "data", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\njunk\n", b"-----BEGIN PRIVATE KEY-----\n"]
)
def test_bad_files_are_input_errors(load, data: bytes) -> None:  # noqa: ANN001
    with pytest.raises(InputError):
        load(data)


@given(st.binary(max_size=300))
def test_hostile_cert_payloads_raise_only_certificate_error(data: bytes) -> None:
    with pytest.raises(CertificateError):
        certificates.parse_certificate(data)


def mutate(octets: bytes, random: Random) -> bytes:
    """Up to four octets changed, dropped or put in."""
    mutant = bytearray(octets)
    for _ in range(random.randrange(1, 5)):
        place = random.randrange(len(mutant))
        mutant[place : place + random.randrange(3)] = random.randbytes(random.randrange(3))
    return bytes(mutant)


def test_mutated_certificates_raise_only_certificate_error(tree: pki.TestPki) -> None:
    random = Random(11)
    originals = [credential.certificate_der for credential in tree.credentials.values()]
    readable = 0
    for _ in range(5000):
        mutant = mutate(random.choice(originals), random)
        try:
            certificate = certificates.parse_certificate(mutant)
            readable += 1
            for id_type in (*Id, 250):
                matches_identity(certificate, id_type, HOST.encode())
            certificates.authority_hash(certificate)
            assert mutant in originals or not verify_path(certificate, [], tree.anchors, AT)
        except CertificateError:
            continue
    assert readable > 100


def test_odd_certificates_are_refused_or_read_without_a_warning(tree: pki.TestPki) -> None:
    octets = tree.root.credential.certificate_der
    version = b"\xa0\x03\x02\x01\x02"
    with pytest.raises(CertificateError, match="version"):
        certificates.parse_certificate(octets.replace(version, version[:-1] + b"\x42"))
    with pytest.raises(InputError, match="version"):
        certificates.load_certificates(octets.replace(version, version[:-1] + b"\x42"))
    ecdsa_key = bytes.fromhex("06072a8648ce3d0201")
    with pytest.raises(CertificateError, match="key type"):
        certificates.parse_certificate(octets.replace(ecdsa_key, ecdsa_key[:-1] + b"\x7f"))
    serial = octets.index(version) + len(version) + 2
    negative = octets[:serial] + b"\x80" + octets[serial + 1 :]
    assert certificates.to_der(certificates.parse_certificate(negative)) == negative


def test_the_same_random_makes_the_same_pki() -> None:
    first, second = (pki.generate([HOST], AT, Random(3).randbytes, key_types=["ecdsa384", "ed25519"]) for _ in range(2))
    assert {n: c.certificate_der for n, c in first.credentials.items()} == {
        n: c.certificate_der for n, c in second.credentials.items()
    }


def test_the_openssl_program_verifies_the_chain(tree: pki.TestPki, tmp_path: Path) -> None:
    credential = tree.credentials[f"{HOST}/intermediate"]
    (tmp_path / "root.pem").write_bytes(tree.root.credential.certificate_pem)
    (tmp_path / "chain.pem").write_bytes(credential.chain_pem)
    (tmp_path / "leaf.pem").write_bytes(credential.certificate_pem)
    options = ["-x509_strict", "-attime", str(int(AT.timestamp())), "-CAfile", "root.pem", "-untrusted", "chain.pem"]
    command = ["openssl", "verify", *options, "leaf.pem"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr + done.stdout


def test_common_names_are_in_the_subject(tree: pki.TestPki) -> None:
    subject = tree.credentials[f"{HOST}/ecdsa256"].certificate.subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == HOST


def test_a_name_as_text_is_the_subject_whatever_kind_of_string_it_has(tree: pki.TestPki) -> None:
    subject = certificates.subject_der(tree.credentials[f"{HOST}/ecdsa256"].certificate)
    assert certificates.name_der(pki.subject_text(HOST)) == subject
    printable = subject.replace(b"\x0c", b"\x13")  # UTF8String, PrintableString
    assert printable != subject
    assert certificates.same_name(printable, subject)
    assert not certificates.same_name(certificates.name_der("CN=other"), subject)
    assert not certificates.same_name(b"\x30", subject)


@pytest.mark.parametrize("text", ["", "gateway", "CN=", "=x", "XX=y", "CN=a,"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match="no part of a distinguished name"):
        certificates.name_der(text)
