"""Reading the description of a remote peer, and what is said about broken ones."""

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.base.suites import format_suite
from ipsectest.peers.remote.description import Ports, Remote
from ipsectest.peers.remote.load import load
from ipsectest.scenario.ports import Authentication

AT = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = """\
name = "branch"
version = "7.4"

[peer]
address = "2001:DB8::2"
inner = "203.0.113.1"
id = "fqdn:gw.example"
psk = "secret"
ike = ["aes256-sha256-modp2048", "aes128gcm16-prfsha384-x25519"]
esp = "aes128gcm16"
ts = "203.0.113.0/24"
mobike = true

[tester]
inner = "198.51.100.1"
port = 5500
nat_port = 5501
"""


def read(folder: Path, text: str, environment: dict[str, str] | None = None) -> Remote:
    path = folder / "gw.toml"
    path.write_text(text)
    return load(path, AT, environment or {})


def test_a_description_is_completed_as_daemons_do(tmp_path: Path) -> None:
    remote = read(tmp_path, GOOD)
    assert remote.facts is not None
    assert [format_suite(suite) for suite in remote.facts["ike"]] == [
        "aes256-sha256-modp2048-prfsha256",
        "aes128gcm16-prfsha384-x25519",
    ]
    assert [format_suite(suite) for suite in remote.facts["esp"]] == ["aes128gcm16-noesn"]
    assert remote.facts["auth"] is Authentication.PSK
    assert (remote.address, remote.ip) == ("2001:db8::2", 6)
    assert remote.own_ports == Ports(5500, 5501)
    assert remote.behind_nat
    assert [seat.facts for seat in remote.seats] == [{"id": "address", "auth": Authentication.PSK}]


@pytest.mark.parametrize(("key", "value"), [("psk_file", "secret.txt"), ("psk_env", "SECRET")])
def test_the_secret_need_not_stand_in_the_file(key: str, value: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_bytes(b"of the file\n")
    remote = read(tmp_path, GOOD.replace('psk = "secret"', f'{key} = "{value}"'), {"SECRET": "of the file"})
    assert remote.facts is not None
    assert remote.facts["psk"] == b"of the file"
    assert "of the file" not in repr(remote.certificates)


def test_without_facts_the_adapter_configures_the_peer(tmp_path: Path) -> None:
    text = 'name = "x"\n[peer]\naddress = "192.0.2.2"\ninner = "203.0.113.1"\n'
    text += '[tester]\ninner = "198.51.100.1"\n[adapter]\ncommand = ["./adapter"]\n'
    remote = read(tmp_path, text)
    assert remote.facts is None
    assert remote.adapter is not None
    assert remote.adapter.argv == ("./adapter",)


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("mobike", "mobyke", 12, "did you mean 'mobike'"),
        ("mobike = true", 'mobike = "yes"', 12, "mobike is true or false"),
        ("modp2048", "modp2084", 9, "did you mean 'modp2048'"),
        ("-modp2048", "", 9, "names no group"),
        ("aes128gcm16-prfsha384", "aes128gcm16", 9, "names no PRF"),
        ('"aes128gcm16"', '"sha256"', 10, "names no cipher"),
        ('"2001:DB8::2"', '"gw.example"', 5, "no IP address"),
        ('"fqdn:gw.example"', '"fqdm:gw.example"', 7, "did you mean 'fqdn'"),
        ('"fqdn:gw.example"', '"dn:CN=gw"', 7, "distinguished names"),
        ('psk = "secret"', "", 4, "pre-shared key is missing"),
        ('psk = "secret"', 'psk = ""', 8, "empty"),
        ('psk = "secret"', 'psk = "a"\npsk_env = "B"', 9, "one of them"),
        ('psk = "secret"', 'psk_env = "NO"', 8, "no variable 'NO'"),
        ('psk = "secret"', 'psk_file = "no.txt"', 8, "No such file"),
        ('psk = "secret"', 'psk_file = "a\\u0000b"', 8, "null byte"),
        ('psk = "secret"', 'auth = "rsa"', 8, "trust is missing"),
        ('psk = "secret"', 'auth = "null"', 8, "not supported"),
        ('inner = "203.0.113.1"\n', "", 4, "inner is missing"),
        ('inner = "198.51.100.1"', "", 14, "inner of [tester] is missing"),
        ('inner = "198.51.100.1"', 'inner = "2001:db8::1"', 6, "two IP versions"),
        ("nat_port = 5501", "nat_port = 5500", 17, "are two"),
        ("nat_port = 5501", "nat_port = 70000", 17, "no port"),
        ("nat_port = 5501", 'address = "192.0.2.1"', 17, "two IP versions"),
        ("nat_port = 5501", 'certificate = "x.pem"', 17, "No such file"),
        ('ts = "203.0.113.0/24"', 'ts = "nowhere"', 11, ""),
        ("mobike = true", 'childless = "force"', 12, "without_children"),
        ("[tester]", "[testers]", 14, "did you mean 'tester'"),
        ('name = "branch"', 'name = "../x"', 1, "no name"),
        ('name = "branch"', "name = 5", 1, "name is a text"),
        ('version = "7.4"', 'adapter = { command = ["x"], timeout = -1 }', 2, "timeout"),
        ('version = "7.4"', "version = ", 2, "Invalid value"),
        ('version = "7.4"', 'version = "7.4"\npeer = 3', 0, ""),
        ('version = "7.4"', "version = " + "[" * 3000, 0, "cannot be read"),
        ('version = "7.4"', "version = " + "9" * 9000, 0, "cannot be read"),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(old: str, new: str, line: int, words: str, tmp_path: Path) -> None:
    assert old in GOOD
    with pytest.raises(InputError) as told:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert words in str(told.value)
    assert "\n" not in str(told.value)
    if line:
        assert told.value.place is not None
        assert told.value.place.line == line
        assert told.value.place.column >= 1


@pytest.mark.parametrize("seats", [["192.0.2.1", ""], ["192.0.2.1", "192.0.2.1"]])
def test_several_testers_differ(seats: list[str], tmp_path: Path) -> None:
    head = GOOD.partition("[tester]")[0].replace("2001:DB8::2", "192.0.2.2")
    tables = [f'[[tester]]\naddress = "{host}"\ninner = "198.51.100.{n}"\n' for n, host in enumerate(seats, 1)]
    with pytest.raises(InputError):
        read(tmp_path, head + "".join(tables))
    good = head + tables[0] + tables[1].replace(f'"{seats[1]}"', '"192.0.2.9"')
    assert [seat.address for seat in read(tmp_path, good).seats] == ["192.0.2.1", "192.0.2.9"]


@given(
    at=st.integers(0, len(GOOD) - 1),
    cut=st.integers(0, 12),
    put=st.sampled_from(["", "[", "]", '"', "=", "\n", "{", "3", "\x00"]),
)
def test_damaged_files_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, cut: int, put: str
) -> None:
    with suppress(InputError):
        read(tmp_path_factory.getbasetemp(), GOOD[:at] + put + GOOD[at + cut :])
