"""Our settings in Libreswan's words."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.suites import parse_suite
from ipsectest.peers.libreswan_settings import connection, daemon_conf, identity, options_for, secret_line, shunts
from ipsectest.peers.options import DaemonOptions
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector, SpdEntry
from tests.unit.peers.settings import settings

_SSH = Selector("203.0.113.1", "203.0.113.1", 6, 22, 22), Selector("198.51.100.1", "198.51.100.1")


def words(given: PeerSettings, version: str = "5.2") -> dict[str, str]:
    title, *lines = connection(given, version).splitlines()
    assert title == f"conn {given.name}"
    assert all(line.startswith("\t") for line in lines)
    return dict(line.strip().split("=", 1) for line in lines)


def test_a_plain_case() -> None:
    found = words(settings(7))
    assert (found["left"], found["right"]) == ("192.0.2.254", "192.0.2.7")
    assert (found["leftid"], found["rightid"]) == ('"@peer.example"', '"@tester7.example"')
    assert (found["leftsubnet"], found["rightsubnet"]) == ("203.0.113.7/32", "198.51.100.7/32")
    assert (found["ike"], found["esp"]) == ("aes_gcm_c128-sha2_256-dh31", "aes_gcm_c128-none")
    assert (found["leftauth"], found["rightauth"]) == ("secret", "secret")
    assert (found["esn"], found["pfs"], found["rekey"], found["auto"]) == ("no", "no", "no", "add")
    assert (found["retransmit-interval"], found["retransmit-timeout"]) == ("500ms", "63500ms")
    assert "replay-window" not in found


def test_releases_differ() -> None:
    assert words(settings(), "4.10")["ikev2"] == "insist"
    assert words(settings(), "5.2")["keyexchange"] == "ikev2"
    several = settings(local_ts=(Selector("203.0.113.1", "203.0.113.1"), Selector("203.0.113.64", "203.0.113.127")))
    assert words(several, "5.2")["leftsubnet"] == "203.0.113.1/32,203.0.113.64/26"
    with pytest.raises(UnsupportedError, match="Libreswan 4"):
        words(several, "4.10")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ike": (parse_suite("aes128-sha256-prfsha256-modp2048"),)}, {"ike": "aes128-sha2_256-dh14"}),
        (
            {"ike": (parse_suite("aes128gcm16-aes256gcm16-prfsha256-x25519-modp2048"),)},
            {"ike": "aes_gcm_c128+aes_gcm_c256-sha2_256-dh31+dh14"},
        ),
        (
            {"esp": (parse_suite("aes128gcm16-x25519-esn"),)},
            {"esp": "aes_gcm_c128-none-dh31", "pfs": "yes", "esn": "yes"},
        ),
        ({"esp": (parse_suite("aes256-sha512-noesn-esn"),)}, {"esp": "aes256-sha2_512", "esn": "either"}),
        ({"esp": (parse_suite("chacha20poly1305"),)}, {"esp": "chacha20_poly1305-none"}),
        ({"replay_window": 0}, {"replay-window": "0"}),
        ({"mode": "transport"}, {"type": "transport"}),
        ({"force_encapsulation": True, "mobike": True}, {"encapsulation": "yes", "mobike": "yes"}),
        ({"child_packets": 5}, {"rekey": "yes", "ipsec-max-packets": "10"}),
        ({"child_bytes": 600, "child_expires": True}, {"rekey": "no", "ipsec-max-bytes": "600"}),
        ({"child_lifetime": 2.0, "child_expires": True}, {"rekey": "no", "salifetime": "2s", "rekeymargin": "1s"}),
        ({"spd": (SpdEntry("bypass", *_SSH), SpdEntry("protect"))}, {"priority": "2"}),
        ({"ike_lifetime": 3.0}, {"rekey": "yes", "ikelifetime": "5s", "rekeymargin": "2s", "rekeyfuzz": "0%"}),
        ({"dpd": 1.5}, {"dpddelay": "2s"}),
        ({"local_auth": Authentication.RSA}, {"leftauth": "rsasig", "leftcert": "mine", "leftsendcert": "always"}),
        (
            {"local_auth": Authentication.ECDSA, "remote_auth": Authentication.ECDSA, "hashes": ("sha384",)},
            {"authby": "ecdsa-sha2_384", "rightca": "%any"},
        ),
        ({"local_ts": (Selector("203.0.113.1", "203.0.113.1", 17, 53, 53),)}, {"leftprotoport": "17/53"}),
        ({"remote_ts": (Selector("198.51.100.1", "198.51.100.1", 6),)}, {"rightprotoport": "6/0"}),
        (
            {"pool": "198.51.100.1"},
            {"rightaddresspool": "198.51.100.1-198.51.100.1", "leftmodecfgserver": "yes", "rightmodecfgclient": "yes"},
        ),
    ],
)
def test_one_setting(changes: dict[str, Any], expected: dict[str, str]) -> None:
    assert expected.items() <= words(settings(**changes)).items()


def test_who_is_given_an_address_has_no_other_selector() -> None:
    assert "rightsubnet" in words(settings())
    assert "rightsubnet" not in words(settings(pool="198.51.100.1"))


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 4},
        {"childless": "force"},
        {"childless": "never"},
        {"unique": "keep"},
        {"local_auth": Authentication.ED25519},
        {"local_auth": Authentication.RSA, "remote_auth": Authentication.RSA, "hashes": ("identity",)},
        {"local_auth": Authentication.RSA, "hashes": ("sha256",)},
        {"ike": (parse_suite("aes128gcm16-prfsha256-x448"),)},
        {"ike": (parse_suite("aes128-sha256-prfsha512-modp2048"),)},
        {"ike": (parse_suite("aes128gcm16-prfsha256-x25519-ke1_mlkem768"),)},
        {"ike": (parse_suite("camellia128ctr-sha256-prfsha256-x25519"),)},
        {"ike": (parse_suite("1/65000-prfsha256-x25519"),)},
        {"spd": (SpdEntry("protect", *_SSH, "second"), SpdEntry("protect"))},
        {"local_ts": (Selector("203.0.113.1", "203.0.113.6"),)},
        {"local_ts": (Selector("203.0.113.1", "203.0.113.1", 6), Selector("203.0.113.2", "203.0.113.2", 17))},
    ],
)
def test_what_pluto_lacks_is_unsupported(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        words(settings(**changes))


def test_entries_of_the_policy_are_connections_of_their_own() -> None:
    given = settings(spd=(SpdEntry("protect"), SpdEntry("discard", *_SSH)))
    ((name, section),) = shunts(given).items()
    assert name == f"{given.name}-spd-1"
    told = {"type=drop", "authby=never", "priority=2", "leftprotoport=6/22", "rightsubnet=198.51.100.1/32"}
    assert told <= {line.strip() for line in section.splitlines()}


def test_what_is_of_the_daemon_makes_another_instance() -> None:
    assert options_for(settings(1)) == options_for(settings(2, retransmit=0.1, dpd=3.0)) == DaemonOptions()
    assert options_for(settings(cookies=True)) == DaemonOptions(cookies=True)
    assert options_for(settings(unique="replace")) == DaemonOptions(unique=True)
    assert options_for(settings(local_auth=Authentication.RSA)) == DaemonOptions(certificate="rsa")
    text = daemon_conf(DaemonOptions(cookies=True), PurePosixPath("/run/peer"))
    assert "\tddos-mode=busy\n" in text
    assert "\tnssdir=/run/peer/nss\n" in text


def test_identities_and_secrets() -> None:
    assert identity(Identity("fqdn", "a.example")) == "@a.example"
    assert identity(Identity("keyid", "0102ab")) == "@#0102ab"
    assert identity(Identity("dn", "CN=a, O=b")) == "CN=a, O=b"
    with pytest.raises(UnsupportedError):
        identity(Identity("gn", "x"))
    assert secret_line(settings(secret=b"\x00'\"\n")) == '"@peer.example" "@tester1.example" : PSK 0x0027220a\n'
    assert secret_line(settings(local_auth=Authentication.RSA, remote_auth=Authentication.RSA)) == ""
