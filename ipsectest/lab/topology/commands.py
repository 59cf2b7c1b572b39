"""Short commands of the machine and kernel settings, inside a namespace."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.namespaces import Namespace
from ipsectest.net.inside import inside

_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_CAP = 10.0


def run_inside(namespace: Namespace, argv: Sequence[str], script: str = "", *, package: str) -> None:
    """Run it to its end; LabError with what it said, or with the package that brings it."""
    program = shutil.which(argv[0], path=_PATH)
    if program is None:
        raise LabError(f"{argv[0]} is not installed: apt-get install {package}")
    try:
        done = subprocess.run(  # noqa: S603 - words of our own
            ["nsenter", f"--net={namespace.path}", "--", program, *argv[1:]],  # noqa: S607
            input=script.encode(),
            capture_output=True,
            env={"PATH": _PATH},
            timeout=_CAP,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{argv[0]} does not end within {_CAP:.0f} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        raise LabError(f"{argv[0]}: {said.splitlines()[0]}")


def set_sysctl(namespace: Namespace, key: str, value: str) -> None:
    """Set what stands below ``/proc/sys/net``, which each namespace has of its own."""
    try:
        inside(namespace.name, lambda: Path("/proc/sys/net", key).write_text(value))
    except OSError as error:
        raise LabError(f"cannot set net/{key}: {error.strerror}") from error
