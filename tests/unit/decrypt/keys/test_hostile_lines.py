"""Lines that a hostile log or key file may hold: a message each, and never a word of them in a command."""

import time
from pathlib import Path

import pytest

from ipsectest.decrypt.keys import convert
from tests.unit.decrypt.keys.rings import VECTORS, read_text

_STATE = "src {src} dst {dst}\n\tproto {proto} spi {spi} reqid 1 mode tunnel\n\t{rest}\n"
_AES = "enc cbc(aes) 0x" + "01" * 16 + " auth-trunc hmac(sha256) 0x" + "02" * 32 + " 128"
_MAC = "auth-trunc hmac(sha256) 0x" + "02" * 32 + " 128"


def state(
    src: str = "192.0.2.1", dst: str = "192.0.2.2", proto: str = "esp", spi: str = "0x1", rest: str = _AES
) -> str:
    return _STATE.format(src=src, dst=dst, proto=proto, spi=spi, rest=rest)


@pytest.mark.parametrize("spi", ["9" * 5000, "9" * 11, "\u0661" * 5000])
def test_an_endless_decimal_spi_is_a_problem(spi: str, tmp_path: Path) -> None:
    ring = read_text(tmp_path, state(spi=spi) + state())
    assert [sa.spi.hex() for sa in ring.sas] == ["00000001"]
    assert "is no SPI" in ring.problems[0].message


def test_an_endless_offset_in_a_dump_ends_it(tmp_path: Path) -> None:
    log = "00[IKE] <1> Sk_d secret => 32 bytes @ 0x7f00\n00[IKE] <1> " + "9" * 5000 + ": AA BB \n"
    assert not read_text(tmp_path, log).count


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (state(rest=_MAC), "cipher is missing"),
        (state(proto="ah", rest=_AES), "AH has an integrity algorithm and nothing else"),
        (state(dst="2001:db8::2"), "different IP versions"),
    ],
    ids=["esp-without-cipher", "ah-with-cipher", "mixed"],
)
def test_an_sa_that_cannot_be_is_a_problem(text: str, why: str, tmp_path: Path) -> None:
    ring = read_text(tmp_path, text)
    assert not ring.sas
    (problem,) = ring.problems
    assert why in problem.message
    assert str(problem).startswith(f"{tmp_path / 'keys'}:1: ")


def test_words_of_a_log_do_not_get_into_commands(tmp_path: Path) -> None:
    """charon's and pluto's logs have addresses as free text; a zone is free text too."""
    log = (VECTORS / "strongswan-5.9.8.log").read_text()
    assert read_text(tmp_path, log).sas
    ring = read_text(tmp_path, log.replace("src 192.0.2.", "src $(id)192.0.2."))
    assert not ring.sas or all("$" not in sa.source for sa in ring.sas)
    assert any("is no address" in problem.message for problem in ring.problems)
    zoned = read_text(tmp_path, state(src="fe80::1%$(id)", dst="fe80::2"))
    assert [sa.source for sa in zoned.sas] == ["fe80::1"]
    assert not zoned.problems
    for made in (ring, zoned):
        for write in convert.TARGETS.values():
            assert "$(id)" not in "".join(write(made).files.values())


def test_one_spi_of_two_is_a_problem(tmp_path: Path) -> None:
    ring = read_text(tmp_path, '[[ike]]\nspi_i = "0102030405060708"\nsuite = "null"\n')
    assert not ring.ike
    assert "one is missing" in ring.problems[0].message


def test_lines_that_two_ike_sas_share_are_written_for_both(tmp_path: Path) -> None:
    row = "0102030405060708,1112131415161718,{i},{r},{cipher},{a},{a},{mac}\n"
    given = {"cipher": '"AES-CBC-128 [RFC3602]"', "mac": '"HMAC_SHA1_96 [RFC2404]"', "a": "ab" * 20, "r": "02" * 16}
    ring = read_text(tmp_path, row.format(i="01" * 16, **given) + row.format(i="03" * 16, **given))
    again = read_text(tmp_path, convert.to_tcpdump(ring).files[""], "again")
    assert not again.problems
    assert [keys.sk_ei[0] for keys in again.ike] == [1, 3]


def test_many_flags_cost_no_square_of_their_number(tmp_path: Path) -> None:
    """Twice the words take about twice the time, not four times."""

    def seconds(words: int) -> float:
        line = "\t" + _AES + " flag" * words + "\n"
        text = (state() + line).replace("0x1 ", "0x2 ") * 5
        best = []
        for _ in range(3):
            started = time.process_time()
            read_text(tmp_path, text)
            best.append(time.process_time() - started)
        return min(best)

    assert seconds(3000) < 3 * seconds(1500)
