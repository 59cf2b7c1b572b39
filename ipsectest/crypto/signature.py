"""Signatures in AUTH payloads: methods 1, 9 to 11 (RFC 7296, 4754) and 14 (RFC 7427, 8420).

Method 14's AUTH data is: length octet, AlgorithmIdentifier in DER, signature. The methods before
it fix the algorithm by their number and carry the bare signature.
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey, Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.x509 import Certificate

from ipsectest.base.iana import AuthenticationMethod as Method
from ipsectest.base.iana import HashAlgorithm, name_of
from ipsectest.crypto import der
from ipsectest.crypto.errors import UnsupportedAlgorithmError

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | Ed25519PublicKey | Ed448PublicKey

_HASHES: dict[int, hashes.HashAlgorithm] = {
    HashAlgorithm.SHA1: hashes.SHA1(),  # noqa: S303  # method 1 and negative tests need it
    HashAlgorithm.SHA2_256: hashes.SHA256(),
    HashAlgorithm.SHA2_384: hashes.SHA384(),
    HashAlgorithm.SHA2_512: hashes.SHA512(),
}
_HASH_OIDS = {
    HashAlgorithm.SHA1: bytes.fromhex("2b0e03021a"),
    HashAlgorithm.SHA2_256: bytes.fromhex("608648016503040201"),
    HashAlgorithm.SHA2_384: bytes.fromhex("608648016503040202"),
    HashAlgorithm.SHA2_512: bytes.fromhex("608648016503040203"),
}
_NULL = der.encode(der.NULL)
_PSS_OID = bytes.fromhex("2a864886f70d01010a")
_MGF1_OID = bytes.fromhex("2a864886f70d010108")
_SIGNATURE_OIDS: dict[bytes, tuple[str, int]] = {
    bytes.fromhex("2a864886f70d010105"): ("rsa", HashAlgorithm.SHA1),
    bytes.fromhex("2a864886f70d01010b"): ("rsa", HashAlgorithm.SHA2_256),
    bytes.fromhex("2a864886f70d01010c"): ("rsa", HashAlgorithm.SHA2_384),
    bytes.fromhex("2a864886f70d01010d"): ("rsa", HashAlgorithm.SHA2_512),
    bytes.fromhex("2a8648ce3d0401"): ("ecdsa", HashAlgorithm.SHA1),
    bytes.fromhex("2a8648ce3d040302"): ("ecdsa", HashAlgorithm.SHA2_256),
    bytes.fromhex("2a8648ce3d040303"): ("ecdsa", HashAlgorithm.SHA2_384),
    bytes.fromhex("2a8648ce3d040304"): ("ecdsa", HashAlgorithm.SHA2_512),
    bytes.fromhex("2b6570"): ("ed25519", HashAlgorithm.IDENTITY),
    bytes.fromhex("2b6571"): ("ed448", HashAlgorithm.IDENTITY),
}
_ECDSA_METHODS: dict[int, tuple[type[ec.EllipticCurve], int, int]] = {
    # method: curve, hash, octets of r and of s (RFC 4754 section 7)
    Method.ECDSA_SHA256_P256: (ec.SECP256R1, HashAlgorithm.SHA2_256, 32),
    Method.ECDSA_SHA384_P384: (ec.SECP384R1, HashAlgorithm.SHA2_384, 48),
    Method.ECDSA_SHA512_P521: (ec.SECP521R1, HashAlgorithm.SHA2_512, 66),
}


@dataclass(frozen=True, slots=True)
class SignatureScheme:
    """What an AlgorithmIdentifier of RFC 7427 says."""

    kind: str
    """``rsa`` (PKCS #1 v1.5), ``pss``, ``ecdsa``, ``ed25519`` or ``ed448``."""
    hash_id: int
    """IKEv2 Hash Algorithm number; IDENTITY for EdDSA (RFC 8420)."""
    salt_length: int = 0
    """Octets of salt; PSS only."""

    def encode(self) -> bytes:
        """The AlgorithmIdentifier (RFC 7427 appendix A, RFC 8420 appendix A); PSS without defaults, as DER wants."""
        if self.kind == "pss":
            return der.encode(der.SEQUENCE, der.encode(der.OID, _PSS_OID), self._pss_parameters())
        for oid, known in _SIGNATURE_OIDS.items():
            if known == (self.kind, self.hash_id):
                return der.encode(der.SEQUENCE, der.encode(der.OID, oid), _NULL if self.kind == "rsa" else b"")
        raise UnsupportedAlgorithmError(f"{self.kind} signature with {name_of(HashAlgorithm, self.hash_id)}")

    def _pss_parameters(self) -> bytes:
        if self == _PSS_DEFAULT:
            return der.encode(der.SEQUENCE)
        oid = der.encode(der.OID, _HASH_OIDS[HashAlgorithm(self.hash_id)])
        digest = der.encode(der.SEQUENCE, oid, _NULL)
        mgf = der.encode(der.SEQUENCE, der.encode(der.OID, _MGF1_OID), digest)
        salt = _integer(self.salt_length)
        return der.encode(der.SEQUENCE, der.encode(0xA0, digest), der.encode(0xA1, mgf), der.encode(0xA2, salt))

    @classmethod
    def parse(cls, data: bytes) -> "SignatureScheme":
        """The scheme of an AlgorithmIdentifier; ValueError for one that is malformed or unknown."""
        parts = der.contents(data)
        if not parts or parts[0].tag != der.OID or len(parts) > 2:
            raise ValueError("not an AlgorithmIdentifier")
        oid, parameters = parts[0].content, parts[1] if len(parts) == 2 else None
        if oid == _PSS_OID:
            if parameters is None or parameters.tag != der.SEQUENCE:
                raise ValueError("RSASSA-PSS without parameters")
            return _parse_pss(parameters.content)
        if oid not in _SIGNATURE_OIDS or (parameters and parameters.encoding != _NULL):
            raise ValueError("unknown signature algorithm")
        return cls(*_SIGNATURE_OIDS[oid])


_PSS_DEFAULT = SignatureScheme("pss", HashAlgorithm.SHA1, 20)
"""What absent parameters mean (RFC 4055 section 3.1)."""


def _parse_pss(parameters: bytes) -> SignatureScheme:
    fields = der.elements(parameters)
    tags = [field.tag for field in fields]
    if tags != sorted(set(tags)):
        raise ValueError("RSASSA-PSS parameters out of order")
    hash_id, salt, mgf_hash = int(HashAlgorithm.SHA1), 20, int(HashAlgorithm.SHA1)
    for field in fields:
        if field.tag == 0xA0:
            hash_id = _parse_hash(field.content)
        elif field.tag == 0xA1:
            mgf, digest = der.contents(field.content)
            if mgf.encoding != der.encode(der.OID, _MGF1_OID):
                raise ValueError("unknown mask generation function")
            mgf_hash = _parse_hash(digest.encoding)
        elif field.tag == 0xA2:
            (number,) = der.elements(field.content)
            salt = int.from_bytes(number.content, "big")
            if number.encoding != _integer(salt):
                raise ValueError("salt length is no number")
        elif field.encoding != b"\xa3\x03\x02\x01\x01":
            raise ValueError("unknown RSASSA-PSS parameter")
    if mgf_hash != hash_id or salt > 1024:
        raise ValueError("unusual RSASSA-PSS parameters")
    return SignatureScheme("pss", hash_id, salt)


def _parse_hash(data: bytes) -> int:
    # Parameters of a hash are NULL or absent (RFC 4055 section 2.1).
    for hash_id, known in _HASH_OIDS.items():
        oid = der.encode(der.OID, known)
        if data in {der.encode(der.SEQUENCE, oid, _NULL), der.encode(der.SEQUENCE, oid)}:
            return hash_id
    raise ValueError("unknown hash algorithm")


def _integer(value: int) -> bytes:
    return der.encode(der.INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def scheme_for(key: PrivateKey, hash_id: int, *, pss: bool = False) -> SignatureScheme:
    """The method-14 scheme of a key: EdDSA ignores hash_id, RSA is PKCS #1 v1.5 unless ``pss``."""
    match key:
        case Ed25519PrivateKey():
            return SignatureScheme("ed25519", HashAlgorithm.IDENTITY)
        case Ed448PrivateKey():
            return SignatureScheme("ed448", HashAlgorithm.IDENTITY)
    if hash_id not in _HASHES:
        raise UnsupportedAlgorithmError(f"signature with {name_of(HashAlgorithm, hash_id)}")
    if isinstance(key, rsa.RSAPrivateKey):
        return SignatureScheme("pss", hash_id, _HASHES[hash_id].digest_size) if pss else SignatureScheme("rsa", hash_id)
    return SignatureScheme("ecdsa", hash_id)


def sign(
    key: PrivateKey,
    octets: bytes,
    method: int,
    hash_id: int = HashAlgorithm.SHA2_256,
    *,
    pss: bool = False,
    allow_sha1: bool = False,
) -> bytes:
    """AUTH data of ``method`` over the signed octets.

    ``hash_id`` counts for methods 14 and 1 (where RFC 7296 section 2.15 has SHA-1 as the default).
    ValueError for a key that does not fit the method and, unless allowed, for SHA-1 in method 14,
    which RFC 8247 section 3.2 bans.
    """
    if method == Method.DIGITAL_SIGNATURE:
        scheme = scheme_for(key, hash_id, pss=pss)
        if scheme.hash_id == HashAlgorithm.SHA1 and not allow_sha1:
            raise ValueError("SHA-1 in a digital signature")
        identifier = scheme.encode()
        return bytes([len(identifier)]) + identifier + raw_signature(key, octets, scheme)
    if method == Method.RSA_DIGITAL_SIGNATURE and isinstance(key, rsa.RSAPrivateKey):
        return raw_signature(key, octets, SignatureScheme("rsa", hash_id))
    if method in _ECDSA_METHODS and isinstance(key, ec.EllipticCurvePrivateKey):
        curve, fixed_hash, size = _ECDSA_METHODS[method]
        if isinstance(key.curve, curve):
            r, s = decode_dss_signature(key.sign(octets, ec.ECDSA(_HASHES[fixed_hash])))
            return r.to_bytes(size, "big") + s.to_bytes(size, "big")
    raise ValueError(f"the key does not fit authentication method {name_of(Method, method)}")


def raw_signature(key: PrivateKey, octets: bytes, scheme: SignatureScheme) -> bytes:
    """The signature alone, for AUTH data composed by hand; ValueError if key and scheme disagree."""
    match key, scheme.kind:
        case rsa.RSAPrivateKey(), "rsa":
            return key.sign(octets, padding.PKCS1v15(), _HASHES[scheme.hash_id])
        case rsa.RSAPrivateKey(), "pss":
            return key.sign(octets, _pss(scheme), _HASHES[scheme.hash_id])
        case ec.EllipticCurvePrivateKey(), "ecdsa":
            return key.sign(octets, ec.ECDSA(_HASHES[scheme.hash_id]))
        case Ed25519PrivateKey(), "ed25519":
            return key.sign(octets)
        case Ed448PrivateKey(), "ed448":
            return key.sign(octets)
    raise ValueError(f"the key makes no {scheme.kind} signature")


def verify(
    key: PublicKey | Certificate, octets: bytes, method: int, auth_data: bytes, *, allow_sha1: bool = False
) -> bool:
    """Whether auth_data (from the wire, any octets) is a signature over octets by the key's owner.

    Method 1 takes whichever hash the signature names; ``allow_sha1`` is about method 14.
    """
    try:
        public = key.public_key() if isinstance(key, Certificate) else key
        if method == Method.DIGITAL_SIGNATURE:
            length = auth_data[0]
            scheme = SignatureScheme.parse(auth_data[1 : 1 + length])
            if scheme.hash_id == HashAlgorithm.SHA1 and not allow_sha1:
                return False
            return _verifies(public, octets, auth_data[1 + length :], scheme)
        if method == Method.RSA_DIGITAL_SIGNATURE:
            return any(_verifies(public, octets, auth_data, SignatureScheme("rsa", hash_id)) for hash_id in _HASHES)
        curve, hash_id, size = _ECDSA_METHODS[method]
        if len(auth_data) != 2 * size or not isinstance(public, ec.EllipticCurvePublicKey):
            return False
        r, s = int.from_bytes(auth_data[:size], "big"), int.from_bytes(auth_data[size:], "big")
        signature = encode_dss_signature(r, s)
        return isinstance(public.curve, curve) and _verifies(
            public, octets, signature, SignatureScheme("ecdsa", hash_id)
        )
    except (ValueError, LookupError, UnsupportedAlgorithm):
        return False


def scheme_of(auth_data: bytes) -> SignatureScheme:
    """The scheme that method-14 AUTH data names; ValueError if it is malformed or unknown."""
    if not auth_data:
        raise ValueError("empty AUTH data")
    return SignatureScheme.parse(auth_data[1 : 1 + auth_data[0]])


def _verifies(key: object, octets: bytes, signature: bytes, scheme: SignatureScheme) -> bool:
    try:
        match key, scheme.kind:
            case rsa.RSAPublicKey(), "rsa":
                key.verify(signature, octets, padding.PKCS1v15(), _HASHES[scheme.hash_id])
            case rsa.RSAPublicKey(), "pss":
                key.verify(signature, octets, _pss(scheme), _HASHES[scheme.hash_id])
            case ec.EllipticCurvePublicKey(), "ecdsa":
                key.verify(signature, octets, ec.ECDSA(_HASHES[scheme.hash_id]))
            case Ed25519PublicKey(), "ed25519":
                key.verify(signature, octets)
            case Ed448PublicKey(), "ed448":
                key.verify(signature, octets)
            case _:
                return False
    except InvalidSignature:
        return False
    return True


def _pss(scheme: SignatureScheme) -> padding.PSS:
    return padding.PSS(padding.MGF1(_HASHES[scheme.hash_id]), scheme.salt_length)
