"""What is known of a peer that somebody else runs: the content of its file, read and checked."""

from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.scenario.model import Facts
from ipsectest.scenario.ports import Certificates

OTHER_PORT = 4999
"""Our third port, as scenarios and captures name it; which one it is in fact, the kernel chooses."""


@dataclass(frozen=True, slots=True)
class Ports:
    """UDP ports of one end: where scenarios say 500 and 4500."""

    ike: int = IKE_PORT
    nat: int = NAT_T_PORT

    @property
    def are_usual(self) -> bool:
        """Whether they are 500 and 4500; with others both ends believe in a NAT between them."""
        return (self.ike, self.nat) == (IKE_PORT, NAT_T_PORT)


@dataclass(frozen=True, slots=True)
class Seat:
    """Where one tunnel of ours stands, and who we are there: as many cases run at once as there are seats."""

    address: str = ""
    """Empty: the one that this machine takes towards the peer."""
    elsewhere: str = ""
    """A second address of ours; empty if there is none."""
    inner: str = ""
    """Our address inside the tunnel."""
    facts: Facts = field(default_factory=dict)
    """Facts ``tester.*``: id, auth."""
    selectors: Facts = field(default_factory=dict)
    """The fact ``peer.ts_tester``, if the file has one."""


@dataclass(frozen=True, slots=True)
class AdapterCommand:
    """A program of the user that speaks for the peer."""

    argv: tuple[str, ...]
    timeout: float
    """Seconds that one answer may take."""


@dataclass(frozen=True, slots=True)
class Remote:
    """One description: one configuration of one peer, or an adapter that configures it for every case."""

    path: Path
    name: str
    version: str
    address: str
    inner: str
    """The peer's address inside the tunnel, which answers pings."""
    facts: Facts | None
    """The peer's one configuration in facts ``peer.*``; None: the adapter is told what each case wants."""
    seats: tuple[Seat, ...]
    peer_ports: Ports = field(default_factory=Ports)
    own_ports: Ports = field(default_factory=Ports)
    certificates: Certificates | None = field(default=None, repr=False)
    without_children: str = ""
    """Why it sets up no Child SA; empty: it does."""
    nat: bool = False
    """Whether a NAT stands between us."""
    raw_esp: bool = True
    """Whether ESP may go as IP protocol 50, if this machine permits it."""
    netns: str | None = None
    expected: Path | None = None
    adapter: AdapterCommand | None = None

    @property
    def ip(self) -> int:
        """IP version of the wire."""
        return ip_address(self.address).version

    @property
    def behind_nat(self) -> bool:
        """Whether each end finds a NAT on the way: there is one, or a port is none of those that the hashes are of."""
        return self.nat or not (self.own_ports.are_usual and self.peer_ports.are_usual)
