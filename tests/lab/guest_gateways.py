"""A guest with our kernel gateways and real daemons in it, each pair in namespaces of its own.

Daemons are driven from here by their drivers; ours by one interpreter in the guest (``guest_agent``).
"""

import hashlib
import json
import re
import select
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipsectest.lab import Lab
from ipsectest.lab.vm import accelerator, network
from ipsectest.lab.vm.channel import Result, script
from ipsectest.lab.vm.host import Relayed, VmHost
from ipsectest.lab.vm.machine import Machine, memory_for
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner import guest as image
from tests.lab.guest import bring_python, interpreter

_AGENT = Path(__file__).with_name("guest_agent.py")
_FOR_PYTHON = 256
"""MiB: interpreter and packages stand in a file system in memory."""
_CAP = 60.0
_ALGORITHM = re.compile(r"^\s(?:aead|enc|auth-trunc|auth) (\S+) 0x(\w+)[^\n]*?(?: (\d+))?$", re.MULTILINE)


class Agent:
    """The interpreter in the guest; ``agent("verb", ...)`` is what the verb gives. Raises AssertionError else."""

    def __init__(self, machine: Machine, directory: str) -> None:
        channel = machine.channel()
        errors = shlex.quote("/lab/agent.err")
        line = f"{interpreter(machine, directory)} {shlex.quote(str(_AGENT))} 2>>{errors}; kill -KILL $server"
        channel.start(line)
        self._socket = Relayed(machine, channel)
        self._errors = machine.directory / "agent.err"
        self._rest = b""
        try:
            assert self._answer() == "ready"
        except BaseException:
            self.close()
            raise

    def __call__(self, verb: str, **arguments: Any) -> Any:
        self._socket.sendall(json.dumps({"do": verb, **arguments}).encode() + b"\n")
        return self._answer()

    def close(self) -> None:
        self._socket.close()

    def _answer(self) -> Any:
        end = time.monotonic() + _CAP
        while b"\n" not in self._rest:
            assert select.select([self._socket], [], [], max(0.0, end - time.monotonic()))[0], self._errors.read_text()
            piece = self._socket.recv(65536)
            assert piece, self._errors.read_text()
            self._rest += piece
        line, _, self._rest = self._rest.partition(b"\n")
        answer = json.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["result"]


@dataclass(frozen=True)
class Guest:
    """A machine with daemons' trees by label, and our interpreter."""

    machine: Machine
    agent: Agent
    peers: dict[str, PeerName]

    def daemon(self, label: str, namespace: str) -> StrongSwan | Libreswan:
        """A daemon with the kernel's ESP in a namespace; not started."""
        host = VmHost(self.machine, f"{label}-{namespace}", namespace, str(self.peers[label]))
        options = DaemonOptions(user_space_esp=False)
        return StrongSwan(host, None, options) if label == "strongswan" else Libreswan(host)

    def run(self, namespace: str, command: str) -> str:
        """What a command that succeeds prints."""
        result = inside(self.machine, namespace, command)
        assert result.status == 0, (command, result.text)
        return result.text

    def await_states(self, namespace: str, count: int) -> list[dict[str, Any]]:
        """The states of a daemon's namespace: it installs and removes them a moment after it has answered."""
        end = time.monotonic() + _CAP
        while len(found := states(self.machine, namespace)) != count:
            assert time.monotonic() < end, [state["spi"] for state in found]
        return found

    @contextmanager
    def background(self, namespace: str, command: str) -> Iterator[Callable[[float], Result | None]]:
        """A command that runs meanwhile; the function gives its result, if it ends within so many seconds."""
        channel = self.machine.channel()
        try:
            channel.start(script(f"exec nsenter --net=/run/netns/{namespace} {command}"))
            yield channel.result
        finally:
            self.machine.release(channel)


def boot(stack: ExitStack, lab: Lab, peers: dict[str, PeerName]) -> Guest:
    """A guest with the trees of these peers, and our interpreter at work in it."""
    built = image.build(peers.values())
    kind = accelerator.choose(image.cache_directory(), built)
    machine = Machine(lab, built, accelerator=kind, memory=memory_for(built) + _FOR_PYTHON)
    stack.callback(machine.close)
    machine.start()
    directory = bring_python(machine, _AGENT)
    # ip-netns(8) makes the directory a shared mount, so that names made later are seen there too.
    machine.run(
        f"ip netns add first && cd {directory}/run && mkdir -p netns && mount --bind /run/netns netns", check=True
    )
    agent = Agent(machine, directory)
    stack.callback(agent.close)
    return Guest(machine, agent, peers)


def link(machine: Machine, left: tuple[str, str, list[str]], right: tuple[str, str, list[str]]) -> None:
    """Join two namespaces (name, device, addresses) of the guest."""
    network.batch(machine, f"link add {left[1]} netns {left[0]} type veth peer name {right[1]} netns {right[0]}")
    for name, device, addresses in (left, right):
        network.add_addresses(machine, name, device, addresses)
        network.batch(machine, f"link set {device} up", name)


def inside(machine: Machine, namespace: str, command: str, timeout: float = _CAP) -> Result:
    """Run a command of the guest in one of its namespaces."""
    return machine.run(f"exec nsenter --net=/run/netns/{namespace} {command}", timeout=timeout)


def states(machine: Machine, namespace: str) -> list[dict[str, Any]]:
    """What ``ip -s xfrm state`` shows, in the words of ``guest_agent.record``; keys become digests."""
    text = inside(machine, namespace, "ip -s xfrm state").text
    return [_state(block) for block in re.split(r"^(?=src )", text, flags=re.MULTILINE) if block.strip()]


def _state(block: str) -> dict[str, Any]:
    def found(pattern: str) -> tuple[str, ...]:
        match = re.search(pattern, block)
        assert match, pattern
        return match.groups()

    src, dst, proto, spi, mode = found(r"src (\S+) dst (\S+)\s+proto (\w+) spi 0x(\w+).* mode (\w+)")
    algorithms = []
    for name, key, bits in re.findall(
        r"^\s(?:aead|enc|auth-trunc|auth) (\S+) 0x(\w+)[^\n]*?(?: (\d+))?$", block, re.MULTILINE
    ):
        digest = hashlib.sha256(bytes.fromhex(key)).hexdigest()[:16]
        algorithms.append([name, digest, *([int(bits)] if bits else [])])
    encap = re.search(r"encap type (\w+) sport (\d+) dport (\d+)", block)
    return {
        "src": src,
        "dst": dst,
        "proto": proto,
        "spi": spi,
        "mode": mode,
        "algorithms": sorted(algorithms),
        "encap": [encap[1], int(encap[2]), int(encap[3])] if encap else None,
        "esn": bool(re.search(r"flag .*\besn(?:\b|extra)", block)),  # ip(8) forgets a blank before extra_flag
        "window": max(map(int, re.findall(r"replay[-_]window (\d+)", block))),
        "bytes": int(found(r"lifetime current:\s+(\d+)\(bytes\)")[0]),
    }
