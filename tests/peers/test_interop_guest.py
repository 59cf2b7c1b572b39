"""Cells of the interop mode whose ESP and AH are a kernel's: in the lab VM, seen from here."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.benches import Benches
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.echoes import Pings
from ipsectest.runner.interop.play import PINGS, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import Session
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.pki import make_sides
from ipsectest.scenario.results import Verdict
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

STRONGSWAN, LIBRESWAN = "strongswan@trixie", "libreswan@trixie"
PLAIN = Cell(STRONGSWAN, LIBRESWAN, cells.IKE[0], cells.ESP[1])
CELLS = [
    PLAIN,
    Cell(LIBRESWAN, STRONGSWAN, cells.IKE[3], cells.ESP[3], "ecdsa", "tunnel", "udp", "v6-in-v4"),
    Cell("builtin", LIBRESWAN, cells.IKE[4], cells.ESP[4], "psk", "tunnel", "plain", "v6"),
    Cell(STRONGSWAN, STRONGSWAN, cells.IKE[0], cells.ESP[7], "psk", "transport", "plain", "v6"),
]
HERE = Cell("builtin", STRONGSWAN, cells.IKE[0], cells.ESP[0])
PACKETS = 3 * 2 * 2 * PINGS


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    require_lab()
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    peers = [table.parse(name) for name in ("builtin", STRONGSWAN, LIBRESWAN)]
    for name in peers[1:]:
        table.install(name)
    sides = make_sides(INITIATOR, RESPONDER, datetime.now(UTC), secrets.token_bytes)
    with ExitStack() as stack:
        loop = stack.enter_context(EventLoop())
        yield stack.enter_context(Benches(peers, sides, secrets.token_bytes, loop))


def test_cells_pass_and_their_captures_can_be_decrypted(benches: Benches, tmp_path: Path) -> None:
    records = Records(benches.abilities, Expectations(), tmp_path)
    player = Player(benches.loop, secrets.token_bytes)
    Session(benches, player, records).play(cells.chosen(CELLS, benches.lacks))
    for result in records.results:
        assert result.verdict is Verdict.PASS, (result.repro, result.reason)
        assert any(rung.text.startswith("CREATE_CHILD_SA") for rung in result.ladder)
        run = Decryption(detect.read(tmp_path / result.folder))
        capture = open_capture(tmp_path / result.artifacts["pcap"])
        decrypt_one(run, capture, None, fast=False)
        capture.close()
        assert run.totals.opened >= PACKETS, result.repro
        assert run.totals.closed == {}, result.repro
    assert len(records.results) == len(CELLS)


def test_what_goes_past_the_policy_is_found_in_clear(benches: Benches) -> None:
    place = benches.place(PLAIN)
    mine = place.pingers[0]

    def stray(source: str, destination: str, count: int) -> Pings:
        """From the outer addresses instead, which no policy protects."""
        del source, destination
        return mine(place.ends.initiator, place.ends.responder, count)

    place = replace(place, pingers=(stray, place.pingers[1]))
    played = Player(benches.loop, secrets.token_bytes).play(PLAIN, place, *benches.ends(PLAIN))
    assert (played.verdict, played.problem) == (Verdict.FAIL, "packets went over the wire in clear")


def test_what_needs_no_kernel_is_played_here_and_first(benches: Benches) -> None:
    ordered = benches.order([*CELLS, HERE])
    assert ordered[0] == HERE
    assert benches.place(HERE).view.namespace != benches.place(PLAIN).view.namespace
    assert [cell.initiator for cell in ordered[1:]] == sorted(cell.initiator for cell in CELLS)
