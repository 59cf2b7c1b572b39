"""Whatever lies across the cuts of a file: several workers write what one writes, octet by octet."""

import io
import json
import random
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from scapy.layers.inet import IP
from scapy.layers.inet import fragment as cut_up

from ipsectest.cli.main import main
from ipsectest.decrypt import trial, trial_seams
from ipsectest.decrypt.capture import open_capture, parts
from ipsectest.decrypt.capture.parts import cut
from ipsectest.decrypt.jsonl import JsonLines, counted_on
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.parallel import Workers, declare, decrypt_in_parts
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.sequence import SequenceTrack
from ipsectest.decrypt.summary import summary
from ipsectest.decrypt.trial import Trial
from ipsectest.decrypt.worker import decrypt_one
from ipsectest.ipsec.packets import protect
from tests.unit.decrypt.test_ike import ike_keys
from tests.unit.decrypt.test_parallel import NAME, in_two, packets_of, sealed, write
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, PCAPS, keys_of, sender


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "SMALLEST", 4096)


@dataclass
class Outcome:
    """All that a run writes and tells."""

    packets: bytes = b""
    lines: str = ""
    told: dict[str, Any] = field(default_factory=dict)
    in_parts: bool = False


def decrypt(path: Path, ring: KeyRing, workers: int, *, with_outer: bool = False, tries: bool = False) -> Outcome:
    text, out = io.StringIO(), path.with_suffix(".out")
    made = Outcome()
    with out.open("wb") as file:
        output = Output(file, with_outer=with_outer)
        run = Decryption(ring, output, JsonLines(text))
        run.trial = Trial(run.sas) if tries else None
        made.in_parts = workers > 1 and not decrypt_in_parts(run, path, ring, output, Workers(workers))
        if not made.in_parts:
            declare(output, path)
            capture = open_capture(path)
            decrypt_one(run, capture, output, fast=True)
            capture.close()
    made.packets, made.lines, made.told = out.read_bytes(), text.getvalue(), summary(run)
    if run.trial:
        made.told |= {"found": run.trial.found, "attempts": run.trial.attempts}
    return made


def same(path: Path, ring: KeyRing, workers: int, **options: Any) -> Outcome:
    """What several have, after it was held against what one has."""
    one, many = decrypt(path, ring, 1, **options), decrypt(path, ring, workers, **options)
    assert many.lines == one.lines
    assert many.packets == one.packets
    assert many.told == one.told
    return many


@pytest.mark.parametrize("classic", [True, False], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("workers", [2, 5])
def test_lines_of_several_workers(classic: bool, workers: int, tmp_path: Path) -> None:
    ring, packets = sealed(600)
    del packets[100:105], packets[400]
    path = write(tmp_path / "in", packets, classic=classic)
    assert len(list(cut(path, 4096))) > 5
    many = same(path, ring, workers)
    assert many.in_parts
    frames = [json.loads(line)["frame"] for line in many.lines.splitlines()]
    assert frames == list(range(1, 595))


def test_keys_that_one_part_tells_open_the_parts_behind_it(tmp_path: Path) -> None:
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    again = [one for one in frames if one[9] == 50] * 20
    early = [one for one in frames if one[9] == 50][:10]
    path = write(tmp_path / "in", [*early, *frames, *again], classic=True)
    ring = KeyRing()
    ring.ike += list(ike_keys(NAME))[:1]
    many = same(path, ring, 3)
    assert many.in_parts
    assert many.told["derived"] > 0
    assert '"replay":true' in many.lines


def test_what_was_learned_before_one_process_begins_anew_is_taken_back(tmp_path: Path) -> None:
    frames = list(packets_of(PCAPS / f"{NAME}.pcapng"))
    esp = [one for one in frames if one[9] == 50]
    torn = [piece for n in range(8) for piece in in_two(esp[n], n + 7)]
    torn = [*torn[::2], *esp[:40], *torn[1::2], *esp[:200]] * 3
    ring = KeyRing()
    ring.ike += list(ike_keys(NAME))[:1]
    many = same(write(tmp_path / "in", [*esp, *frames, *torn], classic=True), ring, 3)
    assert not many.in_parts


def test_packets_that_a_capture_has_twice(tmp_path: Path) -> None:
    """As of every device at once: at some cut the second one is the first of a part."""
    ring, packets = sealed(400)
    path = write(tmp_path / "in", [one for packet in packets for one in (packet, packet)], classic=True)
    many = same(path, ring, 3)
    assert many.in_parts
    assert sum(sa["replayed"] for sa in many.told["sas"]) == 400


def test_packets_that_overtake_each_other(tmp_path: Path) -> None:
    ring, packets = sealed(600)
    draw = random.Random(3)
    order = sorted(range(600), key=lambda number: number + draw.randrange(12))
    many = same(write(tmp_path / "in", [packets[n] for n in order], classic=True), ring, 3)
    assert many.in_parts
    assert sum(sa["late"] for sa in many.told["sas"]) > 100


@pytest.mark.parametrize("between", [0, 3])
def test_fragments_across_cuts(between: int, tmp_path: Path) -> None:
    """Behind each other they are put together from part to part; with others between them one process has to."""
    ring, packets = sealed(400)
    frames: list[bytes] = []
    for n in range(0, 400, 4):
        first, second = in_two(packets[n], n)
        others = packets[n + 1 : n + 4]
        frames += [first, *others[:between], second, *others[between:]]
    many = same(write(tmp_path / "in", frames, classic=True), ring, 3)
    assert many.told["opened"] == 400
    assert many.in_parts == (not between)


def test_outer_frames_and_fragments_are_in_their_order(tmp_path: Path) -> None:
    ring, packets = sealed(200)
    frames = [piece for n, packet in enumerate(packets) for piece in in_two(packet, n)]
    same(write(tmp_path / "in", frames, classic=True), ring, 3, with_outer=True)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_comes_in_whatever_order(seed: int, tmp_path: Path) -> None:
    draw = random.Random(seed)
    ring, packets = sealed(250)
    del ring.sas[2 if seed % 3 else 3 :]
    frames: list[bytes] = []
    for number, packet in enumerate(packets):
        match draw.randrange(12):
            case 0:
                frames += in_two(packet, number)
            case 1:
                frames += [packet, draw.choice(packets[max(0, number - 30) : number + 1])]
            case 2:
                frames.append(bytes(IP(src="192.0.2.7", dst="192.0.2.8") / draw.randbytes(20)))
            case 3:
                frames.insert(max(0, len(frames) - draw.randrange(40)), packet)
            case 4:
                damaged = bytearray(packet)
                damaged[draw.randrange(20, len(damaged))] ^= 1
                frames.append(bytes(damaged))
            case 5:
                frames += [bytes(one) for one in cut_up(IP(packet), 40)][draw.randrange(2) :]
            case _:
                frames.append(packet)
    same(write(tmp_path / "in", frames, classic=bool(seed % 2)), ring, 2 + seed % 3, with_outer=seed % 4 == 3)


def nameless(ring: KeyRing) -> KeyRing:
    """The same keys, for other SAs."""
    made = KeyRing()
    made.sas += [replace(one, spi=(0xDEAD + n).to_bytes(4, "big")) for n, one in enumerate(reversed(ring.sas))]
    return made


def test_keys_that_are_found_by_trial(tmp_path: Path) -> None:
    ring, packets = sealed(400)
    many = same(write(tmp_path / "in", packets, classic=True), nameless(ring), 3, tries=True)
    assert many.in_parts
    assert many.told["opened"] == 400
    assert len(many.told["found"]) == 3


@pytest.mark.parametrize("seed", range(6))
def test_trial_of_whatever_comes(seed: int, tmp_path: Path) -> None:
    """Damaged first packets, SAs without any keys, keys without ICV, SAs that begin late."""
    draw = random.Random(seed)
    suites = ["aes128gcm16", "aes128", "aes128-sha256", "aes256gcm16", "aes192"]
    sas = [sender(suite, spi=(0x1000 + n).to_bytes(4, "big"), seed=n) for n, suite in enumerate(suites)]
    ring = KeyRing()
    ring.sas += [keys_of(sa) for n, sa in enumerate(sas) if n != seed % 6]
    frames: list[bytes] = []
    for number in range(500):
        at = draw.randrange(min(len(sas), 1 + number // 60))
        packet = bytearray(protect(sas[at], (INNER, INNER_V6)[number % 2], draw.randbytes))
        if draw.random() < (0.9 if number % 100 < 20 else 0.05):
            packet[draw.randrange(28, len(packet))] ^= 1
        frames.append(bytes(packet))
    many = same(write(tmp_path / "in", frames, classic=bool(seed % 2)), nameless(ring), 2 + seed % 3, tries=True)
    assert many.in_parts
    assert many.told["found"]


def test_the_bound_of_attempts_is_one_for_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (trial, trial_seams):
        monkeypatch.setattr(module, "MOST_ATTEMPTS", 60)
    ring, packets = sealed(400)
    del ring.sas[1:]
    many = same(write(tmp_path / "in", packets, classic=True), nameless(ring), 3, tries=True)
    assert not many.in_parts
    assert "no more keys were tried" in "".join(many.told["notes"])


def test_standard_output(tmp_path: Path, capfdbinary: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    ring, packets = sealed(500)
    path = write(tmp_path / "in.pcap", [one for n, two in enumerate(packets) for one in in_two(two, n)], classic=True)
    keys = tmp_path / "keys.toml"
    from ipsectest.decrypt.keys import ours

    keys.write_text(ours.write(ring))
    told = []
    for jobs in ("1", "3"):
        for name in ("-", str(tmp_path / "lines")):
            assert main(["decrypt", str(path), "-k", str(keys), "--jsonl", name, "--jobs", jobs]) == 0
            printed = capfdbinary.readouterr().out
            told.append(printed if name == "-" else Path(name).read_bytes())
    assert told[0].count(b"\n") == 500
    assert len(set(told)) == 1


def test_numbers_of_frames_are_those_of_the_file() -> None:
    lines = '{"type":"packet","frame":9,"x":"{\\"type\\":\\"ike\\",\\"frame\\":1"}\n{"type":"ike","frame":10}\n'
    assert counted_on(lines, 0) == lines
    assert counted_on(lines, 990) == lines.replace('frame":9,', 'frame":999,').replace('frame":10}', 'frame":1000}')


def test_lines_that_are_there_already_are_not_written_again() -> None:
    file = io.StringIO()
    lines = JsonLines(file)
    lines.lines(b"of an earlier file\n")
    lines.begin()
    lines.lines(b"one\n")
    lines.pass_over()
    for text in (b"on", b"e\ntwo\n", b"three\n"):
        lines.lines(text)
    assert file.getvalue() == "of an earlier file\none\ntwo\nthree\n"


@pytest.mark.parametrize(
    ("before", "behind", "new"),
    [
        ([1, 2, 3], [4, 5], True),
        ([1, 2, 4], [3, 5], True),
        ([1, 2, 3], [3, 4], False),
        ([1, 5000], [2, 5001], False),
        ([], [7], True),
        ([100], [*range(101, 200), 50], False),
    ],
)
def test_numbers_behind_others(before: list[int], behind: list[int], new: bool) -> None:
    first, second, both = SequenceTrack(), SequenceTrack(), SequenceTrack()
    for number in before:
        first.take(number)
        both.take(number)
    flags = [second.take(number) for number in behind]
    assert first.takes_as_new(second) == new
    if new:
        assert [both.take(number) for number in behind] == flags
        first.merge(second)
        for name in ("first", "highest", "late", "replayed", "seen", "unique"):
            assert getattr(first, name) == getattr(both, name), name
