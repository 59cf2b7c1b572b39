"""The lab's virtual machine with peers in it: the trees that its image is packed from."""

import shlex
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ipsectest.base.errors import PeerError, UsageError
from ipsectest.lab.vm import image
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.peers import rootfs, table
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.rootfs import Progress, Recipe
from ipsectest.peers.strongswan import PROGRAM as CHARON
from ipsectest.peers.strongswan_settings import daemon_conf

SUITE = "bookworm"
KERNEL = Recipe(
    "linux-image-amd64",
    (
        *("linux-image-amd64", "busybox-static", "dash", "bash", "coreutils", "util-linux", "base-files"),
        *("iproute2", "nftables", "iputils-ping", "tcpdump", "iperf3", "socat", "netbase"),
        "usr-is-merged",  # the alternative, usrmerge, would bring all of perl
    ),
    unpack_only=True,
)
PYTHON = Recipe("python3", ("python3",), unpack_only=True)


def cache_directory() -> Path:
    """Where images and snapshots stand."""
    return rootfs.cache_directory() / "vm"


RESIDENT = "/run/resident"
"""Directory in the guest of a daemon that is part of its snapshot: its configuration and its control socket."""
_DRIVER = "strongswan"


def resident(name: PeerName) -> str:
    """A script that starts charon in the guest's own network, to be saved with it; UsageError for other daemons.

    Guests of one snapshot begin with the same state of charon's random generator: for trying things, not for secrecy.
    """
    if name.driver != _DRIVER:
        raise UsageError(f"only {_DRIVER} can be running in the virtual machine when it starts, not {name}")
    settings = shlex.quote(daemon_conf(DaemonOptions(user_space_esp=False), PurePosixPath("/run/peer")))
    launch = f"launch /proc/1/ns/net /peers/{name} {RESIDENT} {CHARON}"
    return f"""
mkdir -p {RESIDENT} && cd {RESIDENT} && printf %s {settings} >strongswan.conf
STRONGSWAN_CONF=/run/peer/strongswan.conf \\
    setsid unshare -m sh -c 'umount /lab && exec {launch}' </dev/null >charon.out 2>&1 &
tries=0
until [ -S charon.vici ] || [ $tries -eq 600 ]; do tries=$((tries + 1)) && sleep 0.05; done
[ -S charon.vici ] || {{ cat charon.out; exit 1; }}
"""


def can_hold(name: PeerName) -> bool:
    """Whether a virtual machine can be started with this peer: only trees go into its image."""
    return Path(PROGRAM).exists() and rootfs.find(name) is not None


def build(peers: Iterable[PeerName], progress: Progress = lambda _line: None, *, python: bool = False) -> image.Image:
    """The image with these peers, whose trees must be installed; what is missing of the rest is made.

    ``python`` adds an interpreter (``/peers/python``), for tests that run in the guest.
    """
    trees: dict[str, Path] = {}
    for name in peers:
        root = table.root_of(name)
        if root is None:
            raise PeerError(f"{name} is no tree: the virtual machine takes peers from Debian suites only")
        trees[str(name)] = root
    kernel = rootfs.install(PeerName("kernel", SUITE), KERNEL, progress)
    interpreter = rootfs.install(PeerName("python", SUITE), PYTHON, progress).root if python else None
    return image.build(cache_directory(), kernel.root, trees, python=interpreter)
