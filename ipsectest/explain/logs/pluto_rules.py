"""What lines of Libreswan's log mean (4.10 and 5.2)."""

from ipsectest.explain.findings import Certainty, Difference, Severity
from ipsectest.explain.logs import advice
from ipsectest.explain.logs.model import LoggedSa
from ipsectest.explain.logs.rules import Rule, Rules, refusals
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


def _moved(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return _NAT_PORT in sa.used_ports


_NEGOTIATION = (
    Rule(
        pattern=r"^no local proposal matches remote proposals (?P<offer>.*)",
        code="ike-proposal-mismatch",
        title="No common proposal for the IKE SA",
        text="{us} takes no proposal of {them}.",
        change=advice.PROPOSALS,
        clause=_SUITES,
        requirement="7296-2.7-04",
        differences=_proposals,
        when=_for_ike,
    ),
    Rule(
        pattern=r"^no local proposal matches remote proposals (?P<offer>.*)",
        code="child-proposal-mismatch",
        title="No common proposal for the Child SA",
        text="{us} takes no proposal of {them} for the Child SA; the IKE SA is up.",
        change=advice.CHILD_PROPOSALS,
        clause=_SUITES,
        requirement="7296-2.7-04",
        differences=_proposals,
    ),
    Rule(
        pattern=r"^(?:ignoring IKE_SA_INIT response|dropping unexpected IKE_SA_INIT message) containing "
        "NO_PROPOSAL_CHOSEN",
        code="ike-proposal-mismatch",
        title="No common proposal for the IKE SA",
        text="{them} takes no proposal of {us}: NO_PROPOSAL_CHOSEN.",
        change=(*advice.PROPOSALS, "If they agree, {remote} has no connection for {local}. " + advice.THEIR_LOG),
        clause=_SUITES,
        requirement="7296-2.7-04",
        by_us=False,
        certainty=_LIKELY,
        differences=_offered_for_ike,
    ),
    Rule(
        pattern=r"^(?:Received unauthenticated INVALID_KE_PAYLOAD response to DH (?P<guess>\S+?); resending with "
        r"suggested DH (?P<wanted>\S+)"
        r"|initiator guessed wrong keying material group \((?P<theirs>.*?)\); responding with)",
        code="group-retry",
        severity=Severity.NOTE,
        title="One more round trip for the group",
        text="The first message had another group than the responder wants.",
        change=("Put the group of the responder first in the proposals of the initiator to save the round trip.",),
        clause="RFC 7296 section 1.2",
        requirement="7296-1.2-10",
    ),
    Rule(
        pattern=r"^Discarding unauthenticated INVALID_KE_PAYLOAD response to DH (?P<guess>\S+?); suggested DH "
        r"(?P<wanted>\S+)",
        code="group-mismatch",
        title="The responder wants a group that was not offered",
        text="{them} asks for {wanted}; {us} offered {guess}.",
        change=("Add {wanted} to the proposals of {local}, or take it from those of {remote}.",),
        clause="RFC 7296 section 1.2",
        requirement="7296-1.2-12",
        by_us=False,
    ),
    Rule(
        pattern=r"^(?:\w+ message received on \S+ but no (?:suitable connection found|connection has been authorized)"
        r"|dropping \w+ request from \S+ received on \S+, no suitable connection found"
        r"|initial Main Mode message received but no connection has been authorized)",
        code="no-connection",
        title="No connection is configured for this peer",
        text="{us} has none for {them}, or none of this version and kind of authentication.",
        change=("Add one with the addresses of both (right=%any for any peer), and load it (ipsec add NAME).",),
    ),
    Rule(
        pattern=r"^(?:(?:responding to .*?, )?message contains unsupported|ignoring packet with) IKE major version "
        r"'(?P<version>\d+)'",
        code="version-mismatch",
        title="The two sides speak different versions of IKE",
        text="{them} speaks IKE {version}, which Libreswan does not.",
        change=("Configure IKEv2 on {remote}.",),
        clause="RFC 7296 section 2.5",
        requirement="7296-2.5-03",
        by_us=False,
    ),
)

_AUTHENTICATION = (
    Rule(
        pattern=r"^authentication failed: (?:computed hash does not match hash received from peer (?P<other>.*)"
        r"|PSK AUTH mismatch)",
        code="wrong-psk",
        title="The pre-shared keys differ",
        text="The key of {us} is not the one that {them} used for {other}.",
        change=advice.SECRET,
        clause="RFC 7296 section 2.15",
        requirement="7296-2.15-07",
    ),
    Rule(
        pattern=r"^authentication failed: no PSK found for '(?P<ids>.*)'",
        code="psk-not-found",
        title="There is no pre-shared key for these IDs",
        text="{us} has none for {ids}.",
        change=("Add a line with both IDs to ipsec.secrets, and read it (ipsec secrets).",),
        clause="RFC 7296 section 2.15",
    ),
    Rule(
        pattern=r"^Peer ID '(?P<other>.*?)' mismatched on first found connection",
        code="id-mismatch",
        title="No connection has this ID of the peer",
        text="{them} is {other}, and {us} has no connection with it.",
        change=advice.IDENTITY,
        clause=_AUTH,
        requirement="7296-2.21.2-01",
        differences=_ids,
    ),
    Rule(
        pattern=r"^(?:authentication failed: no certificate matched (?P<rest>.*)"
        r"|peer certificate (?:contains no subjectAltName extension to match|subjectAltName extension does not match"
        r"|subjectAltname does not match address) (?P<other>.*))",
        code="id-mismatch",
        title="The certificate does not name the ID",
        text="No certificate of {them} fits: {rest}{other}.",
        change=(
            (
                "Let the certificate of {remote} name its ID as subject or subjectAltName, or set rightid= on "
                "{local} to what is in it."
            ),
        ),
        clause="RFC 7296 section 4",
        certainty=_LIKELY,
        when=_unexplained,
    ),
    Rule(
        pattern=r"^(?:NSS: )?ERROR: .*?certificate (?P<subject>.*?) invalid: .*?(?:EXPIRED|expired)",
        code="certificate-expired",
        title="A certificate is not valid now",
        text="{subject} has expired.",
        change=("Renew it on {remote}, and check the clock of {local}.",),
        clause="RFC 5280 section 6.1.3",
        by_us=False,
    ),
    Rule(
        pattern=r"^(?:NSS: )?(?:ERROR: )?.*?(?:[Cc]ertificate (?P<subject>.*?) "
        "invalid|SEC_ERROR_(?P<error>UNKNOWN_ISSUER))",
        code="untrusted-certificate",
        title="The certificate is not trusted",
        text="{us} does not accept {subject}{error}.",
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
        clause="RFC 7296 section 4",
    ),
    Rule(
        pattern=r"^X509: (?:certificate (?:payload )?rejected for this connection|authentication failed)(?P<rest>.*)",
        code="untrusted-certificate",
        title="The certificate is not trusted",
        text="{us} rejects the certificate of {them}{rest}.",
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
        clause="RFC 7296 section 4",
    ),
    Rule(
        pattern=r"^(?:no private key(?: matching)?(?P<rest>.*)|can't find the private key matching (?P<key>.*))",
        code="private-key-missing",
        title="There is no private key for the certificate",
        text="{us} has none{rest}{key}.",
        change=("Import certificate and key together (ipsec import FILE.p12), and name it in leftcert=.",),
        clause="RFC 7296 section 2.15",
    ),
    Rule(
        pattern=r"^authentication failed: (?P<why>.*)",
        code="authentication-failed",
        title="Authentication of the peer fails",
        text="{us} does not believe {them}: {why}.",
        change=("Let both sides use the same method (authby=, leftauth= and rightauth=).", *advice.IDENTITY),
        clause=_AUTH,
        requirement="7296-2.21.2-01",
    ),
    Rule(
        pattern=r"^responding to IKE_AUTH message .*? with encrypted notification AUTHENTICATION_FAILED",
        code="id-mismatch",
        title="No connection has this ID of the peer",
        text="{us} refuses {them} and logs no reason, as it does when no connection has the ID that the peer sent.",
        change=advice.IDENTITY,
        clause=_AUTH,
        requirement="7296-2.21.2-01",
        certainty=_LIKELY,
        differences=_expected,
        when=_unexplained,
    ),
    Rule(
        pattern=r"^IKE SA authentication request rejected by peer: (?P<notify>\S+)",
        code="authentication-failed",
        title="The peer refuses authentication",
        text="{them} does not believe {us}: {notify}, and the protocol hides the reason.",
        change=(advice.THEIR_LOG, "Compare pre-shared key (or certificates and CA) and the IDs of both sides."),
        clause=_AUTH,
        requirement="7296-2.21.2-01",
        by_us=False,
        certainty=_LIKELY,
    ),
)

_CHILDREN = (
    Rule(
        pattern=r"^\w+ response rejected Child SA with NO_PROPOSAL_CHOSEN",
        code="child-proposal-mismatch",
        title="No common proposal for the Child SA",
        text="{them} takes no proposal of {us} for the Child SA; the IKE SA is up.",
        change=(*advice.CHILD_PROPOSALS, advice.THEIR_LOG),
        clause=_SUITES,
        requirement="7296-2.7-04",
        by_us=False,
        certainty=_LIKELY,
        differences=_offered_for_child,
    ),
    Rule(
        pattern=r"^\w+ response rejected Child SA with TS_UNACCEPTABLE",
        code="traffic-selector-mismatch",
        title="Traffic selectors do not fit",
        text="{them} has no connection for the traffic that {us} asks for; the IKE SA is up.",
        change=advice.SELECTORS,
        clause="RFC 7296 section 2.9",
        requirement="7296-2.9-05",
        by_us=False,
    ),
    *refusals(r"^\w+ response rejected Child SA with NAME"),
    Rule(
        pattern=r"^\w+ response rejected Child SA with (?P<notify>\w+)",
        code="child-refused",
        title="The peer refuses the Child SA",
        text="{them} answers {notify}; the IKE SA is up.",
        change=(advice.THEIR_LOG,),
        clause="RFC 7296 section 1.3",
        by_us=False,
    ),
    Rule(
        pattern=r"^netlink response for Add SA \S+ ?(?:.*?): (?P<why>.*?) \(errno",
        code="kernel-refuses",
        title="The kernel takes no IPsec SA or policy",
        text="{us} cannot install what was negotiated: {why}.",
        change=advice.KERNEL,
    ),
)

_SILENCE = (
    Rule(
        pattern=r"^asynchronous network error report on \S+ (?:.*?), complainant (?P<reporter>\S+): (?P<why>.*?) "
        r"\[errno",
        code="peer-unreachable",
        title="The responder does not answer",
        text="{reporter} reports to {us}: {why}.",
        change=(
            (
                "Connection refused: start the IKE daemon of {remote}, or let it listen on this address. Else mend the "
                "route."
            ),
        ),
        clause="RFC 7296 section 2.4",
        requirement="7296-2.4-07",
        by_us=False,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first (?:IKEv2|IKEv1) "
        "message",
        code="peer-unreachable",
        title="The responder does not answer",
        text="{us} sent IKE_SA_INIT and {tries} repetitions to {them}, and got no answer.",
        change=advice.NOT_REACHED,
        clause="RFC 7296 section 2.4",
        requirement="7296-2.4-07",
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first encrypted message",
        code="nat-t-blocked",
        title="UDP port 4500 is blocked",
        text="IKE_SA_INIT was answered on port 500; IKE_AUTH and {tries} repetitions to port 4500 were not.",
        change=advice.PORT_4500,
        clause="RFC 7296 section 2.23, RFC 3948",
        requirement="7296-2.23-03",
        by_us=False,
        certainty=_LIKELY,
        when=_moved,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits\. .*? our first encrypted message",
        code="no-answer-to-auth",
        title="IKE_AUTH is not answered",
        text="{them} answered IKE_SA_INIT, but not IKE_AUTH and {tries} repetitions.",
        change=(*advice.SILENT_AUTH, *advice.PORT_4500),
        clause="RFC 7296 section 2.4",
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^\S+: \S+ second timeout exceeded after (?P<tries>\d+) retransmits",
        code="dead-peer",
        title="The peer is dead",
        text="{them} was there and no longer answers: a request and {tries} repetitions.",
        change=advice.DEAD,
        clause="RFC 7296 section 2.4",
        requirement="7296-2.4-18",
        by_us=False,
    ),
)

RULES = Rules((*_NEGOTIATION, *_AUTHENTICATION, *_CHILDREN, *_SILENCE))
