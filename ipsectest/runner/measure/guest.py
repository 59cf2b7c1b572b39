"""The kernel's ESP, measured in the lab's virtual machine: two namespaces of one guest, a daemon in each.

All times are the guest's own, or those of whole batches. Under software emulation they say nothing about hardware;
what is with and what is without IPsec was measured on the same emulated processor.
"""

import secrets
from collections.abc import Callable, Iterator, Mapping

from ipsectest.base.errors import UsageError
from ipsectest.lab import Lab
from ipsectest.lab.vm import network
from ipsectest.lab.vm.host import VmHost
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.start import start
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.runner import guest
from ipsectest.runner.measure.bench import Plan
from ipsectest.runner.measure.charon import Charons
from ipsectest.runner.measure.guest_traffic import GuestTraffic
from ipsectest.runner.measure.population import Population
from ipsectest.runner.measure.samples import Sample, spread
from ipsectest.runner.measure.site import LEFT, RIGHT, SITES, WIRE, Site

_TOPOLOGY = "host-to-host"
_DRIVER = "strongswan"


class GuestBench:
    """One guest, and what is measured in it."""

    def __init__(self, plan: Plan, peer: PeerName) -> None:
        if plan.topology.name != _TOPOLOGY:
            raise UsageError(f"the virtual machine measures {_TOPOLOGY}, not {plan.topology.name}")
        if peer.driver != _DRIVER:
            raise UsageError(f"the virtual machine measures with {_DRIVER}, not {peer}")
        self._plan = plan
        self._peer = peer
        self._site = SITES[plan.ip]
        self.labels: dict[str, str] = {}
        """What these measurements are of; complete when they have been taken."""

    def samples(self, say: Callable[[str], None]) -> Iterator[Sample]:
        """All numbers, as they come; ``say`` is told what is measured now."""
        image = guest.build([self._peer], say)
        with Lab() as lab:
            machine = start(lab, guest.cache_directory(), image)
            join(machine, self._site)
            self.labels |= {"accelerator": machine.hardware.accelerator, "kernel": image.release}
            yield from self._negotiated(machine, say)
            yield from self._populated(machine, say)

    def _negotiated(self, machine: Machine, say: Callable[[str], None]) -> Iterator[Sample]:
        plan, site = self._plan, self._site
        hosts = VmHost(machine, LEFT, LEFT, str(self._peer)), VmHost(machine, RIGHT, RIGHT, str(self._peer))
        daemons = [StrongSwan(host, None, DaemonOptions(user_space_esp=False)) for host in hosts]
        for daemon in daemons:
            daemon.start()
        self.labels["daemon"] = f"{self._peer} {daemons[0].version}"
        with Charons(hosts, plan.ike, plan.esp, site, secrets.token_hex(16)) as charons:
            say(f"{plan.handshakes} handshakes")
            yield from spread("handshake_seconds", charons.handshakes(plan.handshakes), ipsec=True)
            say(f"set-up of {plan.setups} IKE SAs and of {plan.setups} Child SAs")
            yield Sample("ike_sa_setup_per_second", charons.ike_sas_per_second(plan.setups), ipsec=True)
            yield Sample("child_sa_setup_per_second", charons.child_sas_per_second(plan.setups), ipsec=True)
            charons.connect()
            yield from self._traffic(GuestTraffic(machine), say)
        for daemon in daemons:
            daemon.stop()

    def _traffic(self, traffic: GuestTraffic, say: Callable[[str], None]) -> Iterator[Sample]:
        plan, site = self._plan, self._site
        for ipsec, (source, destination) in ((False, site.outer), (True, site.inner)):
            how = "through the tunnel" if ipsec else "without IPsec"
            say(f"{plan.pings} round trips {how}")
            yield from spread("round_trip_seconds", traffic.round_trips(source, destination, plan.pings), ipsec=ipsec)
            say(f"{plan.seconds:g} s of TCP {how}")
            rate = traffic.throughput(source, destination, plan.seconds)
            yield Sample("throughput_bits_per_second", rate, ipsec=ipsec)

    def _populated(self, machine: Machine, say: Callable[[str], None]) -> Iterator[Sample]:
        traffic = GuestTraffic(machine)
        population = Population(machine, self._plan.esp, self._site)
        for count in self._plan.sas:
            say(f"{count} SAs and policies in the kernel")
            labels = {"sas": str(count)}
            yield Sample("install_seconds", population.install(count) / count, ipsec=True, labels=labels)
            routes: Mapping[bool, tuple[str, str]] = {False: self._site.outer, True: population.middle(count)}
            for ipsec, (source, destination) in routes.items():
                cost = traffic.flood(source, destination, self._plan.pings)
                yield Sample("flood_round_trip_seconds", cost, ipsec=ipsec, labels=labels)
            population.remove()


def join(machine: Machine, site: Site) -> None:
    """Two namespaces of the guest, a virtual wire between them; everything behind the right one is local to it."""
    for side in (LEFT, RIGHT):
        network.namespace(machine, side)
    network.batch(machine, f"link add {WIRE} type veth peer name {WIRE} netns {RIGHT}", LEFT)
    for side, outer, inner in zip((LEFT, RIGHT), site.outer, site.inner, strict=True):
        network.batch(machine, f"link set {WIRE} up", side)
        network.add_addresses(machine, side, WIRE, [f"{outer}/{site.outer_length}"])
        network.add_addresses(machine, side, "lo", [f"{inner}/{site.host_length}"])
    left, right = site.inner_prefixes
    family = "-6 " if ":" in left else ""
    machine.run(
        f"ip {family}-n {LEFT} route add {right} via {site.outer[1]} src {site.inner[0]}\n"
        f"ip {family}-n {RIGHT} route add {left} via {site.outer[0]} src {site.inner[1]}\n"
        f"ip {family}-n {RIGHT} route add local {right} dev lo",
        check=True,
    )
