"""What our own endpoint has, in the words of ``peers.reports``: as daemons report their SAs."""

from collections.abc import Callable

from ipsectest.base.iana import TransformType
from ipsectest.ike.endpoint import Endpoint
from ipsectest.ike.sa import ChildSa, ChildState, IkeSa
from ipsectest.ike.states import State
from ipsectest.peers.reports import ChildReport, IkeReport

IsEncapsulated = Callable[[ChildSa], bool]
"""Whether the ESP of a Child SA goes through UDP."""
_UP = (State.ESTABLISHED, State.REKEYING)
_IKE_KINDS = TransformType.ENCR, TransformType.INTEG, TransformType.PRF, TransformType.KE
_CHILD_KINDS = TransformType.ENCR, TransformType.INTEG, TransformType.KE


def established(endpoint: Endpoint) -> list[IkeSa]:
    """The IKE SAs that are in use: those that were rekeyed are not."""
    return [sa for sa in endpoint.sessions() if sa.state in _UP and sa.successor is None]


def installed(sa: IkeSa) -> list[ChildSa]:
    """The Child SAs that carry packets."""
    return [child for child in sa.children.values() if child.state in {ChildState.INSTALLED, ChildState.REKEYING}]


def report(sa: IkeSa, is_encapsulated: IsEncapsulated) -> IkeReport:
    """An IKE SA with its installed Child SAs."""
    chosen = sa.chosen
    suite = tuple(spec for kind in _IKE_KINDS if chosen and (spec := chosen.of(kind)))
    return IkeReport(sa.spi_i, sa.spi_r, suite, tuple(_child(child, is_encapsulated) for child in installed(sa)))


def _child(child: ChildSa, is_encapsulated: IsEncapsulated) -> ChildReport:
    suite = tuple(spec for kind in _CHILD_KINDS if (spec := child.chosen.of(kind)))
    return ChildReport(child.spi_in, child.spi_out, suite, child.mode.value, is_encapsulated(child))
