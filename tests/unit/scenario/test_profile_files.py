"""Profiles: every shipped file is right, and a mistake is told where it is."""

import re
from pathlib import Path

import pytest

from ipsectest.base.errors import InputError, UsageError
from ipsectest.base.iana import ProtocolId
from ipsectest.ike import proposals
from ipsectest.scenario import profile_files
from ipsectest.scenario.lint import lint
from ipsectest.scenario.ports import Authentication
from ipsectest.scenario.profile import ROLES

SHIPPED = profile_files.files()
GOOD = """
title = "A gateway"
sources = ["a document"]
roles = ["initiator"]
modes = ["tunnel"]
encapsulations = ["plain"]
ips = ["v4"]

[authentication]
psk = "address"

[ike]
proposals = [
    "aes128-sha256-prfsha256-modp2048",
    "aes256gcm16-prfsha384-ecp384",
]
group = "ecp384"

[esp]
proposals = ["aes128-sha256-noesn"]
accepts = ["aes128-sha1-noesn"]
octets = 1000

[announces]
ike_auth = ["MOBIKE_SUPPORTED"]
configuration = ["INTERNAL_IP4_ADDRESS", "23456"]
vendor_ids = ["00ff"]
"""


def written(tmp_path: Path, text: str, name: str = "mine.toml") -> Path:
    path = tmp_path / "profiles" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_say_what_our_endpoint_can_do_and_where_it_is_from(name: str) -> None:
    profile = profile_files.named(name)
    assert profile.sources
    for offer, protocol in ((profile.ike, ProtocolId.IKE), (profile.esp, ProtocolId.ESP)):
        for suite in (*offer.proposals, *offer.accepts):
            offered = proposals.offer(proposals.child_suites([suite], with_ke=True), protocol, b"")
            if protocol == ProtocolId.IKE:
                offered = proposals.offer([suite], protocol, b"")
            wanted = [proposal.specs for proposal in offered]
            assert proposals.choose(offered, wanted, protocol, 0), (name, suite)
        assert profile_files.named(name) is profile


def test_what_a_file_says(tmp_path: Path) -> None:
    profile = profile_files.load(written(tmp_path, GOOD))
    assert (profile.name, profile.title, profile.identities) == ("mine", "A gateway", {Authentication.PSK: "address"})
    assert profile.ike.accepts == profile.ike.proposals == profile.ike.of(ROLES[1])
    assert profile.esp.of(ROLES[0]) != profile.esp.of(ROLES[1])
    assert (profile.ike.group, profile.esp.octets, profile.selectors) == (20, 1000, ())
    assert profile.announces.vendor_ids == (b"\x00\xff",)
    assert profile.announces.configuration == (1, 23456)
    assert profile.announces.signature_hashes


@pytest.mark.parametrize(
    ("old", "new", "place", "said"),
    [
        ("title =", "titel =", "2:1", "there is no key 'titel'\n.*did you mean 'title'"),
        ('title = "A gateway"', "", "1:1", "title is missing"),
        ('["initiator"]', '["initator"]', "4:11", "roles: cannot be 'initator'.*did you mean 'initiator'"),
        ('["initiator"]', "[]", "4:1", "roles is empty"),
        ("[esp]", "[eps]", "19:1", "there is no key 'eps'.*did you mean 'esp'"),
        ("aes256gcm16", "aes256gmc16", "15:6", "proposals: there is no algorithm 'aes256gmc16'.*mean 'aes256gcm16'"),
        ("prfsha384-ecp384", "prfsha384-ecp348", "15:28", "there is no algorithm 'ecp348'.*did you mean 'ecp384'"),
        ('-ecp384"', '"', "15:6", "a proposal without KE"),
        ('group = "ecp384"', 'group = "sha256"', "17:10", "group: cannot be 'sha256'"),
        ("1000", "-1", "22:1", "octets: needs a whole number"),
        ('psk = "address"', "", "9:1", "there is no authentication"),
        ("psk =", "pks =", "10:1", "there is no key 'pks'.*did you mean 'psk'"),
        ("MOBIKE_SUPPORTED", "MOBIK_SUPPORTED", "25:14", "did you mean 'MOBIKE_SUPPORTED'"),
        ("00ff", "00f", "27:16", "not hexadecimal"),
        ("[ike]", "[ike", "12:5", ""),
        ("octets = 1000", 'lifetime = "1h"', "22:1", "lifetime: needs a whole number"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_column_and_what_was_perhaps_meant(
    tmp_path: Path, old: str, new: str, place: str, said: str
) -> None:
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    findings = lint([path], catalogue={})
    assert any(str(f).startswith(f"{path}:{place}: ") and re.search(said, str(f), re.DOTALL) for f in findings), [
        str(finding) for finding in findings
    ]
    with pytest.raises(InputError, match=re.escape(f"{path}:")):
        profile_files.load(path)


@pytest.mark.parametrize(
    "data", [b"\xff\xfe", b"\x00", b"= = =", b"ike = 3\nesp = [1]\nauthentication = 'x'", b"x = " + b"[" * 9999]
)
def test_what_is_no_profile_is_one_error(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path, GOOD)
    path.write_bytes(data)
    with pytest.raises(InputError):
        profile_files.load(path)


def test_a_file_has_a_name_that_a_command_line_takes(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no name"):
        profile_files.load(written(tmp_path, GOOD, "My Gateway.toml"))


def test_an_unknown_profile_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'azure'"):
        profile_files.named("azur")


def test_a_profile_may_lie_anywhere(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(GOOD.replace("1000", "-1"))
    assert [finding.place.line for finding in lint([path], catalogue={})] == [22]
    with pytest.raises(InputError, match=r"mine\.toml:22:1: octets: needs"):
        profile_files.named(str(path))
    path = tmp_path / "another.toml"
    path.write_text(GOOD)
    assert profile_files.named(str(path)).name == "another"
    with pytest.raises(InputError, match="cannot be read"):
        profile_files.named(str(tmp_path / "none.toml"))
