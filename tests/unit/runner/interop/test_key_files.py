"""Keys of a daemon's log as files beside the capture of a cell."""

from pathlib import Path

import pytest

from ipsectest.decrypt.keys import detect
from ipsectest.runner.interop.key_files import key_files, key_ring

SHA256 = "00" * 32
LOG = f"""Libreswan Version 5.2
| ikev2 I 0x{"1a" * 8} 0x{"2b" * 8} sha256:0x{SHA256} aes128:0x{"3c" * 16}
| ikev2 R 0x{"1a" * 8} 0x{"2b" * 8} sha256:0x{SHA256} aes128:0x{"4d" * 16}
"""


def test_they_hold_what_the_log_tells(tmp_path: Path) -> None:
    files = key_files(key_ring(LOG))
    assert set(files) == {"keys.toml", "ikev2_decryption_table"}
    (tmp_path / "keys.toml").write_text(files["keys.toml"])
    (keys,) = detect.read(tmp_path).ike
    assert (keys.sk_ei, keys.sk_er) == (b"\x3c" * 16, b"\x4d" * 16)


@pytest.mark.parametrize("log", ["", "Libreswan Version 5.2\n", "\x00\n", "no log of a daemon\n"])
def test_a_log_without_keys_gives_none(log: str) -> None:
    assert key_files(key_ring(log)) == {}
