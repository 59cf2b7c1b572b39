"""The AUTH payload: made and checked with a shared key or a signature (RFC 7296 section 2.15, RFC 7427)."""

import hmac
from functools import lru_cache

from ipsectest.base.iana import AuthenticationMethod as Method
from ipsectest.base.iana import CertificateEncoding, HashAlgorithm
from ipsectest.crypto import certificates, signature
from ipsectest.crypto.certificates import CertificateError
from ipsectest.crypto.keys import psk_auth, signed_octets
from ipsectest.ike.checks import Check
from ipsectest.ike.config import Identity, KeyPair, SharedKey, TrustAnchors
from ipsectest.ike.context import Context
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import AUTH, CERT, CERTREQ, Identification, Message

_parse = lru_cache(maxsize=64)(certificates.parse_certificate)
_PREFERRED_HASHES = (HashAlgorithm.SHA2_256, HashAlgorithm.SHA2_384, HashAlgorithm.SHA2_512)
_LEGACY_METHODS = (
    Method.RSA_DIGITAL_SIGNATURE, Method.ECDSA_SHA256_P256, Method.ECDSA_SHA384_P384, Method.ECDSA_SHA512_P521,
)  # fmt: skip


def body_of(payload: Identification) -> bytes:
    """What AUTH covers of an ID payload: everything after the generic header, reserved octets as received."""
    return bytes([payload.id_type]) + payload.body_reserved.to_bytes(3, "big") + payload.data


def octets_to_sign(sa: IkeSa, identification: bytes, *, of_initiator: bool) -> bytes:
    """InitiatorSignedOctets or ResponderSignedOctets; ``identification`` is the body of that end's ID payload."""
    if sa.keys is None or sa.chosen is None:
        raise LookupError("AUTH needs the keys of IKE_SA_INIT")
    prf = sa.chosen.prf
    if of_initiator:
        return signed_octets(prf, sa.init_request, sa.nonce_r, sa.keys.sk_pi, identification)
    return signed_octets(prf, sa.init_response, sa.nonce_i, sa.keys.sk_pr, identification)


def credential_of(sa: IkeSa) -> SharedKey | KeyPair:
    """What we prove ourselves with: a CERTREQ decides between certificates (RFC 7296 section 3.7).

    It is a wish: where we have nothing from the authorities it names, the first certificate is sent all the same.
    """
    connection = sa.connection
    if not isinstance(connection.local_auth, KeyPair):
        return connection.local_auth
    keys = (connection.local_auth, *connection.other_keys)
    return next((pair for pair in keys if _is_asked_for(pair, sa.requested_authorities)), connection.local_auth)


def _is_asked_for(pair: KeyPair, authorities: bytes) -> bool:
    issuers = pair.chain[1:] if pair.anchor is None else (*pair.chain[1:], pair.anchor)
    return bool(certificates.requested(authorities, map(_parse, issuers)))


def requested_authorities(message: Message) -> bytes:
    """Hashes of the authorities whose X.509 certificates the peer asks for (RFC 7296 section 3.7)."""
    return b"".join(c.data for c in message.all(CERTREQ) if c.encoding == CertificateEncoding.X509_SIGNATURE)


def compute(sa: IkeSa, identity: Identity, ctx: Context) -> AUTH:
    """Our AUTH payload. ValueError if an overridden method does not fit the credential."""
    over = ctx.overrides
    credential = over.credential or credential_of(sa)
    octets = octets_to_sign(sa, bytes([identity.type, 0, 0, 0]) + identity.data, of_initiator=sa.is_initiator)
    if isinstance(credential, SharedKey):
        if sa.chosen is None:
            raise LookupError("AUTH needs the suite of IKE_SA_INIT")
        payload = AUTH(Method.SHARED_KEY_MIC, psk_auth(sa.chosen.prf, credential.secret, octets))
    else:
        payload = _sign(credential, over.auth_method or credential.method, sa.peer_hashes, octets)
    if over.auth_method is not None:
        payload.method = over.auth_method
    if over.auth_data is not None:
        payload.data = over.auth_data
    return payload


def _sign(credential: KeyPair, method: int | None, peer_hashes: tuple[int, ...], octets: bytes) -> AUTH:
    """With the given method, else RFC 7427's where the peer knows it, else the one that fits the key."""
    hash_id = next((h for h in _PREFERRED_HASHES if h in peer_hashes), HashAlgorithm.SHA2_256)
    if method is None and peer_hashes:
        method = Method.DIGITAL_SIGNATURE
    for candidate in (method,) if method is not None else (*_LEGACY_METHODS, Method.DIGITAL_SIGNATURE):
        is_digital = candidate == Method.DIGITAL_SIGNATURE
        used_hash = hash_id if is_digital else HashAlgorithm.SHA1  # what method 1 has by default (RFC 7296 section 3.8)
        try:
            data = signature.sign(credential.key, octets, candidate, used_hash, pss=is_digital)
        except ValueError:
            if method is not None:
                raise
        else:
            return AUTH(candidate, data)
    raise ValueError("no authentication method fits the key")


def verify(sa: IkeSa, auth: AUTH, identification: Identification, message: Message, ctx: Context) -> str:
    """Why the peer is not authenticated, "" if it is. ``message`` holds its CERT payloads."""
    if not ctx.policy.checks(Check.AUTH):
        return ""
    octets = octets_to_sign(sa, body_of(identification), of_initiator=not sa.is_initiator)
    credential = sa.connection.remote_auth
    if isinstance(credential, SharedKey):
        if auth.method != Method.SHARED_KEY_MIC:
            return f"authentication method {auth.method} instead of a shared key"
        if sa.chosen is None:
            return "no suite"
        good = hmac.compare_digest(psk_auth(sa.chosen.prf, credential.secret, octets), auth.data)
        return "" if good else "AUTH does not verify with the shared key"
    return _verify_signature(credential, auth, identification, message, octets)


def _verify_signature(
    anchors: TrustAnchors, auth: AUTH, identification: Identification, message: Message, octets: bytes
) -> str:
    """The first CERT is the peer's, it chains to an anchor, speaks for the identity, and its key made AUTH."""
    try:
        chain = [_parse(c.data) for c in message.all(CERT) if c.encoding == CertificateEncoding.X509_SIGNATURE]
        trusted = [_parse(der) for der in anchors.certificates]
        if not chain:
            return "no certificate"
        certificates.verify_path(chain[0], chain[1:], trusted, anchors.at)
    except CertificateError as error:
        return str(error)
    if not certificates.matches_identity(chain[0], identification.id_type, identification.data):
        return "the certificate does not speak for the identity"
    if not signature.verify(chain[0], octets, auth.method, auth.data):
        return "AUTH does not verify with the certificate's key"
    return ""


def certificates_to_send(sa: IkeSa, ctx: Context) -> list[CERT]:
    """Our chain, end entity first (RFC 7296 section 3.6), none with a shared key."""
    credential = ctx.overrides.credential or credential_of(sa)
    if not isinstance(credential, KeyPair):
        return []
    return [CERT(CertificateEncoding.X509_SIGNATURE, der) for der in credential.chain]
