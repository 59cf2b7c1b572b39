"""The pcapng writer, read back by Scapy and by Wireshark's own tool."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.utils import RawPcapNgReader

from ipsectest.net.pcapng import LINKTYPE_ETHERNET, LINKTYPE_RAW, PcapngWriter, WireCapture
from ipsectest.net.wire import Direction

PING = bytes.fromhex("4500001c00010000400166d9c0000201c00002020800f7fd00010001")


@given(
    packets=st.lists(st.tuples(st.integers(0, 2**63), st.binary(max_size=200), st.text(max_size=40)), max_size=8),
    comment=st.text(max_size=40),
)
def test_what_is_written_is_read_back(packets: list[tuple[int, bytes, str]], comment: str) -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file, comment)
    writer.add_interface("wire")
    for nanoseconds, data, text in packets:
        writer.packet(nanoseconds, data, direction=Direction.SENT, comment=text)
    file.seek(0)
    reader = RawPcapNgReader(file)
    read = list(reader)
    assert [data for data, _ in read] == [data for _, data, _ in packets]
    stamps = [(meta.tshigh << 32 | meta.tslow) for _, meta in read]
    assert stamps == [nanoseconds for nanoseconds, _, _ in packets]
    assert all(meta.tsresol == 1_000_000_000 and meta.linktype == LINKTYPE_RAW for _, meta in read)


def test_a_wire_capture_keeps_nanoseconds(tmp_path: Path) -> None:
    file = io.BytesIO()
    tap = WireCapture(PcapngWriter(file), "wire", epoch=1_700_000_000.0)
    tap(12.000000001, Direction.RECEIVED, PING)
    file.seek(0)
    _, meta = next(iter(RawPcapNgReader(file)))
    assert meta.tshigh << 32 | meta.tslow == 1_700_000_012_000_000_001


def test_a_very_long_comment_is_cut() -> None:
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface("wire")
    writer.packet(0, PING, comment="x" * 100_000)
    file.seek(0)
    assert next(iter(RawPcapNgReader(file)))[0] == PING


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_wireshark_reads_time_direction_comments_and_both_link_types(tmp_path: Path) -> None:
    path = tmp_path / "wire.pcapng"
    with PcapngWriter(path.open("wb"), "one case") as writer:
        writer.add_interface("ether", LINKTYPE_ETHERNET)
        raw = writer.add_interface("wire")
        writer.packet(1_700_000_000_123_456_789, bytes(12) + b"\x08\x00" + PING)
        writer.packet(1_700_000_000_123_456_790, PING, interface=raw, direction=Direction.SENT, comment="the ping")
    fields = ["frame.time_epoch", "frame.interface_name", "frame.packet_flags_direction", "frame.comment", "icmp.type"]
    command = ["tshark", "-r", str(path), "-T", "fields", *(w for f in fields for w in ("-e", f))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    first, second = (line.split("\t") for line in done.stdout.splitlines())
    assert first == ["1700000000.123456789", "ether", "", "", "8"]
    assert second[:2] + second[3:] == ["1700000000.123456790", "wire", "the ping", "8"]
    assert int(second[2], 0) == 2
