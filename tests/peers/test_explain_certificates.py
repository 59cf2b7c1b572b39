"""What is wrong with certificates: made with real strongSwan and Libreswan, told from capture and logs."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from ipsectest.base.errors import UnsupportedError
from tests.peers.certified_pair import CertifiedPair, certified_pair
from tests.peers.failing_pair import CHARON, PLUTO
from tests.peers.test_explain_failures import GAVE_UP, INITIATORS, explained, failed, trees

pytestmark = [pytest.mark.lab, pytest.mark.peer]


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedPair]:
    yield from _daemons("trixie", tmp_path_factory)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedPair]:
    """strongSwan 5.9 and Libreswan 4."""
    yield from _daemons("bookworm", tmp_path_factory)


def _daemons(suite: str, factory: pytest.TempPathFactory) -> Iterator[CertifiedPair]:
    found = trees(suite)
    folder = factory.mktemp("certificates")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPSECTEST_RUNTIME", str(folder / "run"))
        with certified_pair(folder, found) as made:
            yield made


@dataclass(frozen=True)
class Fault:
    """What is to be told of a certificate."""

    code: str
    words: tuple[str, ...]
    """One of them is in the log of the daemon that tells first."""


FAULTS = {
    "expired": Fault("certificate-expired", ("SEC_ERROR_EXPIRED",)),
    "not-yet": Fault("certificate-expired", ("SEC_ERROR_EXPIRED",)),
    "other-name": Fault("id-mismatch", ("no trusted", "AUTHENTICATION_FAILED", "subjectAltName")),
    "no-name": Fault("id-mismatch", ("no trusted", "AUTHENTICATION_FAILED", "subjectAltName")),
    "revoked": Fault("certificate-revoked", ("certificate was revoked", "SEC_ERROR_REVOKED")),
    "without-key": Fault("private-key-missing", ("no private key", "AUTHENTICATION_FAILED", "fatal error")),
}
REFUSED = "AUTHENTICATION_FAILED", "no trusted", "X509", "giving up", *GAVE_UP
OTHER = {CHARON: PLUTO, PLUTO: CHARON}
PLACES = [(name, at) for name in FAULTS for at in OTHER]
PLACES = [one for one in PLACES if one[1] == CHARON or FAULTS[one[0]].code != "certificate-expired"]
"""Pluto refuses to load one of its own that has expired: a test by itself."""


@INITIATORS
@pytest.mark.parametrize(("name", "at"), PLACES)
def test_what_is_wrong_with_a_certificate(
    certified: CertifiedPair, name: str, at: str, initiator: str, capsys: pytest.CaptureFixture
) -> None:
    judge(certified, name, at, initiator, capsys)


@INITIATORS
@pytest.mark.parametrize("at", OTHER)
@pytest.mark.parametrize("name", ["other-name", "without-key"])
def test_what_older_releases_tell_in_other_words(
    older: CertifiedPair, name: str, at: str, initiator: str, capsys: pytest.CaptureFixture
) -> None:
    judge(older, name, at, initiator, capsys)


def judge(certified: CertifiedPair, name: str, at: str, initiator: str, capsys: pytest.CaptureFixture) -> None:
    fault = FAULTS[name]
    teller = at if name == "without-key" else OTHER[at]
    with certified.run(initiator, name, at=at) as run:
        run.initiate(*fault.words, *REFUSED)
        run.until(teller, *fault.words)
        run.end()
    left = run.left
    told = explained(capsys, left.capture, *left.logs.values())
    assert failed(told) == [fault.code], told["findings"]
    (finding,) = (one for one in told["findings"] if one["severity"] == "failure")
    assert finding["change"]
    assert finding["clause"]
    assert failed(explained(capsys, left.logs[teller])) == [fault.code]
    # The other side learns that it was refused, if at all, and a capture alone by the length of the answer.
    assert failed(explained(capsys, left.logs[OTHER[teller]])) in ([], ["authentication-failed"])
    assert failed(explained(capsys, left.capture)) in ([], ["authentication-failed"], ["dead-peer"])


@pytest.mark.parametrize("release", ["certified", "older"])
def test_a_certificate_that_pluto_does_not_load(
    release: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture
) -> None:
    certified: CertifiedPair = request.getfixturevalue(release)
    starts = certified.pair.pluto._log.stat().st_size
    with pytest.raises(UnsupportedError, match="expired or not yet valid"), certified.run(CHARON, "expired", at=PLUTO):
        raise AssertionError("it loads the certificate")
    log = certified.pair.folder / "expired.log"
    log.write_bytes(certified.pair.pluto._log.read_bytes()[starts:])
    assert failed(explained(capsys, log)) == ["certificate-expired"]
