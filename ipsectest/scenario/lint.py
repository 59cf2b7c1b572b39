"""The rules a scenario file has to keep beyond its grammar (docs/notation.md, "Tags and verdicts"); profiles too."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import Place
from ipsectest.scenario import profile_files
from ipsectest.scenario.load import Examined, examine, files
from ipsectest.scenario.model import (
    AnyOrder,
    Case,
    Expect,
    Line,
    MessagePattern,
    Octets,
    Operand,
    PeerVerb,
    PingLine,
    Scenario,
    Silence,
    Spot,
    Tag,
)
from ipsectest.scenario.reader import Problem
from ipsectest.scenario.requirements import Requirement
from ipsectest.scenario.requirements import load as load_requirements
from ipsectest.scenario.results import Level
from ipsectest.scenario.steps import resolve
from ipsectest.scenario.syntax import nearest

_SECRETS_OF_A_RUN = {"initiator_spi", "responder_spi"}
_CHANGES_EACH_RUN = {"COOKIE"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to change: where, what, what was perhaps meant, and the line of the file."""

    place: Place
    message: str
    hint: str = ""
    source: str = ""

    def __str__(self) -> str:
        """``file:line:col: message``, the line and a caret below, the hint."""
        text = f"{self.place}: {self.message}"
        if self.source and self.place.column:
            blank = "".join("\t" if c == "\t" else " " for c in self.source[: self.place.column - 1])
            text += f"\n    {self.source}\n    {blank}^"
        return f"{text}\n    {self.hint}" if self.hint else text


def lint(
    paths: Iterable[Path],
    impairments: Collection[str] | None = None,
    catalogue: Mapping[str, Requirement] | None = None,
    root: Path | None = None,
) -> list[Finding]:
    """Check files and folders; `profile_files.is_profile` tells profiles apart.

    ``impairments``: known names of ``proof``; None takes those of the built-in endpoint.
    """
    if impairments is None:
        from ipsectest.ike import impair as ike  # noqa: PLC0415 - the crypto behind both costs start-up time
        from ipsectest.ipsec import impair as ipsec  # noqa: PLC0415

        impairments = {*ike.IMPAIRMENTS, *ipsec.IMPAIRMENTS}
    catalogue = load_requirements() if catalogue is None else catalogue
    findings: list[Finding] = []
    for path in files(paths):
        if profile_files.is_profile(path):
            profile = profile_files.examine(path)
            findings += _findings(profile, profile.problems)
            continue
        examined = examine(path, root)
        findings += _findings(examined, (*examined.problems, *_rules(examined, impairments, catalogue)))
    return findings


def _findings(examined: Examined | profile_files.Examined, problems: Iterable[Problem]) -> list[Finding]:
    unique = sorted(dict.fromkeys(problems), key=lambda p: (p.spot.line, p.spot.column))
    return [_finding(examined, problem) for problem in unique]


def _finding(examined: Examined | profile_files.Examined, problem: Problem) -> Finding:
    lines = examined.text.split("\n")
    line = problem.spot.line
    source = lines[line - 1] if 0 < line <= len(lines) else ""
    return Finding(Place(examined.path, line, problem.spot.column), problem.message, problem.hint, source)


def _rules(examined: Examined, known: Collection[str], catalogue: Mapping[str, Requirement]) -> Iterator[Problem]:
    scenario = examined.scenario
    if scenario is None:
        return
    yield from _proof_rules(examined, scenario, known)
    yield from _cite_rules(examined, scenario, catalogue)
    if examined.problems:
        return  # what follows needs all lines
    for case in scenario.cases:
        yield from resolve(case).problems
        yield from _tag_rules(case, catalogue)
        yield from _silence_rules(case)
        yield from _literal_rules(case)


def _proof_rules(examined: Examined, scenario: Scenario, known: Collection[str]) -> Iterator[Problem]:
    top = Spot(_line_of(examined.text, "proof"), 1)
    proofs = dict.fromkeys(p for case in scenario.cases for p in (*scenario.proof, *case.proof))
    if not all(case.proof for case in scenario.cases):
        yield Problem(top, "a proof is missing", "name an impairment under which the case must not pass")
    for name in proofs:
        if name not in known:
            near = nearest(name, sorted(known))
            yield Problem(
                top, f"there is no impairment {name!r}", f"did you mean {near!r}?" if near else "ipsectest proof --list"
            )


def _cite_rules(examined: Examined, scenario: Scenario, catalogue: Mapping[str, Requirement]) -> Iterator[Problem]:
    cites = Spot(_line_of(examined.text, "cites"), 1)
    for cited in scenario.cites:
        if cited not in catalogue:
            near = nearest(cited, list(catalogue))
            yield Problem(cites, f"there is no requirement {cited!r}", f"did you mean {near!r}?" if near else "")
    tagged = {r for case in scenario.cases for tag in _tags(case.lines) for r in tag.requirements}
    for cited in scenario.cites:
        if cited not in tagged:
            yield Problem(cites, f"{cited} is cited but no line is tagged with it")


def _line_of(text: str, key: str) -> int:
    for number, line in enumerate(text.split("\n"), 1):
        if line.lstrip().startswith(key):
            return number
    return 1


def _tag_rules(case: Case, catalogue: Mapping[str, Requirement]) -> Iterator[Problem]:
    tags = list(_tags(case.lines))
    cited = [catalogue.get(name) for tag in tags for name in tag.requirements]
    if tags and all(requirement is not None and requirement.contested for requirement in cited):
        yield Problem(
            tags[0].spot, "every tag is of a contested requirement, so nothing can fail", "cite one that is not"
        )
    if not tags:
        yield Problem(case.lines[0].spot if case.lines else Spot(1, 1), "no line is tagged, so nothing can fail")
    for tag in tags:
        for name in tag.requirements:
            requirement = catalogue.get(name)
            if name not in case.cites:
                near = nearest(name, list(case.cites))
                hint = f"did you mean {near!r}?" if near else "add it to cites"
                yield Problem(tag.spot, f"the tag's {name} is not in cites", hint)
            if requirement is not None and not requirement.allows(tag.level):
                message = f"[{tag.level}] is stronger than {name}, which is {requirement.level}"
                yield Problem(tag.spot, message, f"use [{requirement.highest_tag} {name}] or [INFO {name}]")


def _silence_rules(case: Case) -> Iterator[Problem]:
    """Silence is no proof of life: something positive has to follow."""
    waiting: Spot | None = None
    for line in case.lines:
        if isinstance(line, Expect | AnyOrder):
            if any(_is_positive(e) for e in _expects(line)):
                waiting = None
            elif waiting is None and any(_may_be_silent(e) for e in _expects(line)):
                waiting = line.spot
        elif isinstance(line, PingLine) or (isinstance(line, PeerVerb) and line.counter):
            waiting = None
    if waiting is not None:
        yield Problem(
            waiting,
            "nothing after this silence shows that the peer is alive",
            "end with a line that expects an answer, untagged or with [MUST] or [SHOULD]",
        )


def _may_be_silent(expect: Expect) -> bool:
    return any(isinstance(alternative.what, Silence) for alternative in expect.alternatives)


def _is_positive(expect: Expect) -> bool:
    """Whether the line can be met by a living peer only, and the case does not pass without it."""
    weighs = expect.tag is None or expect.tag.level in {Level.MUST, Level.SHOULD}
    return weighs and not _may_be_silent(expect)


def _literal_rules(case: Case) -> Iterator[Problem]:
    """No literal SPI or cookie in what is expected: they change with every run."""
    for line in case.lines:
        for expect in _expects(line):
            for alternative in expect.alternatives:
                pattern = alternative.what.but if isinstance(alternative.what, Silence) else alternative.what
                if isinstance(pattern, MessagePattern):
                    yield from _literals(pattern)


def _literals(pattern: MessagePattern) -> Iterator[Problem]:
    for edit in pattern.header:
        if edit.name in _SECRETS_OF_A_RUN and _is_literal(edit.operand):
            yield Problem(edit.spot, "a literal SPI cannot be expected", "use 0 or not 0")
    for item in pattern.items:
        spis = [edit.operand for edit in item.edits if edit.name == "spi"]
        if any(_is_literal(spi) for spi in (*spis, *item.spis)):
            yield Problem(item.spot, "a literal SPI cannot be expected", "use the name of a Child SA")


def _is_literal(operand: Operand) -> bool:
    return isinstance(operand, Octets) and any(operand.data)


def _expects(line: Line) -> tuple[Expect, ...]:
    if isinstance(line, Expect):
        return (line,)
    return line.lines if isinstance(line, AnyOrder) else ()


def _tags(lines: Iterable[Line]) -> Iterator[Tag]:
    for line in lines:
        for expect in _expects(line):
            if expect.tag:
                yield expect.tag
            yield from (c.tag for c in expect.conditions if c.tag)
        if isinstance(line, PingLine | PeerVerb) and line.tag:
            yield line.tag
