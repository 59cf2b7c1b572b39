"""One finding of many: the same of several attempts, and of several files that tell of the same two ends."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from ipsectest.explain.findings import Certainty, Difference, Evidence, Finding, Kind, Severity
from ipsectest.explain.gap import gap

_MOST_EVIDENCE = 12
_MOST_DIFFERENCES = 12
_FAMILIES = {
    "authentication": (
        "authentication-failed", "wrong-psk", "psk-not-found", "id-mismatch", "untrusted-certificate",
        "certificate-refused", "certificate-expired", "certificate-revoked", "private-key-missing", "eap-failed",
        "constraint-failed",
    ),
    "negotiation": ("ike-proposal-mismatch", "no-connection"),
    "child": (
        "child-refused", "child-proposal-mismatch", "traffic-selector-mismatch", "kernel-refuses", "temporary-failure",
    ),
    "cookies": ("cookie-loop", "cookie-not-returned", "cookie-not-taken"),
    "silence": ("no-answer-to-auth", "nat-t-blocked", "large-message-lost"),
}  # fmt: skip
"""Causes that look alike from one side or another."""
_FAMILY_OF = {code: family for family, codes in _FAMILIES.items() for code in codes}
BEFORE_IT_IS_UP = {
    *_FAMILIES["authentication"], *_FAMILIES["negotiation"], *_FAMILIES["silence"], "peer-unreachable",
    "group-mismatch", "group-loop", "answer-not-taken", "cookie-loop", "cookie-not-returned", "cookie-not-taken",
    "version-mismatch",
}  # fmt: skip
"""What keeps an IKE SA from coming up."""
_SILENT = {
    "dead-peer": "Authentication failed before, so the IKE SA was up on one side only.",
    **dict.fromkeys(_FAMILIES["silence"], "The requests did arrive: the other end failed at them, and says nothing."),
}
"""What silence is worth where a log tells that authentication failed."""
_GENERIC = {"authentication-failed", "child-refused", "no-answer-to-auth"}
_ORDER = list(Severity)
_Key = Callable[[Finding], Hashable]


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The findings to be told, the worst first."""
    same_again = _groups(findings, lambda one: (one.code, one.who, one.change, one.severity))
    kept = [_one_of(same, counts=True) for same in same_again]
    told: list[Finding] = []
    for alike in _groups(kept, lambda one: (_FAMILY_OF.get(one.code, one.code), one.severity is Severity.FAILURE)):
        told += _without_guesses(alike)
    told = [_with_gap(_in_its_place(one, told)) for one in told]
    return sorted(told, key=lambda one: (_ORDER.index(one.severity), one.certainty is Certainty.LIKELY, one.evidence))


def _in_its_place(finding: Finding, told: list[Finding]) -> Finding:
    """An end that fails at authentication may say nothing: to the other one it is dead, or out of reach."""
    if finding.code not in _SILENT or finding.severity is not Severity.FAILURE:
        return finding
    causes = (one for one in told if one.code in _FAMILIES["authentication"] and one.severity is Severity.FAILURE)
    for one in causes:
        same_ends = one.subject <= finding.subject or finding.subject <= one.subject
        if same_ends and one.certainty is Certainty.CERTAIN and any(place.kind == "line" for place in one.evidence):
            text = f"{finding.text} {_SILENT[finding.code]}"
            return replace(finding, kind=replace(finding.kind, severity=Severity.WARNING), text=text)
    return finding


def _with_gap(finding: Finding) -> Finding:
    """Proposals that do not meet: what exactly differs, where both sides are known."""
    if not finding.code.endswith("proposal-mismatch"):
        return finding
    sides = {
        verb: [row.value for row in finding.differences if row.here.endswith(verb)] for verb in ("offers", "takes")
    }
    differs = gap(sides["offers"], sides["takes"])
    return replace(finding, text=f"{finding.text} What differs: {differs}.") if differs else finding


def _groups(findings: Iterable[Finding], key: _Key) -> list[list[Finding]]:
    groups: dict[Hashable, list[Finding]] = {}
    for one in findings:
        groups.setdefault(key(one), []).append(one)
    return list(groups.values())


def _without_guesses(alike: list[Finding]) -> list[Finding]:
    """What one side knows replaces what another file lets one guess."""
    known = [one for one in alike if one.certainty is Certainty.CERTAIN and one.code not in _GENERIC]
    guesses = [one for one in alike if one not in known]
    if not known:
        told = [one for one in guesses if one.code not in _GENERIC]
        # A log is closer to the reason than a capture, even where it names none.
        known = [one for one in told if any(place.kind == "line" for place in one.evidence)] or told or guesses[:1]
        guesses = [one for one in guesses if one not in known]
    taken: dict[int, list[Finding]] = {}
    rest = []
    for guess in guesses:
        place = next((at for at, one in enumerate(known) if _is_about_the_same(one, guess)), None)
        if place is None:
            rest.append(guess)
        else:
            taken.setdefault(place, []).append(guess)
    return _across_files([*(_one_of([one, *taken.get(at, [])]) for at, one in enumerate(known)), *rest])


def _across_files(found: list[Finding]) -> list[Finding]:
    """The same cause told by several files, once."""
    kept: list[Finding] = []
    for one in found:
        at = next(
            (at for at, other in enumerate(kept) if one.code == other.code and _is_about_the_same(other, one)), None
        )
        if at is None:
            kept.append(one)
        else:
            kept[at] = _one_of([kept[at], one])
    return kept


def _is_about_the_same(known: Finding, guess: Finding) -> bool:
    ends = known.subject, guess.subject
    if not (ends[0] <= ends[1] or ends[1] <= ends[0]):
        return False
    files = {one.file for one in known.evidence}, {one.file for one in guess.evidence}
    return guess.code in _GENERIC or files[0] != files[1]


def _one_of(same: list[Finding], *, counts: bool = False) -> Finding:
    """The first, with what the others add."""
    if len(same) == 1:
        return same[0]
    evidence: dict[Evidence, None] = {}
    rows: dict[tuple[str, str, str], Difference] = {}
    for one in same:
        evidence.update(dict.fromkeys(one.evidence))
        for row in one.differences:
            rows.setdefault((row.here.rpartition(" ")[2], row.value, row.other), row)
    # Each file tells of the same occurrences in its own way.
    files = Counter(one.evidence[0].file if one.evidence else "" for one in same)
    times = max(files.values())
    text = f"{same[0].text} ({times} times)" if counts and times > 1 else same[0].text
    return replace(
        same[0],
        text=text,
        evidence=tuple(evidence)[:_MOST_EVIDENCE],
        differences=tuple(rows.values())[:_MOST_DIFFERENCES],
        kind=_cited(same),
    )


def _cited(same: list[Finding]) -> Kind:
    """The kind of the first; a requirement that only another names is cited too."""
    kind = same[0].kind
    other = next((one.kind for one in same if one.kind.requirement), kind)
    return kind if kind.requirement else replace(kind, clause=other.clause, requirement=other.requirement)
