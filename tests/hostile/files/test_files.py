"""The attack of ``python -m tests.hostile.files``, short."""

import os
from pathlib import Path

from tests.hostile.files.attack import FileAttack
from tests.hostile.files.key_files import texts
from tests.hostile.memory import resident

COUNT = int(os.environ.get("IPSECTEST_FILES", "900"))


def test_nothing_raises_hangs_or_piles_up(tmp_path: Path) -> None:
    attack = FileAttack(11, tmp_path)
    attack.run(range(COUNT // 3))
    reached = resident()
    attack.run(range(COUNT // 3, COUNT))
    assert resident() < reached + 12
    assert attack.tally.kinds.keys() == {"capture", "key file", "both"}
    outcomes = attack.tally.outcomes
    assert {"capture refused", "key file refused", "key file with problems", "key file read"} <= set(outcomes)
    assert outcomes["capture with packets that open"] > COUNT // 10, "mutants come no further than the container"


def test_the_same_number_gives_the_same_file(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        FileAttack(5, tmp_path / name).run(range(40))
    for name in ("capture", "keys"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()


def test_every_notation_is_among_the_samples() -> None:
    names = " ".join(name for name, _ in texts())
    for notation in (
        "strongswan",
        "libreswan",
        "iproute2",
        "fortigate",
        "cilium",
        "pre-shared",
        "tcpdump",
        "wireshark",
        "ours",
    ):
        assert notation in names
