"""Captures of Debian's packages, where script/foreign-captures has put some into the cache, or if asked for."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.foreign import sources
from tests.foreign.__main__ import read_logs_of, run
from tests.foreign.keys import rings
from tests.pcaps.tshark import require_tshark

ASKED = os.environ.get("IPSECTEST_FOREIGN", "") not in {"", "0"}
SMALL = {
    "wireshark": ("esp-bug-12671", "ikev1-certs", "aes192ctr", "aes256gcm8"),
    "tcpdump": ("08-sunrise-sunset-aes", "ikev2pI2.pcap"),
}
"""Packages with captures of IPsec that come with keys, and parts of the names of those that are always taken."""


@pytest.fixture(scope="module")
def unpacked() -> Path:
    """The cache, filled if the environment asks for it."""
    folder = sources.cache()
    if ASKED:
        folder.mkdir(parents=True, exist_ok=True)
        options = sources.prepare(folder)
        for name in SMALL:
            sources.fetch(name, options, folder)
    if not (folder / "unpacked").is_dir():
        pytest.skip("no foreign captures: script/foreign-captures fetches them, as does IPSECTEST_FOREIGN=1")
    return folder / "unpacked"


@pytest.mark.parametrize("package", SMALL)
def test_decrypt_does_what_tshark_does(package: str, unpacked: Path) -> None:
    require_tshark()
    if not (unpacked / package).is_dir():
        pytest.skip(f"{package} is not in the cache of foreign captures")
    rows = list(run(unpacked / package, package, lambda name: ASKED or any(part in name for part in SMALL[package])))
    assert [row for row in rows if not row.is_good] == []
    assert sum(row.is_ipsec for row in rows) >= len(SMALL[package])
    assert sum(row.same for row in rows) >= 8


def test_an_archive_gives_captures_and_keys_and_nothing_above_its_folder(tmp_path: Path) -> None:
    import io
    import tarfile

    archive = tmp_path / "a.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        for name in (
            "x/a.pcap",
            "x/b.PCAPNG.gz",
            "x/test/esp_sa.tmpl",
            "x/code.c",
            "../outside.pcap",
            "/abs.pcap",
            "x/t/east.console.txt",
        ):
            tar.addfile(member := tarfile.TarInfo(name), io.BytesIO(b""))
            assert member.size == 0
    with TemporaryDirectory() as folder:
        sources.unpack(archive, Path(folder))
        found = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
    assert found == ["abs.pcap", "x/a.pcap", "x/b.PCAPNG.gz", "x/t/east.console.txt", "x/test/esp_sa.tmpl"]


def test_logs_are_explained(tmp_path: Path) -> None:
    assert not read_logs_of(tmp_path)
    line = '"a" #1: STATE_PARENT_I1: retransmission; will wait 0.5 seconds for response\n'
    (tmp_path / "east.console.txt").write_text("# ipsec auto --up a\n" + "".join(f"002 {line}" for _ in range(3)))
    (tmp_path / "nic.console.txt").write_text("# sleep 1\n")
    assert read_logs_of(tmp_path).startswith("1 of 2 logs")


def test_keys_of_a_test_list_are_those_of_its_captures(tmp_path: Path) -> None:
    (tmp_path / "secrets-secrets.txt").write_text("0x00000002@192.0.2.2 aes128-cbc:0x" + "01" * 16 + "\n")
    (tmp_path / "crypto.tests").write_text(
        "{ input => 'a.pcap', args => '-E \"0x00000001@192.0.2.1 3des-cbc:0x" + "02" * 24 + "\"' },\n"
        "{ input => 'b.pcap', args => '-v -E \"file @TESTDIR@/secrets-secrets.txt\"' },\n"
    )
    (tmp_path / "esp_sa").write_text('"IPv4","*","*","0x00000003","NULL","","NULL",""\n')
    found = rings(tmp_path)
    assert {name: [sa.spi[-1] for sa in ring.sas] for name, ring in found.items()} == {
        "": [3], "a.pcap": [1], "b.pcap": [2],
    }  # fmt: skip
