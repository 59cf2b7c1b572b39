"""The lab's virtual machine: a kernel with ESP, files and commands, network cards, daemons, and nothing left behind."""

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyroute2 import netns

from ipsectest.base.errors import LabError, UsageError
from ipsectest.lab import Lab, clean
from ipsectest.lab.journal import PREFIX, start_time
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.vm import network
from ipsectest.lab.vm.channel import TIMED_OUT
from ipsectest.lab.vm.host import VmHost
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import PROGRAM, Datagrams, Tap, mac
from ipsectest.lab.vm.start import start
from ipsectest.peers import strongswan_cookies, table
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner import guest
from tests.lab.two_namespaces import require_lab

pytestmark = [pytest.mark.lab, pytest.mark.slow]

STRONGSWAN = table.parse("strongswan")
CONTROL = "unix:///run/peer/charon.vici"
KEY = "0x" + "0123456789abcdef" * 2
LONG = "0x" + "0123456789abcdef" * 4
SALTED = f"{KEY}01020304"
TRANSFORMS = [
    f"esp spi 1 mode tunnel aead 'rfc4106(gcm(aes))' {SALTED} 128",
    f"esp spi 2 mode transport aead 'rfc4106(gcm(aes))' {SALTED} 64",
    f"esp spi 3 mode tunnel aead 'rfc4309(ccm(aes))' {KEY}010203 128",
    f"esp spi 4 mode tunnel aead 'rfc7539esp(chacha20,poly1305)' {LONG}01020304 128",
    f"esp spi 5 mode tunnel auth-trunc 'hmac(sha256)' {LONG} 128 enc 'cbc(aes)' {KEY}",
    f"esp spi 6 mode tunnel auth-trunc 'hmac(sha512)' {LONG}{LONG[2:]} 256 enc 'rfc3686(ctr(aes))' {SALTED}",
    f"esp spi 7 mode tunnel auth-trunc 'xcbc(aes)' {KEY} 96 enc 'cbc(camellia)' {KEY}",
    f"esp spi 8 mode tunnel auth-trunc 'cmac(aes)' {KEY} 96 enc 'cbc(des3_ede)' {KEY}0011223344556677",
    f"esp spi 9 mode tunnel auth-trunc 'hmac(sha1)' {KEY}01234567 96 enc 'ecb(cipher_null)' ''",
    f"esp spi 10 mode tunnel aead 'rfc4543(gcm(aes))' {SALTED} 128",
    f"ah spi 11 mode tunnel auth-trunc 'hmac(sha256)' {LONG} 128",
    "comp spi 12 mode tunnel comp deflate",
]


@dataclass(frozen=True)
class Guest:
    machine: Machine
    namespace: Namespace
    frames: Datagrams


@pytest.fixture(scope="session")
def running() -> Iterator[Guest]:
    require_lab()
    if not Path(PROGRAM).exists():
        pytest.skip("QEMU is not installed: script/bootstrap")
    table.install(STRONGSWAN)
    image = guest.build([STRONGSWAN])
    with Lab() as lab:
        namespace = lab.namespace("wire")
        sockets = lab.directory("frames")
        frames = Datagrams(sockets / "ours", sockets / "guest")
        machine = start(lab, guest.cache_directory(), image, (Tap("tap0"), frames), namespace=namespace)
        namespace.add_addresses("tap0", "192.0.2.1/24", "2001:db8:0:2::1/64")
        namespace.up("tap0")
        network.namespace(machine, "peer", 0, ["192.0.2.254/24", "2001:db8:0:2::fe/64"])
        network.namespace(machine, "frames", 1, ["198.51.100.2/24"])
        yield Guest(machine, namespace, frames)


def test_commands_have_status_output_limits_and_an_end(running: Guest) -> None:
    machine = running.machine
    result = machine.run("echo one\nprintf '%s' 'two\\n' >&2; exit 3")
    assert (result.status, result.text) == (3, "one\ntwo\\n")
    begin = time.monotonic()
    assert machine.run("(sleep 60; echo late) | cat", timeout=0.2).status == TIMED_OUT
    assert time.monotonic() - begin < 20
    assert machine.run("pidof sleep").status == 1
    assert machine.run("head -c 3000000 /dev/zero", timeout=60).truncated
    with pytest.raises(LabError, match="fails"):
        machine.run("cat /nothing", check=True)


def test_files_go_in_and_out(running: Guest, tmp_path: Path) -> None:
    machine = running.machine
    data = bytes(range(256)) * 4096
    machine.put("/tmp/a file", data, mode=0o600)
    assert machine.get("/tmp/a file") == data
    with pytest.raises(LabError, match="cannot read /nothing"):
        machine.get("/nothing")
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_bytes(data)
    (tmp_path / "tree/link").symlink_to("deep/file")
    machine.put_tree(tmp_path / "tree", "/tmp/copy")
    assert machine.run("readlink /tmp/copy/link; wc -c </tmp/copy/deep/file").text.split() == [
        "deep/file",
        str(len(data)),
    ]
    (machine.directory / "here").write_text("from here")
    assert machine.run("cat /lab/here; echo from there >/lab/there").text == "from here"
    assert (machine.directory / "there").read_text() == "from there\n"


def test_its_clock_is_ours(running: Guest) -> None:
    assert abs(int(running.machine.run("date +%s").text) - time.time()) < 5


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_its_kernel_takes_the_transform(running: Guest, transform: str) -> None:
    add = f"ip -n peer xfrm state add src 192.0.2.1 dst 192.0.2.254 proto {transform}"
    assert running.machine.run(add, timeout=30).text == ""
    assert "192.0.2.254" in running.machine.run("ip -n peer xfrm state; ip -n peer xfrm state flush").text


def test_it_has_what_topologies_need(running: Guest) -> None:
    lines = [
        "ip netns add lab && ip -n lab link add one type veth peer name two",
        "ip -n lab link add ipsec7 type xfrm dev one if_id 7",
        "ip netns exec lab tc qdisc add dev one root netem delay 10ms loss 1%",
        "ip netns exec lab nft 'add table ip nat; add chain ip nat post { type nat hook postrouting priority 100; }'",
        "ip netns exec lab nft 'add rule ip nat post oifname one masquerade'",
        "ip netns delete lab",
    ]
    result = running.machine.run(" &&\n".join(lines), timeout=60)
    assert (result.status, result.text) == (0, "")


@pytest.mark.parametrize("address", ["192.0.2.254", "2001:db8:0:2::fe"])
def test_a_namespace_of_ours_reaches_it_by_tap(running: Guest, address: str) -> None:
    command = ["ip", "netns", "exec", running.namespace.name, "ping", "-n", "-c3", "-i0.1", "-W5", address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert " 0% packet loss" in done.stdout


def test_frames_reach_it_without_any_privilege(running: Guest) -> None:
    guest_mac, our_mac = bytes.fromhex(mac(1).replace(":", "")), bytes.fromhex("0200000000aa")
    addresses = [socket.inet_aton(text) for text in ("198.51.100.1", "198.51.100.2")]
    asking = bytes.fromhex("0001080006040001") + our_mac + addresses[0] + bytes(6) + addresses[1]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ours:
        ours.bind(str(running.frames.ours))
        ours.settimeout(10)
        ours.sendto(b"\xff" * 6 + our_mac + b"\x08\x06" + asking, str(running.frames.guest))
        answer = b""
        while answer[12:14] != b"\x08\x06" or answer[20:22] != b"\x00\x02":
            answer = ours.recv(2048)
    assert answer[22:32] == guest_mac + addresses[1]


def test_charon_runs_in_it_with_the_kernels_esp(running: Guest) -> None:
    host = VmHost(running.machine, "charon", "peer", str(STRONGSWAN))
    assert host.esp_refusal() == ""
    assert not host.has("/usr/sbin/no-such-daemon")
    peer = StrongSwan(host, None, DaemonOptions(user_space_esp=False))
    for _ in range(2):
        peer.start()
        assert (peer.version[0], peer.raw_esp, peer.crash()) == ("6", True, None)
        assert host.run(["/bin/cat", "/proc/net/if_inet6"], peer._process)[1].count("wire") == 2
        assert host.ask(strongswan_cookies._request(), "127.0.0.2", "127.0.0.1", 500)[17:19] == b"\x20\x22"
        assert peer.stop() == 0
    assert "loaded plugins" in (host.directory / "charon.log").read_text()
    with pytest.raises(FileNotFoundError):
        host.connect("nothing")


def test_processes_end_as_they_are_told(running: Guest) -> None:
    host = VmHost(running.machine, "sleepers", "peer", str(STRONGSWAN))
    sleepers = [host.spawn(["/bin/sleep", "60"], {}) for _ in range(4)]
    assert [one.status() for one in sleepers] == [None] * 4
    assert [one.stop() for one in sleepers] == [-signal.SIGTERM] * 4
    failing = host.spawn(["/bin/sh", "-c", "echo $WORD; exit 9"], {"WORD": "a b"})
    assert failing.wait(20) == 9
    assert failing.output.read_text() == "a b\n"
    assert running.machine.run("pidof sleep").status == 1


def test_two_guests_of_one_snapshot_differ_in_their_random_numbers() -> None:
    require_lab()
    image = guest.build([STRONGSWAN])
    seen = []
    for _ in range(2):
        with Lab() as lab:
            machine = start(lab, guest.cache_directory(), image)
            seen.append(machine.run("cat /proc/sys/kernel/random/uuid", check=True).text)
    assert seen[0] != seen[1]


def test_a_daemon_is_running_when_a_snapshot_with_it_starts() -> None:
    require_lab()
    image = guest.build([STRONGSWAN])
    resident = guest.resident(STRONGSWAN)
    with Lab() as lab:
        started = []
        for name in ("first", "second"):
            machine = start(lab, guest.cache_directory(), image, name=name, resident=resident)
            started.append(machine.run("cut -d' ' -f22 /proc/$(pidof charon-systemd)/stat", check=True).text)
            command = f"chroot /proc/$(pidof charon-systemd)/root swanctl --version --daemon --uri {CONTROL}"
            assert "charon-systemd" in machine.run(command, timeout=60, check=True).text
            machine.stop()
        assert started[0] == started[1]  # one process, saved once
    with pytest.raises(UsageError, match="only strongswan"):
        guest.resident(table.parse("libreswan"))


VICTIM = """
import json, sys
from ipsectest.lab import Lab
from ipsectest.lab.vm.qemu import Tap
from ipsectest.lab.vm.start import start
from ipsectest.peers import table
from ipsectest.runner import guest
image = guest.build([table.parse("strongswan")])
lab = Lab()
print(lab.run, flush=True)
namespace = lab.namespace("wire")
machine = start(lab, guest.cache_directory(), image, (Tap("tap0"),), namespace=namespace)
print(json.dumps([machine.process.pid, machine.process.start]), flush=True)
input()
"""


@pytest.mark.parametrize("ready", [True, False])
def test_kill_9_leaves_nothing_after_clean(ready: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_lab()
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as victim:
        assert victim.stdout
        run = victim.stdout.readline().strip()
        pid, begun = json.loads(victim.stdout.readline()) if ready else (0, 0)
        victim.kill()
    if ready:
        with contextlib.suppress(ProcessLookupError):
            wait_for_end(pid)
        assert start_time(pid) != begun
    clean()
    assert list(tmp_path.iterdir()) == []
    assert [name for name in netns.listnetns() if name.startswith(f"{PREFIX}{run}-")] == []


def wait_for_end(pid: int) -> None:
    import os
    import select

    handle = os.pidfd_open(pid)
    try:
        assert select.select([handle], [], [], 20)[0]
    finally:
        os.close(handle)
