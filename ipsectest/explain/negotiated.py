"""What was agreed: the suite of each IKE SA, and each Child SA with its selectors and what became of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address, summarize_address_range
from typing import Any

from ipsectest.base.iana import ExchangeType, NotifyType, ProtocolId
from ipsectest.base.suites import format_suite, ordered
from ipsectest.decrypt.negotiations import chosen_proposal, first_payload
from ipsectest.explain.conversations import Conversation, Exchange
from ipsectest.explain.flows import Flows
from ipsectest.wire import SA, Delete, Payload, Proposal, TrafficSelector, TrafficSelectors, TSi, TSr

_PROTOCOLS: dict[int, str] = {ProtocolId.IKE: "IKE", ProtocolId.AH: "AH", ProtocolId.ESP: "ESP"}


@dataclass(slots=True)
class Agreed:
    """An IKE SA or a Child SA that both sides took."""

    protocol: str
    suite: str
    number: int
    """Of the frame (or line of a log) that settled it."""
    spis: tuple[bytes, bytes] = (b"", b"")
    """Chosen by the initiator and the responder of its exchange: each is in packets *to* its chooser."""
    initiator: str = ""
    """Of its exchange."""
    responder: str = ""
    mode: str = ""
    local: tuple[str, ...] = ()
    """Traffic selectors of the initiator's side."""
    remote: tuple[str, ...] = ()
    is_rekey: bool = False
    deleted: int = 0
    """Frame in which it was deleted."""
    packets: tuple[int, int] | None = None
    """Of ESP or AH, sent by the initiator of its exchange and by the responder; None where a log tells of it."""

    def as_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "protocol": self.protocol,
            "suite": self.suite,
            "number": self.number,
            "spis": [spi.hex() for spi in self.spis if spi],
            "mode": self.mode,
            "selectors": [list(self.local), list(self.remote)],
            "rekey": self.is_rekey,
            "deleted": self.deleted or None,
            "packets": list(self.packets) if self.packets else None,
        }


def ike_suite(conversation: Conversation) -> Agreed | None:
    """What IKE_SA_INIT settled."""
    for exchange in conversation.of(ExchangeType.IKE_SA_INIT):
        chosen = chosen_proposal(exchange.response.payloads)
        if chosen:
            spis = conversation.spi_i, conversation.spi_r
            frame = exchange.response.sightings[0].frame
            return Agreed(
                "IKE", format_suite(ordered(chosen.specs)), frame, spis, conversation.initiator, conversation.responder
            )
    return None


def children(conversation: Conversation, flows: Flows | None = None) -> list[Agreed]:
    """Child SAs and rekeyed IKE SAs whose exchange can be read, in order; with ``flows``, their packets."""
    made = [agreed for exchange in conversation.exchanges for agreed in _made(conversation, exchange)]
    for agreed in made if flows else ():
        if flows and agreed.protocol != "IKE":
            # Each SPI is in packets to the one who chose it.
            own, other = (sum(flow.packets for flow in flows.to(spi)) for spi in agreed.spis)
            agreed.packets = other, own
    for exchange in conversation.of(ExchangeType.INFORMATIONAL):
        for payload in (*exchange.request.payloads, *exchange.response.payloads):
            if isinstance(payload, Delete):
                _delete(made, payload, exchange.first.frame)
    return made


def _delete(made: list[Agreed], payload: Delete, frame: int) -> None:
    for agreed in made:
        if any(bytes(spi) in agreed.spis for spi in payload.spis) and not agreed.deleted:
            agreed.deleted = frame


def _made(conversation: Conversation, exchange: Exchange) -> Iterator[Agreed]:
    if exchange.type not in {ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA}:
        return
    chosen = chosen_proposal(exchange.response.payloads)
    request = asked(conversation, exchange)
    if chosen is None or not request:
        return
    offers = [one for one in offered(request) if one.number == chosen.number] or offered(request)
    ends = (conversation.initiator, conversation.responder)
    initiator, responder = ends if exchange.by_initiator else ends[::-1]
    is_transport = exchange.response.notify(NotifyType.USE_TRANSPORT_MODE)
    is_ike = chosen.protocol == ProtocolId.IKE
    yield Agreed(
        _PROTOCOLS.get(chosen.protocol, "?"),
        format_suite(ordered(chosen.specs)),
        exchange.response.sightings[0].frame,
        (bytes(offers[0].spi) if offers else b"", bytes(chosen.spi)),
        initiator,
        responder,
        mode="" if is_ike else "transport" if is_transport else "tunnel",
        local=selectors(exchange.response.payloads, TSi),
        remote=selectors(exchange.response.payloads, TSr),
        is_rekey=is_ike or exchange.request.notify(NotifyType.REKEY_SA) is not None,
    )


def asked(conversation: Conversation, exchange: Exchange) -> list[Payload]:
    """The request that offers the SA; with EAP that is the first of several (RFC 7296 section 2.16)."""
    if exchange.type != ExchangeType.IKE_AUTH or first_payload(exchange.request.payloads, SA) is not None:
        return exchange.request.payloads
    for earlier in conversation.of(ExchangeType.IKE_AUTH):
        if first_payload(earlier.request.payloads, SA) is not None:
            return earlier.request.payloads
    return []


def offered(payloads: list[Payload]) -> list[Proposal]:
    """The proposals of an SA payload."""
    sa = first_payload(payloads, SA)
    return sa.proposals if sa else []


def suites(payloads: list[Payload]) -> list[str]:
    """The same in words."""
    return [format_suite(proposal.specs) for proposal in offered(payloads)]


def selectors(payloads: list[Payload], kind: type[TrafficSelectors]) -> tuple[str, ...]:
    """Selectors of one side in words: ``10.1.0.0/24``, ``10.1.0.1/tcp 80``."""
    found = first_payload(payloads, kind)
    return tuple(selector_text(one) for one in found.selectors if isinstance(one, TrafficSelector)) if found else ()


def selector_text(one: TrafficSelector) -> str:
    """One selector as users write it."""
    try:
        networks = list(summarize_address_range(ip_address(one.start), ip_address(one.end)))
        text = str(networks[0]) if len(networks) == 1 else f"{ip_address(one.start)}-{ip_address(one.end)}"
    except (ValueError, TypeError):
        text = f"{one.start.hex()}-{one.end.hex()}"
    if one.protocol:
        text += f" protocol {one.protocol}"
    if (one.start_port, one.end_port) != (0, 0xFFFF):
        text += f" port {one.start_port}" + (f"-{one.end_port}" if one.end_port != one.start_port else "")
    return text
