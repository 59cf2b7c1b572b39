"""EAP-TLS between strongSwan and Libreswan: that it comes about, what certificates lack, a release that cannot."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ipsectest.explain import kinds
from ipsectest.peers import libreswan, strongswan_settings
from ipsectest.peers.strongswan_settings import connection
from ipsectest.scenario.ports import PeerSettings
from tests.peers.certified_pair import CertifiedPair, certified_pair
from tests.peers.failing_pair import CHARON, PLUTO, Run
from tests.peers.test_explain_failures import explained, failed, trees

pytestmark = [pytest.mark.lab, pytest.mark.peer]

_ENDED = "established between", "method failed", "giving up"
_LATER = {"child-refused", "traffic-selector-mismatch", kinds.KERNEL_REFUSES.code}
"""What becomes of a Child SA behind authentication is not the matter here, and up to the kernel."""
_configured = libreswan.connection


def _by_eap(settings: PeerSettings, version: str, nickname: str = "") -> str:
    """Both ends prove themselves by EAP-TLS alone."""
    lines = []
    for line in _configured(settings, version, nickname).splitlines():
        name, _, _ = line.strip().partition("=")
        lines += [f"\t{name}=eaponly", f"\t{name}eap=tls"] if name in {"leftauth", "rightauth"} else [line]
    return "\n".join([*lines, ""])


@contextmanager
def daemons(suite: str, factory: pytest.TempPathFactory) -> Iterator[CertifiedPair]:
    folder = factory.mktemp("eap")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPSECTEST_RUNTIME", str(folder / "run"))
        patch.setattr(strongswan_settings, "_PLUGINS", f"{strongswan_settings._PLUGINS} eap-tls")
        patch.setattr(libreswan, "connection", _by_eap)
        with certified_pair(folder, trees(suite)) as made:
            yield made


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CertifiedPair]:
    """strongSwan 5.9 and Libreswan 4.10."""
    with daemons("bookworm", tmp_path_factory) as made:
        yield made


def come_up(made: CertifiedPair, run: Run) -> None:
    charon, one = made.pair.charon, made.pair.given[CHARON]
    section = connection(one, charon._credentials)
    for side in ("local", "remote"):
        section[side] = {**section[side], "auth": "eap-tls"}
    with charon._vici() as session:
        session.load_conn({one.name: section})
    run.initiate(*_ENDED)


@pytest.mark.parametrize(
    ("fault", "code"), [("good", ""), ("expired", "certificate-expired"), ("revoked", "certificate-revoked")]
)
def test_certificates_in_eap(older: CertifiedPair, fault: str, code: str, capsys: pytest.CaptureFixture) -> None:
    with older.run(CHARON, fault, at=CHARON) as run:
        come_up(older, run)
    left = run.left
    for files in ([left.logs[CHARON]], [left.logs[PLUTO]], [left.capture, *left.logs.values()]):
        assert [one for one in failed(explained(capsys, *files)) if one not in _LATER] == ([code] if code else [])
    assert ("with EAP successful" in left.logs[CHARON].read_text()) == (not code)


def test_a_release_whose_eap_does_not_work(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture
) -> None:
    """Libreswan 5.2: https://github.com/libreswan/libreswan/issues/2036."""
    with daemons("trixie", tmp_path_factory) as made, made.run(CHARON, "good", at=CHARON) as run:
        come_up(made, run)
    left = run.left
    assert failed(explained(capsys, left.logs[PLUTO])) == ["eap-failed"]
    assert failed(explained(capsys, left.capture, *left.logs.values())) == ["eap-failed"]
