"""What goes wrong with ESP and AH: loss, replay, wrong keys, SPIs that nobody has, traffic in one direction only."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address

from ipsectest.base.iana import NotifyType
from ipsectest.explain import kinds
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes.evidence import numbered
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Certainty, Evidence, Finding, Kind, Severity
from ipsectest.explain.flows import Flow
from ipsectest.explain.negotiated import children
from ipsectest.explain.outcome import is_readable
from ipsectest.ipsec.drop import DropReason

LOSS = 0.005
"""From which part of the packets on loss is worth a word."""
MUCH_LOSS = 0.05
MANY = 5
"""Packets in one direction without any in the other."""
_SECOND = 1_000_000_000
_WRONG_KEYS = replace(
    kinds.PACKETS_DAMAGED, code="wrong-keys", title="No packet fits the keys", severity=Severity.WARNING
)


def loss(facts: CaptureFacts) -> Iterator[Finding]:
    """Sequence numbers that never came."""
    for flow in facts.flows.found.values():
        track = flow.sequence
        sent = track.unique + track.lost
        if not track.lost or track.lost < LOSS * sent or _shares_numbers(flow, facts):
            continue
        share = track.lost / sent
        yield Finding(
            kind=replace(
                kinds.PACKETS_LOST, severity=Severity.FAILURE if share > MUCH_LOSS and sent > MANY else Severity.WARNING
            ),
            who=_named(flow),
            text=f"{track.lost:,} of {sent:,} sequence numbers between {track.first} and {track.highest} never came "
            f"({share:.1%}).",
            change=(
                (
                    f"Capture at {flow.source} too, to see whether they were sent. Look for queues, policers, and "
                    "packets that are too large once ESP is around them (lower the MTU of the tunnel, or clamp the "
                    "MSS)."
                ),
            ),
            evidence=numbered(facts, [flow.first_frame]),
            subject=_subject(flow),
        )


def replay(facts: CaptureFacts) -> Iterator[Finding]:
    """Sequence numbers that came more than once."""
    for flow in facts.flows.found.values():
        if not flow.replayed:
            continue
        yield Finding(
            kind=kinds.PACKETS_REPLAYED,
            who=_named(flow),
            text=f"{flow.sequence.replayed:,} packets have a sequence number that was there already; the receiver "
            "drops them.",
            change=(
                "If the capture has every packet twice (a mirror port of both directions, two interfaces): nothing.",
                (
                    "Else look for a loop or a bridge that doubles packets; for several paths or queues (QoS below "
                    "ESP): a larger replay window helps (strongSwan: replay_window, Libreswan: replay-window=)."
                ),
            ),
            evidence=numbered(facts, flow.replayed),
            certainty=Certainty.LIKELY,
            subject=_subject(flow),
        )


def unauthentic(facts: CaptureFacts) -> Iterator[Finding]:
    """Packets whose ICV is wrong under the keys of their SA."""
    for flow in facts.flows.found.values():
        count = flow.failures[DropReason.BAD_ICV]
        if not count:
            continue
        everything = not flow.opened
        yield Finding(
            kind=_WRONG_KEYS if everything else kinds.PACKETS_DAMAGED,
            who=_named(flow),
            text=f"The ICV of {count:,} packets is wrong"
            + (", and of none right." if everything else f", of {flow.opened:,} right."),
            change=(
                (
                    (
                        "The keys belong to another SA with this SPI, or the two sides derived different ones: "
                        "compare the suites."
                    ),
                )
                if everything
                else (
                    (
                        "Look for hardware that changes packets (offloads, NICs, NAT helpers); the receiver counts "
                        "them as integrity failures (`ip -s xfrm state`)."
                    ),
                )
            ),
            evidence=numbered(facts, flow.failed),
            certainty=Certainty.LIKELY,
            subject=_subject(flow),
        )


def one_way(facts: CaptureFacts) -> Iterator[Finding]:
    """Traffic between two hosts that goes in one direction only."""
    ways: dict[frozenset[str], dict[str, list[Flow]]] = {}
    for flow in facts.flows.found.values():
        ways.setdefault(flow.ends, {}).setdefault(flow.source, []).append(flow)
    for ends, sources in ways.items():
        flows = next(iter(sources.values()))
        packets = sum(flow.packets for flow in flows)
        sender, receiver = flows[0].source, flows[0].destination
        if len(sources) > 1 or len(ends) < 2 or packets < MANY or ip_address(receiver).is_multicast:
            continue
        # IKE that is seen both ways shows that the capture would have the other direction.
        sees_both = any(
            one.is_answered and one.request.sightings
            for conversation in facts.conversations.found
            if conversation.ends == ends
            for one in conversation.exchanges
        )
        yield Finding(
            kind=Kind(
                code="one-way-traffic",
                severity=Severity.FAILURE if sees_both else Severity.WARNING,
                title=f"{flows[0].protocol} goes one way only",
                clause="RFC 4301 section 4.1",
            ),
            who=f"{sender} > {receiver}",
            text=f"{packets:,} packets, and none in return"
            f"{'.' if sees_both else '; perhaps the capture sees one direction only.'}",
            change=(
                (
                    f"On {receiver}: look whether they arrive (capture), are opened (`ip -s xfrm state`), and are "
                    "forwarded to the hosts behind it (ip_forward, firewall, rp_filter, routes of these hosts back "
                    "to it)."
                ),
                f"Look for a firewall in front of {sender} that takes no {_carrier(flows[0])}.",
            ),
            evidence=numbered(facts, [flows[0].first_frame]),
            certainty=Certainty.LIKELY,
            subject=ends,
        )


def unreachable(facts: CaptureFacts) -> Iterator[Finding]:
    """ICMP errors about ESP and AH."""
    told = set()
    for error in facts.path.errors:
        if error.port or (error.reporter, error.text) in told:
            continue
        told.add((error.reporter, error.text))
        is_mtu = error.mtu > 0 or "too big" in error.text or "fragmentation" in error.text
        yield Finding(
            kind=Kind(
                code="esp-too-big" if is_mtu else "esp-unreachable",
                severity=Severity.WARNING if is_mtu else Severity.FAILURE,
                title="ESP packets are too big for the way" if is_mtu else "ESP does not get through",
                clause="RFC 4301 section 8.2" if is_mtu else "RFC 3948",
            ),
            who=error.reporter,
            text=f"It answers packets of {error.source} to {error.destination}: {error.text}"
            f"{f', at most {error.mtu} octets' if error.mtu else ''}.",
            change=(
                f"Lower the MTU of the tunnel or clamp the MSS so that ESP fits into {error.mtu or 'the way'}."
                if is_mtu
                else f"Allow IP protocols 50 and 51 between the two at {error.reporter}, or force encapsulation in UDP "
                "(strongSwan: encap = yes, Libreswan: encapsulation=yes).",
            ),
            evidence=numbered(facts, [error.frame]),
            subject=frozenset((error.source, error.destination)),
        )


def unknown_spi(conversation: Conversation, facts: CaptureFacts) -> Iterator[Finding]:
    """ESP on an SPI that no Child SA of a readable conversation has, or that its receiver does not know."""
    reported = [
        half
        for exchange in conversation.exchanges
        for half in (exchange.request, exchange.response)
        if half.notify(NotifyType.INVALID_SPI)
    ]
    if reported:
        notify = reported[0].notify(NotifyType.INVALID_SPI)
        spi = bytes(notify.data).hex() if notify else ""
        evidence = numbered(facts, [reported[0].sightings[0].frame])
        yield _no_sa(conversation, evidence, f"The receiver reports ESP on SPI {spi} (INVALID_SPI)", Certainty.CERTAIN)
        return
    if not is_readable(conversation) or conversation.forgotten or not any(children(conversation)):
        return
    known = {spi for agreed in children(conversation) for spi in agreed.spis}
    begun = conversation.exchanges[0].first.nanoseconds
    strangers = [
        flow
        for flow in facts.flows.found.values()
        if flow.ends == conversation.ends and flow.spi not in known and flow.last > begun + _SECOND
    ]
    if strangers:
        evidence = numbered(facts, [flow.first_frame for flow in strangers])
        shown = ", ".join(flow.spi.hex() for flow in strangers[:4])
        yield _no_sa(
            conversation, evidence, f"ESP on SPI {shown}, which no exchange in the capture made", Certainty.LIKELY
        )


def _no_sa(conversation: Conversation, evidence: tuple[Evidence, ...], what: str, certainty: Certainty) -> Finding:
    return Finding(
        kind=kinds.UNKNOWN_SPI,
        who=f"{conversation.initiator} and {conversation.responder}",
        text=f"{what}: one side still uses an SA that the other does not have.",
        change=(
            (
                "Let both sides notice dead peers sooner, and send INITIAL_CONTACT after a restart; or bring the "
                "tunnel up anew. If the SA is older than the capture: capture longer."
            ),
        ),
        evidence=evidence,
        certainty=certainty,
        subject=conversation.ends,
    )


def _shares_numbers(flow: Flow, facts: CaptureFacts) -> bool:
    """Whether its SA sends to several hosts (manual keys, multicast), which share one counter."""
    return any(
        other is not flow and (other.spi, other.source, other.protocol) == (flow.spi, flow.source, flow.protocol)
        for other in facts.flows.found.values()
    )


def _subject(flow: Flow) -> frozenset[str]:
    """Its ends and its SPI: what is told of one direction says nothing of the other."""
    return flow.ends | {flow.spi.hex()}


def _named(flow: Flow) -> str:
    return f"{flow.protocol} {flow.spi.hex()} {flow.source} > {flow.destination}"


def _carrier(flow: Flow) -> str:
    return "UDP 4500" if flow.in_udp else f"IP protocol {51 if flow.protocol == 'AH' else 50}"
