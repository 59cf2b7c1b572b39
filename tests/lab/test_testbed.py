"""Every shipped topology as a testbed: tunnels up, rekeyed by either end, crossed, deleted; and what befalls links."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.base.errors import PeerError
from ipsectest.base.suites import parse_suite
from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.lab.topology import Topology, shipped
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.runner.testbed.commands import perform
from ipsectest.runner.testbed.testbed import Testbed as Bed  # by its own name pytest would collect it
from ipsectest.runner.testbed.tunnels import Offer, tunnels_of
from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

IKE, ESP = parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16-noesn")
Open = Callable[..., AbstractContextManager[Bed]]


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Open]:
    require_lab("ip", "nft")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))

    @contextmanager
    def opening(
        name: str, ip: int = 4, timers: Mapping[str, Mapping[str, float]] | None = None, **peers: str
    ) -> Iterator[Bed]:
        topology = Topology.load(shipped()[name])
        tunnels = [
            replace(
                tunnel,
                settings={node: replace(one, **(timers or {}).get(node, {})) for node, one in tunnel.settings.items()},
            )
            for tunnel in tunnels_of(topology, Offer(b"a secret of no worth", IKE, ESP, ip))
        ]
        seats = {node.name: table.parse("builtin") for node in topology.nodes.values() if node.endpoint}
        seats |= {node.replace("_", "-"): table.parse(peer) for node, peer in peers.items()}
        folder = tmp_path / "folder"
        folder.mkdir()
        with EventLoop() as loop, Bed(topology, tunnels, seats, loop, folder) as testbed:
            yield testbed

    yield opening
    assert not list((tmp_path / "run").iterdir())


def done(testbed: Bed, line: str) -> list[dict[str, str | int]]:
    outcome = perform(testbed, line)
    assert outcome.problem == "", (line, outcome)
    return outcome.rows


def through_everything(testbed: Bed) -> None:
    """What a tunnel can do, once by each end."""
    assert {row["state"] for row in done(testbed, "status")} == {"down"}
    done(testbed, "up")
    spis = {row["tunnel"]: row["spi_in"] for row in done(testbed, "status")}
    for row in done(testbed, "ping"):
        assert row["received"] == 3
    done(testbed, "rekey ike")
    assert {row["tunnel"]: row["spi_in"] for row in done(testbed, "status")} == spis
    for tunnel in testbed.tunnels:
        done(testbed, f"rekey child {tunnel.name} by {tunnel.responder}")
        done(testbed, f"rekey ike {tunnel.name} by {tunnel.responder}")
    for row in done(testbed, "rekey child"):
        assert row["spi_in"] != spis[row["tunnel"]]
    done(testbed, "ping 2")
    done(testbed, "down")
    assert {row["state"] for row in done(testbed, "status")} == {"down"}


@pytest.mark.parametrize("name", sorted(set(shipped()) - {"bad-link"}))
def test_every_topology_works_from_the_first_packet_to_the_last(opened: Open, name: str) -> None:
    with opened(name) as testbed:
        through_everything(testbed)


@pytest.mark.parametrize(
    ("name", "peers"),
    [
        ("road-warrior", {"gateway": "strongswan"}),
        ("two-clients-one-nat", {"gateway": "strongswan", "client_a": "strongswan"}),
        ("hub-and-spoke", {"hub": "strongswan"}),
        ("site-to-site", {"east": "strongswan", "west": "strongswan"}),
    ],
)
@pytest.mark.peer
def test_daemons_sit_where_they_are_told_to(opened: Open, name: str, peers: dict[str, str]) -> None:
    if rootfs.find(table.parse("strongswan")) is None:
        pytest.skip("ipsectest peers install strongswan")
    with opened(name, **peers) as testbed:
        through_everything(testbed)
        for node in peers:
            log = perform(testbed, f"log {node.replace('_', '-')}").text
            assert "IKE_SA" in log
            assert "bytes @" not in log, "octets, which may be keys"


@pytest.mark.parametrize("peer", ["builtin", pytest.param("strongswan", marks=pytest.mark.peer)])
def test_certificates_are_made_for_every_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: str) -> None:
    require_lab("ip", "nft")
    if peer != "builtin" and rootfs.find(table.parse(peer)) is None:
        pytest.skip(f"ipsectest peers install {peer}")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    arguments = ["lab", "up", "hub-and-spoke", f"--peer=hub={peer}", "--auth=ecdsa", "--json"]
    assert main([*arguments, f"--report={tmp_path / 'folder'}", "-c", "ping", "-c", "rekey ike"]) == 0
    assert "CERT" in (tmp_path / "folder" / "logs" / "hub.log").read_text() or peer == "builtin"


@pytest.mark.peer
def test_a_windows_client_behind_a_nat_gets_its_address_from_a_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    require_lab("ip", "nft")
    if not rootfs.find(table.parse("strongswan")):
        pytest.skip("ipsectest peers install strongswan")
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    monkeypatch.delenv(
        "COLUMNS", raising=False
    )  # workers of pytest-xdist have it; a narrow table leaves IKE's suite out
    words = ["road-warrior", "--peer", "client=builtin@windows", "--peer", "gateway=strongswan", "--auth", "ecdsa"]
    lines = ["-c", "ping", "-c", "rekey child", "-c", "rekey ike", "-c", "ping 1"]
    assert main(["lab", "up", *words, *lines, f"--report={tmp_path / 'lab'}"]) == 0
    assert "aes256-sha384-prfsha384-modp1024" in capsys.readouterr().out
    assert "assigning virtual IP 198.51.100.1 to peer" in (tmp_path / "lab/logs/gateway.log").read_text()


def test_our_gateway_rekeys_by_itself_as_its_settings_say(opened: Open) -> None:
    short = {"ike_lifetime": 0.7, "child_lifetime": 0.4}
    with opened("road-warrior", timers={"gateway": short}) as testbed:
        done(testbed, "up")
        (tunnel,) = testbed.tunnels
        before = {ike.name for side in testbed.tunnel_reports(tunnel) for ike in side}
        (row,) = done(testbed, "status")
        testbed.loop.run_until(lambda: False, 1.5)
        assert before.isdisjoint({ike.name for side in testbed.tunnel_reports(tunnel) for ike in side})
        assert row["spi_in"] != done(testbed, "status")[0]["spi_in"]
        assert done(testbed, "ping 1")[0]["received"] == 1


def test_what_was_recorded_opens_with_the_keys_that_were_kept(opened: Open) -> None:
    with opened("road-warrior") as testbed:
        done(testbed, "up")
        done(testbed, "ping 5")
        done(testbed, "save")
        folder, capture = testbed.folder, testbed.captures.files["nat-gateway"]
        assert capture.stat().st_size > 1000, "it can be read while it grows"
    assert {path.name for path in (folder / "logs").iterdir()} == {"client.log", "gateway.log"}
    run = Decryption(detect.read(folder / "keys" / "gateway"))
    opened_capture = open_capture(capture)
    decrypt_one(run, opened_capture, None, fast=False)
    opened_capture.close()
    # Requests and replies, both ways.
    assert (run.totals.opened, run.totals.closed) == (20, {})


def test_links_are_cut_and_repaired_and_a_nat_forgets(opened: Open) -> None:
    with opened("two-paths") as testbed:
        done(testbed, "up")
        done(testbed, "fail first")
        done(testbed, "ping")
        done(testbed, "fail second")
        assert perform(testbed, "ping 1").problem == "no way from left to right, right to left"
        done(testbed, "repair first")
        done(testbed, "ping")


def test_a_nat_that_forgets_is_followed(opened: Open) -> None:
    with opened("forgetful-nat") as testbed:
        done(testbed, "up")
        done(testbed, "forget nat")
        assert perform(testbed, "ping host client 1").problem == "no way from host to client"
        done(testbed, "ping client host")
        done(testbed, "ping host client")


WRONG = [
    ("stat", "did you mean 'status'"),
    ("rekey", "'ike' or 'child'"),
    ("rekey ike left-right by middle", "a node with IKE is wanted: left, right"),
    ("up left", "there are left-right"),
    ("ping left", "two nodes, or none"),
    ("ping left right 0", "1 to"),
    ("ping left 203.0.113.77", "no address '203.0.113.77'"),
    ("forget left", "there is none"),
    ("wait long", "a number of seconds"),
    ("wait", "a number of seconds"),
    ("wait 1e9", "0 to"),
    ("log nobody", "left, right"),
    ("status 'left", "quotation"),
    ("help me", "me"),
    ("down left-right", "left-right: there is no IKE SA"),
]


def test_wrong_lines_are_answered(opened: Open) -> None:
    with opened("host-to-host") as testbed:
        for line, said in WRONG:
            assert said in perform(testbed, line).problem, line


def test_a_tunnel_that_does_not_come_up_is_told(opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipsectest.runner.testbed.testbed.PATIENCE", 0.3)
    with opened("host-to-host") as testbed:
        testbed.network.fail("left-right")
        with pytest.raises(PeerError, match="left-right did not come up"):
            testbed.up(testbed.tunnels[0])
