"""Tables and files of keys as other programs take them: every row accepted, and packets decrypted with it."""

import os
import shutil
import subprocess
from getpass import getuser
from pathlib import Path

import pytest

from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec, parse_suite
from ipsectest.base.wireshark import IKE_ENCRYPTION, IKE_INTEGRITY
from ipsectest.decrypt.keys import convert, detect
from ipsectest.decrypt.keys.model import IkeKeys, IkeV1Keys, KeyRing, SaKeys
from ipsectest.ipsec.inner import Echo, build_echo
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.net.pcapng import PcapngWriter
from tests.pcaps.tshark import require_tshark

PCAPS = Path(__file__).parent.parent.parent / "pcaps"
WITH_TABLES = [path for path in sorted(PCAPS.glob("*.pcapng")) if "chacha" not in path.name]
_OPTIONS = ("esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE")


def tshark(folder: Path, capture: Path, *fields: str) -> list[list[str]]:
    """Columns of every frame, with the profile folder as configuration; no table may be refused."""
    command = ["tshark", "-n", "-r", str(capture), *(word for option in _OPTIONS for word in ("-o", option))]
    command += ["-T", "fields", "-E", "separator=;", *(word for field in fields for word in ("-e", field))]
    environment = os.environ | {"WIRESHARK_CONFIG_DIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    # Before 4.2 the table has no columns for ESN; the third is what the repaired rows are for.
    harmless = ("Running as user", "More fields than required", "AES-GCM encryption can only be used with NULL")
    complaints = [
        line for line in done.stderr.splitlines() if line.strip() and not any(word in line for word in harmless)
    ]
    assert not complaints, done.stderr
    return [line.split(";") for line in done.stdout.splitlines()]


def tcpdump(capture: Path, keys: Path) -> str:
    """What it prints, with the file of keys."""
    if not shutil.which("tcpdump"):
        pytest.skip("tcpdump is not installed (script/bootstrap installs it)")
    # As root it becomes another user, who may not read the file, unless told not to.
    command = ["tcpdump", "-Z", getuser(), "-nn", "-vvv", "-r", str(capture), "-E", f"file {keys}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


def write(folder: Path, ring: KeyRing) -> None:
    folder.mkdir()
    for name, text in convert.wireshark(ring).files.items():
        (folder / name).write_text(text)


@pytest.mark.parametrize("capture", WITH_TABLES, ids=lambda path: path.stem)
def test_tshark_decrypts_with_converted_tables(capture: Path, tmp_path: Path) -> None:
    """Ours -> Wireshark's -> ours -> Wireshark's: what the second profile opens is everything."""
    require_tshark()
    write(tmp_path / "first", detect.read(capture.with_suffix(".keys.toml")))
    again = detect.read(tmp_path / "first")
    assert not again.problems
    assert not again.notes
    write(tmp_path / "second", again)
    seen = tshark(tmp_path / "second", capture, "esp.spi", "esp.icv_good", "icmp.type", "isakmp.enc.decrypted")
    packets = [row for row in seen if row[0]]
    assert packets
    assert all(row[1] in {"1", "True"} and row[2] for row in packets)
    assert any(row[3] for row in seen)


def test_tshark_takes_every_row_that_we_can_write(tmp_path: Path) -> None:
    require_tshark()
    sas = [
        SaKeys(spi=number.to_bytes(4, "big"), encryption=cipher, encryption_key=bytes(size), unchecked_icv=icv)
        for number, (cipher, size, icv) in enumerate(
            [
                *((TransformSpec(TransformType.ENCR, number, 128), 16, 12) for number in (6, 7)),
                *((parse_suite(word)[0], 20, 0) for word in ("aes128gcm8", "aes128gcm12", "aes128gcm16")),
                *((parse_suite(word)[0], size, 8) for word, size in (("des", 8), ("3des", 24), ("null", 0))),
                *((parse_suite("aes256")[0], 32, icv) for icv in (0, 8, 12, 16, 24, 32)),
                (parse_suite("aes192ctr")[0], 28, 12),
            ],
            1,
        )
    ]
    sas += [
        SaKeys(
            spi=bytes(3) + bytes([200 + number]),
            source="2001:db8::1",
            encryption=parse_suite("null")[0],
            integrity=parse_suite(word)[0],
            integrity_key=bytes(size),
            esn=True,
            esn_high=0xFFFFFFFF,
        )
        for number, (word, size) in enumerate(
            [
                ("md5", 16),
                ("sha1", 20),
                ("sha256", 32),
                ("sha384", 48),
                ("sha512", 64),
                ("aesxcbc", 16),
                ("aescmac", 16),
            ]
        )
    ]
    sas.append(SaKeys(spi=b"", encryption=parse_suite("null")[0]))
    ring = KeyRing(sas=sas, ike=_every_ike(), ikev1=[IkeV1Keys(cookie_i=bytes(range(8)), encryption_key=bytes(16))])
    write(tmp_path / "profile", ring)
    assert not convert.wireshark(ring).left_out
    assert tshark(tmp_path / "profile", WITH_TABLES[0], "frame.number")
    again = detect.read(tmp_path / "profile")
    assert not again.problems
    assert len(again.ike) == len(ring.ike)
    assert len(again.ikev1) == 1


def _every_ike() -> list[IkeKeys]:
    found = []
    for number, (encryption, bits) in enumerate(IKE_ENCRYPTION):
        cipher = TransformSpec(TransformType.ENCR, encryption, bits)
        size = {3: 24, 11: 0}.get(encryption, (bits or 0) // 8)
        size += 4 if encryption in {13, 18, 19, 20} else 3 if encryption in {14, 15, 16} else 0
        for mac in IKE_INTEGRITY if encryption < 14 else [0]:
            length = {0: 0, 1: 16, 2: 20, 5: 16, 6: 16, 7: 20, 8: 16, 12: 32, 13: 48, 14: 64}[mac]
            found.append(
                IkeKeys(
                    spi_i=bytes([1, number, mac, 1, 1, 1, 1, 1]),
                    spi_r=bytes(8),
                    encryption=cipher,
                    integrity=TransformSpec(TransformType.INTEG, mac) if mac else None,
                    sk_ei=bytes(size),
                    sk_er=bytes(size),
                    sk_ai=bytes(length),
                    sk_ar=bytes(length),
                )
            )
    return found


def test_rows_of_save_keys_are_repaired(tmp_path: Path) -> None:
    """strongSwan's save-keys: this row Wireshark does not decrypt, ours for the same SA it does."""
    require_tshark()
    capture = next(path for path in WITH_TABLES if path.stem == "strongswan-responder-psk-aes128gcm16")
    ring = detect.read(capture.with_suffix(".keys.toml"))
    saved = tmp_path / "saved"
    saved.mkdir()
    rows = [
        f'"IPv4","{sa.source}","{sa.destination}","0x{sa.spi.hex()}","AES-GCM [RFC4106]","0x{sa.encryption_key.hex()}",'
        '"ANY 128 bit authentication [no checking]","0x"'
        for sa in ring.sas
    ]
    (saved / "esp_sa").write_text("\n".join(rows) + "\n")
    write(tmp_path / "repaired", detect.read(saved))
    for folder, opens in ((saved, False), (tmp_path / "repaired", True)):
        seen = [row for row in tshark(folder, capture, "esp.spi", "icmp.type") if row[0]]
        assert all(bool(row[1]) == opens for row in seen), folder


def test_tcpdump_decrypts_ikev2_with_converted_keys(tmp_path: Path) -> None:
    capture = PCAPS / "strongswan-initiator-psk-aes256-sha256.pcapng"
    made = convert.to_tcpdump(detect.read(capture.with_suffix(".keys.toml")))
    assert all("tcpdump knows ICVs of 12 octets, not sha256" in line for line in made.left_out)
    (tmp_path / "keys").write_text(made.files[""])
    shown = tcpdump(capture, tmp_path / "keys")
    assert "fqdn:peer.example" in shown
    assert "v2TSi" in shown


@pytest.mark.parametrize("suite", ["aes256-sha1", "3des-md5"])
def test_tcpdump_decrypts_esp_with_converted_keys(suite: str, tmp_path: Path) -> None:
    encryption, integrity = parse_suite(suite)
    keys = bytes(range(32 if suite.startswith("aes") else 24)), bytes(range(20 if suite.endswith("sha1") else 16))
    sa = SecurityAssociation(
        spi=bytes.fromhex("01020304"),
        source="192.0.2.1",
        destination="192.0.2.2",
        protocol=ProtocolId.ESP,
        encryption=encryption,
        encryption_key=keys[0],
        integrity=integrity,
        integrity_key=keys[1],
        mode=Mode.TUNNEL,
    )
    packet = protect(sa, build_echo(Echo("198.51.100.1", "203.0.113.1", 7, 1, bytes(32), is_reply=False)), bytes)
    with PcapngWriter((tmp_path / "esp.pcapng").open("wb")) as writer:
        writer.add_interface("wire")
        writer.packet(0, packet)
    log = SaKeys(
        spi=sa.spi,
        source=sa.source,
        destination=sa.destination,
        encryption=encryption,
        encryption_key=keys[0],
        integrity=integrity,
        integrity_key=keys[1],
    )
    (tmp_path / "keys").write_text(convert.to_tcpdump(KeyRing(sas=[log])).files[""])
    shown = tcpdump(tmp_path / "esp.pcapng", tmp_path / "keys")
    assert "198.51.100.1 > 203.0.113.1: ICMP echo request, id 7, seq 1" in shown
