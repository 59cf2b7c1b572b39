"""Each algorithm that Scapy's SecurityAssociation has too, in both directions.

Scapy is not asked for what it is known to do wrongly: ICVs of AES-GCM-8 and -12, ESN roll-over.
"""

from collections.abc import Iterator

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP
from scapy.layers.ipsec import SecurityAssociation as ScapyAssociation

from ipsectest.ipsec.packets import Unprotected, protect, unprotect
from ipsectest.ipsec.sa import Mode
from tests.unit.ipsec.sas import SPI, arguments, ends, seeded

CIPHERS = {
    "aes128gcm16": "AES-GCM",
    "aes256gcm16": "AES-GCM",
    "aes128ccm8": "AES-CCM",
    "aes192ccm12": "AES-CCM",
    "aes256ccm16": "AES-CCM",
    "aes128gmac": "AES-NULL-GMAC",
    "chacha20poly1305": "CHACHA20-POLY1305",
    "aes128": "AES-CBC",
    "aes192": "AES-CBC",
    "aes256": "AES-CBC",
    "aes256ctr": "AES-CTR",
    "3des": "3DES",
    "null": "NULL",
}
INTEGRITIES = {
    "md5": "HMAC-MD5-96",
    "sha1": "HMAC-SHA1-96",
    "sha256": "SHA2-256-128",
    "sha384": "SHA2-384-192",
    "sha512": "SHA2-512-256",
    "aescmac": "AES-CMAC-96",
}
SUITES = [
    "aes128gcm16",
    "aes256gcm16",
    "aes128ccm8",
    "aes192ccm12",
    "aes256ccm16",
    "aes128gmac",
    "chacha20poly1305",
    "aes128-sha256",
    "aes192-sha384",
    "aes256-sha512",
    "aes256ctr-sha1",
    "3des-md5",
    "null-sha256",
    "aes128-aescmac",
    "aes128",
]
HOSTS = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8::1", "2001:db8::2")}


def scapy_end(suite: str, version: int, *, tunnel: bool, natt: bool, esn: bool) -> ScapyAssociation:
    cipher, _, integ = suite.partition("-")
    ours = arguments(suite)
    source, destination = HOSTS[version]
    header = (IP if version == 4 else IPv6)(src=source, dst=destination)
    return ScapyAssociation(
        ESP,
        spi=int.from_bytes(SPI, "big"),
        crypt_algo=CIPHERS[cipher],
        crypt_key=ours["encryption_key"],
        crypt_icv_size=int(cipher.partition("ccm")[2]) if "ccm" in cipher else None,
        auth_algo=INTEGRITIES[integ] if integ else None,
        auth_key=ours["integrity_key"] if integ else None,
        tunnel_header=header if tunnel else None,
        nat_t_header=UDP(sport=4500, dport=4500) if natt else None,
        esn_en=esn,
        esn=3 if esn else None,
    )


def inner(version: int, size: int) -> bytes:
    if version == 4:
        return bytes(IP(src="198.51.100.1", dst="203.0.113.9") / ICMP(id=7) / (b"x" * size))
    return bytes(IPv6(src="2001:db8:1::1", dst="2001:db8:2::9") / UDP(sport=5, dport=6) / (b"x" * size))


def cases() -> Iterator[tuple[str, int, int, bool, bool]]:
    for suite in SUITES:
        for outer, inner_version in ((4, 4), (4, 6), (6, 4), (6, 6)):
            yield suite, outer, inner_version, False, False
        yield suite, 4, 4, True, False
        if suite not in {"aes128", "aes128gmac"}:
            yield suite, 4, 4, False, True


@pytest.mark.parametrize(("suite", "outer", "inner_version", "natt", "esn"), list(cases()))
def test_scapy_opens_our_tunnel_and_we_open_its(
    suite: str, outer: int, inner_version: int, natt: bool, esn: bool
) -> None:
    source, destination = HOSTS[outer]
    ports = (4500, 4500) if natt else None
    sender, receiver = ends(suite, source=source, destination=destination, udp_ports=ports, esn=esn)
    other = scapy_end(suite, outer, tunnel=True, natt=natt, esn=esn)
    layer = IP if outer == 4 else IPv6
    for size in (0, 1, 13, 64, 1000):
        packet = inner(inner_version, size)
        sequence = sender.sent + 1 + (3 << 32 if esn and not sender.sent else 0)
        if esn:
            sender.sent = sequence - 1
            receiver.replay.highest = max(receiver.replay.highest, 3 << 32)
        outgoing = protect(sender, packet, seeded(size))
        assert bytes(other.decrypt(layer(outgoing))) == packet
        theirs = other.encrypt((IP if inner_version == 4 else IPv6)(packet), seq_num=sequence & 0xFFFFFFFF)
        result = unprotect(receiver, bytes(theirs))
        assert isinstance(result, Unprotected), result
        assert (result.inner, result.sequence) == (packet, sequence)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("suite", ["aes128gcm16", "aes256-sha256", "null-sha1"])
def test_transport_mode(suite: str, version: int) -> None:
    sender, receiver = ends(suite, mode=Mode.TRANSPORT)
    other = scapy_end(suite, version, tunnel=False, natt=False, esn=False)
    layer = IP if version == 4 else IPv6
    packet = inner(version, 40)
    assert bytes(other.decrypt(layer(protect(sender, packet, seeded(1))))) == packet
    result = unprotect(receiver, bytes(other.encrypt(layer(packet), seq_num=9)))
    assert isinstance(result, Unprotected)
    assert (result.inner, result.sequence) == (packet, 9)
