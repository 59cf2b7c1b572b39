"""What the decrypt command makes of a cell's folder."""

import subprocess
from pathlib import Path

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.wire.ip import ICMP, ICMPV6, parse_ip

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


def by_source(packets: list[bytes]) -> dict[bytes, list[bytes]]:
    """Each host's packets in their order: two directions cross on their way to whoever records them."""
    found: dict[bytes, list[bytes]] = {}
    for packet in packets:
        ip = parse_ip(packet)
        assert ip is not None
        found.setdefault(ip.source, []).append(packet)
    return found


def malformed(path: Path) -> list[str]:
    """What tshark marks as malformed or wrong, without any keys or settings."""
    argv = ["tshark", "-n", "-r", str(path), "-Y", "_ws.malformed || _ws.expert.severity == error"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
