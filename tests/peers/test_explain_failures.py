"""Failures that users bring: made with real strongSwan and Libreswan in either role, and told from capture and logs."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ipsectest.base.errors import PeerError
from ipsectest.base.iana import ExchangeType
from ipsectest.base.suites import parse_suite
from ipsectest.cli.main import main
from ipsectest.peers import rootfs, table
from ipsectest.peers.strongswan_settings import connection
from ipsectest.scenario.ports import Authentication, Identity, PeerRequest, Selector, Verb
from ipsectest.wire import Message, Nonce, build_message
from tests.lab.two_namespaces import require_lab
from tests.peers.failing_pair import ADDRESSES, CHARON, HOSTS, PLUTO, FailingPair, Run, failing_pair
from tests.unit.explain.scenes import ke, sa

pytestmark = [pytest.mark.lab, pytest.mark.peer]

ELSEWHERE = (Selector("203.0.113.200", "203.0.113.200"),)
GAVE_UP = "giving up after", "timeout exceeded"


def trees(suite: str) -> dict[str, Path]:
    require_lab("nft", "nsenter")
    if os.geteuid() != 0:
        pytest.skip("needs root")
    found = {}
    for name, label in ((CHARON, f"strongswan@{suite}"), (PLUTO, f"libreswan@{suite}")):
        tree = rootfs.find(table.parse(label))
        if tree is None:
            pytest.skip(f"ipsectest peers install {label}")
        found[name] = tree.root
    return found


@pytest.fixture(scope="module", params=["trixie", "bookworm"])
def daemons(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingPair]:
    """With pre-shared keys; two releases of each daemon, whose words differ."""
    yield from _daemons(trees(request.param), tmp_path_factory)


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingPair]:
    """With certificates whose authorities the other does not know."""
    yield from _daemons(trees("trixie"), tmp_path_factory, certificate="rsa")


def _daemons(found: dict[str, Path], factory: pytest.TempPathFactory, certificate: str = "") -> Iterator[FailingPair]:
    folder = factory.mktemp("failures")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPSECTEST_RUNTIME", str(folder / "run"))
        with failing_pair(folder, found, certificate) as made:
            yield made


@dataclass(frozen=True)
class Failure:
    """What is set up wrongly, and what is to be told of it."""

    code: str
    """With everything at hand."""
    wrong: dict[str, Any] = field(default_factory=dict)
    """At the responder."""
    common: dict[str, Any] = field(default_factory=dict)
    dropped: str = ""
    verdict: str = "drop"
    until: tuple[str, ...] = ("NO_PROPOSAL_CHOSEN", "AUTHENTICATION_FAILED", "TS_UNACCEPTABLE", *GAVE_UP)
    capture: str = ""
    """From the capture alone; empty: the same."""
    initiator: str = ""
    """From the initiator's log alone."""
    values: tuple[str, ...] = ()
    """What the differences show of the two sides."""


SUITE = "aes128gcm16-prfsha256-x25519"
FAILURES = {
    "ike-proposal": Failure(
        "ike-proposal-mismatch",
        wrong={"ike": (parse_suite("aes256-sha384-prfsha384-ecp384"),)},
        values=(SUITE, "aes256", "ecp384"),
    ),
    "child-proposal": Failure(
        "child-proposal-mismatch",
        wrong={"esp": (parse_suite("aes256-sha512"),)},
        capture="child-refused",
        values=("aes128gcm16", "aes256-sha512"),
    ),
    "psk": Failure(
        "wrong-psk",
        wrong={"secret": b"something else"},
        capture="authentication-failed",
        initiator="authentication-failed",
    ),
    "id": Failure(
        "id-mismatch",
        wrong={"remote_id": Identity("fqdn", "other.example")},
        capture="authentication-failed",
        initiator="authentication-failed",
    ),
    "selectors": Failure("traffic-selector-mismatch", wrong={"local_ts": ELSEWHERE}, capture="child-refused"),
    "blocked": Failure("peer-unreachable", dropped="udp dport 500"),
    "rejected": Failure("peer-unreachable", dropped="udp dport 500", verdict="reject"),
    "port-4500": Failure("nat-t-blocked", dropped="udp dport 4500", common={"force_encapsulation": True}),
}
INITIATORS = pytest.mark.parametrize("initiator", [CHARON, PLUTO])


def explained(capsys: pytest.CaptureFixture, *files: Path) -> dict[str, Any]:
    capsys.readouterr()
    status = main(["explain", "--json", *map(str, files)])
    told = json.loads(capsys.readouterr().out)
    assert status == (1 if told["failed"] else 0)
    return told


def failed(told: dict[str, Any]) -> list[str]:
    """The codes of failures."""
    return [one["code"] for one in told["findings"] if one["severity"] == "failure"]


def judge(run: Run, failure: Failure, capsys: pytest.CaptureFixture) -> None:
    """All that is to be told: from everything, and from what one side has."""
    left = run.left
    told = explained(capsys, left.capture, *left.logs.values())
    assert failed(told) == [failure.code], told["findings"]
    (finding,) = (one for one in told["findings"] if one["severity"] == "failure")
    assert finding["change"]
    assert finding["clause"]
    shown = " ".join(value for one in finding["differences"] for value in one["values"].values())
    for value in failure.values:
        assert value in shown
    # charon's log has the keys: with it beside the capture everything is in clear.
    texts = [rung["text"] for sa in told["sas"] if sa["kind"] == "frame" for rung in sa["ladder"]]
    assert texts
    assert not any("encrypted" in text for text in texts) or failure.dropped
    assert failed(explained(capsys, left.capture)) == [failure.capture or failure.code]
    seen = failed(explained(capsys, left.logs[run.initiator]))
    # 4.10 does not log the port that IKE_AUTH goes to.
    assert seen in ([failure.initiator or failure.code], ["no-answer-to-auth"])
    if not failure.dropped:
        assert ADDRESSES[run.responder] in finding["who"] or run.responder in finding["who"]


@INITIATORS
@pytest.mark.parametrize("name", FAILURES)
def test_what_is_set_up_wrongly(daemons: FailingPair, name: str, initiator: str, capsys: pytest.CaptureFixture) -> None:
    failure = FAILURES[name]
    with daemons.run(initiator, wrong=failure.wrong, **failure.common) as run, contextlib.ExitStack() as stack:
        if failure.dropped:
            stack.enter_context(run.dropping(failure.dropped, failure.verdict))
        run.initiate(*failure.until)
        run.end()
    judge(run, failure, capsys)


@INITIATORS
def test_another_group_is_asked_for(daemons: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    offer = (parse_suite("aes128gcm16-prfsha256-x25519-ecp256"),)
    wrong = {"ike": (parse_suite("aes128gcm16-prfsha256-ecp256"),), "local_ts": ELSEWHERE}
    with daemons.run(initiator, wrong=wrong, ike=offer) as run:
        run.initiate("TS_UNACCEPTABLE")
    for file in (run.capture, run.left.logs[initiator]):
        told = explained(capsys, file)
        assert "group-retry" in [one["code"] for one in told["findings"] if one["severity"] == "note"]


@INITIATORS
def test_a_peer_that_dies(daemons: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    # Without a Child SA, which this kernel may not be able to carry, the IKE SA stays up.
    with daemons.run(initiator, wrong={"local_ts": ELSEWHERE}) as run:
        run.initiate("TS_UNACCEPTABLE")
        run.until(initiator, "established")
        with run.dropping("udp dport 500-4500"), contextlib.suppress(PeerError):  # whack ends with an error
            run.perform(Verb.REKEY_IKE if initiator == CHARON else Verb.LIVENESS)
            run.until(initiator, *GAVE_UP)
            run.end()
    for files in ([run.capture], [run.left.logs[initiator]], [run.capture, run.left.logs[initiator]]):
        assert "dead-peer" in failed(explained(capsys, *files))


def test_eap_where_none_is_wanted(daemons: FailingPair, capsys: pytest.CaptureFixture) -> None:
    with daemons.run(CHARON) as run:
        one = daemons.given[CHARON]
        by_eap = {"local": {"auth": "eap-md5", "id": one.local_id.value}}
        with daemons.charon._vici() as session:
            session.load_conn({one.name: connection(one, daemons.charon._credentials) | by_eap})
        run.initiate("AUTHENTICATION_FAILED")
    left = run.left
    for files in ([left.capture, *left.logs.values()], [left.logs[PLUTO]]):
        told = explained(capsys, *files)
        assert failed(told) == ["eap-failed"]
        assert ADDRESSES[CHARON] in told["findings"][0]["who"]
    for file in (left.capture, left.logs[CHARON]):
        assert failed(explained(capsys, file)) == ["authentication-failed"]


def test_both_sides_at_once(daemons: FailingPair, capsys: pytest.CaptureFixture) -> None:
    """charon rekeys the IKE SA while pluto asks for a Child SA; the other way round pluto just serves the request."""
    with daemons.run(CHARON, wrong={"local_ts": ELSEWHERE}) as run:
        run.initiate("TS_UNACCEPTABLE")
        run.until(CHARON, "established")
        with run.dropping("udp length > 100"):  # the request to rekey, not the refusal
            run.perform(Verb.REKEY_IKE)
            daemons.pluto.perform(PeerRequest(1, Verb.CREATE, daemons.given[PLUTO]))
            run.until(PLUTO, "TEMPORARY_FAILURE")
        run.until(CHARON, "rekeyed between")
    for files in ([run.left.logs[CHARON]], [run.left.logs[PLUTO]], [run.capture, *run.left.logs.values()]):
        told = explained(capsys, *files)
        (finding,) = (one for one in told["findings"] if one["code"] == "temporary-failure")
        assert (finding["severity"], ADDRESSES[CHARON] in finding["who"]) == ("warning", True)


@INITIATORS
def test_another_version(daemons: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    payloads = [sa(SUITE), ke(31), Nonce(b"n" * 32)]
    message = build_message(Message(b"12345678", bytes(8), ExchangeType.IKE_SA_INIT, 8, 0, payloads, 3))
    ours = daemons.namespaces[initiator].socket(socket.AF_INET, socket.SOCK_DGRAM)
    with daemons.run(initiator) as run, ours:
        ours.settimeout(5)
        ours.sendto(message, (ADDRESSES[run.responder], 500))
        ours.recv(2000)
    for files in ([run.capture], [run.left.logs[run.responder]], [run.capture, run.left.logs[run.responder]]):
        assert failed(explained(capsys, *files)) == ["version-mismatch"]


@INITIATORS
def test_an_unknown_authority(strangers: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    kind = Authentication.RSA
    named = {side: Identity("fqdn", HOSTS[who]) for side, who in (("local_id", CHARON), ("remote_id", PLUTO))}
    with strangers.run(initiator, local_auth=kind, remote_auth=kind, **named) as run:
        run.initiate("AUTHENTICATION_FAILED")
    failure = Failure("untrusted-certificate", capture="authentication-failed", initiator="authentication-failed")
    judge(run, failure, capsys)


BEFORE_REASSEMBLY = "prerouting priority -450"


@INITIATORS
def test_a_message_too_large_for_the_way(strangers: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    kind = Authentication.RSA
    for namespace in strangers.namespaces.values():
        with namespace.route() as route:
            route.link("set", index=route.link_lookup(ifname="wire")[0], mtu=1000)
    drop = "ip frag-off & 0x1fff != 0"
    with (
        strangers.run(initiator, local_auth=kind, remote_auth=kind) as run,
        run.dropping(drop, hook=BEFORE_REASSEMBLY),
    ):
        run.initiate(*GAVE_UP)
        run.end()
    told = explained(capsys, run.capture)
    assert failed(told) == ["large-message-lost"]
    assert "in IP fragments" in told["findings"][0]["text"]
    both = explained(capsys, run.capture, *run.left.logs.values())
    assert failed(both) == ["large-message-lost"]
