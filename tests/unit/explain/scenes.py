"""Captures made by hand: IKE messages in clear (as decrypted ones read), ESP and ICMP between two hosts."""

from dataclasses import dataclass, field
from typing import Any

from ipsectest.base.iana import ExchangeType, HeaderFlag, NotifyType
from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.explain.capture_facts import CaptureFacts
from ipsectest.explain.explanation import Explanation, explain
from ipsectest.explain.findings import Finding
from ipsectest.wire import (
    AUTH,
    KE,
    SA,
    IDi,
    IDr,
    Message,
    Nonce,
    Notify,
    Payload,
    Proposal,
    TrafficSelector,
    Transform,
    TSi,
    TSr,
    build_message,
)
from ipsectest.wire.datagrams import host_octets
from ipsectest.wire.ip import ESP, ICMP, UDP, build_ip, build_ipv4, build_udp

INITIATOR, RESPONDER = "192.0.2.1", "192.0.2.2"
SPI_I, SPI_R = b"initiato", b"responde"
RAW = Interface(101)


def sa(*suites: str, protocol: int = 1, spi: bytes = b"") -> SA:
    """An SA payload of suites in words."""
    return SA([
        Proposal(number, protocol, spi, [Transform.of(spec) for spec in parse_suite(suite)])
        for number, suite in enumerate(suites, 1)
    ])  # fmt: skip


def ke(group: int) -> KE:
    return KE(group, bytes(32))


def notify(kind: NotifyType, data: bytes = b"", **fields: Any) -> Notify:
    return Notify(kind, data, **fields)


def ts(kind: type[TSi] | type[TSr], *ranges: str) -> TSi | TSr:
    return kind([TrafficSelector.of(one) for one in ranges])


@dataclass
class Scene:
    """A capture in the making; each method adds a frame ``after`` so many seconds."""

    frames: list[Frame] = field(default_factory=list)
    seconds: float = 0.0
    port: int = 500

    def packet(self, data: bytes, after: float = 0.01) -> "Scene":
        self.seconds += after
        self.frames.append(Frame(len(self.frames) + 1, int(self.seconds * 1e9), 0, data, len(data)))
        return self

    def ike(
        self,
        exchange: ExchangeType,
        *payloads: Payload,
        response: bool = False,
        by_initiator: bool = True,
        message_id: int = 0,
        spi_i: bytes = SPI_I,
        spi_r: bytes | None = None,
        after: float = 0.01,
        major: int = 2,
    ) -> "Scene":
        to_right = by_initiator != response
        flags = (HeaderFlag.INITIATOR if to_right else 0) | (HeaderFlag.RESPONSE if response else 0)
        if spi_r is None:
            spi_r = bytes(8) if exchange == ExchangeType.IKE_SA_INIT and not response else SPI_R
        message = Message(spi_i, spi_r, exchange, int(flags), message_id, list(payloads), major)
        return self.datagram(build_message(message), to_right=to_right, after=after)

    def datagram(self, octets: bytes, *, to_right: bool = True, after: float = 0.01) -> "Scene":
        ends = host_octets(INITIATOR), host_octets(RESPONDER)
        source, destination = ends if to_right else ends[::-1]
        marker = bytes(4) if self.port == 4500 else b""
        udp = build_udp(source, destination, self.port, self.port, marker + octets)
        return self.packet(build_ip(source, destination, UDP, udp), after)

    def init(self, suite: str = "aes128gcm16-prfsha256-x25519", group: int = 31) -> "Scene":
        """IKE_SA_INIT as it should be."""
        self.ike(ExchangeType.IKE_SA_INIT, sa(suite), ke(group), Nonce(b"i" * 32))
        return self.ike(ExchangeType.IKE_SA_INIT, sa(suite), ke(group), Nonce(b"r" * 32), response=True)

    def auth_request(self, method: int = 2, esp: str = "aes128gcm16-noesn", **more: Any) -> "Scene":
        return self.ike(
            ExchangeType.IKE_AUTH,
            IDi(id_type=2, data=b"left.example"),
            IDr(id_type=2, data=b"right.example"),
            AUTH(method, bytes(32)),
            sa(esp, protocol=3, spi=b"\0\0\1\1"),
            ts(TSi, "198.51.100.0/24"),
            ts(TSr, "203.0.113.0/24"),
            message_id=1,
            **more,
        )

    def auth_response(self, *payloads: Payload, **more: Any) -> "Scene":
        """With a Child SA, or with other payloads behind IDr and AUTH."""
        child = (
            sa("aes128gcm16-noesn", protocol=3, spi=b"\0\0\2\2"),
            ts(TSi, "198.51.100.0/24"),
            ts(TSr, "203.0.113.0/24"),
        )
        proof = IDr(id_type=2, data=b"right.example"), AUTH(2, bytes(32))
        return self.ike(ExchangeType.IKE_AUTH, *proof, *(payloads or child), response=True, message_id=1, **more)

    def esp(self, spi: bytes, sequence: int, *, to_right: bool = True, after: float = 0.01) -> "Scene":
        ends = host_octets(INITIATOR), host_octets(RESPONDER)
        source, destination = ends if to_right else ends[::-1]
        return self.packet(build_ip(source, destination, ESP, spi + sequence.to_bytes(4, "big") + bytes(40)), after)

    def icmp(self, code: int, about: int = -1, reporter: str = RESPONDER) -> "Scene":
        """Destination unreachable about an earlier frame."""
        quoted = bytes(self.frames[about].data)[:28]
        error = bytes((3, code, 0, 0, 0, 0, 0, 0)) + quoted
        return self.packet(build_ipv4(host_octets(reporter), host_octets(INITIATOR), ICMP, error))

    def facts(self, name: str = "scene.pcap") -> CaptureFacts:
        run, facts = Decryption(KeyRing()), CaptureFacts(name)
        run.observer = facts
        for frame in self.frames:
            run.take(frame, RAW)
        return facts

    def explained(self) -> Explanation:
        return explain([self.facts()])

    def finding(self, code: str) -> Finding:
        """The one finding of a code."""
        found = {one.code: one for one in self.explained().findings}
        assert code in found, sorted(found)
        return found[code]

    def codes(self) -> list[str]:
        return [one.code for one in self.explained().findings]
