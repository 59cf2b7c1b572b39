"""IP packets in Ethernet frames over unix datagrams."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.errors import LabError
from ipsectest.net.frame_device import FrameDevice
from ipsectest.net.packet_wire import PacketWire

CARD = bytes.fromhex("020000000001")


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(tmp_path / "guest"))
        end.settimeout(5)
        yield end


@pytest.fixture
def device(tmp_path: Path, guest: socket.socket) -> FrameDevice:
    del guest
    return FrameDevice(tmp_path / "ours", tmp_path / "guest", CARD)


@pytest.mark.parametrize("hosts", [("192.0.2.1", "192.0.2.254"), ("2001:db8::1", "2001:db8::fe")])
def test_a_datagram_goes_and_comes_back(
    device: FrameDevice, guest: socket.socket, tmp_path: Path, hosts: tuple[str, str]
) -> None:
    wire = PacketWire(None, (), device=device, scapy=False)
    sent = Datagram(b"\x00" * 28, Address(hosts[0], 500), Address(hosts[1], 500))
    assert wire.send(sent, 0.0)
    frame = guest.recv(2000)
    assert frame[:6] == CARD
    assert frame[12:14] == (b"\x08\x00" if "." in hosts[0] else b"\x86\xdd")
    guest.sendto(CARD + CARD + frame[12:], str(tmp_path / "ours"))
    assert wire.receive(wire.handles()[0], 0.0) == [sent]
    wire.close()
    wire.close()
    assert not (tmp_path / "ours").exists()
    guest.close()


def test_other_frames_are_passed_over_and_nobody_there_is_no_error(
    device: FrameDevice, guest: socket.socket, tmp_path: Path
) -> None:
    for frame in (b"", b"\x00" * 14, CARD * 2 + b"\x08\x06" + bytes(28)):
        guest.sendto(frame, str(tmp_path / "ours"))
    assert device.read() == []
    guest.close()
    (tmp_path / "guest").unlink()
    assert not device.write(b"\x45" + bytes(19))
    device.close()


@given(packet=st.binary(max_size=40))
def test_only_ip_packets_are_sent(tmp_path_factory: pytest.TempPathFactory, packet: bytes) -> None:
    folder = tmp_path_factory.mktemp("frames")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(str(folder / "guest"))
        device = FrameDevice(folder / "ours", folder / "guest", CARD)
        assert device.write(packet) == (bool(packet) and packet[0] >> 4 in {4, 6})
        device.close()


def test_a_place_that_is_taken_is_a_clear_error(device: FrameDevice, tmp_path: Path) -> None:
    with pytest.raises(LabError, match="ours"):
        FrameDevice(tmp_path / "ours", tmp_path / "guest", CARD)
    device.close()
