"""A cell as the settings of its two gateways."""

from dataclasses import dataclass

from ipsectest.base.addresses import Address
from ipsectest.base.iana import IKE_PORT, ProtocolId
from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.peers.profile_settings import meet
from ipsectest.runner.interop.cells import Cell
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector
from ipsectest.scenario.profile import ROLES

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
    """What one side is told: what it speaks like, and what it has to do for an end that speaks like somebody."""
    settings = [_plain(cell, ends, secret, initiator=is_initiator) for is_initiator in (True, False)]
    for own, (name, role) in enumerate(zip((cell.initiator, cell.responder), ROLES, strict=True)):
        if profile := table.profile_of(PeerName.written(name)):
            settings[own], settings[1 - own] = meet(settings[own], settings[1 - own], profile, role)
    return settings[0 if initiator else 1]


def _plain(cell: Cell, ends: Ends, secret: bytes, *, initiator: bool) -> PeerSettings:
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
