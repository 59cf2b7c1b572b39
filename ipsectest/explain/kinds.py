"""Kinds of findings that captures and logs of all daemons share: what each is called, and which clause speaks of it."""

from ipsectest.explain.findings import Kind, Severity

ANSWERS_LATE = Kind(
    code="answers-late",
    title="Answers come late",
    clause="RFC 7296 section 2.4",
    severity=Severity.WARNING,
)
ANSWERS_LOST = Kind(
    code="answers-lost", title="Answers do not arrive", clause="RFC 7296 section 2.1", requirement="7296-2.1-02"
)
AUTHENTICATION_REFUSED = Kind(
    code="authentication-failed",
    title="The peer refuses authentication",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-2.21.2-01",
)
CANNOT_SEND = Kind(code="cannot-send", title="Messages cannot be sent")
CAPTURE_ENDS_EARLY = Kind(
    code="capture-ends-early", title="The capture ends before an answer could come", severity=Severity.WARNING
)
CERTIFICATE_EXPIRED = Kind(
    code="certificate-expired", title="A certificate is not valid now", clause="RFC 5280 section 6.1.3"
)
CERTIFICATE_EXPIRED_IN_CAPTURE = Kind(
    code="certificate-expired",
    title="A certificate is not valid at the time of the capture",
    clause="RFC 5280 section 6.1.3",
    severity=Severity.WARNING,
)
CERTIFICATE_REVOKED = Kind(
    code="certificate-revoked", title="The certificate was revoked", clause="RFC 5280 section 6.3"
)
CERTIFICATE_WITHOUT_KEY = Kind(
    code="private-key-missing", title="There is no private key for the certificate", clause="RFC 7296 section 2.15"
)
CHILD_PROPOSAL_MISMATCH = Kind(
    code="child-proposal-mismatch",
    title="No common proposal for the Child SA",
    clause="RFC 7296 section 2.7",
    requirement="7296-2.7-04",
)
CHILD_REFUSED = Kind(code="child-refused", title="The peer refuses the Child SA", clause="RFC 7296 section 1.3")
CONSTRAINT_FAILED = Kind(
    code="constraint-failed", title="The peer does not meet what is asked of it", clause="RFC 7296 section 2.21.2"
)
COOKIE_LOOP = Kind(
    code="cookie-loop",
    title="Cookies are demanded again and again",
    clause="RFC 7296 section 2.6",
    requirement="7296-2.6-17",
)
COOKIE_NOT_RETURNED = Kind(
    code="cookie-not-returned",
    title="The initiator does not come back with the cookie",
    clause="RFC 7296 section 2.6",
    requirement="7296-2.6-09",
)
COOKIE_NOT_TAKEN = Kind(
    code="cookie-not-taken",
    title="The responder does not take its cookie back",
    clause="RFC 7296 section 2.6",
    requirement="7296-2.6-16",
)
CREATE_CHILD_SA_REFUSED = Kind(code="child-refused", title="CREATE_CHILD_SA is refused", clause="RFC 7296 section 1.3")
DEAD_PEER = Kind(code="dead-peer", title="The peer is dead", clause="RFC 7296 section 2.4", requirement="7296-2.4-18")
EAP_FAILED = Kind(code="eap-failed", title="EAP does not succeed", clause="RFC 7296 section 2.16")
GROUP_MISMATCH = Kind(
    code="group-mismatch",
    title="The responder wants a group that was not offered",
    clause="RFC 7296 section 1.2",
    requirement="7296-1.2-12",
)
GROUP_RETRY = Kind(
    code="group-retry",
    title="One more round trip for the group",
    clause="RFC 7296 section 1.2",
    requirement="7296-1.2-10",
    severity=Severity.NOTE,
)
ID_NOT_IN_CERTIFICATE = Kind(
    code="id-mismatch", title="The certificate does not name the ID", clause="RFC 7296 section 4"
)
IKE_AUTH_REFUSED = Kind(
    code="authentication-failed",
    title="The responder refuses IKE_AUTH",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-2.21.2-01",
)
IKE_FRAGMENT_LOST = Kind(
    code="fragment-lost",
    title="Fragments of a message do not arrive",
    clause="RFC 7383 section 2.6",
    requirement="7383-2.6-08",
)
IKE_PROPOSAL_MISMATCH = Kind(
    code="ike-proposal-mismatch",
    title="No common proposal for the IKE SA",
    clause="RFC 7296 section 2.7",
    requirement="7296-2.7-04",
)
IKE_REKEY_PROPOSAL_MISMATCH = Kind(
    code="ike-rekey-proposal-mismatch",
    title="No common proposal for the rekey of the IKE SA",
    clause="RFC 7296 section 2.7",
    requirement="7296-2.7-04",
)
INVALID_KE_SENT = Kind(
    code="group-retry",
    title="One more round trip for the group",
    clause="RFC 7296 section 1.2",
    requirement="7296-1.2-09",
    severity=Severity.NOTE,
)
IP_FRAGMENT_LOST = Kind(
    code="fragment-lost", title="IP fragments do not arrive", clause="RFC 7383 section 1", requirement="7383-2.5.1-01"
)
KERNEL_REFUSES = Kind(code="kernel-refuses", title="The kernel takes no IPsec SA or policy")
LARGE_MESSAGE_LOST = Kind(
    code="large-message-lost",
    title="A large message does not get through",
    clause="RFC 7383 section 1",
    requirement="7383-2.5.1-01",
)
MESSAGE_NOT_DECRYPTED = Kind(
    code="message-not-decrypted",
    title="A message cannot be decrypted",
    clause="RFC 7296 section 2.21.4",
    severity=Severity.WARNING,
)
NAME_NOT_RESOLVED = Kind(code="name-not-resolved", title="The name of the peer cannot be resolved")
NAT_T_BLOCKED = Kind(
    code="nat-t-blocked",
    title="UDP port 4500 is blocked",
    clause="RFC 7296 section 2.23, RFC 3948",
    requirement="7296-2.23-03",
)
NO_ADDRESS_LEFT = Kind(
    code="no-address-left",
    title="The gateway has no address for the client",
    clause="RFC 7296 section 3.15.4",
    requirement="7296-1.2-15",
)
NO_ANSWER_TO_AUTH = Kind(
    code="no-answer-to-auth", title="IKE_AUTH is not answered", clause="RFC 7296 section 2.4", requirement="7296-2.4-07"
)
NO_CONNECTION = Kind(
    code="no-connection", title="No connection is configured for this peer", clause="RFC 7296 section 2.7"
)
NO_CONNECTION_WITH_IDS = Kind(
    code="id-mismatch",
    title="No connection has these IDs",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-2.21.2-01",
)
NO_CONNECTION_WITH_PEER_ID = Kind(
    code="id-mismatch",
    title="No connection has this ID of the peer",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-2.21.2-01",
)
NO_TRUSTED_CERTIFICATE = Kind(
    code="untrusted-certificate", title="No certificate of the peer is trusted", clause="RFC 7296 section 4"
)
OTHER_ID = Kind(
    code="id-mismatch",
    title="The peer has another ID than expected",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-1.2-06",
)
OWN_ID_NOT_IN_CERTIFICATE = Kind(
    code="id-mismatch",
    title="The own certificate does not name the own ID",
    clause="RFC 7296 section 4",
    severity=Severity.WARNING,
)
NO_SA_TO_SEND_ON = Kind(
    code="no-sa-to-send-on",
    title="Packets wait for an SA that is not there",
    clause="RFC 4301 section 5.1",
    severity=Severity.WARNING,
)
PACKETS_DAMAGED = Kind(
    code="packets-damaged",
    title="Packets are damaged on the way",
    clause="RFC 4303 section 3.4.4",
    requirement="4303-3.4.4-01",
)
PACKETS_LOST = Kind(
    code="packets-lost",
    title="Packets are lost on the way to the place of the capture",
    clause="RFC 4303 section 3.3.3",
    requirement="4303-3.3.3-01",
)
PACKETS_REPLAYED = Kind(
    code="packets-replayed",
    title="Packets come twice, or far too late",
    clause="RFC 4303 section 3.4.3",
    requirement="4303-3.4.3-03",
    severity=Severity.WARNING,
)
PEER_NOT_AUTHENTIC = Kind(
    code="authentication-failed",
    title="Authentication of the peer fails",
    clause="RFC 7296 section 2.21.2",
    requirement="7296-2.21.2-01",
)
PEER_UNREACHABLE = Kind(
    code="peer-unreachable",
    title="The responder does not answer",
    clause="RFC 7296 section 2.4",
    requirement="7296-2.4-07",
)
PRIVATE_KEY_MISSING = Kind(
    code="private-key-missing", title="There is no private key for the own ID", clause="RFC 7296 section 2.15"
)
PSK_NOT_FOUND = Kind(
    code="psk-not-found", title="There is no pre-shared key for these IDs", clause="RFC 7296 section 2.15"
)
TEMPORARY_FAILURE = Kind(
    code="temporary-failure",
    title="The peer cannot do this now",
    clause="RFC 7296 section 2.25",
    requirement="7296-2.25-01",
)
TRAFFIC_SELECTORS_NARROWED = Kind(
    code="traffic-selectors-narrowed",
    title="The responder narrowed the traffic selectors",
    clause="RFC 7296 section 2.9",
    requirement="7296-2.9-02",
    severity=Severity.WARNING,
)
TRAFFIC_SELECTOR_MISMATCH = Kind(
    code="traffic-selector-mismatch",
    title="Traffic selectors do not fit",
    clause="RFC 7296 section 2.9",
    requirement="7296-2.9-05",
)
UNKNOWN_CA = Kind(
    code="untrusted-certificate", title="The certificate is issued by an unknown CA", clause="RFC 7296 section 4"
)
REFUSED_BY_POLICY = Kind(
    code="refused-by-policy",
    title="Packets do not meet the policy",
    clause="RFC 4301 section 5.2",
    requirement="4301-5.2-01",
    severity=Severity.WARNING,
)
UNKNOWN_SPI = Kind(
    code="unknown-spi",
    title="ESP without an SA",
    clause="RFC 7296 section 1.5",
    requirement="4303-3.4.2-01",
    severity=Severity.WARNING,
)
UNTRUSTED_CERTIFICATE = Kind(
    code="untrusted-certificate", title="The certificate is not trusted", clause="RFC 7296 section 4"
)
VERSION_MISMATCH = Kind(
    code="version-mismatch",
    title="The two sides speak different versions of IKE",
    clause="RFC 7296 section 2.5",
    requirement="7296-2.5-03",
)
WRONG_PSK = Kind(
    code="wrong-psk", title="The pre-shared keys differ", clause="RFC 7296 section 2.15", requirement="7296-2.15-07"
)
