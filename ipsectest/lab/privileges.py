"""Root or rootless: a user namespace gives an ordinary user a network of its own to play in."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab import mounts
from ipsectest.lab.journal import runtime_directory

_CAP_SYS_ADMIN = 21
_CAP_NET_ADMIN = 12


def can_make_namespaces() -> bool:
    """Whether this process may create and configure network namespaces."""
    effective = next(
        (int(line.split()[1], 16) for line in Path("/proc/self/status").read_text().splitlines() if "CapEff" in line), 0
    )
    needed = 1 << _CAP_SYS_ADMIN | 1 << _CAP_NET_ADMIN
    return effective & needed == needed


def become_root_of_a_namespace() -> None:
    """Move this single-threaded process into new user, network and mount namespaces, where it is root.

    ``/run/netns`` becomes a private tmpfs; journals stay in the user's own runtime directory. Everything that is
    mounted or namespaced ends with the process. Raises LabError where user namespaces are switched off.
    """
    runtime = runtime_directory()
    uid, gid = os.getuid(), os.getgid()
    try:
        mounts.unshare(mounts.CLONE_NEWUSER | mounts.CLONE_NEWNS | mounts.CLONE_NEWNET)
    except OSError as error:
        raise LabError(f"user namespaces are not available ({error.strerror}): run as root") from None
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
    Path("/proc/self/gid_map").write_text(f"0 {gid} 1")
    mounts.mount("none", "/", flags=mounts.MS_REC | mounts.MS_PRIVATE)
    _private_run(runtime)
    os.environ["IPSECTEST_RUNTIME"] = str(runtime)


def reexec(argv: Sequence[str]) -> None:
    """Run the program again as root of a user namespace; returns only if that is not needed."""
    if can_make_namespaces():
        return
    become_root_of_a_namespace()
    os.execv(argv[0] if argv else sys.executable, list(argv))  # noqa: S606 - the same program, no shell


def _private_run(runtime: Path) -> None:
    """Put a tmpfs where namespace files go; the runtime directory, if below, shines through."""
    if Path("/run/netns").is_dir():
        mounts.mount("tmpfs", "/run/netns", "tmpfs", options="mode=0755")
        return
    kept = os.open(runtime, os.O_PATH | os.O_DIRECTORY)
    mounts.mount("tmpfs", "/run", "tmpfs", options="mode=0755")
    Path("/run/netns").mkdir()
    if not runtime.is_dir():  # it was below /run
        runtime.mkdir(parents=True)
        mounts.bind(f"/proc/self/fd/{kept}", runtime)
    os.close(kept)
