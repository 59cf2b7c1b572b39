"""ESP that comes before its SA waits for it, and what waits is bounded."""

import pytest

from ipsectest.base.addresses import Address, Datagram
from ipsectest.net import early_datagrams
from ipsectest.net.early_datagrams import AT_ONCE, EarlyDatagrams

HERE, THERE = Address("192.0.2.1", 4500), Address("192.0.2.2", 4500)
SPI, OTHER = b"\xc0\0\0\1", b"\xc0\0\0\2"


def esp(spi: bytes, octets: int = 40) -> Datagram:
    return Datagram(spi.ljust(octets, b"x"), THERE, HERE)


def test_packets_of_an_spi_wait_in_their_order_and_others_do_not() -> None:
    early, packets = EarlyDatagrams(), [esp(SPI, 40 + number) for number in range(3)]
    early.hold(SPI)
    early.hold(SPI)
    assert [early.keep(packet, 1.0) for packet in (*packets, esp(OTHER), Datagram(b"\xc0", THERE, HERE))] == [
        True, True, True, False, False,
    ]  # fmt: skip
    assert early.release(SPI) == packets
    assert early.release(SPI) == early.release(OTHER) == []
    assert not early.keep(packets[0], 1.0)
    assert (early.kept, early.refused) == (3, 0)


def test_packets_octets_and_spis_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_datagrams, "PACKETS", 3)
    monkeypatch.setattr(early_datagrams, "OCTETS", 200)
    early = EarlyDatagrams()
    for spi in (SPI, OTHER):
        early.hold(spi)
    assert [early.keep(esp(SPI), 1.0) for _ in range(4)] == [True, True, True, False]
    assert [early.keep(esp(OTHER, octets), 1.0) for octets in (81, 80, 4)] == [False, True, False]
    assert early.refused == 3
    assert len(early.release(SPI)) == 3
    assert early.keep(esp(OTHER, 120), 1.0)  # there is room again
    early.release(OTHER)
    spis = [number.to_bytes(4, "big") for number in range(1000, 1001 + AT_ONCE)]
    for spi in spis:
        early.hold(spi)
    assert [early.keep(esp(spi, 4), 1.0) for spi in (spis[-2], spis[-1])] == [True, False]


def test_they_wait_for_seconds_from_the_first_packet_on() -> None:
    early = EarlyDatagrams()
    early.hold(SPI)
    assert early.get_timer() is None
    early.keep(esp(SPI), 10.0)
    early.keep(esp(SPI), 12.0)
    assert early.get_timer() == 10.0 + early_datagrams.SECONDS
    assert (early.overdue(14.9), early.overdue(15.0)) == ([], [SPI])
    early.release(SPI)
    assert (early.get_timer(), early.overdue(99.0)) == (None, [])
