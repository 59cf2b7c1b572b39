"""Every notation read again as it was written, what it refuses apart; and texts of which a part was damaged."""

import os
import random
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.decrypt.keys import convert, detect
from ipsectest.decrypt.keys.model import KeyRing
from tests.unit.decrypt.keys.rings import VECTORS, bare, read_text, rings

PCAPS = Path(__file__).parent.parent.parent.parent.parent / "pcaps"
MUTATIONS = int(os.environ.get("IPSECTEST_MUTATIONS", "300"))


@given(rings)
@settings(deadline=None, max_examples=60)
def test_ours_holds_everything(ring: KeyRing) -> None:
    text = convert.to_ours(ring).files.get("", "")
    with TemporaryDirectory() as folder:
        again = read_text(Path(folder), text) if text else KeyRing()
    assert not again.problems
    assert bare(again) == bare(ring)


@given(rings, st.sampled_from(["wireshark", "tcpdump", "iproute2"]))
@settings(deadline=None, max_examples=120)
def test_each_sa_is_written_or_told_of(ring: KeyRing, target: str) -> None:
    made = convert.TARGETS[target](ring)
    kept = KeyRing()
    with TemporaryDirectory() as folder:
        for number, text in enumerate(made.files.values()):
            kept.add(read_text(Path(folder), text, str(number)))
    assert not kept.problems
    keys = {sa.encryption_key + sa.integrity_key for sa in kept.sas}
    for sa in ring.sas:
        refused = any(f"{convert.describe(sa)} is left out" in line for line in made.left_out)
        assert refused or any(sa.encryption_key in key for key in keys)
    assert len(made.left_out) <= ring.count
    distinct = len({sk.sk_ei + sk.sk_er + sk.spi_i for sk in ring.ike})
    assert len(kept.ike) + sum("IKE SA" in line for line in made.left_out) >= distinct


def _samples() -> list[Path]:
    kept = (path for path in VECTORS.iterdir() if path.name != "README.md")
    return sorted([*kept, *PCAPS.glob("*gcm16.keys.toml")])


@pytest.mark.parametrize("path", _samples(), ids=lambda path: path.name)
def test_damaged_files_are_answered_by_messages(path: Path, tmp_path: Path) -> None:
    """Octets changed, cut, doubled; never anything but a ring or an InputError."""
    whole = path.read_bytes()[:60_000]
    chance = random.Random(path.name)
    target = tmp_path / "damaged"
    read = refused = 0
    for _ in range(MUTATIONS if len(whole) < 10_000 else MUTATIONS // 10):
        data = bytearray(whole)
        for _ in range(chance.choice([1, 1, 2, 5, 40])):
            at = chance.randrange(len(data) or 1)
            match chance.randrange(6):
                case 0:
                    data[at : at + 1] = bytes([chance.randrange(256)])
                case 1:
                    del data[at : at + chance.randrange(1, 80)]
                case 2:
                    data[at:at] = data[at : at + chance.randrange(1, 200)]
                case 3:
                    data[at:at] = chance.choice([b'"', b"\\", b",", b"\n", b"\0", b"0x", b"[[", b"=", b"9" * 5000])
                case 4:
                    data[at : at + 2] = b"\xff\xfe"
                case _:
                    data = data[:at] or bytearray(b"\n")
        target.write_bytes(data)
        try:
            ring = detect.read(target)
        except InputError:
            refused += 1
        else:
            read += 1
            assert all(str(problem).startswith(str(target)) for problem in ring.problems)
    assert read
    assert read + refused > 20


@given(st.binary(max_size=400))
@settings(deadline=None)
def test_any_octets_are_answered(data: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        for begin in (
            b"",
            b"[[esp]]\n",
            b'"IPv4",',
            b"src 192.0.2.1 dst 192.0.2.2\n\tproto esp ",
            b"0x1@192.0.2.1 aes:",
        ):
            path.write_bytes(begin + data)
            with suppress(InputError):
                assert detect.read(path).count <= 400


def test_deep_and_long_texts_are_bounded(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nested too deeply|no TOML"):
        read_text(tmp_path, "[[esp]]\nspi = " + "[" * (sys.getrecursionlimit() * 3))
    with pytest.raises(InputError, match="no TOML"):
        read_text(tmp_path, "[[esp]]\nesn_high = " + "9" * 10_000)
    ring = read_text(tmp_path, '"IPv4","*","*","*","NULL","","NULL",""\n' + '"IPv4",' + "x" * 1_000_000 + "\n")
    assert len(ring.sas) == 1
    assert "longer than" in str(ring.problems[0])
