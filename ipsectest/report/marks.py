"""How a verdict looks: a mark, a colour and a sentence of the legend, so that colour is never alone."""

from dataclasses import dataclass

from ipsectest.scenario.results import Verdict


@dataclass(frozen=True, slots=True)
class Mark:
    """`sign` in Unicode, `plain` in ASCII, `style` for rich, `meaning` for legends."""

    sign: str
    plain: str
    style: str
    meaning: str


MARKS: dict[Verdict, Mark] = {
    Verdict.PASS: Mark("\N{CHECK MARK}", "+", "green", "every tagged line was met"),
    Verdict.NONSTRICT: Mark("~", "~", "yellow", "a SHOULD was not kept; still conformant"),
    Verdict.FAIL: Mark("\N{BALLOT X}", "x", "bold red", "a MUST was broken, or the peer crashed"),
    Verdict.UNSUPPORTED: Mark("?", "?", "bright_black", "the peer lacks an ability the case needs"),
    Verdict.INCONCLUSIVE: Mark("!", "!", "magenta", "an untagged line was not met: says nothing about the peer"),
    Verdict.SKIPPED: Mark("-", "-", "dim", "was not run"),
}


MEANINGS = {verdict: mark.meaning for verdict, mark in MARKS.items()}

MEANINGS_OF_CELLS = MEANINGS | {
    Verdict.PASS: "the tunnel, its traffic and the rekeys worked, and both ends agree",
    Verdict.FAIL: "some of it did not work, or the ends disagree",
    Verdict.UNSUPPORTED: "a peer lacks what the cell needs",
    Verdict.INCONCLUSIVE: "could not be tried: says nothing about the peers",
}
"""The same of the cells of an interop run, which have no tagged lines."""
