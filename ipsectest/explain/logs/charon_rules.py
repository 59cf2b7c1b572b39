"""What lines of strongSwan's log mean (5.9 and 6); the wording is that of the default log level, 1."""

from ipsectest.explain.findings import Certainty, Difference, Severity
from ipsectest.explain.logs import advice
from ipsectest.explain.logs.model import LoggedSa
from ipsectest.explain.logs.rules import Rule, Rules, refusals
from ipsectest.explain.logs.suite_words import from_charon

_LIKELY = Certainty.LIKELY
_INIT, _AUTH = "RFC 7296 section 2.7", "RFC 7296 section 2.21.2"
_NAT_PORT = 4500


def _proposals(sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    """Both sides of the last proposals that did not fit."""
    theirs, ours = (from_charon(sa.noted.get(name, "")) for name in ("received", "configured"))
    them, us = sa.remote or "the peer", sa.local or sa.file
    rows = [Difference("proposal", f"{them} offers", one) for one in theirs[:4]]
    return (*rows, *(Difference("proposal", f"{us} takes", one) for one in ours[:4]))


def _ids(sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    looked = sa.noted.get("looked_for", "")
    left, _, right = looked.partition("...")
    us, them = (part.partition("[")[2].rstrip("]") for part in (left, right))
    if not looked:
        return ()
    wanted = us if us != "%any" else "any of its IDs"
    return (
        Difference("identity", f"{sa.remote or 'the peer'} says it is", them),
        Difference("identity", f"{sa.remote or 'the peer'} wants {sa.local or 'this side'} to be", wanted),
    )


def _selectors(sa: LoggedSa, groups: dict[str, str]) -> tuple[Difference, ...]:
    del sa
    return (Difference("traffic selectors", "asked for", f"{groups['ours']} === {groups['theirs']}"),)


def _first_message(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return sa.noted.get("message_id") == "0" and not sa.is_established


def _moved(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return not sa.is_established and sa.noted.get("message_id") == "1" and _NAT_PORT in sa.used_ports


def _unestablished(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return not sa.is_established


_REFUSED = r"^received (?P<notify>\w+) notify, no CHILD_SA built"


def _established(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return sa.is_established


_NEGOTIATION = (
    Rule(
        pattern=r"^received proposals unacceptable",
        code="ike-rekey-proposal-mismatch",
        title="No common proposal for the rekey of the IKE SA",
        text="{us} takes no proposal of {them} for the rekey; the IKE SA is up.",
        change=advice.PROPOSALS,
        clause=_INIT,
        requirement="7296-2.7-04",
        differences=_proposals,
        when=_established,
    ),
    Rule(
        pattern=r"^received proposals unacceptable",
        code="ike-proposal-mismatch",
        title="No common proposal for the IKE SA",
        text="{us} takes no proposal of {them}.",
        change=advice.PROPOSALS,
        clause=_INIT,
        requirement="7296-2.7-04",
        differences=_proposals,
    ),
    Rule(
        pattern=r"^no IKE config found for (?P<here>\S+)\.\.\.(?P<there>\S+?), sending",
        code="no-connection",
        title="No connection is configured for this peer",
        text="There is none for {here} and {there}; the peer sees NO_PROPOSAL_CHOSEN.",
        change=(
            (
                "Add {there} to remote_addrs (or use %any) and {here} to local_addrs of a connection, and load it "
                "(swanctl --load-all). Its version has to fit too."
            ),
        ),
        clause=_INIT,
    ),
    Rule(
        pattern=r"^received NO_PROPOSAL_CHOSEN notify error",
        code="ike-proposal-mismatch",
        title="No common proposal for the IKE SA",
        text="{them} takes no proposal of {us}: NO_PROPOSAL_CHOSEN.",
        change=(*advice.PROPOSALS, "If they agree, {remote} has no connection for {local}. " + advice.THEIR_LOG),
        clause=_INIT,
        requirement="7296-2.7-04",
        by_us=False,
        certainty=_LIKELY,
        when=_unestablished,
    ),
    Rule(
        pattern=r"^(?:DH group|key exchange method) (?P<guess>\S+) unacceptable, requesting (?P<wanted>\S+)",
        code="group-retry",
        severity=Severity.NOTE,
        title="One more round trip for the group",
        text="{us} asks for {wanted} instead of {guess}.",
        change=("Put {wanted} first in the proposals of {remote} to save the round trip.",),
        clause="RFC 7296 section 1.2",
        requirement="7296-1.2-09",
    ),
    Rule(
        pattern=r"^peer didn't accept (?:DH group|key exchange method) (?P<guess>\S+), it requested (?P<wanted>\S+)",
        code="group-retry",
        severity=Severity.NOTE,
        title="One more round trip for the group",
        text="{them} asks for {wanted} instead of {guess}.",
        change=("Put {wanted} first in the proposals of {local} to save the round trip.",),
        clause="RFC 7296 section 1.2",
        requirement="7296-1.2-10",
        by_us=False,
    ),
    Rule(
        pattern=r"^received unsupported IKE version (?P<version>\S+) from (?P<peer>\S+?), sending",
        code="version-mismatch",
        title="The two sides speak different versions of IKE",
        text="{peer} speaks IKE {version}, which strongSwan does not.",
        change=("Configure IKEv2 on {peer}.",),
        clause="RFC 7296 section 2.5",
        requirement="7296-2.5-03",
        by_us=False,
    ),
    Rule(
        pattern=r"^received INVALID_MAJOR_VERSION notify error",
        code="version-mismatch",
        title="The two sides speak different versions of IKE",
        text="{them} does not know IKEv2.",
        change=("Configure IKEv2 on {remote}, or version = 1 here where there is no other way.",),
        clause="RFC 7296 section 2.5",
        requirement="7296-2.5-03",
        by_us=False,
    ),
)

_AUTHENTICATION = (
    Rule(
        pattern=r"^tried (?P<tries>\d+) shared keys? for '(?P<own>.*?)' - '(?P<other>.*?)', but MAC mismatched",
        code="wrong-psk",
        title="The pre-shared keys differ",
        text="The key of {us} for '{own}' and '{other}' is not the one that {them} used.",
        change=advice.SECRET,
        clause="RFC 7296 section 2.15",
        requirement="7296-2.15-07",
    ),
    Rule(
        pattern=r"^no shared key found for '(?P<own>.*?)' - '(?P<other>.*?)'",
        code="psk-not-found",
        title="There is no pre-shared key for these IDs",
        text="{us} has none for '{own}' and '{other}'.",
        change=("Add a secret whose ids are '{other}' (and '{own}'), and load it (swanctl --load-creds).",),
        clause="RFC 7296 section 2.15",
    ),
    Rule(
        pattern=r"^no matching peer config found",
        code="id-mismatch",
        title="No connection has these IDs",
        text="{us} looked for a connection for {looked_for}, and has none.",
        change=advice.IDENTITY,
        clause=_AUTH,
        requirement="7296-2.21.2-01",
        differences=_ids,
    ),
    Rule(
        pattern=r"^constraint check failed: (?:EAP )?identity '(?P<wanted>.*?)'(?: \(\w+\))? required"
        r"(?:, not matched by '(?P<other>.*?)')?",
        code="id-mismatch",
        title="The peer has another ID than expected",
        text="{us} wants the peer to be '{wanted}', and it is not.",
        change=advice.IDENTITY,
        clause=_AUTH,
        requirement="7296-1.2-06",
        differences=lambda sa, groups: (
            Difference("identity", f"{sa.local or 'this side'} expects", groups["wanted"]),
            *((Difference("identity", "the peer is", groups["other"]),) if groups["other"] else ()),
        ),
    ),
    Rule(
        pattern=r"^constraint check failed: (?P<what>.*)",
        code="constraint-failed",
        title="The peer does not meet what is asked of it",
        text="{us}: {what}.",
        change=("Change the remote section of the connection, or the certificate (or method) of {remote}.",),
        clause=_AUTH,
    ),
    Rule(
        pattern=r'^no issuer certificate found for "(?P<subject>.*?)"',
        code="untrusted-certificate",
        title="The certificate is issued by an unknown CA",
        text='"{subject}" cannot be followed to a CA that {us} trusts.',
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
        clause="RFC 7296 section 4",
    ),
    Rule(
        pattern=r'^ *self-signed certificate "(?P<subject>.*?)" is not trusted',
        code="untrusted-certificate",
        title="The certificate is issued by an unknown CA",
        text='"{subject}" is self-signed, and {us} does not trust it.',
        change=(advice.AUTHORITY,),
        clause="RFC 7296 section 4",
    ),
    Rule(
        pattern=r"^no trusted (?P<kind>\S+) public key found for '(?P<other>.*?)'",
        code="untrusted-certificate",
        title="No certificate of the peer is trusted",
        text="{us} has no trusted {kind} key for '{other}'.",
        change=(
            advice.AUTHORITY,
            "Let the certificate of {remote} name '{other}' as subject or subjectAltName.",
        ),
        clause="RFC 7296 section 4",
    ),
    Rule(
        pattern=r"^(?P<whose>\S+) certificate invalid \(valid from (?P<start>.*?) to (?P<end>.*?)\)",
        code="certificate-expired",
        title="A certificate is not valid now",
        text="The {whose} certificate is valid from {start} to {end}.",
        change=("Renew it on {remote}, and check the clock of {local}.",),
        clause="RFC 5280 section 6.1.3",
        by_us=False,
    ),
    Rule(
        pattern=r"^certificate was revoked on (?P<when>[^,]*), reason: (?P<reason>.*)",
        code="certificate-revoked",
        title="The certificate was revoked",
        text="It was revoked on {when}: {reason}.",
        change=("Issue a new one for {remote}.",),
        clause="RFC 5280 section 6.3",
        by_us=False,
    ),
    Rule(
        pattern=r"^no (?:\S+ )?private key found for '(?P<own>.*?)'",
        code="private-key-missing",
        title="There is no private key for the own ID",
        text="{us} has none for '{own}'.",
        change=("Load the private key that belongs to the certificate of '{own}' (swanctl --load-creds).",),
        clause="RFC 7296 section 2.15",
    ),
    Rule(
        pattern=r"^(?:EAP (?:vendor specific )?method (?P<method>\S+) failed for peer (?P<peer>.*)"
        r"|received \S+, EAP authentication failed)",
        code="eap-failed",
        title="EAP does not succeed",
        text="EAP {method} for {peer} failed.",
        change=("Check user name and password, and that both sides use the same EAP method.",),
        clause="RFC 7296 section 2.16",
    ),
    Rule(
        pattern=r"^received AUTHENTICATION_FAILED notify error",
        code="authentication-failed",
        title="The peer refuses authentication",
        text="{them} does not believe {us}: AUTHENTICATION_FAILED, and the protocol hides the reason.",
        change=(advice.THEIR_LOG, "Compare pre-shared key (or certificates and CA) and the IDs of both sides."),
        clause=_AUTH,
        requirement="7296-2.21.2-01",
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^(?:integrity check failed|could not decrypt payloads|invalid \S+ payload length, decryption "
        r"failed\?)",
        code="message-not-decrypted",
        severity=Severity.WARNING,
        title="A message cannot be decrypted",
        text="{us} got a message that was damaged, or made with other keys; with IKEv1 the pre-shared keys differ.",
        change=("If it goes on, compare the pre-shared keys (IKEv1) or look for a peer that restarted.",),
        clause="RFC 7296 section 2.21.4",
        certainty=_LIKELY,
    ),
)

_CHILDREN = (
    Rule(
        pattern=r"^(?:no acceptable proposal found|no matching proposal found, sending)",
        code="child-proposal-mismatch",
        title="No common proposal for the Child SA",
        text="{us} takes no proposal of {them}; the IKE SA stays up.",
        change=advice.CHILD_PROPOSALS,
        clause=_INIT,
        requirement="7296-2.7-04",
        differences=_proposals,
    ),
    Rule(
        pattern=r"^received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
        code="child-proposal-mismatch",
        title="No common proposal for the Child SA",
        text="{them} takes no proposal of {us} for the Child SA; the IKE SA is up.",
        change=(*advice.CHILD_PROPOSALS, advice.THEIR_LOG),
        clause=_INIT,
        requirement="7296-2.7-04",
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^traffic selectors (?P<ours>.*?) === (?P<theirs>.*?) unacceptable",
        code="traffic-selector-mismatch",
        title="Traffic selectors do not fit",
        text="{us} has no connection for this traffic.",
        change=advice.SELECTORS,
        clause="RFC 7296 section 2.9",
        requirement="7296-2.9-05",
        differences=_selectors,
    ),
    Rule(
        pattern=r"^(?:received TS_UNACCEPTABLE notify, no CHILD_SA built|no acceptable traffic selectors found)",
        code="traffic-selector-mismatch",
        title="Traffic selectors do not fit",
        text="{them} has no connection for the traffic that {us} asks for; the IKE SA is up.",
        change=advice.SELECTORS,
        clause="RFC 7296 section 2.9",
        requirement="7296-2.9-05",
        by_us=False,
    ),
    Rule(
        pattern=r"^no virtual IP found",
        code="no-address-left",
        title="The gateway has no address for the client",
        text="{us} has no pool that could give {them} one.",
        change=("Give the connection a pool, or enlarge it.",),
        clause="RFC 7296 section 3.15.4",
    ),
    Rule(
        pattern=r"^(?:unable to allocate SPIs? from kernel|unable to install .*?IPsec (?:SA|policies) \(S[AP]D\) in "
        "kernel"
        r"|received netlink error: (?P<why>.*))",
        code="kernel-refuses",
        title="The kernel takes no IPsec SA or policy",
        text="{us} cannot install what was negotiated.",
        change=advice.KERNEL,
    ),
    Rule(
        pattern=r"^received (?P<notify>TEMPORARY_FAILURE) notify error",
        code="temporary-failure",
        title="The peer cannot do this now",
        text="{them} answers TEMPORARY_FAILURE to {us}; before an IKE SA is up that is a fault of its own.",
        change=(advice.THEIR_LOG,),
        clause="RFC 7296 section 2.25",
        requirement="7296-2.25-01",
        by_us=False,
    ),
    *refusals(r"^received NAME notify, no CHILD_SA built"),
    Rule(
        pattern=_REFUSED,
        code="child-refused",
        title="The peer refuses the Child SA",
        text="{them} answers {notify}; the IKE SA is up.",
        change=(advice.THEIR_LOG,),
        clause="RFC 7296 section 1.3",
        by_us=False,
    ),
)

_SILENCE = (
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        code="peer-unreachable",
        title="The responder does not answer",
        text="{us} sent IKE_SA_INIT and {tries} repetitions to {them}, and got no answer.",
        change=advice.NOT_REACHED,
        clause="RFC 7296 section 2.4",
        requirement="7296-2.4-07",
        by_us=False,
        certainty=_LIKELY,
        when=_first_message,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
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
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        code="no-answer-to-auth",
        title="IKE_AUTH is not answered",
        text="{them} answered IKE_SA_INIT, but not IKE_AUTH and {tries} repetitions.",
        change=advice.SILENT_AUTH,
        clause="RFC 7296 section 2.4",
        by_us=False,
        certainty=_LIKELY,
        when=_unestablished,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        code="dead-peer",
        title="The peer is dead",
        text="{them} was there and no longer answers: a request and {tries} repetitions.",
        change=advice.DEAD,
        clause="RFC 7296 section 2.4",
        requirement="7296-2.4-18",
        by_us=False,
    ),
    Rule(
        pattern=r"^error writing to socket: (?P<why>.*)",
        code="cannot-send",
        title="Messages cannot be sent",
        text="{us}: {why}.",
        change=("Mend route and address towards {remote} on {local} (`ip route get`).",),
    ),
    Rule(
        pattern=r"^unable to resolve (?P<name>\S+), (?:initiate aborted|retrying)",
        code="name-not-resolved",
        title="The name of the peer cannot be resolved",
        text="{us} finds no address for {name}.",
        change=("Write the address of the peer into remote_addrs, or mend the DNS of {local}.",),
    ),
)

RULES = Rules((*_NEGOTIATION, *_AUTHENTICATION, *_CHILDREN, *_SILENCE))
