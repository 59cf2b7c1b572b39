"""The failure table: causes by the part of the protocol in which they show, each a function from facts to findings."""

from collections.abc import Callable, Iterator

from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes import (
    authentication,
    certificates,
    child,
    cookies,
    encapsulation,
    fragments,
    ikev1,
    init,
    reachability,
    slowness,
    traffic,
)
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Finding

OfCapture = Callable[[CaptureFacts], Iterator[Finding]]
Cause = Callable[[Conversation, CaptureFacts], Iterator[Finding]]

OF_CONVERSATIONS: tuple[Cause, ...] = (
    init.proposal,
    init.group,
    cookies.cookies,
    init.version,
    init.stopped,
    reachability.unreachable,
    reachability.nat_traversal,
    reachability.large_message,
    reachability.silent_auth,
    reachability.dead_peer,
    reachability.answers_lost,
    slowness.answers_late,
    fragments.of_ike,
    encapsulation.through_nat,
    authentication.refused,
    authentication.refused_unread,
    certificates.invalid,
    child.proposal,
    child.selectors_refused,
    child.narrowed,
    child.refused_unread,
    child.create_refused_unread,
    child.other_errors,
    traffic.unknown_spi,
)
"""Asked of every IKE SA."""

OF_CAPTURES: tuple[OfCapture, ...] = (
    ikev1.ikev1,
    fragments.of_ip,
    traffic.loss,
    traffic.replay,
    traffic.unauthentic,
    traffic.one_way,
    traffic.unreachable,
)
"""Asked of every capture."""
