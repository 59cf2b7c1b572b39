"""What decrypt writes of interop cells with daemons: the octets that their hosts sent, and nothing malformed."""

import os
import secrets
import subprocess
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.bench import Bench
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.play import PINGS, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import spread
from ipsectest.runner.records import CaseRecord
from ipsectest.scenario.results import Verdict
from ipsectest.wire.ip import ICMP, ICMPV6, parse_ip
from tests.lab.two_namespaces import require_lab
from tests.pcaps.tshark import require_tshark
from tests.peers.inner_side import InnerSide
from tests.peers.test_interop import bench_of, installed

pytestmark = [pytest.mark.lab, pytest.mark.peer]

EVERY_CELL = os.environ.get("IPSECTEST_ALL_CELLS", "") not in {"", "0"}
CELLS = 14
ECHOES = 3 * 2 * 2 * PINGS
"""Three times, both ways, requests and replies."""
_ECHO_TYPES = {ICMP: {0, 8}, ICMPV6: {128, 129}}


def chosen(bench: Bench) -> list[Cell]:
    """Cells that cover the suites; the peers are those of the bench."""
    plan = cells.covering([str(peer) for peer in bench.peers], bench.lacks)
    return list(plan.cells) if EVERY_CELL else spread(plan.cells, CELLS)


def is_echo(packet: bytes) -> bool:
    """A ping, which is all that crosses the tunnel of a cell."""
    ip = parse_ip(packet)
    return ip is not None and ip.protocol in _ECHO_TYPES and ip.payload[0] in _ECHO_TYPES[ip.protocol]


def decrypted(folder: Path, capture: Path) -> tuple[Path, list[bytes]]:
    """The output of the command for a cell's folder, and the pings in it."""
    output = folder / "clear.pcapng"
    assert main(["decrypt", str(capture), "-k", str(folder), "-o", str(output)]) == 0
    opened = open_capture(output)
    found = [bytes(frame.data) for frame in opened.frames()]
    opened.close()
    assert not opened.notes
    return output, [packet for packet in found if is_echo(packet)]


def malformed(path: Path) -> list[str]:
    """What tshark marks as malformed or wrong, without any keys or settings."""
    argv = ["tshark", "-n", "-r", str(path), "-Y", "_ws.malformed || _ws.expert.severity == error"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


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
            sent = [packet for packet in inner.sent if is_echo(packet)]
            # Each host's packets in their order; the two directions cross in the namespaces.
            for source in {parse_ip(packet).source for packet in sent}:
                mine = [[packet for packet in many if parse_ip(packet).source == source] for many in (sent, found)]
                assert mine[0] == mine[1], result.repro
            assert len(found) == len(sent) >= ECHOES, result.repro
            assert sorted(found) == sorted(packet for packet in inner.received if is_echo(packet)), result.repro
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
