"""Key files written from the events of a handshake."""

import tomllib

import pytest

from ipsectest.base.suites import parse_suite
from ipsectest.ike.config import suites
from ipsectest.ike.keylog import KeyLog
from tests.pair.world import ALICE, BOB, World, connection


def log_of(ike: str, esp: str) -> tuple[World, KeyLog]:
    world = World(
        alice=connection(at_alice=True, proposals=suites(ike), child={"proposals": suites(esp)}),
        bob=connection(at_alice=False, proposals=suites(ike), child={"proposals": suites(esp)}),
    )
    world.establish()
    log = KeyLog()
    for event in world.alice.events:
        log.take(event)
    return world, log


@pytest.mark.parametrize(
    ("ike", "esp", "encryption", "integrity", "esp_names"),
    [
        (
            "aes128gcm16-prfsha256-x25519", "aes256gcm8",
            "AES-GCM-128 with 16 octet ICV [RFC5282]", "NONE [RFC4306]",
            ("AES-GCM with 8 octet ICV [RFC4106]", "NULL"),
        ),
        (
            "aes256-sha384-prfsha384-x25519", "aes192-sha1",
            "AES-CBC-256 [RFC3602]", "HMAC_SHA2_384_192 [RFC4868]",
            ("AES-CBC [RFC3602]", "HMAC-SHA-1-96 [RFC2404]"),
        ),
        (
            "aes256ccm12-prfaesxcbc-x25519", "null-sha256-esn",
            "AES-CCM-256 with 12 octet ICV [RFC5282]", "NONE [RFC4306]",
            ("NULL", "HMAC-SHA-256-128 [RFC4868]"),
        ),
    ],
)  # fmt: skip
def test_wireshark_rows_name_algorithms_exactly(
    ike: str, esp: str, encryption: str, integrity: str, esp_names: tuple[str, str]
) -> None:
    world, log = log_of(ike, esp)
    files = log.files()
    sa = world.alice.ike()
    row = files["ikev2_decryption_table"].strip()
    keys = sa.keys
    assert row == (
        f'{sa.spi_i.hex()},{sa.spi_r.hex()},{keys.sk_ei.hex()},{keys.sk_er.hex()},"{encryption}",'
        f'{keys.sk_ai.hex()},{keys.sk_ar.hex()},"{integrity}"'
    )
    child = world.alice.children()[0]
    inbound, outbound = files["esp_sa"].splitlines()
    assert inbound.startswith(f'"IPv4","{BOB.host}","{ALICE.host}","0x{child.spi_in.hex()}","{esp_names[0]}",')
    assert f'"{esp_names[1]}"' in outbound
    assert outbound.endswith('"64-bit","0"' if "esn" in esp else '"32-bit","0"')


def test_own_format_holds_everything_and_parses() -> None:
    world, log = log_of("chacha20poly1305-prfsha256-x25519", "chacha20poly1305")
    files = log.files()
    assert set(files) == {"keys.toml"}
    document = tomllib.loads(files["keys.toml"])
    (ike,), esp = document["ike"], document["esp"]
    assert bytes.fromhex(ike["sk_d"]) == world.alice.ike().keys.sk_d
    assert parse_suite(ike["suite"]) == world.alice.ike().chosen.transforms
    child = world.alice.children()[0]
    assert {e["spi"] for e in esp} == {child.spi_in.hex(), child.spi_out.hex()}
    assert bytes.fromhex(esp[0]["encryption_key"]) == child.keys.encryption_in
