"""``peers check``: does the description of a peer fit, and what is to be changed."""

import json
import secrets
from argparse import Namespace
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime

from ipsectest.base.errors import UnsupportedError
from ipsectest.peers.remote.description import Remote
from ipsectest.peers.remote.fit import fitted
from ipsectest.peers.remote.load import load
from ipsectest.runner import library
from ipsectest.runner.pki import make
from ipsectest.runner.recorder import Recorder
from ipsectest.runner.remote.check import check
from ipsectest.runner.remote.diagnosis import Finding
from ipsectest.runner.remote.place import place
from ipsectest.runner.session import Session
from ipsectest.scenario.load import load as load_scenario

_REASONS = 6
_WIDTH = 13


def execute(arguments: Namespace) -> int:
    """Check; 0 if it fits, 1 if not."""
    now = datetime.now(UTC)
    remote = load(arguments.file, now)
    remote = replace(remote, netns=arguments.netns or remote.netns)
    pki = make(now, secrets.token_bytes) if remote.facts is None else None
    session = Session(Recorder({}, {}, 0), library.root(), secrets.randbelow(1 << 32), pki=pki)
    found: list[Finding] = []
    if not arguments.json:
        print(f"{remote.name} at {remote.address}, as {remote.path} describes it")  # noqa: T201
    for finding in check(session, remote, secrets.token_bytes):
        found.append(finding)
        if not arguments.json:
            _print(finding)
        if not finding.fits:
            break
    fits = all(finding.fits for finding in found)
    if arguments.json:
        print(json.dumps({"fits": fits, "findings": [asdict(finding) for finding in found]}, indent=1))  # noqa: T201
    elif fits:
        print(_coverage(remote))  # noqa: T201
    return 0 if fits else 1


def _print(finding: Finding) -> None:
    print(f"  {'ok' if finding.fits else 'NO':<3} {finding.step:<{_WIDTH}} {finding.text}")  # noqa: T201
    for hint in finding.hints if not finding.fits else ():
        print(f"  {'':<3} {'':<{_WIDTH}} -> {hint}")  # noqa: T201


def _coverage(remote: Remote) -> str:
    """How many cases there are for this description, and what most of the others want."""
    if remote.facts is None:
        return "The description fits: the adapter is asked for what each case needs."
    seat = remote.seats[0] if remote.seats[0].address else replace(remote.seats[0], address=remote.address)
    here = place(remote, seat, 1)
    lacking: Counter[str] = Counter()
    total = 0
    for path in library.select((), library.root()):
        for case in load_scenario(path, library.root()).cases:
            total += 1
            try:
                fitted(remote, seat, case, here)
            except UnsupportedError as error:
                lacking[error.ability] += 1
    text = f"The description fits. {total - lacking.total()} of {total} cases can be played; the others want"
    return text + "".join(f"\n  {count:>4}  {what}" for what, count in lacking.most_common(_REASONS)) + "\n   ..."
