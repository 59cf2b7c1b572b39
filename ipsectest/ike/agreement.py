"""Key shares of an exchange: made once per group, finished without an exception for what the peer sent."""

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto import InvalidPublicValueError, KeyShare, UnsupportedAlgorithmError, key_exchange
from ipsectest.ike.checks import Check
from ipsectest.ike.context import Context

_BAD_SECRET = bytes(32)
"""Stands for the secret when a bad public value is let through."""


class _Unknown:
    """The share of a group we cannot compute: random octets, so that a script can still offer it."""

    def __init__(self, random: RandomBytes) -> None:
        self.public = random(256)

    def finish(self, peer_public: bytes) -> bytes:
        """Never agrees."""
        raise InvalidPublicValueError(f"no implementation for this group ({len(peer_public)} octets)")


def share_for(shares: dict[int, KeyShare], group: int, random: RandomBytes) -> KeyShare:
    """The share of a group: the one in ``shares``, or a fresh one put there."""
    if group not in shares:
        try:
            shares[group] = key_exchange(group).initiate(random)
        except UnsupportedAlgorithmError:
            shares[group] = _Unknown(random)
    return shares[group]


def respond(group: int, peer_public: bytes, ctx: Context) -> tuple[bytes, bytes] | None:
    """Our public value and the secret for an initiator's value; None if that is bad (RFC 6989)."""
    try:
        return key_exchange(group).respond(peer_public, ctx.random)
    except (InvalidPublicValueError, UnsupportedAlgorithmError):
        if ctx.policy.checks(Check.PUBLIC_VALUE):
            return None
        return share_for({}, group, ctx.random).public, _BAD_SECRET


def finish(share: KeyShare | None, peer_public: bytes, ctx: Context) -> bytes | None:
    """The secret from a responder's value; None if that is bad or there is no share of that group."""
    if share is None:
        return None
    try:
        return share.finish(peer_public)
    except InvalidPublicValueError:
        return None if ctx.policy.checks(Check.PUBLIC_VALUE) else _BAD_SECRET
