"""IKEv2 octets <-> messages: bounded, iterative, lossless.

``build_message(parse_message(x)) == x`` for every x. Parsers never raise; they list anomalies.
"""

from ipsectest.wire.anomalies import Anomaly, AnomalyCode
from ipsectest.wire.build import BuildError, build_message, build_payloads, build_structure
from ipsectest.wire.describe import Line, describe, describe_payloads, payload_name, summary
from ipsectest.wire.fields import Field, Form
from ipsectest.wire.message import HEADER_LENGTH, Message, Payloads
from ipsectest.wire.parse import parse_message, parse_payloads, parse_structures
from ipsectest.wire.payloads import (
    AUTH,
    CERT,
    CERTREQ,
    CP,
    EAP,
    GENERIC_HEADER,
    KE,
    LAYOUTS,
    SA,
    SK,
    SKF,
    Delete,
    Identification,
    IDi,
    IDr,
    Nonce,
    Notify,
    Payload,
    TrafficSelectors,
    TSi,
    TSr,
    UnknownPayload,
    VendorID,
)
from ipsectest.wire.spans import Span
from ipsectest.wire.structures import (
    Attribute,
    ConfigurationAttribute,
    OtherTrafficSelector,
    Proposal,
    Structure,
    TrafficSelector,
    Transform,
)

__all__ = [
    "AUTH",
    "CERT",
    "CERTREQ",
    "CP",
    "EAP",
    "GENERIC_HEADER",
    "HEADER_LENGTH",
    "KE",
    "LAYOUTS",
    "SA",
    "SK",
    "SKF",
    "Anomaly",
    "AnomalyCode",
    "Attribute",
    "BuildError",
    "ConfigurationAttribute",
    "Delete",
    "Field",
    "Form",
    "IDi",
    "IDr",
    "Identification",
    "Line",
    "Message",
    "Nonce",
    "Notify",
    "OtherTrafficSelector",
    "Payload",
    "Payloads",
    "Proposal",
    "Span",
    "Structure",
    "TSi",
    "TSr",
    "TrafficSelector",
    "TrafficSelectors",
    "Transform",
    "UnknownPayload",
    "VendorID",
    "build_message",
    "build_payloads",
    "build_structure",
    "describe",
    "describe_payloads",
    "parse_message",
    "parse_payloads",
    "parse_structures",
    "payload_name",
    "summary",
]
