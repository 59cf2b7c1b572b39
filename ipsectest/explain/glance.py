"""A short look at frames of ESP that nothing can open, so that a large capture takes seconds instead of minutes.

Most frames of a capture are ESP of a few SAs. Once the long way (``decrypt``) has found that there are no keys for a
flow, what follows on it between the same addresses only has its sequence number entered.
"""

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.frames import Frame
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.explain.flows import Flow, Flows
from ipsectest.wire.datagrams import host_text

_IPV4_AT = {1: 14, 101: 0, 228: 0, 113: 16}
"""Where the IPv4 header begins in a frame of a link type without tags."""
_ETHERTYPE_AT = {1: 12, 113: 14}
_IPV4, _ESP, _UDP = b"\x08\x00", 50, 17
_NAT_T = b"\x11\x94"
_HEADER = 20

Known = tuple[bytes, int]
"""Addresses with SPI, and the offset of the SPI from the IP header."""


class Glance:
    """For one capture, beside one database of SAs."""

    def __init__(self, database: SaDatabase, flows: Flows) -> None:
        self._database = database
        self._all = flows
        self._keys = len(database.sas)
        self._flows: dict[Known, Flow] = {}

    def take(self, frame: Frame, link_type: int) -> bool:
        """Whether the frame was one of a known flow, and is done with."""
        if len(self._database.sas) != self._keys:  # the keys that came may be those of a known flow
            self._keys = len(self._database.sas)
            self._flows.clear()
        known = self._flows and known_place(frame, link_type)
        flow = self._flows.get(known) if known else None
        if not known or flow is None:
            return False
        at = _IPV4_AT[link_type] + known[1] + 4
        flow.enter(frame.number, frame.nanoseconds, int.from_bytes(frame.data[at : at + 4], "big"))
        return True

    def remember(self, frame: Frame, link_type: int) -> None:
        """After the long way: if it was ESP without keys, what follows may go the short way."""
        known = known_place(frame, link_type)
        if known is None:
            return
        source, destination, spi = known[0][:4], known[0][4:8], known[0][8:]
        flow = self._all.found.get(("ESP", spi, host_text(source), host_text(destination)))
        if flow is not None and not any(self._database.knows(ProtocolId.ESP, one) for one in (spi, b"")):
            self._flows[known] = flow


def known_place(frame: Frame, link_type: int) -> Known | None:
    """Which flow a frame belongs to; None for anything but whole, unfragmented ESP over IPv4 without options."""
    at = _IPV4_AT.get(link_type)
    data = frame.data
    if at is None or len(data) < at + _HEADER + 16 or len(data) < frame.length or data[at] != 0x45:
        return None
    if data[at + 6] & 0x3F or data[at + 7]:
        return None
    ether = _ETHERTYPE_AT.get(link_type)
    if ether is not None and data[ether : ether + 2] != _IPV4:
        return None
    spi = _HEADER
    if data[at + 9] == _UDP:
        if data[at + 20 : at + 22] != _NAT_T and data[at + 22 : at + 24] != _NAT_T:
            return None
        spi += 8
    elif data[at + 9] != _ESP:
        return None
    return bytes(data[at + 12 : at + 20]) + bytes(data[at + spi : at + spi + 4]), spi
