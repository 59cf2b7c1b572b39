"""Names of peers."""

from dataclasses import replace

import pytest

from ipsectest.base.errors import PeerError, UsageError
from ipsectest.peers import table
from ipsectest.peers.names import PeerName


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("strongswan", PeerName("strongswan", "trixie")),
        ("strongswan@bookworm", PeerName("strongswan", "bookworm")),
        ("strongswan@host", PeerName("strongswan", "host")),
        ("libreswan", PeerName("libreswan", "trixie")),
        ("builtin", PeerName("builtin")),
    ],
)
def test_names(text: str, name: PeerName) -> None:
    assert table.parse(text) == name
    assert table.parse(str(name)) == name
    assert name in table.names()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strongsvan", "did you mean 'strongswan'"),
        ("racoon", "there are"),
        ("", "there are"),
        ("strongswan@warty", "trixie"),
        ("builtin@host", "no profile 'host'"),
        ("builtin@azur", "did you mean 'azure'"),
        ("builtin@azure", "for interop and lab up: here write just 'builtin'"),
    ],
)
def test_wrong_names_are_usage_errors(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        table.parse(text)


def test_the_built_in_peer_speaks_like_a_profile_where_that_is_asked_for() -> None:
    name = table.parse("builtin@aws", profiles=True)
    assert name == PeerName("builtin", "aws")
    profile = table.profile_of(name)
    assert profile is not None
    assert profile.name == "aws"
    assert name in table.speaking()
    assert not table.needs_tree(name)
    assert table.profile_of(PeerName("builtin")) is None
    assert table.profile_of(PeerName("strongswan", "trixie")) is None


def test_what_needs_no_tree_cannot_be_installed() -> None:
    for text in ("builtin", "strongswan@host"):
        with pytest.raises(UsageError):
            table.install(table.parse(text))


def test_a_missing_tree_says_how_to_get_it(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPSECTEST_CACHE", str(tmp_path))
    with pytest.raises(PeerError, match="ipsectest peers install strongswan@trixie"):
        table.root_of(table.parse("strongswan"))


def test_a_daemon_that_the_host_lacks_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = replace(table.PEERS["libreswan"], program="/nowhere/pluto")
    monkeypatch.setitem(table.PEERS, "libreswan", peer)
    with pytest.raises(PeerError, match=r"package: libreswan\); in a tree of its own: libreswan@trixie"):
        table.root_of(table.parse("libreswan@host"))
