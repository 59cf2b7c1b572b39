"""Ctrl-C in a big run, sent once the progress bar shows that packets were written: what was done is whole."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ipsectest.decrypt.capture import open_capture
from tests.unit.cli.test_decrypt import NAME, files, tshark
from tests.unit.decrypt.test_two_paths import pcap

PACKETS = 100_000
PATIENCE = 60


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Replays without end, which the fast path leaves to the slow one."""
    capture = open_capture(files(NAME)[0])
    packets = [bytes(frame.data) for frame in capture.frames()]
    capture.close()
    path = tmp_path_factory.mktemp("big") / "big.pcap"
    path.write_bytes(pcap(packets[:12] * (PACKETS // 12)))
    return path


def interrupted(big: Path, *arguments: str) -> None:
    """Run until the bar has moved, interrupt, and expect the exit code of that."""
    ours, theirs = pty.openpty()
    argv = [sys.executable, "-m", "ipsectest.cli.main", "decrypt", str(big), "-k", files(NAME)[1], *arguments]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=theirs, env=os.environ | {"TERM": "xterm"}) as process:
        os.close(theirs)
        # The bar is drawn after a step that comes when a second has passed.
        assert select.select([ours], [], [], PATIENCE)[0], "no progress"
        process.send_signal(signal.SIGINT)
        while select.select([ours], [], [], PATIENCE)[0]:  # or it blocks while it draws
            try:
                if not os.read(ours, 4096):
                    break
            except OSError:  # the other end was closed
                break
        assert process.wait(PATIENCE) == 130
        assert process.stdout
        assert b"packets of ESP or AH opened" in process.stdout.read()
    os.close(ours)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_file_is_whole(jobs: str, big: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    interrupted(big, "-o", str(out), "--jobs", jobs)
    rows = tshark(out, "frame.number", "_ws.malformed")  # fails for a file that is cut off
    assert 0 < len(rows) < PACKETS // 12 * 12
    assert {row[1] for row in rows} == {""}


def test_lines_and_page_are_whole(big: Path, tmp_path: Path) -> None:
    lines, page = tmp_path / "lines.jsonl", tmp_path / "page.html"
    interrupted(big, "--jsonl", str(lines), "--html", str(page))
    text = lines.read_text()
    assert text.endswith("\n")
    frames = [json.loads(line)["frame"] for line in text.splitlines()]
    assert frames == sorted(frames)
    assert 0 < frames[-1] < PACKETS // 12 * 12
    assert page.read_text().endswith("</html>")
