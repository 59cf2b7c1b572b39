"""Step into a network namespace and a root file system, then become the program: run as a script of its own.

A child of a large, possibly threaded interpreter must not do this between fork and exec, and the tester itself must
not move. Argument 1 is a JSON object of the fields of ``processes.Launch``; only the standard library is imported.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import mounts  # type: ignore[import-not-found]

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Do what argument 1 says; errors end with status 125 and one line on stderr."""
    launch = json.loads(sys.argv[1])
    # The daemon must not outlive a tester that is killed. Asked twice: the tester may be gone before prctl.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != launch["parent"]:
        sys.exit(125)
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if launch["namespace"]:
        mounts.enter(launch["namespace"], mounts.CLONE_NEWNET)
    mounts.private_mounts()
    if launch["root"]:
        root = Path(launch["root"])
        mounts.furnish(root, launch["binds"])
        os.chroot(root)
    os.chdir(launch["directory"])
    os.execve(launch["argv"][0], launch["argv"], launch["environment"])  # noqa: S606 - no shell wanted


if __name__ == "__main__":
    try:
        main()
    except OSError as error:
        sys.exit(f"cannot launch: {error}")
