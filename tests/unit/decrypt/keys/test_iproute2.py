"""What ip(8) 6.1 printed in the lab VM (``tests/vectors/keys``); the states were made by hand, with keys of no use."""

from pathlib import Path

from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import format_suite
from ipsectest.decrypt.keys import detect, kernel_names
from ipsectest.decrypt.keys.convert import to_iproute2
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.net.xfrm import algorithms
from ipsectest.net.xfrm.records import Aead
from tests.unit.decrypt.keys.rings import VECTORS, bare, read_text

KEY = bytes.fromhex("0123456789abcdef" * 2)
LONG = KEY * 2
SALTED = KEY + bytes.fromhex("01020304")
OTHER = bytes.fromhex("00112233445566778899aabbccddeeff")
STATES = {
    "00000001": ("aes128gcm16", SALTED, b""),
    "00000002": ("aes128gcm8", SALTED, b""),
    "00000003": ("aes128ccm16", SALTED[:19], b""),
    "00000004": ("chacha20poly1305", LONG + SALTED[16:], b""),
    "00000005": ("aes128-sha256", KEY, LONG),
    "00000006": ("aes128ctr-sha512", SALTED, LONG * 2),
    "00000007": ("camellia128-aesxcbc", KEY, KEY),
    "00000008": ("3des-aescmac", KEY + bytes.fromhex("0011223344556677"), KEY),
    "00000009": ("null-sha1", b"", KEY + bytes.fromhex("01234567")),
    "0000000a": ("aes128gmac", SALTED, b""),
    "0000000b": ("sha256", b"", LONG),
    "00002001": ("aes128gcm16", OTHER + bytes.fromhex("01020304"), b""),
    "00002002": ("aes128-sha1", OTHER, bytes.fromhex("0123456789" * 4)),
    "00002003": ("aes256-sha384", b"\xcd" * 32, b"\xab" * 48),
    "00002005": ("des-md5", bytes.fromhex("0123456789abcdef"), b"\x0f" * 16),
    "00002006": ("1/7/128", b"\x0f" * 16, b""),
    "00002007": ("aes128ctr-sha512", b"\x0f" * 20, b"\x0e" * 64),
    "00002008": ("null-sha256", b"", b"\x0e" * 32),
    "00002009": ("aes128", OTHER, b""),
}
"""SPI -> suite and keys that ``ip xfrm state add`` was given."""


def told(sa: SaKeys) -> tuple[str, bytes, bytes]:
    suite = format_suite([spec for spec in (sa.encryption, sa.integrity) if spec])
    return suite, sa.encryption_key, sa.integrity_key


def test_a_dump_of_states() -> None:
    ring = detect.read(VECTORS / "iproute2-6.1.xfrm")
    assert not ring.problems
    by_spi = {sa.spi.hex(): sa for sa in ring.sas}
    assert {spi: told(sa) for spi, sa in by_spi.items()} == {k: v for k, v in STATES.items() if k != "00002008"}
    assert by_spi["0000000b"].protocol == ProtocolId.AH
    assert (by_spi["00002001"].esn, by_spi["00002001"].esn_high) == (True, 3)
    assert not by_spi["00002002"].esn
    assert (by_spi["00002002"].source, by_spi["00002002"].destination) == ("2001:db8::1", "2001:db8::2")
    assert by_spi["00002006"].unchecked_icv == 12
    # Neither silently dropped nor an error: no keys yet, IPComp, its tunnel, and AH whose ICV IKEv2 has no number for.
    assert [note.rsplit(": ", 1)[1] for note in ring.notes if "unchecked" not in note] == [
        "a larval state, without keys yet",
        "its ICV of 12 octets cannot be checked",
        "an ICV of 12 octets cannot be checked",
        "proto comp has no keys",
        "proto 4 has no keys",
    ]


def test_a_monitor_shows_states_that_are_gone_since() -> None:
    ring = detect.read(VECTORS / "iproute2-6.1.monitor")
    assert {sa.spi.hex(): told(sa) for sa in ring.sas} == STATES
    assert len(ring.sas) == len(STATES)
    assert not ring.problems


def test_one_line_for_a_state(tmp_path: Path) -> None:
    """ip -o."""
    text = (VECTORS / "iproute2-6.1.xfrm").read_text()
    one_line = text.replace("\nsrc", "\0src").replace("\n", "\\").replace("\0", "\n") + "\n"
    assert bare(read_text(tmp_path, one_line)) == bare(detect.read(VECTORS / "iproute2-6.1.xfrm"))


def test_statistics_add_sizes_and_decimal_spis(tmp_path: Path) -> None:
    """ip -s."""
    text = (
        "src 192.0.2.1 dst 192.0.2.7\n\tproto esp spi 0x00002009(8201) reqid 0(0x00000000) mode beet\n"
        "\treplay-window 0 seq 0x00000000 flag  (0x00000000)\n\tauth-trunc hmac(sha512) 0x"
        + "0e"
        * 64
        + " (512 bits) 256\n"
        "\tenc rfc3686(ctr(aes)) 0x" + "0f" * 20 + " (160 bits)\n\tsel src 0.0.0.0/0 dst 0.0.0.0/0 uid 0\n"
    )
    (sa,) = read_text(tmp_path, text).sas
    assert told(sa) == STATES["00002007"]
    assert sa.spi.hex() == "00002009"


def test_hidden_keys_are_a_problem_of_each_state(tmp_path: Path) -> None:
    text = (VECTORS / "iproute2-6.1.xfrm").read_text().replace(OTHER.hex(), "").replace("0x ", "<<Keys hidden>> ")
    text = text.replace(f"enc cbc(aes) 0x{''}\n", "enc cbc(aes) <<Keys hidden>>\n")
    ring = read_text(tmp_path, text)
    assert any("keys are hidden" in str(problem) for problem in ring.problems)
    assert "00000005" in {sa.spi.hex() for sa in ring.sas}


def test_commands_are_read_as_they_are_written(tmp_path: Path) -> None:
    ring = detect.read(VECTORS / "iproute2-6.1.xfrm")
    made = to_iproute2(ring)
    again = read_text(tmp_path, made.files[""])
    assert not again.problems
    assert [told(sa) for sa in again.sas] == [told(sa) for sa in ring.sas if told(sa)[0] != "1/7/128"]
    assert [(sa.esn, sa.esn_high) for sa in again.sas if sa.esn] == [(True, 3)]
    assert "ESP SA 00002006 is left out: the algorithm of its ICV of 12 octets is not known" in made.left_out[0]


def test_names_are_those_of_the_kernel_interface() -> None:
    for (name, bits), number in kernel_names.AEADS.items():
        assert algorithms.encryption(number, b"") == Aead(name, b"", bits)
    for name, number in kernel_names.CIPHERS.items():
        assert algorithms.encryption(number, b"").name == name
    for (name, bits), number in kernel_names.INTEGRITIES.items():
        assert (algorithms.integrity(number, b"").name, algorithms.integrity(number, b"").icv_bits) == (name, bits)
