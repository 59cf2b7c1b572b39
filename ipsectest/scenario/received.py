"""Data of the peer, opened, and whether it is what a ``<-`` line wants."""

from dataclasses import dataclass

from ipsectest.ike.sa import ChildSa
from ipsectest.ipsec.esp import Opened
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.scenario.model import DataPattern, Edit
from ipsectest.scenario.probes import Probe
from ipsectest.scenario.values import Values
from ipsectest.wire.ip import UDP, IpPacket, parse_ip


@dataclass(eq=False, slots=True)
class Tunnel:
    """Both directions of one Child SA."""

    name: str
    child: ChildSa
    outbound: SecurityAssociation
    inbound: SecurityAssociation


@dataclass(frozen=True, slots=True)
class Received:
    """A packet of the peer: under ESP or AH, or in clear."""

    tunnel: Tunnel | None
    """None: in clear."""
    carrier: str
    outer: IpPacket
    sequence: int = 0
    opened: Opened | None = None
    """Only of ESP."""
    inner: bytes = b""
    probe: Probe | None = None

    @property
    def text(self) -> str:
        """In the words of the notation."""
        what = self.probe.kind if self.probe else "something"
        if self.tunnel is None:
            return f"clear {what} from {self.probe.source}" if self.probe else "clear something"
        return f"{self.carrier}({self.tunnel.name} seq={self.sequence}) {what}"


def differs(received: Received, pattern: DataPattern, values: Values, asked: Probe | None) -> str:
    """What of an expected line a packet does not have, "" if it fits; ``asked`` is our last ping or SYN."""
    tunnel, probe = received.tunnel, received.probe
    if pattern.child and (tunnel is None or tunnel.name != pattern.child):
        return f"in {tunnel.name}" if tunnel else "in clear"
    if pattern.content and (problem := _other_content(received, pattern, asked)):
        return problem
    inner = probe.ip if probe and probe.ip else parse_ip(received.inner)
    outside = _outer_values(received)
    inside = {**_header(inner), **_contents(probe)} if inner else {}
    problems = [_differs(edit, outside, values) for edit in pattern.edits]
    problems += [f"inside {why}" for edit in pattern.fields if (why := _differs(edit, inside, values))]
    return next(filter(None, problems), "")


def _other_content(received: Received, pattern: DataPattern, asked: Probe | None) -> str:
    probe, wanted = received.probe, pattern.content
    if wanted == "octets":
        return "" if received.inner.startswith(pattern.octets) else f"0x{received.inner.hex()}"
    if wanted in {"pong", "reset"}:
        fits = probe is not None and probe.kind == wanted and probe.answers(asked)
        return "" if fits else "no answer to our ping" if wanted == "pong" else "no reset that answers our SYN"
    return "" if probe is not None and probe.kind == wanted else f"no {wanted}"


def _outer_values(received: Received) -> dict[str, int | bytes]:
    """What can be said of the packet on the wire."""
    outer, opened = received.outer, received.opened
    found: dict[str, int | bytes] = {"seq": received.sequence, **_header(outer)}
    if received.tunnel:
        found["spi"] = received.tunnel.inbound.spi
    if outer.protocol == UDP:
        found["checksum"] = int.from_bytes(outer.payload[6:8], "big")
    if received.carrier == "AH":
        found["next"], found["pad_length"] = outer.payload[0], outer.payload[1]
    if opened:
        numbers = {"next": opened.next_header, "pad": len(opened.padding), "pad_length": len(opened.padding)}
        found |= {**numbers, "padding": opened.padding, "iv": opened.iv}
    return found


def _header(ip: IpPacket) -> dict[str, int]:
    dscp, ecn = ip.traffic_class >> 2, ip.traffic_class & 3
    return {"dscp": dscp, "ecn": ecn, "df": int(ip.dont_fragment), "ttl": ip.hop_limit}


def _contents(probe: Probe | None) -> dict[str, int]:
    return {"size": len(probe.data), "mtu": probe.mtu} if probe else {}


def _differs(edit: Edit, actual: dict[str, int] | dict[str, int | bytes], values: Values) -> str:
    found = actual.get(edit.name)
    if isinstance(found, int):
        return "" if values.fits_number(edit.operand, found) else f"{edit.name} is {found}"
    if found is None:
        return f"{edit.name} cannot be looked at"
    return "" if values.fits_octets(edit.operand, found) else f"{edit.name} is 0x{found.hex()}"
