"""Entry point: the table of sub-commands and the help.

``ipsectest --help`` is on the way of every shell completion and CI log, so nothing at all is imported for it;
``cli.dispatch`` does the rest.
"""

import sys
from collections.abc import Sequence

COMMANDS: dict[str, str] = {
    "run": "run scenarios against peers and write a report",
    "interop": "set up tunnels between every pair of peers, in a matrix",
    "proof": "show that every scenario can fail: healthy and impaired built-in peer",
    "lint": "check scenario files without running them",
    "list": "list scenarios, by family, peer role or requirement",
    "show": "explain one scenario: why, requirements, ladder",
    "keys": "show or convert keys: daemon logs, Wireshark tables, ip xfrm state, ...",
    "decrypt": "captures in clear for Wireshark, with keys of any notation",
    "explain": "say what happened in a capture or log, and what to change",
    "report": "render or compare a report.json again",
    "peers": "install, list and remove peers",
    "lab": "topologies to work in; a virtual machine with kernel ESP; cleaning up",
    "measure": "measure what IPsec costs, with and without it in one run",
    "doctor": "say what this machine can do and what is missing",
    "shell": "a Scapy prompt with the IPsec layers",
    "version": "print the version",
}
"""Name of each sub-command (module ``ipsectest.cli.<name>``) and its line in the help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; the return value is the exit code of design section 7."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if not argv or argv[0] in {"-h", "--help", "help"}:
        print(_help())  # noqa: T201
        return 0 if argv else 2
    from ipsectest.cli import dispatch  # noqa: PLC0415 - argparse and pathlib cost more than the whole help

    return dispatch.dispatch(argv, COMMANDS)


def _help() -> str:
    lines = ["usage: ipsectest COMMAND [OPTION...]", "", "Packet lab and conformance tester for IPsec.", ""]
    lines += [f"  {name:<9} {summary}" for name, summary in COMMANDS.items()]
    lines += ["", "ipsectest COMMAND --help explains a command.", ""]
    lines += ["exit codes: 0 all as expected, 1 regression or fixed, 2 usage or lint error,"]
    lines += ["            3 inconclusive only (the lab is broken), 130 interrupted"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
