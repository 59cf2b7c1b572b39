"""Transport mode behind a NAT: selectors as each end sees them (RFC 7296 section 2.23.1).

Selectors of transport mode hold the addresses of the two hosts, and client, NATs and server do not see the same ones.
So either end puts those that it sees in place of those that came, and keeps the latter: checksums were made with them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ipsectest.ike import selectors
from ipsectest.ike.sa import IkeSa, RealAddresses
from ipsectest.wire import TrafficSelector


@dataclass(frozen=True, slots=True)
class Seen:
    """What a peer's selectors mean here."""

    remote: list[TrafficSelector]
    local: list[TrafficSelector]
    real: RealAddresses


def asked(sa: IkeSa, remote: Sequence[TrafficSelector], local: Sequence[TrafficSelector]) -> Seen | None:
    """What an initiator asks for, with the addresses of its IKE packets; None if it asks for more than two hosts."""
    return _seen(sa, remote, local, TrafficSelector.of(sa.remote.host), TrafficSelector.of(sa.local.host))


def answered(
    sa: IkeSa,
    remote: Sequence[TrafficSelector],
    local: Sequence[TrafficSelector],
    offered: tuple[Sequence[TrafficSelector], Sequence[TrafficSelector]],
) -> Seen | None:
    """What a responder has answered, with the addresses that were offered to it: remote ones, local ones."""
    return _seen(sa, remote, local, offered[0][0], offered[1][0]) if all(offered) else None


def offer(config: Sequence[TrafficSelector], host: str) -> list[TrafficSelector]:
    """What of the configured selectors is for a host: an offer is for one address, that of the IKE packets.

    Where the host is none of them the offer stays what it is; the peer has to refuse it.
    """
    return selectors.narrow(config, [TrafficSelector.of(host)]) or [*config]


def renew(former: Sequence[TrafficSelector], host: str) -> list[TrafficSelector]:
    """Selectors of a Child SA that is rekeyed: an end may have got another address."""
    return _moved(former, TrafficSelector.of(host))


def follow(sa: IkeSa) -> None:
    """The peer's NAT has given it another address: so it is what Child SAs in transport mode are for now."""
    for child in sa.children.values():
        if child.real and sa.remote_behind_nat:
            child.remote_ts = tuple(_moved(child.remote_ts, TrafficSelector.of(sa.remote.host)))


def _seen(
    sa: IkeSa,
    remote: Sequence[TrafficSelector],
    local: Sequence[TrafficSelector],
    peer: TrafficSelector,
    here: TrafficSelector,
) -> Seen | None:
    theirs, ours = _address(remote), _address(local)
    if theirs is None or ours is None:
        return None
    return Seen(
        _moved(remote, peer) if sa.remote_behind_nat else [*remote],
        _moved(local, here) if sa.local_behind_nat else [*local],
        RealAddresses(theirs, ours),
    )


def _address(several: Sequence[TrafficSelector]) -> bytes | None:
    """The one address that all are for."""
    found = {address for one in several for address in (one.start, one.end)}
    return found.pop() if len(found) == 1 else None


def _moved(several: Sequence[TrafficSelector], to: TrafficSelector) -> list[TrafficSelector]:
    return [replace(one, ts_type=to.ts_type, start=to.start, end=to.end) for one in several]
