"""Kernel gateways of ours in the guest, told what to do over standard input: one interpreter for all of them.

A request is a line of JSON, ``{"do": verb, "name": gateway, ...}``; the answer is one line, ``{"result": ...}`` or
``{"error": ...}``. Keys leave as digests only.
"""

import hashlib
import json
import os
import socket
import struct
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

from pyroute2.netlink.nfnetlink.nfctsocket import NFCTSocket

from ipsectest.base.addresses import Address
from ipsectest.base.iana import TransformType
from ipsectest.ike.config import ChildConfig, ConnectionConfig, EndpointConfig, Identity, Mode, SharedKey, suites
from ipsectest.ike.events import ChildInstalled, ExchangeDone
from ipsectest.ike.sa import ChildSa
from ipsectest.ike.tasks import Initiate
from ipsectest.net.inside import inside
from ipsectest.net.loop import EventLoop
from ipsectest.net.xfrm.algorithms import encryption, integrity
from ipsectest.peers.builtin_settings import Encapsulating
from ipsectest.runner.kernel_gateway import KernelGateway
from ipsectest.wire import TrafficSelector

CAP = 30.0
_ETH_P_IP = 0x0800
_PACKET_OUTGOING = 4
_SO_RCVBUFFORCE = 33
_SO_TIMESTAMPNS = 35
_HEADERS = 96
"""Octets that hold the longest IPv4 header, the UDP header and an SPI."""
_AT_ONCE = 50


class Requests:
    """Lines of standard input; a machine."""

    def __init__(self) -> None:
        self.lines: deque[bytes] = deque()
        self.ended = False
        self._rest = b""

    def handles(self) -> list[int]:
        return [0]

    def readable(self, handle: int, now: float) -> None:
        del now
        data = os.read(handle, 65536)
        self.ended = self.ended or not data
        *lines, self._rest = (self._rest + data).split(b"\n")
        self.lines += lines

    def get_timer(self) -> None:
        return None

    def handle_timer(self, now: float) -> None:
        raise AssertionError(f"no timer was set, called at {now}")


class Watch:
    """When ESP in UDP arrives at a link, by SPI (IKE has 0), in the kernel's times; a machine.

    ``installed`` has the times between which an SA came into the kernel, by SPI.
    """

    def __init__(self, namespace: str, link: str, gateway: KernelGateway) -> None:
        self._socket = inside(namespace, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM))
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
        self._socket.bind((link, _ETH_P_IP))
        self._socket.setblocking(False)
        self.arrivals: dict[bytes, list[float]] = {}
        self.installed: dict[bytes, tuple[float, float]] = {}
        self._state = gateway.plane.xfrm.state
        gateway.plane.xfrm.state = self._noted  # type: ignore[method-assign,assignment]

    def _noted(self, verb: str, *arguments: Any, **more: Any) -> Any:
        begun = time.time()
        result = self._state(verb, *arguments, **more)  # type: ignore[call-overload]
        if verb == "add":
            self.installed[arguments[0].spi.to_bytes(4, "big")] = begun, time.time()
        return result

    def handles(self) -> list[int]:
        return [self._socket.fileno()]

    def readable(self, handle: int, now: float) -> None:
        del handle, now
        with suppress(BlockingIOError):
            for _ in range(_AT_ONCE):  # IKE must have its turn, however much comes
                packet, ancillary, _, address = self._socket.recvmsg(_HEADERS, 64)
                udp = 4 * (packet[0] & 15)
                if address[2] != _PACKET_OUTGOING and packet[9] == socket.IPPROTO_UDP:
                    ((_, _, stamp),) = ancillary
                    seconds, nanoseconds = struct.unpack("qq", stamp)
                    self.arrivals.setdefault(packet[udp + 8 : udp + 12], []).append(seconds + nanoseconds / 1e9)

    def get_timer(self) -> None:
        return None

    def handle_timer(self, now: float) -> None:
        raise AssertionError(f"no timer was set, called at {now}")

    def close(self) -> None:
        self._socket.close()


def child_config(given: dict[str, Any], name: str = "net") -> ChildConfig:
    """A Child SA of the words in a request; a selector is a prefix, or a list with protocol and ports too."""
    near, far = (tuple(map(selector, given[key])) for key in ("local_ts", "remote_ts"))
    return ChildConfig(name, near, far, suites(given["esp"]), Mode(given["mode"]))


def selector(given: str | list[Any]) -> TrafficSelector:
    return TrafficSelector.of(given) if isinstance(given, str) else TrafficSelector.of(*given)


def connection(given: dict[str, Any]) -> ConnectionConfig:
    """A connection with one Child SA, of the words in a request."""
    return ConnectionConfig(
        "pair",
        Address(given["local"], 500),
        Address(given["remote"], 500),
        Identity.of(given["local_id"]),
        Identity.of(given["remote_id"]),
        SharedKey(bytes.fromhex(given["secret"])),
        SharedKey(bytes.fromhex(given["secret"])),
        (child_config(given),),
        suites(given["ike"]),
    )


def digest(*keys: bytes) -> str:
    return hashlib.sha256(b"".join(keys)).hexdigest()[:16]


def record(gateway: KernelGateway, child: ChildSa, source: Address, destination: Address) -> dict[str, Any]:
    """What was negotiated for one direction, in the words of ``ip xfrm state``."""
    keys, outbound = child.keys, source is gateway.pairs[child.spi_in][1]
    secrets = (keys.encryption_out, keys.integrity_out) if outbound else (keys.encryption_in, keys.integrity_in)
    cipher, authenticator = child.chosen.of(TransformType.ENCR), child.chosen.of(TransformType.INTEG)
    assert cipher
    algorithms = [encryption(cipher.id, secrets[0])]
    algorithms += [integrity(authenticator.id, secrets[1])] if authenticator else []
    return {
        "src": source.host,
        "dst": destination.host,
        "proto": "esp",
        "spi": (child.spi_out if outbound else child.spi_in).hex(),
        "mode": child.mode.value,
        "algorithms": sorted([one.name, digest(one.key), *one[2:]] for one in algorithms),
        "encap": ["espinudp", source.port, destination.port] if source.port else None,
        "esn": child.chosen.esn,
    }


def traffic(selectors: Sequence[TrafficSelector]) -> list[list[Any]]:
    """First and last address, protocol, first and last port of each."""
    return [
        [*(str(ip_address(end)) for end in (one.start, one.end)), one.protocol, one.start_port, one.end_port]
        for one in selectors
    ]


class Agent:
    def __init__(self) -> None:
        self.loop = EventLoop()
        self.gateways: dict[str, KernelGateway] = {}
        self.watches: dict[str, Watch] = {}

    def open(self, name: str, **given: Any) -> None:
        config = EndpointConfig((given["local"],), (connection(given),))
        policy = Encapsulating() if given["encapsulated"] else None
        window = given["replay_window"]
        self.gateways[name] = KernelGateway(self.loop, name, config, policy=policy, replay_window=window)

    def initiate(self, name: str) -> None:
        gateway = self.gateways[name]
        gateway.initiate(gateway.endpoint.config.connections[0])

    def trap(self, name: str) -> None:
        gateway = self.gateways[name]
        gateway.trap(gateway.endpoint.config.connections[0])

    def wanted(self, name: str) -> list[list[Any]]:
        """TSi and TSr of what was asked for when the IKE SA was set up."""
        for event in self.gateways[name].events:
            if isinstance(event, ExchangeDone) and isinstance(event.task, Initiate) and event.task.first:
                return [traffic(event.task.first.local_ts), traffic(event.task.first.remote_ts)]
        return []

    def rekey(self, name: str, kind: str) -> None:
        gateway, now = self.gateways[name], self.loop.clock.now()
        (sa,) = gateway.endpoint.sessions()
        if kind == "child":
            gateway.endpoint.rekey_child(next(iter(sa.children.values())), now)
        else:
            gateway.endpoint.rekey_ike(sa, now)
        gateway.flush()

    def create(self, name: str, **given: Any) -> None:
        """Another Child SA on the only IKE SA."""
        gateway = self.gateways[name]
        (sa,) = gateway.endpoint.sessions()
        gateway.endpoint.create_child(sa, child_config(given, "other"), self.loop.clock.now())
        gateway.flush()

    def delete(self, name: str) -> None:
        gateway = self.gateways[name]
        for sa in gateway.endpoint.sessions():
            gateway.endpoint.delete_ike(sa, self.loop.clock.now())
        gateway.flush()

    def watch(self, name: str, link: str) -> None:
        """Count ESP that arrives from now on."""
        self.watches[name] = Watch(name, link, self.gateways[name])
        self.loop.add(self.watches[name])

    def early(self, name: str) -> list[Any]:
        """Of each new Child SA: whether we began its rekey, how many packets came, and how many before it was there.

        The last is two numbers: those that came before we told the kernel of it, and before the kernel had answered.
        Beside that list, how many packets were kept until their SA was there.
        """
        watch, gateway = self.watches[name], self.gateways[name]
        assert gateway.early.problem is None
        counted = [
            [event.child.is_initiator, len(came), *(sum(at < moment for at in came) for moment in moments)]
            for event in gateway.events
            if isinstance(event, ChildInstalled) and (moments := watch.installed.get(event.child.spi_in))
            for came in (watch.arrivals.get(event.child.spi_in, []),)
        ]
        return [counted, gateway.early.kept]

    def events(self, name: str) -> dict[str, int]:
        return dict(Counter(type(event).__name__ for event in self.gateways[name].events))

    def wait(self, name: str, kind: str, count: int) -> bool:
        """Whether so many events of a kind came, and nothing lingers, before the cap."""
        gateway = self.gateways[name]
        return self.loop.run_until(lambda: self.events(name).get(kind, 0) >= count and gateway.get_timer() is None, CAP)

    def forget(self, namespace: str) -> None:
        """Empty the table of a NAT."""
        with NFCTSocket(netns=namespace) as conntrack:
            conntrack.flush()

    def tell(self, name: str) -> dict[str, Any]:
        """What happened, for the text of a failure."""
        gateway = self.gateways[name]
        last = [f"{type(event).__name__} {getattr(event, 'reason', '')}" for event in list(gateway.events)[-12:]]
        drops = {reason.value: count for reason, count in gateway.endpoint.drops.items()}
        return {"events": last, "drops": drops, "refused": [str(one) for one in gateway.refused]}

    def remote(self, name: str) -> list[Any]:
        """Where the peer of the only IKE SA is."""
        (sa,) = self.gateways[name].endpoint.sessions()
        return [sa.remote.host, sa.remote.port]

    def records(self, name: str) -> list[dict[str, Any]]:
        """The Child SAs that are installed, oldest first."""
        gateway = self.gateways[name]
        return [
            {
                "in": record(gateway, child, remote, local),
                "out": record(gateway, child, local, remote),
                "local": traffic(child.local_ts),
                "remote": traffic(child.remote_ts),
            }
            for child, local, remote in gateway.pairs.values()
        ]

    def close(self, name: str) -> None:
        if watch := self.watches.pop(name, None):
            self.loop.remove(watch)
            watch.close()
        self.gateways.pop(name).close()

    def answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            return {"result": getattr(self, request.pop("do"))(**request)}
        except Exception:  # noqa: BLE001  # the other end fails the test with it
            return {"error": traceback.format_exc()}


def say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def main() -> None:
    agent, requests = Agent(), Requests()
    agent.loop.add(requests)
    say({"result": "ready"})
    while agent.loop.run_until(lambda: bool(requests.lines) or requests.ended, 3600.0) and requests.lines:
        say(agent.answer(requests.lines.popleft()))


if __name__ == "__main__":
    sys.exit(main())
