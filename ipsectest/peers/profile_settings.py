"""Settings of two ends of which one speaks like a profile: what that one is, and what the other needs to meet it."""

from dataclasses import replace
from ipaddress import ip_address

from ipsectest.base.iana import ConfigurationAttributeType
from ipsectest.crypto.pki import subject_text
from ipsectest.scenario.ports import Identity, PeerSettings, Selector
from ipsectest.scenario.profile import ROLES, Offer, Profile

INITIATOR, RESPONDER = ROLES
ADDRESS_OF = {4: ConfigurationAttributeType.INTERNAL_IP4_ADDRESS, 6: ConfigurationAttributeType.INTERNAL_IP6_ADDRESS}
"""IP version -> attribute with which an initiator asks for an address, and gets it."""


def meet(own: PeerSettings, other: PeerSettings, profile: Profile, role: str) -> tuple[PeerSettings, PeerSettings]:
    """``own`` speaking like the profile in its role, and ``other`` as the vendor's guides set a gateway up for it.

    The suites of ``other`` stay; it is known by its address where the profile is. Who asks for an address gets the one
    that it has behind it, if that is all it has.
    """
    kind = profile.identities[own.local_auth]
    mine = _identity(kind, own)
    theirs = _identity(kind, other) if kind == "address" else other.local_id
    own = replace(
        own,
        ike=profile.ike.of(role),
        esp=profile.esp.of(role),
        local_id=mine,
        remote_id=theirs,
        dpd=profile.liveness.interval,
        childless="never",
        ike_lifetime=_until_rekey(profile.ike),
        child_lifetime=_until_rekey(profile.esp),
    )
    if profile.selectors and own.mode == "tunnel":
        everywhere = tuple(Selector.of(prefix) for prefix in profile.selectors)
        own = replace(own, local_ts=everywhere, remote_ts=everywhere)
    other = replace(other, remote_id=mine, local_id=theirs)
    asks = ADDRESS_OF[ip_address(own.inner_local).version] in profile.announces.configuration
    if role == INITIATOR and asks and other.remote_ts == (Selector.of(own.inner_local),):
        other = replace(other, pool=own.inner_local)
    return own, other


def _until_rekey(offer: Offer) -> float:
    return offer.lifetime - offer.margin if offer.rekeys else 0.0


def _identity(kind: str, settings: PeerSettings) -> Identity:
    host = settings.local.host
    match kind:
        case "address":
            return Identity(f"ipv{ip_address(host).version}", host)
        case "dn":
            return Identity("dn", subject_text(settings.local_id.value))
        case _:
            return settings.local_id
