"""Messages to and from netfilter, and what becomes of early packets where the kernel has no queues."""

import random
import struct
from errno import ENOENT

import pytest

from ipsectest.net import early_packets
from ipsectest.net.early_packets import EarlyPackets
from ipsectest.net.netfilter.messages import (
    attribute,
    error_of,
    message,
    messages,
    padded,
    resource_and_attributes,
)
from ipsectest.net.netfilter.packet_queues import Waiting, waiting
from ipsectest.net.netfilter.spi_table import SpiTable

NOTICE = message(0x300, 0, 7, 2, 0xE001, attribute(1, struct.pack("!IHBx", 5, 0x0800, 1)), attribute(13, 1400))


def test_an_attribute_is_as_long_as_it_says_and_padded() -> None:
    assert attribute(4, "ab") == bytes.fromhex("0700 0400 616200 00".replace(" ", ""))
    assert attribute(2, 0x11) == bytes.fromhex("0800 0200 00000011".replace(" ", ""))
    assert attribute(3, [attribute(1, b"\xff")]) == bytes.fromhex("0c00 0380 0500 0100 ff000000".replace(" ", ""))
    assert padded(b"12345") == b"12345\0\0\0"


def test_what_is_built_is_read_again() -> None:
    ((kind, sequence, body),) = messages(NOTICE)
    assert (kind, sequence) == (0x300, 7)
    resource, attributes = resource_and_attributes(body)
    assert resource == 0xE001
    assert set(attributes) == {1, 13}
    assert waiting(body) == Waiting(0xE001, 5, 1400)


def test_a_small_packet_that_was_told_whole_has_its_length() -> None:
    body = NOTICE[16:20] + attribute(1, bytes([0, 0, 0, 9, 8, 0, 1])) + attribute(10, b"E")
    assert waiting(body) == Waiting(0xE001, 9, 1)


def test_an_answer_tells_an_errno() -> None:
    assert error_of(struct.pack("=i", -ENOENT) + bytes(16)) == ENOENT
    assert error_of(bytes(4)) == 0


@pytest.mark.parametrize("seed", range(20))
def test_no_octets_raise(seed: int) -> None:
    source = random.Random(seed)
    for _ in range(200):
        data = bytearray(NOTICE * 2)
        for _ in range(source.randrange(1, 6)):
            data[source.randrange(len(data))] = source.randrange(256)
        data = data[: source.randrange(len(data) + 1)]
        for _, _, body in messages(bytes(data)):
            found = waiting(body)
            assert found is None or found.number < 1 << 32
            error_of(body)


class Refused(SpiTable):
    """The table of a kernel without queues."""

    def __init__(self, namespace: str | None, name: str, port: int) -> None:
        del namespace, name, port

    def add(self, spi: bytes, queue: int) -> None:
        raise OSError(ENOENT, f"no such expression for {spi.hex()} and {queue}")

    def close(self) -> None:
        pass


class Queues:
    """Has one queue and no packets."""

    closed = False

    def __init__(self, namespace: str | None, length: int) -> None:
        del namespace, length

    def fileno(self) -> int:
        return 99

    def open(self) -> int:
        return 1

    def close(self) -> None:
        self.closed = True


def test_a_kernel_without_queues_keeps_nothing_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(early_packets, "SpiTable", Refused)
    monkeypatch.setattr(early_packets, "PacketQueues", Queues)
    early = EarlyPackets(None)
    assert early.problem is None
    early.hold(b"\1\2\3\4")
    assert early.problem is not None
    assert early.problem.errno == ENOENT
    assert early.handles() == (99,)  # a loop may watch it
    early.hold(b"\1\2\3\5")
    early.release(b"\1\2\3\4", 1.0)
    assert early.get_timer() is None
    early.close()
    early.close()
    assert early.handles() == ()


def test_without_netfilter_there_is_nothing_to_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(ENOENT, "no netfilter")

    monkeypatch.setattr(early_packets, "SpiTable", refuse)
    early = EarlyPackets(None)
    assert early.problem is not None
    assert early.handles() == ()
    early.hold(b"\1\2\3\4")
    early.close()
