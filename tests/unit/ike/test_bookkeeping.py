"""Windows, half-open table, cookies, NAT detection, rate limit: the small parts."""

import hashlib
import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IdentificationType, NotifyType
from ipsectest.crypto.certificates import name_der
from ipsectest.ike import cookies, nat
from ipsectest.ike.config import EndpointConfig, Identity, Retransmission
from ipsectest.ike.cookies import SECRET_LIFETIME, CookieJar
from ipsectest.ike.half_open import HalfOpen
from ipsectest.ike.policy import Policy
from ipsectest.ike.rate import RateLimit
from ipsectest.ike.sa import IkeSa
from ipsectest.ike.window import Place, ReceiveWindow
from ipsectest.wire import Message, Nonce
from tests.unit.ike.hand import ALICE, BOB, connection


@given(st.integers(1, 8), st.lists(st.integers(0, 20), max_size=60))
def test_receive_window_takes_each_id_once_and_in_range(size: int, ids: list[int]) -> None:
    window = ReceiveWindow(size)
    taken: set[int] = set()
    for message_id in ids:
        place = window.place(message_id)
        lowest = next(i for i in range(100) if i not in taken)
        if message_id in taken:
            assert place is not Place.FRESH
        elif lowest <= message_id < lowest + size:
            assert place is Place.FRESH
        else:
            assert place is Place.OUTSIDE
        if place is Place.FRESH:
            taken.add(message_id)
            window.answer(message_id, b"q%d" % message_id, b"a%d" % message_id)
    # RFC 7296 section 2.1: a response is kept until a request that lies a window later has come.
    for message_id in taken:
        if message_id > max(taken) - size:
            assert window.stored(message_id, b"q%d" % message_id) == b"a%d" % message_id
            assert window.stored(message_id, b"other") is None


def test_receive_window_forgets_what_cannot_be_asked_for_any_more() -> None:
    window = ReceiveWindow(1)
    for message_id in range(1000):
        window.answer(message_id, b"", b"")
    assert len(window._answered) == 1


def test_half_open_table_finds_by_octets_and_evicts_the_oldest() -> None:
    table: HalfOpen[str] = HalfOpen(2)
    assert [table.add(name.encode(), name) for name in ("a", "b", "c")] == [None, None, "a"]
    assert table.find(b"b") == "b"
    table.has_authenticated("b")
    table.forget("a")
    assert (len(table), table.find(b"a"), table.find(b"b")) == (1, None, "b")
    table.forget("b")
    table.forget("c")
    assert not table._by_request
    assert not table._request_of


def first_message(nonce: bytes = b"n" * 32, spi: bytes = b"initspi!", cookie: bytes | None = None) -> Message:
    from ipsectest.wire import Notify

    payloads = [] if cookie is None else [Notify(NotifyType.COOKIE, cookie)]
    return Message(spi, payloads=[*payloads, Nonce(nonce)])


def test_cookie_binds_address_spi_and_nonce() -> None:
    jar = CookieJar(random.Random(1).randbytes)
    cookie = jar.bake(first_message(), ALICE, 0.0).data
    assert cookies.is_valid(cookie)
    assert jar.recognises(first_message(cookie=cookie), ALICE, 1.0)
    assert jar.recognises(first_message(cookie=cookie), Address(ALICE.host, 9), 1.0)
    assert not jar.recognises(first_message(cookie=cookie), BOB, 1.0)
    assert not jar.recognises(first_message(nonce=b"m" * 32, cookie=cookie), ALICE, 1.0)
    assert not jar.recognises(first_message(spi=b"otherspi", cookie=cookie), ALICE, 1.0)
    for wrong in (b"", b"\0", cookie[:-1], cookie + b"x", bytes(64)):
        assert not jar.recognises(first_message(cookie=wrong), ALICE, 1.0)
    assert not jar.recognises(first_message(), ALICE, 1.0)


def test_cookie_outlives_one_change_of_the_secret_but_not_two() -> None:
    jar = CookieJar(random.Random(1).randbytes)
    cookie = jar.bake(first_message(), ALICE, 0.0).data
    assert jar.recognises(first_message(cookie=cookie), ALICE, SECRET_LIFETIME)
    assert not jar.recognises(first_message(cookie=cookie), ALICE, 2 * SECRET_LIFETIME)


@pytest.mark.parametrize(("length", "good"), [(0, False), (1, True), (64, True), (65, False)])
def test_cookie_lengths(length: int, good: bool) -> None:
    assert cookies.is_valid(bytes(length)) is good


@pytest.mark.parametrize("host", ["192.0.2.7", "2001:db8::7"])
def test_nat_hash_covers_spis_address_and_port(host: str) -> None:
    import ipaddress

    octets = b"i" * 8 + b"r" * 8 + ipaddress.ip_address(host).packed + (4500).to_bytes(2, "big")
    assert nat.detection_hash(b"i" * 8, b"r" * 8, Address(host, 4500)) == hashlib.sha1(octets).digest()


@pytest.mark.parametrize(
    ("seen_source", "seen_destination", "remote", "local"),
    [
        (ALICE, BOB, False, False),
        (Address("192.0.2.9", 500), BOB, True, False),
        (ALICE, Address("192.0.2.9", 500), False, True),
    ],
)
def test_nat_is_found_by_comparing_hashes(
    seen_source: Address, seen_destination: Address, remote: bool, local: bool
) -> None:
    sender = IkeSa.initiator(connection(at_alice=True), random.Random(1).randbytes)
    message = Message(sender.spi_i, payloads=[*nat.notifies(sender)])
    receiver = IkeSa.responder(message, connection(at_alice=False), seen_destination, seen_source)
    nat.detect(receiver, message)
    assert (receiver.remote_behind_nat, receiver.local_behind_nat) == (remote, local)
    receiver.remote_behind_nat = receiver.local_behind_nat = False
    nat.detect(receiver, Message(sender.spi_i))
    assert not receiver.remote_behind_nat
    assert not receiver.local_behind_nat


def test_rate_limit_refills_with_time() -> None:
    limit = RateLimit(per_second=1.0, burst=2.0)
    assert [limit.allows(0.0) for _ in range(4)] == [True, True, False, False]
    assert limit.allows(1.0)
    assert not limit.allows(1.0)
    assert not limit.allows(0.5)


@given(st.floats(0.1, 10), st.floats(1.1, 4), st.integers(1, 12))
def test_waits_grow_and_end(initial: float, base: float, tries: int) -> None:
    config = EndpointConfig((), (), retransmission=Retransmission(initial, base, tries))
    waits = [Policy().wait(config, n) for n in range(1, tries + 2)]
    assert waits[-1] is None
    assert all(b > a for a, b in itertools.pairwise(waits[:-1]) if a is not None and b is not None)


@pytest.mark.parametrize(
    ("text", "kind"), [("192.0.2.1", 1), ("2001:db8::1", 5), ("gw.example", 2), ("a@b.example", 3)]
)
def test_identity_reads_and_prints(text: str, kind: int) -> None:
    identity = Identity.of(text)
    assert identity.type == kind
    assert str(identity) == text
    assert str(Identity(11, b"\xff")) == "ff"


def test_a_distinguished_name_is_the_same_with_other_strings() -> None:
    utf8 = name_der("O=a, CN=b")
    dn = Identity(IdentificationType.ID_DER_ASN1_DN, utf8)
    assert dn.is_same(Identity(IdentificationType.ID_DER_ASN1_DN, utf8.replace(b"\x0c", b"\x13")))
    assert not dn.is_same(Identity(IdentificationType.ID_KEY_ID, utf8))
    assert not dn.is_same(Identity(IdentificationType.ID_DER_ASN1_DN, b"\xff"))
    assert not dn.is_same(None)
    assert Identity.of("a.example").is_same(Identity.of("a.example"))
    assert not Identity.of("a.example").is_same(Identity.of("A.example"))
