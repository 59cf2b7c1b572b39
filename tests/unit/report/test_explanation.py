"""The explanation on a terminal: what a reader has to find, and nothing that a hostile capture could put there."""

import io
from typing import Any

import pytest
from rich.console import Console

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.explain.explanation import explain
from ipsectest.report.explanation import render
from ipsectest.wire import AUTH, IDi
from tests.unit.explain.scenes import Scene, notify
from tests.unit.explain.test_ike_causes import established
from tests.unit.explain.test_logs import CONVERSATION, charon
from tests.unit.explain.test_traffic_causes import traffic


def shown(told: dict[str, Any], width: int = 100, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=width, emoji=False, highlight=False)
    render(told, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_reader_finds_what_was_settled(width: int) -> None:
    text = shown(traffic(established(), range(1, 11)).explained().as_json(), width)
    for part in ("established", "aes128gcm16-prfsha256-x25519", "198.51.100.0/24", "Nothing is wrong"):
        assert part in text
    assert "10 ▶ ◀ 10" in " ".join(text.split())


def test_a_long_ladder_is_cut_unless_all_is_wanted() -> None:
    scene = established()
    for number in range(2, 40):
        scene.ike(ExchangeType.INFORMATIONAL, message_id=number)
        scene.ike(ExchangeType.INFORMATIONAL, message_id=number, response=True)
    told = scene.explained().as_json()
    assert "56 more messages (--all shows them)" in shown(told)
    assert "INFORMATIONAL request 20" not in shown(told)
    assert "INFORMATIONAL request 20" in shown(told, everything=True)


def test_markup_and_control_characters_stay_text() -> None:
    scene = Scene().init()
    scene.ike(ExchangeType.IKE_AUTH, IDi(id_type=2, data=b"[red]x[/]\x1b[31m"), AUTH(2, bytes(32)), message_id=1)
    scene.ike(ExchangeType.IKE_AUTH, notify(NotifyType.AUTHENTICATION_FAILED), response=True, message_id=1)
    log = charon("tried 1 shared key for '[bold]' - '[/bold]\x1b[2J', but MAC mismatched")
    text = shown(explain([scene.facts()], [log]).as_json())
    assert "[red]x[/]" in text
    assert "'[bold]'" in text
    assert "\x1b" not in text


def test_ladders_of_the_same_two_ends_are_shown_once() -> None:
    logs = [charon(*CONVERSATION, prefix="")]
    scene = established()
    told = explain([scene.facts()], logs).as_json()
    assert [one["kind"] for one in told["sas"]] == ["frame", "line"]
    assert "more ladders in charon.log (--all shows them)" in shown(told)
    assert "charon.log" not in shown(explain([scene.facts()]).as_json())


def test_traffic_that_nobody_can_place_is_listed() -> None:
    scene = Scene()
    for spi in range(1, 12):
        for number in range(1, 4):
            scene.esp(spi.to_bytes(4, "big"), number).esp(spi.to_bytes(4, "big"), number, to_right=False)
    text = shown(scene.explained().as_json())
    assert "ESP 00000001" in text
    assert "and 12 more" in text
