"""Random well-formed messages for the comparisons with other dissectors."""

import random

from ipsectest.base.iana import NotifyType
from ipsectest.base.suites import KEYWORDS
from ipsectest.wire import (
    AUTH,
    CERTREQ,
    CP,
    KE,
    SA,
    SK,
    SKF,
    ConfigurationAttribute,
    Delete,
    IDi,
    IDr,
    Message,
    Nonce,
    Notify,
    Payload,
    Proposal,
    TrafficSelector,
    Transform,
    TSi,
    TSr,
    VendorID,
)

# Types whose notification data other dissectors take apart; plain octets do not suit them.
PLAIN_NOTIFIES = [4, 5, 7, 9, 14, 24, 34, 35, 36, 37, 38, 39, 43, 44, 16388, 16389, 16390, 16391, 16394, 16404, 16417]
SPECS = [spec for spec in KEYWORDS.values() if spec.type <= 5]


def _proposal(rng: random.Random, number: int) -> Proposal:
    protocol = rng.choice([1, 2, 3])
    spi = rng.choice([b"", rng.randbytes(8)]) if protocol == 1 else rng.randbytes(4)
    return Proposal(number, protocol, spi, [Transform.of(spec) for spec in rng.choices(SPECS, k=rng.randrange(1, 9))])


def _selector(rng: random.Random) -> TrafficSelector:
    kind = rng.choice([7, 8])
    size = 4 if kind == 7 else 16
    ports = sorted(rng.choices(range(65536), k=2))
    return TrafficSelector(kind, rng.choice([0, 1, 6, 17]), *ports, rng.randbytes(size), rng.randbytes(size))


def _payload(rng: random.Random) -> Payload:
    octets = rng.randbytes(rng.randrange(1, 40))
    protocol = rng.choice([2, 3])
    return rng.choice(
        [
            lambda: SA([_proposal(rng, number) for number in range(1, rng.randrange(2, 5))]),
            lambda: KE(rng.choice([14, 19, 31, 36]), octets),
            lambda: IDi(rng.choice([2, 3, 11]), b"name.example.org"),
            lambda: IDr(rng.choice([1]), rng.randbytes(4)),
            lambda: CERTREQ(4, rng.randbytes(20 * rng.randrange(1, 4))),
            lambda: AUTH(rng.choice([1, 2, 9, 10, 11]), octets),
            lambda: Nonce(rng.randbytes(rng.randrange(16, 257))),
            lambda: Notify(rng.choice(PLAIN_NOTIFIES), octets),
            lambda: Notify(NotifyType.CHILD_SA_NOT_FOUND, b"", protocol, rng.randbytes(4)),
            lambda: Delete(protocol, [rng.randbytes(4) for _ in range(rng.randrange(1, 5))]),
            lambda: Delete(1),
            lambda: VendorID(octets),
            lambda: TSi([_selector(rng) for _ in range(rng.randrange(1, 5))]),
            lambda: TSr([_selector(rng) for _ in range(rng.randrange(1, 5))]),
            lambda: CP(1, [ConfigurationAttribute(rng.choice([1, 3, 8]))]),
        ]
    )()


def well_formed(rng: random.Random) -> Message:
    """One message of up to eight payloads, sometimes ended by SK or SKF."""
    payloads = [_payload(rng) for _ in range(rng.randrange(9))]
    match rng.randrange(6):
        case 0:
            payloads.append(SK(rng.randbytes(rng.randrange(40, 120)), rng.choice([35, 36, 33, 41])))
        case 1:
            payloads.append(SKF(rng.randrange(1, 9), 9, rng.randbytes(60)))
    exchange = rng.choice([34, 35, 36, 37, 43])
    return Message(
        rng.randbytes(8), rng.randbytes(8), exchange, rng.choice([0, 8, 0x20, 0x28]), rng.getrandbits(31), payloads
    )
