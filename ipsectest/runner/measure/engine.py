"""What the user-space engine's work on one packet costs, against the number of SAs and of policies; in memory."""

import secrets
import time
from collections.abc import Callable, Iterator
from functools import partial
from ipaddress import ip_address

from ipsectest.base.addresses import Datagram
from ipsectest.base.iana import TransformType
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.integrities import integrity
from ipsectest.ike.config import Suite
from ipsectest.ipsec.gateway import Gateway
from ipsectest.ipsec.inner import UdpPacket, build_udp_packet
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.ipsec.spd import Action, PolicyEntry, Selector
from ipsectest.runner.measure.samples import Sample

_NEAR, _FAR = "2001:db8:a::1", int(ip_address("2001:db8:b::"))
_OTHER_PORTS = range(10_000, 10_500)
_PAYLOAD = bytes(1400 - 48)
"""With the headers of IPv6 and UDP 1,400 octets."""


def cost(suite: Suite, counts: tuple[int, ...], seconds: float = 0.2) -> Iterator[Sample]:
    """Samples for so many SA pairs and for so many policies, each number measured for so many seconds.

    The packet fits the SA in the middle, or the last policy.
    """
    for count in counts:
        sender, receiver = _with_sas(suite, count)
        sealing = partial(sender.seal, _packet(count // 2), secrets.token_bytes)
        opening = partial(receiver.open, _sealed(sealing()))
        passing = partial(_with_policies(count).outbound, _packet(count - 1), secrets.token_bytes)
        sas, policies = {"sas": str(count)}, {"policies": str(count)}
        yield Sample("first_seal_seconds", _first(sender, count // 2, seconds), ipsec=True, labels=sas)
        yield Sample("seal_seconds", _each(sealing, seconds), ipsec=True, labels=sas)
        yield Sample("open_seconds", _each(opening, seconds), ipsec=True, labels=sas)
        yield Sample("bypass_seconds", _each(passing, seconds), ipsec=False, labels=policies)


def _with_sas(suite: Suite, count: int) -> tuple[Gateway, Gateway]:
    sender, receiver = Gateway(), Gateway()
    transforms = {spec.type: spec for spec in suite}
    encryption, integ = transforms[TransformType.ENCR], transforms.get(TransformType.INTEG)
    key = secrets.token_bytes(cipher(encryption.id, encryption.key_length).keymat_length)
    integrity_key = secrets.token_bytes(integrity(integ.id).key_length) if integ else b""
    for number in range(count):
        for gateway, name in ((sender, "outbound"), (receiver, "inbound")):
            near, far = f"{_NEAR}/128", f"{ip_address(_FAR + number)}/128"
            sa = SecurityAssociation(
                spi=(0x1000 + number).to_bytes(4, "big"),
                source="192.0.2.1",
                destination="192.0.2.2",
                encryption=encryption,
                encryption_key=key,
                integrity=integ,
                integrity_key=integrity_key,
                replay_window=0,  # so that one packet can be opened again and again
                selectors=(Selector.between(*((near, far) if gateway is sender else (far, near))),),
            )
            gateway.add(**{name: sa})
    return sender, receiver


def _with_policies(count: int) -> Gateway:
    entries = (Selector.between(f"{_NEAR}/128", f"{ip_address(_FAR + number)}/128") for number in range(count))
    return Gateway(PolicyEntry(selector, Action.BYPASS, number) for number, selector in enumerate(entries))


def _packet(number: int, port: int = 5000) -> bytes:
    return build_udp_packet(UdpPacket(_NEAR, port, str(ip_address(_FAR + number)), 5000, _PAYLOAD))


def _first(sender: Gateway, number: int, seconds: float) -> float:
    """Mean seconds for a packet of a flow whose SA the gateway does not remember: another port each time."""
    packets = [_packet(number, port) for port in _OTHER_PORTS]
    begun = time.perf_counter()
    for calls, packet in enumerate(packets, 1):
        _sealed(sender.seal(packet, secrets.token_bytes))
        if calls >= 3 and time.perf_counter() - begun > seconds:
            break
    return (time.perf_counter() - begun) / calls


def _sealed(datagram: Datagram | None) -> Datagram:
    if datagram is None:
        raise AssertionError("the engine drops its own packet")
    return datagram


def _each(work: Callable[[], object], seconds: float) -> float:
    """Mean seconds of one call that must not come to nothing; a slow one is made at least three times."""
    begun = time.perf_counter()
    calls = 0
    while calls < 3 or time.perf_counter() - begun < seconds:
        if not work():
            raise AssertionError("the engine drops what it should pass")
        calls += 1
    return (time.perf_counter() - begun) / calls
