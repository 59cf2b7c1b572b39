"""A cell as the settings of its two gateways."""

from dataclasses import dataclass

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IKE_PORT, ProtocolId
from ipsectest.runner.interop.cells import Cell
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector

INITIATOR, RESPONDER = "initiator.example.org", "responder.example.org"
"""Identities, and names in the certificates."""
RETRANSMIT_TRIES = 6
"""Twenty seconds and more for an answer: a loaded machine must not make an end give up."""


@dataclass(frozen=True, slots=True)
class Ends:
    """Addresses of a cell: of both gateways on the wire, and behind them."""

    initiator: str
    responder: str
    inner_initiator: str
    inner_responder: str


def settings_of(cell: Cell, ends: Ends, secret: bytes, *, initiator: bool) -> PeerSettings:
    """What one side is told."""
    outer, inner = (ends.initiator, ends.responder), (ends.inner_initiator, ends.inner_responder)
    names = INITIATOR, RESPONDER
    here, there = (0, 1) if initiator else (1, 0)
    auth = Authentication(cell.auth)
    return PeerSettings(
        name="interop",
        local=Address(outer[here], IKE_PORT),
        remote=Address(outer[there], IKE_PORT),
        local_id=Identity("fqdn", names[here]),
        remote_id=Identity("fqdn", names[there]),
        local_auth=auth,
        remote_auth=auth,
        secret=secret if auth is Authentication.PSK else b"",
        ike=(cell.ike_suite,),
        esp=(cell.esp_suite,),
        local_ts=(Selector(inner[here], inner[here]),),
        remote_ts=(Selector(inner[there], inner[there]),),
        inner_local=inner[here],
        inner_remote=inner[there],
        mode=cell.mode,
        protocol=ProtocolId.AH if cell.is_ah else ProtocolId.ESP,
        retransmit_tries=RETRANSMIT_TRIES,
        force_encapsulation=cell.encapsulation == "udp",
    )
