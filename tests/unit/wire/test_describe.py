"""Messages in words."""

from ipsectest import wire
from tests.unit.wire import samples


def text(name: str) -> str:
    return "\n".join(line.text for line in wire.describe(samples.MESSAGES[name]))


def test_the_summary_is_a_ladder_line() -> None:
    assert wire.summary(samples.MESSAGES["cookie"]) == "IKE_SA_INIT response 0: N(COOKIE)"
    assert wire.summary(samples.MESSAGES["sa_init_response"]) == (
        "IKE_SA_INIT response 0: SA KE Nr CERTREQ N(IKEV2_FRAGMENTATION_SUPPORTED)"
    )
    assert wire.summary(samples.MESSAGES["fragment"]) == "IKE_AUTH request 1: SKF(2/3)"
    assert "PAYLOAD(200)" in wire.summary(samples.MESSAGES["rare"])
    assert wire.summary(wire.parse_message(b"abc")) == "3 octets, too short for IKE"


def test_inner_payloads_stand_in_the_braces_of_sk() -> None:
    inner = samples.MESSAGES["auth_inner"].payloads
    line = wire.summary(samples.MESSAGES["encrypted"], inner)
    assert line.startswith("IKE_AUTH request 1: SK{IDi CERT CERTREQ IDr AUTH CP SA TSi TSr N(USE_TRANSPORT_MODE)")
    assert any(line.depth == 2 and line.text == "IDi" for line in wire.describe(samples.MESSAGES["encrypted"], inner))


def test_the_tree_names_algorithms_groups_and_addresses() -> None:
    tree = text("sa_init_request")
    assert "transform ENCR ENCR_AES_GCM_16, key length 256" in tree
    assert "group: CURVE25519 (31)" in tree
    inner = text("auth_inner")
    assert "192.0.2.0-192.0.2.255" in inner
    assert "2001:db8:1::5-2001:db8:1::9" in inner
    assert "00000001 00000002" in text("informational")


def test_forced_numbers_and_anomalies_are_shown() -> None:
    data = wire.build_message(samples.request(34, wire.Nonce(b"n" * 16, length=99), flags=0x48))
    lines = [line.text for line in wire.describe(wire.parse_message(data))]
    assert "length: 99 (forced)" in lines
    assert any(line.startswith("! reserved-set at 19-20") for line in lines)


def test_every_prefix_of_a_message_can_be_described() -> None:
    data = wire.build_message(samples.MESSAGES["rare"])
    for cut in range(len(data) + 1):
        message = wire.parse_message(data[:cut])
        assert wire.describe(message)
        assert wire.summary(message)
