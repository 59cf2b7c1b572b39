"""IKE_AUTH refused: what a capture tells of the reason, which the protocol keeps secret (RFC 7296 section 2.21.2)."""

from collections.abc import Iterator

from ipsectest.base.iana import AuthenticationMethod, ExchangeType, NotifyType, name_of
from ipsectest.decrypt.negotiations import first_payload
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.conversations import Conversation, Exchange, Half
from ipsectest.explain.findings import Certainty, Difference, Finding, Severity
from ipsectest.explain.identities import identity_text
from ipsectest.explain.outcome import read_length
from ipsectest.wire import AUTH, EAP, IDi, IDr, Payload

_CLAUSE = "RFC 7296 section 2.21.2"


def refused(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """AUTHENTICATION_FAILED in clear: by the responder in IKE_AUTH, by the initiator in a request of its own."""
    for exchange in conversation.of(ExchangeType.IKE_AUTH, ExchangeType.INFORMATIONAL):
        for half, is_request in ((exchange.response, False), (exchange.request, True)):
            if not half.notify(NotifyType.AUTHENTICATION_FAILED):
                continue
            by_initiator = exchange.by_initiator == is_request
            yield _refusal(conversation, facts, half, by_initiator=by_initiator)
            return


def _refusal(conversation: Conversation, facts: CaptureFacts, half: Half, *, by_initiator: bool) -> Finding:
    payloads = [
        payload
        for one in conversation.of(ExchangeType.IKE_AUTH)
        for payload in (one.response if by_initiator else one.request).payloads
    ]
    refusing = conversation.described(is_initiator=by_initiator)
    proving = conversation.described(is_initiator=not by_initiator)
    host = conversation.responder if by_initiator else conversation.initiator
    judge = conversation.initiator if by_initiator else conversation.responder
    proof = first_payload(payloads, AUTH)
    kind = IDr if by_initiator else IDi
    identity = first_payload(payloads, kind)
    shown = identity_text(identity.id_type, bytes(identity.data)) if identity else "an ID that was not seen"
    code, title, change = _by_method(proof, payloads, host, judge, shown)
    differences = [Difference("identity", f"{host} says it is", shown)] if identity else []
    wanted = next(
        (w for one in conversation.of(ExchangeType.IKE_AUTH) if (w := first_payload(one.request.payloads, IDr))), None
    )
    if wanted and not by_initiator:
        text = identity_text(wanted.id_type, bytes(wanted.data))
        differences.append(Difference("identity", f"{host} wants the responder to be", text))
    return Finding(
        code=code,
        severity=Severity.FAILURE,
        title=title,
        who=refusing,
        text=f"It does not believe that {proving} is {shown}: AUTHENTICATION_FAILED. The protocol hides the reason; "
        f"the log of {judge} has it.",
        change=change,
        differences=tuple(differences),
        evidence=frames(facts, half),
        clause=_CLAUSE,
        requirement="7296-2.21.2-01",
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _by_method(
    proof: AUTH | None, payloads: list[Payload], host: str, judge: str, identity: str
) -> tuple[str, str, tuple[str, ...]]:
    """Code, title and what to change, by the method of authentication."""
    ids = (
        f"Make the remote ID that {judge} expects the one that {host} sends ({identity}): type and spelling count "
        f"(strongSwan: remote.id and local.id, Libreswan: rightid and leftid)."
    )
    if proof and proof.method == AuthenticationMethod.SHARED_KEY_MIC and not first_payload(payloads, EAP):
        return (
            "wrong-psk",
            "Pre-shared keys differ, or the ID is not known",
            (
                (
                    f"Enter the same pre-shared key on {host} and {judge} (mind quotes, spaces and line ends), and let "
                    "both "
                    f"find it under the ID {identity}."
                ),
                ids,
            ),
        )
    if proof and proof.method not in {AuthenticationMethod.SHARED_KEY_MIC, AuthenticationMethod.NULL}:
        return (
            "certificate-refused",
            "The certificate or its ID is not accepted",
            (
                (
                    f"On {judge} install the CA certificate that issued the one of {host}, and look at its validity "
                    "and "
                    "revocation."
                ),
                f"Let the certificate of {host} name {identity} as subject or subjectAltName.",
                ids,
            ),
        )
    if first_payload(payloads, EAP):
        return "eap-failed", "EAP does not succeed", (f"Check user name and password of {host} on {judge}.", ids)
    return (
        "authentication-failed",
        "Authentication fails",
        ("Compare key (or certificate) and IDs of both sides.", ids),
    )


def refused_unread(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """An encrypted response of IKE_AUTH that has room for one error notification only."""
    last = _last_answered(conversation)
    if last is None or last.response.is_readable:
        return
    length = read_length(conversation, last)
    if length is None or not length.is_error_alone:
        return
    responder = conversation.described(is_initiator=False)
    yield Finding(
        code="authentication-failed",
        severity=Severity.FAILURE,
        title="The responder refuses IKE_AUTH",
        who=responder,
        text=f"Its encrypted answer has room for {length.most} octets: an error notification and nothing else, "
        "nearly always "
        f"{name_of(NotifyType, NotifyType.AUTHENTICATION_FAILED)}.",
        change=(
            (
                f"Look into the log of {conversation.responder}: it has the reason, which the protocol hides from the "
                "other side."
            ),
            "Compare pre-shared key (or certificates and CA) and the IDs of both sides.",
            "Give the keys of the IKE SA with -k to read the message itself (docs/keys.md).",
        ),
        evidence=frames(facts, last.request, last.response),
        clause=_CLAUSE,
        requirement="7296-2.21.2-01",
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _last_answered(conversation: Conversation) -> Exchange | None:
    return next((one for one in reversed(list(conversation.of(ExchangeType.IKE_AUTH))) if one.is_answered), None)
