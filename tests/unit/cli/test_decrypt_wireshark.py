"""``ipsectest decrypt --wireshark``: tshark decrypts the capture itself with the profile that was written."""

import os
import stat
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.unwrap import unwrap
from ipsectest.decrypt.wireshark_profile import MARK, profile
from ipsectest.ipsec.packets import protect
from tests.pcaps.tshark import require_tshark
from tests.unit.cli.test_decrypt import NAME, NAMES, files, tshark
from tests.unit.decrypt.test_unwrap import INNER, keys_of, sender
from tests.unit.ipsec.sas import seeded

FIELDS = ("icmp.type", "icmp.seq", "icmpv6.type", "isakmp.typepayload", "_ws.malformed")
ENCRYPTED = {"46", "53"}
"""SK and SKF."""


def with_profile(capture: str, folder: Path, *, profile_name: str = "") -> tuple[list[list[str]], str]:
    argv = ["tshark", "-n", "-r", capture, "-T", "fields", *(word for field in FIELDS for word in ("-e", field))]
    if profile_name:
        argv += ["-C", profile_name]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60, env=environment)
    return [line.split("\t") for line in done.stdout.splitlines()], done.stderr


def plain(rows: list[list[str]]) -> list[list[str]]:
    """Without the encrypted payload around the others, which our file in clear lacks."""
    for row in rows:
        row[3] = ",".join(kind for kind in row[3].split(",") if kind not in ENCRYPTED)
    return rows


@pytest.mark.parametrize("name", [name for name in NAMES if "chacha" not in name])
def test_wireshark_decrypts_the_capture_as_we_do(name: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    require_tshark()
    capture, keys = files(name)
    folder, clear = tmp_path / "profile", tmp_path / "clear.pcapng"
    assert main(["decrypt", capture, "-k", keys, "--wireshark", str(folder), "-o", str(clear)]) == 0
    told = capsys.readouterr().err
    assert f"WIRESHARK_CONFIG_DIR={folder} wireshark -r {capture}" in told
    assert "left out" not in told
    rows, complaints = with_profile(capture, folder)
    assert "esp_sa" not in complaints
    assert "decryption_table" not in complaints
    assert plain(rows) == tshark(clear, *FIELDS)
    assert any(row[0] or row[2] for row in rows)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(one.stat().st_mode) for one in folder.iterdir()} == {0o600}


def test_the_folder_can_be_a_profile_among_others(tmp_path: Path) -> None:
    require_tshark()
    capture, keys = files(NAME)
    (tmp_path / "profiles").mkdir()
    assert main(["decrypt", capture, "-k", keys, "--wireshark", str(tmp_path / "profiles" / "customer")]) == 0
    opened, _ = with_profile(capture, tmp_path, profile_name="customer")
    closed, _ = with_profile(capture, tmp_path)
    assert sum(bool(row[0]) for row in opened) == 36
    assert not any(row[0] for row in closed)


def test_keys_that_the_capture_gave_are_in_it_too(tmp_path: Path) -> None:
    require_tshark()
    capture, keys = files(NAME)
    only_ike = tmp_path / "ike.toml"
    text = Path(keys).read_text()
    only_ike.write_text(text[: text.index("[[esp]]")])
    assert main(["decrypt", capture, "-k", str(only_ike), "--wireshark", str(tmp_path / "profile")]) == 0
    rows, _ = with_profile(capture, tmp_path / "profile")
    assert sum(bool(row[0]) for row in rows) == 36


def test_algorithms_that_wireshark_lacks_are_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture, keys = files("strongswan-initiator-ecdsa-chacha20")
    assert main(["decrypt", capture, "-k", keys, "--wireshark", str(tmp_path / "profile")]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert sum("ESP SA" in line and "no chacha20poly1305" in line for line in told) == 4
    assert sum("IKE SA" in line and "no chacha20poly1305" in line for line in told) == 2


def test_it_is_written_anew_but_never_over_files_of_others(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture, keys = files(NAME)
    folder = tmp_path / "profile"
    arguments = ["decrypt", capture, "--wireshark", str(folder)]
    assert main([*arguments, "-k", keys]) == 0
    (folder / "recent").write_text("of Wireshark")
    assert main(arguments) == 0
    assert sorted(one.name for one in folder.iterdir()) == ["colorfilters", "preferences", "recent"]
    (folder / "esp_sa").write_text("mine")
    assert main([*arguments, "-k", keys]) == 2
    assert "esp_sa was written by something else" in capsys.readouterr().err
    assert (folder / "esp_sa").read_text() == "mine"


@pytest.mark.parametrize("there", ["preferences", "anything"])
def test_a_folder_of_others_stays_as_it_is(there: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / there).write_text("mine")
    tmp_path.chmod(0o755)
    assert main(["decrypt", files(NAME)[0], "--wireshark", str(tmp_path)]) == 2
    assert "name a new folder" in capsys.readouterr().err
    assert [(one.name, one.read_text()) for one in tmp_path.iterdir()] == [(there, "mine")]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_links_are_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text(MARK)
    folder = tmp_path / "profile"
    folder.mkdir()
    (folder / "preferences").write_text(MARK)
    (folder / "esp_sa").symlink_to(target)
    assert main(["decrypt", files(NAME)[0], "-k", files(NAME)[1], "--wireshark", str(folder)]) == 2
    assert target.read_text() == MARK


def test_addresses_are_those_of_the_capture() -> None:
    """A key file tells the addresses behind a NAT, Wireshark compares them with those before it."""
    sa = sender("aes128gcm16")
    database = SaDatabase([keys_of(sa, source="198.51.100.7")])
    assert unwrap(protect(sa, INNER, seeded(1)), database, 1)
    text = profile(KeyRing(sas=[sa.keys for sa in database.sas]), database.sas).files["esp_sa"]
    assert [line.split(",")[1] for line in text.splitlines()] == ['"198.51.100.7"', '"192.0.2.1"']


def test_of_keys_that_changed_the_last_ones_are_kept() -> None:
    (keys, *_) = detect.read(Path(files(NAME)[1])).ike
    later = replace(keys, sk_ei=keys.sk_er, sk_er=keys.sk_ei)
    made = profile(KeyRing(ike=[keys, later]), [])
    assert made.files["ikev2_decryption_table"].count("\n") == 1
    assert later.sk_ei.hex() in made.files["ikev2_decryption_table"].split(",")[2]
    assert ["changed its keys" in line for line in made.left_out] == [True]
