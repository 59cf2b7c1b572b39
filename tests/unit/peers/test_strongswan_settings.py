"""Our settings in strongSwan's words."""

import math
import re
from pathlib import PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.suites import parse_suite
from ipsectest.peers.credentials import Credential, Credentials
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan_settings import (
    child_names,
    connection,
    daemon_conf,
    identity,
    options_for,
    pool,
    selectors,
)
from ipsectest.scenario.ports import Authentication, Identity, Selector
from tests.unit.peers.settings import settings

NONE = Credentials()


def child(section: dict[str, Any], name: str = "net") -> dict[str, Any]:
    found = section["children"][name]
    assert isinstance(found, dict)
    return found


def test_a_plain_case() -> None:
    section = connection(settings(7), NONE)
    assert section["local_addrs"] == ["192.0.2.254"]
    assert section["remote_addrs"] == ["192.0.2.7"]
    assert section["proposals"] == ["aes128gcm16-prfsha256-x25519"]
    assert section["local"] == {"auth": "psk", "id": "fqdn:peer.example"}
    assert section["remote"] == {"auth": "psk", "id": "fqdn:tester7.example"}
    assert child(section)["local_ts"] == ["203.0.113.7/32"]
    assert child(section)["esp_proposals"] == ["aes128gcm16"]
    assert "replay_window" not in child(section)
    assert "remote_port" not in section


def test_nothing_happens_by_itself_unless_asked_for() -> None:
    quiet = connection(settings(), NONE)
    assert (quiet["rekey_time"], quiet["reauth_time"], quiet["dpd_delay"]) == ("0", "0", "0")
    assert (child(quiet)["rekey_time"], child(quiet)["life_time"]) == ("0", "0")
    busy = connection(settings(ike_lifetime=2.5, child_lifetime=1.0, dpd=0.4), NONE)
    assert (busy["rekey_time"], busy["dpd_delay"]) == ("3", "1")
    assert (child(busy)["rekey_time"], child(busy)["life_time"]) == ("1", "2")


def test_several_proposals_stay_in_order() -> None:
    suites = tuple(parse_suite(text) for text in ("aes256-sha384-ecp384", "aes128gcm16-prfsha256-modp2048-modp3072"))
    section = connection(settings(ike=suites), NONE)
    assert section["proposals"] == ["aes256-sha384-ecp384", "aes128gcm16-prfsha256-modp2048-modp3072"]


def test_certificates_are_given_as_data_and_hashes_constrain_them() -> None:
    mine = Credentials(mine={Authentication.ECDSA: Credential(b"certificate", b"key")})
    given_settings = settings(
        local_auth=Authentication.ECDSA, remote_auth=Authentication.RSA, hashes=("sha256", "sha512")
    )
    section = connection(given_settings, mine)
    assert section["local"] == {"auth": "pubkey-sha256-sha512", "id": "fqdn:peer.example", "certs": [b"certificate"]}
    assert section["remote"]["auth"] == "pubkey-sha256-sha512"  # type: ignore[index]
    with pytest.raises(UnsupportedError, match="rsa"):
        connection(settings(local_auth=Authentication.RSA), mine)


@pytest.mark.parametrize(
    "changes",
    [
        {"window": 2},
        {"mode": "transport"},
        {"replay_window": 64},
        {"replay_window": 0},
        {"local_auth": Authentication.NULL},
        {"remote_auth": Authentication.NULL},
        {"remote_id": Identity("gn", "x")},
    ],
)
def test_what_charon_cannot_do_is_unsupported(changes: dict[str, Any]) -> None:
    with pytest.raises(UnsupportedError):
        connection(settings(**changes), NONE)


def test_the_kernel_can_do_more_than_user_space() -> None:
    section = connection(settings(mode="transport", replay_window=64), NONE, user_space_esp=False)
    assert (child(section)["mode"], child(section)["replay_window"]) == ("transport", "64")


def test_doubles_of_the_child_differ_from_each_other() -> None:
    given_settings = settings()
    children = connection(given_settings, NONE)["children"]
    assert isinstance(children, dict)
    assert list(children) == child_names(given_settings)
    texts = {str(sorted(section.items())) for section in children.values()}
    assert len(texts) == len(children)


@pytest.mark.parametrize(
    ("given_identity", "text"),
    [
        (Identity("fqdn", "a.example"), "fqdn:a.example"),
        (Identity("email", "a@b.example"), "email:a@b.example"),
        (Identity("ipv4", "192.0.2.1"), "192.0.2.1"),
        (Identity("ipv6", "2001:db8::1"), "2001:db8::1"),
        (Identity("keyid", "00ff"), "keyid:#00ff"),
        (Identity("dn", "CN=a"), "CN=a"),
    ],
)
def test_identities(given_identity: Identity, text: str) -> None:
    assert identity(given_identity) == text


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        (Selector("203.0.113.0", "203.0.113.255"), "203.0.113.0/24"),
        (Selector("203.0.113.1", "203.0.113.9"), "203.0.113.1-203.0.113.9"),
        (Selector("2001:db8::", "2001:db8::ffff"), "2001:db8::/112"),
        (Selector("203.0.113.1", "203.0.113.1", 6), "203.0.113.1/32[6]"),
        (Selector("203.0.113.1", "203.0.113.1", 17, 500, 4500), "203.0.113.1/32[17/500-4500]"),
        (Selector("0.0.0.0", "255.255.255.255"), "0.0.0.0/0"),
    ],
)
def test_selectors(selector: Selector, text: str) -> None:
    assert selectors(selector) == [text]


@given(st.floats(0, 1e6))
def test_times_are_whole_seconds_and_never_shorter(seconds: float) -> None:
    section = connection(settings(dpd=seconds), NONE)
    assert section["dpd_delay"] == str(math.ceil(seconds))


def test_the_daemon_file_is_balanced_and_stays_in_its_directory() -> None:
    for options in (DaemonOptions(), DaemonOptions(cookies=True), DaemonOptions(user_space_esp=False)):
        text = daemon_conf(options, PurePosixPath("/run/peer"))
        assert text.count("{") == text.count("}")
        assert all(path.startswith("/run/peer/") for path in re.findall(r"(?:unix://|path = )(\S+)", text))
        assert ("kernel-libipsec kernel-netlink" in text) == options.user_space_esp
        threads = re.search(r"threads = (\d+)", text)
        assert threads
        assert int(threads[1]) >= 16


def test_only_what_is_one_for_the_daemon_asks_for_another_daemon() -> None:
    assert options_for(settings(1)) == options_for(settings(2, dpd=3.0, ike_lifetime=5.0, cookies=False))
    assert options_for(settings(cookies=True)) != options_for(settings())
    assert options_for(settings(retransmit=0.2)) != options_for(settings())


def test_an_address_to_give_is_a_pool_of_its_own() -> None:
    given = settings(pool="198.51.100.1")
    assert pool(given) == {"case-1": {"addrs": "198.51.100.1"}}
    section = connection(given, NONE)
    assert section["pools"] == ["case-1"]
    assert child(section)["remote_ts"] == ["dynamic"]
    assert pool(settings()) is None
    assert "pools" not in connection(settings(), NONE)
