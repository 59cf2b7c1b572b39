"""Lines of logs that mean something: a pattern, and the finding that follows from it."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ipsectest.base.iana import NotifyType, name_of
from ipsectest.explain.causes.error_notifies import TABLE
from ipsectest.explain.findings import Certainty, Difference, Evidence, Finding, Kind
from ipsectest.explain.logs.model import LoggedSa

Differences = Callable[[LoggedSa, dict[str, str]], tuple[Difference, ...]]
When = Callable[[LoggedSa, dict[str, str]], bool]
_LONGEST = 1000
"""Octets of a line that are looked at: names and proposals fit, and no pattern gets much to search."""


def _nothing(_sa: LoggedSa, _groups: dict[str, str]) -> tuple[Difference, ...]:
    return ()


COOKIE_ROUNDS = 3
"""One demand for a cookie is usual, two may be a changed secret (RFC 7296 section 2.6)."""


def third_cookie(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """Whether it is the line that makes a loop of demands for cookies; asked once of each such line."""
    return sa.count("cookies") == COOKIE_ROUNDS


def asked_for_cookie(sa: LoggedSa, _groups: dict[str, str]) -> bool:
    """Whether the responder demanded a cookie before."""
    return "cookies" in sa.noted


def _always(_sa: LoggedSa, _groups: dict[str, str]) -> bool:
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of line. Texts may name ``{local}``, ``{remote}`` (addresses), ``{us}``, ``{them}`` (roles), groups."""

    pattern: str
    """Matched at the start of the text of a line."""
    kind: Kind
    text: str
    change: tuple[str, ...]
    by_us: bool = True
    """Whether the side that wrote the log has the cause in its hands; else the other one."""
    certainty: Certainty = Certainty.CERTAIN
    differences: Differences = _nothing
    when: When = _always


@dataclass(slots=True)
class Rules:
    """A table of rules, looked through in order; the first that fits a line tells what it means."""

    table: Iterable[Rule]
    _compiled: list[tuple[re.Pattern[str], Rule]] = field(init=False)
    _any: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        """Compile, and make one pattern that most lines do not match."""
        self._compiled = [(re.compile(rule.pattern), rule) for rule in self.table]
        self._any = re.compile("|".join(re.sub(r"\?P<\w+>", "?:", rule.pattern) for rule in self.table))

    def apply(self, sa: LoggedSa, line: int, text: str) -> Finding | None:
        """What a line means."""
        text = text[:_LONGEST]
        if not self._any.match(text):
            return None
        for pattern, rule in self._compiled:
            match = pattern.match(text)
            if match is None:
                continue
            groups = {name: value or "" for name, value in match.groupdict().items()}
            if rule.when(sa, groups):
                return _finding(rule, sa, line, groups)
        return None


def refusals(pattern: str) -> tuple[Rule, ...]:
    """A rule for each error notification with which the other side refuses a Child SA; ``NAME`` stands for its name."""
    return tuple(
        Rule(
            pattern=pattern.replace("NAME", name_of(NotifyType, kind)),
            kind=entry.kind,
            text=f"{{them}} answers {name_of(NotifyType, kind)} to {{us}}: {entry.text}",
            change=entry.change,
            by_us=False,
        )
        for kind, entry in TABLE.items()
    )


def _finding(rule: Rule, sa: LoggedSa, line: int, groups: dict[str, str]) -> Finding:
    words = {
        **sa.noted,
        **groups,
        "local": sa.local or f"the host of {sa.file}",
        "remote": sa.remote or "the peer",
        "us": sa.described(is_local=True),
        "them": sa.described(is_local=False),
        "asking": sa.described(is_local=rule.by_us is False),
        "answering": sa.described(is_local=rule.by_us),
    }
    filled = _Words(words)
    return Finding(
        kind=rule.kind,
        who=words["us"] if rule.by_us else words["them"],
        text=rule.text.format_map(filled),
        change=tuple(line.format_map(filled) for line in rule.change),
        differences=rule.differences(sa, groups),
        evidence=(Evidence(sa.file, line, "line"),),
        certainty=rule.certainty,
        subject=sa.ends,
    )


class _Words(dict[str, str]):
    """What no line told is an ellipsis, not an error."""

    def __missing__(self, key: str) -> str:
        return "..."
