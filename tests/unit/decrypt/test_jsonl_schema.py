"""The shipped schema of ``decrypt --jsonl`` holds for real captures of both versions and for damaged messages."""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.jsonl import SCHEMA_FILE, JsonLines
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode
from tests.unit.decrypt.test_ipcomp import deflated, ipcomp
from tests.unit.decrypt.test_unwrap import keys_of, sender
from tests.unit.ipsec.sas import seeded

TESTS = Path(__file__).parents[2]
CAPTURES = [
    (path, next(one for name in (".keys.toml", ".log") if (one := path.with_suffix(name)).exists()))
    for folder in (TESTS.parent / "pcaps", TESTS / "vectors" / "ikev1", TESTS / "vectors" / "rfc9370")
    for path in sorted(folder.glob("*.pcapng"))
]
each = pytest.mark.parametrize(("capture", "keys"), CAPTURES, ids=[path.stem for path, _ in CAPTURES])
VALIDATOR = jsonschema.Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))
RAW = Interface(101)


def lines(frames: Iterator[tuple[Frame, Interface]], ring: KeyRing) -> list[dict]:
    text = io.StringIO()
    run = Decryption(ring, jsonl=JsonLines(text))
    for frame, interface in frames:
        run.take(frame, interface)
    run.finish()
    return [json.loads(line) for line in text.getvalue().splitlines()]


def frames_of(path: Path) -> Iterator[tuple[Frame, Interface]]:
    capture = open_capture(path)
    for frame in capture.frames():
        yield frame, capture.interfaces[frame.interface]
    capture.close()


def test_the_schema_itself_is_valid() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)


@each
@pytest.mark.parametrize("has_keys", [True, False])
def test_every_line_is_as_the_schema_says(capture: Path, keys: Path, has_keys: bool) -> None:
    found = lines(frames_of(capture), detect.read(keys) if has_keys else KeyRing())
    for line in found:
        VALIDATOR.validate(line)
    assert {line["type"] for line in found} == {"ike", "packet"}
    assert any("inner" in line for line in found) is has_keys


@each
def test_damaged_messages_have_lines_that_keep_to_it(capture: Path, keys: Path) -> None:
    """Clear messages are taken apart whatever they hold, so that every kind of value comes up."""
    draw = random.Random(capture.stem)
    damaged = []
    for frame, interface in [one for one in frames_of(capture) if len(one[0].data) > 60] * 4:
        data = bytearray(frame.data)
        for _ in range(draw.randrange(1, 4)):
            data[draw.randrange(42, len(data))] = draw.randrange(256)
        damaged.append((Frame(frame.number, frame.nanoseconds, 0, bytes(data), len(data)), interface))
    found = lines(iter(damaged), detect.read(keys))
    for line in found:
        VALIDATOR.validate(line)
    assert found


def test_compression_and_failures_are_in_it() -> None:
    sa = sender("aes128gcm16", mode=Mode.TRANSPORT)
    inner = ipcomp(4, 3, b"LZS"), ipcomp(17, 2, deflated(bytes(65_530)))
    packets = [protect(sa, one, seeded(n)) for n, one in enumerate(inner)]
    frames = [(Frame(number, 0, 0, packet, len(packet)), RAW) for number, packet in enumerate(packets, 1)]
    named, broken = lines(iter(frames), KeyRing(sas=[keys_of(sa)]))
    assert named["compression"] == "IPComp CPI 0003 LZS, not unpacked"
    assert broken["failure"]["reason"] == "bad-inner"
    for line in (named, broken):
        VALIDATOR.validate(line)


@pytest.mark.parametrize(
    "change",
    [{"frame": 0}, {"type": "esp"}, {"more": 1}, {"sas": [{"spi": "C0FFEE01"}]}, {"inner": {"octets": "4"}}],
)
def test_other_lines_are_refused(change: dict) -> None:
    (line, *_) = (line for line in lines(frames_of(CAPTURES[0][0]), KeyRing()) if line["type"] == "packet")
    VALIDATOR.validate(line)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(line | change)
