"""What mutants come from: packets with the keys that open them, so that the octets behind encryption change too."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from unittest.mock import patch

from ipsectest.base.addresses import Datagram
from ipsectest.base.clock import RandomBytes
from ipsectest.base.iana import IKE_PORT, NON_ESP_MARKER, ProtocolId
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import KeyExchange, KeyShare, key_exchange
from ipsectest.decrypt.capture import open_capture
from ipsectest.decrypt.ike import IkeDatabase
from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, KeyRing, SaKeys
from ipsectest.decrypt.links import ip_packet
from ipsectest.decrypt.negotiations import Negotiations
from ipsectest.ipsec.packets import protect
from ipsectest.ipsec.sa import Mode, SecurityAssociation
from ipsectest.wire import SK, SKF, build_payloads, parse_message
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import UDP, build_ip, build_udp, parse_ip, parse_udp
from tests.pair.world import World, connection
from tests.unit.decrypt.test_unwrap import INNER, INNER_V6, keys_of, sender
from tests.unit.ipsec.sas import SUITES, seeded

ROOT = Path(__file__).parents[3]
_KEYS = (".keys.toml", ".log")
"""Ends of the names of key files beside captures."""


@dataclass(frozen=True, slots=True)
class Secret:
    """What an encrypted IKEv2 message of a sample says."""

    message: bytes
    packet: int
    """Index of its IP packet."""
    keys: IkeKeys
    first: int
    chain: bytes


@dataclass(slots=True)
class Sample:
    """IP packets of a tunnel and its keys."""

    name: str
    packets: list[bytes]
    ring: KeyRing
    text: bytes = b""
    """The key file."""
    secrets: list[Secret] = field(default_factory=list)
    sas: list[SaKeys] = field(default_factory=list)
    """All SAs, derived ones too."""


@cache
def samples() -> tuple[Sample, ...]:
    """Captures of real daemons with keys of each kind, every ESP algorithm, AH, transport mode, nested tunnels."""
    made = [*_recorded(), *_esp(), _layers(), _derived("x25519"), _derived("ecp256"), _phase1_secret()]
    for sample in made:
        _open(sample)
    return tuple(made)


def _packets(path: Path) -> list[bytes]:
    capture = open_capture(path)
    frames = [ip_packet(bytes(one.data), capture.interfaces[one.interface].link_type) for one in capture.frames()]
    capture.close()
    return [packet for packet in frames if isinstance(packet, bytes)]


def _recorded() -> Iterator[Sample]:
    vectors = ROOT / "tests" / "vectors"
    captures = [*vectors.glob("ikev1/*.pcapng"), *vectors.glob("rfc9370/*.pcapng"), *ROOT.glob("pcaps/*.pcapng")]
    for capture in sorted(captures):
        keys = next((path for name in _KEYS if (path := capture.with_suffix(name)).is_file()), None)
        if keys is not None:
            yield Sample(capture.stem, _packets(capture), detect.read(keys), keys.read_bytes())


def _esp() -> Iterator[Sample]:
    """The fast path takes some of the suites, the slow one the others."""
    for number, suite in enumerate(SUITES):
        ends = {"source": "2001:db8::1", "destination": "2001:db8::2"} if number % 3 == 0 else {}
        sa = sender(suite, udp_ports=(4500, 4500) if number % 2 else None, esn=number % 5 == 0, **ends)
        packets = [protect(sa, (INNER, INNER_V6)[n % 2], seeded(n)) for n in range(8)]
        yield Sample(suite, packets, KeyRing(sas=[keys_of(sa)]))


def _layers() -> Sample:
    core, middle = sender("aes128gcm16", spi=b"\0\0\1\1"), sender("aes256-sha256", spi=b"\0\0\1\2")
    outer = sender("chacha20poly1305", spi=b"\0\0\1\3", mode=Mode.TRANSPORT)
    ah = sender("aes128-sha256", spi=b"\0\0\1\4", protocol=ProtocolId.AH, encryption=None, encryption_key=b"")
    packets = []
    for n in range(4):
        packets.append(protect(outer, protect(middle, protect(core, INNER, seeded(n)), seeded(n)), seeded(n)))
        packets.append(protect(ah, protect(core, INNER_V6, seeded(n)), seeded(n)))
    return Sample("layers", packets, KeyRing(sas=[keys_of(sa) for sa in (core, middle, outer, ah)]))


def _derived(group: str) -> Sample:
    """A tunnel with rekeys of which only one side's private values are known."""
    (spec,) = parse_suite(group)
    drawn: list[DhKeys] = []

    def initiate(exchange: KeyExchange, random: RandomBytes) -> KeyShare:
        drawn.append(DhKeys(group=spec.id, private=random(31)[:31] if group == "ecp256" else random(32)))
        return exchange.from_private(drawn[-1].private)

    with patch.object(type(key_exchange(spec.id)), "initiate", initiate):
        ike, esp = (parse_suite(f"aes256-sha256-prfsha384-{group}"),), (parse_suite(f"aes128gcm16-{group}"),)
        ends = [connection(at_alice=at_alice, child={"proposals": esp}, proposals=ike) for at_alice in (True, False)]
        world = World(alice=ends[0], bob=ends[1])
        world.establish()
        world.alice.endpoint.rekey_child(world.alice.children()[0], world.now)
        world.settle()
        world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
        world.settle()
    return Sample(f"private values of {group}", [_packet(one) for one in world.sent], KeyRing(dh=drawn[::2]))


def _phase1_secret() -> Sample:
    """IKEv1 of which a pre-shared key and g^ir are known."""
    folder = ROOT / "tests" / "vectors" / "ikev1"
    log = (folder / "main-aes.log").read_text().split("shared Diffie Hellman secret => 256 bytes")[1]
    secret = bytes.fromhex(" ".join(line.split(": ", 1)[1][:47] for line in log.splitlines()[1:17]))
    packets = _packets(folder / "main-aes.pcapng")
    public = b""
    for packet in packets:
        ip = parse_ip(packet)
        udp = parse_udp(ip.payload) if ip and ip.protocol == UDP else None
        if udp and udp[2][16:18] == b"\x04\x10":  # the first payload of the third message of main mode is KE
            public = udp[2][32 : 28 + int.from_bytes(udp[2][30:32], "big")]
            break
    psk = b"a secret of no worth".hex()
    text = f'[[dh]]\npublic = "{public.hex()}"\nsecret = "{secret.hex()}"\n[[ikev1]]\npre_shared_key = "{psk}"\n'
    return Sample("phase 1 secret", packets, KeyRing(), text.encode())


def _packet(datagram: Datagram) -> bytes:
    ends = [ip_address(one.host).packed for one in (datagram.source, datagram.destination)]
    ports = datagram.source.port, datagram.destination.port
    return build_ip(*ends, UDP, build_udp(*ends, *ports, datagram.data))


def ike_octets(packet: bytes) -> bytes | None:
    """The IKE message in an IP packet."""
    ip = parse_ip(packet)
    udp = parse_udp(ip.payload) if ip and ip.protocol == UDP and not ip.is_fragment else None
    if udp is None:
        return None
    if udp[2][:4] == NON_ESP_MARKER and IKE_PORT not in udp[:2]:
        return udp[2][4:]
    return udp[2] if IKE_PORT in udp[:2] else None


def _open(sample: Sample) -> None:
    """Read its IKEv2 messages, and derive its SAs."""
    database, negotiations = IkeDatabase(sample.ring.ike), Negotiations()
    sample.sas = list(sample.ring.sas)
    for number, packet in enumerate(sample.packets):
        octets, ip = ike_octets(packet), parse_ip(packet)
        if not octets or not ip or octets[17] != 0x20:
            continue
        message, opened = parse_message(octets), database.open(octets)
        last = message.payloads[-1] if message.payloads else None
        if opened is None or opened.failure:
            continue
        sample.sas += negotiations.take(opened, host_text(ip.source), host_text(ip.destination)).sas
        if opened.keys and isinstance(last, SK | SKF):
            first, chain = build_payloads(opened.payloads)
            sample.secrets.append(Secret(octets, number, opened.keys, first, chain))


def association(keys: SaKeys) -> SecurityAssociation:
    """What seals packets of an SA."""
    given = {name: getattr(keys, name) for name in ("encryption", "encryption_key", "integrity", "integrity_key")}
    ends = {"source": keys.source or "192.0.2.1", "destination": keys.destination or "192.0.2.2"}
    return SecurityAssociation(spi=keys.spi, protocol=keys.protocol, esn=bool(keys.esn), **ends, **given)


def spread(keys: SaKeys) -> SaKeys:
    """The same keys without what a file may leave open."""
    return replace(keys, source="", destination="", esn=None)
