"""Lines as the journal and syslog hand them on: what is taken off, and what hostile ones do."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import InputError
from ipsectest.cli.main import main
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.envelope import LONGEST, opened
from ipsectest.decrypt.keys.source import Source
from tests.growth import SQUARE, growth
from tests.unit.decrypt.keys.rings import VECTORS, read_text

JOURNAL = VECTORS / "journal.json"
AT = "1795942756891091"


def entry(message: object, **fields: object) -> str:
    return json.dumps(
        {"__REALTIME_TIMESTAMP": AT, "SYSLOG_IDENTIFIER": "pluto", "_PID": "7", "MESSAGE": message, **fields}
    )


@pytest.mark.parametrize(
    ("message", "lines"),
    [
        ('"site" #1: x', ['"site" #1: x']),
        ("one\n two", ["one", " two"]),
        (list(b"\xff\xc3\xa9"), ["\ufffd\u00e9"]),
        (["one", "two"], ["one", "two"]),
        ([[104, 105], "ho"], ["hi", "ho"]),
        (None, []),
        (7, []),
        ([], []),
        ({}, []),
        ([[]], []),
        ([[[]]], []),
        ([300, -1, "x", 65, 1.5, None], ["A"]),
        ("\ud800", ["?"]),
    ],
)  # fmt: skip
def test_what_a_message_may_be(message: object, lines: list[str]) -> None:
    assert opened(entry(message)) == [f"08:59:16.891091 pluto[7]: {line}" for line in lines]


def test_fields_of_charon_become_what_it_writes_into_files() -> None:
    fields = {"SYSLOG_IDENTIFIER": "charon-systemd", "THREAD": "9", "GROUP": "IKE", "IKE_SA_UNIQUE_ID": "3"}
    head = "08:59:16.891091 charon-systemd[7]: 09[IKE] "
    assert opened(entry("a\n  b", **fields, IKE_SA_NAME="si|te")) == [f"{head}<si_te|3> a", f"{head}<si_te|3>   b"]
    assert opened(entry("a", **fields)) == [f"{head}<3> a"]
    assert opened(entry("a", THREAD="9", GROUP="IKE", _PID=None)) == ["08:59:16.891091 pluto: 09[IKE] a"]
    assert opened(entry("a", THREAD="x", GROUP="IKE"))[0].endswith("pluto[7]: a")


@pytest.mark.parametrize("before", ["\x1e", "data: "])
def test_records_and_events(before: str) -> None:
    assert opened(before + entry("a")) == ["08:59:16.891091 pluto[7]: a"]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("<30>1 2026-11-29T08:59:16.891087Z gw pluto 7 - - a", "08:59:16.891087 pluto[7]: a"),
        ("<30>1 2026-11-29T08:59:16+01:00 gw pluto - - - \ufeffa", "08:59:16 pluto: a"),
        ('<30>1 - gw charon 7 ID1 [x@1 a="b\\]c"][y] 05[IKE] a', "charon[7]: 05[IKE] a"),
        ("71 <30>1 2026-11-29T08:59:16Z gw pluto 7 - - a", "08:59:16 pluto[7]: a"),
        ("<30>1 2026-11-29T08:59:16Z gw pluto 7 - -", "08:59:16 pluto[7]: "),
    ],
)
def test_lines_of_rfc_5424(line: str, told: str) -> None:
    assert opened(line) == [told]


@pytest.mark.parametrize(
    "line",
    ["", "{", "{}", '{"keys": 1}', "[{}]", '{"MESSAGE": "a"', "<30>Nov 29 08:59:16 gw pluto[7]: a", "<30>1 a b c", "a"],
)
def test_anything_else_stays(line: str) -> None:
    assert opened(line) == [line]


def test_hostile_objects() -> None:
    for line in ('{"MESSAGE":' + "[" * 100_000, '{"MESSAGE":' + "9" * 5000 + "}", '{"MESSAGE":' + '{"a":' * 100_000):
        assert opened(line) == [line]
    assert opened(entry("a", __REALTIME_TIMESTAMP="9" * 5000)) == ["pluto[7]: a"]
    assert opened(entry("a", __REALTIME_TIMESTAMP=-1, SYSLOG_IDENTIFIER=["x"], _PID={}, _COMM="x y")) == ["unknown: a"]
    assert len(opened(entry("\n" * 100_000))) <= 4097


FIELDS = ["MESSAGE", "__REALTIME_TIMESTAMP", "SYSLOG_IDENTIFIER", "_COMM", "_PID", "THREAD", "GROUP", "IKE_SA_NAME"]
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=4)
)


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_fields_of_any_kind(fields: dict[str, Any]) -> None:
    for line in opened(json.dumps(fields)):
        line.encode()  # can be printed


@given(st.text(alphabet=' <>1[]\\-:T"=charon.'))
def test_lines_of_any_kind(text: str) -> None:
    for line in (text, f"<30>1 {text}", f"<1>1 2026-11-29T08:59:16Z gw pluto 7 - [{text}"):
        assert opened(line)


@pytest.mark.parametrize("piece", ["\\", "[a]"])
def test_time_grows_with_length_only(piece: str) -> None:
    head = "<30>1 2026-11-29T08:59:16Z gw pluto 7 - ["
    assert growth(lambda size: opened(head + piece * size), 5_000) < SQUARE / 2


def test_lines_longer_than_any_are_told(tmp_path: Path) -> None:
    file = tmp_path / "journal"
    octets = entry(list(b"\xff" * 9000))  # 4 characters each
    file.write_text(f"{octets}\n{entry('x' * LONGEST)}\n{entry('last')}\n")
    source = Source(file)
    lines = list(source.lines())
    assert lines[0] == (1, "08:59:16.891091 pluto[7]: " + "\ufffd" * 9000)
    assert lines[-1] == (3, "08:59:16.891091 pluto[7]: last")
    assert [problem.place.line for problem in source.done().problems if problem.place] == [2]


def test_keys_of_the_journal_open_what_was_captured(capsys: pytest.CaptureFixture, tmp_path: Path) -> None:
    """charon-systemd's own fields, and pluto's lines among them (``tests/vectors/keys/README.md``)."""
    out = tmp_path / "out.pcapng"
    capture = VECTORS.parent / "explain" / "journal.pcap"
    assert main(["decrypt", str(capture), "-k", str(JOURNAL), "-o", str(out)]) == 0
    assert "22 frames: 10 packets of ESP or AH opened, 12 IKE messages, 8 of them decrypted" in capsys.readouterr().out


@pytest.mark.parametrize(
    "head",
    [
        "<30>Nov 29 08:59:16 gw charon[7]: ",
        "<30>1 2026-11-29T08:59:16.891087Z gw charon 7 - - ",
        "2026-11-29T08:59:16+0000 gw charon[7]: ",
        "Nov 29 08:59:16.891087 gw charon[7]: ",
    ],
)
def test_keys_behind_any_head(head: str, tmp_path: Path) -> None:
    for name in ("strongswan-6.0.1.log", "libreswan-5.2.log"):
        log = VECTORS / name
        before = head if name.startswith("strong") else head.replace("charon", "pluto")
        ring = read_text(tmp_path, "".join(f"{before}{line}\n" for line in log.read_text().splitlines()))
        plain = detect.read(log)
        assert [(sa.spi, sa.encryption_key, sa.integrity_key) for sa in ring.sas] == [
            (sa.spi, sa.encryption_key, sa.integrity_key) for sa in plain.sas
        ]
        assert [one.sk_ei for one in ring.ike] == [one.sk_ei for one in plain.ike]


def test_the_text_of_the_journal_has_no_keys_of_charon(tmp_path: Path) -> None:
    text = "Nov 29 08:59:16 gw charon-systemd[7]: Sk_d secret => 32 bytes @ 0x7f00\n" + " " * 40 + "   0: AA BB \n"
    with pytest.raises(InputError, match="journalctl -o json"):
        read_text(tmp_path, text)
