"""IP packets in Ethernet frames over unix datagrams: a wire to a virtual machine without a device of our kernel.

It stands where `PacketWire` otherwise has a TUN device. There is no ARP: the machine's card sends without, and takes
what is sent to its hardware address.
"""

import socket
import struct
from contextlib import suppress
from pathlib import Path

from ipsectest.base.errors import LabError

_BATCH = 64
_MAX_FRAME = 65535
_HEADER = struct.Struct("!6s6sH")
_OUR_ADDRESS = bytes.fromhex("0200000000fe")  # locally administered (IEEE 802)
_ETHERTYPES = {4: 0x0800, 6: 0x86DD}


class FrameDevice:
    """Frames for the machine go to the socket ``theirs``, what it sends arrives at ``ours``; both are paths.

    ``card`` is the hardware address of the machine's card (6 octets). Raises LabError.
    """

    def __init__(self, ours: Path, theirs: Path, card: bytes, *, mtu: int = 1500) -> None:
        self.name = ours.name
        self.mtu = mtu
        self._ours = ours
        self._theirs = str(theirs)
        self._card = card
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            self._socket.bind(str(ours))
        except OSError as error:
            self._socket.close()
            raise LabError(f"cannot listen for frames at {ours}: {error}") from error

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def read(self) -> list[bytes]:
        """The IP packets that wait, at most 64 of them at once; never blocks."""
        packets: list[bytes] = []
        with suppress(BlockingIOError):
            for _ in range(_BATCH):
                frame = self._socket.recv(_MAX_FRAME)
                if len(frame) > _HEADER.size and _HEADER.unpack_from(frame)[2] in _ETHERTYPES.values():
                    packets.append(frame[_HEADER.size :])
        return packets

    def write(self, packet: bytes) -> bool:
        """Send a packet to the card; False if it is no IP packet or nobody takes it now."""
        kind = _ETHERTYPES.get(packet[0] >> 4) if packet else None
        if kind is None:
            return False
        try:
            self._socket.sendto(_HEADER.pack(self._card, _OUR_ADDRESS, kind) + packet, self._theirs)
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Stop listening; a second call does nothing."""
        if self._socket.fileno() >= 0:
            self._socket.close()
            self._ours.unlink(missing_ok=True)
