"""What lines of Libreswan's log mean (4.10 and 5.2)."""

from ipsectest.explain import kinds
from ipsectest.explain.findings import Certainty, Difference
from ipsectest.explain.logs import advice
from ipsectest.explain.logs.model import LoggedSa
from ipsectest.explain.logs.rules import Rule, Rules, asked_for_cookie, refusals, third_cookie
from ipsectest.explain.logs.suite_words import from_pluto_offer

_LIKELY = Certainty.LIKELY
_SUITES, _AUTH = "RFC 7296 section 2.7", "RFC 7296 section 2.21.2"
_NAT_PORT = 4500


def _proposals(sa: LoggedSa, groups: dict[str, str]) -> tuple[Difference, ...]:
    kind = "IKE" if ":IKE:" in groups["offer"] else "Child"
    them, us = sa.remote or "the peer", sa.local or sa.file
    rows = [Difference("proposal", f"{them} offers", one) for one in from_pluto_offer(groups["offer"])[:4]]
    ours = sa.noted.get(f"{kind} proposals", "").split(", ")
    return (*rows, *(Difference("proposal", f"{us} takes", one) for one in ours[:4] if one))


def _offered_for_ike(sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    return _offered(sa, "IKE")


def _offered_for_child(sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    return _offered(sa, "Child")


def _offered(sa: LoggedSa, kind: str) -> tuple[Difference, ...]:
    """What is configured here, which the other side refused."""
    suites = sa.noted.get(f"{kind} proposals", "").split(", ")
    return tuple(Difference("proposal", f"{sa.local or sa.file} offers", one) for one in suites[:4] if one)


def _for_ike(_sa: LoggedSa, groups: dict[str, str]) -> bool:
    return ":IKE:" in groups["offer"]


def _ids(sa: LoggedSa, groups: dict[str, str]) -> tuple[Difference, ...]:
    rows = [Difference("identity", f"{sa.remote or 'the peer'} says it is", groups["other"])]
    if "ids" in sa.noted:
        rows.append(Difference("identity", f"{sa.local or 'this side'} expects", sa.noted["ids"]))
    return tuple(rows)


def _expected(sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    if "ids" not in sa.noted:
        return ()
    return (Difference("identity", f"{sa.local or 'this side'} expects", sa.noted["ids"]),)


def _unexplained(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """Whether no line before told the reason."""
    return "reason" not in sa.noted


def _untold(sa: LoggedSa, groups: dict[str, str]) -> bool:
    """Whether nothing at all was told of this attempt."""
    return _unexplained(sa, groups) and "told" not in sa.noted


def _believed_the_peer(sa: LoggedSa, groups: dict[str, str]) -> bool:
    """As responder pluto says so before it proves itself."""
    return _unexplained(sa, groups) and sa.is_established


def _moved(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return _NAT_PORT in sa.used_ports


_IMPORT = ("Import certificate and key together (ipsec import FILE.p12), and name it in leftcert=.",)
_NEGOTIATION = (
    Rule(
        pattern=r"^no local proposal matches remote proposals (?P<offer>.*)",
        kind=kinds.IKE_PROPOSAL_MISMATCH,
        text="{us} takes no proposal of {them}.",
        change=advice.PROPOSALS,
        differences=_proposals,
        when=_for_ike,
    ),
    Rule(
        pattern=r"^no local proposal matches remote proposals (?P<offer>.*)",
        kind=kinds.CHILD_PROPOSAL_MISMATCH,
        text="{us} takes no proposal of {them} for the Child SA; the IKE SA is up.",
        change=advice.CHILD_PROPOSALS,
        differences=_proposals,
    ),
    Rule(
        pattern=r"^(?:ignoring IKE_SA_INIT response|dropping unexpected IKE_SA_INIT message) containing "
        "NO_PROPOSAL_CHOSEN",
        kind=kinds.IKE_PROPOSAL_MISMATCH,
        text="{them} takes no proposal of {us}: NO_PROPOSAL_CHOSEN.",
        change=(*advice.PROPOSALS, "If they agree, {remote} has no connection for {local}. " + advice.THEIR_LOG),
        by_us=False,
        certainty=_LIKELY,
        differences=_offered_for_ike,
    ),
    Rule(
        pattern=r"^(?:Received unauthenticated INVALID_KE_PAYLOAD response to DH (?P<guess>\S+?); resending with "
        r"suggested DH (?P<wanted>\S+)"
        r"|initiator guessed wrong keying material group \((?P<theirs>.*?)\); responding with)",
        kind=kinds.GROUP_RETRY,
        text="The first message had another group than the responder wants.",
        change=("Put the group of the responder first in the proposals of the initiator to save the round trip.",),
    ),
    Rule(
        pattern=r"^Discarding unauthenticated INVALID_KE_PAYLOAD response to DH (?P<guess>\S+?); suggested DH "
        r"(?P<wanted>\S+)",
        kind=kinds.GROUP_MISMATCH,
        text="{them} asks for {wanted}; {us} offered {guess}.",
        change=("Add {wanted} to the proposals of {local}, or take it from those of {remote}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^(?:\w+ message received on \S+ but no (?:suitable connection found|connection has been authorized)"
        r"|dropping \w+ request from \S+ received on \S+, no suitable connection found"
        r"|initial Main Mode message received but no connection has been authorized)",
        kind=kinds.NO_CONNECTION,
        text="{us} has none for {them}, or none of this version and kind of authentication.",
        change=("Add one with the addresses of both (right=%any for any peer), and load it (ipsec add NAME).",),
    ),
    Rule(
        pattern=r"^(?:(?:responding to .*?, )?message contains unsupported|ignoring packet with) IKE major version "
        r"'(?P<version>\d+)'",
        kind=kinds.VERSION_MISMATCH,
        text="{them} speaks IKE {version}, which Libreswan does not.",
        change=("Configure IKEv2 on {remote}.",),
        by_us=False,
    ),
)

_COOKIES = (
    Rule(
        pattern=r"^received anti-DDOS COOKIE response",
        kind=kinds.COOKIE_LOOP,
        text="{them} demands a cookie again and again of {us}, which gives it back each time.",
        change=advice.COOKIES,
        by_us=False,
        when=third_cookie,
    ),
    Rule(
        pattern=r"^responding to IKE_SA_INIT .*? with unencrypted notification COOKIE",
        kind=kinds.COOKIE_LOOP,
        text="{us} demanded a cookie of {them} several times and got none back: its answers do not arrive, or the "
        "initiator does not know cookies.",
        change=("Look whether the answer reaches {remote}: capture there.",),
        by_us=False,
        certainty=_LIKELY,
        when=third_cookie,
    ),
    Rule(
        pattern=r"^DOS cookies do not match - dropping message",
        kind=kinds.COOKIE_NOT_TAKEN,
        text="{us} got a cookie from {remote} that it did not make for this address, and drops the request.",
        change=advice.COOKIES,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first (?:IKEv2|IKEv1) "
        "message",
        kind=kinds.COOKIE_NOT_TAKEN,
        text="{them} demanded a cookie, and did not answer the request of {us} that brought it back, nor {tries} "
        "repetitions.",
        change=advice.COOKIES,
        by_us=False,
        certainty=_LIKELY,
        when=asked_for_cookie,
    ),
)

_AUTHENTICATION = (
    Rule(
        pattern=r"^authentication failed: (?:computed hash does not match hash received from peer (?P<other>.*)"
        r"|PSK AUTH mismatch)",
        kind=kinds.WRONG_PSK,
        text="The key of {us} is not the one that {them} used for {other}.",
        change=advice.SECRET,
    ),
    Rule(
        pattern=r"^authentication failed: no PSK found for '(?P<ids>.*)'",
        kind=kinds.PSK_NOT_FOUND,
        text="{us} has none for {ids}.",
        change=("Add a line with both IDs to ipsec.secrets, and read it (ipsec secrets).",),
    ),
    Rule(
        pattern=r"^Peer attempted EAP authentication, but (?:IKE_AUTH is required|EAP is not allowed)",
        kind=kinds.EAP_FAILED,
        text="{them} wants to prove itself by EAP, which the connection of {us} does not take.",
        change=(
            "Let {remote} use a certificate or a pre-shared key, as the connection of {local} asks for.",
            "Libreswan takes EAP-TLS, where rightauth=eaponly and rightautheap=tls say so.",
        ),
        by_us=False,
    ),
    Rule(
        pattern=r"^Peer ID '(?P<other>.*?)' mismatched on first found connection",
        kind=kinds.NO_CONNECTION_WITH_PEER_ID,
        text="{them} is {other}, and {us} has no connection with it.",
        change=advice.IDENTITY,
        differences=_ids,
    ),
    Rule(
        pattern=r"^(?:authentication failed: no certificate matched (?P<rest>.*)"
        r"|X509: authentication failed; peer certificate (?:contains no subjectAltName extension to match"
        r"|subjectAltName extension does not match"
        r"|subjectAltname does not match address) (?P<other>.*))",
        kind=kinds.ID_NOT_IN_CERTIFICATE,
        text="No certificate of {them} fits: {rest}{other}.",
        change=(
            (
                "Let the certificate of {remote} name its ID as subject or subjectAltName, or set rightid= on "
                "{local} to what is in it."
            ),
        ),
        certainty=_LIKELY,
        when=_unexplained,
    ),
    Rule(
        # 4.x calls its own certificate the peer's; of the peer's it speaks behind "X509:".
        pattern=r"^(?:our|peer) certificate (?:contains no subjectAltName extension to match"
        r"|subjectAltName extension does not match|subjectAltname does not match address) (?P<own>.*)",
        kind=kinds.OWN_ID_NOT_IN_CERTIFICATE,
        text="The certificate of {us} does not name {own}, the ID that it sends; most peers refuse that.",
        change=("Let it name the ID as subject or subjectAltName, or set leftid= to what is in it.",),
    ),
    Rule(
        pattern=r"^not \(md->chain\[ISAKMP_NEXT_v2AUTH\] == ",
        kind=kinds.EAP_FAILED,
        text="{us} breaks off at the first message of EAP and says nothing: so does Libreswan 5.2, whoever asks.",
        change=("Use Libreswan 4 or a later one on {local} (its issue 2036), or certificates without EAP.",),
    ),
    Rule(
        pattern=r"^NSS: (?:Bad Server Certificate|Handshake failed): SEC_ERROR_EXPIRED_CERTIFICATE",
        kind=kinds.CERTIFICATE_EXPIRED,
        text="The certificate of {them} in EAP-TLS has expired, or is not valid yet: NSS has one word for both.",
        change=("Renew it on {remote}, and check the clock of {local}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^NSS: (?:Bad Server Certificate|Handshake failed): SEC_ERROR_REVOKED_CERTIFICATE",
        kind=kinds.CERTIFICATE_REVOKED,
        text="The certificate that {them} shows in EAP-TLS was revoked.",
        change=("Issue a new one for {remote}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^NSS: Handshake failed: (?!SEC_ERROR_UNKNOWN_ISSUER)(?P<why>.*)",
        kind=kinds.EAP_FAILED,
        text="TLS inside EAP does not come about on {us}: {why}",
        change=("Compare certificates, CA and versions of TLS of both sides.",),
    ),
    Rule(
        pattern=r"^(?:NSS: )?ERROR: .*?certificate (?P<subject>.*?) invalid: .*?(?:EXPIRED|expired)",
        kind=kinds.CERTIFICATE_EXPIRED,
        text="{subject} has expired, or is not valid yet: NSS has one word for both.",
        change=("Renew it on {remote}, and check the clock of {local}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^failed to add connection: (?P<side>left|right) certificate '(?P<nickname>.*?)' is expired or not "
        "yet valid",
        kind=kinds.CERTIFICATE_EXPIRED,
        text="{us} does not load the connection: its certificate '{nickname}' has expired, or is not valid yet.",
        change=("Renew it, import it (ipsec import FILE.p12), and check the clock.",),
    ),
    Rule(
        pattern=r"^(?:NSS: )?ERROR: .*?SEC_ERROR_REVOKED_CERTIFICATE",
        kind=kinds.CERTIFICATE_REVOKED,
        text="A certificate of the chain of {them} was revoked; NSS does not tell which.",
        change=("Issue a new one for {remote}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^(?:NSS: )?(?:ERROR: )?.*?(?:[Cc]ertificate (?P<subject>.*?) "
        "invalid|SEC_ERROR_(?P<error>UNKNOWN_ISSUER))",
        kind=kinds.UNTRUSTED_CERTIFICATE,
        text="{us} does not accept {subject}{error}.",
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
    ),
    Rule(
        pattern=r"^X509: (?:certificate (?:payload )?rejected for this connection|authentication failed)(?P<rest>.*)",
        kind=kinds.UNTRUSTED_CERTIFICATE,
        text="{us} rejects the certificate of {them}{rest}.",
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
        when=_unexplained,
    ),
    Rule(
        pattern=r"^(?:no private key(?: matching)?(?P<rest>.*)|can't find the private key matching (?P<key>.*))",
        kind=kinds.CERTIFICATE_WITHOUT_KEY,
        text="{us} has none{rest}{key}.",
        change=_IMPORT,
    ),
    Rule(
        pattern=r"^authentication failed: (?P<why>.*)",
        kind=kinds.PEER_NOT_AUTHENTIC,
        text="{us} does not believe {them}: {why}.",
        change=("Let both sides use the same method (authby=, leftauth= and rightauth=).", *advice.IDENTITY),
        when=_unexplained,
    ),
    Rule(
        pattern=r"^responding to IKE_AUTH message .*? with encrypted notification AUTHENTICATION_FAILED",
        kind=kinds.CERTIFICATE_WITHOUT_KEY,
        text="{us} believed {them}, then could not prove itself and logs no reason, as it does when it has the "
        "certificate but not its private key.",
        change=_IMPORT,
        certainty=_LIKELY,
        when=_believed_the_peer,
    ),
    Rule(
        pattern=r"^encountered fatal error in state (?:IKE_SA_INIT_IR?|STATE_V2_PARENT_I1)$",
        kind=kinds.CERTIFICATE_WITHOUT_KEY,
        text="{us} could not make its IKE_AUTH request and logs no reason, as it does when it has the certificate but "
        "not its private key.",
        change=_IMPORT,
        certainty=_LIKELY,
        when=_untold,
    ),
    Rule(
        pattern=r"^responding to IKE_AUTH message .*? with encrypted notification AUTHENTICATION_FAILED",
        kind=kinds.NO_CONNECTION_WITH_PEER_ID,
        text="{us} refuses {them} and logs no reason, as it does when no connection has the ID that the peer sent, or "
        "when its certificate does not name that ID.",
        change=advice.IDENTITY,
        certainty=_LIKELY,
        differences=_expected,
        when=_unexplained,
    ),
    Rule(
        pattern=r"^IKE SA authentication request rejected by peer: (?P<notify>\S+)",
        kind=kinds.AUTHENTICATION_REFUSED,
        text="{them} does not believe {us}: {notify}, and the protocol hides the reason.",
        change=(advice.THEIR_LOG, "Compare pre-shared key (or certificates and CA) and the IDs of both sides."),
        by_us=False,
        certainty=_LIKELY,
    ),
)

_CHILD_REFUSED = r"^(?:\w+ response rejected Child SA with|CREATE_CHILD_SA failed with error notification) "
_CHILDREN = (
    Rule(
        pattern=_CHILD_REFUSED + "NO_PROPOSAL_CHOSEN",
        kind=kinds.CHILD_PROPOSAL_MISMATCH,
        text="{them} takes no proposal of {us} for the Child SA; the IKE SA is up.",
        change=(*advice.CHILD_PROPOSALS, advice.THEIR_LOG),
        by_us=False,
        certainty=_LIKELY,
        differences=_offered_for_child,
    ),
    Rule(
        pattern=_CHILD_REFUSED + "TS_UNACCEPTABLE",
        kind=kinds.TRAFFIC_SELECTOR_MISMATCH,
        text="{them} has no connection for the traffic that {us} asks for; the IKE SA is up.",
        change=advice.SELECTORS,
        by_us=False,
    ),
    *refusals(_CHILD_REFUSED + "NAME"),
    Rule(
        pattern=_CHILD_REFUSED + r"(?P<notify>\w+)",
        kind=kinds.CHILD_REFUSED,
        text="{them} answers {notify}; the IKE SA is up.",
        change=(advice.THEIR_LOG,),
        by_us=False,
    ),
    Rule(
        pattern=r"^netlink response for Add SA \S+ ?(?:.*?): (?P<why>.*?) \(errno",
        kind=kinds.KERNEL_REFUSES,
        text="{us} cannot install what was negotiated: {why}.",
        change=advice.KERNEL,
    ),
)

_SILENCE = (
    Rule(
        pattern=r"^asynchronous network error report on \S+ (?:.*?), complainant (?P<reporter>\S+): (?P<why>.*?) "
        r"\[errno",
        kind=kinds.PEER_UNREACHABLE,
        text="{reporter} reports to {us}: {why}.",
        change=(
            (
                "Connection refused: start the IKE daemon of {remote}, or let it listen on this address. Else mend the "
                "route."
            ),
        ),
        by_us=False,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first (?:IKEv2|IKEv1) "
        "message",
        kind=kinds.PEER_UNREACHABLE,
        text="{us} sent IKE_SA_INIT and {tries} repetitions to {them}, and got no answer.",
        change=advice.NOT_REACHED,
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first encrypted message",
        kind=kinds.NAT_T_BLOCKED,
        text="IKE_SA_INIT was answered on port 500; IKE_AUTH and {tries} repetitions to port 4500 were not.",
        change=advice.PORT_4500,
        by_us=False,
        certainty=_LIKELY,
        when=_moved,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first encrypted message",
        kind=kinds.NO_ANSWER_TO_AUTH,
        text="{them} answered IKE_SA_INIT, but not IKE_AUTH and {tries} repetitions.",
        change=(*advice.SILENT_AUTH, *advice.PORT_4500),
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits",
        kind=kinds.DEAD_PEER,
        text="{them} was there and no longer answers: a request and {tries} repetitions.",
        change=advice.DEAD,
        by_us=False,
    ),
)

RULES = Rules((*_NEGOTIATION, *_COOKIES, *_AUTHENTICATION, *_CHILDREN, *_SILENCE))
