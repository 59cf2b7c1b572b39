"""What the decrypt command makes of a cell's folder."""

import subprocess
from collections.abc import Collection, Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.peers.table import BUILTIN
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.settings import Ends
from ipsectest.wire.ip import ICMP, ICMPV6, IpPacket, parse_ip

_ECHO_TYPES = {ICMP: {0, 8}, ICMPV6: {128, 129}}


def is_echo(packet: bytes) -> bool:
    """A ping, which is all that crosses the tunnel of a cell."""
    ip = parse_ip(packet)
    return ip is not None and ip.protocol in _ECHO_TYPES and ip.payload[0] in _ECHO_TYPES[ip.protocol]


def decrypted(folder: Path, capture: Path) -> tuple[Path, list[bytes]]:
    """The output of the command for a cell's folder, and the pings in it."""
    output = folder / "clear.pcapng"
    assert main(["decrypt", str(capture), "-k", str(folder), "-o", str(output)]) == 0
    opened = open_capture(output)
    found = [bytes(frame.data) for frame in opened.frames()]
    opened.close()
    assert not opened.notes
    return output, [packet for packet in found if is_echo(packet)]


def hosts_of_ours(cell: Cell, ends: Ends) -> set[bytes]:
    """Whose packets get an IP header of their own on the way: those of our endpoint in transport mode.

    Its sockets make the header in front of ESP, and it makes one for what it hands over: identification, DF, flow label
    and hop limit are not those of the packet inside, whose payload is all that ESP carries (RFC 4303 section 3.1.1).
    """
    places = (cell.initiator, ends.inner_initiator), (cell.responder, ends.inner_responder)
    return {ip_address(host).packed for peer, host in places if cell.mode == "transport" and peer == BUILTIN}


def sent(packets: Iterable[bytes], ours: Collection[bytes]) -> dict[bytes, list[bytes]]:
    """Each host's packets in their order: two directions cross on their way to whoever records them."""
    found: dict[bytes, list[bytes]] = {}
    for packet, ip in _parsed(packets):
        found.setdefault(ip.source, []).append(_content(ip) if ip.source in ours else packet)
    return found


def received(packets: Iterable[bytes], ours: Collection[bytes]) -> list[bytes]:
    """What came to the hosts, in an order of its own."""
    return sorted(_content(ip) if ip.destination in ours else packet for packet, ip in _parsed(packets))


def _parsed(packets: Iterable[bytes]) -> Iterator[tuple[bytes, IpPacket]]:
    for packet in packets:
        ip = parse_ip(packet)
        assert ip is not None
        yield packet, ip


def _content(ip: IpPacket) -> bytes:
    return b"".join((ip.source, ip.destination, bytes([ip.protocol]), ip.payload))


def malformed(path: Path) -> list[str]:
    """What tshark marks as malformed or wrong, without any keys or settings."""
    argv = ["tshark", "-n", "-r", str(path), "-Y", "_ws.malformed || _ws.expert.severity == error"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
