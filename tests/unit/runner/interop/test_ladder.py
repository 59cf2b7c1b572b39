"""Ladders of cells, decoded with the keys beside them; out of the reference captures."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from scapy.utils import RawPcapNgReader

from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.runner.interop.ladder import ladder
from ipsectest.runner.interop.watch import Frame
from ipsectest.wire.ip import parse_ip

PCAPS = Path(__file__).parents[4] / "pcaps"
NAMES = sorted(path.stem for path in PCAPS.glob("*.pcapng"))
PSK = "strongswan-responder-psk-aes128gcm16"


def frames_of(name: str) -> list[Frame]:
    with RawPcapNgReader(str(PCAPS / f"{name}.pcapng")) as reader:
        link, packets = 0, []
        for data, meta in reader:
            link = meta.linktype
            packets.append(data)
    headers = {4: bytes(12) + b"\x08\x00", 6: bytes(12) + b"\x86\xdd"}
    whole = packets if link == 1 else [headers[data[0] >> 4] + data for data in packets]
    ours = None
    frames = []
    for number, data in enumerate(whole):
        ip = parse_ip(data[14:])
        if ip is None:
            continue
        ours = ours or ip.source
        frames.append(Frame(number * 1_000_000, ip.source == ours, data))
    return frames


def ring_of(name: str) -> KeyRing:
    return detect.read(PCAPS / f"{name}.keys.toml")


@pytest.mark.parametrize("name", NAMES)
def test_every_encrypted_message_is_shown_open(name: str) -> None:
    rungs = [rung for rung in ladder(frames_of(name), ring_of(name)) if rung.direction != "--"]
    sealed = [rung for rung in rungs if "SK" in rung.text]
    assert sealed
    assert all("SK{" in rung.text for rung in sealed)
    auth = [rung.text for rung in sealed if rung.text.startswith("IKE_AUTH")]
    assert all("AUTH" in text.partition("SK{")[2] and "TSi" in text for text in auth)
    assert all(any("AUTH" in line.text for line in rung.details) for rung in sealed if rung.text in auth)


def test_without_keys_they_stay_closed() -> None:
    rungs = [rung for rung in ladder(frames_of(PSK), KeyRing()) if rung.direction != "--"]
    assert [rung.text for rung in rungs if "SK" in rung.text]
    assert not any("SK{" in rung.text for rung in rungs)
    assert all(rung.details for rung in rungs)


def test_salts_that_the_log_leaves_out_come_from_the_messages() -> None:
    whole = ring_of(PSK)
    bare = [replace(keys, sk_ei=keys.sk_ei[:-4], sk_er=keys.sk_er[:-4], sk_d=b"") for keys in whole.ike]
    assert ladder(frames_of(PSK), KeyRing(without_salt=bare)) == ladder(frames_of(PSK), whole)


def test_wrong_keys_open_nothing() -> None:
    wrong = [replace(keys, sk_ei=bytes(20), sk_er=bytes(20)) for keys in ring_of(PSK).ike]
    assert not any("SK{" in rung.text for rung in ladder(frames_of(PSK), KeyRing(ike=wrong)))


def test_a_message_in_ip_fragments_is_one_rung_and_open() -> None:
    frames = frames_of(PSK)
    pieces: list[Frame] = []
    for number, frame in enumerate(frames):
        packet = bytearray(frame.data[14:])
        packet[4:6], packet[6:8] = (number + 1).to_bytes(2, "big"), b"\0\0"
        if len(packet) < 100:
            pieces.append(frame)
            continue
        header, body = packet[:20], packet[20:]
        for offset, part, more in ((0, body[:64], 0x2000), (64, body[64:], 0)):
            head = bytearray(header)
            head[2:4] = (20 + len(part)).to_bytes(2, "big")
            head[6:8] = (more | offset // 8).to_bytes(2, "big")
            head[10:12] = b"\0\0"
            total = sum(int.from_bytes(head[i : i + 2], "big") for i in range(0, 20, 2))
            total = (total & 0xFFFF) + (total >> 16)
            head[10:12] = (0xFFFF - ((total & 0xFFFF) + (total >> 16))).to_bytes(2, "big")
            pieces.append(replace(frame, data=frame.data[:14] + bytes(head) + bytes(part)))
    assert len(pieces) > len(frames)
    texts = [[rung.text for rung in ladder(some, ring_of(PSK)) if rung.direction != "--"] for some in (frames, pieces)]
    assert texts[0] == texts[1]
    assert ip_address(parse_ip(frames[0].data[14:]).source).version == 4  # type: ignore[union-attr]


def test_damaged_frames_do_no_harm() -> None:
    ring = ring_of(PSK)
    whole = ladder(frames_of(PSK), ring)
    for frame in frames_of(PSK):
        for length in range(0, len(frame.data), 7):
            ladder([replace(frame, data=frame.data[:length])], ring)
    flipped = [replace(f, data=f.data[:-1] + bytes([f.data[-1] ^ 1])) for f in frames_of(PSK)]
    assert len(ladder(flipped, ring)) <= len(whole)
