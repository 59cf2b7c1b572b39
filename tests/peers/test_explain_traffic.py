"""What goes wrong once a tunnel is up, or in EAP: with two strongSwans, which alone have ESP and EAP without a kernel.

Libreswan's ESP is the kernel's, which may have none; of EAP it has TLS only.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from ipsectest.peers import strongswan_settings
from ipsectest.scenario.ports import Verb
from tests.peers.charon_pair import FAR, NEAR, OUTER, CharonPair, Turn, charon_pair
from tests.peers.test_explain_failures import explained, failed, trees

pytestmark = [pytest.mark.lab, pytest.mark.peer]


@pytest.fixture(scope="module")
def charons(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CharonPair]:
    found = trees("trixie")
    folder = tmp_path_factory.mktemp("charons")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPSECTEST_RUNTIME", str(folder / "run"))
        patch.setattr(strongswan_settings, "_PLUGINS", f"{strongswan_settings._PLUGINS} eap-md5")
        with charon_pair(folder, found["charon"]) as made:
            yield made


def everything(turn: Turn, capsys: pytest.CaptureFixture) -> dict[str, Any]:
    return explained(capsys, turn.capture, *turn.logs.values())


def test_packets_that_are_lost(charons: CharonPair, capsys: pytest.CaptureFixture) -> None:
    with charons.turn() as turn:
        turn.come_up()
        with charons.losing(4):
            turn.ping(20)
        near, far = turn.counts(NEAR), turn.counts(FAR)
    assert near
    assert far
    lost, sent = near[1] - far[0], near[1]
    assert lost == 5  # the last one arrives, so that the gap before it shows
    for told in (explained(capsys, turn.capture), everything(turn, capsys)):
        assert failed(told) == ["packets-lost"]
        (finding,) = (one for one in told["findings"] if one["code"] == "packets-lost")
        assert finding["text"].startswith(f"{lost} of {sent} sequence numbers between 1 and {sent} never came")
        assert f"{OUTER[NEAR]} > {OUTER[FAR]}" in finding["who"]
    for log in turn.logs.values():
        assert failed(explained(capsys, log)) == []  # neither can know


def test_packets_that_come_twice(charons: CharonPair, capsys: pytest.CaptureFixture) -> None:
    with charons.turn() as turn:
        turn.come_up()
        turn.again(3)
        turn.until(lambda: turn.replays(FAR) == 3)
        far = turn.counts(FAR)
    assert far == (3, 3)
    for told in (explained(capsys, turn.capture), explained(capsys, turn.logs[FAR]), everything(turn, capsys)):
        assert not told["failed"]
        (finding,) = (one for one in told["findings"] if one["code"] == "packets-replayed")
        assert finding["severity"] == "warning"
        assert finding["text"].startswith(("3 packets have a sequence number", "ESP in user space dropped"))
        assert "3" in finding["text"]


def test_a_peer_that_is_cut_off(charons: CharonPair, capsys: pytest.CaptureFixture) -> None:
    with charons.turn(dpd=1.0) as turn:
        turn.come_up()
        with charons.cut():
            turn.until(lambda: "giving up after" in turn.said(NEAR))
    for files in ([turn.capture], [turn.logs[NEAR]], [turn.capture, *turn.logs.values()]):
        told = explained(capsys, *files)
        assert "dead-peer" in failed(told)
        (finding,) = (one for one in told["findings"] if one["code"] == "dead-peer" and OUTER[FAR] in one["who"])
        assert finding["change"]


@pytest.mark.parametrize("password", [b"another", b"the same"])
def test_passwords_of_eap(charons: CharonPair, password: bytes, capsys: pytest.CaptureFixture) -> None:
    codes = [] if password == b"the same" else ["eap-failed"]
    with charons.turn() as turn, charons.with_eap(turn, {NEAR: password, FAR: b"the same"}):
        turn.initiate()
        turn.until(lambda: "EAP_FAILURE" in turn.said(NEAR) or turn.counts(NEAR))
    assert failed(everything(turn, capsys)) == codes
    for log in turn.logs.values():
        assert failed(explained(capsys, log)) == codes
    # Without keys: by the length of the last answer.
    assert failed(explained(capsys, turn.capture)) == (["authentication-failed"] if codes else [])


def test_no_password_at_all(charons: CharonPair, capsys: pytest.CaptureFixture) -> None:
    with charons.turn() as turn, charons.with_eap(turn, {FAR: b"only there"}):
        turn.initiate()
        turn.until(lambda: "AUTH_FAILED" in turn.said(FAR))
    assert failed(explained(capsys, turn.logs[NEAR])) == ["eap-failed"]
    assert failed(everything(turn, capsys)) == ["eap-failed"]


def test_both_sides_rekey_at_once(charons: CharonPair, capsys: pytest.CaptureFixture) -> None:
    with charons.turn() as turn:
        turn.come_up()
        with charons.cut("udp length > 100"):  # requests to rekey, for which the near one waits; not its refusals
            turn.perform(NEAR, Verb.REKEY_IKE)
            turn.perform(FAR, Verb.REKEY_CHILD)
            turn.until(lambda: "received TEMPORARY_FAILURE" in turn.said(FAR))
        turn.until(lambda: "rekeyed between" in turn.said(NEAR))
    for files in ([turn.logs[NEAR]], [turn.logs[FAR]], [turn.capture, *turn.logs.values()]):
        told = explained(capsys, *files)
        assert not told["failed"]  # it comes about in the next try
        (finding,) = (one for one in told["findings"] if one["code"] == "temporary-failure")
        assert finding["severity"] == "warning"
        assert OUTER[NEAR] in finding["who"]
