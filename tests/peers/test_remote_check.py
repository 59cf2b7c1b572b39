"""``peers check`` against a real gateway: whether the description fits, and what to change."""

from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.lab.privileges import can_make_namespaces
from tests.peers.remote_peer import FILE, SECRET, THEM, Gateway, gateway
from tests.peers.test_remote import left, require

pytestmark = [
    pytest.mark.peer,
    pytest.mark.lab,
    pytest.mark.skipif(not can_make_namespaces(), reason="needs network namespaces (root)"),
]
IKE = "aes128gcm16-prfsha256-x25519"
WRONG = {
    "suite": (IKE, "aes256-sha256-modp2048", ["NO_PROPOSAL_CHOSEN", f'it would take ike = "{IKE}"']),
    "secret": (SECRET.decode(), "another", ["AUTHENTICATION_FAILED", "psk_file"]),
    "our name": ("fqdn:tester.example", "fqdn:nobody.example", ["AUTHENTICATION_FAILED", "fqdn:nobody.example"]),
    "its name": ("fqdn:peer.example", "fqdn:other.example", ["says that it is peer.example", "id in [peer]"]),
    "esp": ('"aes128gcm16"', '"aes256-sha256"', ["the Child SA", 'it would take esp = "aes128gcm16"']),
    "inside": ("203.0.113.1", "203.0.113.77", ["TS_UNACCEPTABLE", "ts in [peer]"]),
    "network": (
        "[tester]",
        'ts = "203.0.113.0/24"\n[tester]',
        ["narrowed 203.0.113.0/24", 'ts = "203.0.113.1" in [peer]'],
    ),
    "our address": ('"192.0.2.1"', '"192.0.2.8"', ["not all of them are addresses of this machine"]),
    "port": (
        "[tester]",
        "port = 501\n[tester]",
        ["refused: nothing listens on UDP port 501", "is the IKE daemon running?"],
    ),
    "address": (THEM, "192.0.2.9", ["NO  IKE_SA_INIT", "address and port in [peer]"]),  # silence, or ARP gives up
}


def said(there: Gateway, path: Path, capsys: pytest.CaptureFixture[str], text: str = FILE) -> tuple[int, str]:
    status = main(["peers", "check", str(there.describe(path, text))])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def test_a_description_is_held_against_the_gateway(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require("strongswan")
    path = tmp_path / "gw.toml"
    with gateway("strongswan") as there:
        status, text = said(there, path, capsys)
        assert status == 0, text
        assert "203.0.113.1 <-> 198.51.100.1, aes128gcm16" in text
        assert "The description fits" in text
        for name, (old, new, words) in WRONG.items():
            status, text = said(there, path, capsys, FILE.replace(old, new))
            assert status != 0, name
            for word in words:
                assert word in text, (name, text)
        assert left(there) == []
