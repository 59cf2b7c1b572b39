"""What commands print where no terminal is."""

import io

import pytest
from rich.padding import Padding
from rich.text import Text

from ipsectest.cli.console import open_console


def test_lines_into_a_pipe_are_whole_and_end_where_their_text_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    out = io.StringIO()
    open_console(out).print(Padding(Text("a word " * 100), (1, 0, 0, 2)))
    assert out.getvalue() == "\n  " + ("a word " * 100).rstrip() + "\n"


def test_standard_output_is_what_it_is_when_something_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    console = open_console()
    later = io.StringIO()
    monkeypatch.setattr("sys.stdout", later)
    console.print(Padding(Text("later"), (0, 0, 0, 2)))
    assert later.getvalue() == "  later\n"
