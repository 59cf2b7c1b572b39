"""Certificates in IKE_AUTH, and identities that do not fit."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from ipsectest.base.iana import ExchangeType, IdentificationType, NotifyType
from ipsectest.crypto import pki
from ipsectest.crypto.names import distinguished_name
from ipsectest.explain.findings import Certainty, Severity
from ipsectest.explain.identities import identity_text
from ipsectest.wire import AUTH, CERT, IDi, IDr
from tests.unit.explain.scenes import INITIATOR, RESPONDER, Scene, notify

AUTHENTICATE = ExchangeType.IKE_AUTH
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def made() -> pki.TestPki:
    return pki.generate(["left.example"], NOW, random.Random(1).randbytes, key_types=("ecdsa256",))


def refused(made: pki.TestPki, name: bytes, days: int, octets: bytes | None = None) -> Scene:
    """The initiator proves itself with a certificate, so many days after it was issued, and is refused."""
    scene = Scene(seconds=(NOW + timedelta(days=days)).timestamp()).init()
    certificate = made.credentials["left.example/ecdsa256"].certificate_der if octets is None else octets
    proof = IDi(id_type=2, data=name), CERT(4, certificate), AUTH(14, bytes(32))
    scene.ike(AUTHENTICATE, *proof, message_id=1)
    return scene.ike(AUTHENTICATE, notify(NotifyType.AUTHENTICATION_FAILED), response=True, message_id=1)


def test_an_expired_certificate(made: pki.TestPki) -> None:
    found = refused(made, b"left.example", 20_000).finding("certificate-expired")
    assert found.severity is Severity.FAILURE
    assert "expired on" in found.text


def test_a_certificate_for_somebody_else(made: pki.TestPki) -> None:
    found = refused(made, b"other.example", 1).finding("id-mismatch")
    assert "left.example" in found.text
    assert any("other.example" in line for line in found.change)


def test_a_certificate_that_looks_well(made: pki.TestPki) -> None:
    found = refused(made, b"left.example", 1).finding("certificate-refused")
    assert f"On {RESPONDER} install" in found.change[0]


@pytest.mark.parametrize("octets", [b"", b"\x30\x03abc", bytes(2000)])
def test_a_damaged_certificate(made: pki.TestPki, octets: bytes) -> None:
    assert (
        refused(made, b"left.example", 1, octets).finding("certificate-refused").title == "The certificate is damaged"
    )


def test_an_expired_one_that_was_accepted(made: pki.TestPki) -> None:
    scene = Scene(seconds=(NOW + timedelta(days=20_000)).timestamp()).init()
    certificate = made.credentials["left.example/ecdsa256"].certificate_der
    scene.ike(
        AUTHENTICATE, IDi(id_type=2, data=b"left.example"), CERT(4, certificate), AUTH(14, bytes(32)), message_id=1
    )
    scene.auth_response()
    found = scene.finding("certificate-expired")
    assert (found.severity, found.who) == (Severity.WARNING, INITIATOR)


def test_a_responder_that_is_not_who_was_asked_for() -> None:
    scene = Scene().init().auth_request()
    proof = IDr(id_type=2, data=b"third.example"), AUTH(2, bytes(32))
    scene.ike(AUTHENTICATE, *proof, response=True, message_id=1)
    scene.ike(ExchangeType.INFORMATIONAL, notify(NotifyType.AUTHENTICATION_FAILED), message_id=2)
    found = scene.finding("id-mismatch")
    assert found.certainty is Certainty.CERTAIN
    assert [one.value for one in found.differences] == ["third.example (ID_FQDN)", "right.example (ID_FQDN)"]


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        (IdentificationType.ID_FQDN, b"gw.example", "gw.example (ID_FQDN)"),
        (IdentificationType.ID_FQDN, b"a\x1b[31m\n", "a?[31m? (ID_FQDN)"),
        (IdentificationType.ID_IPV4_ADDR, bytes((192, 0, 2, 1)), "192.0.2.1 (ID_IPV4_ADDR)"),
        (IdentificationType.ID_IPV4_ADDR, b"\1", "01 (ID_IPV4_ADDR)"),
        (IdentificationType.ID_KEY_ID, b"branch-7", "branch-7 (ID_KEY_ID)"),
        (IdentificationType.ID_KEY_ID, b"\xff\0", "ff00 (ID_KEY_ID)"),
        (IdentificationType.ID_NULL, b"", "nobody (ID_NULL)"),
        (IdentificationType.ID_DER_ASN1_DN, b"\x30\x01", "3001 (ID_DER_ASN1_DN)"),
    ],
)
def test_identities_in_words(kind: IdentificationType, data: bytes, text: str) -> None:
    assert identity_text(kind, data) == text


def test_distinguished_names(made: pki.TestPki) -> None:
    from ipsectest.crypto.certificates import subject_der

    certificate = made.credentials["left.example/ecdsa256"].certificate
    assert distinguished_name(subject_der(certificate)) == "O=ipsectest, CN=left.example"
    assert distinguished_name(b"\x30\x80") == ""
    assert distinguished_name(b"") == ""
