from ipsectest.base.suites import format_suite
from ipsectest.peers.strongswan_reports import ike_report, key_exchanges

CHILD = {
    "state": b"INSTALLED",
    "mode": b"TUNNEL",
    "encap": b"yes",
    "spi-in": b"1234567",
    "spi-out": b"c0ffee00",
    "encr-alg": b"AES_CBC",
    "encr-keysize": b"256",
    "integ-alg": b"HMAC_SHA2_512_256",
}
SA = {
    "state": b"ESTABLISHED",
    "initiator-spi": b"00c0ffee00c0ffee",
    "responder-spi": b"0123456789abcdef",
    "encr-alg": b"AES_GCM_16",
    "encr-keysize": b"128",
    "prf-alg": b"PRF_HMAC_SHA2_256",
    "dh-group": b"CURVE_25519",
    "child-sas": {"net-1": CHILD, "net-2": {**CHILD, "state": b"DELETED"}},
}


def test_an_established_sa_in_our_words() -> None:
    report = ike_report(SA)
    assert (report.spi_i.hex(), report.spi_r.hex()) == ("00c0ffee00c0ffee", "0123456789abcdef")
    assert format_suite(report.suite) == "aes128gcm16-prfsha256-x25519"
    (child,) = report.children
    assert (child.spi_in.hex(), child.spi_out.hex()) == ("01234567", "c0ffee00")
    assert (format_suite(child.suite), child.mode, child.encapsulated) == ("aes256-sha512", "tunnel", True)


def test_a_cipher_of_one_key_size_has_no_attribute_for_it() -> None:
    chacha = {**SA, "encr-alg": b"CHACHA20_POLY1305", "encr-keysize": b"256", "dh-group": b"ML_KEM_768"}
    assert format_suite(ike_report(chacha).suite) == "chacha20poly1305-prfsha256-mlkem768"


def test_what_is_not_established_is_not_reported() -> None:
    assert ike_report({**SA, "state": b"CONNECTING"}) is None


def test_key_exchanges_of_either_release() -> None:
    assert key_exchanges({"dh": {"MODP_2048": b"openssl", "CURVE_25519": b"x", "MODP_NULL": b"x"}}) == {14, 31}
    assert key_exchanges({"ke": {"ECP_256": b"openssl", "ML_KEM_768": b"ml"}}) == {19, 36}
