"""A real capture behind every kind of link header: decrypt opens what tshark opens, and nothing less."""

from pathlib import Path

import pytest
from scapy.contrib.mpls import MPLS
from scapy.layers.inet import IP
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.layers.ppp import HDLC, PPP, PPPoE
from scapy.packet import Packet
from scapy.utils import PcapNgReader, PcapWriter

from ipsectest.cli.main import main
from ipsectest.decrypt.capture import open_capture
from ipsectest.wire.ip import ICMP
from tests.pcaps.tshark import require_tshark
from tests.unit.cli.test_decrypt import NAME, files
from tests.unit.cli.test_decrypt_wireshark import with_profile

ETHERNET = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
LINKS: dict[str, tuple[int, Packet | None]] = {
    "ethernet": (1, ETHERNET),
    "vlan": (1, ETHERNET / Dot1Q(vlan=5)),
    "qinq": (1, ETHERNET / Dot1AD(vlan=7) / Dot1Q(vlan=5)),
    "mpls": (1, Ether(dst=ETHERNET.dst, src=ETHERNET.src, type=0x8847) / MPLS(label=9, s=0) / MPLS(label=10, s=1)),
    "pppoe": (1, ETHERNET / PPPoE(sessionid=1) / PPP()),
    "sll": (113, CookedLinux()),
    "sll2": (276, CookedLinuxV2()),
    "null": (0, Loopback()),
    "ppp": (9, PPP()),
    "hdlc": (50, HDLC() / PPP()),
    "raw": (101, None),
    "ipv4": (228, None),
}


def behind(link: str, path: Path) -> str:
    """The packets of the capture behind a link header each."""
    number, header = LINKS[link]
    with PcapNgReader(files(NAME)[0]) as reader, PcapWriter(str(path), linktype=number or 1) as writer:
        for packet in reader:
            ip = packet[IP]
            writer.write(bytes(header / ip) if header is not None else bytes(ip))
    if not number:  # Scapy takes 0 for "not told"
        octets = path.read_bytes()
        path.write_bytes(octets[:20] + bytes(4) + octets[24:])
    return str(path)


@pytest.mark.parametrize("link", LINKS)
def test_every_link_header_is_read_as_tshark_reads_it(link: str, tmp_path: Path) -> None:
    require_tshark()
    capture = behind(link, tmp_path / "in.pcap")
    arguments = ["-k", files(NAME)[1], "-o", str(tmp_path / "out"), "--wireshark", str(tmp_path / "profile")]
    assert main(["decrypt", capture, *arguments]) == 0
    theirs, _ = with_profile(capture, tmp_path / "profile")
    ours = echoes(tmp_path / "out")
    assert [row[:2] for row in theirs] == ours
    assert sum(bool(row[0]) for row in ours) == 36


def echoes(path: Path) -> list[list[str]]:
    """ICMP type and sequence number of each packet, empty for others."""
    capture = open_capture(path)
    packets = [bytes(frame.data) for frame in capture.frames()]
    capture.close()
    return [
        [str(packet[20]), str(int.from_bytes(packet[26:28], "big"))] if packet[9] == ICMP else ["", ""]
        for packet in packets
    ]
