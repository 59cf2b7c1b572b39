"""What this machine can do for ipsectest, and the one command that adds what is missing."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import IpsectestError
from ipsectest.lab.lab import Lab
from ipsectest.lab.privileges import can_make_namespaces
from ipsectest.lab.xfrm import esp_refusal

_PROBE_CAP = 10.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One row: an ability, whether it is there, what it is for, and the command that adds it."""

    ability: str
    ok: bool
    purpose: str
    remedy: str
    detail: str = ""
    """A version or a reason."""
    required: bool = False
    """Whether `ipsectest run` against a real peer cannot do without."""


def examine(peers: Iterable[str] = ()) -> list[Finding]:
    """Look at everything; ``peers`` are the names of the root file systems that are installed."""
    installed = sorted(peers)
    return [
        _namespaces(),
        _user_namespaces(),
        _tun(),
        _kernel_esp(),
        _program("qemu-system-x86_64", "qemu-system-x86", "a virtual machine with kernel ESP (--lab vm)", "--version"),
        _program("nft", "nftables", "NAT between tester and peer", "--version"),
        _program("iperf3", "iperf3", "throughput in ipsectest measure"),
        _program("tshark", "tshark", "tests that compare with Wireshark", "--version"),
        _program("mmdebstrap", "mmdebstrap", "building the root file systems of peers", "--version", required=True),
        _program("newuidmap", "uidmap", "building root file systems without root"),
        _subordinate_ids(_user()),
        _program("chromium", "chromium", "tests of the HTML report"),
        Finding(
            "peers",
            bool(installed),
            "real daemons to test against",
            "ipsectest peers install strongswan",
            ", ".join(installed),
            required=True,
        ),
    ]


def _subordinate_ids(user: str, folder: Path = Path("/etc")) -> Finding:
    """Root needs none; others own the files of a tree by them."""
    purpose = "building root file systems without root"
    remedy = f"usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    if user == "root":
        return Finding("subordinate IDs", True, purpose, remedy, "root needs none")
    missing = [name for name in ("subuid", "subgid") if not _has_line_for(user, folder / name)]
    return Finding("subordinate IDs", not missing, purpose, remedy, " and ".join(f"none in {one}" for one in missing))


def _user() -> str:
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _has_line_for(user: str, path: Path) -> bool:
    names = {user, str(os.getuid())}
    try:
        return any(line.split(":")[0] in names for line in path.read_text(errors="replace").splitlines())
    except OSError:
        return False


def _namespaces() -> Finding:
    here = can_make_namespaces()
    detail = "root" if here else "not root: runs move into a user namespace by themselves"
    return Finding(
        "network namespaces",
        here or _unshare_works(),
        "labs with real peers",
        "run as root, or allow user namespaces",
        detail,
        required=True,
    )


def _user_namespaces() -> Finding:
    limit = Path("/proc/sys/user/max_user_namespaces")
    restricted = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
    remedy = "sysctl -w user.max_user_namespaces=10000"
    if restricted.exists() and restricted.read_text().strip() == "1":
        remedy = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    elif Path("/proc/sys/kernel/unprivileged_userns_clone").exists():
        remedy = "sysctl -w kernel.unprivileged_userns_clone=1"
    detail = f"at most {limit.read_text().strip()}" if limit.exists() else "the kernel has none"
    return Finding("user namespaces", _unshare_works(), "labs without root", remedy, detail)


def _unshare_works() -> bool:
    command = ["unshare", "--user", "--map-root-user", "--net", "--mount", "true"]
    try:
        return subprocess.run(command, capture_output=True, timeout=_PROBE_CAP, check=False).returncode == 0  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return False


def _tun() -> Finding:
    device = "/dev/net/tun"
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        remedy = f"chmod 0666 {device}" if isinstance(error, PermissionError) else "modprobe tun"
        return Finding(device, False, "the wire to a peer, user-space ESP", remedy, error.strerror or "", required=True)
    return Finding(device, True, "the wire to a peer, user-space ESP", "modprobe tun", required=True)


def _kernel_esp() -> Finding:
    purpose = "peers that leave ESP to the kernel (Libreswan): strongSwan brings its own, --lab vm another kernel"
    remedy = "modprobe -a xfrm_user esp4 esp6"
    if not can_make_namespaces():
        return Finding("kernel ESP", False, purpose, "ipsectest doctor as root", "not tried: needs root")
    try:
        with Lab() as lab:
            refusal = esp_refusal(lab.namespace("doctor"))
    except (IpsectestError, OSError) as error:
        refusal = str(error)
    return Finding("kernel ESP", not refusal, purpose, remedy, refusal)


def _program(name: str, package: str, purpose: str, *version: str, required: bool = False) -> Finding:
    path = shutil.which(name)
    detail = _first_line([path, *version]) if path and version else path or ""
    return Finding(name, bool(path), purpose, f"apt-get install {package}", detail, required)


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PROBE_CAP, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return next(iter((done.stdout or done.stderr).splitlines()), "")
