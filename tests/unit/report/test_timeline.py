"""The page of SAs: complete, in proportion, and safe with hostile names."""

import re
import xml.etree.ElementTree as ET
from typing import Any

from ipsectest.report.timeline import MOST_BARS, page

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}"
SVG = "{http://www.w3.org/2000/svg}"


def sa(spi: str, first: int | None, last: int | None, **changes: Any) -> dict[str, Any]:
    counts = {"packets": 10, "octets": 640, "lost": 0, "late": 0, "replayed": 0, "failures": {}}
    ends = {"protocol": "ESP", "source": "192.0.2.1", "destination": "192.0.2.2", "suite": "aes256gcm16"}
    return {"spi": spi, "first": first, "last": last, "esn": False, "verified": True, **ends, **counts, **changes}


def found(*sas: dict[str, Any], notes: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "frames": 1, "opened": 1, "truncated": 0, "closed": {}, "unknown": [], "unusable": [], "without_ip": {},
        "ike": {"messages": 0, "opened": 0, "closed": 0}, "sas": list(sas), "notes": list(notes),
    }  # fmt: skip


def bars(text: str) -> list[ET.Element]:
    drawing = text[text.index("<svg") : text.index("</svg>") + 6].replace("<svg", f'<svg xmlns="{SVG[1:-1]}"', 1)
    return list(ET.fromstring(drawing).iter(f"{SVG}rect"))


def test_bars_are_in_proportion_to_time() -> None:
    whole, half = bars(page(found(sa("00000001", 0, 2_000), sa("00000002", 1_000, 2_000))))
    assert float(half.attrib["width"]) * 2 == float(whole.attrib["width"])
    assert float(half.attrib["x"]) == float(whole.attrib["x"]) + float(half.attrib["width"])


def test_loss_replays_and_failures_are_told_apart() -> None:
    text = page(found(sa("01", 0, 9), sa("02", 1, 9, lost=3), sa("03", 2, 9, failures={"wrong ICV": 2})))
    assert [bar.attrib["class"] for bar in bars(text)] == ["good", "lossy", "failed"]
    assert "✔ ESP 01" in text
    assert "! ESP 02" in text
    assert "✘ ESP 03" in text


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


def test_a_long_picture_tells_the_time_above_and_below() -> None:
    short, long = (page(found(*(sa(f"{n:08x}", n, n + 4_000_000_000) for n in range(count)))) for count in (1, 100))
    assert short.count(">4.000 s</text>") == 1
    assert long.count(">4.000 s</text>") == 2
    heights = [float(bar.attrib["y"]) for bar in bars(long)]
    assert min(heights) > float(re.search(r'y="(\d+)" text-anchor="start">0.000 s', long)[1])  # type: ignore[index]
