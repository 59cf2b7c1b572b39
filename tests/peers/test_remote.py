"""Runs against daemons that stand for gateways of somebody else: described by a file, reached by their address."""

import os
import secrets
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.base.addresses import Address
from ipsectest.crypto.pki import generate
from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.peers import rootfs, table
from ipsectest.peers.credentials import Credentials
from ipsectest.report import jsonfile
from ipsectest.runner.records import RunRecord
from ipsectest.scenario.ports import Authentication, Identity, Selector
from ipsectest.scenario.results import Verdict
from tests.peers.remote_peer import FILE, SECRET, THEM, Gateway, gateway, own_settings

pytestmark = [
    pytest.mark.peer,
    pytest.mark.lab,
    pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (root)"),
]
KNOWN = """\
[[expect]]
scenario = "ike/auth/second-ike-auth"
verdict = "fail"
reason = "drops it in silence"
"""


def require(name: str) -> None:
    if rootfs.find(table.parse(name)) is None:
        pytest.skip(f"{name} is not installed (ipsectest peers install {name})")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "ipsectest.cli.main", *words]


def run(described: Path, folder: Path, *words: str) -> tuple[int, RunRecord]:
    argv = command("run", "--peer", str(described), "--report", str(folder), *words)
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode in {0, 1, 3}, done.stderr
    return done.returncode, jsonfile.load(folder)


def verdicts(record: RunRecord) -> dict[str, Verdict]:
    return {case.case_id: case.verdict for case in record.results}


def left(there: Gateway) -> list[str]:
    return [str(report) for report in there.daemon.report(there.configured)]


def test_raw_sockets_are_not_needed(tmp_path: Path) -> None:
    require("strongswan")
    with gateway("strongswan") as there:
        text = FILE.replace("[wire]\n", "[wire]\nraw_esp = false\n")
        status, record = run(there.describe(tmp_path / "gw.toml", text), tmp_path / "report", "esp/replay/duplicate")
    found = verdicts(record)
    assert status == 0
    assert found["sanity/first-gateway"] is Verdict.PASS
    assert found["esp/replay/duplicate"] is Verdict.UNSUPPORTED


def test_a_gateway_is_tested_by_its_description_and_left_clean(tmp_path: Path) -> None:
    require("strongswan")
    (tmp_path / "known.toml").write_text(KNOWN)
    with gateway("strongswan") as there:
        described = there.describe(tmp_path / "gw.toml", f'expected = "known.toml"\n{FILE}')
        status, record = run(
            described, tmp_path / "report", "ike/init/[a-k]*", "ike/auth/second-ike-auth", "ike/auth/rsa-signature",
            "ike/rekey/ike-by-peer", "natt/nat-detection-responder", "esp/replay",
        )  # fmt: skip
        assert left(there) == []
    found = verdicts(record)
    assert status == 0
    assert sum(verdict is Verdict.PASS for verdict in found.values()) > 12
    assert set(found.values()) <= {Verdict.PASS, Verdict.UNSUPPORTED, Verdict.FAIL}
    assert found["ike/auth/second-ike-auth"] is Verdict.FAIL
    assert found["natt/nat-detection-responder"] is Verdict.PASS
    assert found["esp/replay/duplicate"] is Verdict.PASS
    refused = {case.case_id: case.reason.text for case in record.results if case.reason and case.verdict != "pass"}
    assert "asks for rsa, gateway has psk" in refused["ike/auth/rsa-signature"]
    assert "no [adapter]" in refused["ike/rekey/ike-by-peer"]
    assert record.peers["gateway"].version == "7.4"
    for path in (tmp_path / "report").rglob("*"):
        if path.is_file():
            assert not {SECRET, SECRET.hex().encode()} & {*path.read_bytes().split(b'"'), *path.read_bytes().split()}


def test_ports_above_1023_and_no_root_are_enough(tmp_path: Path) -> None:
    require("strongswan")
    ports = FILE.replace("[tester]\n", "[tester]\nport = 15500\nnat_port = 15501\n")
    with gateway("strongswan") as there:
        described = there.describe(tmp_path / "gw.toml", ports)
        _, record = run(described, tmp_path / "report", "natt/nat-detection-responder", "esp/receive", "ike/info")
        assert left(there) == []
    found = verdicts(record)
    assert found["natt/nat-detection-responder"] is Verdict.UNSUPPORTED
    assert found["esp/receive/bad-icv[gcm]"] is Verdict.PASS
    assert found["sanity/last-gateway"] is Verdict.PASS


def test_libreswan_without_kernel_esp_takes_ike_alone(tmp_path: Path) -> None:
    require("libreswan")
    alone = FILE.replace('esp = "aes128gcm16"', 'without_children = "no ESP in its kernel"')
    with gateway("libreswan") as there:
        status, record = run(there.describe(tmp_path / "gw.toml", alone), tmp_path / "report", "ike/init/[l-z]*")
        assert left(there) == []
    assert sum(verdict is Verdict.PASS for verdict in verdicts(record).values()) > 10
    assert status in {0, 1}


def test_an_interrupted_run_deletes_what_it_has_set_up(tmp_path: Path) -> None:
    require("strongswan")
    with gateway("strongswan") as there:
        words = command("run", "--no-report", "--peer", str(there.describe(tmp_path / "gw.toml")), "ike/retransmit")
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while not left(there) and process.poll() is None:
                os.sched_yield()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        assert process.returncode == 130, errors
        assert left(there) == []


def test_a_peer_that_does_not_answer_makes_the_run_inconclusive(tmp_path: Path) -> None:
    require("strongswan")
    with gateway("strongswan") as there:
        described = there.describe(tmp_path / "gw.toml", FILE.replace(SECRET.decode(), "another secret"))
        status, record = run(described, tmp_path / "report", "ike/init/cookie-demanded", "ike/init/response-header")
    assert status == 3
    texts = [case.reason.text for case in record.results if case.reason and case.scenario == "ike/init/response-header"]
    assert "ipsectest peers check" in texts[0]


def test_several_testers_play_at_once_over_ipv6(tmp_path: Path) -> None:
    require("strongswan")
    ours, theirs = ("2001:db8:0:2::1", "2001:db8:0:2::11"), "2001:db8:0:2::2"
    given = [
        own_settings(
            name=f"branch{number}",
            local=Address(theirs, 500),
            remote=Address(host, 500),
            remote_id=Identity("ipv6", host),
            inner_remote=f"198.51.100.{number}",
            remote_ts=(Selector(f"198.51.100.{number}", f"198.51.100.{number}"),),
        )
        for number, host in enumerate(ours, 1)
    ]
    testers = "".join(f'[[tester]]\naddress = "{one.remote.host}"\ninner = "{one.inner_remote}"\n' for one in given)
    text = FILE.replace(THEM, theirs)
    text = text[: text.index("[tester]")] + testers + text[text.index("[wire]") :]
    with gateway("strongswan", given=given[0]) as there:
        there.pair.left.add_addresses("wire", f"{ours[1]}/64")
        there.daemon.configure(given[1])
        status, record = run(there.describe(tmp_path / "gw.toml", text), tmp_path / "report", "ike/info", "esp/replay")
        assert not any(there.daemon.report(one) for one in given)
    found = verdicts(record)
    assert status == 0
    assert sum(verdict is Verdict.PASS for verdict in found.values()) > 20
    assert {case.dimensions["ip"] for case in record.results} == {"v6"}


def test_both_ends_prove_themselves_with_certificates(tmp_path: Path) -> None:
    require("strongswan")
    made = generate(["peer.example", "tester.example"], datetime.now(UTC), secrets.token_bytes, key_types=("ecdsa256",))
    ours = made.credentials["tester.example/ecdsa256"]
    (tmp_path / "tester.pem").write_bytes(ours.certificate_pem)
    (tmp_path / "tester.key").write_bytes(ours.key_pem)
    (tmp_path / "ca.pem").write_bytes(made.root.credential.certificate_pem)
    kind = Authentication.ECDSA
    text = FILE.replace(f'psk = "{SECRET.decode()}"', f'auth = "{kind}"\ntrust = "ca.pem"')
    text = text.replace("[wire]", 'certificate = "tester.pem"\nkey = "tester.key"\n[wire]')
    given = own_settings(local_auth=kind, remote_auth=kind)
    with gateway("strongswan", Credentials.of(made, "peer.example"), given) as there:
        described = there.describe(tmp_path / "gw.toml", text)
        status, record = run(described, tmp_path / "report", "ike/auth", "ike/info/delete-ike")
        assert left(there) == []
    found = verdicts(record)
    assert status in {0, 1}
    assert found["ike/auth/ecdsa-signature"] is Verdict.PASS
    assert found["ike/info/delete-ike[peer-responds]"] is Verdict.PASS
    assert found["ike/auth/psk-mismatch"] is Verdict.UNSUPPORTED
    assert Verdict.INCONCLUSIVE not in found.values()


def test_a_gateway_that_demands_cookies_plays_the_cases_about_them(tmp_path: Path) -> None:
    require("strongswan")
    given = own_settings(cookies=True)
    with gateway("strongswan", given=given) as there:
        described = there.describe(tmp_path / "gw.toml", FILE.replace("[tester]", "cookies = true\n[tester]"))
        _, record = run(described, tmp_path / "report", "ike/init/cookie*", "ike/info/delete-ike")
    found = verdicts(record)
    assert found["sanity/first-gateway"] is Verdict.PASS
    assert found["ike/init/cookie-demanded"] is Verdict.PASS
    assert found["ike/info/delete-ike[peer-responds]"] is Verdict.UNSUPPORTED


def test_a_peer_that_dies_ends_the_run_soon(tmp_path: Path) -> None:
    require("strongswan")
    with gateway("strongswan") as there:
        described = there.describe(tmp_path / "gw.toml")
        words = command(
            "run", "--peer", str(described), "--report", str(tmp_path / "report"), "--slow=0.25", "ike/init"
        )
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
            while (
                not list((tmp_path / "report").glob("cases/gateway/ike/init/*/*/repro.txt")) and process.poll() is None
            ):
                os.sched_yield()
            there.daemon.stop()
            process.communicate(timeout=120)
        there.daemon.start()
    record = jsonfile.load(tmp_path / "report")
    texts = [case.reason.text for case in record.results if case.reason and case.verdict is Verdict.INCONCLUSIVE]
    assert any("the peer does not answer any more" in text for text in texts)
    assert not {Verdict.FAIL, Verdict.NONSTRICT} & set(verdicts(record).values())
