"""Error notifications whose meaning needs no other facts, one line each (RFC 7296 section 3.10.1)."""

from dataclasses import dataclass

from ipsectest.base.iana import NotifyType
from ipsectest.explain.findings import Kind, Severity


@dataclass(frozen=True, slots=True)
class Entry:
    """What an error notification means; ``{asking}`` and ``{answering}`` stand for the two ends."""

    kind: Kind
    text: str
    change: tuple[str, ...]


TABLE: dict[int, Entry] = {
    NotifyType.TEMPORARY_FAILURE: Entry(
        Kind(
            code="temporary-failure",
            title="The peer is busy with the same SA",
            clause="RFC 7296 section 2.25",
            requirement="7296-2.25-01",
            severity=Severity.WARNING,
        ),
        "the request cannot be served right now, mostly because both sides rekey at once.",
        (
            (
                "Nothing, if the next try succeeds. If it goes on: give the two sides different rekey times with "
                "enough jitter (strongSwan: rekey_time, rand_time; Libreswan: rekeymargin, rekeyfuzz)."
            ),
        ),
    ),
    NotifyType.CHILD_SA_NOT_FOUND: Entry(
        Kind(
            code="child-sa-not-found",
            title="A Child SA is known to one side only",
            clause="RFC 7296 section 2.25",
            requirement="7296-2.25-06",
            severity=Severity.WARNING,
        ),
        "it does not have the Child SA that is to be rekeyed.",
        (
            (
                "{asking} should drop it and make a new one. If it happens often: look why {answering} lost it "
                "(restart, delete on idle, a shorter lifetime)."
            ),
        ),
    ),
    NotifyType.NO_ADDITIONAL_SAS: Entry(
        Kind(
            code="no-additional-sas",
            title="The peer wants no further SAs on this IKE SA",
            clause="RFC 7296 section 1.3",
            requirement="7296-1.3-09",
        ),
        "it is not willing or able to make another one.",
        (
            (
                "Put all subnets into one Child SA, or give each an IKE SA of its own, if {answering} allows one "
                "Child SA only (some small gateways do); or raise its limit."
            ),
        ),
    ),
    NotifyType.FAILED_CP_REQUIRED: Entry(
        Kind(
            code="address-request-required",
            title="The gateway wants the client to ask for an address",
            clause="RFC 7296 section 2.19",
            requirement="7296-2.19-09",
        ),
        "it expects a configuration payload.",
        ("Let {asking} request a virtual IP (strongSwan: vips = 0.0.0.0, Libreswan: leftmodecfgclient=yes).",),
    ),
    NotifyType.INTERNAL_ADDRESS_FAILURE: Entry(
        Kind(
            code="no-address-left",
            title="The gateway has no address for the client",
            clause="RFC 7296 section 3.15.4",
            requirement="7296-1.2-15",
        ),
        "its pool is used up, or has nothing of the version that was asked for.",
        ("Enlarge the address pool of {answering}, or shorten its leases.",),
    ),
    NotifyType.SINGLE_PAIR_REQUIRED: Entry(
        Kind(
            code="single-pair-required",
            title="The peer takes one pair of addresses for each Child SA",
            clause="RFC 7296 section 2.9",
            requirement="7296-2.9-10",
        ),
        "it refuses subnets.",
        ("Ask for single addresses on {asking} (a Child SA for each pair), or allow subnets on {answering}.",),
    ),
    NotifyType.INVALID_SYNTAX: Entry(
        Kind(
            code="invalid-syntax",
            title="The peer cannot read a message",
            clause="RFC 7296 section 2.21.3",
            requirement="7296-2.21.3-03",
        ),
        "a length, type or value is out of range; this ends the IKE SA.",
        ("Take the request to the makers of {asking}, and its log to those of {answering}: one of them has a fault.",),
    ),
    NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD: Entry(
        Kind(
            code="unsupported-critical-payload",
            title="A payload that must be understood is not",
            clause="RFC 7296 section 2.5",
            requirement="7296-2.5-10",
        ),
        "it does not know a payload that has the critical bit.",
        ("Switch the extension off on {asking} that needs it.",),
    ),
    NotifyType.INVALID_IKE_SPI: Entry(
        Kind(
            code="unknown-ike-sa",
            title="The peer does not know this IKE SA",
            clause="RFC 7296 section 2.21.4",
            requirement="7296-2.21.4-06",
        ),
        "it has restarted, or the message reached another machine.",
        (
            (
                "Let {asking} notice dead peers sooner (strongSwan: dpd_delay, Libreswan: dpddelay) and set up the "
                "IKE SA anew; behind a load balancer keep an initiator on one machine."
            ),
        ),
    ),
    NotifyType.INVALID_MESSAGE_ID: Entry(
        Kind(
            code="invalid-message-id",
            title="A Message ID outside of the window",
            clause="RFC 7296 section 2.3",
            severity=Severity.WARNING,
        ),
        "the two sides have lost step, as after a failover.",
        ("Set up the IKE SA anew.",),
    ),
    NotifyType.UNEXPECTED_NAT_DETECTED: Entry(
        Kind(code="unexpected-nat", title="A NAT where none may be", clause="RFC 4555 section 3.9"),
        "{asking} said NO_NATS_ALLOWED, and addresses were changed on the way.",
        ("Allow NAT traversal on {asking}, or take the NAT away.",),
    ),
    NotifyType.UNACCEPTABLE_ADDRESSES: Entry(
        Kind(code="unacceptable-addresses", title="A change of addresses is refused", clause="RFC 4555 section 3.5"),
        "its policy does not allow the new addresses.",
        ("Allow them in the configuration of {answering}.",),
    ),
    NotifyType.AUTHORIZATION_FAILED: Entry(
        Kind(code="authorization-failed", title="The peer is known and may not do this", clause="RFC 9838"),
        "authentication succeeded, authorization did not.",
        ("Allow it on {answering}, or in its RADIUS server.",),
    ),
}
