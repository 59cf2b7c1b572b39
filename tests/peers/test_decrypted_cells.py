"""What decrypt writes of interop cells with daemons: the octets that their hosts sent, and nothing malformed."""

import os
import secrets
from pathlib import Path

import pytest

from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.bench import Bench
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.play import PINGS, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import spread
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.results import Verdict
from tests.lab.two_namespaces import require_lab
from tests.pcaps.tshark import require_tshark
from tests.peers.decrypted import decrypted, hosts_of_ours, is_echo, malformed, received, sent
from tests.peers.inner_side import InnerSide
from tests.peers.test_interop import bench_of, installed

pytestmark = [pytest.mark.lab, pytest.mark.peer]

EVERY_CELL = os.environ.get("IPSECTEST_ALL_CELLS", "") not in {"", "0"}
CELLS = 14
ECHOES = 3 * 2 * 2 * PINGS
"""Three times, both ways, requests and replies."""


def chosen(bench: Bench) -> list[Cell]:
    """Cells that cover the suites; the peers are those of the bench."""
    plan = cells.covering([str(peer) for peer in bench.peers], bench.lacks)
    return list(plan.cells) if EVERY_CELL else spread(plan.cells, CELLS)


def test_inner_packets_are_those_that_were_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab()
    require_tshark()
    peers = installed()
    if not peers:
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    suites = set()
    with bench_of("builtin", *(peers if EVERY_CELL else peers[:2])) as bench:
        records = Records(bench.abilities, Expectations(), tmp_path)
        player = Player(bench.loop, secrets.token_bytes)
        for cell in chosen(bench):
            result, inner = played(bench, player, records, cell)
            assert result.verdict is Verdict.PASS, (result.repro, result.reason)
            output, found = decrypted(tmp_path / result.folder, tmp_path / result.artifacts["pcap"])
            given, got = (list(filter(is_echo, packets)) for packets in (inner.sent, inner.received))
            ours = hosts_of_ours(cell, bench.place(cell).ends)
            assert sent(found, ours) == sent(given, ours), result.repro
            assert received(found, ours) == received(got, ours), result.repro
            assert len(found) >= ECHOES, result.repro
            assert malformed(output) == [], result.repro
            suites.add((cell.ike, cell.esp))
    assert len(suites) > CELLS // 2
    (tmp_path / "run").rmdir()


def played(bench: Bench, player: Player, records: Records, cell: Cell) -> tuple[CaseRecord, InnerSide]:
    """A cell with its inner side watched."""
    place = bench.place(cell)
    inner = InnerSide(list(bench.namespaces(cell)))
    bench.loop.add(inner)
    try:
        return records.add(player.play(cell, place, *bench.ends(cell))), inner
    finally:
        bench.loop.remove(inner)
        inner.close()
