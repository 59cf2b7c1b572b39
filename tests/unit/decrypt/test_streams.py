"""IKE and ESP over TCP: real messages of strongSwan in streams that Scapy makes, whole, reordered, cut and damaged."""

import json
import random
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Raw
from scapy.utils import PcapNgReader, PcapWriter

from ipsectest.cli.main import main
from ipsectest.decrypt import byte_stream, streams
from ipsectest.decrypt.byte_stream import ByteStream
from ipsectest.decrypt.capture import open_capture, parts
from ipsectest.decrypt.tcp_framing import PREFIX, Framing
from ipsectest.wire.ip import build_ip, parse_ip
from tests.growth import SQUARE, growth
from tests.unit.cli.test_decrypt import NAME, files, tshark

HOSTS = ("192.0.2.2", "192.0.2.1")
"""Initiator of the connection and its responder."""
ISN = (0xFFFFFF00, 0x7FFFFFF0)
"""Both wrap, or change sign, within the capture."""


def messages() -> list[tuple[str, bytes]]:
    """(source, message with its marker) of the capture over UDP."""
    with PcapNgReader(files(NAME)[0]) as reader:
        found = [(packet[IP].src, bytes(packet[UDP].payload), packet[UDP].dport) for packet in reader]
    return [(source, (bytes(4) if port == 500 else b"") + data) for source, data, port in found]


class Connection:
    """Packets of one TCP connection in the order in which they were captured."""

    def __init__(self, port: int = 4500) -> None:
        self.ports = (50000, port)
        self.next = list(ISN)
        self.packets: list[bytes] = []

    def segment(self, way: int, data: bytes = b"", flags: str = "PA") -> bytes:
        source, destination = HOSTS[:: 1 - 2 * way]
        ports = self.ports[:: 1 - 2 * way]
        tcp = TCP(sport=ports[0], dport=ports[1], seq=self.next[way], ack=self.next[1 - way], flags=flags)
        self.next[way] = (self.next[way] + len(data) + ("S" in flags)) % (1 << 32)
        packet = bytes(IP(src=source, dst=destination) / tcp / Raw(data))
        self.packets.append(packet)
        return packet

    def handshake(self) -> "Connection":
        for way, flags in ((0, "S"), (1, "SA"), (0, "A")):
            self.segment(way, flags=flags)
        return self


def framed(message: bytes) -> bytes:
    return (len(message) + 2).to_bytes(2, "big") + message


def conversation(port: int = 4500, *, prefix: bytes = PREFIX) -> Connection:
    """Each message in a segment of its own; the prefix comes with the first."""
    made = Connection(port).handshake()
    for source, message in messages():
        made.segment(HOSTS.index(source), prefix + framed(message))
        prefix = b""
    return made


def written(packets: list[bytes], path: Path) -> str:
    with PcapWriter(str(path), linktype=101) as writer:
        for packet in packets:
            writer.write(packet)
    return str(path)


def contents(capture: str, out: Path, *options: str) -> list[bytes]:
    """Inner packets, and IKE messages in clear, as decrypt writes them."""
    assert main(["decrypt", capture, "-k", files(NAME)[1], "-o", str(out), "--no-comments", *options]) == 0
    opened = open_capture(out)
    packets = [parse_ip(bytes(frame.data)) for frame in opened.frames()]
    opened.close()
    return [ip.payload[8:] if ip.protocol == 17 else ip.payload for ip in packets if ip]


@pytest.fixture(scope="module")
def wanted(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return contents(files(NAME)[0], tmp_path_factory.mktemp("udp") / "out")


@pytest.mark.parametrize("port", [4500, 443])
def test_a_stream_gives_what_datagrams_gave(port: int, tmp_path: Path, wanted: list[bytes]) -> None:
    capture = written(conversation(port).packets, tmp_path / "in")
    assert contents(capture, tmp_path / "out") == wanted
    assert {row[0] for row in tshark(tmp_path / "out", "_ws.malformed")} == {""}


def test_the_summary_counts_segments(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture = written(conversation().packets, tmp_path / "in")
    assert main(["decrypt", capture, "-k", files(NAME)[1], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["opened"], found["ike"]["opened"], found["tcp"], found["clear"]) == (36, 12, 50, 3)
    assert not found["notes"]


def test_frames_as_captured_stand_beside_once(tmp_path: Path) -> None:
    made = Connection().handshake()
    for way in (0, 1):
        whole = b"".join(framed(message) for source, message in messages() if source == HOSTS[way])
        made.segment(way, (b"" if way else PREFIX) + whole)
    capture = written(made.packets, tmp_path / "in")
    assert len(contents(capture, tmp_path / "out", "--with-outer")) == 50 + 5


@pytest.mark.parametrize("seed", range(8))
def test_any_cut_and_order_of_segments_gives_the_same(seed: int, tmp_path: Path, wanted: list[bytes]) -> None:
    draw = random.Random(seed)
    made = Connection().handshake()
    octets = [b"", b""]
    for source, message in messages():
        octets[HOSTS.index(source)] += framed(message)
    octets[0] = PREFIX + octets[0]
    waiting: list[list[bytes]] = [[], []]
    for way in (0, 1):
        at = 0
        while at < len(octets[way]):
            size = draw.choice((1, 3, 40, 700, 1400))
            waiting[way].append(made.segment(way, octets[way][at : at + size]))
            if draw.random() < 0.3:  # a longer copy, which overlaps what follows
                made.next[way] = (made.next[way] - len(octets[way][at : at + size])) % (1 << 32)
                waiting[way].append(made.segment(way, octets[way][at : at + size + 500]))
                size += 500
            at += size
    made.packets = made.packets[:3]
    for way in (0, 1):
        while waiting[way]:
            chunk, waiting[way] = waiting[way][:6], waiting[way][6:]
            made.packets += draw.sample(chunk, len(chunk)) + chunk[:1]
    found = contents(written(made.packets, tmp_path / "in"), tmp_path / "out")
    assert sorted(found) == sorted(wanted)


@pytest.mark.parametrize("start", [3, 4, 20, 33])
def test_a_capture_may_begin_within_a_connection(start: int, tmp_path: Path, wanted: list[bytes]) -> None:
    capture = written(conversation().packets[start:], tmp_path / "in")
    found = contents(capture, tmp_path / "out")
    assert found == wanted[start - 3 :] or start != 3
    esp = [message for message in wanted[start - 3 :] if message[:1] in {b"\0", b"\x08"}]
    assert [message for message in found if message[:1] in {b"\0", b"\x08"}] == esp


def test_what_a_capture_lacks_costs_no_more_than_itself(tmp_path: Path, wanted: list[bytes]) -> None:
    made = conversation()
    del made.packets[10]
    capture = written(made.packets, tmp_path / "in")
    found = contents(capture, tmp_path / "out")
    assert sorted(found) == sorted(wanted[:7] + wanted[8:])


def test_missing_octets_are_told(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = conversation()
    gone = parse_ip(made.packets.pop(10))
    assert gone
    assert main(["decrypt", written(made.packets, tmp_path / "in"), "-k", files(NAME)[1]]) == 0
    assert f"lacks {len(gone.payload) - 20} octets" in capsys.readouterr().out


def test_a_truncated_segment_is_a_gap(tmp_path: Path, wanted: list[bytes], capsys: pytest.CaptureFixture) -> None:
    made = conversation()
    with PcapWriter(str(tmp_path / "in"), linktype=101) as writer:
        writer.write_header(None)
        for number, packet in enumerate(made.packets):
            writer.write_packet(packet[:60] if number == 10 else packet, wirelen=len(packet))
    found = contents(str(tmp_path / "in"), tmp_path / "out")
    assert sorted(found) == sorted(wanted[:7] + wanted[8:])
    assert "1 frames were captured in part only" in capsys.readouterr().out


@pytest.mark.parametrize("port", [443, 4500])
def test_other_streams_are_clear(port: int, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    made = Connection(port).handshake()
    made.segment(0, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
    made.segment(1, b"HTTP/1.1 200 OK\r\n\r\n" + random.Random(1).randbytes(1000))
    assert main(["decrypt", written(made.packets, tmp_path / "in"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["clear"], found["tcp"]) == (5, 0)


def test_workers_leave_streams_to_one_process(
    tmp_path: Path, wanted: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 4096)
    padding = [bytes(IP(src="192.0.2.7", dst="192.0.2.8") / UDP(sport=9, dport=9) / Raw(bytes(900)))] * 100
    capture = written(padding + conversation(443).packets, tmp_path / "in")
    assert contents(capture, tmp_path / "out", "--jobs", "2") == wanted


@given(st.data())
def test_the_octets_of_a_stream_come_in_order(data: st.DataObject) -> None:
    text = bytes(range(256)) * 2
    cuts = data.draw(st.lists(st.tuples(st.integers(0, 511), st.integers(1, 60)), max_size=40))
    pieces = [(at, text[at : at + size]) for at, size in cuts] + [(at, text[at : at + 64]) for at in range(0, 512, 64)]
    stream = ByteStream(0xFFFFFFF0)
    given_octets = b"".join(
        stream.take((0xFFFFFFF0 + at) % (1 << 32), piece) for at, piece in data.draw(st.permutations(pieces))
    )
    assert given_octets == text
    assert (stream.held, stream.lost) == (0, 0)


@given(st.lists(st.binary(max_size=200), max_size=30), st.booleans())
def test_no_octets_disturb_the_framing(pieces: list[bytes], from_start: bool) -> None:
    framing = Framing({b"\1\2\3\4"}, from_start=from_start)
    taken = sum(len(message) + 2 for piece in pieces for message in framing.take(piece))
    assert taken + framing.held + framing.passed_over <= sum(map(len, pieces))
    assert framing.held <= 65535 + 200


def test_memory_is_bounded() -> None:
    """A gap that nothing fills, streams without end, and no end of streams."""
    stream = ByteStream(0)
    number = 0
    while not stream.is_stuck:
        stream.take(10 + number * 1000, bytes(1000))
        number += 1
    assert number <= byte_stream.MOST_AHEAD // 1000 + 1
    many: streams.Streams[int] = streams.Streams(set(), frozenset({4500}))
    for host in range(6000):
        for number in (1000, 6000):
            header = struct.pack("!HHIIBBHHH", 1, 4500, number, 0, 5 << 4, 16, 0, 0, 0)
            ip = parse_ip(build_ip(b"\xc0\0" + host.to_bytes(2, "big"), bytes(4), 6, header + bytes(4000)))
            assert ip
            many.take(ip, host)
    assert len(many) <= streams.MOST_STREAMS
    assert sum(one.held for one in many._streams.values()) <= streams.MOST_OCTETS


def test_a_hostile_stream_costs_no_square_of_its_octets() -> None:
    """It falls out of step behind each SPI; segments with gaps between them wait until the end of the capture."""

    def framing(count: int) -> None:
        Framing({b"\1\2\3\4"}, from_start=False).take(b"\0\0\1\2\3\4" * count)

    def gaps(count: int) -> None:
        stream = ByteStream(0)
        for number in range(count):
            stream.take(10 + 2 * number, b"x")
        while stream.held:
            stream.skip()
        assert stream.lost == 10 + count - 1

    for task in (framing, gaps):
        assert growth(task, 4000) < SQUARE / 2


def test_a_segment_costs_more_memory_than_its_octets() -> None:
    many: streams.Streams[int] = streams.Streams(set(), frozenset({4500}))
    for host in range(300):
        for number in range(900):
            header = struct.pack("!HHIIBBHHH", 1, 4500, 10 + 2 * number, 0, 5 << 4, 0, 0, 0, 0)
            ip = parse_ip(build_ip(b"\xc0\0" + host.to_bytes(2, "big"), bytes(4), 6, header + b"x"))
            assert ip
            many.take(ip, host)
    assert len(many) < 200
