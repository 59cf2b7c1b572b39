"""IKE_AUTH refused: what a capture tells of the reason, which the protocol keeps secret (RFC 7296 section 2.21.2)."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from ipsectest.base.iana import AuthenticationMethod, ExchangeType, NotifyType, name_of
from ipsectest.decrypt.negotiations import first_payload
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes import certificates
from ipsectest.explain.causes.certificates import Reason
from ipsectest.explain.causes.evidence import frames
from ipsectest.explain.conversations import Conversation, Exchange, Half
from ipsectest.explain.findings import Certainty, Difference, Finding, Kind, Severity
from ipsectest.explain.identities import identity_text
from ipsectest.explain.outcome import read_length
from ipsectest.wire import AUTH, EAP, Identification, IDi, IDr, Payload

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


@dataclass(frozen=True, slots=True)
class _Sides:
    """Who refuses whom."""

    judge: str
    host: str
    """Whose proof is refused."""
    payloads: list[Payload]
    """Of all IKE_AUTH messages that the host sent."""
    identity: Identification | None
    wanted: IDr | None
    """What the initiator asked the responder to be."""
    at: datetime

    @property
    def shown(self) -> str:
        """The ID of the host."""
        return _shown(self.identity) if self.identity else "an ID that was not seen"


def _refusal(conversation: Conversation, facts: CaptureFacts, half: Half, *, by_initiator: bool) -> Finding:
    ends = conversation.initiator, conversation.responder
    judge, host = ends if by_initiator else ends[::-1]
    auths = list(conversation.of(ExchangeType.IKE_AUTH))
    payloads = [payload for one in auths for payload in (one.response if by_initiator else one.request).payloads]
    wanted = next((found for one in auths if (found := first_payload(one.request.payloads, IDr))), None)
    kind: type[Identification] = IDr if by_initiator else IDi
    identity = first_payload(payloads, kind)
    at = certificates.moment(half.sightings[0].nanoseconds)
    sides = _Sides(judge, host, payloads, identity, wanted, at)
    reason = _other_than_wanted(sides) if by_initiator else None
    reason = reason or certificates.reason(payloads, identity, host, judge, at) or _by_method(sides)
    differences = [Difference("identity", f"{host} says it is", sides.shown)] if identity else []
    if wanted:
        differences.append(Difference("identity", f"{ends[0]} wants the responder to be", _shown(wanted)))
    hidden = (
        f" The protocol hides the reason; the log of {judge} has it." if reason.certainty is Certainty.LIKELY else ""
    )
    return Finding(
        kind=Kind(
            code=reason.code,
            severity=Severity.FAILURE,
            title=reason.title,
            clause=_CLAUSE,
            requirement="7296-2.21.2-01",
        ),
        who=conversation.described(is_initiator=by_initiator),
        text=f"It does not believe that {conversation.described(is_initiator=not by_initiator)} is {sides.shown}: "
        f"AUTHENTICATION_FAILED.{f' {reason.text}' if reason.text else ''}{hidden}",
        change=reason.change,
        differences=tuple(differences),
        evidence=frames(facts, half),
        certainty=reason.certainty,
        subject=conversation.ends,
    )


def _shown(identity: Identification) -> str:
    return identity_text(identity.id_type, bytes(identity.data))


def _other_than_wanted(sides: _Sides) -> Reason | None:
    """The responder is not who the initiator asked for (RFC 7296 section 1.2)."""
    got, wanted = sides.identity, sides.wanted
    if got is None or wanted is None or (got.id_type, bytes(got.data)) == (wanted.id_type, bytes(wanted.data)):
        return None
    change = f"Let {sides.host} identify as {_shown(wanted)}, or let {sides.judge} expect {_shown(got)}."
    return Reason("id-mismatch", "The responder has another ID than asked for", (change,), Certainty.CERTAIN)


def _by_method(sides: _Sides) -> Reason:
    """The likeliest reason, by the method of authentication."""
    host, judge, identity = sides.host, sides.judge, sides.shown
    proof, has_eap = first_payload(sides.payloads, AUTH), first_payload(sides.payloads, EAP) is not None
    method = proof.method if proof else None
    ids = (
        f"Make the remote ID that {judge} expects the one that {host} sends ({identity}): type and spelling count "
        "(strongSwan: remote.id and local.id, Libreswan: rightid and leftid)."
    )
    if has_eap:
        return Reason(
            "eap-failed", "EAP does not succeed", (f"Check user name and password of {host} on {judge}.", ids)
        )
    if method == AuthenticationMethod.SHARED_KEY_MIC:
        key = (
            f"Enter the same pre-shared key on {host} and {judge} (mind quotes, spaces and line ends), and let both "
            f"find it under the ID {identity}."
        )
        return Reason("wrong-psk", "Pre-shared keys differ, or the ID is not known", (key, ids))
    if method is not None and method != AuthenticationMethod.NULL:
        authority = (
            f"On {judge} install the CA certificate that issued the one of {host}, and look at its validity and "
            "revocation."
        )
        named = f"Let the certificate of {host} name {identity} as subject or subjectAltName."
        title = "The certificate or its ID is not accepted"
        return Reason("certificate-refused", title, (authority, named, ids))
    change = ("Compare key (or certificate) and IDs of both sides.", ids)
    return Reason("authentication-failed", "Authentication fails", change)


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
        kind=kinds.IKE_AUTH_REFUSED,
        who=responder,
        text=f"Its encrypted answer has room for {length.most} octets: an error notification and nothing else, "
        f"nearly always {name_of(NotifyType, NotifyType.AUTHENTICATION_FAILED)}.",
        change=(
            (
                f"Look into the log of {conversation.responder}: it has the reason, which the protocol hides from the "
                "other side."
            ),
            "Compare pre-shared key (or certificates and CA) and the IDs of both sides.",
            "Give the keys of the IKE SA with -k to read the message itself (docs/keys.md).",
        ),
        evidence=frames(facts, last.request, last.response),
        certainty=Certainty.LIKELY,
        subject=conversation.ends,
    )


def _last_answered(conversation: Conversation) -> Exchange | None:
    return next((one for one in reversed(list(conversation.of(ExchangeType.IKE_AUTH))) if one.is_answered), None)
