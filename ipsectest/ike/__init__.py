"""IKEv2 as a sans-IO engine: both roles, no socket, no clock, no random source.

Two ways in.

**Endpoint** (``endpoint.Endpoint``) plays a whole IKEv2 node: windows, retransmission, state table,
policy. Feed it datagrams and time, take datagrams and events from it.

**By hand**, one exchange at a time: what a script does that wants to deviate. The same functions, which
``Endpoint`` calls too, live in one module per exchange (``ike_sa_init``, ``ike_auth``, ``create_child_sa``,
``informational``; ``EXCHANGES`` in ``exchanges`` maps the exchange type to its module)::

    compose_request(sa, ctx) -> list[Payload]              initiator of the exchange
    read_request(sa, message, ctx) -> Verdict              its responder: negotiates, fills sa and ctx.pending
    compose_response(sa, message, verdict, ctx) -> list[Payload]
    read_response(sa, message, ctx) -> Verdict             initiator: takes the choice over, derives keys

``message`` is always a ``wire.Message`` whose ``payloads`` are the plain ones: the message itself for
IKE_SA_INIT, ``unsealed.message`` afterwards. ``ctx`` is one ``Context`` per exchange; a repeated request
(COOKIE, INVALID_KE_PAYLOAD) uses the same one. None of these functions raises for what a peer sent.

As initiator of the IKE SA::

    sa = IkeSa.initiator(connection, random)                            # picks SPIi
    ctx = Context(config, random, overrides=Overrides(group=31))
    message = sa.header(ExchangeType.IKE_SA_INIT, 0)  # SPIs and flags; ID 0 in repetitions too
    message.payloads = ike_sa_init.compose_request(sa, ctx)             # edit them freely now
    octets = build_message(message); sa.sent(octets)                    # the last IKE_SA_INIT sent is what AUTH signs
    sa.received(raw); verdict = ike_sa_init.read_response(sa, parse_message(raw), ctx)
    # verdict.outcome: OK (sa.keys are there), RETRY (compose_request again), REFUSED, FATAL

    ctx = Context(config, random)
    message = sa.header(ExchangeType.IKE_AUTH, sa.take_message_id())
    message.payloads = ike_auth.compose_request(sa, ctx)
    octets = protect.seal(sa, message, random)
    unsealed = protect.unseal(sa, parse_message(raw))                   # Unsealed | Drop
    verdict = ike_auth.read_response(sa, unsealed.message, ctx)         # verdict.child: the first Child SA

As responder::

    sa = IkeSa.responder(request, connection, local, remote); sa.received(raw)
    verdict = ike_sa_init.read_request(sa, request, ctx)
    payloads = ike_sa_init.compose_response(sa, request, verdict, ctx)  # any verdict: also the error
    message = sa.header(request.exchange_type, request.message_id, response=True)  # after composing: SPIr is taken then

CREATE_CHILD_SA and INFORMATIONAL requests do what ``ctx.task`` says (``tasks``: ``CreateChild``, ``RekeyChild``,
``RekeyIke``, ``DeleteIke``, ``DeleteChildren``, ``Liveness``, ``Inform``); their verdicts carry ``child`` (a new
Child SA, already in ``sa.children``), ``new_sa`` (the IKE SA that a rekey made) or ``deleted`` (Child SAs closed).
"""
