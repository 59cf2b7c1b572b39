"""Notations without files of their own: Wireshark's old rows, tcpdump, Cilium, what is refused and why."""

import base64
from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.base.suites import format_suite
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from tests.unit.decrypt.keys.rings import read_text

KEY = "000102030405060708090a0b0c0d0e0f"


def suite(sa: SaKeys) -> str:
    return format_suite([spec for spec in (sa.encryption, sa.integrity) if spec])


def rows(folder: Path, *lines: str) -> KeyRing:
    return read_text(folder, "# made by somebody\n" + "\n".join(lines) + "\n")


def test_rows_of_eight_nine_and_ten_columns(tmp_path: Path) -> None:
    common = f'"IPv4","192.0.2.1","192.0.2.2","0x1","AES-CBC [RFC3602]","0x{KEY}",'
    common += f'"HMAC-SHA-1-96 [RFC2404]","0x{KEY}00010203"'
    ring = rows(tmp_path, common, f'{common},"64-bit"', f'{common},"64-bit","ff"', "", "  # end")
    assert [(sa.esn, sa.esn_high) for sa in ring.sas] == [(None, 0), (True, 0), (True, 255)]
    assert {suite(sa) for sa in ring.sas} == {"aes128-sha1"}
    assert [sa.origin[-2:] for sa in ring.sas] == [":2", ":3", ":4"]


@pytest.mark.parametrize(
    ("authentication", "word"),
    [("ANY 128 bit", "aes128gcm16"), ("ANY 96 bit", "aes128gcm12"), ("ANY 64 bit", "aes128gcm8")],
)
def test_rows_of_save_keys(authentication: str, word: str, tmp_path: Path) -> None:
    row = f'"IPv4","192.0.2.1","192.0.2.2","0xc0000001","AES-GCM [RFC4106]","0x{KEY}01020304",'
    (sa,) = rows(tmp_path, row + f'"{authentication} authentication [no checking]","0x"').sas
    assert (suite(sa), sa.integrity, sa.unchecked_icv) == (word, None, 0)


def test_wildcards_ascii_keys_and_lower_case(tmp_path: Path) -> None:
    ring = rows(
        tmp_path,
        '"IPv4","*","*","*","null","","any 96 bit authentication [no checking]",""',
        '"IPv6","2001:db8::1","2001:db8::*","0x12*","AES-CBC [RFC3602]","a key of 16 byte","NULL",""',
        '"IPv4","*","*","4096","TWOFISH-CBC","0x00","NULL",""',
        '"IPv4","*","*","4096","NULL","","MAC-RIPEMD-160-96 [RFC2857]","0x00"',
    )
    first, second, third = ring.sas
    assert (first.spi, first.source, first.unchecked_icv) == (b"", "", 12)
    assert (second.spi, second.encryption_key, second.source) == (b"", b"a key of 16 byte", "2001:db8::1")
    assert (third.spi.hex(), third.unchecked_icv) == ("00001000", 12)
    assert [note.rsplit(":", 1)[0][-2:] for note in ring.notes if "TWOFISH" in note]
    assert len(ring.notes) == 4


@pytest.mark.parametrize(
    ("row", "place", "message"),
    [
        ('"IPv4","192.0.2.1"', ":2:8", "8 to 10 columns"),
        ('"IPv4","192.0.2.x","*","*","NULL","","NULL",""', ":2:8", "no address"),
        ('"IPv4","*","*","0x123456789","NULL","","NULL",""', ":2:16", "no SPI"),
        ('"IPv4","*","*","*","AES-CBC [RFC3602]","0x0","NULL",""', ":2:40", "even number"),
        ('"IPv4","*","*","*","AES-CBC [RFC3602]","0x00","NULL",""', ":2:20", "16, 24 or 32 octets"),
        ('"IPv4","*","*","*","NULL","","HMAC-SHA-1-96 [RFC2404]","0x00"', ":2:30", "20 octets"),
        ('"IPv4","*","*","*","NULL","","NULL',  ":2:30", "not closed"),
        ('"IPv4" "*","*","*","NULL","","NULL",""', ":2:8", "comma"),
        ('"IPv4","*","*","*","NULL","","NULL","","31-bit"', ":2:40", "neither"),
    ],
)  # fmt: skip
def test_a_wrong_row_has_its_place(row: str, place: str, message: str, tmp_path: Path) -> None:
    ring = rows(tmp_path, row, '"IPv4","*","*","*","NULL","","NULL",""')
    assert len(ring.sas) == 1
    (problem,) = ring.problems
    assert message in str(problem)
    assert str(problem).startswith(f"{tmp_path / 'keys'}{place}")


def test_ike_tables(tmp_path: Path) -> None:
    spis = "0001020304050607,08090a0b0c0d0e0f"
    ring = rows(
        tmp_path,
        f'{spis},{KEY},{KEY},"AES-CBC-128 [RFC3602]",{KEY * 2},{KEY * 2},"HMAC_SHA2_256_128 [RFC4868]"',
        f'{spis},{KEY}01020304,{KEY}01020304,"AES-GCM-128 with 16 octet ICV [RFC5282]",,,"NONE [RFC4306]"',
        f'{spis},{KEY},{KEY},"AES-CBC-128 [RFC3602]",,,"ANY 96-bits of Authentication [No Checking]"',
        f'{spis},{KEY},{KEY},"AES-CBC-256 [RFC3602]",,,"NONE [RFC4306]"',
        f'{spis},{KEY},{KEY},"AES-CBC-128 [RFC3602]",{KEY},{KEY},"HMAC_SHA2_256_128 [RFC4868]"',
        f'{spis[2:]},{KEY},{KEY},"AES-CBC-128 [RFC3602]",,,"NONE [RFC4306]"',
    )
    assert [str(ike.encryption) for ike in ring.ike] == ["aes128", "aes128gcm16", "aes128"]
    assert [ike.unchecked_icv for ike in ring.ike] == [0, 0, 12]
    places = [(problem.place.line, problem.place.column) for problem in ring.problems if problem.place]
    assert places == [(5, 101), (6, 191), (7, 1)]
    ring = rows(tmp_path, f"0001020304050607,{KEY}", "0001020304050607,", f"00,{KEY}")
    assert [phase1.cookie_i.hex() for phase1 in ring.ikev1] == ["0001020304050607"]
    assert [problem.message for problem in ring.problems] == ["the key is empty", "8 octets are wanted, not 1"]


def test_tcpdump_option_and_file(tmp_path: Path) -> None:
    entry = f"0x12345678@192.0.2.2 aes128-cbc-hmac96:0x{KEY}"
    for text in (
        f"{entry}\n",
        f"tcpdump -r x.pcap -E '{entry},305419897@2001:db8::1 3des-cbc:0x{KEY}0001020304050607'\n",
    ):
        ring = read_text(tmp_path, text)
        assert not ring.problems
        first = ring.sas[0]
        assert (first.spi.hex(), first.destination, suite(first), first.unchecked_icv) == (
            "12345678",
            "192.0.2.2",
            "aes128",
            12,
        )
    assert (ring.sas[1].spi.hex(), suite(ring.sas[1]), ring.sas[1].destination) == ("12345679", "3des", "2001:db8::1")
    (everything,) = read_text(tmp_path, f"3des-cbc-hmac96:0x{KEY}0001020304050607\n").sas
    assert (everything.spi, everything.destination, suite(everything)) == (b"", "", "3des")
    ring = read_text(tmp_path, f"{entry}\n0x1@192.0.2.2 rc3-cbc:0x00\n0x1@192.0.2.2 aes256-cbc:0x{KEY}\n0x1@x y\n")
    assert [problem.place.line for problem in ring.problems if problem.place] == [2, 3, 4]


def test_cilium(tmp_path: Path) -> None:
    line = f"3 rfc4106(gcm(aes)) {KEY}01020304 128"
    for text in (line, f"keys: {base64.b64encode(line.encode()).decode()}\n", f'apiVersion: v1\n  keys: "{line}"\n'):
        (sa,) = read_text(tmp_path, text).sas
        assert (sa.spi.hex(), suite(sa), sa.source, sa.destination) == ("00000003", "aes128gcm16", "", "")
    (sa,) = read_text(tmp_path, f"1 hmac(sha256) 0x{KEY * 2} cbc(aes) 0x{KEY}\n").sas
    assert (suite(sa), sa.unchecked_icv) == ("aes128", 12)
    ring = read_text(tmp_path, f"4+ rfc4106(gcm(aes)) {KEY}01020304 128\n5 rfc4106(gcm(aes)) 00 128\n")
    assert not ring.sas
    assert "ip xfrm state" in ring.notes[0]
    assert "20, 28 or 36 octets" in str(ring.problems[0])


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("interface: outside\n    inbound esp sas:\n      spi: 0x1 (1)\n", "Cisco"),
        ('[{\n "src": "192.0.2.1"\n}]\n', "JSON"),
        ("hello\n", "known: "),
        (" \n\n", "there is nothing in it"),
    ],
)
def test_what_has_no_keys_is_refused_with_a_reason(text: str, answer: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=answer):
        read_text(tmp_path, text)


@pytest.mark.parametrize(
    "text",
    [
        '# ipsec.secrets\n192.0.2.1 192.0.2.2 : PSK "correct horse battery"\n',
        'secrets {\n  ike-1 {\n    id = 192.0.2.1\n    secret = "correct horse battery"\n  }\n}\n',
    ],
)
def test_a_pre_shared_key_is_told_to_open_nothing(text: str, tmp_path: Path) -> None:
    ring = read_text(tmp_path, text)
    assert ring.count == 0
    assert not ring.problems
    (note,) = ring.notes
    assert all(word in note for word in ("2.15", "2.14", "ip xfrm state", "[[dh]]"))
    assert "horse" not in note
