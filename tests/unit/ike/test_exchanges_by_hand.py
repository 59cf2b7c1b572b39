"""The four exchanges as a script drives them: correct ones, and deviations that keep keys consistent."""

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType, ProtocolId
from ipsectest.ike.config import Identity, Mode, SharedKey, suites
from ipsectest.ike.context import Outcome, Overrides
from ipsectest.ike.sa import ChildSa
from ipsectest.ike.tasks import CreateChild, DeleteChildren, DeleteIke, Liveness, RekeyChild, RekeyIke
from ipsectest.wire import KE, SA, Delete, Nonce, Notify, TrafficSelector, UnknownPayload
from tests.unit.ike.hand import NET_A, NET_B, Hand, connection, make_hand

INIT, AUTH, CREATE, INFO = (
    ExchangeType.IKE_SA_INIT,
    ExchangeType.IKE_AUTH,
    ExchangeType.CREATE_CHILD_SA,
    ExchangeType.INFORMATIONAL,
)


def assert_paired(one: ChildSa | None, other: ChildSa | None) -> None:
    assert one is not None
    assert other is not None
    assert (one.spi_in, one.spi_out) == (other.spi_out, other.spi_in)
    assert one.keys.encryption_in == other.keys.encryption_out != one.keys.encryption_out
    assert one.keys.integrity_in == other.keys.integrity_out
    assert one.local_ts == other.remote_ts
    assert one.remote_ts == other.local_ts


def test_both_ends_have_the_same_ike_keys_after_init(hand: Hand) -> None:
    given, taken = hand.init()
    assert given.ok
    assert taken.ok
    assert hand.alice.sa.keys == hand.bob.sa.keys is not None
    assert str(hand.alice.sa.chosen) == str(hand.bob.sa.chosen)


def test_ike_auth_makes_a_child_with_mirrored_keys(hand: Hand) -> None:
    hand.init()
    given, taken = hand.exchange(AUTH)
    assert_paired(given.child, taken.child)
    assert hand.bob.sa.remote_identity == hand.alice.sa.connection.local_identity


def test_request_order_is_that_of_the_figures(hand: Hand) -> None:
    hand.init()
    assert [type(p).__name__ for p in hand.request[:3]] == ["SA", "KE", "Nonce"]
    hand.exchange(AUTH)
    assert [type(p).__name__ for p in hand.request] == ["IDi", "IDr", "AUTH", "SA", "TSi", "TSr"]
    assert [type(p).__name__ for p in hand.response] == ["IDr", "AUTH", "SA", "TSi", "TSr"]


def test_wrong_group_is_refused_with_the_right_one_and_the_repetition_succeeds() -> None:
    offer = suites("aes128gcm16-prfsha256-modp3072-x25519")
    hand = make_hand(
        connection(at_alice=True, proposals=offer),
        connection(at_alice=False, proposals=suites("aes128gcm16-prfsha256-x25519")),
    )
    ctx = hand.alice.context()
    given, taken = hand.init(ctx=ctx)
    assert given.notify == Notify(NotifyType.INVALID_KE_PAYLOAD, b"\x00\x1f")
    assert taken.outcome is Outcome.RETRY
    assert hand.alice.sa.spi_r == bytes(8)
    given, taken = hand.init(ctx=ctx)
    assert given.ok
    assert taken.ok
    assert hand.alice.sa.keys == hand.bob.sa.keys
    hand.exchange(AUTH)


def test_overridden_group_offers_a_fresh_share_of_it(hand: Hand) -> None:
    given, _ = hand.init(Overrides(group=14))
    ke = next(p for p in hand.request if isinstance(p, KE))
    assert (ke.group, len(ke.data)) == (14, 256)
    assert given.notify is not None
    assert given.notify.notify_type == NotifyType.INVALID_KE_PAYLOAD


def test_unknown_group_can_be_offered(hand: Hand) -> None:
    hand.init(Overrides(group=4711))
    assert next(p for p in hand.request if isinstance(p, KE)).group == 4711


@pytest.mark.parametrize("length", [16, 256])
def test_overridden_nonces_enter_the_keys(hand: Hand, length: int) -> None:
    given, taken = hand.init(Overrides(nonce=b"i" * length), Overrides(nonce=b"r" * length))
    assert given.ok
    assert taken.ok
    assert hand.alice.sa.keys == hand.bob.sa.keys
    assert hand.bob.sa.nonce_i == b"i" * length
    assert hand.alice.sa.nonce_r == b"r" * length


def test_short_nonce_is_invalid_syntax(hand: Hand) -> None:
    given, taken = hand.init(Overrides(nonce=b"i" * 15))
    assert given.notify == Notify(NotifyType.INVALID_SYNTAX)
    assert taken.outcome is Outcome.DROPPED


def test_no_common_suite_is_no_proposal_chosen(hand: Hand) -> None:
    given, taken = hand.init(Overrides(suites=suites("3des-sha1-prfsha1-modp1024")))
    assert given.notify == Notify(NotifyType.NO_PROPOSAL_CHOSEN)
    assert taken.outcome is Outcome.DROPPED
    assert taken.notify == given.notify


def test_responder_can_answer_a_suite_that_was_not_offered(hand: Hand) -> None:
    _, taken = hand.init(theirs=Overrides(suites=suites("aes192-sha1-prfsha1-x25519")))
    assert taken.outcome is Outcome.DROPPED


def test_wrong_key_fails_authentication_at_the_responder(hand: Hand) -> None:
    hand.init()
    given, taken = hand.exchange(AUTH, ours=Overrides(credential=SharedKey(b"another")))
    assert given.outcome is Outcome.FATAL
    assert hand.response == [Notify(NotifyType.AUTHENTICATION_FAILED)]
    assert taken.outcome is Outcome.FATAL
    assert taken.due is None


def test_wrong_key_of_the_responder_is_told_in_a_message_of_its_own(hand: Hand) -> None:
    hand.init()
    given, taken = hand.exchange(AUTH, theirs=Overrides(credential=SharedKey(b"another")))
    assert given.ok
    assert taken.outcome is Outcome.FATAL
    assert taken.due == Notify(NotifyType.AUTHENTICATION_FAILED)


def test_other_peer_identity_fails_authentication(hand: Hand) -> None:
    hand.init()
    given, _ = hand.exchange(AUTH, ours=Overrides(identity=Identity.of("mallory.example")))
    assert given.notify == Notify(NotifyType.AUTHENTICATION_FAILED)


def test_failed_child_leaves_the_ike_sa(hand: Hand) -> None:
    hand.init()
    given, taken = hand.exchange(AUTH, ours=Overrides(local_ts=[TrafficSelector.of("192.0.2.128/25")]))
    assert given.outcome is taken.outcome is Outcome.CHILD_FAILED
    assert taken.notify == Notify(NotifyType.TS_UNACCEPTABLE)
    given, taken = hand.exchange(CREATE, CreateChild(hand.alice.sa.connection.children[0]))
    assert_paired(given.child, taken.child)


def test_selectors_are_narrowed_to_the_common_part(hand: Hand) -> None:
    hand.init()
    wide = [TrafficSelector.of("198.51.0.0/16"), TrafficSelector.of("2001:db8::/32")]
    _, taken = hand.exchange(AUTH, ours=Overrides(local_ts=wide))
    assert taken.child is not None
    assert taken.child.local_ts == (NET_A,)
    assert taken.child.remote_ts == (NET_B,)


def test_selectors_wider_than_offered_are_abandoned(hand: Hand) -> None:
    hand.init()
    _, taken = hand.exchange(AUTH, theirs=Overrides(remote_ts=[TrafficSelector.of("198.51.0.0/16")]))
    assert taken.outcome is Outcome.CHILD_FAILED
    assert taken.abandon is not None
    assert not hand.alice.sa.children


@pytest.mark.parametrize("esp", ["aes128gcm16", "aes128-sha256-x25519", "chacha20poly1305-modp2048-modpnone"])
@pytest.mark.parametrize("from_bob", [False, True])
def test_child_is_created_and_rekeyed_with_and_without_pfs(esp: str, from_bob: bool) -> None:
    child = {"proposals": suites(esp)}
    hand = make_hand(connection(at_alice=True, child=child), connection(at_alice=False, child=child))
    hand.establish()
    end = hand.bob if from_bob else hand.alice
    given, taken = hand.exchange(CREATE, CreateChild(end.sa.connection.children[0]), from_bob=from_bob)
    assert_paired(given.child, taken.child)
    given, taken = hand.exchange(CREATE, RekeyChild(taken.child), from_bob=from_bob)
    assert_paired(given.child, taken.child)
    assert given.child.replaces.spi_in == taken.child.replaces.spi_out
    assert any(isinstance(p, KE) for p in hand.response) == (esp != "aes128gcm16")
    assert len(hand.alice.sa.children) == 3


def test_child_rekey_retries_with_the_group_demanded() -> None:
    hand = make_hand(
        connection(at_alice=True, child={"proposals": suites("aes128gcm16-modp2048-x25519")}),
        connection(at_alice=False, child={"proposals": suites("aes128gcm16-x25519")}),
    )
    hand.establish()
    ctx = hand.alice.context(task=RekeyChild(next(iter(hand.alice.sa.children.values()))))
    given, taken = hand.exchange(CREATE, ctx=ctx)
    assert given.notify.data == b"\x00\x1f"
    assert taken.outcome is Outcome.RETRY
    given, taken = hand.exchange(CREATE, ctx=ctx)
    assert_paired(given.child, taken.child)


def test_rekey_of_an_unknown_child_names_it(hand: Hand) -> None:
    hand.establish()
    child = next(iter(hand.alice.sa.children.values()))
    hand.bob.sa.children.clear()
    given, taken = hand.exchange(CREATE, RekeyChild(child))
    assert given.notify == Notify(NotifyType.CHILD_SA_NOT_FOUND, protocol=ProtocolId.ESP, spi=child.spi_in)
    assert taken.outcome is Outcome.REFUSED


@pytest.mark.parametrize("from_bob", [False, True])
def test_ike_sa_is_rekeyed_and_the_new_one_works(hand: Hand, from_bob: bool) -> None:
    hand.establish()
    given, taken = hand.exchange(CREATE, RekeyIke(), from_bob=from_bob)
    assert [type(p) for p in hand.request] == [SA, Nonce, KE]
    assert given.new_sa.keys == taken.new_sa.keys is not None
    assert taken.new_sa.is_initiator
    assert not given.new_sa.is_initiator
    alice, bob = (given, taken) if from_bob else (taken, given)
    hand.alice.sa, hand.bob.sa = alice.new_sa, bob.new_sa
    assert hand.exchange(INFO, Liveness())[1].ok
    assert hand.exchange(INFO, Liveness(), from_bob=True)[1].ok
    again = hand.exchange(CREATE, RekeyIke(), from_bob=not from_bob)
    assert again[0].new_sa.keys == again[1].new_sa.keys != given.new_sa.keys


def test_delete_of_a_child_is_answered_with_its_pair(hand: Hand) -> None:
    hand.establish()
    child = next(iter(hand.alice.sa.children.values()))
    given, taken = hand.exchange(INFO, DeleteChildren((child,)))
    assert hand.request == [Delete(ProtocolId.ESP, [child.spi_in])]
    assert hand.response == [Delete(ProtocolId.ESP, [child.spi_out])]
    assert given.deleted[0].spi_in == child.spi_out
    assert taken.deleted == (child,)
    assert not hand.alice.sa.children
    assert not hand.bob.sa.children


def test_delete_of_the_ike_sa_is_answered_empty(hand: Hand) -> None:
    hand.establish()
    given, taken = hand.exchange(INFO, DeleteIke())
    assert given.deletes_ike
    assert taken.deletes_ike
    assert hand.response == []


@pytest.mark.parametrize(
    ("wish", "grant", "outcome"),
    [(True, True, Outcome.OK), (True, False, Outcome.CHILD_FAILED), (False, True, Outcome.OK)],
)
def test_transport_mode_needs_both(wish: bool, grant: bool, outcome: Outcome) -> None:
    modes = {True: Mode.TRANSPORT, False: Mode.TUNNEL}
    hand = make_hand(
        connection(at_alice=True, child={"mode": modes[wish]}), connection(at_alice=False, child={"mode": modes[grant]})
    )
    hand.init()
    given, taken = hand.exchange(AUTH)
    assert taken.outcome is outcome
    assert given.child.mode is modes[wish and grant]


def test_unknown_critical_payload_is_named(hand: Hand) -> None:
    hand.establish()
    odd = UnknownPayload(200, b"?", critical=True)
    given, taken = hand.exchange(INFO, Liveness(), edit=lambda message: message.payloads.append(odd))
    assert given.notify == Notify(NotifyType.UNSUPPORTED_CRITICAL_PAYLOAD, b"\xc8")
    assert taken.outcome is Outcome.REFUSED
    odd.critical = False
    given, _ = hand.exchange(INFO, Liveness(), edit=lambda message: message.payloads.append(odd))
    assert given.ok
