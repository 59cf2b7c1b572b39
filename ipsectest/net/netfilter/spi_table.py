"""An nftables table that sends ESP and AH of chosen SPIs to queues, ahead of the kernel's SAs.

The kernel takes ESP and AH out of the input hook, and so do these rules, behind all filters: a packet that is dropped
there is not kept, and one that has waited goes on where it stood. Source: linux/netfilter/nf_tables.h.
"""

import struct
from collections.abc import Iterator
from itertools import chain

from ipsectest.net.netfilter.messages import NLM_F_ACK, NLM_F_CREATE, attribute, message
from ipsectest.net.netfilter.sockets import NetfilterSocket

_INET, _INPUT, _PRIORITY = 1, 1, 200
"""The priority is behind that of filters (0) and of security modules (50)."""
_BATCH_BEGIN, _BATCH_END, _NF_TABLES = 0x10, 0x11, 10
_NEWTABLE, _DELTABLE, _NEWCHAIN, _NEWRULE, _NEWSET, _NEWELEM, _DELELEM = 0, 2, 3, 6, 9, 12, 14
_OWNER = 2
"""The table goes with the socket, however that ends; since Linux 5.12."""
_MAP = 8
_CHAIN, _SPIS = "input", "spis"
_REGISTER = 1
_L4PROTO, _NFPROTO = 16, 15
_NETWORK, _TRANSPORT = 1, 2
_ESP, _AH, _UDP, _IPV6 = 50, 51, 17, 10
_BYPASS = 1


class SpiTable:
    """Comes into a namespace with its first SPI. Raises OSError."""

    def __init__(self, namespace: str | None, name: str, port: int) -> None:
        """``port`` is that of UDP encapsulation here."""
        self._socket = NetfilterSocket(namespace)
        self._name, self._port = name, port
        self._is_there = False

    def add(self, spi: bytes, queue: int) -> None:
        """Send packets of this SPI to that queue."""
        element = attribute(1, [*_key(spi), attribute(2, [attribute(1, struct.pack("=I", queue))])])
        requests = [] if self._is_there else list(_begin(self._name, self._port))
        self._commit([*requests, (_NEWELEM, NLM_F_CREATE, self._elements(element))])
        self._is_there = True

    def remove(self, spi: bytes) -> None:
        """Let packets of this SPI pass again."""
        self._commit([(_DELELEM, 0, self._elements(attribute(1, _key(spi))))])

    def clear(self) -> None:
        """Remove the table. The kernel drops what waits in any queue of the namespace when it loses a hook."""
        if self._is_there:
            self._is_there = False
            self._commit([(_DELTABLE, 0, attribute(1, self._name))])

    def close(self) -> None:
        """Remove the table, if it is there."""
        self._socket.close()

    def _elements(self, element: bytes) -> bytes:
        return attribute(1, self._name) + attribute(2, _SPIS) + attribute(3, [element])

    def _commit(self, requests: list[tuple[int, int, bytes]]) -> None:
        """All of them or none."""
        numbers = [self._socket.number() for _ in range(len(requests) + 2)]
        messages = [message(_BATCH_BEGIN, 0, numbers[0], 0, _NF_TABLES)]
        for number, (kind, flags, attributes) in zip(numbers[1:-1], requests, strict=True):
            last = NLM_F_ACK if number == numbers[-2] else 0
            messages.append(message(_NF_TABLES << 8 | kind, flags | last, number, _INET, 0, attributes))
        messages.append(message(_BATCH_END, 0, numbers[-1], 0, _NF_TABLES))
        self._socket.ask(b"".join(messages), numbers[:-1])


def _key(spi: bytes) -> list[bytes]:
    return [attribute(1, [attribute(1, spi)])]


def _begin(name: str, port: int) -> Iterator[tuple[int, int, bytes]]:
    """The table, its map of SPIs to queues, its chain and the rules."""
    table = attribute(1, name)
    yield _NEWTABLE, NLM_F_CREATE, table + attribute(2, _OWNER)
    lengths = attribute(4, 0) + attribute(5, 4) + attribute(6, 0) + attribute(7, 4)
    yield _NEWSET, NLM_F_CREATE, table + attribute(2, _SPIS) + attribute(3, _MAP) + lengths + attribute(10, 1)
    hook = attribute(4, [attribute(1, _INPUT), attribute(2, _PRIORITY)])
    yield _NEWCHAIN, NLM_F_CREATE, table + attribute(3, _CHAIN) + hook + attribute(7, "filter")
    for conditions in _conditions(port):
        parts = [*chain.from_iterable(conditions), _lookup(), _queue()]
        listed = attribute(4, [attribute(1, part) for part in parts])
        yield _NEWRULE, NLM_F_CREATE, table + attribute(2, _CHAIN) + listed


def _conditions(port: int) -> Iterator[tuple[list[bytes], ...]]:
    """What the rules look at, each ending with the SPI: RFC 4303 section 2, RFC 3948 section 2.1, RFC 4302 section 2.

    nftables goes past AH of IPv6 as it does past an extension header, so that one is found in its fixed place.
    """
    yield _equals(_meta(_L4PROTO), _ESP), _loads(_TRANSPORT, 0, 4)
    yield (
        _equals(_meta(_L4PROTO), _UDP),
        _equals(_payload(_TRANSPORT, 2, 2), port.to_bytes(2, "big")),
        _loads(_TRANSPORT, 8, 4),
    )
    yield _equals(_meta(_L4PROTO), _AH), _loads(_TRANSPORT, 4, 4)
    yield _equals(_meta(_NFPROTO), _IPV6), _equals(_payload(_NETWORK, 6, 1), _AH), _loads(_NETWORK, 44, 4)


def _equals(load: bytes, wanted: int | bytes) -> list[bytes]:
    value = bytes([wanted]) if isinstance(wanted, int) else wanted
    data = attribute(3, [attribute(1, value)])
    return [load, _expression("cmp", attribute(1, _REGISTER) + attribute(2, 0) + data)]


def _loads(base: int, offset: int, length: int) -> list[bytes]:
    return [_payload(base, offset, length)]


def _meta(key: int) -> bytes:
    return _expression("meta", attribute(1, _REGISTER) + attribute(2, key))


def _payload(base: int, offset: int, length: int) -> bytes:
    places = attribute(2, base) + attribute(3, offset) + attribute(4, length)
    return _expression("payload", attribute(1, _REGISTER) + places)


def _lookup() -> bytes:
    registers = attribute(2, _REGISTER) + attribute(3, _REGISTER)
    return _expression("lookup", attribute(1, _SPIS) + registers + attribute(4, 1))


def _queue() -> bytes:
    """Without a listener, packets pass."""
    return _expression("queue", attribute(3, _BYPASS.to_bytes(2, "big")) + attribute(4, _REGISTER))


def _expression(name: str, data: bytes) -> bytes:
    return attribute(1, name) + attribute(2, [data])
