"""What is known of a peer: ``scenarios/expected/<peer>.toml``, and how a verdict compares with it.

[[expect]]
scenario = "ike/rekey/child-collision"     # id, or a glob of ids
variant = "our-*"                          # glob, default: all
verdict = "fail"
reason = "keeps both SAs"                  # one sentence for the report
issue = "https://example.org/1"            # optional
versions = ["5.9.*"]                       # globs, default: all
peers = ["strongswan@bookworm"]            # globs of peer names, default: all places of this driver
labs = ["vm"]                              # where daemons run, "vm" or "host"; default: both
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from ipsectest.base.errors import InputError, Place
from ipsectest.base.toml_tables import parse, read_text
from ipsectest.runner.records import Outcome
from ipsectest.scenario.results import Verdict

_FIELDS = {"scenario", "variant", "verdict", "reason", "issue", "versions", "peers", "labs"}
_AS_GOOD_AS_PASS = frozenset({Verdict.PASS, Verdict.UNSUPPORTED, Verdict.SKIPPED})


@dataclass(frozen=True, slots=True)
class Expectation:
    """One entry; `reason` already carries the issue link."""

    scenario: str
    verdict: Verdict
    reason: str
    variant: str = "*"
    versions: tuple[str, ...] = ("*",)
    peers: tuple[str, ...] = ("*",)
    labs: tuple[str, ...] = ("*",)

    def applies(self, scenario: str, variant: str, version: str, peer: str) -> bool:
        """Whether the entry speaks of this case of this peer."""
        return (
            fnmatchcase(scenario, self.scenario)
            and fnmatchcase(variant, self.variant)
            and any(fnmatchcase(version, pattern) for pattern in self.versions)
            and any(fnmatchcase(peer, pattern) for pattern in self.peers)
        )


@dataclass(frozen=True, slots=True)
class Expectations:
    """All entries of one peer."""

    entries: Sequence[Expectation] = ()

    def judge(
        self, scenario: str, variant: str, version: str, peer: str, verdict: Verdict, *, strict: bool = False
    ) -> tuple[Outcome, str]:
        """The outcome and the reason text of the entry that applies (the first one; empty if none).

        Without an entry a case has to pass; *unsupported*, *skipped* and, unless `strict`, *nonstrict* are no
        regression then. With an entry the verdict must be the one named: a pass is *fixed*, the entry has to go.
        """
        entry = next((e for e in self.entries if e.applies(scenario, variant, version, peer)), None)
        if entry is None:
            fine = verdict in _AS_GOOD_AS_PASS or (verdict is Verdict.NONSTRICT and not strict)
            return Outcome.AS_EXPECTED if fine else Outcome.REGRESSION, ""
        if verdict is entry.verdict or verdict in {Verdict.UNSUPPORTED, Verdict.SKIPPED}:
            return Outcome.AS_EXPECTED, entry.reason
        return (Outcome.FIXED if verdict is Verdict.PASS else Outcome.REGRESSION), entry.reason


def load(folder: Path, driver: str, lab: str = "host") -> Expectations:
    """The entries of ``expected/<driver>.toml`` below the scenarios folder that hold in a lab; none without a file.

    A kernel's ESP and a daemon's own are different implementations: what is known of one says nothing of the other.
    """
    path = folder / "expected" / f"{driver}.toml"
    return load_file(path, lab) if path.exists() else Expectations()


def load_file(path: Path, lab: str = "host") -> Expectations:
    """The entries of one file; InputError if it is not there or wrong."""
    content = parse(read_text(path), path)
    entries = content.pop("expect", [])
    if content or not isinstance(entries, list):
        raise InputError("holds [[expect]] tables only", Place(path))
    known = [_entry(entry, number, path) for number, entry in enumerate(entries, 1)]
    return Expectations([entry for entry in known if any(fnmatchcase(lab, pattern) for pattern in entry.labs)])


def _entry(fields: Any, number: int, path: Path) -> Expectation:
    def wrong(problem: str) -> InputError:
        return InputError(f"[[expect]] number {number}: {problem}", Place(path))

    if not isinstance(fields, dict):
        raise wrong("is no table")
    if unknown := sorted(fields.keys() - _FIELDS):
        raise wrong(f"unknown key {unknown[0]!r}; known are {', '.join(sorted(_FIELDS))}")
    for name in ("scenario", "verdict", "reason"):
        if not isinstance(fields.get(name), str) or not fields[name]:
            raise wrong(f'needs {name} = "..."')
    if fields["verdict"] not in {v.value for v in Verdict}:
        raise wrong(f"verdict {fields['verdict']!r} is none of {', '.join(Verdict)}")
    globs = {name: fields.get(name, ["*"]) for name in ("versions", "peers", "labs")}
    for name, value in globs.items():
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise wrong(f"{name} is a list of strings")
    issue = fields.get("issue", "")
    return Expectation(
        fields["scenario"],
        Verdict(fields["verdict"]),
        f"{fields['reason']} ({issue})" if issue else fields["reason"],
        str(fields.get("variant", "*")),
        tuple(globs["versions"]),
        tuple(globs["peers"]),
        tuple(globs["labs"]),
    )
