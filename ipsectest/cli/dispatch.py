"""Find the sub-command, import it alone, and turn errors into one line and an exit code."""

import difflib
import errno
import io
import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Collection, Sequence
from importlib import import_module
from typing import NoReturn, Protocol, cast

from ipsectest.base.errors import IpsectestError, UsageError

INTERRUPTED = 130
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG}
"""Errors of writing, which do not name the file."""


class _Module(Protocol):
    def add_arguments(self, parser: ArgumentParser) -> None: ...

    def execute(self, arguments: Namespace) -> int: ...


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


def dispatch(argv: Sequence[str], commands: Collection[str]) -> int:
    """Run the sub-command argv[0], one of ``commands``."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files may be no text
    try:
        return _run(argv, commands)
    except IpsectestError as error:
        print(f"ipsectest: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        return 0
    except OSError as error:
        if error.filename is None and error.errno not in _FULL:
            raise  # no file of the user's: a mistake of ours, which needs its traceback
        what = os.fsdecode(error.filename) if error.filename is not None else "cannot write"
        print(f"ipsectest: {what}: {error.strerror}", file=sys.stderr)  # noqa: T201
        return UsageError.exit_code
    except KeyboardInterrupt:
        print("ipsectest: interrupted", file=sys.stderr)  # noqa: T201
        return INTERRUPTED


class TerminatedError(KeyboardInterrupt):
    """A polite kill cleans up like Ctrl-C: both unwind the stack of context managers. Nobody survives it."""


def _run(argv: Sequence[str], commands: Collection[str]) -> int:
    name = "version" if argv[0] in {"-V", "--version"} else argv[0]
    if name not in commands:
        raise UsageError(_unknown(name, commands))
    signal.signal(signal.SIGTERM, _interrupt)
    os.register_at_fork(after_in_child=_default_signals)
    module = cast("_Module", import_module(f"ipsectest.cli.{name}"))
    parser = _Parser(prog=f"ipsectest {name}", description=module.__doc__, allow_abbrev=False)
    module.add_arguments(parser)
    return module.execute(parser.parse_args(argv[1:]))


def _unknown(name: str, commands: Collection[str]) -> str:
    near = difflib.get_close_matches(name, commands, n=1)
    hint = f", did you mean {near[0]!r}?" if near else " (see ipsectest --help)"
    return f"unknown {'option' if name.startswith('-') else 'command'} {name!r}{hint}"


def _default_signals() -> None:
    """A forked child (pyroute2 has some) must just end: unwinding our stack there would clean up under our feet."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _interrupt(_number: int, _frame: object) -> None:
    raise TerminatedError
