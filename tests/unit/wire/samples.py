"""Well-formed messages with every payload type, shared by the tests of wire and layers."""

from ipsectest.base.iana import PayloadType
from ipsectest.base.suites import parse_suite
from ipsectest.wire import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    KE,
    SA,
    SK,
    SKF,
    Attribute,
    ConfigurationAttribute,
    Delete,
    IDi,
    IDr,
    Message,
    Nonce,
    Notify,
    OtherTrafficSelector,
    Payload,
    Proposal,
    TrafficSelector,
    Transform,
    TSi,
    TSr,
    UnknownPayload,
    VendorID,
)

SPI_I = bytes.fromhex("0102030405060708")
SPI_R = bytes.fromhex("1112131415161718")


def proposal(number: int, protocol: int, suite: str, spi: bytes = b"") -> Proposal:
    return Proposal(number, protocol, spi, [Transform.of(spec) for spec in parse_suite(suite)])


def request(exchange: int, *payloads: Payload, message_id: int = 0, flags: int = 0x08) -> Message:
    responder = bytes(8) if exchange == 34 and flags == 0x08 else SPI_R
    return Message(SPI_I, responder, exchange, flags, message_id, list(payloads))


LARGE_PROPOSALS = (
    (
        "aes128-aes192-aes256-aes128ctr-aes192ctr-aes256ctr-camellia128-camellia192-camellia256-camellia256ctr-3des"
        "-sha256-sha384-sha512-sha1-aesxcbc-aescmac-prfsha256-prfsha384-prfsha512-prfsha1-prfaesxcbc-prfaescmac"
        "-ecp256-ecp384-ecp521-ecp256bp-ecp384bp-ecp512bp-x25519-x448-modp2048-modp3072-modp4096"
    ),
    (
        "aes128gcm16-aes192gcm16-aes256gcm16-aes128gcm12-aes192gcm12-aes256gcm12-aes128gcm8-aes192gcm8-aes256gcm8"
        "-aes128ccm16-chacha20poly1305-prfsha256-prfsha384-prfsha512-prfsha1-prfaesxcbc-prfaescmac"
        "-ecp256-ecp384-ecp521-ecp256bp-ecp384bp-ecp512bp-x25519-x448-modp2048-modp3072-modp4096-modp6144-modp8192"
    ),
)


def large_sa_init() -> Message:
    """724 octets: two proposals with 34 and 30 transforms, 20 of them with a key length, KE, Ni, one notify."""
    proposals = [proposal(number, 1, suite) for number, suite in enumerate(LARGE_PROPOSALS, 1)]
    return request(34, SA(proposals), KE(31, bytes(range(32))), Nonce(bytes(range(32, 64))), Notify(16430))


IPV4_SELECTORS = [TrafficSelector.of("192.0.2.0/24"), TrafficSelector.of("198.51.100.7", 17, (53, 53))]
IPV6_SELECTORS = [TrafficSelector.of("2001:db8::/64"), TrafficSelector.of("2001:db8:1::5-2001:db8:1::9", 6, (80, 443))]

MESSAGES: dict[str, Message] = {
    "sa_init_request": request(
        34,
        SA(
            [
                proposal(1, 1, "aes128gcm16-aes256gcm16-prfsha256-x25519"),
                proposal(2, 1, "aes256-sha256-prfsha256-ecp256"),
            ]
        ),
        KE(31, bytes(range(32))),
        Nonce(bytes(range(32))),
        Notify(16388, bytes(range(20))),
        Notify(16389, bytes(range(20, 40))),
        Notify(16431, bytes.fromhex("000200030004")),
        VendorID(b"ipsectest"),
    ),
    "sa_init_large": large_sa_init(),
    "sa_init_response": request(
        34,
        SA([proposal(1, 1, "aes128gcm16-prfsha256-x25519")]),
        KE(31, bytes(range(32))),
        Nonce(bytes(range(24))),
        CERTREQ(4, bytes(range(20))),
        Notify(16430),
        flags=0x20,
    ),
    "cookie": request(34, Notify(16390, b"cookie of some octets"), flags=0x20),
    "invalid_ke": request(34, Notify(17, b"\x00\x13"), flags=0x20),
    "additional_ke": request(
        34,
        SA([proposal(1, 1, "aes256gcm16-prfsha384-x25519-ke1_mlkem768-ke2_mlkem1024")]),
        KE(31, bytes(32)),
        Nonce(bytes(16)),
    ),
    "auth_inner": request(
        35,
        IDi(2, b"initiator.example.org"),
        CERT(4, bytes(range(100))),
        CERTREQ(4, bytes(range(20))),
        IDr(1, bytes((192, 0, 2, 1))),
        AUTH(14, bytes(range(64))),
        CP(1, [ConfigurationAttribute(1), ConfigurationAttribute(8, bytes(17)), ConfigurationAttribute(3, bytes(4))]),
        SA(
            [
                proposal(1, 3, "aes128gcm16-noesn", b"\xc0\xff\xee\x01"),
                proposal(2, 3, "aes256-sha256-noesn", b"\xc0\xff\xee\x01"),
            ]
        ),
        TSi(IPV4_SELECTORS),
        TSr(IPV6_SELECTORS),
        Notify(16391),
        message_id=1,
    ),
    "eap": request(35, EAP(2, 7, bytes.fromhex("01") + b"user@example.org"), EAP(3, 8), message_id=2),
    "informational": request(
        37,
        Delete(1),
        Delete(3, [b"\x00\x00\x00\x01", b"\x00\x00\x00\x02"]),
        Notify(11, b"", 3, b"\xde\xad\xbe\xef"),
        message_id=3,
    ),
    "empty_informational": request(37, message_id=4, flags=0x28),
    "encrypted": request(35, SK(bytes(range(60)), PayloadType.IDi), message_id=1),
    "fragment": request(35, SKF(2, 3, bytes(range(60))), message_id=1),
    "first_fragment": request(35, SKF(1, 3, bytes(range(60)), PayloadType.IDi), message_id=1),
    "rare": request(
        36,
        SA(
            [Proposal(1, 3, b"abcd", [Transform(1, 12, [Attribute(14, 128), Attribute(99, b"long")]), Transform(5, 0)])]
        ),
        TSi([OtherTrafficSelector(10, 0, b"label"), IPV4_SELECTORS[0], OtherTrafficSelector(9, 0, bytes(20))]),
        UnknownPayload(200, b"unknown"),
        UnknownPayload(54, b"\x01\x02"),
        UnknownPayload(201, b"", critical=True),
        message_id=5,
    ),
}
