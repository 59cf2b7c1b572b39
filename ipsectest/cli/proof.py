"""Show that scenarios can fail: the healthy built-in peer passes each, every impairment named in `proof` does not."""

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from rich.text import Text

from ipsectest.cli import selection
from ipsectest.cli.console import open_console
from ipsectest.report.marks import MARKS
from ipsectest.runner import library
from ipsectest.runner.pki import make, needs_certificates
from ipsectest.runner.proof import Proof, prove
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.seed import stream
from ipsectest.runner.session import Session
from ipsectest.scenario.model import Case


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    selection.add_arguments(parser)
    parser.add_argument("--list", action="store_true", help="list the impairments that a proof may name")
    parser.add_argument("--seed", type=int, default=0, help="what keys and nonces are drawn from (default: 0)")
    parser.add_argument("--json", action="store_true", help="all trials as JSON")
    parser.add_argument("-v", "--verbose", action="store_true", help="name the proofs that hold too")


def execute(arguments: Namespace) -> int:
    """Try; exit code 1 if any proof does not hold."""
    if arguments.list:
        return _list_impairments(as_json=arguments.json)
    scenarios = list(selection.chosen(arguments))
    cases = library.wanted(arguments.scenario, [case for s in scenarios for case in s.cases])
    pki = make(datetime.now(UTC), stream(arguments.seed, "pki")) if needs_certificates(cases) else None
    session = Session(Recorder({}, {}, arguments.seed), selection.folder(arguments), arguments.seed, pki=pki)
    trials = prove(session, cases)
    unproven = [case.id for case in cases if not case.proof]
    broken = [trial for trial in trials if not trial.holds]
    if arguments.json:
        print(json.dumps([_facts(trial) for trial in trials], indent=1))  # noqa: T201
    else:
        _show(cases, trials if arguments.verbose else broken, unproven, len(trials) - len(broken))
    return 1 if broken or unproven else 0


def _show(cases: list[Case], trials: list[Proof], unproven: list[str], holding: int) -> None:
    console = open_console()
    widths = [max((len(text) for text in column), default=0) for column in zip(*map(_names, trials), strict=True)]
    for trial in trials:
        mark = MARKS[trial.result.verdict]
        line = Text.assemble(("holds " if trial.holds else "FAILS ", "green" if trial.holds else "bold red"))
        line.append("  ".join(name.ljust(width) for name, width in zip(_names(trial), widths, strict=True)))
        line.append(f"  {mark.sign} {trial.result.verdict}", mark.style)
        line.append(f"  {_because(trial)}", "dim")
        console.print(line, soft_wrap=True)
    for case_id in unproven:
        console.print(Text(f"{case_id} names no impairment: nothing shows that it can fail", "red"))
    broken = sum(not trial.holds for trial in trials)
    console.print(Text(f"{len(cases)} cases, {holding} trials hold"))
    console.print(
        Text(f"{broken} do not hold, {len(unproven)} without proof", "bold red" if broken or unproven else "green")
    )


def _names(trial: Proof) -> tuple[str, str]:
    return trial.case.id, trial.impairment or "healthy"


def _because(trial: Proof) -> str:
    reason = trial.result.reason
    if reason is None:
        return ""
    parts = [f"line {reason.line}"] if reason.line else []
    parts += [text for text in (reason.text, reason.expected and f"expected {reason.expected}") if text]
    parts += [f"actual {reason.actual}"] if reason.actual else []
    return "; ".join(parts)


def _facts(trial: Proof) -> dict[str, object]:
    return {
        "case": trial.case.id,
        "impairment": trial.impairment,
        "verdict": trial.result.verdict.value,
        "holds": trial.holds,
        "because": _because(trial),
    }


def _list_impairments(*, as_json: bool) -> int:
    from ipsectest.ike import impair as ike  # noqa: PLC0415
    from ipsectest.ipsec import impair as ipsec  # noqa: PLC0415

    names = sorted({*ike.IMPAIRMENTS, *ipsec.IMPAIRMENTS})
    if as_json:
        print(json.dumps(names, indent=1))  # noqa: T201
        return 0
    for name in names:
        print(name)  # noqa: T201
    return 0
