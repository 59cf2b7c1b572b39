"""``script/foreign-captures``: fetch the packages, decrypt every capture in them, and compare with tshark."""

# ruff: noqa: T201 - this is a command

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from ipsectest.explain.explanation import explain
from ipsectest.explain.logs.reading import read_logs
from tests.foreign import sources
from tests.foreign.compare import Row, compare
from tests.foreign.keys import rings


def main() -> int:
    """1 if tshark sees what decrypt does not, or something broke."""
    parser = argparse.ArgumentParser(prog="script/foreign-captures", description=__doc__)
    parser.add_argument("--packages", nargs="+", default=sources.PACKAGES, metavar="NAME")
    parser.add_argument("--offline", action="store_true", help="fetch nothing, take what the cache has")
    parser.add_argument(
        "--suites", nargs="+", default=(), metavar="NAME", help="of other releases of Debian, instead of this machine's"
    )
    options = parser.parse_args()
    folder = sources.cache()
    folder.mkdir(parents=True, exist_ok=True)
    if not options.offline:
        _fetch(options.packages, options.suites, folder)
    rows = [row for name in options.packages for row in run(folder / "unpacked" / name, name)]
    print_table(rows)
    for name in options.packages:
        if told := read_logs_of(folder / "unpacked" / name):
            print(f"{name}: {told}")
    return 0 if all(row.is_good for row in rows) else 1


def _fetch(packages: list[str], suites: list[str], folder: Path) -> None:
    try:
        given = sources.prepare(folder, suites)
    except sources.FetchError as error:
        sys.exit(f"foreign-captures: {error}")
    for name in packages:
        try:
            print(f"{name}: {sources.fetch(name, given, folder)}", flush=True)
        except sources.FetchError as error:
            print(f"{name}: not to be had: {error}", flush=True)


def run(package: Path, name: str, takes: Callable[[str], bool] = lambda _: True) -> Iterator[Row]:
    """Every capture of an unpacked package, or those whose names are taken."""
    known = rings(package)
    with TemporaryDirectory() as temporary:
        for number, capture in enumerate(sources.captures(package)):
            if not takes(capture.name):
                continue
            ring = known.get(capture.name, known[""])
            yield compare(capture, name, ring, Path(temporary) / str(number))


def read_logs_of(package: Path) -> str:
    """What explain makes of every log of a package, counted; empty where it has none. Raises what explain raises."""
    found: Counter[str] = Counter()
    known = total = 0
    for path in sources.logs(package):
        total += 1
        facts = read_logs(path, path.name)
        known += bool(facts)
        found.update(finding.code for finding in explain([], facts).findings if facts)
    told = ", ".join(f"{code} {count}" for code, count in found.most_common())
    return f"{known} of {total} logs told something to explain: {told}" if total else ""


def print_table(rows: list[Row]) -> None:
    """Captures with IPsec, a line each, and the others counted."""
    print("\n| package | capture | frames | ESP, AH opened | IKE opened | as tshark | only decrypt | remarks |")
    print("|---|---|---|---|---|---|---|---|")
    for row in rows:
        if not row.is_ipsec and row.is_good:
            continue
        remarks = [row.broken] if row.broken else []
        remarks += [f"tshark alone opens {row.only_tshark}"] if row.only_tshark else []
        remarks += [row.explained] if row.explained else []
        remarks += [f"differ: {row.differ}"] if row.differ else []
        remarks += [f"malformed: {row.malformed}"] if row.malformed else []
        print(
            f"| {row.package} | {row.capture} | {row.frames} | {row.esp_opened} of {row.esp} "
            f"| {row.ike_opened} of {row.ike_encrypted} | {row.same} | {row.only_ours} | {'; '.join(remarks)} |"
        )
    for name in dict.fromkeys(row.package for row in rows):
        of = [row for row in rows if row.package == name]
        bad = sum(not row.is_good for row in of)
        print(f"{name}: {len(of)} captures, {sum(row.is_ipsec for row in of)} of them with IPsec, {bad} to look at")


if __name__ == "__main__":
    sys.exit(main())
