"""Cells of the interop mode in real namespaces: our gateway with itself and with strongSwan, and what must not pass."""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.base.errors import PeerError
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.ike.config import suites
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.report import html, jsonfile, junit
from ipsectest.runner.expectations import Expectations
from ipsectest.runner.interop import cells
from ipsectest.runner.interop.bench import Bench
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.ends import BuiltinEnd
from ipsectest.runner.interop.key_files import key_files
from ipsectest.runner.interop.play import PINGS, Player
from ipsectest.runner.interop.record import Records
from ipsectest.runner.interop.session import Session, spread
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER
from ipsectest.runner.pki import make_sides
from ipsectest.runner.records import exit_code
from ipsectest.scenario.ports import PeerSettings, Verb
from ipsectest.scenario.results import Verdict

pytestmark = [pytest.mark.lab, pytest.mark.usefixtures("runtime_left_empty")]

HASTE = 0.15
"""Factor on the patience with cells that must fail."""
PACKETS = 3 * 2 * 2 * PINGS
"""Three times, both ways, requests and replies."""
PSK = Cell("builtin", "builtin", cells.IKE[0], cells.ESP[1])


@contextmanager
def bench_of(*names: str) -> Iterator[Bench]:
    sides = make_sides(INITIATOR, RESPONDER, datetime.now(UTC), secrets.token_bytes)
    peers = [table.parse(name) for name in names]
    with EventLoop() as loop, Bench(peers, sides, secrets.token_bytes, loop) as bench:
        yield bench


def installed() -> list[str]:
    names = ["strongswan@trixie", "strongswan@bookworm", "strongswan@forky"]
    return [name for name in names if rootfs.find(table.parse(name))]


@pytest.mark.peer
def test_a_spread_of_cells_with_daemons_passes_and_makes_a_report(tmp_path: Path) -> None:
    if not installed():
        pytest.skip("ipsectest peers install strongswan")
    with bench_of("builtin", *installed()[:2]) as bench:
        plan = cells.covering([str(peer) for peer in bench.peers], bench.lacks)
        plan = replace(plan, cells=spread(plan.cells, 18))
        records = Records(bench.abilities, Expectations(), tmp_path)
        Session(bench, Player(bench.loop, secrets.token_bytes), records).play(plan)
    record = records.record("id", "2026-01-01T00:00:00Z", 1.0, 7)
    for result in record.results:
        wanted = Verdict.UNSUPPORTED if result.ladder == [] else Verdict.PASS
        assert result.verdict is wanted, (result.repro, result.reason)
    passed = [result for result in record.results if result.verdict is Verdict.PASS]
    assert len(passed) == 18
    assert len(passed) + len(plan.unsupported) == len(record.results)
    assert exit_code(record.results) == 0
    for result in passed:
        assert (tmp_path / result.artifacts["pcap"]).stat().st_size > 1000
        assert any(rung.text.startswith("CREATE_CHILD_SA") for rung in result.ladder)
        run = Decryption(detect.read(tmp_path / result.folder))
        capture = open_capture(tmp_path / result.artifacts["pcap"])
        decrypt_one(run, capture, None, fast=False)
        capture.close()
        assert (run.totals.opened, run.totals.closed) == (PACKETS, {}), result.repro
    (tmp_path / "report.json").write_text(jsonfile.dump(record))
    assert jsonfile.load(tmp_path) == record
    assert junit.render(record).count("<testcase") == len(record.results)
    html.write(record, tmp_path)


@pytest.mark.parametrize("encapsulation", cells.ENCAPSULATIONS)
@pytest.mark.parametrize("ip", cells.IPS)
def test_our_gateway_with_itself(encapsulation: str, ip: str) -> None:
    cell = replace(PSK, encapsulation=encapsulation, ip=ip)
    with bench_of("builtin") as bench:
        played = Player(bench.loop, secrets.token_bytes).play(cell, bench.place(cell), *bench.ends(cell))
    assert played.verdict is Verdict.PASS, played
    assert played.notes == []
    assert set(played.seen.protected()) == {encapsulation}
    assert "ikev2_decryption_table" in key_files(played.ring)


class Liar(BuiltinEnd):
    """A gateway that was told something else."""

    changes: dict[str, object]

    def prepare(self, settings: PeerSettings) -> None:
        super().prepare(replace(settings, **self.changes))


class Deaf(BuiltinEnd):
    """A gateway that does not do what it is asked after the tunnel is up."""

    deaf_to: Verb

    def perform(self, verb: Verb) -> None:
        if verb is not self.deaf_to:
            super().perform(verb)


class Leaky(BuiltinEnd):
    """A gateway that sends in clear what belongs into the tunnel."""

    place: Namespace

    def perform(self, verb: Verb) -> None:
        super().perform(verb)
        if verb is Verb.REKEY_CHILD:
            self.place.add_addresses("to1", "198.51.100.77/32")
            with self.place.socket(2, 2) as plain:
                plain.bind(("198.51.100.77", 0))
                plain.sendto(b"secret", ("192.0.2.2", 9))


def spoiled(bench: Bench, kind: type[BuiltinEnd], **attributes: object) -> BuiltinEnd:
    cell = PSK
    end = kind(bench.loop, bench.namespaces(cell)[0].name, bench.sides[0].certificates, secrets.token_bytes)
    for name, value in attributes.items():
        setattr(end, name, value)
    return end


SPOILED = [
    (Liar, {"changes": {"secret": b"another"}}, "no tunnel came up"),
    (Liar, {"changes": {"esp": suites("aes128-sha256-noesn")}}, "no tunnel came up"),
    (Deaf, {"deaf_to": Verb.INITIATE}, "no tunnel came up"),
    (Deaf, {"deaf_to": Verb.REKEY_CHILD}, "the Child SA was not rekeyed"),
    (Deaf, {"deaf_to": Verb.DELETE_IKE}, "the IKE SA was not deleted"),
    (Leaky, {}, "in clear"),
]


@pytest.mark.parametrize(("kind", "attributes", "problem"), SPOILED)
def test_a_spoiled_gateway_fails(kind: type[BuiltinEnd], attributes: dict[str, object], problem: str) -> None:
    with bench_of("builtin") as bench:
        place = bench.place(PSK)
        end = spoiled(bench, kind, **attributes, **({"place": bench.namespaces(PSK)[0]} if kind is Leaky else {}))
        played = Player(bench.loop, secrets.token_bytes, HASTE).play(PSK, place, end, bench.ends(PSK)[1])
        assert played.verdict is Verdict.FAIL
        assert problem in played.problem
        assert played.expected
        assert played.actual
        again = Player(bench.loop, secrets.token_bytes).play(PSK, place, *bench.ends(PSK))
        assert again.verdict is Verdict.PASS  # nothing of the failure is left


def test_another_form_than_asked_for_fails() -> None:
    """Both ends agree with each other on UDP, but not with the cell."""
    with bench_of("builtin") as bench:
        end = spoiled(bench, Liar, changes={"force_encapsulation": True})
        played = Player(bench.loop, secrets.token_bytes).play(PSK, bench.place(PSK), end, bench.ends(PSK)[1])
    assert (played.verdict, played.expected, played.actual) == (Verdict.FAIL, "plain", "udp")


def test_a_peer_that_cannot_be_asked_is_inconclusive() -> None:
    class Mute(BuiltinEnd):
        def perform(self, verb: Verb) -> None:
            raise PeerError(f"does not answer to {verb}")

    with bench_of("builtin") as bench:
        end = spoiled(bench, Mute)
        played = Player(bench.loop, secrets.token_bytes).play(PSK, bench.place(PSK), end, bench.ends(PSK)[1])
    assert (played.verdict, played.problem) == (Verdict.INCONCLUSIVE, "does not answer to initiate")


@pytest.mark.peer
def test_a_daemon_that_died_fails_its_cell_and_is_there_for_the_next() -> None:
    if not installed():
        pytest.skip("ipsectest peers install strongswan")
    name = installed()[0]
    cell = replace(PSK, responder=name, encapsulation="udp")
    with bench_of("builtin", name) as bench:
        place = bench.place(cell)
        player = Player(bench.loop, secrets.token_bytes)

        class Killer(BuiltinEnd):
            def perform(self, verb: Verb) -> None:
                if verb is Verb.REKEY_CHILD:
                    kill_daemons(bench.namespaces(cell)[1])
                super().perform(verb)

        end = Killer(bench.loop, bench.namespaces(cell)[0].name, bench.sides[0].certificates, secrets.token_bytes)
        played = player.play(cell, place, end, bench.ends(cell)[1])
        assert (played.verdict, "the responder crashed" in played.problem) == (Verdict.FAIL, True), played
        again = player.play(cell, place, *bench.ends(cell))
        assert again.verdict is Verdict.PASS, again


def kill_daemons(namespace: Namespace) -> None:
    """SIGKILL for every process of the namespace: only daemons live there."""
    inode = namespace.path.stat().st_ino
    for entry in Path("/proc").glob("[0-9]*/ns/net"):
        try:
            if entry.stat().st_ino == inode:
                os.kill(int(entry.parts[2]), signal.SIGKILL)
        except OSError:
            continue
