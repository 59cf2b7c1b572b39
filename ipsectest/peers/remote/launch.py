"""Become a program that dies with its parent, even if that is killed: run as a script of its own.

Argument 1 is the parent's process ID, the others are the program and its arguments. It must not do this in a child
of a large interpreter between fork and exec.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """End with status 1 and one line on standard error if there is no such program, with 127 if the parent is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != int(sys.argv[1]):
        sys.exit(127)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the user's own program
    except OSError as error:
        sys.exit(f"cannot run {sys.argv[2]}: {error.strerror}")


if __name__ == "__main__":
    main()
