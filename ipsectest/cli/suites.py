"""The suites that a command line names."""

from argparse import ArgumentParser, ArgumentTypeError

from ipsectest.base.suites import TransformSpec, format_suite, parse_suite

DEFAULTS = parse_suite("aes128gcm16-prfsha256-x25519"), parse_suite("aes128gcm16-noesn")
"""Of IKE and ESP."""


def add_arguments(parser: ArgumentParser, *, instead: str = "") -> None:
    """Declare ``--ike`` and ``--esp``; ``instead``: what else is taken if they are left out, which is None then."""
    for name, suite in zip(("ike", "esp"), DEFAULTS, strict=True):
        default = format_suite(suite) + (f", or {instead}" if instead else "")
        parser.add_argument(
            f"--{name}",
            type=_suite,
            default=None if instead else suite,
            metavar="SUITE",
            help=f"{name.upper()} proposal (default: {default})",
        )


def _suite(text: str) -> tuple[TransformSpec, ...]:
    try:
        return parse_suite(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{error} in {text!r}") from None
