"""The failure table: causes by the part of the protocol in which they show, each a function from facts to findings."""

from collections.abc import Callable, Iterator

from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.causes import authentication, child, init, reachability
from ipsectest.explain.conversations import Conversation
from ipsectest.explain.findings import Finding

Cause = Callable[[Conversation, CaptureFacts], Iterator[Finding]]

OF_CONVERSATIONS: tuple[Cause, ...] = (
    init.proposal,
    init.group,
    init.cookies,
    init.version,
    reachability.unreachable,
    reachability.nat_traversal,
    reachability.large_message,
    authentication.refused,
    authentication.refused_unread,
    child.proposal,
    child.selectors_refused,
    child.narrowed,
    child.refused_unread,
    child.other_errors,
)
"""Asked of every IKE SA."""
