"""Lines that a hostile log or key file may hold: a message each, and never a word of them in a command."""

import time
from contextlib import suppress
from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.decrypt.keys import convert
from ipsectest.decrypt.keys.charon_children import Children
from ipsectest.decrypt.keys.ikev2_lines import Ikev2Lines
from ipsectest.decrypt.keys.source import Source
from tests.growth import SQUARE, growth
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


def seconds_for(folder: Path, text: str) -> float:
    best = []
    for _ in range(3):
        started = time.process_time()
        with suppress(InputError):
            read_text(folder, text)
        best.append(time.process_time() - started)
    return min(best)


@pytest.mark.parametrize(
    "form",
    [
        "0x1@192.0.2.1 aes:0x\ntcpdump -E x{spaces}y\n",
        "[[esp]]\n{dotted} = 1\n",
        "[[esp]]\n[{dotted}]\n",
        "0x1@192.0.2.1 aes:0x\ntcpdump{options} x\n",
    ],
    ids=["spaces", "dotted", "dotted-table", "options"],
)
def test_long_lines_cost_no_square_of_their_length(form: str, tmp_path: Path) -> None:
    def seconds(length: int) -> float:
        given = {"spaces": " " * length, "dotted": "a." * (length // 2) + "a", "options": " -E" * (length // 3)}
        return seconds_for(tmp_path, form.format(**given))

    assert seconds(16_000) < max(3 * seconds(8000), 0.05)


def test_what_stands_in_quotation_marks_is_the_value_of_the_option(tmp_path: Path) -> None:
    entry = f"0x00000001@192.0.2.1 aes128-cbc:0x{'01' * 16}"
    for line in (f"tcpdump -E '{entry}' -ni eth0 esp", f'tcpdump -E "{entry}" esp', f"tcpdump -E {entry}"):
        ring = read_text(tmp_path, f"{line}\n")
        assert [sa.spi[3] for sa in ring.sas] == [1]
        assert not ring.problems


def test_what_logs_leave_open_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("")
    children = Children(Source(tmp_path / "log"))
    for number in range(3000):
        children.take("00", str(number), 1, "  using AES_CBC for encryption")
    assert len(children._threads) <= 1000
    spis = "ikev2 I {n:016x} 0000000000000001 sha1:0x{a} aes128:0x{e}\n"
    lines = Ikev2Lines(Source(tmp_path / "log"))
    for number in range(11_000):
        assert lines.take(1, spis.format(n=number, a="01" * 20, e="02" * 16))
    assert len(lines._halves) == 10_000


def test_many_flags_cost_no_square_of_their_number(tmp_path: Path) -> None:
    def task(words: int) -> None:
        line = "\t" + _AES + " flag" * words + "\n"
        read_text(tmp_path, (state() + line).replace("0x1 ", "0x2 ") * 5)

    assert growth(task, 1500) < SQUARE / 2
