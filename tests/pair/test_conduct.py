"""What an endpoint does by itself, and how it takes what goes wrong."""

from collections.abc import Callable

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import ExchangeType, NotifyType, ProtocolId
from ipsectest.ike import protect
from ipsectest.ike.config import Mode, Retransmission, suites
from ipsectest.ike.events import (
    ChildInstalled,
    ChildRemoved,
    ExchangeFailed,
    IkeClosed,
    IkeEstablished,
    PeerMoved,
    PeerNotify,
)
from ipsectest.ike.policy import Policy
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.states import State
from ipsectest.wire import Delete, Message, Nonce, Notify, TrafficSelector, VendorID, parse_message
from tests.pair.world import ALICE, BOB, World, connection


def test_quiet_peer_is_asked_and_a_dead_one_given_up() -> None:
    world = World(liveness_interval=10.0, retransmission=Retransmission(1.0, 2.0, 3))
    world.establish()
    world.run(35)
    assert len(world.sent) >= 4 + 2 * 3
    assert world.drops() == []
    world.agree()
    world.route = lambda _: []
    world.run(100)
    assert world.closed()
    assert world.alice.seen(ChildRemoved)
    assert world.alice.seen(IkeClosed)[0].reason == "no response"


def test_peer_behind_a_nat_is_followed_after_a_genuine_message_only() -> None:
    world = World(bob=connection(at_alice=False, remote=Address("%any")))
    outside = [Address("192.0.2.99", 40000)]

    def translate(datagram: Datagram) -> Datagram:
        if datagram.source.host == ALICE.host:
            return Datagram(datagram.data, outside[0], datagram.destination)
        return Datagram(datagram.data, datagram.source, world.alice.endpoint.sessions()[0].local)

    original = world.fly
    world.fly = lambda datagram, delay=0.0: original(translate(datagram), delay)  # type: ignore[method-assign]
    world.establish()
    old, outside[0] = outside[0], Address("192.0.2.98", 50000)
    repeated = Datagram(world.sent[-2].data, outside[0], BOB)
    assert repeated.data[4 + 18] == ExchangeType.IKE_AUTH
    world.bob.endpoint.receive_datagram(repeated.data, repeated.source, Address(BOB.host, 4500), world.now)
    world.bob.endpoint.datagrams_to_send(world.now)
    assert world.bob.ike().remote == old
    world.alice.endpoint.liveness(world.alice.ike(), world.now)
    world.settle()
    assert world.bob.ike().remote == outside[0]
    (moved,) = world.bob.seen(PeerMoved)
    assert (moved.old, moved.new) == (old, outside[0])
    assert not world.alice.seen(PeerMoved)


def test_ipv6_ends_talk_as_well() -> None:
    here, there = Address("2001:db8::1", 500), Address("2001:db8::2", 500)
    nets = (TrafficSelector.of("2001:db8:1::/48"),), (TrafficSelector.of("2001:db8:2::/48"),)
    world = World(
        alice=connection(at_alice=True, local=here, remote=there, child={"local_ts": nets[0], "remote_ts": nets[1]}),
        bob=connection(at_alice=False, local=there, remote=here, child={"local_ts": nets[1], "remote_ts": nets[0]}),
    )
    world.establish()
    world.agree()
    assert not world.alice.ike().local_behind_nat


@pytest.mark.parametrize("modes", [(Mode.TRANSPORT, Mode.TRANSPORT), (Mode.TRANSPORT, Mode.TUNNEL)])
def test_transport_mode_or_no_child(modes: tuple[Mode, Mode]) -> None:
    world = World(
        alice=connection(at_alice=True, child={"mode": modes[0]}),
        bob=connection(at_alice=False, child={"mode": modes[1]}),
    )
    world.establish()
    world.agree()
    granted = modes[1] is Mode.TRANSPORT
    assert [c.mode for c in world.alice.installed().values()] == ([Mode.TRANSPORT] if granted else [])


@pytest.mark.parametrize("fault", ["answers-other-key-length", "answers-all-transforms"])
def test_child_that_the_initiator_cannot_use_is_deleted_at_the_responder(fault: str) -> None:
    world = World()
    world.establish()
    impaired = World(impairments=((), (fault,)))
    assert impaired.bob.endpoint.policy is not world.bob.endpoint.policy
    world.bob.endpoint.policy = impaired.bob.endpoint.policy
    child = world.alice.connection.children[0]
    world.alice.endpoint.create_child(world.alice.ike(), child, world.now)
    world.settle()
    world.agree()
    assert len(world.bob.seen(ChildInstalled)) == 2
    assert len(world.bob.installed()) == 1
    assert world.alice.seen(ExchangeFailed)


def test_endless_temporary_failure_ends_the_ike_sa() -> None:
    class Stubborn(Policy):
        def fault(self, sa: IkeSa, request: Message) -> Notify | None:
            del sa
            is_create = request.exchange_type == ExchangeType.CREATE_CHILD_SA
            return Notify(NotifyType.TEMPORARY_FAILURE) if is_create else None

    world = World(policies=(Policy(), Stubborn()))
    world.establish()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.settle()
    before = len(world.sent)
    world.run(0.4)
    assert len(world.sent) == before
    world.run(1000)
    assert world.closed()
    assert "TEMPORARY_FAILURE" in world.alice.seen(IkeClosed)[0].reason


def send_to_bob(world: World, exchange: int, edit: Callable[[Message], None], message_id: int | None = None) -> Message:
    """A protected request made with alice's keys; bob's response, opened."""
    sa = world.alice.ike()
    message = sa.header(exchange, sa.take_message_id() if message_id is None else message_id)
    edit(message)
    world.deliver(Datagram(protect.seal(sa, message, world.dice.randbytes), ALICE, BOB))
    (answer,) = [d for d in world.sent if d.source == BOB][-1:]
    opened = protect.unseal(sa, parse_message(answer.data))
    assert isinstance(opened, protect.Unsealed)
    return opened.message


@pytest.mark.parametrize("exchange", [ExchangeType.IKE_AUTH, ExchangeType.IKE_SESSION_RESUME, 200])
def test_exchange_out_of_place_is_invalid_syntax_and_the_end(exchange: int) -> None:
    world = World()
    world.establish()
    answer = send_to_bob(world, exchange, lambda _: None)
    assert answer.payloads == [Notify(NotifyType.INVALID_SYNTAX)]
    assert world.bob.seen(IkeClosed)


def test_invalid_syntax_in_a_response_ends_the_ike_sa_at_both_ends() -> None:
    world = World()
    world.establish()
    world.alice.endpoint.inform(world.alice.ike(), [Nonce(bytes(32)), Nonce(bytes(32))], world.now)
    world.settle()
    assert world.closed()
    assert NotifyType.INVALID_SYNTAX.name in world.alice.seen(IkeClosed)[0].reason


def test_notifies_of_the_peer_are_told() -> None:
    world = World()
    world.establish()
    told = Notify(NotifyType.INVALID_SPI, b"\1\2\3\4")
    world.alice.endpoint.inform(world.alice.ike(), [told, VendorID(b"x")], world.now)
    world.settle()
    assert [e.notify for e in world.bob.seen(PeerNotify)] == [told]
    world.agree()


def test_authentication_failed_in_informational_ends_the_ike_sa() -> None:
    world = World()
    world.establish()
    answer = send_to_bob(
        world,
        ExchangeType.INFORMATIONAL,
        lambda message: message.payloads.append(Notify(NotifyType.AUTHENTICATION_FAILED)),
    )
    assert answer.payloads == []
    assert world.bob.seen(IkeClosed)


def test_request_out_of_the_window_is_dropped_and_told_only_on_demand() -> None:
    class Reporting(Policy):
        def reports_bad_message_ids(self) -> bool:
            return True

    for policy, messages in ((Policy(), 0), (Reporting(), 1)):
        world = World(policies=(Policy(), policy))
        world.establish()
        sa = world.alice.ike()
        message = sa.header(ExchangeType.INFORMATIONAL, 7)
        before = len(world.sent)
        world.deliver(Datagram(protect.seal(sa, message, world.dice.randbytes), ALICE, BOB))
        assert len(world.sent) - before == messages
        assert "message-id" in world.drops()
        world.settle()
        notifies = [e.notify for e in world.alice.seen(PeerNotify)]
        assert notifies == [Notify(NotifyType.INVALID_MESSAGE_ID, bytes([0, 0, 0, 7]))] * messages
        world.agree()


def test_delete_of_an_unknown_child_is_answered_empty() -> None:
    world = World()
    world.establish()
    answer = send_to_bob(
        world,
        ExchangeType.INFORMATIONAL,
        lambda message: message.payloads.append(Delete(ProtocolId.ESP, [b"\1\2\3\4"])),
    )
    assert answer.payloads == []
    assert world.bob.installed()


@pytest.mark.parametrize("group", ["modp2048", "ecp256", "x448"])
def test_other_groups_carry_a_whole_conversation(group: str) -> None:
    ike, esp = suites(f"aes128gcm16-prfsha256-{group}"), {"proposals": suites(f"aes128gcm16-{group}")}
    world = World(
        alice=connection(at_alice=True, proposals=ike, child=esp),
        bob=connection(at_alice=False, proposals=ike, child=esp),
    )
    world.establish()
    world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
    world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
    world.run(60)
    world.agree()
    assert len(world.alice.seen(IkeEstablished)) == 2


def test_verbs_on_what_is_gone_are_lookup_errors() -> None:
    world = World()
    sa = world.establish()
    child = world.alice.children()[0]
    world.alice.endpoint.delete_ike(sa, world.now)
    world.settle()
    assert sa.state is State.CLOSED
    with pytest.raises(LookupError):
        world.alice.endpoint.liveness(sa, world.now)
    with pytest.raises(LookupError):
        world.alice.endpoint.rekey_child(child, world.now)


def test_verbs_on_a_replaced_ike_sa_reach_its_successor() -> None:
    world = World()
    sa = world.establish()
    world.alice.endpoint.rekey_ike(sa, world.now)
    world.settle()
    world.alice.endpoint.create_child(sa, world.alice.connection.children[0], world.now)
    world.settle()
    world.agree()
    assert len(world.alice.installed()) == 2
