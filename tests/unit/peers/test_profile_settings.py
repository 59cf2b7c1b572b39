"""What both ends are told where one speaks like a profile."""

from dataclasses import replace

import pytest

from ipsectest.base.addresses import Address
from ipsectest.peers.profile_settings import meet
from ipsectest.scenario import profile_files
from ipsectest.scenario.ports import Authentication, Identity, Selector
from tests.unit.peers.settings import mirrored, settings

EVERYWHERE = Selector.of("0.0.0.0/0")


@pytest.mark.parametrize("role", ["initiator", "responder"])
def test_a_gateway_that_is_known_by_its_address(role: str) -> None:
    before, aws = settings(), profile_files.named("aws")
    own, other = meet(before, mirrored(before), aws, role)
    assert (own.ike, own.esp) == (aws.ike.proposals, aws.esp.proposals)
    assert own.local_id == other.remote_id == Identity("ipv4", "192.0.2.254")
    assert own.remote_id == other.local_id == Identity("ipv4", "192.0.2.1")
    assert own.local_ts == own.remote_ts == (EVERYWHERE,)
    assert (own.ike_lifetime, own.child_lifetime, own.dpd) == (28800 - 540, 3600 - 540, 10)
    assert replace(other, remote_id=before.local_id, local_id=before.remote_id) == mirrored(before)


def test_offers_and_what_is_accepted_may_differ() -> None:
    azure = profile_files.named("azure")
    sizes = [len(meet(settings(), mirrored(settings()), azure, role)[0].esp) for role in ("initiator", "responder")]
    assert sizes == [6, 26]


def test_a_client_with_a_certificate_is_known_by_its_subject_and_given_its_address() -> None:
    before = settings(local_auth=Authentication.RSA, remote_auth=Authentication.RSA)
    own, other = meet(before, mirrored(before), profile_files.named("windows"), "initiator")
    assert own.local_id == other.remote_id == Identity("dn", "O=ipsectest, CN=peer.example")
    assert own.remote_id == other.local_id == before.remote_id
    assert other.pool == before.inner_local
    assert own.local_ts == (EVERYWHERE, Selector.of("::/0"))


def test_who_protects_a_network_is_given_no_address() -> None:
    before = settings(local_ts=(Selector.of("203.0.113.0/24"),))
    assert meet(before, mirrored(before), profile_files.named("apple"), "initiator")[1].pool == ""


def test_a_policy_based_gateway_and_transport_mode_keep_their_selectors() -> None:
    before = settings()
    assert meet(before, mirrored(before), profile_files.named("cisco-ios"), "initiator")[0].local_ts == before.local_ts
    before = settings(mode="transport")
    assert meet(before, mirrored(before), profile_files.named("fortigate"), "initiator")[0].local_ts == before.local_ts


def test_an_address_of_either_ip_version() -> None:
    before = settings(local=Address("2001:db8::1", 500))
    own, _ = meet(before, mirrored(before), profile_files.named("cisco-ios"), "initiator")
    assert own.local_id == Identity("ipv6", "2001:db8::1")
