"""Measure what IPsec costs: round trips, throughput, handshakes, SA set-up, with and without IPsec in one run."""

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from ipsectest.cli import suites, topologies

if TYPE_CHECKING:
    from ipsectest.runner.measure import Plan, Sample
    from ipsectest.runner.measure.guest import GuestBench

    Measured = tuple[list[Sample], dict[str, str]]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--topology", default="host-to-host", metavar="NAME|FILE", help="default: host-to-host")
    parser.add_argument(
        "--lab", choices=("host", "vm"), default="host", help="host: our user-space ESP; vm: the kernel's, in a guest"
    )
    parser.add_argument("--peer", metavar="NAME", help="daemon at both ends in the guest (default: strongswan)")
    parser.add_argument("--ip", type=int, choices=(4, 6), default=4, help="IP version (default: 4)")
    suites.add_arguments(parser)
    parser.add_argument("--pings", type=_count, default=100, help="round trips (default: 100)")
    parser.add_argument("--seconds", type=_count, default=3, help="of each throughput measurement (default: 3)")
    parser.add_argument("--handshakes", type=_count, default=20, help="one after the other (default: 20)")
    parser.add_argument("--setups", type=_count, default=100, help="SAs of each set-up rate (default: 100)")
    parser.add_argument("--sas", type=_counts, default=(1, 100, 10_000), help="numbers of SAs (default: 1,100,10000)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="print JSON instead of a table")
    form.add_argument("--prometheus", action="store_true", help="print Prometheus text instead of a table")


def execute(arguments: Namespace) -> int:
    """Measure and print."""
    from ipsectest.base.errors import UsageError  # noqa: PLC0415
    from ipsectest.base.suites import format_suite  # noqa: PLC0415
    from ipsectest.lab import privileges  # noqa: PLC0415
    from ipsectest.report import measurements  # noqa: PLC0415
    from ipsectest.runner.measure import Plan  # noqa: PLC0415

    plan = Plan(
        topologies.load(arguments.topology),
        arguments.ip,
        arguments.ike,
        arguments.esp,
        arguments.pings,
        arguments.seconds,
        arguments.handshakes,
        arguments.setups,
        arguments.sas,
    )
    if arguments.peer and arguments.lab != "vm":
        raise UsageError("--peer goes with --lab vm: elsewhere our own endpoint is measured")
    bench = _guest_bench(plan, arguments.peer) if arguments.lab == "vm" else None
    privileges.reexec([sys.executable, "-m", "ipsectest.cli.main", *sys.argv[1:]])
    samples, found = _in_guest(bench) if bench else _here(plan)
    what = {"topology": plan.topology.name, "ip": str(plan.ip), "esp": format_suite(arguments.esp)}
    run = {"plane": found["plane"], **what, **found}
    if arguments.json:
        print(measurements.to_json(samples, {**run, "ike": format_suite(arguments.ike)}))  # noqa: T201
    elif arguments.prometheus:
        print(measurements.to_prometheus(samples, run), end="")  # noqa: T201
    else:
        from ipsectest.cli.console import open_console  # noqa: PLC0415

        open_console().print(
            " ".join(f"{name}={value}" for name, value in run.items()), highlight=False, soft_wrap=True
        )
        open_console().print(measurements.table(samples))
    return 0


def _here(plan: "Plan") -> "Measured":
    from ipsectest.runner.measure import Bench  # noqa: PLC0415
    from ipsectest.runner.measure.traffic import has_iperf3  # noqa: PLC0415

    if not has_iperf3():
        _say("throughput is left out: apt-get install iperf3")
    bench = Bench(plan)
    return list(bench.samples(_say)), {"plane": "user", **bench.labels}


def _guest_bench(plan: "Plan", peer: str | None) -> "GuestBench":
    """The peer is installed now: a user namespace would take the network away."""
    from ipsectest.peers import table  # noqa: PLC0415
    from ipsectest.runner.measure.guest import GuestBench  # noqa: PLC0415

    name = table.parse(peer or "strongswan")
    bench = GuestBench(plan, name)
    table.install(name, _say)
    return bench


def _in_guest(bench: "GuestBench") -> "Measured":
    samples = list(bench.samples(_say))
    return samples, {"plane": "kernel", **bench.labels}


def _say(text: str) -> None:
    print(text, file=sys.stderr)  # noqa: T201


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= 100_000:
        raise ArgumentTypeError("a number from 1 to 100000")
    return int(text)


def _counts(text: str) -> tuple[int, ...]:
    return tuple(_count(part) for part in text.split(","))
