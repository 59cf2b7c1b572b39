"""Mutated files through the real command: exit code, one line that names the file, and no traceback."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.files.containers import capture, compressed
from tests.hostile.files.key_files import key_file
from tests.hostile.files.packets import packets
from tests.hostile.files.samples import ROOT, samples
from tests.hostile.mutation import mutate

COUNT = int(os.environ.get("IPSECTEST_COMMANDS", "1"))
"""Files of each kind of call."""
NAMES = ("plain", "[red]x[bold", os.fsdecode(b"not utf-8 \xff"), "two\nlines", "-k", "\u202eright to left")


# What a terminal of most locales has: octets of a name that are no UTF-8 cannot be printed as they are.


def command(folder: Path, *arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8:strict"}
    return subprocess.run(
        [sys.executable, "-m", "ipsectest.cli.main", *arguments],
        cwd=folder, env=environment, input=given, capture_output=True, timeout=60, check=False,
    )  # fmt: skip


def check(done: subprocess.CompletedProcess[bytes], *names: str) -> None:
    said = done.stderr.decode(errors="backslashreplace")
    assert done.returncode in {0, 1, 2}, said
    assert "Traceback" not in said
    if done.returncode == 2:
        assert said.startswith("ipsectest: ") or "\nipsectest: " in said
        assert any(name.encode(errors="backslashreplace").decode() in said for name in names), (said, names)


def mutants(seed: str) -> tuple[random.Random, bytes, bytes]:
    """Dice, a capture and a key file."""
    dice = random.Random(seed)
    sample = dice.choice(samples())
    data = capture(packets(sample, dice), dice)
    data = dice.choice((lambda: data, lambda: mutate(data, dice), lambda: compressed(data, dice)))()
    keys = mutate(sample.text, dice) if sample.text and dice.random() < 0.5 else key_file(dice)
    return dice, data, keys


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("options", [["-o", "out"], ["--jsonl", "lines", "--json"], ["--jobs", "2", "-o", "-"]])
def test_decrypt(options: list[str], number: int, tmp_path: Path) -> None:
    dice, data, keys = mutants(f"decrypt {options} {number}")
    name, other = dice.choice(NAMES), "keys"
    (tmp_path / name).write_bytes(data)
    (tmp_path / other).write_bytes(keys)
    check(command(tmp_path, "decrypt", f"./{name}", "-k", f"./{other}", *options), name, other)


@pytest.mark.parametrize("number", range(COUNT))
def test_decrypt_from_a_pipe(number: int, tmp_path: Path) -> None:
    _, data, _ = mutants(f"pipe {number}")
    check(command(tmp_path, "decrypt", "-", "-o", "out", given=data), "standard input")


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize(
    "options", [["show"], ["show", "--secrets", "--json"], ["convert", "--to", "wireshark", "-o", "profile"]]
)
def test_keys(options: list[str], number: int, tmp_path: Path) -> None:
    dice = random.Random(f"keys {options} {number}")
    name = dice.choice(NAMES)
    (tmp_path / name).write_bytes(key_file(dice))
    check(command(tmp_path, "keys", options[0], f"./{name}", *options[1:]), name)


@pytest.mark.parametrize("name", NAMES[1:3], ids=ascii)
def test_names_that_a_terminal_cannot_show(name: str, tmp_path: Path) -> None:
    """Named in notes, summaries and tables, of good files and of bad ones."""
    pcap = ROOT / "pcaps" / "strongswan-responder-psk-aes128gcm16.pcapng"
    (tmp_path / name).write_bytes(pcap.read_bytes()[:-3])
    keys = tmp_path / f"{name}.keys"
    keys.write_bytes(pcap.with_suffix(".keys.toml").read_bytes() + b'[[esp]]\nspi = "1"\n')
    done = command(tmp_path, "decrypt", f"./{name}", "-k", f"./{keys.name}", "-o", "out")
    assert done.returncode == 0, done.stderr
    assert b"breaks off" in done.stdout.replace(b"\n", b" ")
    assert command(tmp_path, "keys", "show", f"./{keys.name}").returncode == 2
    check(command(tmp_path, "decrypt", f"./{keys.name}"), keys.name)
