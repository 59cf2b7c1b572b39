"""A guest with our kernel gateways and real daemons in it, each pair in namespaces of its own.

Daemons are driven from here by their drivers; ours by one interpreter in the guest (``guest_agent``).
"""

import json
import select
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
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
_NUMBERS = count(1)
"""Of daemons: a name is taken once."""


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
        host = VmHost(self.machine, f"{label}-{namespace}-{next(_NUMBERS)}", namespace, str(self.peers[label]))
        options = DaemonOptions(user_space_esp=False)
        return StrongSwan(host, None, options) if label == "strongswan" else Libreswan(host)

    def run(self, namespace: str, command: str) -> str:
        """What a command that succeeds prints."""
        result = inside(self.machine, namespace, command)
        assert result.status == 0, (command, result.text)
        return result.text

    def await_states(self, namespace: str, wanted: int) -> None:
        """The SAs of a daemon's namespace are so many: it installs and removes them a moment after it has answered."""
        end = time.monotonic() + _CAP
        while (found := inside(self.machine, namespace, "ip xfrm state count").text.split()[-1]) != str(wanted):
            assert time.monotonic() < end, found

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
