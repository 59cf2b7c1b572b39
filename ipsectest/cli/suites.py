"""The suites that a command line names."""

from argparse import ArgumentParser, ArgumentTypeError

from ipsectest.base.suites import TransformSpec, parse_suite


def add_arguments(parser: ArgumentParser) -> None:
    """Declare ``--ike`` and ``--esp``."""
    parser.add_argument(
        "--ike", type=_suite, default="aes128gcm16-prfsha256-x25519", metavar="SUITE", help="IKE proposal"
    )
    parser.add_argument("--esp", type=_suite, default="aes128gcm16-noesn", metavar="SUITE", help="ESP proposal")


def _suite(text: str) -> tuple[TransformSpec, ...]:
    try:
        return parse_suite(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{error} in {text!r}") from None
