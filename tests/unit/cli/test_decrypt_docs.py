"""docs/decrypt.md names every option of the command, and none that it lacks."""

import re
from argparse import ArgumentParser
from pathlib import Path

from ipsectest.cli import decrypt

TEXT = (Path(__file__).parents[3] / "docs" / "decrypt.md").read_text()


def test_the_options_are_those_of_the_command() -> None:
    parser = ArgumentParser()
    decrypt.add_arguments(parser)
    known = {word for action in parser._actions for word in action.option_strings if word.startswith("--")}
    short = {"--keys": "-k", "--output": "-o"}
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT))
    assert told <= known
    missing = {
        option for option in known - {"--help"} if option not in told and f"{short.get(option, option)} " not in TEXT
    }
    assert missing == {"--slow"}  # for us
