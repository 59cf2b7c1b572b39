"""QEMU's machine protocol: one JSON object per line (docs/interop/qmp-spec of QEMU)."""

import json
import select
import time
from pathlib import Path
from typing import Any

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.channel import connect

_MAX_LINE = 1 << 20


class Lines:
    """Cuts a stream into JSON objects; a line that is none or has no end is an error."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that are complete now; LabError for anything else."""
        *whole, self._pending = (self._pending + data).split(b"\n")
        if len(self._pending) > _MAX_LINE:
            raise LabError("QEMU sends a line without end")
        objects = []
        for line in filter(None, (line.strip() for line in whole)):
            try:
                parsed = json.loads(line)
            except (ValueError, RecursionError):
                raise LabError("QEMU sends something that is not JSON") from None
            if not isinstance(parsed, dict):
                raise LabError("QEMU sends something that is not an object")
            objects.append(parsed)
        return objects


class Qmp:
    """A session with a running QEMU; events are skipped."""

    def __init__(self, path: Path, timeout: float = 10.0) -> None:
        self._socket = connect(path)
        self._lines = Lines()
        self._received: list[dict[str, Any]] = []
        self._timeout = timeout
        try:
            self._await("QMP")
            self.execute("qmp_capabilities")
        except LabError:
            self.close()
            raise

    def execute(self, command: str, **arguments: object) -> Any:
        """The return value of a command; LabError with QEMU's words if it refuses."""
        line = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        try:
            self._socket.sendall(line.encode())
        except OSError as error:
            raise LabError(f"QEMU does not take {command}: {error}") from None
        answer = self._await("return", "error")
        if "error" in answer:
            raise LabError(f"QEMU refuses {command}: {answer['error'].get('desc', 'no reason given')}")
        return answer["return"]

    def close(self) -> None:
        """End the session."""
        self._socket.close()

    def _await(self, *keys: str) -> dict[str, Any]:
        end = time.monotonic() + self._timeout
        while True:
            while self._received:
                one = self._received.pop(0)
                if any(key in one for key in keys):
                    return one
            if not select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0]:
                raise LabError("QEMU does not answer")
            data = self._socket.recv(1 << 16)
            if not data:
                raise LabError("QEMU is gone")
            self._received = self._lines.feed(data)
