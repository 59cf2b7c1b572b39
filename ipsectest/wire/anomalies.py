"""What a parser noticed: never an exception, always an octet span."""

from dataclasses import dataclass
from enum import StrEnum


class AnomalyCode(StrEnum):
    """Kinds of anomaly; the value is the word shown to users."""

    MESSAGE_TOO_SHORT = "message-too-short"
    LENGTH_TOO_SMALL = "length-too-small"
    LENGTH_BEYOND_CONTAINER = "length-beyond-container"
    TRAILING_OCTETS = "trailing-octets"
    RESERVED_SET = "reserved-set"
    MAJOR_VERSION = "major-version"
    MINOR_VERSION = "minor-version"
    VERSION_FLAG = "version-flag"
    ZERO_INITIATOR_SPI = "zero-initiator-spi"
    RESPONDER_SPI_IN_FIRST_REQUEST = "responder-spi-in-first-request"
    UNKNOWN_PAYLOAD = "unknown-payload"
    UNKNOWN_CRITICAL_PAYLOAD = "unknown-critical-payload"
    KNOWN_PAYLOAD_CRITICAL = "known-payload-critical"
    BODY_TOO_SHORT = "body-too-short"
    COUNT_MISMATCH = "count-mismatch"
    LAST_SUBSTRUCTURE = "last-substructure"
    SPI_SIZE = "spi-size"
    PROPOSAL_NUMBER = "proposal-number"
    SELECTOR_LENGTH = "selector-length"
    ATTRIBUTE_FORMAT = "attribute-format"


@dataclass(frozen=True, slots=True)
class Anomaly:
    """Something odd in octets ``start`` to ``end`` (exclusive) of what was parsed."""

    code: AnomalyCode
    text: str
    start: int
    end: int

    def __str__(self) -> str:
        """``reserved-set at 36-37: ...``."""
        return f"{self.code} at {self.start}-{self.end}: {self.text}"
