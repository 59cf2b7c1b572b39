"""A capture and its key file as messages: frames in, IKE messages and inner packets out."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from scapy.utils import RawPcapNgReader

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.iana import NAT_T_PORT, NON_ESP_MARKER, ProtocolId, TransformType
from ipsectest.base.suites import parse_suite
from ipsectest.crypto.keys import IkeKeys
from ipsectest.ike import protect
from ipsectest.ike.events import Drop
from ipsectest.ike.keylog import EspKeys, KeyLog
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa, Role
from ipsectest.ike.unsealed import Unsealed
from ipsectest.ipsec import drop, esp
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire import SK, Message, parse_message
from ipsectest.wire.ip import ESP, UDP, parse_ip, parse_udp
from tests.pair.world import connection


@dataclass(frozen=True)
class IkeFrame:
    number: int
    """From 1, as Wireshark counts."""
    octets: bytes
    """Without non-ESP marker."""
    message: Message
    inner: Unsealed | Drop | None
    """What was in SK, None without one."""
    sa: IkeSa | None
    """The receiver's view of the IKE SA."""


@dataclass(frozen=True)
class EspFrame:
    number: int
    octets: bytes
    inner: esp.Opened | drop.Drop | None
    """None: no keys for its SPI."""
    sa: SecurityAssociation | None


class Keys:
    """A ``keys.toml``: what opens messages, and the same as a key log that writes Wireshark's tables."""

    def __init__(self, text: str) -> None:
        document = tomllib.loads(text)
        self.ike = [_ike_sa(table) for table in document.get("ike", [])]
        self.esp = [_esp_keys(table) for table in document.get("esp", [])]
        self.log = KeyLog(self.ike, self.esp)
        self._inbound = {keys.spi: esp_sa(keys) for keys in self.esp}

    def receiver(self, message: Message) -> IkeSa | None:
        """The IKE SA as the end that ``message`` is for sees it."""
        for sa in self.ike:
            if (sa.spi_i, sa.spi_r) == (message.initiator_spi, message.responder_spi):
                sa.role = Role.RESPONDER if message.from_initiator else Role.INITIATOR
                return sa
        return None

    def inbound(self, spi: bytes) -> SecurityAssociation | None:
        """The SA of one direction; its replay window goes on from packet to packet."""
        return self._inbound.get(spi)


def _ike_sa(table: dict[str, str]) -> IkeSa:
    parts = {name: bytes.fromhex(value) for name, value in table.items() if name != "suite"}
    spis = parts.pop("spi_i"), parts.pop("spi_r")
    chosen = Chosen(1, ProtocolId.IKE, b"", tuple(parse_suite(table["suite"])))
    ends = Address("192.0.2.1"), Address("192.0.2.2")
    keys = IkeKeys(**parts)
    return IkeSa(
        Role.INITIATOR, *ends, connection(at_alice=True), spi_i=spis[0], spi_r=spis[1], chosen=chosen, keys=keys
    )


def _esp_keys(table: dict[str, str]) -> EspKeys:
    chosen = Chosen(1, ProtocolId.ESP, b"", tuple(parse_suite(table["suite"])))
    spi, *keys = (bytes.fromhex(table[name]) for name in ("spi", "encryption_key", "integrity_key"))
    return EspKeys(table["source"], table["destination"], spi, chosen, *keys)


def esp_sa(keys: EspKeys) -> SecurityAssociation:
    """One direction, fresh: nothing received or sent yet."""
    return SecurityAssociation(
        spi=keys.spi,
        source=keys.source,
        destination=keys.destination,
        encryption=keys.chosen.of(TransformType.ENCR),
        encryption_key=keys.encryption_key,
        integrity=keys.chosen.of(TransformType.INTEG),
        integrity_key=keys.integrity_key,
    )


def datagrams(path: Path) -> Iterator[tuple[int, Datagram]]:
    """(frame number, datagram) of a capture of raw IP packets; AssertionError for anything that is not IKE or ESP."""
    with RawPcapNgReader(str(path)) as reader:
        for number, (packet, _) in enumerate(reader, 1):
            datagram = datagram_of(packet)
            assert datagram is not None, f"frame {number} is neither IKE nor ESP"
            yield number, datagram


def datagram_of(packet: bytes) -> Datagram | None:
    """IKE or ESP of an IP packet, else None."""
    ip = parse_ip(packet)
    if ip is None or ip.is_fragment:
        return None
    source, destination = str(ip_address(ip.source)), str(ip_address(ip.destination))
    if ip.protocol == ESP:
        return Datagram(ip.payload, Address(source), Address(destination), ESP)
    udp = parse_udp(ip.payload) if ip.protocol == UDP else None
    if udp is None or not {500, NAT_T_PORT} & set(udp[:2]):
        return None
    return Datagram(udp[2], Address(source, udp[0]), Address(destination, udp[1]))


def frames(path: Path, keys: Keys) -> Iterator[IkeFrame | EspFrame]:
    """Every frame of a capture, opened."""
    for number, datagram in datagrams(path):
        octets, on_nat_t = datagram.data, NAT_T_PORT in {datagram.source.port, datagram.destination.port}
        if datagram.protocol == ESP or (on_nat_t and not octets.startswith(NON_ESP_MARKER)):
            sa = keys.inbound(octets[:4])
            yield EspFrame(number, octets, esp.open_esp(sa, octets) if sa else None, sa)
            continue
        octets = octets[len(NON_ESP_MARKER) :] if on_nat_t else octets
        message = parse_message(octets)
        ike = keys.receiver(message)
        opened = protect.unseal(ike, message) if ike and message.get(SK) else None
        yield IkeFrame(number, octets, message, opened, ike)
