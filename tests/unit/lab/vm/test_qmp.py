"""QEMU's machine protocol: objects cut anywhere, events between answers, refusals, and what is no JSON."""

import json
import socket
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.qmp import Lines, Qmp


@given(st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=3), max_size=5), st.integers(1, 50))
def test_objects_arrive_however_they_are_cut(objects: list[dict[str, int]], size: int) -> None:
    data = "".join(json.dumps(one) + "\r\n" for one in objects).encode()
    lines = Lines()
    found = [one for at in range(0, len(data), size) for one in lines.feed(data[at : at + size])]
    assert found == objects


@pytest.mark.parametrize("data", [b"hello\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n", b"x" * (2 << 20)])
def test_anything_else_is_an_error(data: bytes) -> None:
    with pytest.raises(LabError):
        Lines().feed(data)


def test_answers_are_told_from_events(tmp_path: Path) -> None:
    path = tmp_path / "qmp"
    asked = []

    def qemu(server: socket.socket) -> None:
        stream, _ = server.accept()
        with stream, stream.makefile("rb") as lines:
            stream.sendall(b'{"QMP": {"version": {}}}\n')
            for reply in (
                b'{"return": {}}',
                b'{"event": "STOP"}\n{"return": {"status": "completed"}}',
                b'{"error": {"desc": "no"}}',
            ):
                asked.append(json.loads(lines.readline()))
                stream.sendall(reply + b"\n")
            lines.readline()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=qemu, args=(server,))
        thread.start()
        qmp = Qmp(path)
        assert qmp.execute("query-migrate") == {"status": "completed"}
        with pytest.raises(LabError, match="refuses migrate: no"):
            qmp.execute("migrate", uri="exec:false")
        qmp.close()
        thread.join()
    assert [one["execute"] for one in asked] == ["qmp_capabilities", "query-migrate", "migrate"]
