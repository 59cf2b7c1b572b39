"""The lab's virtual machine with peers in it: the trees that its image is packed from."""

from collections.abc import Iterable
from pathlib import Path

from ipsectest.base.errors import PeerError
from ipsectest.lab.vm import image
from ipsectest.peers import rootfs, table
from ipsectest.peers.names import PeerName
from ipsectest.peers.rootfs import Progress, Recipe

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
