"""The page of SAs: complete, in proportion, and safe with hostile names."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from ipsectest.report.timeline import MOST_BARS, page
from ipsectest.report.timeline_axis import Axis
from ipsectest.report.timeline_drawing import MOST_TICKS

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
LEFT, RIGHT = "192.0.2.1", "192.0.2.2"
IKE = f"{1:016x}:{2:016x}"
SVG = "{http://www.w3.org/2000/svg}"


def sa(spi: str, first: int | None, last: int | None, **changes: Any) -> dict[str, Any]:
    counts = {"packets": 10, "octets": 640, "lost": 0, "late": 0, "replayed": 0, "failures": {}}
    counts |= {"marks": {"lost": [], "replayed": [], "failed": []}, "ike": None, "made": None, "deleted": None}
    counts |= {"replaces": None, "guess": False}
    ends = {"protocol": "ESP", "source": "192.0.2.1", "destination": "192.0.2.2", "suite": "aes256gcm16"}
    return {"spi": spi, "first": first, "last": last, "esn": False, "verified": True, **ends, **counts, **changes}


def ike(number: int, first: int, last: int, **changes: Any) -> dict[str, Any]:
    ends = {"version": 2, "spi_i": f"{number:016x}", "spi_r": f"{number + 1:016x}", "suite": "aes128gcm16"}
    counts = {"messages": 4, "closed": 0, "retransmitted": 0, "replaces": None, "replaced": None, "deleted": None}
    marks = {"marks": {"retransmitted": [], "closed": []}}
    return {**ends, "initiator": LEFT, "responder": RIGHT, "first": first, "last": last, **counts, **marks, **changes}


def child(spi_i: str, spi_r: str, made: int, **changes: Any) -> dict[str, Any]:
    ends = {"initiator": LEFT, "responder": RIGHT, "suite": "aes256gcm16-noesn", "ike": IKE}
    return {
        "protocol": "ESP", "spi_i": spi_i, "spi_r": spi_r, **ends, "made": made, "replaces": None, "deleted": None,
        **changes,
    }  # fmt: skip


def found(*sas: dict[str, Any], notes: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    return {
        "captures": ["captures/vpn.pcap"], "ike_sas": [], "child_sas": [], "rekeys": [], **more,
        "frames": 1, "opened": 1, "truncated": 0, "closed": {}, "unknown": [], "unusable": [], "without_ip": {},
        "ike": {"messages": 0, "opened": 0, "closed": 0}, "sas": list(sas), "notes": list(notes),
    }  # fmt: skip


def drawing(text: str) -> ET.Element:
    """The wide one."""
    start = text.index('<svg class="time beside"')
    return ET.fromstring(text[start : text.index("</svg>", start) + 6].replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1))


def bars(text: str) -> list[ET.Element]:
    return [one for one in drawing(text).iter(f"{SVG}rect") if "carried" in one.attrib["class"]]


def labels(text: str) -> list[str]:
    """Of the rows, from top to bottom."""
    texts = (
        "".join(group.find(f"{SVG}text").itertext()) for group in drawing(text) if group.find(f"{SVG}text") is not None
    )
    return [" ".join(one.split()) for one in texts]


def classes(text: str, kind: str) -> list[ET.Element]:
    return [one for one in drawing(text).iter(f"{SVG}path") if kind in one.attrib["class"].split()]


def test_bars_are_in_proportion_to_time() -> None:
    whole, half = bars(page(found(sa("00000001", 0, 2_000), sa("00000002", 1_000, 2_000))))
    assert float(half.attrib["width"]) * 2 == float(whole.attrib["width"])
    assert float(half.attrib["x"]) == float(whole.attrib["x"]) + float(half.attrib["width"])


def test_loss_replays_and_failures_are_told_apart() -> None:
    text = page(found(sa("01", 0, 9), sa("02", 1, 9, lost=3), sa("03", 2, 9, failures={"wrong ICV": 2})))
    assert [bar.attrib["class"].split()[-1] for bar in bars(text)] == ["good", "lossy", "failed"]
    assert [label.split()[0] for label in labels(text)] == ["✔", "!", "✘"]


def test_each_has_its_place_in_time() -> None:
    marks = {"lost": [[500, 600, 3]], "replayed": [[250, 250, 1]], "failed": [[750, 750, 2]]}
    text = page(found(sa("01", 0, 1000, lost=3, replayed=1, failures={"wrong ICV": 2}, marks=marks)))
    (bar,) = bars(text)
    left, width = float(bar.attrib["x"]), float(bar.attrib["width"])
    for kind, share in (("lost", 0.5), ("replayed", 0.25), ("failed", 0.75)):
        (tick,) = classes(text, kind)
        assert float(re.match(r"M([0-9.]+) ", tick.attrib["d"])[1]) == pytest.approx(left + share * width, abs=0.2)  # type: ignore[index]


def test_child_sas_stand_below_the_ike_sa_that_made_them() -> None:
    name = f"{3:016x}:{4:016x}"
    pair = {"made": 1, "ike": IKE}
    text = page(
        found(
            sa("0a", 2, 8, destination=RIGHT, **pair), sa("0b", 2, 8, source=RIGHT, destination=LEFT, **pair),
            sa("0c", 9, 12, destination=RIGHT, made=9, ike=name, replaces="0a"),
            ike_sas=[ike(1, 0, 7, replaced=7), ike(3, 7, 12, replaces=IKE)],
            child_sas=[child("0b", "0a", 1), child("0d", "0c", 9, ike=name, replaces=["0b", "0a"])],
        )
    )  # fmt: skip
    assert [" ".join(label.split()[1:4]) for label in labels(text)] == [
        f"IKE {1:016x}{LEFT} >", "→ ESP 0a", "← ESP 0b", f"IKE {3:016x}{LEFT} >", "→ ESP 0c", "← ESP 0d",
    ]  # fmt: skip
    assert len(classes(text, "rekey")) == 3
    assert not classes(text, "guess")
    assert "no packets" in text


def test_a_guess_is_dashed_and_called_one() -> None:
    rekey = {"protocol": "ESP", "at": 9, "by": "", "old": ["01"], "new": ["02"], "guess": True}
    text = page(found(sa("01", 0, 9), sa("02", 9, 20, replaces="01", guess=True), rekeys=[rekey]))
    assert len(classes(text, "guess")) == 1
    assert "01 perhaps rekeyed to ESP 02" in text
    assert "a guess by the times" in text


def test_the_page_is_named_after_its_capture() -> None:
    text = page(found(sa("01", 0, 1)))
    assert "<title>vpn.pcap: SAs in time</title>" in text
    assert "<h1>vpn.pcap</h1>" in text
    assert "<h1>a.pcap and 2 more</h1>" in page({**found(), "captures": ["x/a.pcap", "b.pcap", "c.pcap"]})
    assert "<h1>&lt;" in page({**found(), "captures": ["<b>"]})


def test_marks_are_bounded_in_all() -> None:
    marks = {"lost": [[at, at, 1] for at in range(128)], "replayed": [], "failed": []}
    text = page(found(*(sa(f"{number:08x}", 0, 200, lost=128, marks=marks) for number in range(MOST_BARS))))
    assert sum(tick.attrib["d"].count("M") for tick in classes(text, "lost")) <= MOST_TICKS
    assert len(bars(text)) == MOST_BARS


def test_hostile_texts_stay_texts() -> None:
    text = page(found(sa(HOSTILE, 0, 1, suite=HOSTILE, source=HOSTILE), notes=(HOSTILE,)))
    assert "<script" not in text
    assert "{{ 7*7 }}" in text
    assert len(bars(text)) == 1


def test_nothing_outside_of_the_page_is_referred_to() -> None:
    text = page(found(sa("01", 0, 1)))
    assert "http://" not in text
    assert "https://" not in text
    assert 'src="' not in text


def test_a_clock_set_back_and_sas_that_opened_nothing_are_survived() -> None:
    text = page(found(sa("01", 5, 1), sa("02", None, None, packets=0, failures={"wrong ICV": 4})))
    assert all(float(bar.attrib["width"]) > 0 for bar in bars(text))
    assert "ESP 02: no packet opened; wrong ICV: 4" in text


def test_the_number_of_bars_is_bounded() -> None:
    text = page(found(*(sa(f"{number:08x}", number, number + 5) for number in range(MOST_BARS + 7))))
    assert len(bars(text)) == MOST_BARS
    assert "7 later SAs are not drawn" in text


@pytest.mark.parametrize(
    ("seconds", "texts"),
    [
        (4, ["0 s", "1 s", "2 s", "3 s", "4 s"]),
        (0.055, ["0 ms", "10 ms", "20 ms", "30 ms", "40 ms", "50 ms"]),
        (3000, ["0 min", "10 min", "20 min", "30 min", "40 min", "50 min"]),
        (864_000, ["0 d", "2 d", "4 d", "6 d", "8 d", "10 d"]),
        (0, ["0 µs"]),
    ],
)
def test_the_axis_has_round_times_in_their_unit(seconds: float, texts: list[str]) -> None:
    assert [text for _, text in Axis(5, 5 + round(seconds * 10**9), 0, 100).ticks()] == texts


def test_rows_without_number_are_survived() -> None:
    text = page(found())
    assert "<svg class" not in text
    assert "<h1>vpn.pcap</h1>" in text


def test_a_loop_of_hostile_rekeys_ends() -> None:
    other = f"{3:016x}:{4:016x}"
    text = page(found(ike_sas=[ike(1, 0, 7, replaces=other), ike(3, 7, 12, replaces=IKE)]))
    assert "<h1>" in text
