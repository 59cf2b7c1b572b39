"""doctor and the kernel probe."""

import struct

from ipsectest.lab.doctor import examine
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


def test_the_probe_has_the_layout_of_xfrm_h() -> None:
    message = _new_sa()
    length, kind = struct.unpack_from("=IH", message)
    assert (length, kind) == (len(message), 0x10)
    size, attribute = struct.unpack_from("=HH", message, 16 + 224)  # behind struct xfrm_usersa_info
    assert (16 + 224 + size, attribute) == (len(message), 18)
