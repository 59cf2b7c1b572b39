"""The state table, walked: every state with every kind of message, and what it promises about the next state."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.base.iana import ExchangeType, NotifyType, ProtocolId
from ipsectest.ike import endpoint as endpoint_module
from ipsectest.ike import states
from ipsectest.ike.session import Incoming, Session
from ipsectest.ike.states import TABLE, Action, Kind, State, row
from ipsectest.wire import Delete, Message, Nonce, Notify, Payload
from tests.pair.world import World


def test_every_state_has_a_row_and_every_action_a_handler() -> None:
    assert set(TABLE) == set(State)
    used = {entry.action for kinds in TABLE.values() for entry in kinds.values()}
    assert used | {Action.DROP} == set(Action)
    assert set(endpoint_module._HANDLERS) == used


@given(st.sampled_from(State), st.sampled_from(Kind))
@settings(max_examples=500)
def test_every_pair_has_an_answer(state: State, kind: Kind) -> None:
    entry = row(state, kind)
    assert isinstance(entry.action, Action)
    assert (entry.action is Action.DROP) == (not entry.following)
    is_request = kind.value.partition(" (")[0].endswith("request")
    if is_request and state in {State.ESTABLISHED, State.REKEYING, State.REKEYED, State.DELETING}:
        # RFC 7296 section 2.21.3: on an authenticated IKE SA no request goes unanswered.
        assert entry.action is not Action.DROP
    if state in {State.IDLE, State.CLOSED}:
        assert entry.action is Action.DROP


def test_kind_is_told_by_the_header() -> None:
    for exchange in range(256):
        for is_response in (False, True):
            kind = states.kind_of(exchange, is_response=is_response)
            assert kind.value.partition(" (")[0].endswith("response" if is_response else "request")
    assert states.kind_of(ExchangeType.INFORMATIONAL, is_response=True) is Kind.INFORMATIONAL_RESPONSE


def test_diagram_has_every_state_and_transition() -> None:
    diagram = states.mermaid()
    assert diagram.startswith("stateDiagram-v2\n")
    for state in State:
        assert state.name in diagram
    for state, kinds in TABLE.items():
        for kind, entry in kinds.items():
            for following in entry.following:
                assert f"    {state.name} --> {following.name}: {kind.value} / {entry.action.value}" in diagram


PAYLOADS: list[list[Payload]] = [
    [],
    [Delete(ProtocolId.IKE)],
    [Delete(ProtocolId.ESP, [b"\1\2\3\4"])],
    [Notify(NotifyType.INVALID_SYNTAX)],
    [Notify(NotifyType.TEMPORARY_FAILURE)],
    [Notify(NotifyType.REKEY_SA, protocol=3, spi=b"\1\2\3\4"), Nonce(bytes(32))],
    [Notify(NotifyType.AUTHENTICATION_FAILED)],
]
SITUATIONS = ["established", "rekeying ike", "rekeying child", "deleting", "rekeyed", "closed"]


def situation(name: str, seed: int) -> tuple[World, Session]:
    """A world in which alice's session is in a state of interest, with its requests held back."""
    world = World(seed)
    world.establish()
    alice = world.alice.endpoint
    (session,) = alice._sessions.values()
    if name == "rekeyed":
        world.bob.endpoint.rekey_ike(world.bob.ike(), 0.0)
        held = world.hold()
        world.collect()
        world.held = None
        world.settle()
        for datagram in held:
            world.deliver(datagram)
        return world, session
    held = world.hold()
    if name == "rekeying ike":
        alice.rekey_ike(session.sa, 0.0)
    elif name == "rekeying child":
        alice.rekey_child(world.alice.children()[0], 0.0)
    elif name == "deleting":
        alice.delete_ike(session.sa, 0.0)
    elif name == "closed":
        session.close("for the test", 0.0)
    return world, session


@pytest.mark.parametrize("name", SITUATIONS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_a_message_leads_only_where_the_table_says(name: str, data: st.DataObject) -> None:
    world, session = situation(name, 1)
    before = session.sa.state
    exchange = data.draw(st.sampled_from([35, 36, 37, 38, 43]))
    is_response = data.draw(st.booleans())
    payloads = data.draw(st.sampled_from(PAYLOADS))
    ids = list(session.send.requests) if is_response else [session.receive.next_id]
    message = Message(
        session.sa.spi_i, session.sa.spi_r, exchange, 0x20 if is_response else 0, (ids or [0])[0], list(payloads)
    )
    kind = states.kind_of(exchange, is_response=is_response)
    if is_response:
        request = session.send.requests.get(message.message_id)
        if request is None or request.message.exchange_type != exchange:
            return
    incoming = Incoming(message, random.Random(0).randbytes(40), session.sa.remote, session.sa.local, 0.0)
    drop = world.alice.endpoint._dispatch(session, incoming)
    entry = row(before, incoming.kind)
    assert kind is incoming.kind or kind is Kind.CREATE_CHILD_REQUEST
    if entry.action is Action.DROP:
        assert drop is not None
        assert session.sa.state is before
    else:
        assert session.sa.state in entry.following
