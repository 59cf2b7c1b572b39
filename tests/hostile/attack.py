"""Hostile datagrams for a responder: nothing may raise, nothing may pile up, honest peers still get in."""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import ExchangeType
from ipsectest.ike import protect
from ipsectest.ike.config import EndpointConfig
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.events import ChildInstalled, Event, IkeEstablished
from ipsectest.ike.protect import Sealing
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.states import State
from ipsectest.wire import SK, Message, build_payloads, parse_message
from tests.hostile.mutation import chain, message, mutate, noise, with_true_length
from tests.pair.world import ALICE, BOB, connection

TICK = 0.001
"""Seconds of the endpoint's time between two datagrams: half-open IKE SAs come, age and go."""
LOOK = 0.05
"""Seconds between two looks at its clock."""
_MARKER = bytes(4)
_NAT_T = Address(BOB.host, 4500)


@dataclass
class Tally:
    """What became of the datagrams."""

    kinds: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    handshakes: int = 0
    most_sas: int = 0
    most_children: int = 0
    slowest: float = 0.0
    """Seconds of CPU that the slowest datagram took."""


class Attack:
    """One responder and everything that is thrown at it, reproducible by its seed.

    ``cookie_threshold`` above ``max_half_open`` lets every well-formed IKE_SA_INIT make an IKE SA.
    """

    def __init__(self, seed: int, *, guarded: bool, tick: float = TICK) -> None:
        self.dice = random.Random(seed)
        self.now = self._next_look = 0.0
        self.tick = tick
        self.tally = Tally()
        given = connection(at_alice=False)
        config = EndpointConfig((BOB.host,), (given,), cookie_threshold=16 if guarded else 10_000)
        self.bob = Endpoint(config, self.dice.randbytes)
        self.recorded: list[bytes] = []
        """Real messages in both directions, newest last."""
        self.kept: list[tuple[IkeSa, int, int, bytes]] = []
        """Real requests in clear: IKE SA, exchange type, first payload type, chain."""
        self.kinds: dict[str, Callable[[], bytes]] = {
            "noise": lambda: noise(self.dice),
            "random payloads": self._random_payloads,
            "mutated IKE_SA_INIT": self._mutated_init,
            "mutated, live SPIs": self._mutated_live,
            "replayed": lambda: self.dice.choice(self.recorded),
            "sealed mutant": self._sealed_mutant,
            "sealed random payloads": self._sealed_random,
            "sealed mutant of IKE_AUTH": self._sealed_auth,
        }
        self._weights = (22, 22, 20, 20, 5, 6, 2, 3)
        self.renew()

    # The live handshake that mutants come from

    def renew(self) -> None:
        """A new IKE SA with a Child SA by an honest initiator; AssertionError if it gets none."""
        alice, sa = self._initiate()
        self._converse(alice)
        seen = [event for event in iter(alice.next_event, None) if isinstance(event, IkeEstablished | ChildInstalled)]
        assert len(seen) == 2, f"an honest handshake failed: {seen}"
        self.tally.handshakes += 1
        child = alice.config.connections[0].children[0]
        verbs: tuple[Callable[[], None], ...] = (
            lambda: alice.create_child(sa, child, self.now),
            lambda: alice.rekey_child(next(iter(sa.children.values())), self.now),
            lambda: alice.liveness(sa, self.now),
        )
        for verb in verbs if self.dice.random() < 0.1 or not self.kept else ():
            verb()
            self._converse(alice)
        self.live = sa
        self.next_id = sa.next_request_id

    def _initiate(self) -> tuple[Endpoint, IkeSa]:
        """An honest initiator that is about to send its first message."""
        alice = Endpoint(EndpointConfig((ALICE.host,), (connection(at_alice=True),)), self.dice.randbytes)
        return alice, alice.initiate(alice.config.connections[0], self.now)

    def _converse(self, alice: Endpoint) -> None:
        """Carry datagrams both ways until there are none."""
        while sent := alice.datagrams_to_send(self.now):
            for datagram in sent:
                self.recorded.append(datagram.data)
                self._keep(alice, datagram.data)
                for answer in self.give(datagram):
                    self.recorded.append(answer.data)
                    alice.receive_datagram(answer.data, answer.source, answer.destination, self.now)

    def _keep(self, alice: Endpoint, data: bytes) -> None:
        """What a request of alice's says inside SK, as long as she waits for the response."""
        parsed = parse_message(data)
        for session in alice._sessions.values():
            request = session.send.requests.get(parsed.message_id)
            if request is not None and parsed.exchange_type != ExchangeType.IKE_SA_INIT:
                first, octets = build_payloads(request.message.payloads)
                self.kept.append((session.sa, parsed.exchange_type, first, octets))
        del self.recorded[:-64]
        del self.kept[:-8]

    # Datagrams

    def _spis(self) -> bytes:
        return self.dice.choice(
            (self.live.spi_i + self.live.spi_r, self.live.spi_i + bytes(8), self.dice.randbytes(8) + bytes(8))
        )

    def _random_payloads(self) -> bytes:
        return message(self.dice, self._spis())

    def _mutated_init(self) -> bytes:
        """An IKE_SA_INIT request with another SPIi, so that it is not taken for a repetition."""
        inits = [data for data in self.recorded if data[18:20] == b"\x22\x08"]
        data = self.dice.randbytes(8) + self.dice.choice(inits or self.recorded)[8:]
        return with_true_length(mutate(data, self.dice)) if self.dice.random() < 0.9 else data

    def _mutated_live(self) -> bytes:
        data = mutate(self.dice.choice(self.recorded), self.dice)
        if self.dice.random() < 0.7:
            data = self.live.spi_i + self.live.spi_r + data[16:]
        if self.dice.random() < 0.5:
            data = data[:20] + self.next_id.to_bytes(4, "big") + data[24:]
        return with_true_length(data) if self.dice.random() < 0.8 else data

    def _sealed_auth(self) -> bytes:
        """An IKE_AUTH request changed inside SK, for an IKE SA that waits for it."""
        alice, sa = self._initiate()
        while (request := alice._sessions[sa.spi_i].send.requests.get(1)) is None:
            for datagram in alice.datagrams_to_send(self.now):
                for answer in self.give(datagram):
                    alice.receive_datagram(answer.data, answer.source, answer.destination, self.now)
        first, octets = build_payloads(request.message.payloads)
        return self._seal(sa, request.message, first, mutate(octets, self.dice))

    def _sealed_mutant(self) -> bytes:
        """A real request of the live IKE SA, changed inside SK and sealed with the right keys."""
        _, exchange, first, octets = self.dice.choice(self.kept)
        if self.dice.random() < 0.1:
            first = self.dice.randrange(256)
        header = self.live.header(exchange, self.next_id, response=self.dice.random() < 0.05)
        return self._seal(self.live, header, first, mutate(octets, self.dice))

    def _sealed_random(self) -> bytes:
        header = self.live.header(self.dice.choice((35, 36, 36, 37, 37, 43, 240)), self.next_id)
        return self._seal(self.live, header, *chain(self.dice))

    def _seal(self, sa: IkeSa, header: Message, first: int, octets: bytes) -> bytes:
        plaintext = octets + b"\0" if self.dice.random() < 0.95 else octets
        how = Sealing(plaintext=plaintext or b"\0", payload=SK(b"", first=first))
        return protect.seal(sa, header, self.dice.randbytes, how)

    # The run

    def run(self, count: int) -> None:
        """Throw so many datagrams; AssertionError tells the datagram that something raised for."""
        for kind in self.dice.choices(tuple(self.kinds), self._weights, k=count):
            self.tally.kinds[kind] += 1
            data = self.kinds[kind]()
            source = ALICE if self.dice.random() < 0.8 else Address(f"192.0.2.{self.dice.randrange(1, 255)}", 40000)
            nat_t = self.dice.random() < 0.2
            sent = Datagram((_MARKER + data) if nat_t else data, source, _NAT_T if nat_t else BOB)
            self.give(sent)
            self._note()

    def give(self, sent: Datagram) -> list[Datagram]:
        """Hand one datagram to the responder; what it answers."""
        self.now += self.tick
        started = time.thread_time()
        try:
            self.bob.receive_datagram(sent.data, sent.source, sent.destination, self.now)
            if self.now >= self._next_look:
                self._next_look = self.now + LOOK
                if (timer := self.bob.get_timer()) is not None and timer <= self.now:
                    self.bob.handle_timer(self.now)
            answers = self.bob.datagrams_to_send(self.now)
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error} for {sent.source} {sent.data.hex()}") from error
        self.tally.slowest = max(self.tally.slowest, time.thread_time() - started)
        self.tally.answers += len(answers)
        for event in iter(self.bob.next_event, None):
            self._count(event)
        return answers

    def _count(self, event: Event) -> None:
        self.tally.events[type(event).__name__] += 1

    def _note(self) -> None:
        """Follow the Message IDs of the live IKE SA, and replace it when it is gone."""
        sessions = self.bob._sessions
        self.tally.most_sas = max(self.tally.most_sas, len(sessions))
        session = sessions.get(self.live.spi_r)
        if session is None or session.sa.state is not State.ESTABLISHED:
            self.renew()
            return
        self.next_id = session.receive.next_id
        self.tally.most_children = max(self.tally.most_children, len(session.sa.children))
