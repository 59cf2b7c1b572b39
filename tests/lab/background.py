"""A ping that runs while a test does other things."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ipsectest.net.loop import EventLoop
from tests.lab.two_namespaces import ProcessEnd


@contextmanager
def pinging(loop: EventLoop, namespace: str, address: str, count: int, interval: float) -> Iterator[Callable[[], str]]:
    """ping in the background; the function runs the loop until its end and returns what it printed."""
    command = ["ip", "netns", "exec", namespace, "ping", "-n", "-q", f"-c{count}", f"-i{interval}", "-W2", address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        end = ProcessEnd(process.pid)
        loop.add(end)

        def wait() -> str:
            assert loop.run_until(lambda: end.ended, count * interval * 3 + 10)
            loop.remove(end)
            return process.stdout.read()

        try:
            yield wait
        finally:
            process.kill()
