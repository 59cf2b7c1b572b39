"""The command channel's language: answers in any pieces, late answers, limits, scripts of many lines."""

import socket
import subprocess
import threading
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.channel import Answer, Channel, Result, request, script


def feed(answer: Answer, data: bytes, cuts: list[int]) -> Result | None:
    result = None
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        if start != end:
            assert result is None
            result = answer.feed(data[start:end])
    return result


@given(st.binary(max_size=200), st.integers(0, 255), st.lists(st.integers(0, 300), max_size=5))
def test_an_answer_arrives_whole_however_it_is_cut(output: bytes, status: int, cuts: list[int]) -> None:
    data = output + b"\x010a1b2c3d %d\n" % status
    assert feed(Answer("0a1b2c3d"), data, cuts) == Result(status, output)


@given(st.binary(max_size=200), st.lists(st.integers(0, 300), max_size=5))
def test_output_is_shown_as_it_comes(output: bytes, cuts: list[int]) -> None:
    shown: list[bytes] = []
    answer = Answer("0a1b2c3d", sink=shown.append)
    assert feed(answer, output + b"\x010a1b2c3d 0\n", cuts) == Result(0, b"")
    assert b"".join(shown) == output
    line = Answer("0a1b2c3d", sink=shown.append)
    line.feed(b"64 bytes from 192.0.2.1\n")
    assert shown[-1] == b"64 bytes from 192.0.2.1\n"


@given(st.integers(0, 100), st.lists(st.integers(0, 300), max_size=5))
def test_no_more_is_kept_than_the_limit(limit: int, cuts: list[int]) -> None:
    data = b"x" * 101 + b"\x01feedbeef 0\n"
    assert feed(Answer("feedbeef", limit), data, cuts) == Result(0, b"x" * limit, truncated=True)


def test_the_answer_to_a_command_that_was_given_up_is_no_end() -> None:
    result = Answer("22222222").feed(b"late\n\x0111111111 137\nours\n\x0122222222 0\n")
    assert result
    assert (result.status, result.output.endswith(b"ours\n")) == (0, True)


def test_an_endless_output_grows_no_memory() -> None:
    answer = Answer("00000000", 1000)
    for _ in range(1000):
        assert answer.feed(b"y\n" * 500) is None
    assert len(answer._kept) + len(answer._recent) <= 1000 + 32
    assert answer.feed(b"\x0100000000 9\n") == Result(9, b"y\n" * 500, truncated=True)


@given(st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40))
def test_a_script_reaches_a_shell_unchanged(text: str) -> None:
    quoted = text.replace("'", "'\\''")
    line = script(f"printf %s '{quoted}'\nexit 7")
    assert "\n" not in line
    done = subprocess.run(["sh", "-c", line], capture_output=True, timeout=10, check=False)
    assert (done.returncode, done.stdout.decode()) == (7, text)


def test_a_request_is_one_line() -> None:
    assert request("aa", "true") == b"aa true\n"
    with pytest.raises(ValueError, match="one line"):
        request("aa", "true\nfalse")


def test_a_guest_that_is_silent_or_gone_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "c1"
    with pytest.raises(LabError, match="does not listen"):
        Channel(path, 1)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        channel = Channel(path, 1)
        guest, _ = server.accept()
        with guest:
            with pytest.raises(LabError, match="does not answer"):
                channel.ask("true", timeout=0.01)
            late = channel.token

            def answer() -> None:
                with guest.makefile("rb") as lines:
                    assert lines.readline() == f"{late} true\n".encode()
                    token = lines.readline().split()[0]
                guest.sendall(b"old\x01" + late.encode() + b" 0\nnew\x01" + token + b" 3\n")

            thread = threading.Thread(target=answer)
            thread.start()
            result = channel.ask("false", timeout=5)
            thread.join()
            assert result.status == 3
            assert result.output.endswith(b"new")
        with pytest.raises(LabError, match=r"gone|does not take"):
            channel.ask("true", timeout=5)
        channel.close()
