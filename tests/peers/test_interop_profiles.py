"""Our endpoint speaking like gateways and clients of vendors, with real daemons set up for them.

A few cells with a strongSwan; ``IPSECTEST_ALL_CELLS=1`` plays every profile with every installed daemon.
"""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.peers.names import PeerName
from ipsectest.runner import expectations
from ipsectest.runner.interop import profile_cells
from ipsectest.runner.interop.benches import Benches
from ipsectest.runner.interop.cells import Cell, Plan
from ipsectest.runner.interop.play import Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import Session
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.pki import make_sides
from ipsectest.runner.records import Outcome
from ipsectest.scenario import profile_files
from ipsectest.scenario.requirements import scenarios_folder
from ipsectest.scenario.results import Verdict

pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.usefixtures("runtime_left_empty")]

EVERY_CELL = os.environ.get("IPSECTEST_ALL_CELLS", "") not in {"", "0"}


@contextmanager
def bench_of(peers: Sequence[PeerName], *, virtual: bool, asked: Sequence[Cell] = ()) -> Iterator[Benches]:
    sides = make_sides(INITIATOR, RESPONDER, datetime.now(UTC), secrets.token_bytes)
    with EventLoop() as loop, Benches(peers, sides, secrets.token_bytes, loop, asked, virtual) as bench:
        yield bench


def installed(driver: str) -> list[PeerName]:
    names = [PeerName(driver, place) for place in table.PEERS[driver].suites]
    found = [name for name in names if rootfs.find(name)]
    if not found:
        pytest.skip(f"ipsectest peers install {driver}")
    return found


def test_a_cloud_gateway_in_both_roles_and_a_client_that_is_given_an_address(tmp_path: Path) -> None:
    daemon = installed("strongswan")[0]
    like = {name: profile_files.named(name) for name in ("aws", "windows")}
    peers = [daemon, *(PeerName(table.BUILTIN, name) for name in like)]
    with bench_of(peers, virtual=False) as bench:
        by_peer = {f"{table.BUILTIN}@{name}": profile for name, profile in like.items()}
        plan = profile_cells.plan(by_peer, [str(daemon)], bench.lacks)
        records = Records(bench.abilities, expectations.Expectations(), tmp_path)
        Session(bench, Player(bench.loop, secrets.token_bytes), records).play(plan)
    verdicts = {(result.peer, result.dimensions["auth"]): result.verdict for result in records.results}
    assert verdicts == {
        (f"builtin@aws-to-{daemon}", "psk"): Verdict.PASS,
        (f"builtin@aws-to-{daemon}", "rsa"): Verdict.PASS,
        (f"{daemon}-to-builtin@aws", "psk"): Verdict.PASS,
        (f"{daemon}-to-builtin@aws", "rsa"): Verdict.PASS,
        (f"builtin@windows-to-{daemon}", "rsa"): Verdict.PASS,
        (f"builtin@windows-to-{daemon}", "ecdsa"): Verdict.PASS,
        (f"{daemon}-to-builtin@windows", "rsa"): Verdict.UNSUPPORTED,
    }, [(result.peer, result.reason) for result in records.results if result.reason]
    asked = [r for r in records.results if r.peer.startswith("builtin@windows") and r.verdict is Verdict.PASS]
    for result in asked:
        request, response = [rung.text for rung in result.ladder if rung.text.startswith("IKE_AUTH")]
        assert " CP SA TSi TSr N(MOBIKE_SUPPORTED)" in request
        assert " CP " in response


def test_a_daemon_that_has_not_what_a_profile_offers_does_not_come_up() -> None:
    daemon = installed("strongswan")[0]
    cell = Cell("builtin@apple", str(daemon), "aes128gcm16-prfsha256-x25519", "aes256-sha256-noesn")
    with bench_of([PeerName(table.BUILTIN, "apple"), daemon], virtual=False) as bench:
        player = Player(bench.loop, secrets.token_bytes, 0.15)
        played = player.play(cell, bench.place(cell), *bench.ends(cell))
    assert (played.verdict, played.problem) == (Verdict.FAIL, "no tunnel came up")
    assert "unprotected error notify" in played.log


@pytest.mark.skipif(not EVERY_CELL, reason="long: IPSECTEST_ALL_CELLS=1 plays every profile with every daemon")
def test_every_profile_with_every_daemon_comes_out_as_known(tmp_path: Path) -> None:
    daemons = [*installed("strongswan"), *installed("libreswan")]
    like = {str(peer): profile for peer in table.speaking() if (profile := table.profile_of(peer))}
    known = expectations.load(scenarios_folder(), "interop")
    with bench_of([*daemons, *table.speaking()], virtual=True) as bench:
        plan = profile_cells.plan(like, [str(daemon) for daemon in daemons], bench.lacks)
        records = Records(bench.abilities, known, tmp_path)
        ordered = bench.order(plan.cells)
        Session(bench, Player(bench.loop, secrets.token_bytes), records).play(Plan(ordered, plan.unsupported))
    odd = [(r.repro, r.verdict, r.reason) for r in records.results if r.outcome is not Outcome.AS_EXPECTED]
    assert odd == []
