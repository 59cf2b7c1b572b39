"""The description to fill in: it is sound, and every key in it is one."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.base.errors import InputError
from ipsectest.cli.main import main
from ipsectest.peers.remote import EXAMPLE
from ipsectest.peers.remote.load import PEER_FACTS, load

AT = datetime(2026, 6, 1, tzinfo=UTC)
LINES = EXAMPLE.read_text(encoding="utf-8").splitlines()
OPTIONAL = [number for number, line in enumerate(LINES) if re.match(r"# (\w+ = |\[)", line)]


def test_the_example_can_be_loaded_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["peers", "example"]) == 0
    path = tmp_path / "mine.toml"
    path.write_text(capsys.readouterr().out)
    assert load(path, AT).name == "my-gateway"


@pytest.mark.parametrize("number", OPTIONAL, ids=lambda number: LINES[number][:20])
def test_every_optional_line_of_the_example_is_known(number: int, tmp_path: Path) -> None:
    lines = [
        line.removeprefix("# ") if at == number or line.startswith("# [") else line for at, line in enumerate(LINES)
    ]
    path = tmp_path / "mine.toml"
    path.write_text("\n".join(lines) + '\ncommand = ["x"]\n' * (not LINES[number].startswith("# command")))
    try:
        load(path, AT)
    except InputError as error:
        assert "there is no" not in error.message  # noqa: PT017 - files that are not there may be told


def test_the_example_shows_what_peers_may_be_set_up_with() -> None:
    shown = set(re.findall(r"^(?:# )?(\w+) = ", "\n".join(LINES), re.MULTILINE))
    hidden = {"window", "force_encapsulation", "ike_lifetime", "child_lifetime", "retransmit", "retransmit_tries"}
    assert PEER_FACTS.keys() - shown <= hidden | {"send_certificate", "hashes"}
