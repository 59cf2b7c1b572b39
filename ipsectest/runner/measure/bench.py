"""The network, the gateways and the order of the measurements."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from ipsectest.base.errors import LabError, UsageError
from ipsectest.ike.config import Suite, suites
from ipsectest.lab import Lab
from ipsectest.lab.topology import Network, Topology, realise
from ipsectest.lab.topology.model import Node
from ipsectest.net.loop import EventLoop
from ipsectest.runner.endpoints import configurations, running
from ipsectest.runner.measure import engine
from ipsectest.runner.measure.negotiation import Negotiation
from ipsectest.runner.measure.path import Ends, comparison, lead, take_back
from ipsectest.runner.measure.samples import Sample, spread
from ipsectest.runner.measure.traffic import Traffic, has_iperf3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure."""

    topology: Topology
    """Of several tunnels the first is measured."""
    ip: int = 4
    """Version of the outer addresses; the inner ones are of the same."""
    ike: Suite = suites("aes128gcm16-prfsha256-x25519")[0]
    esp: Suite = suites("aes128gcm16-noesn")[0]
    pings: int = 100
    seconds: float = 3.0
    """Of each throughput measurement."""
    handshakes: int = 20
    setups: int = 100
    """SAs of each set-up rate."""
    sas: tuple[int, ...] = (1, 100, 10_000)
    """Numbers of SAs and policies for the cost of one packet."""


class Bench:
    """Two endpoints of a plan, and what lies between them in clear."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.initiator, self.responder = (_first(plan.topology, role) for role in ("initiator", "responder"))
        for node in (self.initiator, self.responder):
            _check_outer(node, plan.ip)
        self.compared = comparison(plan.topology, self.initiator, self.responder, plan.ip)

    @property
    def labels(self) -> dict[str, str]:
        """What these measurements are of."""
        return {"tunnel": f"{self.initiator.name}-{self.responder.name}", **self.compared.labels()}

    def samples(self, say: Callable[[str], None]) -> Iterator[Sample]:
        """All numbers, as they come; ``say`` is told what is measured now."""
        plan = self._plan
        if (count := _tunnels(plan.topology)) > 1:
            say(f"{plan.topology.name} has {count} tunnels: {self.labels['tunnel']} is measured, the first")
        configs = configurations(plan.topology, secrets.token_bytes(32), ip=plan.ip, ike=(plan.ike,), esp=(plan.esp,))
        with Lab() as lab, EventLoop() as loop:
            network = realise(lab, plan.topology)
            network.join(loop)
            traffic, compared = Traffic(lab, loop), self.compared
            lead(network, compared.routes)
            yield from self._traffic(traffic, network, compared.plain, say, ipsec=False)
            take_back(network, compared.routes)
            with running(loop, network, configs) as gateways:
                negotiation = Negotiation(loop, gateways[self.initiator.name], gateways[self.responder.name])
                yield from self._negotiations(negotiation, say)
                negotiation.connect()
                yield from self._traffic(traffic, network, compared.inside, say, ipsec=True)
        say("cost of one packet against the number of SAs and policies")
        yield from engine.cost(plan.esp, plan.sas)

    def _negotiations(self, negotiation: Negotiation, say: Callable[[str], None]) -> Iterator[Sample]:
        plan = self._plan
        say(f"{plan.handshakes} handshakes")
        yield from spread("handshake_seconds", negotiation.handshakes(plan.handshakes), ipsec=True)
        say(f"set-up of {plan.setups} IKE SAs and of {plan.setups} Child SAs")
        yield Sample("ike_sa_setup_per_second", negotiation.ike_sas_per_second(plan.setups), ipsec=True)
        yield Sample("child_sa_setup_per_second", negotiation.child_sas_per_second(plan.setups), ipsec=True)

    def _traffic(
        self, traffic: Traffic, network: Network, ends: Ends, say: Callable[[str], None], *, ipsec: bool
    ) -> Iterator[Sample]:
        plan, (here, source), (there, destination) = self._plan, ends.source, ends.destination
        how = f"{'through the tunnel' if ipsec else 'without IPsec'}, {ends}"
        say(f"{plan.pings} round trips {how}")
        times = traffic.round_trips(network[here], source, destination, plan.pings)
        if not times:
            raise LabError(f"no ping was answered {how}")
        yield from spread("round_trip_seconds", times, ipsec=ipsec)
        if has_iperf3():
            say(f"{plan.seconds:g} s of TCP {how}")
            rate = traffic.throughput(network[here], network[there], source, destination, plan.seconds)
            yield Sample("throughput_bits_per_second", rate, ipsec=ipsec)


def measure(plan: Plan, say: Callable[[str], None]) -> list[Sample]:
    """Carry out a plan. UsageError for a topology that does not suit, LabError where the machine does not let us."""
    return list(Bench(plan).samples(say))


def _first(topology: Topology, role: str) -> Node:
    found = [node for node in topology.nodes.values() if node.endpoint and node.endpoint.role == role]
    if not found:
        raise UsageError(f"{topology.name} has no endpoint that is {role}, measuring needs one")
    return found[0]


def _tunnels(topology: Topology) -> int:
    roles = [node.endpoint.role for node in topology.nodes.values() if node.endpoint]
    return roles.count("initiator") * roles.count("responder")


def _check_outer(node: Node, ip: int) -> None:
    if not node.endpoint or not any(ip_address(text).version == ip for text in node.endpoint.local):
        raise UsageError(f"{node.name} has no IPv{ip} address for its endpoint")
