"""The life of an IKE SA as one literal table: state x message -> action and the states it may lead to.

Three rules. Everything that is not in the table is dropped. A message gets here only after retransmission,
window and integrity checks, so the table judges genuine, fresh messages (IKE_SA_INIT responses excepted,
which nothing protects). Whether an allowed request is granted (RFC 7296 section 2.25.1) is asked of
``collisions``, since it depends on Child SAs, not on the state of the IKE SA.

IKE_SA_INIT requests do not appear: they make IKE SAs and are matched by ``half_open``.
"""

from enum import Enum
from typing import NamedTuple

from ipsectest.base.iana import ExchangeType


class State(Enum):
    """Where an IKE SA stands."""

    IDLE = "idle"
    INIT_SENT = "IKE_SA_INIT sent"
    AUTH_SENT = "IKE_AUTH sent"
    INIT_ANSWERED = "IKE_SA_INIT answered"
    """Responder: half open."""
    ESTABLISHED = "established"
    REKEYING = "rekeying"
    """We have asked to replace this IKE SA (RFC 7296 section 1.3.2)."""
    REKEYED = "rekeyed"
    """Replaced; the peer is to delete this one."""
    DELETING = "deleting"
    """We have sent a Delete for it."""
    CLOSED = "closed"


class Kind(Enum):
    """What a message is, as far as the table cares."""

    INIT_RESPONSE = "IKE_SA_INIT response"
    AUTH_REQUEST = "IKE_AUTH request"
    AUTH_RESPONSE = "IKE_AUTH response"
    CREATE_CHILD_REQUEST = "CREATE_CHILD_SA request"
    REKEY_CHILD_REQUEST = "CREATE_CHILD_SA request (rekey Child SA)"
    REKEY_IKE_REQUEST = "CREATE_CHILD_SA request (rekey IKE SA)"
    CREATE_CHILD_RESPONSE = "CREATE_CHILD_SA response"
    INFORMATIONAL_REQUEST = "INFORMATIONAL request"
    INFORMATIONAL_RESPONSE = "INFORMATIONAL response"
    OTHER_REQUEST = "other request"
    OTHER_RESPONSE = "other response"


class Action(Enum):
    """What to do with a message."""

    DROP = "drop"
    TAKE_INIT_RESPONSE = "take the choice, derive keys, send IKE_AUTH"
    ANSWER_AUTH = "authenticate the peer, answer"
    TAKE_AUTH_RESPONSE = "authenticate the peer"
    ANSWER_CREATE_CHILD = "answer with a Child SA"
    ANSWER_REKEY_IKE = "answer with an IKE SA"
    TAKE_CREATE_CHILD_RESPONSE = "take the new SA over"
    ANSWER_INFORMATIONAL = "answer, close what is deleted"
    TAKE_INFORMATIONAL_RESPONSE = "finish the INFORMATIONAL"
    REFUSE_FOR_NOW = "answer TEMPORARY_FAILURE"
    REFUSE_SYNTAX = "answer INVALID_SYNTAX, close"


class Row(NamedTuple):
    """An action and the states that may follow."""

    action: Action
    following: tuple[State, ...]


_DROP = Row(Action.DROP, ())
_REFUSED_FOR_NOW = Action.REFUSE_FOR_NOW

TABLE: dict[State, dict[Kind, Row]] = {
    State.IDLE: {},
    State.INIT_SENT: {
        Kind.INIT_RESPONSE: Row(Action.TAKE_INIT_RESPONSE, (State.INIT_SENT, State.AUTH_SENT, State.CLOSED)),
    },
    State.AUTH_SENT: {
        # A responder's own requests may overtake its IKE_AUTH response; they will be retransmitted.
        Kind.AUTH_RESPONSE: Row(Action.TAKE_AUTH_RESPONSE, (State.ESTABLISHED, State.DELETING, State.CLOSED)),
    },
    State.INIT_ANSWERED: {
        Kind.AUTH_REQUEST: Row(Action.ANSWER_AUTH, (State.ESTABLISHED, State.CLOSED)),
    },
    State.ESTABLISHED: {
        Kind.CREATE_CHILD_REQUEST: Row(Action.ANSWER_CREATE_CHILD, (State.ESTABLISHED, State.CLOSED)),
        Kind.REKEY_CHILD_REQUEST: Row(Action.ANSWER_CREATE_CHILD, (State.ESTABLISHED, State.CLOSED)),
        Kind.REKEY_IKE_REQUEST: Row(Action.ANSWER_REKEY_IKE, (State.ESTABLISHED, State.REKEYED, State.CLOSED)),
        Kind.CREATE_CHILD_RESPONSE: Row(Action.TAKE_CREATE_CHILD_RESPONSE, (State.ESTABLISHED, State.CLOSED)),
        Kind.INFORMATIONAL_REQUEST: Row(Action.ANSWER_INFORMATIONAL, (State.ESTABLISHED, State.CLOSED)),
        Kind.INFORMATIONAL_RESPONSE: Row(Action.TAKE_INFORMATIONAL_RESPONSE, (State.ESTABLISHED, State.CLOSED)),
        Kind.AUTH_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
        Kind.OTHER_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
    },
    State.REKEYING: {
        # RFC 7296 section 2.25.2: no Child SAs meanwhile; a crossing rekey of the IKE SA is answered as usual.
        Kind.CREATE_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.REKEYING,)),
        Kind.REKEY_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.REKEYING,)),
        Kind.REKEY_IKE_REQUEST: Row(Action.ANSWER_REKEY_IKE, (State.REKEYING, State.CLOSED)),
        Kind.CREATE_CHILD_RESPONSE: Row(
            Action.TAKE_CREATE_CHILD_RESPONSE,
            (State.REKEYING, State.ESTABLISHED, State.REKEYED, State.DELETING, State.CLOSED),
        ),
        Kind.INFORMATIONAL_REQUEST: Row(Action.ANSWER_INFORMATIONAL, (State.REKEYING, State.CLOSED)),
        Kind.INFORMATIONAL_RESPONSE: Row(Action.TAKE_INFORMATIONAL_RESPONSE, (State.REKEYING, State.CLOSED)),
        Kind.AUTH_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
        Kind.OTHER_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
    },
    State.REKEYED: {
        Kind.CREATE_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.REKEYED,)),
        Kind.REKEY_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.REKEYED,)),
        Kind.REKEY_IKE_REQUEST: Row(_REFUSED_FOR_NOW, (State.REKEYED,)),
        Kind.CREATE_CHILD_RESPONSE: Row(Action.TAKE_CREATE_CHILD_RESPONSE, (State.REKEYED, State.CLOSED)),
        Kind.INFORMATIONAL_REQUEST: Row(Action.ANSWER_INFORMATIONAL, (State.REKEYED, State.CLOSED)),
        Kind.INFORMATIONAL_RESPONSE: Row(Action.TAKE_INFORMATIONAL_RESPONSE, (State.REKEYED, State.CLOSED)),
        Kind.AUTH_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
        Kind.OTHER_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
    },
    State.DELETING: {
        Kind.CREATE_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.DELETING,)),
        Kind.REKEY_CHILD_REQUEST: Row(_REFUSED_FOR_NOW, (State.DELETING,)),
        Kind.REKEY_IKE_REQUEST: Row(_REFUSED_FOR_NOW, (State.DELETING,)),
        Kind.CREATE_CHILD_RESPONSE: Row(Action.TAKE_CREATE_CHILD_RESPONSE, (State.DELETING, State.CLOSED)),
        Kind.INFORMATIONAL_REQUEST: Row(Action.ANSWER_INFORMATIONAL, (State.DELETING, State.CLOSED)),
        Kind.INFORMATIONAL_RESPONSE: Row(Action.TAKE_INFORMATIONAL_RESPONSE, (State.DELETING, State.CLOSED)),
        Kind.AUTH_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
        Kind.OTHER_REQUEST: Row(Action.REFUSE_SYNTAX, (State.CLOSED,)),
    },
    State.CLOSED: {},
}

_KINDS: dict[tuple[int, bool], Kind] = {
    (ExchangeType.IKE_SA_INIT, True): Kind.INIT_RESPONSE,
    (ExchangeType.IKE_AUTH, False): Kind.AUTH_REQUEST,
    (ExchangeType.IKE_AUTH, True): Kind.AUTH_RESPONSE,
    (ExchangeType.CREATE_CHILD_SA, False): Kind.CREATE_CHILD_REQUEST,
    (ExchangeType.CREATE_CHILD_SA, True): Kind.CREATE_CHILD_RESPONSE,
    (ExchangeType.INFORMATIONAL, False): Kind.INFORMATIONAL_REQUEST,
    (ExchangeType.INFORMATIONAL, True): Kind.INFORMATIONAL_RESPONSE,
}


def kind_of(exchange_type: int, *, is_response: bool) -> Kind:
    """The kind of a message by its header; which CREATE_CHILD_SA requests rekey is told by their payloads."""
    default = Kind.OTHER_RESPONSE if is_response else Kind.OTHER_REQUEST
    return _KINDS.get((exchange_type, is_response), default)


def row(state: State, kind: Kind) -> Row:
    """What the table says; DROP where it says nothing."""
    return TABLE[state].get(kind, _DROP)


def mermaid() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2"]
    lines += [f"    {state.name}: {state.value}" for state in State]
    lines += ["    [*] --> IDLE", "    IDLE --> INIT_SENT: initiate", "    IDLE --> INIT_ANSWERED: IKE_SA_INIT request"]
    lines += ["    ESTABLISHED --> REKEYING: rekey_ike", "    ESTABLISHED --> DELETING: delete_ike"]
    for state, kinds in TABLE.items():
        for kind, (action, following) in kinds.items():
            lines += [f"    {state.name} --> {then.name}: {kind.value} / {action.value}" for then in following]
    return "\n".join([*lines, "    CLOSED --> [*]", ""])
