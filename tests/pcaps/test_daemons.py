"""Captures between daemons with a kernel's ESP (``pcaps/daemons``): decrypted, they are what the kernels were given."""

import json
from pathlib import Path

import pytest

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.keys import detect, ours
from ipsectest.decrypt.keys.model import KeyRing
from tests.pcaps.test_pcaps import FOLDER
from tests.pcaps.tshark import require_tshark
from tests.peers.decrypted import is_echo, malformed, sent

DAEMONS = FOLDER / "daemons"
NAMES = sorted(path.name.removesuffix(".sent.pcapng") for path in DAEMONS.glob("*.sent.pcapng"))
SHORTEST = 90
"""Octets of a payload that the kernel compresses."""

each = pytest.mark.parametrize("name", NAMES)


def packets(path: Path) -> list[bytes]:
    capture = open_capture(path)
    found = [bytes(frame.data) for frame in capture.frames()]
    capture.close()
    assert not capture.notes
    return found


@each
@pytest.mark.parametrize("options", [[], ["--slow"], ["--derive"]])
def test_inner_packets_are_those_that_the_kernels_were_given(name: str, options: list[str], tmp_path: Path) -> None:
    require_tshark()
    keys, out = DAEMONS / f"{name}.keys.toml", tmp_path / "out.pcapng"
    if options == ["--derive"]:  # keys of ESP follow from messages, those with PFS from the log only
        ring = detect.read(keys)
        keys = tmp_path / "keys.toml"
        keys.write_text(ours.write(KeyRing(ike=ring.ike, sas=ring.sas[2:])))
        options = []
    assert main(["decrypt", str(DAEMONS / f"{name}.pcapng"), "-k", str(keys), "-o", str(out), *options]) == 0
    found = [packet for packet in packets(out) if is_echo(packet)]
    assert len(found) == 36
    assert sent(found, ()) == sent(packets(DAEMONS / f"{name}.sent.pcapng"), ())
    assert malformed(out) == []


@each
def test_what_is_long_was_compressed(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    files = str(DAEMONS / f"{name}.pcapng"), "-k", str(DAEMONS / f"{name}.keys.toml")
    assert main(["decrypt", *files, "--jsonl", "-"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    inner = [line for line in lines if line["type"] == "packet"]
    assert {line["inner"]["length"] > SHORTEST for line in inner} == {True, False}
    for line in inner:
        assert ("DEFLATE" in line.get("compression", "")) == (line["inner"]["length"] > SHORTEST)


@each
def test_suites_are_written_in_one_order_whoever_offers_them(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The IKE SA and the one that replaces it, which the other end offered."""
    files = str(DAEMONS / f"{name}.pcapng"), "-k", str(DAEMONS / f"{name}.keys.toml")
    assert main(["decrypt", *files, "--json"]) == 0
    suites = [sa["suite"] for sa in json.loads(capsys.readouterr().out)["ike_sas"]]
    assert len(suites) == 2
    assert len(set(suites)) == 1
