"""``ipsectest keys``: what is printed, what is written, with which mode and exit code."""

import json
import stat
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from ipsectest.cli import main as entry

KEYS = Path(__file__).parent.parent.parent.parent / "pcaps" / "strongswan-responder-psk-aes128gcm16.keys.toml"
CHACHA = KEYS.with_name("strongswan-initiator-ecdsa-chacha20.keys.toml")
SK_EI = "8b2b79402b85b2953dddeae8ac9e08317b21c5d3"


def run(*words: str | Path) -> int:
    return entry.main(["keys", *map(str, words)])


def test_keys_are_shown_only_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", KEYS) == 0
    shown = capsys.readouterr()
    assert "8ee1bf72  192.0.2.1 -> 192.0.2.2  aes128gcm16" in shown.out
    assert SK_EI not in shown.out + shown.err
    assert run("show", KEYS, "--secrets") == 0
    assert SK_EI in capsys.readouterr().out


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", KEYS, "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert [sa["spi"] for sa in document["sas"]] == ["01c8ba9e", "8ee1bf72", "b7999c89", "8b81d42c"]
    assert document["ike"][0]["keys"]["sk_ei"] == {"octets": 20}
    assert run("show", KEYS, "--json", "--secrets") == 0
    assert json.loads(capsys.readouterr().out)["ike"][0]["keys"]["sk_ei"]["hex"] == SK_EI


def test_new_files_are_the_owners_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "profile"
    assert run("convert", KEYS, "--to", "wireshark", "-o", profile) == 0
    assert stat.S_IMODE(profile.stat().st_mode) == 0o700
    assert {path.name for path in profile.iterdir()} == {"esp_sa", "ikev2_decryption_table"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in profile.iterdir())
    assert capsys.readouterr().out == ""
    before = (profile / "esp_sa").read_text()
    assert run("convert", CHACHA, "--to", "wireshark", "-o", profile) == 0
    assert (profile / "esp_sa").read_text() == before
    assert run("convert", KEYS, "--to", "wireshark", "-o", profile) == 2
    assert "exists" in capsys.readouterr().err
    assert run("convert", KEYS, "--to", "wireshark", "-o", profile, "--force") == 0
    assert run("convert", profile, "--to", "ours", "-o", tmp_path / "keys.toml") == 0
    assert SK_EI in (tmp_path / "keys.toml").read_text()


def test_what_is_left_out_is_told_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("convert", CHACHA, "--to", "wireshark") == 0
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert len(lines) == 6
    assert all(line.startswith(f"{CHACHA}:") and "Wireshark has no chacha20poly1305" in line for line in lines)


def test_a_bad_line_is_exit_code_2_and_the_others_are_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "esp_sa"
    good = '"IPv4","192.0.2.1","192.0.2.2","0x00000001","NULL","","NULL",""'
    bad = '"IPv4","192.0.2.1","192.0.2.2","0x2","aes","0x00","NULL",""'
    path.write_text(f"{good}\n{bad}\n{good.replace('0x00000001', '0x00000007')}\n")
    assert run("show", path) == 2
    told = capsys.readouterr()
    assert told.out.count("ESP ") == 2
    assert told.err == f"ipsectest: {path}:2:38: Wireshark has no encryption 'aes'\n"


@pytest.mark.parametrize(
    "text", ["", "nothing of use\n", "\0\1\2", "interface: outside\n  #pkts encaps: 4\n", "{\n}\n"]
)
def test_a_file_without_keys_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "file"
    path.write_text(text)
    assert run("show", path) == 2
    assert capsys.readouterr().err.startswith(f"ipsectest: {path}: ")


def test_a_folder_without_keys_and_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("show", tmp_path) == 2
    assert "keys.toml" in capsys.readouterr().err
    assert run("show", tmp_path / "none") == 2
    assert "No such file" in capsys.readouterr().err


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(KEYS.read_bytes())))
    assert run("convert", "-", "--to", "tcpdump") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "standard input:1: IKE SA" in told.err
    assert run("show", "-", "-") == 2
