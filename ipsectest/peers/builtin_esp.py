"""Child SAs of the built-in peer as ESP SAs, with faults of the data plane."""

from collections.abc import Collection, Iterable

from ipsectest.base.iana import TransformType
from ipsectest.ike.events import ChildInstalled
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.ipsec.spd import Selector, TrafficRange
from ipsectest.wire import TrafficSelector

DATA_IMPAIRMENTS = frozenset({"accepts-replay", "answers-keepalive", "sends-raw-esp-behind-nat"})
"""Faults of the data plane; those of IKE are in ``ike.impair``."""


def associations(
    event: ChildInstalled, window: int, impairments: Collection[str]
) -> tuple[SecurityAssociation, SecurityAssociation]:
    """The inbound and the outbound SA of a Child SA; ``window`` in packets."""
    child, keys = event.child, event.child.keys
    window = 0 if "accepts-replay" in impairments else window
    local, remote, ports = event.local.host, event.remote.host, event.udp_ports
    inbound_ports = (ports[1], ports[0]) if ports else None
    outbound_ports = None if "sends-raw-esp-behind-nat" in impairments else ports
    return (
        _one(
            event,
            child.spi_in,
            (remote, local),
            (keys.encryption_in, keys.integrity_in),
            ports=inbound_ports,
            window=window,
        ),
        _one(event, child.spi_out, (local, remote), (keys.encryption_out, keys.integrity_out), ports=outbound_ports),
    )


def _one(
    event: ChildInstalled,
    spi: bytes,
    ends: tuple[str, str],
    keys: tuple[bytes, bytes],
    *,
    ports: tuple[int, int] | None,
    window: int = 0,
) -> SecurityAssociation:
    child, chosen = event.child, event.child.chosen
    esn = chosen.of(TransformType.ESN)
    return SecurityAssociation(
        spi=spi,
        source=ends[0],
        destination=ends[1],
        protocol=child.protocol,
        encryption=chosen.of(TransformType.ENCR),
        encryption_key=keys[0],
        integrity=chosen.of(TransformType.INTEG),
        integrity_key=keys[1],
        mode=Mode(child.mode.value),
        udp_ports=ports,
        esn=bool(esn and esn.id),
        replay_window=window,
        selectors=(Selector(_ranges(child.local_ts), _ranges(child.remote_ts)),),
    )


def _ranges(selectors: Iterable[TrafficSelector]) -> tuple[TrafficRange, ...]:
    return tuple(TrafficRange(s.start, s.end, s.protocol, s.start_port, s.end_port) for s in selectors)
