"""What lines of strongSwan's log mean (5.9 and 6); the wording is that of the default log level, 1."""

from ipsectest.base.iana import NotifyType
from ipsectest.explain import kinds
from ipsectest.explain.causes.error_notifies import TABLE
from ipsectest.explain.findings import Certainty, Difference
from ipsectest.explain.logs import advice
from ipsectest.explain.logs.model import LoggedSa
from ipsectest.explain.logs.rules import COOKIE_ROUNDS, Rule, Rules, asked_for_cookie, refusals, third_cookie
from ipsectest.explain.logs.suite_words import from_charon

_LIKELY = Certainty.LIKELY
_INIT, _AUTH = "RFC 7296 section 2.7", "RFC 7296 section 2.21.2"
_NAT_PORT = 4500
_BUSY = TABLE[NotifyType.TEMPORARY_FAILURE]


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


def _unexplained(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """Whether no line before told what is wrong with the certificate."""
    return "reason" not in sa.noted


def _alerted(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """An alert of TLS, which is the reason why the method fails behind it."""
    return sa.count("alerts") > 0


def _of_itself(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """Neither an alert of TLS nor a missing key is why the method fails."""
    return "alerts" not in sa.noted and "no key" not in sa.noted


def _without_the_id(sa: LoggedSa, groups: dict[str, str]) -> bool:
    """A certificate came, and charon, which looks for keys by ID, took none into its hands."""
    return _unexplained(sa, groups) and "presented" in sa.noted and "used" not in sa.noted


_REFUSED = r"^received (?P<notify>\w+) notify, no CHILD_SA built"


def _established(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return sa.is_established


_NEGOTIATION = (
    Rule(
        pattern=r"^received proposals unacceptable",
        kind=kinds.IKE_REKEY_PROPOSAL_MISMATCH,
        text="{us} takes no proposal of {them} for the rekey; the IKE SA is up.",
        change=advice.PROPOSALS,
        differences=_proposals,
        when=_established,
    ),
    Rule(
        pattern=r"^received proposals unacceptable",
        kind=kinds.IKE_PROPOSAL_MISMATCH,
        text="{us} takes no proposal of {them}.",
        change=advice.PROPOSALS,
        differences=_proposals,
    ),
    Rule(
        pattern=r"^no IKE config found for (?P<here>\S+)\.\.\.(?P<there>\S+?), sending",
        kind=kinds.NO_CONNECTION,
        text="There is none for {here} and {there}; the peer sees NO_PROPOSAL_CHOSEN.",
        change=(
            (
                "Add {there} to remote_addrs (or use %any) and {here} to local_addrs of a connection, and load it "
                "(swanctl --load-all). Its version has to fit too."
            ),
        ),
    ),
    Rule(
        pattern=r"^received NO_PROPOSAL_CHOSEN notify error",
        kind=kinds.IKE_PROPOSAL_MISMATCH,
        text="{them} takes no proposal of {us}: NO_PROPOSAL_CHOSEN.",
        change=(*advice.PROPOSALS, "If they agree, {remote} has no connection for {local}. " + advice.THEIR_LOG),
        by_us=False,
        certainty=_LIKELY,
        when=_unestablished,
    ),
    Rule(
        pattern=r"^(?:DH group|key exchange method) (?P<guess>\S+) unacceptable, requesting (?P<wanted>\S+)",
        kind=kinds.INVALID_KE_SENT,
        text="{us} asks for {wanted} instead of {guess}.",
        change=("Put {wanted} first in the proposals of {remote} to save the round trip.",),
    ),
    Rule(
        pattern=r"^peer didn't accept (?:DH group|key exchange method) (?P<guess>\S+), it requested (?P<wanted>\S+)",
        kind=kinds.GROUP_RETRY,
        text="{them} asks for {wanted} instead of {guess}.",
        change=("Put {wanted} first in the proposals of {local} to save the round trip.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^received unsupported IKE version (?P<version>\S+) from (?P<peer>\S+?), sending",
        kind=kinds.VERSION_MISMATCH,
        text="{peer} speaks IKE {version}, which strongSwan does not.",
        change=("Configure IKEv2 on {peer}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^received INVALID_MAJOR_VERSION notify error",
        kind=kinds.VERSION_MISMATCH,
        text="{them} does not know IKEv2.",
        change=("Configure IKEv2 on {remote}, or version = 1 here where there is no other way.",),
        by_us=False,
    ),
)

COOKIE_DEMANDED = "COOKIE demanded"
"""Stands for the two lines of which one names the payload and the other the peer."""
_MOST_PEERS = 200
"""Of those that are asked for cookies, which an attack makes many."""


def _third_of_this_peer(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    name = f"cookies of {sa.remote}"
    return (name in sa.noted or len(sa.noted) < _MOST_PEERS) and sa.count(name) == COOKIE_ROUNDS


_COOKIES = (
    Rule(
        pattern=f"^{COOKIE_DEMANDED}$",
        kind=kinds.COOKIE_LOOP,
        text="{us} demanded a cookie of {remote} several times. Its answers do not arrive, the initiator does not know "
        "cookies, or it brings back one that was made for another address.",
        change=advice.COOKIES,
        by_us=False,
        certainty=_LIKELY,
        when=_third_of_this_peer,
    ),
    Rule(
        pattern=r"^received COOKIE notify",
        kind=kinds.COOKIE_LOOP,
        text="{them} demands a cookie again and again of {us}, which gives it back each time.",
        change=advice.COOKIES,
        by_us=False,
        when=third_cookie,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        kind=kinds.COOKIE_NOT_TAKEN,
        text="{them} demanded a cookie, and did not answer the request of {us} that brought it back, nor {tries} "
        "repetitions.",
        change=advice.COOKIES,
        by_us=False,
        certainty=_LIKELY,
        when=lambda sa, groups: asked_for_cookie(sa, groups) and _first_message(sa, groups),
    ),
)

_AUTHENTICATION = (
    Rule(
        pattern=r"^tried (?P<tries>\d+) shared keys? for '(?P<own>.*?)' - '(?P<other>.*?)', but MAC mismatched",
        kind=kinds.WRONG_PSK,
        text="The key of {us} for '{own}' and '{other}' is not the one that {them} used.",
        change=advice.SECRET,
    ),
    Rule(
        pattern=r"^no shared key found for '(?P<own>.*?)' - '(?P<other>.*?)'",
        kind=kinds.PSK_NOT_FOUND,
        text="{us} has none for '{own}' and '{other}'.",
        change=("Add a secret whose ids are '{other}' (and '{own}'), and load it (swanctl --load-creds).",),
    ),
    Rule(
        pattern=r"^no matching peer config found",
        kind=kinds.NO_CONNECTION_WITH_IDS,
        text="{us} looked for a connection for {looked_for}, and has none.",
        change=advice.IDENTITY,
        differences=_ids,
    ),
    Rule(
        pattern=r"^constraint check failed: (?:EAP )?identity '(?P<wanted>.*?)'(?: \(\w+\))? required"
        r"(?:, not matched by '(?P<other>.*?)')?",
        kind=kinds.OTHER_ID,
        text="{us} wants the peer to be '{wanted}', and it is not.",
        change=advice.IDENTITY,
        differences=lambda sa, groups: (
            Difference("identity", f"{sa.local or 'this side'} expects", groups["wanted"]),
            *((Difference("identity", "the peer is", groups["other"]),) if groups["other"] else ()),
        ),
    ),
    Rule(
        pattern=r"^constraint requires (?P<wanted>.*?), but (?P<used>.*?) was used",
        kind=kinds.CONSTRAINT_FAILED,
        text="{us} wants {wanted} of the peer, which used {used}.",
        change=("Change the remote section of the connection, or the method of {remote}.",),
    ),
    Rule(
        pattern=r"^constraint check failed: (?P<what>.*)",
        kind=kinds.CONSTRAINT_FAILED,
        text="{us}: {what}.",
        change=("Change the remote section of the connection, or the certificate (or method) of {remote}.",),
    ),
    Rule(
        pattern=r'^no issuer certificate found for "(?P<subject>.*?)"',
        kind=kinds.UNKNOWN_CA,
        text='"{subject}" cannot be followed to a CA that {us} trusts.',
        change=(advice.AUTHORITY, "Or let {remote} send the intermediate certificates too."),
    ),
    Rule(
        pattern=r'^ *self-signed certificate "(?P<subject>.*?)" is not trusted',
        kind=kinds.UNKNOWN_CA,
        text='"{subject}" is self-signed, and {us} does not trust it.',
        change=(advice.AUTHORITY,),
    ),
    Rule(
        pattern=r"^no trusted (?P<kind>\S+) public key found for '(?P<other>.*?)'",
        kind=kinds.ID_NOT_IN_CERTIFICATE,
        text="{them} says it is '{other}', and its certificate \"{presented}\" was not even looked into: it does not "
        "name this ID (or its key is not {kind}).",
        change=(
            "Let the certificate of {remote} name '{other}' as subject or subjectAltName.",
            "Or set remote.id on {local} and the local ID of {remote} to a name that is in the certificate.",
        ),
        by_us=False,
        certainty=_LIKELY,
        when=_without_the_id,
    ),
    Rule(
        pattern=r"^no trusted (?P<kind>\S+) public key found for '(?P<other>.*?)'",
        kind=kinds.NO_TRUSTED_CERTIFICATE,
        text="{us} has no trusted {kind} key for '{other}'.",
        change=(
            advice.AUTHORITY,
            "Let the certificate of {remote} name '{other}' as subject or subjectAltName.",
        ),
        when=_unexplained,
    ),
    Rule(
        pattern=r"^(?P<whose>\S+) certificate invalid \(valid from (?P<start>.*?) to (?P<end>.*?)\)",
        kind=kinds.CERTIFICATE_EXPIRED,
        text="The {whose} certificate is valid from {start} to {end}.",
        change=("Renew it on {remote}, and check the clock of {local}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^certificate was revoked on (?P<when>[^,]*), reason: (?P<reason>.*)",
        kind=kinds.CERTIFICATE_REVOKED,
        text="It was revoked on {when}: {reason}.",
        change=("Issue a new one for {remote}.",),
        by_us=False,
    ),
    Rule(
        pattern=r"^no (?:\S+ )?private key found for '(?P<own>.*?)'",
        kind=kinds.PRIVATE_KEY_MISSING,
        text="{us} has none for '{own}'.",
        change=("Load the private key that belongs to the certificate of '{own}' (swanctl --load-creds).",),
    ),
    Rule(
        pattern=r"^received fatal TLS alert 'certificate expired'",
        kind=kinds.CERTIFICATE_EXPIRED,
        text="To {them} the certificate that {us} shows in EAP-TLS has expired, or is not valid yet.",
        change=("Renew it on {local}, and check the clock of {remote}.",),
        when=_alerted,
    ),
    Rule(
        pattern=r"^received fatal TLS alert 'certificate revoked'",
        kind=kinds.CERTIFICATE_REVOKED,
        text="To {them} the certificate that {us} shows in EAP-TLS was revoked.",
        change=("Issue a new one for {local}.",),
        when=_alerted,
    ),
    Rule(
        pattern=r"^received fatal TLS alert '(?P<alert>.*?)'",
        kind=kinds.EAP_FAILED,
        text="{them} breaks TLS inside EAP off: {alert}.",
        change=("Compare certificates, CA and versions of TLS of both sides.", advice.THEIR_LOG),
        by_us=False,
        certainty=_LIKELY,
        when=_alerted,
    ),
    Rule(
        pattern=r"^EAP_(?P<method>[A-Z0-9_]+) method failed",
        kind=kinds.EAP_FAILED,
        text="EAP-{method} failed on {us}.",
        change=(advice.THEIR_LOG, *advice.EAP),
        certainty=_LIKELY,
        when=_of_itself,
    ),
    Rule(
        pattern=r"^EAP (?:vendor specific )?method (?P<method>\S+) failed for peer (?P<peer>.*)",
        kind=kinds.EAP_FAILED,
        text="{method} of {peer} failed: to {us} the proof is wrong.",
        change=advice.EAP,
        by_us=False,
    ),
    Rule(
        pattern=r"^received EAP_FAILURE, EAP authentication failed",
        kind=kinds.EAP_FAILED,
        text="{them} refuses the proof of {us}: EAP Failure.",
        change=(*advice.EAP, advice.THEIR_LOG),
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^no EAP key found for hosts '(?P<own>.*?)' - '(?P<other>.*?)'",
        kind=kinds.EAP_FAILED,
        text="{us} has no password as '{own}' for '{other}'.",
        change=("Add a secret for EAP whose id is '{own}', and load it (swanctl --load-creds).",),
    ),
    Rule(
        pattern=r"^received AUTHENTICATION_FAILED notify error",
        kind=kinds.AUTHENTICATION_REFUSED,
        text="{them} does not believe {us}: AUTHENTICATION_FAILED, and the protocol hides the reason.",
        change=(advice.THEIR_LOG, "Compare pre-shared key (or certificates and CA) and the IDs of both sides."),
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^(?:integrity check failed|could not decrypt payloads|invalid \S+ payload length, decryption "
        r"failed\?)",
        kind=kinds.MESSAGE_NOT_DECRYPTED,
        text="{us} got a message that was damaged, or made with other keys; with IKEv1 the pre-shared keys differ.",
        change=("If it goes on, compare the pre-shared keys (IKEv1) or look for a peer that restarted.",),
        certainty=_LIKELY,
    ),
)

_CHILDREN = (
    Rule(
        pattern=r"^(?:no acceptable proposal found|no matching proposal found, sending)",
        kind=kinds.CHILD_PROPOSAL_MISMATCH,
        text="{us} takes no proposal of {them}; the IKE SA stays up.",
        change=advice.CHILD_PROPOSALS,
        differences=_proposals,
    ),
    Rule(
        pattern=r"^received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built",
        kind=kinds.CHILD_PROPOSAL_MISMATCH,
        text="{them} takes no proposal of {us} for the Child SA; the IKE SA is up.",
        change=(*advice.CHILD_PROPOSALS, advice.THEIR_LOG),
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^traffic selectors (?P<ours>.*?) === (?P<theirs>.*?) unacceptable",
        kind=kinds.TRAFFIC_SELECTOR_MISMATCH,
        text="{us} has no connection for this traffic.",
        change=advice.SELECTORS,
        differences=_selectors,
    ),
    Rule(
        pattern=r"^(?:received TS_UNACCEPTABLE notify, no CHILD_SA built|no acceptable traffic selectors found)",
        kind=kinds.TRAFFIC_SELECTOR_MISMATCH,
        text="{them} has no connection for the traffic that {us} asks for; the IKE SA is up.",
        change=advice.SELECTORS,
        by_us=False,
    ),
    Rule(
        pattern=r"^no virtual IP found",
        kind=kinds.NO_ADDRESS_LEFT,
        text="{us} has no pool that could give {them} one.",
        change=("Give the connection a pool, or enlarge it.",),
    ),
    Rule(
        pattern=r"^(?:unable to allocate SPIs? from kernel|unable to install .*?IPsec (?:SA|policies) \(S[AP]D\) in "
        "kernel"
        r"|received netlink error: (?P<why>.*))",
        kind=kinds.KERNEL_REFUSES,
        text="{us} cannot install what was negotiated.",
        change=advice.KERNEL,
    ),
    Rule(
        pattern=r"^received (?P<notify>TEMPORARY_FAILURE) notify error",
        kind=kinds.TEMPORARY_FAILURE,
        text="{them} answers TEMPORARY_FAILURE to {us}; before an IKE SA is up that is a fault of its own.",
        change=(advice.THEIR_LOG,),
        by_us=False,
        certainty=_LIKELY,
    ),
    Rule(
        pattern=r"^received TEMPORARY_FAILURE notify(?:, will retry later)?$",
        kind=_BUSY.kind,
        text="{them} answers TEMPORARY_FAILURE to {us}: " + _BUSY.text,
        change=_BUSY.change,
        by_us=False,
    ),
    Rule(
        pattern=r"^(?:unable to create CHILD_SA while (?:rekeying|deleting) IKE_SA"
        r"|peer initiated rekeying, but a child is half-open)",
        kind=_BUSY.kind,
        text="{us} is at the same SA itself, and answers TEMPORARY_FAILURE to {them}.",
        change=_BUSY.change,
    ),
    *refusals(r"^received NAME notify, no CHILD_SA built"),
    Rule(
        pattern=_REFUSED,
        kind=kinds.CHILD_REFUSED,
        text="{them} answers {notify}; the IKE SA is up.",
        change=(advice.THEIR_LOG,),
        by_us=False,
    ),
)

_TRAFFIC = (
    Rule(
        pattern=r"^  src \S+, dst \S+, SPI (?P<spi>[0-9a-f]{1,8}) \[seq \d+\]",
        kind=kinds.PACKETS_REPLAYED,
        text="ESP in user space dropped packets of SPI {spi} whose sequence numbers were there already, or too old.",
        change=(
            (
                "Capture on {local} to see whether they come twice or late: a loop, a bridge that doubles packets, "
                "several paths or queues below ESP."
            ),
        ),
        by_us=False,
        certainty=_LIKELY,
        when=lambda sa, _groups: bool(sa.noted.pop("out of order", "")),
    ),
)

_SILENCE = (
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        kind=kinds.PEER_UNREACHABLE,
        text="{us} sent IKE_SA_INIT and {tries} repetitions to {them}, and got no answer.",
        change=advice.NOT_REACHED,
        by_us=False,
        certainty=_LIKELY,
        when=_first_message,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        kind=kinds.NAT_T_BLOCKED,
        text="IKE_SA_INIT was answered on port 500; IKE_AUTH and {tries} repetitions to port 4500 were not.",
        change=advice.PORT_4500,
        by_us=False,
        certainty=_LIKELY,
        when=_moved,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        kind=kinds.NO_ANSWER_TO_AUTH,
        text="{them} answered IKE_SA_INIT, but not IKE_AUTH and {tries} repetitions.",
        change=advice.SILENT_AUTH,
        by_us=False,
        certainty=_LIKELY,
        when=_unestablished,
    ),
    Rule(
        pattern=r"^giving up after (?P<tries>\d+) retransmits",
        kind=kinds.DEAD_PEER,
        text="{them} was there and no longer answers: a request and {tries} repetitions.",
        change=advice.DEAD,
        by_us=False,
    ),
    Rule(
        pattern=r"^error writing to socket: (?P<why>.*)",
        kind=kinds.CANNOT_SEND,
        text="{us}: {why}.",
        change=("Mend route and address towards {remote} on {local} (`ip route get`).",),
    ),
    Rule(
        pattern=r"^unable to resolve (?P<name>\S+), (?:initiate aborted|retrying)",
        kind=kinds.NAME_NOT_RESOLVED,
        text="{us} finds no address for {name}.",
        change=("Write the address of the peer into remote_addrs, or mend the DNS of {local}.",),
    ),
)

RULES = Rules((*_NEGOTIATION, *_COOKIES, *_AUTHENTICATION, *_CHILDREN, *_TRAFFIC, *_SILENCE))
