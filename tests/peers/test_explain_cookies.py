"""Cookies that lead nowhere: strongSwan and Libreswan as responders that demand them, and as initiators."""

import socket
import threading
from collections.abc import Iterator

import pytest

from ipsectest.base.iana import ExchangeType
from ipsectest.wire import Message, Nonce, build_message
from tests.peers.failing_pair import ADDRESSES, CHARON, FailingPair, failing_pair
from tests.peers.test_explain_failures import GAVE_UP, INITIATORS, SUITE, explained, failed, trees
from tests.unit.explain.scenes import ke, sa

pytestmark = [pytest.mark.lab, pytest.mark.peer]


@pytest.fixture(scope="module", params=["trixie", "bookworm"])
def wary(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FailingPair]:
    """Both demand cookies of everybody."""
    found = trees(request.param)
    folder = tmp_path_factory.mktemp("cookies")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPSECTEST_RUNTIME", str(folder / "run"))
        with failing_pair(folder, found, cookies=True) as made:
            yield made


@INITIATORS
def test_an_initiator_that_knows_no_cookies(wary: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    payloads = [sa(SUITE), ke(31), Nonce(b"n" * 32)]
    request = build_message(Message(b"12345678", bytes(8), ExchangeType.IKE_SA_INIT, 8, 0, payloads))
    with (
        wary.run(initiator, cookies=True) as run,
        wary.namespaces[initiator].socket(socket.AF_INET, socket.SOCK_DGRAM) as ours,
    ):
        ours.settimeout(5)
        for _ in range(4):
            ours.sendto(request, (ADDRESSES[run.responder], 500))
            assert ours.recv(2000)
            threading.Event().wait(0.03)  # octets that come sooner are one packet that a capture has twice
    assert failed(explained(capsys, run.capture)) == ["cookie-not-returned"]
    assert failed(explained(capsys, run.left.logs[run.responder])) == ["cookie-loop"]
    assert set(failed(explained(capsys, run.capture, *run.left.logs.values()))) <= {
        "cookie-not-returned",
        "cookie-loop",
    }


@INITIATORS
def test_a_middle_box_that_changes_addresses(wary: FailingPair, initiator: str, capsys: pytest.CaptureFixture) -> None:
    with wary.run(initiator, cookies=True) as run, run.changing_addresses():
        run.initiate("giving up", "COOKIE response", *GAVE_UP)
        if initiator == CHARON:
            run.until(initiator, *GAVE_UP)
            run.end()
        else:
            run.until(run.responder, "192.0.2.103")
            run.end()
    code = "cookie-not-taken" if initiator == CHARON else "cookie-loop"
    left = run.left
    assert failed(explained(capsys, left.capture)) == [code]
    assert failed(explained(capsys, left.logs[initiator])) == [code]
    # The capture, behind the middle box, knows the initiator by other addresses than the log.
    assert set(failed(explained(capsys, left.capture, *left.logs.values()))) == {code}
    # The responder sees one peer at each address.
    assert set(failed(explained(capsys, left.logs[run.responder]))) <= {code}
