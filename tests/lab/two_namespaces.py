"""Two network namespaces joined by a veth pair, for tests of net; unique names, removed at the end."""

import fcntl
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest
from pyroute2 import IPRoute, netns

from ipsectest.net.loop import EventLoop


@dataclass(frozen=True)
class Pair:
    left: str
    right: str


def require_lab(*programs: str) -> None:
    """Skip, saying why, where namespaces cannot be made."""
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        pytest.skip("/dev/net/tun cannot be opened")
    probe = f"ipsectest-probe-{secrets.token_hex(3)}"
    try:
        netns.create(probe)
    except OSError as error:
        pytest.skip(f"no network namespaces here: {error}")
    netns.remove(probe)


@contextmanager
def namespaces(count: int) -> Iterator[list[str]]:
    run = secrets.token_hex(3)
    names = [f"ipsectest-{run}-{n}" for n in range(count)]
    with ExitStack() as stack:
        for name in names:
            netns.create(name)
            stack.callback(netns.remove, name)
            held = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, held)
            fcntl.flock(held, fcntl.LOCK_SH)  # `ipsectest lab clean` leaves alone what is held
            with IPRoute(netns=name) as route:
                route.link("set", index=1, state="up")
        yield names


@contextmanager
def joined() -> Iterator[Pair]:
    """192.0.2.1 and 2001:db8::1 on the left, .2 and ::2 on the right."""
    with namespaces(2) as (left, right):
        with IPRoute(netns=left) as route:
            route.link("add", ifname="veth0", kind="veth", peer={"ifname": "veth0", "net_ns_fd": right})
        for number, name in enumerate((left, right), 1):
            with IPRoute(netns=name) as route:
                index = route.link_lookup(ifname="veth0")[0]
                route.link("set", index=index, state="up")
                route.addr("add", index=index, address=f"192.0.2.{number}", prefixlen=24)
                route.addr("add", index=index, address=f"2001:db8::{number}", prefixlen=64, flags=0x02)
        yield Pair(left, right)


class ProcessEnd:
    """A machine that notices the end of a process."""

    def __init__(self, pid: int) -> None:
        self.handle = os.pidfd_open(pid)
        self.ended = False

    def handles(self) -> list[int]:
        return [self.handle]

    def readable(self, handle: int, now: float) -> None:
        del handle, now
        self.ended = True

    def get_timer(self) -> None:
        return None

    def handle_timer(self, now: float) -> None:
        raise AssertionError(f"no timer was set, called at {now}")


def ping(loop: EventLoop, namespace: str, destination: str, *options: str) -> int:
    """The exit status of three pings, while the loop runs."""
    command = ["ip", "netns", "exec", namespace, "ping", "-n", "-c3", "-i0.01", "-W2", *options, destination]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        end = ProcessEnd(process.pid)
        loop.add(end)
        try:
            assert loop.run_until(lambda: end.ended, 15), "ping did not end"
        finally:
            loop.remove(end)
            os.close(end.handle)
            process.kill()
        return process.wait()
