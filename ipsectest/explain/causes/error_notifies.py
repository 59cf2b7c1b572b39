"""Error notifications whose meaning needs no other facts, one line each (RFC 7296 section 3.10.1)."""

from dataclasses import dataclass

from ipsectest.base.iana import NotifyType
from ipsectest.explain.findings import Severity


@dataclass(frozen=True, slots=True)
class Entry:
    """What an error notification means; ``{asking}`` and ``{answering}`` stand for the two ends."""

    code: str
    severity: Severity
    title: str
    text: str
    change: tuple[str, ...]
    clause: str
    requirement: str = ""


_FAILURE, _WARNING = Severity.FAILURE, Severity.WARNING

TABLE: dict[int, Entry] = {
    NotifyType.TEMPORARY_FAILURE: Entry(
        "temporary-failure",
        _WARNING,
        "The peer is busy with the same SA",
        "the request cannot be served right now, mostly because both sides rekey at once.",
        (
            (
                "Nothing, if the next try succeeds. If it goes on: give the two sides different rekey times with "
                "enough jitter (strongSwan: rekey_time, rand_time; Libreswan: rekeymargin, rekeyfuzz)."
            ),
        ),
        "RFC 7296 section 2.25",
        "7296-2.25-01",
    ),
    NotifyType.CHILD_SA_NOT_FOUND: Entry(
        "child-sa-not-found",
        _WARNING,
        "A Child SA is known to one side only",
        "it does not have the Child SA that is to be rekeyed.",
        (
            (
                "{asking} should drop it and make a new one. If it happens often: look why {answering} lost it "
                "(restart, delete on idle, a shorter lifetime)."
            ),
        ),
        "RFC 7296 section 2.25",
        "7296-2.25-06",
    ),
    NotifyType.NO_ADDITIONAL_SAS: Entry(
        "no-additional-sas",
        _FAILURE,
        "The peer wants no further SAs on this IKE SA",
        "it is not willing or able to make another one.",
        (
            (
                "Put all subnets into one Child SA, or give each an IKE SA of its own, if {answering} allows one "
                "Child SA only (some small gateways do); or raise its limit."
            ),
        ),
        "RFC 7296 section 1.3",
        "7296-1.3-09",
    ),
    NotifyType.FAILED_CP_REQUIRED: Entry(
        "address-request-required",
        _FAILURE,
        "The gateway wants the client to ask for an address",
        "it expects a configuration payload.",
        ("Let {asking} request a virtual IP (strongSwan: vips = 0.0.0.0, Libreswan: leftmodecfgclient=yes).",),
        "RFC 7296 section 2.19",
        "7296-2.19-09",
    ),
    NotifyType.INTERNAL_ADDRESS_FAILURE: Entry(
        "no-address-left",
        _FAILURE,
        "The gateway has no address for the client",
        "its pool is used up, or has nothing of the version that was asked for.",
        ("Enlarge the address pool of {answering}, or shorten its leases.",),
        "RFC 7296 section 3.15.4",
        "7296-1.2-15",
    ),
    NotifyType.SINGLE_PAIR_REQUIRED: Entry(
        "single-pair-required",
        _FAILURE,
        "The peer takes one pair of addresses for each Child SA",
        "it refuses subnets.",
        ("Ask for single addresses on {asking} (a Child SA for each pair), or allow subnets on {answering}.",),
        "RFC 7296 section 2.9",
        "7296-2.9-10",
    ),
    NotifyType.INVALID_SYNTAX: Entry(
        "invalid-syntax",
        _FAILURE,
        "The peer cannot read a message",
        "a length, type or value is out of range; this ends the IKE SA.",
        ("Take the request to the makers of {asking}, and its log to those of {answering}: one of them has a fault.",),
        "RFC 7296 section 2.21.3",
        "7296-2.21.3-03",
    ),
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: Entry(
        "unsupported-critical-payload",
        _FAILURE,
        "A payload that must be understood is not",
        "it does not know a payload that has the critical bit.",
        ("Switch the extension off on {asking} that needs it.",),
        "RFC 7296 section 2.5",
        "7296-2.5-10",
    ),
    NotifyType.INVALID_IKE_SPI: Entry(
        "unknown-ike-sa",
        _FAILURE,
        "The peer does not know this IKE SA",
        "it has restarted, or the message reached another machine.",
        (
            (
                "Let {asking} notice dead peers sooner (strongSwan: dpd_delay, Libreswan: dpddelay) and set up the "
                "IKE SA anew; behind a load balancer keep an initiator on one machine."
            ),
        ),
        "RFC 7296 section 2.21.4",
        "7296-2.21.4-06",
    ),
    NotifyType.INVALID_MESSAGE_ID: Entry(
        "invalid-message-id",
        _WARNING,
        "A Message ID outside of the window",
        "the two sides have lost step, as after a failover.",
        ("Set up the IKE SA anew.",),
        "RFC 7296 section 2.3",
    ),
    NotifyType.UNEXPECTED_NAT_DETECTED: Entry(
        "unexpected-nat",
        _FAILURE,
        "A NAT where none may be",
        "{asking} said NO_NATS_ALLOWED, and addresses were changed on the way.",
        ("Allow NAT traversal on {asking}, or take the NAT away.",),
        "RFC 4555 section 3.9",
    ),
    NotifyType.UNACCEPTABLE_ADDRESSES: Entry(
        "unacceptable-addresses",
        _FAILURE,
        "A change of addresses is refused",
        "its policy does not allow the new addresses.",
        ("Allow them in the configuration of {answering}.",),
        "RFC 4555 section 3.5",
    ),
    NotifyType.AUTHORIZATION_FAILED: Entry(
        "authorization-failed",
        _FAILURE,
        "The peer is known and may not do this",
        "authentication succeeded, authorization did not.",
        ("Allow it on {answering}, or in its RADIUS server.",),
        "RFC 9838",
    ),
}
