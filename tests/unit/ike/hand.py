"""Two ends driven by hand, one exchange at a time, with fixed randomness."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ExchangeType
from ipsectest.ike import ike_sa_init, protect
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, SharedKey
from ipsectest.ike.context import Context, Outcome, Overrides, Verdict
from ipsectest.ike.exchanges import EXCHANGES
from ipsectest.ike.policy import Policy
from ipsectest.ike.protect import Unsealed
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.tasks import Task
from ipsectest.wire import Message, Payload, TrafficSelector, build_message, parse_message

ALICE, BOB = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
PSK = SharedKey(b"a secret only for tests")
NET_A, NET_B = TrafficSelector.of("198.51.100.0/24"), TrafficSelector.of("203.0.113.0/24")


def connection(*, at_alice: bool, child: dict[str, object] | None = None, **changes: object) -> ConnectionConfig:
    """One end of the connection between alice and bob."""
    here, there = (ALICE, BOB) if at_alice else (BOB, ALICE)
    local_ts, remote_ts = ((NET_A,), (NET_B,)) if at_alice else ((NET_B,), (NET_A,))
    names = [Identity.of("alice.example"), Identity.of("bob.example")]
    ours, theirs = names if at_alice else names[::-1]
    children = (ChildConfig("net", local_ts, remote_ts, **(child or {})),)
    base = ConnectionConfig("test", here, there, ours, theirs, PSK, PSK, children)
    return replace(base, **changes)


@dataclass
class End:
    """One side of a hand-driven conversation."""

    config: EndpointConfig
    random: Callable[[int], bytes]
    sa: IkeSa
    policy: Policy = field(default_factory=Policy)

    def context(self, overrides: Overrides | None = None, task: Task | None = None) -> Context:
        return Context(self.config, self.random, self.policy, overrides=overrides or Overrides(), task=task)


@dataclass
class Hand:
    """Both ends and what the last exchange came to."""

    alice: End
    bob: End
    request: list[Payload] = field(default_factory=list)
    response: list[Payload] = field(default_factory=list)

    def init(
        self, ours: Overrides | None = None, theirs: Overrides | None = None, ctx: Context | None = None
    ) -> tuple[Verdict, Verdict]:
        """IKE_SA_INIT once; (bob's verdict, alice's verdict)."""
        sa, ctx = self.alice.sa, ctx or self.alice.context(ours)
        message = sa.header(ExchangeType.IKE_SA_INIT, 0)
        message.payloads = self.request = ike_sa_init.compose_request(sa, ctx)
        octets = build_message(message)
        sa.sent(octets)
        request = parse_message(octets)
        self.bob.sa = peer = IkeSa.responder(request, self.bob.sa.connection, BOB, ALICE)
        peer.received(octets)
        answering = self.bob.context(theirs)
        given = ike_sa_init.read_request(peer, request, answering)
        self.response = ike_sa_init.compose_response(peer, request, given, answering)
        answer = peer.header(ExchangeType.IKE_SA_INIT, 0, response=True)
        answer.payloads = self.response
        raw = build_message(answer)
        peer.sent(raw)
        sa.received(raw)
        return given, ike_sa_init.read_response(sa, parse_message(raw), ctx)

    def exchange(
        self,
        kind: int,
        task: Task | None = None,
        *,
        ours: Overrides | None = None,
        theirs: Overrides | None = None,
        from_bob: bool = False,
        ctx: Context | None = None,
        edit: Callable[[Message], None] = lambda _: None,
    ) -> tuple[Verdict, Verdict]:
        """One protected exchange; (responder's verdict, initiator's verdict)."""
        here, there = (self.bob, self.alice) if from_bob else (self.alice, self.bob)
        module, ctx = EXCHANGES[kind], ctx or here.context(ours, task)
        message = here.sa.header(kind, here.sa.take_message_id())
        message.payloads = self.request = module.compose_request(here.sa, ctx)
        edit(message)
        request = opened(there.sa, protect.seal(here.sa, message, here.random))
        answering = there.context(theirs)
        given = module.read_request(there.sa, request, answering)
        answer = there.sa.header(kind, message.message_id, response=True)
        answer.payloads = self.response = module.compose_response(there.sa, request, given, answering)
        return given, module.read_response(here.sa, opened(here.sa, protect.seal(there.sa, answer, there.random)), ctx)

    def establish(self) -> None:
        """IKE_SA_INIT and IKE_AUTH."""
        assert [v.outcome for v in self.init()] == [Outcome.OK, Outcome.OK]
        assert [v.outcome for v in self.exchange(ExchangeType.IKE_AUTH)] == [Outcome.OK, Outcome.OK]


def opened(sa: IkeSa, octets: bytes) -> Message:
    unsealed = protect.unseal(sa, parse_message(octets))
    assert isinstance(unsealed, Unsealed), unsealed
    return unsealed.message


def make_hand(
    alice: ConnectionConfig | None = None,
    bob: ConnectionConfig | None = None,
    policies: tuple[Policy, Policy] | None = None,
) -> Hand:
    """A conversation between two ends with changed connections or policies."""
    alice, bob = alice or connection(at_alice=True), bob or connection(at_alice=False)
    ends = []
    for seed, (one, policy) in enumerate(zip((alice, bob), policies or (Policy(), Policy()), strict=True)):
        generator = random.Random(seed).randbytes
        config = EndpointConfig((one.local.host,), (one,))
        ends.append(End(config, generator, IkeSa.initiator(one, generator), policy))
    return Hand(*ends)
