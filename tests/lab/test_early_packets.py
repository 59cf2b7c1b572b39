"""Packets that wait in the kernel for their SA. Needs nftables with queues; test_xfrm_guest.py gives such a kernel.

No SA is needed to see it: a raw or UDP socket gets what goes past the hook where packets wait.
"""

import os
import random
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from errno import ENOENT
from functools import partial

import pytest

from ipsectest.net import early_packets
from ipsectest.net.early_packets import EarlyPackets
from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop
from tests.lab.two_namespaces import Pair, joined, require_lab

pytestmark = pytest.mark.lab

SPI, OTHER, THIRD = b"\x12\x34\x56\x78", b"\x12\x34\x56\x79", b"\x9a\xbc\xde\xf0"
ENDS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}
ESP, AH, PORT = 50, 51, 4500
CAP = 10.0
FORMS = [("esp", 4), ("esp", 6), ("udp", 4), ("udp", 6), ("ah", 4), ("ah", 6)]


class Ends:
    """A sender on the left, a receiver on the right where packets are kept."""

    def __init__(self, stack: ExitStack, pair: Pair, form: str, version: int) -> None:
        self.form, self.right = form, pair.right
        family = socket.AF_INET6 if version == 6 else socket.AF_INET
        kind, protocol = (socket.SOCK_DGRAM, 0) if form == "udp" else (socket.SOCK_RAW, {"esp": ESP, "ah": AH}[form])
        self._skip = 20 if form != "udp" and version == 4 else 0  # a raw socket of IPv4 gives its header
        self.to = (ENDS[version][1], PORT if form == "udp" else 0)
        made = []
        for name, address in ((pair.left, ENDS[version][0]), (pair.right, ENDS[version][1])):
            one = inside(name, lambda: socket.socket(family, kind, protocol))
            stack.callback(one.close)
            one.bind((address, PORT if form == "udp" else 0))
            made.append(one)
        self.sender, self.receiver = made
        self.receiver.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE
        self.receiver.settimeout(CAP)
        self.loop = stack.enter_context(EventLoop())
        self.early = EarlyPackets(pair.right)
        stack.callback(self.early.close)
        self.loop.add(self.early)

    def send(self, spi: bytes, number: int, length: int = 40) -> None:
        """A packet of an SPI with a sequence number."""
        front = struct.pack("!BBH", 4, 4, 0) if self.form == "ah" else b""
        self.sender.sendto(front + spi + struct.pack("!I", number) + bytes(length), self.to)

    def release(self, spi: bytes) -> None:
        self.early.release(spi, self.loop.clock.now())

    def came(self) -> tuple[bytes, int]:
        """SPI and sequence number of the next packet that got through."""
        data = self.receiver.recv(65536)[self._skip :][4 if self.form == "ah" else 0 :]
        return data[:4], int.from_bytes(data[4:8], "big")

    def barrier(self, number: int) -> None:
        """What was sent before has arrived or is kept: one link keeps the order."""
        self.send(OTHER, number)
        assert self.came() == (OTHER, number)

    def counted(self, wanted: int) -> None:
        """The machine knows of so many."""
        assert self.loop.run_until(lambda: self.early.kept >= wanted, CAP)
        assert self.early.kept == wanted


Make = Callable[[str, int], Ends]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    require_lab()
    with joined() as made:
        early = EarlyPackets(made.right)
        early.hold(SPI)
        early.close()
        if early.problem is not None:
            assert early.problem.errno == ENOENT
            pytest.skip("this kernel has no nftables with queues")
        yield made


@pytest.fixture
def make(pair: Pair) -> Iterator[Make]:
    """Ends that speak a form over an IP version."""
    with ExitStack() as stack:
        yield partial(Ends, stack, pair)


@pytest.mark.parametrize(("form", "version"), FORMS, ids=str)
def test_packets_of_an_spi_wait_and_go_on_in_their_order(make: Make, form: str, version: int) -> None:
    ends = make(form, version)
    ends.early.hold(SPI)
    for number in range(5):
        ends.send(SPI, number)
    ends.barrier(100)  # others pass
    ends.counted(5)
    ends.release(SPI)
    ends.send(SPI, 5)  # does not wait any more
    assert [ends.came() for _ in range(6)] == [(SPI, number) for number in range(6)]
    assert ends.early.kept == 5
    assert (ends.early.problem, ends.early.refused) == (None, 0)
    assert ends.loop.run_until(lambda: ends.early.get_timer() is None, CAP)  # the table has gone
    ends.early.hold(SPI)  # and comes again
    ends.send(SPI, 6)
    ends.barrier(101)
    ends.counted(6)
    ends.release(SPI)
    assert ends.came() == (SPI, 6)


def test_nothing_waits_while_nothing_is_held(make: Make) -> None:
    ends = make("esp", 4)
    for number in range(3):
        ends.early.hold(SPI)
        ends.early.hold(THIRD)
        ends.release(SPI)
        ends.send(SPI, number)
        assert ends.came() == (SPI, number)
        ends.release(THIRD)
        ends.release(THIRD)
        ends.send(THIRD, number)
        assert ends.came() == (THIRD, number)
    assert ends.early.kept == 0


def test_each_spi_waits_for_its_own_sa(make: Make) -> None:
    ends = make("udp", 4)
    ends.early.hold(SPI)
    ends.early.hold(THIRD)
    for number in range(3):
        ends.send(SPI, number)
        ends.send(THIRD, number)
    ends.counted(6)
    ends.release(THIRD)
    assert [ends.came() for _ in range(3)] == [(THIRD, number) for number in range(3)]
    ends.barrier(100)
    ends.release(SPI)
    assert [ends.came() for _ in range(3)] == [(SPI, number) for number in range(3)]


def test_the_first_packets_are_kept_and_not_more_than_there_is_room_for(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_packets, "PACKETS", 8)
    ends = make("udp", 4)
    ends.early.hold(SPI)
    for number in range(50):
        ends.send(SPI, number)
    ends.barrier(100)
    ends.release(SPI)
    assert [ends.came() for _ in range(8)] == [(SPI, number) for number in range(8)]
    ends.barrier(101)


def test_octets_are_counted_over_all_spis(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_packets, "OCTETS", 4000)
    ends = make("esp", 4)
    for spi in (SPI, THIRD):
        ends.early.hold(spi)
        ends.send(spi, 0, 1400)
        ends.send(spi, 1, 1400)
    ends.counted(4)
    assert ends.early.refused == 2
    ends.release(SPI)
    ends.release(THIRD)
    assert [ends.came() for _ in range(2)] == [(SPI, 0), (SPI, 1)]
    ends.barrier(100)


def test_those_that_come_while_the_spi_is_released_are_not_lost(make: Make) -> None:
    """The kernel drops all that waits when the table goes, so it goes later."""
    ends, number = make("udp", 4), 0
    stop = threading.Event()
    room = threading.Semaphore(early_packets.PACKETS // 2)  # more than can wait would be refused, and rightly

    def send() -> None:
        nonlocal number
        while room.acquire() and not stop.is_set():
            ends.send(SPI, number)
            number += 1

    sender = threading.Thread(target=send)
    ends.receiver.setblocking(False)
    got: list[int] = []

    def drain() -> None:
        with suppress(BlockingIOError):
            while True:
                got.append(ends.came()[1])
                room.release()

    sender.start()
    try:
        for _ in range(20):
            ends.early.hold(SPI)
            ends.loop.step(0.01)
            ends.release(SPI)
            drain()
    finally:
        stop.set()
        room.release()
        sender.join()

    def all_came() -> bool:
        drain()
        return len(got) >= number

    assert ends.loop.run_until(all_came, CAP)  # some were on their way to the queue
    assert sorted(got) == list(range(number))
    assert ends.early.kept > 0


def test_packets_do_not_wait_for_ever(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_packets, "SECONDS", 0.3)
    ends = make("esp", 6)
    ends.early.hold(SPI)
    assert ends.early.get_timer() is None
    ends.send(SPI, 1)
    ends.counted(1)
    begun = time.monotonic()
    assert ends.loop.run_until(lambda: ends.early.get_timer() is None, CAP)
    assert time.monotonic() - begun < CAP
    assert ends.came() == (SPI, 1)
    ends.send(SPI, 2)
    assert ends.came() == (SPI, 2)
    ends.release(SPI)


def test_so_many_spis_and_no_more(make: Make) -> None:
    ends = make("esp", 4)
    spis = [number.to_bytes(4, "big") for number in range(1000, 1001 + early_packets.AT_ONCE)]
    for spi in spis:
        ends.early.hold(spi)
    assert ends.early.problem is None
    ends.send(spis[-1], 1)
    assert ends.came() == (spis[-1], 1)
    ends.send(spis[-2], 2)
    ends.counted(1)
    for spi in spis:
        ends.release(spi)
    assert ends.came() == (spis[-2], 2)


def test_what_is_closed_or_killed_leaves_nothing_behind(make: Make) -> None:
    ends = make("esp", 4)
    child = os.fork()
    if not child:
        early = EarlyPackets(ends.right)
        early.hold(SPI)
        os.kill(os.getpid(), signal.SIGKILL if early.problem is None else signal.SIGTERM)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    ends.send(SPI, 1)
    assert ends.came() == (SPI, 1)
    ends.early.hold(SPI)
    ends.send(SPI, 2)
    ends.counted(1)
    ends.loop.remove(ends.early)
    ends.early.close()
    ends.send(SPI, 3)
    assert ends.came() == (SPI, 3)


@pytest.mark.parametrize("form", ["esp", "udp", "ah"])
def test_odd_packets_pass(make: Make, form: str) -> None:
    ends, dice = make(form, 4), random.Random(1)
    ends.early.hold(SPI)
    lengths = [*range(1, 16), 1400, 5000, 20000]
    for length in lengths:
        ends.sender.sendto(dice.randbytes(length), ends.to)
    got = {len(ends.receiver.recv(65536)) - ends._skip for _ in lengths}
    assert got == set(lengths)
    ends.sender.sendto((b"" if form != "ah" else bytes(4)) + SPI + bytes(20000), ends.to)  # in fragments
    ends.counted(1)
    ends.release(SPI)
    assert len(ends.receiver.recv(65536)) > 20000
