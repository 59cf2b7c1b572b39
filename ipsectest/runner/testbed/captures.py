"""Every link of a network recorded, one pcapng file each, which can be read while they grow."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

from ipsectest.base.clock import Instant
from ipsectest.lab.capture import LinkCapture
from ipsectest.lab.topology import Network
from ipsectest.net.pcapng import PcapngWriter


class Captures:
    """A machine for ``EventLoop``; ``close`` records what still waits."""

    def __init__(self, network: Network, folder: Path) -> None:
        folder.mkdir(mode=0o700)
        self.files: dict[str, Path] = {}
        """By name of the link."""
        self._open: dict[int, tuple[LinkCapture, BinaryIO]] = {}
        self._stack = ExitStack()
        for link in network.topology.links:
            path = folder / f"{link.name}.pcapng"
            # Both ends of a link see the same packets.
            writer = self._stack.enter_context(PcapngWriter(file := path.open("wb")))
            capture = LinkCapture(*network.socket(link.ends[0]), writer)
            self._stack.callback(capture.close)
            self._open[capture.fileno()] = capture, file
            self.files[link.name] = path

    def handles(self) -> Sequence[int]:
        """The packet sockets."""
        return tuple(self._open)

    def readable(self, handle: int, now: Instant) -> None:
        """Record what waits, and let readers of the file see it."""
        del now
        capture, file = self._open[handle]
        capture.drain()
        file.flush()

    def get_timer(self) -> None:
        """None."""

    def handle_timer(self, now: Instant) -> None:
        """Not called."""

    def close(self) -> None:
        """Close sockets and files."""
        self._stack.close()
