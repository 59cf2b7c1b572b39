"""``ipsectest decrypt`` as a user types it, on the committed captures of real tunnels."""

import json
import os
import re
import signal
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.cli.main import main

PCAPS = Path(__file__).parents[3] / "pcaps"
NAMES = sorted(path.stem for path in PCAPS.glob("*.pcapng"))
NAME = "strongswan-initiator-psk-natt-aes128gcm16"


def files(name: str) -> tuple[str, str]:
    return str(PCAPS / f"{name}.pcapng"), str(PCAPS / f"{name}.keys.toml")


def tshark(path: Path, *fields: str) -> list[list[str]]:
    options = [part for field in fields for part in ("-e", field)]
    argv = ["tshark", "-n", "-r", str(path), "-T", "fields", *options]
    lines = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    return [line.split("\t") for line in lines]


@pytest.mark.parametrize("name", NAMES)
def test_wireshark_reads_everything_in_clear_without_any_keys(name: str, tmp_path: Path) -> None:
    capture, keys = files(name)
    out = tmp_path / "out.pcapng"
    assert main(["decrypt", capture, "-k", keys, "-o", str(out)]) == 0
    names = "_ws.malformed isakmp.exchangetype icmp.type icmpv6.type frame.comment frame.time_epoch isakmp.typepayload"
    rows = tshark(out, *names.split())
    assert len(rows) == len(tshark(Path(capture), "frame.number"))
    assert {row[0] for row in rows} == {""}
    assert all(row[1] or row[2] or row[3] for row in rows)
    assert not any("46" in row[6].split(",") for row in rows)
    assert sum("ICV good" in row[4] for row in rows) == sum(bool(row[2] or row[3]) for row in rows)
    assert [row[5] for row in rows] == [row[0] for row in tshark(Path(capture), "frame.time_epoch")]


@pytest.mark.parametrize("name", NAMES)
def test_ike_keys_alone_open_the_esp_of_child_sas_without_pfs(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    text = Path(files(name)[1]).read_text()
    keys = tmp_path / "ike.toml"
    keys.write_text(text[: text.index("[[esp]]")])
    assert main(["decrypt", files(name)[0], "-k", str(keys), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["ike"]["closed"] == 0
    assert found["derived"] in {2, 4}
    assert found["opened"] >= 12


def test_the_fast_path_and_the_slow_one_write_the_same(tmp_path: Path) -> None:
    capture, keys = files(NAME)
    for name, options in (("fast", []), ("slow", ["--slow"])):
        assert main(["decrypt", capture, "-k", keys, "-o", str(tmp_path / name), *options]) == 0
    assert (tmp_path / "fast").read_bytes() == (tmp_path / "slow").read_bytes()
    assert stat.S_IMODE((tmp_path / "fast").stat().st_mode) == 0o600


def test_captured_frames_stand_beside_those_in_clear(tmp_path: Path) -> None:
    capture, keys = files(NAME)
    out = tmp_path / "out.pcapng"
    assert main(["decrypt", capture, "-k", keys, "-o", str(out), "--with-outer"]) == 0
    rows = tshark(out, "frame.interface_name")
    assert len(rows) == 2 * len(tshark(Path(capture), "frame.number"))
    assert sum("decrypted" in row[0] for row in rows) == len(rows) // 2


def test_json_lines_have_every_message_and_packet(tmp_path: Path) -> None:
    capture, keys = files(NAME)
    out = tmp_path / "out.jsonl"
    assert main(["decrypt", capture, "-k", keys, "--jsonl", str(out)]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["frame"] for line in lines] == [int(row[0]) for row in tshark(Path(capture), "frame.number")]
    packets = [line for line in lines if line["type"] == "packet"]
    assert {packet["inner"]["protocol"] for packet in packets} == {1}
    assert all(packet["sas"][0]["verified"] for packet in packets)
    auth = [p for line in lines if line["type"] == "ike" for p in line["payloads"] if p["payload"] == "AUTH"]
    assert [payload["method"]["name"] for payload in auth] == ["SHARED_KEY_MIC"] * 2


def test_the_page_has_a_bar_for_each_sa(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    capture, keys = files(NAME)
    out = tmp_path / "out.html"
    assert main(["decrypt", capture, "-k", keys, "--html", str(out), "--json"]) == 0
    sas = json.loads(capsys.readouterr().out)["sas"]
    spis = {row[0].removeprefix("0x") for row in tshark(Path(capture), "esp.spi") if row[0]}
    assert {sa["spi"] for sa in sas} == spis
    drawn = re.findall(r"<title>ESP ([0-9a-f]{8}) [^<]*</title>\n<text .*\n<line .*\n<rect ", out.read_text())
    assert sorted(drawn) == sorted([*spis, *spis]), "a wide picture and a narrow one"
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_what_stays_closed_is_told(capsys: pytest.CaptureFixture) -> None:
    assert main(["decrypt", files(NAME)[0], "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["opened"] == 0
    assert found["closed"] == {"unknown-spi": sum(one["packets"] for one in found["unknown"])}
    assert main(["decrypt", files(NAME)[0]]) == 0
    assert "no keys for ESP SPI" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["missing.pcap"], "cannot be read"),
        ([__file__], "is no capture"),
        ([files(NAME)[0], "-k", "missing.keys"], "missing.keys"),
        ([files(NAME)[0], "-k", files(NAME)[0]], ""),
        ([files(NAME)[0], "-o", "-", "--jsonl", "-"], "standard output"),
        ([files(NAME)[0], "-o", "one", "--html", "./one"], "two outputs"),
        ([files(NAME)[0], "-o", "one", "--wireshark", "one"], "two outputs"),
        ([files(NAME)[0], "--html", "/nonexistent/page.html"], "its folder does not exist"),
        ([files(NAME)[0], "--jobs", "-1"], "a number from 0 to 256"),
        ([files(NAME)[0], "-k", os.devnull], "there is nothing in it"),
        ([files(NAME)[0], "--nat-t-port", "65536"], "65536 is no UDP port"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: list, text: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["decrypt", *arguments]) == 2
    told = capsys.readouterr().err
    assert text in told
    assert "Traceback" not in told


def test_a_capture_is_never_written_over(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "capture.pcapng"
    path.write_bytes(Path(files(NAME)[0]).read_bytes())
    assert main(["decrypt", str(path), "-o", str(path)]) == 2
    assert "written over" in capsys.readouterr().err
    assert path.read_bytes() == Path(files(NAME)[0]).read_bytes()


def test_an_interrupt_leaves_a_whole_file(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    argv = [sys.executable, "-m", "ipsectest.cli.main", "decrypt", "-", "-k", files(NAME)[1], "-o", str(out)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        data = Path(files(NAME)[0]).read_bytes()
        for piece in (data[:-500], data[-500:-490]):  # the second is read when the first was worked off
            process.stdin.write(piece)
            process.stdin.flush()
            _wait_until_read(process.stdin.fileno())
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert out.read_bytes()[:4] == struct.pack("<I", 0x0A0D0D0A)
    assert len(tshark(out, "frame.number")) > 20


def _wait_until_read(descriptor: int) -> None:
    """Until a pipe is empty and its reader therefore waits."""
    import fcntl
    import select
    import termios
    import time

    end = time.monotonic() + 60
    while time.monotonic() < end:
        waiting = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))[0]
        if not waiting:
            return
        select.select([], [], [], 0.05)
    raise AssertionError("nothing reads the pipe")
