"""What is wrong with a certificate that IKE_AUTH carries, as far as it shows without the trust of its receiver."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from ipsectest.base.iana import CertificateEncoding, ExchangeType, NotifyType
from ipsectest.crypto.certificates import CertificateError, matches_identity, names, parse_certificate, validity_problem
from ipsectest.decrypt.negotiations import first_payload
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Certainty, Finding
from ipsectest.explain.identities import identity_text
from ipsectest.wire import CERT, Identification, Payload

_LAST = 253_402_300_799
"""Seconds from 1970 to the end of the year 9999."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a proof was refused."""

    code: str
    title: str
    change: tuple[str, ...]
    certainty: Certainty = Certainty.LIKELY
    text: str = ""


def moment(nanoseconds: int) -> datetime:
    """The time of a frame; what a damaged capture tells may be beyond every calendar."""
    return datetime.fromtimestamp(min(max(nanoseconds, 0) // 1_000_000_000, _LAST), UTC)


def reason(
    payloads: list[Payload], identity: Identification | None, host: str, judge: str, at: datetime
) -> Reason | None:
    """What is wrong with the certificate that ``host`` proves itself with; None if nothing shows. Never raises."""
    found = first_payload(payloads, CERT)
    if found is None or found.encoding != CertificateEncoding.X509_SIGNATURE:
        return None
    try:
        certificate = parse_certificate(bytes(found.data))
        fits = identity is None or matches_identity(certificate, identity.id_type, bytes(identity.data))
        subject, issuer = names(certificate)
    except (CertificateError, ValueError):
        change = (f"Give {host} another certificate: this one cannot be read.",)
        return Reason("certificate-refused", "The certificate is damaged", change)
    problem = validity_problem(certificate, at)
    if problem:
        change = (f"Renew the certificate of {host}, and check the clock of {judge}.",)
        return Reason("certificate-expired", "A certificate is not valid now", change, text=f"{problem}.")
    shown = identity_text(identity.id_type, bytes(identity.data)) if identity else ""
    if not fits:
        change = (
            (f"Let the certificate of {host} name {shown} as subject or subjectAltName, or use an ID that it has."),
        )
        return Reason("id-mismatch", "The certificate does not name the ID", change, text=f"It is for {subject}.")
    return Reason(
        "certificate-refused",
        "The certificate is not accepted",
        (f"On {judge} install the CA certificate of {issuer}, the issuer; look at its revocation too.",),
        text=f"The certificate is for {subject} and fits the ID and the time of the capture.",
    )


def invalid(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """A certificate that was accepted although its time is over, or will not be accepted by others."""
    halves = [half for one in conversation.exchanges for half in (one.request, one.response)]
    if any(half.notify(NotifyType.AUTHENTICATION_FAILED) for half in halves):
        return  # told with the refusal
    for exchange in conversation.of(ExchangeType.IKE_AUTH):
        for half, host in ((exchange.request, conversation.initiator), (exchange.response, conversation.responder)):
            certificate = first_payload(half.payloads, CERT)
            if certificate is None or certificate.encoding != CertificateEncoding.X509_SIGNATURE:
                continue
            try:
                at = moment(half.sightings[0].nanoseconds)
                problem = validity_problem(parse_certificate(bytes(certificate.data)), at)
            except (CertificateError, ValueError):
                continue
            if problem:
                yield Finding(
                    kind=kinds.CERTIFICATE_EXPIRED_IN_CAPTURE,
                    who=host,
                    text=f"{problem}.",
                    change=(f"Renew the certificate of {host}; check the clocks of both sides and of the capture.",),
                    evidence=frames(facts, half),
                    subject=conversation.ends,
                )
