"""Networks that tests run in: described in TOML files, built of namespaces.

``shipped()`` names the descriptions that come with ipsectest.
"""

from pathlib import Path

from ipsectest.lab.topology.model import Topology
from ipsectest.lab.topology.network import Network
from ipsectest.lab.topology.peer_network import PEER, PEER_V6, Pair, behind_peer, furnish_peer, pair, peer_inner
from ipsectest.lab.topology.realise import realise

__all__ = [
    "PEER",
    "PEER_V6",
    "Network",
    "Pair",
    "Topology",
    "behind_peer",
    "furnish_peer",
    "pair",
    "peer_inner",
    "realise",
    "shipped",
]


def shipped() -> dict[str, Path]:
    """Name -> file."""
    folder = Path(__file__).parent.with_name("topologies")
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}
