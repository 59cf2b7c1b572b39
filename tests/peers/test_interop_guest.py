"""Cells of the interop mode whose ESP and AH are a kernel's: in the lab VM, seen from here."""

import os
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.runner import expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.benches import Benches
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.echoes import Pings
from ipsectest.runner.interop.guest_seats import GuestSeat
from ipsectest.runner.interop.play import PINGS, Played, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.pki import make_sides
from ipsectest.runner.records import Outcome
from ipsectest.scenario.requirements import scenarios_folder
from ipsectest.scenario.results import Verdict
from tests.lab.two_namespaces import require_lab
from tests.pcaps.tshark import require_tshark
from tests.peers.decrypted import decrypted, hosts_of_ours, is_echo, malformed, received, sent
from tests.peers.guest_inner_side import GuestInnerSide
from tests.peers.inner_side import InnerSide

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

EVERY_CELL = os.environ.get("IPSECTEST_ALL_CELLS", "") not in {"", "0"}
STRONGSWAN, LIBRESWAN = "strongswan@trixie", "libreswan@trixie"
PEERS = ["builtin", STRONGSWAN, LIBRESWAN, *(["strongswan@forky", "libreswan@bookworm"] if EVERY_CELL else [])]
PLAIN = Cell(STRONGSWAN, LIBRESWAN, cells.IKE[0], cells.ESP[1])
CELLS = [
    PLAIN,
    Cell(LIBRESWAN, STRONGSWAN, cells.IKE[3], cells.ESP[3], "ecdsa", "tunnel", "udp", "v6-in-v4"),
    Cell("builtin", LIBRESWAN, cells.IKE[4], cells.ESP[4], "psk", "tunnel", "plain", "v6"),
    Cell(STRONGSWAN, LIBRESWAN, cells.IKE[0], cells.ESP[7], "psk", "transport", "plain", "v6"),
    Cell(LIBRESWAN, STRONGSWAN, cells.IKE[2], cells.ESP[2], "psk", "transport", "udp", "v4"),
]
HERE = Cell("builtin", STRONGSWAN, cells.IKE[0], cells.ESP[0])
PACKETS = 3 * 2 * 2 * PINGS
SLOW = 4.0
"""The patience with daemons, which only those that fail use up: beside other work the guest is slow."""
Inner = list[bytes]


@pytest.fixture(scope="module")
def benches() -> Iterator[Benches]:
    require_lab()
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    peers = [table.parse(name) for name in PEERS]
    for name in peers[1:]:
        table.install(name)
    sides = make_sides(INITIATOR, RESPONDER, datetime.now(UTC), secrets.token_bytes)
    with ExitStack() as stack:
        loop = stack.enter_context(EventLoop())
        yield stack.enter_context(Benches(peers, sides, secrets.token_bytes, loop))


class InnerSides:
    """The hosts of every cell, watched in the kernel that sends and receives their pings."""

    def __init__(self, benches: Benches) -> None:
        self._benches = benches
        self._guests: dict[str, GuestInnerSide] = {}

    def play(self, player: Player, cell: Cell) -> tuple[Played, Inner, Inner]:
        """What came of a cell, and the pings that were sent and received in it."""
        ends = self._benches.ends(cell)
        hosts = self._benches.hosts(cell)
        here = InnerSide([host for host in hosts if isinstance(host, Namespace)])
        guests = [self._guest(host) for host in hosts if isinstance(host, GuestSeat)]
        self._benches.loop.add(here)
        try:
            played = player.play(cell, self._benches.place(cell), *ends)
        finally:
            self._benches.loop.remove(here)
            here.close()
        both = [(here.sent, here.received), *(guest.take() for guest in guests)]
        return played, _echoes(given for given, _ in both), _echoes(got for _, got in both)

    def _guest(self, seat: GuestSeat) -> GuestInnerSide:
        if seat.label not in self._guests:
            self._guests[seat.label] = GuestInnerSide(seat.machine, seat.label)
        return self._guests[seat.label]


def _echoes(several: Iterable[list[bytes]]) -> Inner:
    return [packet for packets in several for packet in packets if is_echo(packet)]


def test_cells_pass_and_decrypt_gives_what_the_hosts_sent(benches: Benches, tmp_path: Path) -> None:
    require_tshark()
    records = Records(benches.abilities, expectations.load(scenarios_folder(), "interop"), tmp_path)
    player, sides = Player(benches.loop, secrets.token_bytes, SLOW), InnerSides(benches)
    names = [str(peer) for peer in benches.peers]
    plan = cells.covering(names, benches.lacks) if EVERY_CELL else cells.chosen(CELLS, benches.lacks)
    for cell in benches.order(plan.cells):
        played, given, got = sides.play(player, cell)
        ours = hosts_of_ours(cell, benches.place(cell).ends)
        result = records.add(played)
        assert result.outcome is Outcome.AS_EXPECTED, (result.repro, result.reason)
        output, found = decrypted(tmp_path / result.folder, tmp_path / result.artifacts["pcap"])
        assert sent(found, ours) == sent(given, ours), result.repro
        assert malformed(output) == [], result.repro
        if result.verdict is Verdict.PASS:
            assert received(found, ours) == received(got, ours), result.repro
            assert len(found) >= PACKETS, result.repro
            assert any(rung.text.startswith("CREATE_CHILD_SA") for rung in result.ladder)
        else:  # what is known of a peer may keep it from taking packets, never from getting those that it takes right
            assert set(received(got, ours)) <= set(received(found, ours)), result.repro
    assert len(records.results) == len(plan.cells) >= len(CELLS)


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
