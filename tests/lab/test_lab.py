"""Labs on this machine: two namespaces talk, are recorded, and leave nothing, however the run ends."""

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from pyroute2 import netns

from ipsectest.base.errors import LabError
from ipsectest.lab import Lab, clean
from ipsectest.lab.capture import record
from ipsectest.lab.journal import PREFIX, start_time
from ipsectest.lab.processes import Launch
from ipsectest.lab.topology import pair
from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

DATA = b"across the wire"


@pytest.fixture(autouse=True)
def runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    require_lab()
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "runtime"))
    return tmp_path / "runtime"


def namespaces_of(run: str) -> list[str]:
    return [name for name in netns.listnetns() if name.startswith(f"{PREFIX}{run}-")]


@pytest.mark.parametrize("version", [4, 6])
def test_two_namespaces_talk_and_are_recorded(tmp_path: Path, version: int) -> None:
    path = tmp_path / "wire.pcapng"
    before = str(Path("/proc/self/ns/net").readlink())
    with Lab() as lab:
        net = pair(lab)
        left, right = (
            (net.left_address, net.right_address) if version == 4 else (net.left_address_v6, net.right_address_v6)
        )
        family = socket.AF_INET if version == 4 else socket.AF_INET6
        with (
            record(net.left, "wire", path),
            net.left.socket(family, socket.SOCK_DGRAM) as sender,
            net.right.socket(family, socket.SOCK_DGRAM) as receiver,
        ):
            receiver.settimeout(5)
            sender.bind((left, 500))
            receiver.bind((right, 500))
            sender.sendto(DATA, (right, 500))
            data, source = receiver.recvfrom(100)
            assert (data, source[:2]) == (DATA, (left, 500))
            receiver.sendto(DATA[::-1], (left, 500))
            assert select.select([sender], [], [], 5)[0]
        run = lab.run
        assert len(namespaces_of(run)) == 2
    assert namespaces_of(run) == []
    assert str(Path("/proc/self/ns/net").readlink()) == before
    assert DATA in path.read_bytes()
    assert DATA[::-1] in path.read_bytes()
    if shutil.which("tshark"):
        command = [
            "tshark",
            "-r",
            str(path),
            "-Y",
            "udp.port == 500",
            "-T",
            "fields",
            "-e",
            "frame.packet_flags_direction",
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
        assert [int(word, 0) for word in done.stdout.split()] == [2, 1]


def test_a_process_runs_in_its_namespace_with_private_mounts(tmp_path: Path) -> None:
    with Lab() as lab:
        namespace = lab.namespace("one")
        shell = lab.process(
            Launch(["/bin/sh", "-c", "readlink /proc/self/ns/net"], namespace=str(namespace.path)), tmp_path / "out"
        )
        assert shell.wait(10) == 0
        inside = (tmp_path / "out").read_text().strip()
        assert inside == f"net:[{namespace.path.stat().st_ino}]"
        assert inside != str(Path("/proc/self/ns/net").readlink())


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    with Lab() as lab:
        process = lab.process(Launch(["/no/such/program"]), tmp_path / "out")
        assert process.wait(10) not in {None, 0}
        assert "cannot launch" in (tmp_path / "out").read_text()


def test_without_rights_the_error_says_what_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipsectest.lab.lab.can_make_namespaces", lambda: False)
    with Lab() as lab, pytest.raises(LabError, match="doctor"):
        lab.namespace("one")


def test_making_a_namespace_forks_no_child_that_could_outlive_us(monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed at the wrong moment, we would leave a child that makes the namespace when it has been cleaned up."""
    monkeypatch.setattr("pyroute2.process.os.fork", lambda: pytest.fail("a child"))
    monkeypatch.setattr("ipsectest.lab.namespaces.Namespace.up", lambda _namespace, _link: None)
    with Lab() as lab:
        before = Path("/proc/thread-self/ns/net").readlink()
        made = lab.namespace("one")
        assert str(made.path.stat().st_ino) not in str(before)
        assert Path("/proc/thread-self/ns/net").readlink() == before
        with pytest.raises(OSError, match="exists"):
            lab.namespace("one")


def test_a_namespace_that_is_gone_is_not_made_anew() -> None:
    with Lab() as lab:
        gone = lab.namespace("one")
        netns.remove(gone.name)
        with pytest.raises(LookupError, match="no network namespace"):
            gone.up("lo")
        assert namespaces_of(lab.run) == []


VICTIM = """
import json, sys
from pathlib import Path
from ipsectest.lab import Lab
from ipsectest.lab.processes import Launch
from ipsectest.lab.topology import pair
lab = Lab()
net = pair(lab)
place = lab.directory("peer")
process = lab.process(Launch(["/bin/sleep", "600"], namespace=str(net.left.path)), place / "out")
print(json.dumps({"run": lab.run, "pid": process.pid, "start": process.start, "directory": str(place)}), flush=True)
input()
"""


def test_kill_9_leaves_nothing_after_clean(runtime: Path) -> None:
    victim = subprocess.Popen([sys.executable, "-c", VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert victim.stdout
    made = json.loads(victim.stdout.readline())
    bystander = Path(made["directory"]).parent.parent / "not-ours"
    bystander.mkdir()
    assert clean() == []  # the owner lives
    assert len(namespaces_of(made["run"])) == 2
    victim.send_signal(signal.SIGKILL)
    victim.communicate(timeout=10)
    assert len(namespaces_of(made["run"])) == 2  # which is why there is a journal
    removed = {thing.kind for thing in clean()}
    assert {"namespace", "directory"} <= removed
    assert namespaces_of(made["run"]) == []
    assert start_time(made["pid"]) != made["start"]
    assert sorted(path.name for path in runtime.iterdir()) == ["not-ours"]


ROOTLESS = """
import os, sys
from ipsectest.lab import Lab
from ipsectest.lab.privileges import can_make_namespaces, reexec
if len(sys.argv) == 1:
    assert not can_make_namespaces()
    reexec([sys.executable, sys.argv[0], "again"])
from ipsectest.lab.topology import pair
import socket
with Lab() as lab:
    net = pair(lab)
    a, b = (side.socket(socket.AF_INET, socket.SOCK_DGRAM) for side in (net.left, net.right))
    with a, b:
        b.bind((net.right_address, 500))
        b.settimeout(5)
        a.sendto(b"rootless", (net.right_address, 500))
        print(b.recv(100).decode(), os.getuid())
"""


def test_a_process_without_rights_gets_a_lab_in_a_user_namespace(tmp_path: Path) -> None:
    script = tmp_path / "rootless.py"
    script.write_text(ROOTLESS)
    # Root without capabilities is as powerless as any user, and may still read the interpreter wherever it lies.
    # Only to map user id 0 itself, where an ordinary user maps his own, takes CAP_SETFCAP.
    powerless = ["setpriv", "--bounding-set=-all,+setfcap", "--inh-caps=-all"] if os.getuid() == 0 else []
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [*powerless, sys.executable, str(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "user namespaces are not available" in done.stderr:
        pytest.skip(done.stderr.splitlines()[-1])
    assert (done.returncode, done.stdout, done.stderr) == (0, "rootless 0\n", "")
    assert list((tmp_path / "runtime").iterdir()) == []
