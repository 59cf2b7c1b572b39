"""What a daemon is asked for, done by an endpoint of ours to one of its IKE SAs."""

from collections.abc import Callable

from ipsectest.base.clock import Instant
from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.sa import IkeSa
from ipsectest.runner.endpoint_reports import installed
from ipsectest.scenario.ports import Verb


def start(verb: Verb, endpoint: Endpoint, sas: list[IkeSa], now: Instant) -> None:
    """Begin it with the newest of the IKE SAs; PeerError if there is nothing to do it to."""
    begin = _BEGINNINGS.get(verb)
    if begin is None:
        raise UnsupportedError(f"{verb} of an endpoint of ours")
    if not sas:
        raise PeerError("there is no IKE SA")
    begin(endpoint, sas[-1], now)


def _rekey_child(endpoint: Endpoint, sa: IkeSa, now: Instant) -> None:
    child = next(iter(installed(sa)), None)
    if child is None:
        raise PeerError("there is no Child SA")
    endpoint.rekey_child(child, now)


_BEGINNINGS: dict[Verb, Callable[[Endpoint, IkeSa, Instant], object]] = {
    Verb.REKEY_IKE: Endpoint.rekey_ike,
    Verb.REKEY_CHILD: _rekey_child,
    Verb.DELETE_IKE: Endpoint.delete_ike,
    Verb.LIVENESS: Endpoint.liveness,
}
