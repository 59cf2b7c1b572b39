"""Logs of real daemons, held against what their kernel said of the same SAs (``tests/vectors/keys/README.md``)."""

import re
from pathlib import Path

import pytest

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import format_suite
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from tests.unit.decrypt.keys.rings import VECTORS, bare, read_text

LOGS = sorted(path for path in VECTORS.glob("*.log") if "ikev1" not in path.name)


def content(sa: SaKeys) -> tuple[object, ...]:
    return sa.protocol, sa.encryption, sa.encryption_key, sa.integrity, sa.integrity_key, sa.esn


def check_sas(ring: KeyRing, kernel: KeyRing) -> None:
    told = {sa.spi: sa for sa in ring.sas}
    assert len(kernel.sas) == len(told) == len(ring.sas) == 4
    for sa in kernel.sas:
        assert content(told[sa.spi]) == content(sa)
        assert told[sa.spi].source in {"", sa.source}
        assert told[sa.spi].destination in {"", sa.destination}


@pytest.mark.parametrize("log", LOGS, ids=lambda path: path.name)
def test_child_sas_are_those_of_the_kernel(log: Path) -> None:
    ring = detect.read(log)
    assert not ring.problems
    check_sas(ring, detect.read(log.with_name(f"{log.name}.xfrm")))
    assert len(ring.ike) + len(ring.without_salt) == 2


def test_charon_tells_everything_of_ike() -> None:
    first, second = detect.read(VECTORS / "strongswan-6.0.1.log").ike
    assert (first.spi_i.hex(), first.spi_r.hex()) == ("1de73109a51e0bcc", "74baaeac5cd88e32")
    assert (second.spi_i.hex(), second.spi_r.hex()) == ("50d22fc4af5f4d6d", "61883f9e35a7f72c")
    for ike in (first, second):
        assert format_suite([spec for spec in (ike.encryption, ike.integrity, ike.prf) if spec]) == (
            "aes256-sha256-prfsha256"
        )
        assert {len(key) for key in (ike.sk_d, ike.sk_ai, ike.sk_ar, ike.sk_ei, ike.sk_er, ike.sk_pi, ike.sk_pr)} == {
            32
        }
    assert detect.read(VECTORS / "strongswan-5.9.8.log").ike[1].spi_i.hex() == "902dcfea768cb968"


@pytest.mark.parametrize("group", ["CHD", "KNL"])
def test_either_of_two_groups_tells_the_child_sas(group: str, tmp_path: Path) -> None:
    log = VECTORS / "strongswan-6.0.1.log"
    text = "".join(line for line in log.read_text().splitlines(keepends=True) if f"[{group}]" not in line)
    ring = read_text(tmp_path, text)
    check_sas(ring, detect.read(log.with_name(f"{log.name}.xfrm")))
    assert not ring.problems


def test_spis_of_the_first_ike_sa_are_told_without_mgr_too(tmp_path: Path) -> None:
    text = "".join(
        line for line in (VECTORS / "strongswan-6.0.1.log").read_text().splitlines(keepends=True) if "[MGR]" not in line
    )
    ring = read_text(tmp_path, text)
    assert [ike.spi_i.hex() for ike in ring.ike] == ["1de73109a51e0bcc", ""]
    assert "mgr = 2" in ring.notes[0]


@pytest.mark.parametrize(
    "prefix", ["Nov 28 18:09:51 gw charon-systemd[812]: ", "2026-11-28T18:09:51+00:00 gw charon: "]
)
def test_syslog_and_journal_put_something_before(prefix: str, tmp_path: Path) -> None:
    log = VECTORS / "strongswan-6.0.1.log"
    text = "".join(f"{prefix}{line[13:]}" for line in log.read_text().splitlines(keepends=True))
    assert bare(read_text(tmp_path, text)) == bare(detect.read(log))


def test_ikev1() -> None:
    ring = detect.read(VECTORS / "strongswan-6.0.1-ikev1.log")
    (phase1,) = ring.ikev1
    assert (phase1.cookie_i.hex(), len(phase1.encryption_key)) == ("1360909becfada76", 32)
    inbound, outbound = ring.sas
    assert (inbound.spi.hex(), inbound.source) == ("c4fdaeac", "192.0.2.2")
    assert (outbound.spi.hex(), outbound.source) == ("3d450d85", "192.0.2.1")
    assert inbound.encryption_key.hex().startswith(("89ba01d5", "fc2be2c9"))
    assert not ring.problems


def test_pluto_leaves_out_salts_and_ends_of_keys() -> None:
    gcm = detect.read(VECTORS / "libreswan-5.2-gcm.log")
    assert [len(ike.sk_ei) for ike in gcm.without_salt] == [32, 32]
    assert not gcm.ike
    assert "salt" in gcm.notes[0]
    sha384 = detect.read(VECTORS / "libreswan-5.2.log")
    assert [(ike.integrity, ike.unchecked_icv) for ike in sha384.ike] == [(None, 24), (None, 24)]
    assert "32 octets" in sha384.notes[0]
    assert detect.read(VECTORS / "libreswan-4.10.log").notes == []


AH_LOG = """\
06:40:03.8: Starting Pluto (Libreswan Version 4.10 IKEv2)
06:40:07.2: | AH authkey:
06:40:07.2: |   87 0c 95 2c  b0 4e 54 99  e5 6c 49 2b  90 6a 7f 52   ...,.NT..lI+.j.R
06:40:07.2: |   ca e2 41 d5  cb 3d a0 46  5e 1b 00 8c  63 27 37 eb   ..A..=.F^...c'7.
06:40:07.2: | AH authkey:
06:40:07.3: |   bd fa 25 a2  ba 39 d5 0d  3f 30 30 18  b4 3e d8 41   ..%..9..?00..>.A
06:40:07.3: |   ac 7a cf 23  55 6c de 7d  ee d2 22 bc  d8 a7 ef 5c   .z.#Ul.}.."....\\
06:40:07.7: "interop"[1] 192.0.2.102 #2: initiator established Child SA using #1; IPsec tunnel [x] \
{AH=>0xc4d2a913 <0xae9efa74 xfrm=HMAC_SHA2_256_128 DPD=passive}
"""


def test_keys_of_ah_in_plutos_log(tmp_path: Path) -> None:
    outbound, inbound = read_text(tmp_path, AH_LOG).sas
    assert (outbound.protocol, outbound.encryption, outbound.encryption_key) == (ProtocolId.AH, None, b"")
    assert [format_suite([sa.integrity]) for sa in (outbound, inbound) if sa.integrity] == ["sha256", "sha256"]
    assert (outbound.spi.hex(), outbound.destination) == ("c4d2a913", "192.0.2.102")
    assert (outbound.integrity_key[:4].hex(), inbound.integrity_key[:4].hex()) == ("870c952c", "bdfa25a2")


def test_pluto_with_all_names_the_spi_of_a_block(tmp_path: Path) -> None:
    """The order of blocks no longer matters."""
    log = VECTORS / "libreswan-5.2-gcm.log"
    kernel = detect.read(log.with_name(f"{log.name}.xfrm"))
    lines: list[str] = []
    for line in log.read_text().replace("Version 5.2", "Version 4.0").splitlines(keepends=True):
        lines.append(line)
        if "ESP integrity key" in line:
            key = re.sub(r"[^0-9a-f]", "", "".join(text.split("|   ")[1][:52] for text in lines[-4:-1]))
            (sa,) = (sa for sa in kernel.sas if sa.encryption_key.hex() == key)
            lines.append(f"| sendrecv_xfrm_msg() sending 26 Add SA esp.{sa.spi.hex()}@{sa.destination}\n")
    check_sas(read_text(tmp_path, "".join(lines)), kernel)


def test_logs_without_secrets_say_what_prints_them(tmp_path: Path) -> None:
    ring = read_text(tmp_path, "18:09:51.812 23[ENC] <1> parsed IKE_SA_INIT request 0 [ SA KE No ]\n")
    assert "ike = 4" in ring.notes[0]
    ring = read_text(tmp_path, 'Nov 28 18:08:31: Starting Pluto (Libreswan Version 5.2)\n"case-1": added\n')
    assert "plutodebug=private" in ring.notes[0]


def test_fortigate() -> None:
    ring = detect.read(VECTORS / "fortigate.txt")
    assert not ring.problems
    assert [(sa.spi.hex(), sa.source, sa.destination, sa.esn) for sa in ring.sas] == [
        ("00c2ab68", "192.0.2.2", "192.0.2.1", False),
        ("0dd3fc4c", "192.0.2.1", "192.0.2.2", False),
        ("200e9861", "198.51.100.7", "192.0.2.1", True),
        ("c16ed423", "192.0.2.1", "198.51.100.7", True),
    ]
    assert [format_suite([s for s in (sa.encryption, sa.integrity) if s]) for sa in ring.sas[::2]] == [
        "aes128-sha1",
        "aes256gcm16",
    ]
    assert ring.sas[1].encryption_key == bytes(range(16, 32))
    assert ring.sas[1].integrity_key == bytes(range(32, 52))
