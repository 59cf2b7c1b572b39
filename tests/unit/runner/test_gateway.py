"""When the data plane of a gateway takes up Child SAs, switches to them and lets them go."""

import random
from collections import deque

from ipsectest.base.addresses import Address
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, SharedKey, suites
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.sa import IkeSa
from ipsectest.ipsec.gateway import Gateway
from ipsectest.runner.gateway import LINGER, ChildSas
from ipsectest.wire import TrafficSelector

NETS = ("198.51.100.0/24", "203.0.113.0/24")
KEY = SharedKey(b"a secret")


class Side:
    """An endpoint and its data plane, in memory."""

    def __init__(self, number: int) -> None:
        hosts = ["192.0.2.1", "192.0.2.2"]
        (local, near), (remote, far) = sorted(zip(hosts, NETS, strict=True), reverse=bool(number))
        child = ChildConfig("net", (TrafficSelector.of(near),), (TrafficSelector.of(far),), suites("aes128gcm16-noesn"))
        ends = Address(local, 500), Address(remote, 500), Identity.of(local), Identity.of(remote)
        self.connection = ConnectionConfig("pair", *ends, KEY, KEY, (child,))
        config = EndpointConfig((local,), (self.connection,))
        self.endpoint = Endpoint(config, random.Random(number).randbytes)
        self.gateway = Gateway()
        self.children = ChildSas(self.gateway)

    def follow(self, now: float) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self.children.take(event, now)

    def sends_on(self) -> bytes:
        return self.gateway.tunnels()[-1].spi


def exchange(sides: tuple[Side, Side], now: float, limit: int = 99) -> None:
    """Carry datagrams to and fro, ``limit`` of them at most."""
    waiting: deque = deque()
    for _ in range(limit):
        for side in sides:
            side.follow(now)
            waiting.extend(side.endpoint.datagrams_to_send(now))
        if not waiting:
            break
        datagram = waiting.popleft()
        side = sides[datagram.destination.host == "192.0.2.2"]
        side.endpoint.receive_datagram(datagram.data, datagram.source, datagram.destination, now)
    for side in sides:
        side.follow(now)


def connected() -> tuple[tuple[Side, Side], IkeSa]:
    sides = Side(0), Side(1)
    sa = sides[0].endpoint.initiate(sides[0].connection, 0.0)
    exchange(sides, 0.0)
    assert [len(side.children.pairs) for side in sides] == [1, 1]
    return sides, sa


def test_who_answers_a_rekey_sends_on_the_old_child_sa_until_it_is_deleted() -> None:
    sides, sa = connected()
    (old,) = sa.children.values()
    sides[0].endpoint.rekey_child(old, 1.0)
    exchange(sides, 1.0, limit=1)  # the request has arrived, its response has not
    responder = sides[1]
    assert len(responder.children.pairs) == 2
    assert responder.sends_on() == old.spi_in
    exchange(sides, 1.0)
    (new,) = sa.children.values()
    assert responder.sends_on() == new.spi_in
    assert sides[0].sends_on() == new.spi_out


def test_a_removed_child_sa_lingers_for_what_is_under_way() -> None:
    sides, sa = connected()
    (old,) = sides[1].gateway.tunnels()
    sides[0].endpoint.delete_child(next(iter(sa.children.values())), 5.0)
    exchange(sides, 5.0)
    receiver = sides[0]
    assert not receiver.gateway.tunnels()
    assert old.spi in receiver.gateway._inbound
    assert receiver.children.get_timer() == 5.0 + LINGER
    receiver.children.handle_timer(5.0 + LINGER)
    assert old.spi not in receiver.gateway._inbound
    assert receiver.children.get_timer() is None
