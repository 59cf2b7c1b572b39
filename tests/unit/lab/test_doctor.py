"""doctor and the kernel probe."""

import struct
from pathlib import Path

from ipsectest.lab.doctor import _subordinate_ids, examine
from ipsectest.lab.xfrm import _new_sa


def test_every_row_says_what_it_is_for_and_what_adds_it() -> None:
    rows = examine(["strongswan@trixie"])
    assert len({row.ability for row in rows}) == len(rows)
    assert all(row.purpose and row.remedy for row in rows)
    assert all("\n" not in row.remedy + row.detail for row in rows)
    peers = next(row for row in rows if row.ability == "peers")
    assert (peers.ok, peers.detail) == (True, "strongswan@trixie")


def test_without_peers_the_row_is_missing() -> None:
    peers = next(row for row in examine() if row.ability == "peers")
    assert not peers.ok
    assert peers.required


def test_who_builds_without_root_needs_subordinate_ids(tmp_path: Path) -> None:
    assert _subordinate_ids("root", tmp_path).ok
    assert _subordinate_ids("alice", tmp_path).detail == "none in subuid and none in subgid"
    (tmp_path / "subuid").write_text("bob:100000:65536\nalice:165536:65536\n")
    row = _subordinate_ids("alice", tmp_path)
    assert (row.ok, row.detail) == (False, "none in subgid")
    assert row.remedy.endswith(" alice")
    (tmp_path / "subgid").write_text("alice:165536:65536\n")
    assert _subordinate_ids("alice", tmp_path).ok


def test_the_probe_has_the_layout_of_xfrm_h() -> None:
    message = _new_sa()
    length, kind = struct.unpack_from("=IH", message)
    assert (length, kind) == (len(message), 0x10)
    size, attribute = struct.unpack_from("=HH", message, 16 + 224)  # behind struct xfrm_usersa_info
    assert (16 + 224 + size, attribute) == (len(message), 18)
