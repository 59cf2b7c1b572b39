"""``python -m tests.peers.record_daemons DIR``: record what daemons do with a kernel of their own (root, the lab VM).

Each capture is one tunnel between strongSwan and Libreswan in the lab's virtual machine, from the first message to the
Delete, with both rekeys between; beside it lies what the kernels of both ends gave to IPsec.
"""

import secrets
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.decrypt.keys import ours
from ipsectest.decrypt.keys.merging import merged
from ipsectest.net.loop import EventLoop
from ipsectest.net.pcapng import PcapngWriter
from ipsectest.net.wire import Direction
from ipsectest.peers import table
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.benches import Benches
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.play import Played, Player
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.interop.watch import kind_of
from ipsectest.runner.pki import make_sides
from ipsectest.scenario.results import Verdict
from tests.peers.compressed import compress
from tests.peers.test_interop_guest import SLOW, Inner, InnerSides

STRONGSWAN, LIBRESWAN = "strongswan@trixie", "libreswan@trixie"
_ETHERNET = 14


@dataclass(frozen=True)
class Plan:
    """One capture."""

    name: str
    cell: Cell

    @property
    def peers(self) -> list[str]:
        return [self.cell.initiator, self.cell.responder]


PLANS = (
    Plan("strongswan-libreswan-ipcomp-aes256gcm16", Cell(STRONGSWAN, LIBRESWAN, cells.IKE[0], cells.ESP[1])),
    Plan(
        "libreswan-strongswan-ipcomp-transport-ipv6-aes256-sha512",
        Cell(LIBRESWAN, STRONGSWAN, cells.IKE[2], cells.ESP[3], "psk", "transport", "plain", "v6"),
    ),
)


@contextmanager
def compressing() -> Iterator[None]:
    """The daemons of these plans."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        compress(monkeypatch)
        yield


def play(plan: Plan) -> tuple[Played, Inner, Inner, dict[str, str]]:
    """What came of it, the packets that both kernels sent and received in clear, and versions."""
    sides = make_sides(INITIATOR, RESPONDER, datetime.now(UTC), secrets.token_bytes)
    with ExitStack() as stack:
        stack.enter_context(compressing())
        loop = stack.enter_context(EventLoop())
        peers = [table.parse(name) for name in plan.peers]
        benches = stack.enter_context(Benches(peers, sides, secrets.token_bytes, loop))
        player = Player(loop, secrets.token_bytes, SLOW)
        versions = {name: able.version for name, able in benches.abilities.items()}
        return *InnerSides(benches).play(player, plan.cell), versions


def record(plan: Plan, folder: Path) -> Path:
    """Writes ``NAME.pcapng``, ``NAME.keys.toml``, ``NAME.sent.pcapng`` and ``NAME.toml``."""
    played, sent, _, versions = play(plan)
    assert played.verdict is Verdict.PASS, played.problem
    path = folder / f"{plan.name}.pcapng"
    frames = [frame for frame in played.seen.frames if kind_of(frame) != "link"]
    with PcapngWriter(path.open("wb")) as writer:
        writer.add_interface("wire")
        for frame in frames:
            direction = Direction.SENT if frame.sent else Direction.RECEIVED
            writer.packet(frame.at, frame.data[_ETHERNET:], direction=direction)
    with PcapngWriter(path.with_suffix(".sent.pcapng").open("wb")) as writer:
        writer.add_interface("what both kernels gave to IPsec")
        for packet in sent:
            writer.packet(frames[0].at, packet)
    path.with_suffix(".keys.toml").write_text(ours.write(merged(played.ring)))
    path.with_suffix(".toml").write_text(_origin(plan, versions))
    return path


def _origin(plan: Plan, versions: dict[str, str]) -> str:
    cell = plan.cell
    ends = [f"{name.partition('@')[0]} {versions[name]} (Debian trixie)" for name in plan.peers]
    lines = [
        f'title = "IPComp with DEFLATE inside ESP, {cell.mode} mode"',
        f'initiator = "{ends[0]}"',
        f'responder = "{ends[1]}"',
        'kernel = "Linux 6.1 (Debian bookworm): ESP and IPComp, with ipcomp = yes and compress=yes"',
        f"recorded = {datetime.now(UTC).date()}",
        f'ike = "{cell.ike}"',
        f'esp = "{cell.esp}"',
        f'mode = "{cell.mode}"',
        'pings = "of 32, 400 and 1000 octets"',
        'shows = "handshake, pings both ways, rekey of the Child SA, pings, rekey of the IKE SA, pings, Delete"',
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Record all plans into a folder."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m tests.peers.record_daemons DIR\n")
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for plan in PLANS:
        path = record(plan, folder)
        sys.stdout.write(f"{path.name}: {path.stat().st_size} octets\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
