"""Traffic between the two ends in the guest, by ping and iperf3 that run there."""

import re

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.machine import Machine
from ipsectest.runner.measure.site import LEFT, RIGHT
from ipsectest.runner.measure.traffic import echo_times, received

_INTERVAL = 0.01
_CAP = 60.0


class GuestTraffic:
    """From left to right."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def round_trips(self, source: str, destination: str, count: int) -> list[float]:
        """Round-trip times of pings in seconds, the first one not counted."""
        said = self._left(f"ping -n -c{count + 1} -i{_INTERVAL} -W2 -I {source} {destination}", count * _INTERVAL)
        return echo_times(said)[1:]

    def flood(self, source: str, destination: str, count: int) -> float:
        """Mean seconds of a round trip in a flood of at least ``count`` pings; LabError if one is lost."""
        said = self._left(f"ping -n -q -f -c{count} -W2 -I {source} {destination}", count * _INTERVAL)
        found = re.search(rf"{count} received.*= [\d.]+/([\d.]+)/", said, re.DOTALL)
        if not found:
            raise LabError(f"ping: {said.strip()[-200:] or 'no output'}")
        return float(found[1]) / 1000

    def throughput(self, source: str, destination: str, seconds: float) -> float:
        """Bits of TCP payload that arrive in a second; LabError with iperf3's own words if there is no way."""
        # The server lets go of the terminal before it listens.
        self._machine.run(
            f"exec nsenter --net=/run/netns/{RIGHT} sh -c '"
            f"iperf3 -s -1 -D -B {destination} && until ss -Hltn | grep -q :5201; do sleep 0.02; done'",
            check=True,
        )
        command = f"iperf3 -J -c {destination} -B {source} -t {seconds:.0f}"
        return received(self._left(command, seconds))

    def _left(self, command: str, seconds: float) -> str:
        return self._machine.run(f"nsenter --net=/run/netns/{LEFT} {command}", timeout=seconds + _CAP).text
