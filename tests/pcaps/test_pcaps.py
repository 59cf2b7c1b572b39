"""Every frame of every reference capture, opened with the keys beside it."""

import tomllib
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ipsectest.base.iana import ExchangeType, ProtocolId, TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import certificates, signature
from ipsectest.crypto import keys as derivation
from ipsectest.ike import protect
from ipsectest.ike.protect import Sealing
from ipsectest.ike.sa import IkeSa, Role
from ipsectest.ike.unsealed import Unsealed
from ipsectest.ipsec.esp import Forced, Opened, open_esp, seal_esp
from ipsectest.ipsec.inner import Echo, parse_echo, reply_to
from ipsectest.wire import (
    AUTH,
    CERT,
    KE,
    SA,
    SK,
    Delete,
    IDi,
    IDr,
    Message,
    Nonce,
    build_message,
    parse_message,
    summary,
)
from tests.pcaps.capture import EspFrame, IkeFrame, Keys, esp_sa, frames

FOLDER = Path(__file__).parents[2] / "pcaps"
CAPTURES = sorted(path.stem for path in FOLDER.glob("*.pcapng"))


@cache
def origin(name: str) -> dict[str, Any]:
    return tomllib.loads((FOLDER / f"{name}.toml").read_text())


@cache
def keys_of(name: str) -> Keys:
    return Keys((FOLDER / f"{name}.keys.toml").read_text())


@cache
def all_frames(name: str) -> list[IkeFrame | EspFrame]:
    return list(frames(FOLDER / f"{name}.pcapng", keys_of(name)))


def ike_frames(name: str) -> list[IkeFrame]:
    return [frame for frame in all_frames(name) if isinstance(frame, IkeFrame)]


def esp_frames(name: str) -> list[EspFrame]:
    return [frame for frame in all_frames(name) if isinstance(frame, EspFrame)]


def opened(name: str, exchange: int, *, response: bool) -> Message:
    """The first message of an exchange, its SK payload replaced by what is in it."""
    (first, *_) = [
        frame for frame in ike_frames(name)
        if frame.message.exchange_type == exchange and frame.message.is_response is response
    ]  # fmt: skip
    return first.inner.message if isinstance(first.inner, Unsealed) else first.message


each = pytest.mark.parametrize("name", CAPTURES)


def test_the_set_is_complete() -> None:
    """strongSwan in both roles, secrets and certificates, plain and in UDP, IPv6, and the suites of the day."""
    kinds = {
        (o["initiator"] == "strongSwan", o["authentication"] == "psk", o["encapsulated"]) for o in map(origin, CAPTURES)
    }
    assert len(kinds) == 8
    assert any(":" in origin(name)["strongswan"] for name in CAPTURES)
    esp = " ".join(origin(name)["esp"] for name in CAPTURES)
    assert all(word in esp for word in ("aes128gcm16", "aes256-sha256", "chacha20poly1305"))
    assert all((FOLDER / f"{name}.pcapng").stat().st_size < 60_000 for name in CAPTURES)


@each
def test_ike_messages_are_built_again_octet_by_octet(name: str) -> None:
    for frame in ike_frames(name):
        assert build_message(frame.message) == frame.octets, frame.number
        assert not frame.message.anomalies, frame.number
        assert not frame.message.trailing, frame.number


@each
def test_every_ike_message_opens_and_is_sealed_again(name: str) -> None:
    protected = [frame for frame in ike_frames(name) if frame.message.exchange_type != ExchangeType.IKE_SA_INIT]
    assert protected
    for frame in protected:
        assert isinstance(frame.inner, Unsealed), f"frame {frame.number}: {frame.inner}"
        assert not frame.inner.anomalies
        assert seal_again(keys_of(name), frame) == frame.octets, frame.number


def seal_again(keys: Keys, frame: IkeFrame) -> bytes:
    """The message from its plain payloads, with the IV and padding that were seen."""
    sa, inner, message = keys.receiver(frame.message), frame.inner, frame.message
    assert isinstance(inner, Unsealed)
    assert sa is not None
    sa.role = Role.INITIATOR if message.from_initiator else Role.RESPONDER
    header = Message(sa.spi_i, sa.spi_r, message.exchange_type, message.flags, message.message_id, inner.payloads)
    pad_length = inner.plaintext[-1]
    padding = inner.plaintext[len(inner.plaintext) - 1 - pad_length : -1]
    return protect.seal(sa, header, bytes, Sealing(iv=inner.iv, padding=padding))


@each
def test_frames_are_what_the_origin_says(name: str) -> None:
    told = origin(name)["frames"]
    assert [int(number) for number in told] == [frame.number for frame in all_frames(name)]
    for frame in ike_frames(name):
        inner = frame.inner.payloads if isinstance(frame.inner, Unsealed) else None
        assert told[str(frame.number)] == summary(frame.message, inner)


@each
def test_every_esp_packet_opens_and_is_sealed_again(name: str) -> None:
    by_spi = {keys.spi: keys for keys in keys_of(name).esp}
    assert {frame.octets[:4] for frame in esp_frames(name)} == set(by_spi)
    for frame in esp_frames(name):
        inner = frame.inner
        assert isinstance(inner, Opened), f"frame {frame.number}: {inner}"
        forced = Forced(sequence=inner.sequence, iv=inner.iv, padding=inner.padding)
        assert (
            seal_esp(esp_sa(by_spi[frame.octets[:4]]), inner.payload, inner.next_header, bytes, forced) == frame.octets
        )


@each
def test_pings_go_both_ways_and_are_answered_with_the_same_octets(name: str) -> None:
    echoes = [parse_echo(frame.inner.payload) for frame in esp_frames(name) if isinstance(frame.inner, Opened)]
    requests = [echo for echo in echoes if echo and not echo.is_reply]
    ends = origin(name)["inner"].values()
    expected = Counter({(here, seq): 3 for here in ends for seq in (1, 2, 3)})
    assert Counter((echo.source, echo.sequence) for echo in requests) == expected
    assert echoes == [half for request in requests for half in (request, reply_to(request))]
    assert all(isinstance(echo, Echo) and len(echo.data) == 56 for echo in echoes)


@each
def test_both_rekeys_and_the_delete_are_there(name: str) -> None:
    assert len(keys_of(name).ike) == 2
    assert len(keys_of(name).esp) == 4
    deletes = [
        payload.protocol
        for frame in ike_frames(name)
        if not frame.message.is_response and isinstance(frame.inner, Unsealed)
        for payload in frame.inner.message.all(Delete)
    ]
    assert deletes == [ProtocolId.ESP, ProtocolId.IKE, ProtocolId.IKE]


@each
def test_the_chosen_suites_are_those_of_the_keys(name: str) -> None:
    about = origin(name)
    (chosen,) = opened(name, ExchangeType.IKE_SA_INIT, response=True).get(SA).proposals
    shown = {(transform.type, transform.id) for transform in chosen.transforms}
    assert shown == {(spec.type, spec.id) for spec in parse_suite(about["ike"])}
    assert opened(name, ExchangeType.IKE_SA_INIT, response=True).get(KE) is not None
    for keys in keys_of(name).esp:
        assert keys.chosen.of(TransformType.ENCR) in parse_suite(about["esp"])


def signed_octets(name: str, sa: IkeSa, *, response: bool) -> bytes:
    """What the AUTH payload of one end covers (RFC 7296 section 2.15)."""
    other = opened(name, ExchangeType.IKE_SA_INIT, response=not response)
    (init,) = [
        frame.octets for frame in ike_frames(name)
        if frame.message.exchange_type == ExchangeType.IKE_SA_INIT and frame.message.is_response is response
    ]  # fmt: skip
    said = opened(name, ExchangeType.IKE_AUTH, response=response)
    identity = said.get(IDr if response else IDi)
    body = bytes((identity.id_type, 0, 0, 0)) + identity.data
    sk_p = sa.keys.sk_pr if response else sa.keys.sk_pi
    return derivation.signed_octets(sa.chosen.prf, init, other.get(Nonce).data, sk_p, body)


@each
@pytest.mark.parametrize("response", [False, True])
def test_each_end_proves_itself(name: str, response: bool) -> None:
    sa, about = keys_of(name).ike[0], origin(name)
    said = opened(name, ExchangeType.IKE_AUTH, response=response)
    auth, octets = said.get(AUTH), signed_octets(name, sa, response=response)
    if about["authentication"] == "psk":
        assert auth.data == derivation.psk_auth(sa.chosen.prf, about["secret"].encode(), octets)
    else:
        certificate = certificates.parse_certificate(said.get(CERT).data)
        assert signature.verify(certificate, octets, auth.method, auth.data)
        assert not signature.verify(certificate, octets + b"\0", auth.method, auth.data)


@each
def test_keys_of_the_first_child_sa_follow_from_those_of_the_ike_sa(name: str) -> None:
    """KEYMAT of RFC 7296 section 2.17, without a key exchange of its own."""
    keys = keys_of(name)
    sa, chosen = keys.ike[0], keys.esp[0].chosen
    nonces = [opened(name, ExchangeType.IKE_SA_INIT, response=response).get(Nonce).data for response in (False, True)]
    derived = derivation.child_keys(
        sa.chosen.prf, sa.keys.sk_d, chosen.cipher, chosen.integrity, ni=nonces[0], nr=nonces[1]
    )
    initiator = origin(name)["ipsectest" if origin(name)["initiator"] == "ipsectest" else "strongswan"]
    for half in keys.esp[:2]:
        expected = (
            (derived.encryption_i, derived.integrity_i)
            if half.source == initiator
            else (derived.encryption_r, derived.integrity_r)
        )
        assert (half.encryption_key, half.integrity_key) == expected


@each
def test_a_changed_octet_is_noticed(name: str) -> None:
    """In IKE and ESP alike: the keys open nothing but what was sealed with them."""
    keys = keys_of(name)
    fresh = {one.spi: esp_sa(one) for one in keys.esp}
    for frame in all_frames(name):
        damaged = frame.octets[:-1] + bytes((frame.octets[-1] ^ 1,))
        if isinstance(frame, EspFrame):
            assert not isinstance(open_esp(fresh[damaged[:4]], damaged), Opened)
        elif frame.message.get(SK):
            message = parse_message(damaged)
            assert not isinstance(protect.unseal(keys.receiver(message), message), Unsealed)
