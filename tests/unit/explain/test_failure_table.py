"""docs/explain.md has a row for every code that can be told, and cites only requirements that exist."""

import csv
import re
from pathlib import Path

from ipsectest.explain.causes.error_notifies import TABLE
from ipsectest.explain.logs import charon_rules, pluto_rules

ROOT = Path(__file__).parents[3]
SOURCES = "\n".join(path.read_text() for path in sorted((ROOT / "ipsectest" / "explain").rglob("*.py")))


def codes() -> set[str]:
    told = set(re.findall(r'\bcode="([a-z0-9-]+)"', SOURCES)) | set(re.findall(r'\bReason\(\s*"([a-z0-9-]+)"', SOURCES))
    rules = [*charon_rules.RULES.table, *pluto_rules.RULES.table]
    return told | {entry.kind.code for entry in TABLE.values()} | {rule.kind.code for rule in rules}


def test_every_code_has_a_row() -> None:
    assert len(codes()) > 50
    assert codes() - column("## What is found", 1) == set()


def column(heading: str, number: int) -> set[str]:
    """The words of a column of the table below a heading."""
    section = (ROOT / "docs" / "explain.md").read_text().partition(heading)[2].partition("\n## ")[0]
    rows = [row.split("|")[number] for row in section.splitlines() if row.startswith("| ")]
    return {word.strip() for row in rows for word in row.split(",")}


def test_what_is_made_in_the_lab_is_what_its_tests_tell() -> None:
    tests = "\n".join(path.read_text() for path in (ROOT / "tests" / "peers").glob("test_explain_*.py"))
    made = {code for code in codes() if f'"{code}"' in tests}
    assert len(made) > 20
    assert made == column("## Made in the lab", 2) & codes()


def test_cited_requirements_exist() -> None:
    known = set()
    for path in (ROOT / "scenarios" / "requirements").glob("rfc*.csv"):
        with path.open(newline="") as file:
            known |= {row["id"] for row in csv.DictReader(file)}
    cited = set(re.findall(r'"(\d{4}-[\d.]+-\d{2})"', SOURCES))
    assert len(cited) > 20
    assert cited <= known
