"""Named faults of our own endpoint: what scenario proofs are held against."""

from collections.abc import Iterable

from ipsectest.base.errors import UsageError
from ipsectest.ike.checks import Check
from ipsectest.ike.impair_answers import ANSWERS
from ipsectest.ike.impair_childless import CHILDLESS
from ipsectest.ike.impair_conduct import CONDUCT
from ipsectest.ike.impair_messages import MESSAGES
from ipsectest.ike.impair_nat_transport import NAT_TRANSPORT
from ipsectest.ike.impair_refusals import REFUSALS
from ipsectest.ike.impair_validation import VALIDATION
from ipsectest.ike.impairment import Impairment
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import Message

IMPAIRMENTS: dict[str, Impairment] = {
    impairment.name: impairment
    for table in (VALIDATION, REFUSALS, ANSWERS, MESSAGES, CONDUCT, CHILDLESS, NAT_TRANSPORT)
    for impairment in table
}
"""Every named fault."""


class _Impaired(Policy):
    """A policy with the faults that need no method of their own."""

    impairments: tuple[Impairment, ...] = ()
    skipped: frozenset[Check] = frozenset()

    def checks(self, check: Check) -> bool:
        return check not in self.skipped and super().checks(check)

    def incoming(self, sa: IkeSa | None, message: Message) -> Message | None:
        if any(fault.refuses and fault.refuses(sa, message) for fault in self.impairments):
            return None
        return super().incoming(sa, message)

    def outgoing(self, sa: IkeSa | None, message: Message) -> Message | None:
        for fault in self.impairments:
            if fault.edits is not None:
                fault.edits(sa, message)
        return super().outgoing(sa, message)


def impaired(policy: Policy, names: Iterable[str]) -> Policy:
    """A policy like this one with the named faults added; itself without names. UsageError for an unknown name."""
    if not (names := tuple(names)):
        return policy
    unknown = sorted(set(names) - set(IMPAIRMENTS))
    if unknown:
        raise UsageError(f"there is no impairment {unknown[0]!r}")
    faults = tuple(IMPAIRMENTS[name] for name in dict.fromkeys(names))
    mixins = tuple(fault.mixin for fault in faults if fault.mixin is not None)
    combined = type("ImpairedPolicy", (*mixins, _Impaired, type(policy)), {})
    result: _Impaired = combined()
    result.__dict__.update(vars(policy))
    result.impairments = faults
    result.skipped = frozenset(check for fault in faults for check in fault.skips)
    return result
