"""tshark decrypts the reference captures with the tables that our key log writes."""

from pathlib import Path

import pytest

from ipsectest.base.iana import ExchangeType, PayloadType
from ipsectest.wire import SK, Message
from tests.pcaps.capture import EspFrame, IkeFrame
from tests.pcaps.test_pcaps import CAPTURES, FOLDER, all_frames, keys_of, origin
from tests.pcaps.tshark import Shown, dissect, require_tshark

BEYOND_WIRESHARK = {
    "strongswan-initiator-ecdsa-chacha20": (2, 4),
    "strongswan-responder-rsa-natt-chacha20": (0, 4),
}
"""Captures with ChaCha20-Poly1305: how many IKE SAs and ESP SAs no table can hold (Wireshark 4.0 to 4.4)."""
each = pytest.mark.parametrize("name", CAPTURES)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Shown]]:
    require_tshark()
    folder = tmp_path_factory.mktemp("wireshark")
    return {name: dissect(FOLDER / f"{name}.pcapng", keys_of(name).log, folder / name) for name in CAPTURES}


@each
def test_what_wireshark_cannot_decrypt_is_named(name: str) -> None:
    log = keys_of(name).log
    ike, esp = BEYOND_WIRESHARK.get(name, (0, 0))
    told = log.unsupported()
    assert [line.split()[0] for line in told] == ["IKE"] * ike + ["ESP"] * esp
    assert all("chacha20poly1305" in line for line in told)
    tables = log.files()
    assert len(tables.get("ikev2_decryption_table", "").splitlines()) == len(log.ike) - ike
    assert len(tables.get("esp_sa", "").splitlines()) == len(log.esp) - esp


def test_chacha20_is_where_it_is_expected() -> None:
    chacha = {name for name in CAPTURES if "chacha" in origin(name)["esp"]}
    assert chacha == set(BEYOND_WIRESHARK)


@each
def test_ike_payloads_inside_sk(shown: dict[str, list[Shown]], name: str) -> None:
    opens = BEYOND_WIRESHARK.get(name, (0, 0))[0] == 0
    for frame in (frame for frame in all_frames(name) if isinstance(frame, IkeFrame)):
        seen = shown[name][frame.number - 1]
        assert seen.exchange == frame.message.exchange_type
        assert not seen.malformed
        assert not seen.bad_ike_icv
        if frame.message.get(SK) is None:
            continue
        expected = types_of(frame.inner.message) if opens else []
        assert [kind for kind in seen.payloads if kind > SUBSTRUCTURES and kind != PayloadType.SK] == expected, (
            frame.number
        )
        if opens and seen.exchange == ExchangeType.IKE_AUTH:
            assert PayloadType.AUTH in seen.payloads


SUBSTRUCTURES = 32
"""tshark lists proposals (2) and transforms (3) among the payloads."""


def types_of(message: Message) -> list[int]:
    """Payload types in order."""
    return [payload.type for payload in message.payloads]


@each
def test_esp_is_icmp_with_a_good_icv(shown: dict[str, list[Shown]], name: str) -> None:
    opens = name not in BEYOND_WIRESHARK
    for frame in (frame for frame in all_frames(name) if isinstance(frame, EspFrame)):
        seen = shown[name][frame.number - 1]
        assert seen.esp
        assert not seen.icv_bad
        assert seen.icv_good is opens, frame.number
        is_reply = "reply" in origin(name)["frames"][str(frame.number)]
        assert seen.icmp == ((0 if is_reply else 8,) if opens else ()), frame.number


def test_wrong_keys_are_noticed(tmp_path: Path) -> None:
    """So that the tests above can fail: with the keys of another capture nothing is decrypted."""
    require_tshark()
    name, other = "strongswan-responder-psk-aes128gcm16", "strongswan-initiator-psk-natt-aes128gcm16"
    seen = dissect(FOLDER / f"{name}.pcapng", keys_of(other).log, tmp_path / "profile")
    assert not any(PayloadType.AUTH in one.payloads or one.icmp or one.icv_good for one in seen)
