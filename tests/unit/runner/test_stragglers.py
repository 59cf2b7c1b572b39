"""What of a peer's datagrams is for the case that runs."""

import struct

from ipsectest.base.addresses import Address, Datagram
from ipsectest.runner.remote.stragglers import Stragglers

US, THEM = Address("192.0.2.1", 500), Address("192.0.2.2", 500)
NAT = Address("192.0.2.1", 4500)


def ike(spi: int, flags: int = 0x20) -> bytes:
    return struct.pack("!QQBBBBII", spi, 1, 33, 0x20, 34, flags, 0, 28)


def esp(spi: int) -> Datagram:
    return Datagram(struct.pack("!II", spi, 1) + bytes(16), THEM, NAT)


def test_answers_to_earlier_cases_do_not_reach_the_next() -> None:
    memory = Stragglers(is_asked=False)
    memory.sent(Datagram(ike(1, 0x08), US, THEM))
    assert memory.takes(Datagram(ike(1), THEM, US))
    assert memory.takes(esp(0x1000))
    memory.next_case()
    assert not memory.takes(Datagram(ike(1), THEM, US))
    assert not memory.takes(esp(0x1000))
    memory.sent(Datagram(ike(2, 0x08), US, THEM))
    assert memory.takes(Datagram(ike(2), THEM, US))
    assert memory.takes(Datagram(bytes(4) + ike(2), THEM, NAT))
    assert not memory.takes(Datagram(bytes(4) + ike(1), THEM, NAT))
    assert memory.takes(esp(0x1001))


def test_a_peer_that_initiates_by_itself_is_not_heard_unless_somebody_asks_it_to() -> None:
    unasked = Datagram(ike(7, 0x08), THEM, US)
    assert not Stragglers(is_asked=False).takes(unasked)
    assert Stragglers(is_asked=True).takes(unasked)


def test_what_is_no_message_is_passed_on() -> None:
    memory = Stragglers(is_asked=False)
    for data in (b"", b"\xff", bytes(7), bytes(4)):
        assert memory.takes(Datagram(data, THEM, US))
        assert memory.takes(Datagram(data, THEM, NAT))
