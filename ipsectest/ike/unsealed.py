"""An opened message."""

from dataclasses import dataclass

from ipsectest.wire import Anomaly, Message, Payload


@dataclass(slots=True)
class Unsealed:
    """What was inside an SK payload."""

    message: Message
    """The message with the inner payloads in place of SK ; ``anomalies`` are those of both, ``raw`` stays."""
    payloads: list[Payload]
    anomalies: tuple[Anomaly, ...]
    """Of the inner chain; spans count octets of the plaintext."""
    plaintext: bytes
    """With padding and Pad Length."""
    iv: bytes
