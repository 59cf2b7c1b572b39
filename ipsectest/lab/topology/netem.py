"""Impairments by the kernel (sch_netem), where it has them."""

from ipsectest.base.errors import LabError
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology.commands import run_inside
from ipsectest.net.impairment import Impairment


def has_netem(namespace: Namespace) -> bool:
    """Whether this kernel has netem, tried on the loopback of a namespace that nobody uses yet."""
    try:
        impair(namespace, "lo", Impairment())
        run_inside(namespace, ["tc", "qdisc", "del", "dev", "lo", "root"], package="iproute2")
    except LabError:
        return False
    return True


def impair(namespace: Namespace, device: str, impairment: Impairment) -> None:
    """Impair what leaves by a device."""
    argv = ["tc", "qdisc", "add", "dev", device, "root", "netem", *options(impairment)]
    run_inside(namespace, argv, package="iproute2")


def options(impairment: Impairment) -> list[str]:
    """The words of tc-netem(8); its jitter, other than ours, may also change the order."""
    words = ["limit", str(impairment.limit)]
    if impairment.delay:
        words += ["delay", f"{impairment.delay * 1e6:.0f}us"]
        words += [f"{impairment.jitter * 1e6:.0f}us"] if impairment.jitter else []
    for name in ("loss", "duplicate", "reorder"):
        if probability := getattr(impairment, name):
            words += [name, f"{probability * 100:g}%"]
    if impairment.rate:
        words += ["rate", f"{impairment.rate:.0f}bit"]
    return words
