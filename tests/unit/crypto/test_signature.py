"""AUTH signatures: every method both ways, the blobs of RFC 7427 and 8420, hostile AUTH data."""

import subprocess
from pathlib import Path
from random import Random

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.crypto import UnsupportedAlgorithmError, pki, signature
from ipsectest.crypto.signature import PrivateKey, SignatureScheme

OCTETS = b"the signed octets"


@pytest.fixture(scope="module")
def keys() -> dict[str, PrivateKey]:
    random = Random(1).randbytes
    made: dict[str, PrivateKey] = {kind: pki.generate_key(kind, random) for kind in pki.KEY_TYPES}
    made["ed448"] = Ed448PrivateKey.from_private_bytes(random(57))
    return made


# RFC 7427 appendix A and RFC 8420 appendix A; the RSASSA-PSS ones with and without the default trailer field.
BLOBS = {
    "300d06092a864886f70d0101050500": SignatureScheme("rsa", 1),
    "300d06092a864886f70d01010b0500": SignatureScheme("rsa", 2),
    "300d06092a864886f70d01010c0500": SignatureScheme("rsa", 3),
    "300d06092a864886f70d01010d0500": SignatureScheme("rsa", 4),
    "300906072a8648ce3d0401": SignatureScheme("ecdsa", 1),
    "300a06082a8648ce3d040302": SignatureScheme("ecdsa", 2),
    "300a06082a8648ce3d040303": SignatureScheme("ecdsa", 3),
    "300a06082a8648ce3d040304": SignatureScheme("ecdsa", 4),
    "300d06092a864886f70d01010a3000": SignatureScheme("pss", 1, 20),
    "304106092a864886f70d01010a3034a00f300d06096086480165030402010500"
    "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120": SignatureScheme("pss", 2, 32),
    "300506032b6570": SignatureScheme("ed25519", 5),
    "300506032b6571": SignatureScheme("ed448", 5),
}


@pytest.mark.parametrize(("blob", "scheme"), BLOBS.items())
def test_algorithm_identifiers_are_those_of_the_rfcs(blob: str, scheme: SignatureScheme) -> None:
    assert SignatureScheme.parse(bytes.fromhex(blob)) == scheme
    assert scheme.encode().hex() == blob


def test_pss_with_an_explicit_trailer_field_is_understood() -> None:
    blob = (
        "304606092a864886f70d01010a3039a00f300d06096086480165030402010500"
        "a11c301a06092a864886f70d010108300d06096086480165030402010500a203020120a303020101"
    )
    assert SignatureScheme.parse(bytes.fromhex(blob)) == SignatureScheme("pss", 2, 32)


@pytest.mark.parametrize("kind", [*pki.KEY_TYPES, "ed448"])
@pytest.mark.parametrize("hash_id", [1, 2, 3, 4])
@pytest.mark.parametrize("pss", [False, True])
def test_method_14_both_ways(keys: dict[str, PrivateKey], kind: str, hash_id: int, pss: bool) -> None:
    key = keys[kind]
    auth = signature.sign(key, OCTETS, 14, hash_id, pss=pss, allow_sha1=True)
    public = key.public_key()
    assert signature.verify(public, OCTETS, 14, auth, allow_sha1=True)
    assert not signature.verify(public, OCTETS + b"x", 14, auth, allow_sha1=True)
    assert not signature.verify(public, OCTETS, 14, auth[:-1], allow_sha1=True)
    for other in keys.values():
        if other is not key:
            assert not signature.verify(other.public_key(), OCTETS, 14, auth, allow_sha1=True)
    assert signature.scheme_of(auth) == signature.scheme_for(key, hash_id, pss=pss)


def test_sha1_in_method_14_needs_permission(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa2048"]
    with pytest.raises(ValueError, match="SHA-1"):
        signature.sign(key, OCTETS, 14, 1)
    auth = signature.sign(key, OCTETS, 14, 1, allow_sha1=True)
    assert not signature.verify(key.public_key(), OCTETS, 14, auth)


@pytest.mark.parametrize(
    ("kind", "method", "size"), [("rsa2048", 1, 256), ("ecdsa256", 9, 64), ("ecdsa384", 10, 96), ("ecdsa521", 11, 132)]
)
def test_bare_methods_both_ways(keys: dict[str, PrivateKey], kind: str, method: int, size: int) -> None:
    auth = signature.sign(keys[kind], OCTETS, method, 1)
    public = keys[kind].public_key()
    assert len(auth) == size
    assert signature.verify(public, OCTETS, method, auth)
    assert not signature.verify(public, OCTETS + b"x", method, auth)
    assert not signature.verify(public, OCTETS, method, auth + b"\0")
    for other in {1, 9, 10, 11, 14} - {method}:
        assert not signature.verify(public, OCTETS, other, auth)


@pytest.mark.parametrize("hash_id", [1, 2, 3, 4])
def test_method_1_takes_the_hash_the_signature_names(keys: dict[str, PrivateKey], hash_id: int) -> None:
    auth = signature.sign(keys["rsa2048"], OCTETS, 1, hash_id)
    assert signature.verify(keys["rsa2048"].public_key(), OCTETS, 1, auth)


@pytest.mark.parametrize(
    ("kind", "method"), [("ecdsa256", 1), ("rsa2048", 9), ("ecdsa384", 9), ("ed25519", 11), ("rsa2048", 2)]
)
def test_a_key_that_does_not_fit_its_method_is_refused(keys: dict[str, PrivateKey], kind: str, method: int) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        signature.sign(keys[kind], OCTETS, method)


def test_key_and_scheme_must_agree(keys: dict[str, PrivateKey]) -> None:
    with pytest.raises(ValueError, match="no ecdsa"):
        signature.raw_signature(keys["rsa2048"], OCTETS, SignatureScheme("ecdsa", 2))
    with pytest.raises(UnsupportedAlgorithmError):
        signature.sign(keys["rsa2048"], OCTETS, 14, 6)
    with pytest.raises(UnsupportedAlgorithmError):
        SignatureScheme("ecdsa", 6).encode()


def test_pss_with_another_salt_length_verifies(keys: dict[str, PrivateKey]) -> None:
    key = keys["rsa2048"]
    assert isinstance(key, rsa.RSAPrivateKey)
    scheme = SignatureScheme("pss", 2, 200)
    raw = key.sign(OCTETS, padding.PSS(padding.MGF1(SHA256()), 200), SHA256())
    blob = scheme.encode()
    assert signature.verify(key.public_key(), OCTETS, 14, bytes([len(blob)]) + blob + raw)


@pytest.mark.parametrize(
    "blob",
    [
        "",
        "30",
        "3000",
        "0500",
        "3005060155",
        "30050603550000",
        "300d06092a864886f70d01010b3000",
        "300b06092a864886f70d01010a",
        "300f06092a864886f70d01010a3002a500",
        "301106092a864886f70d01010a3004a2020500",
        "301106092a864886f70d01010a3004a0023000",
        "301106092a864886f70d01010a3004a1023000",
        "300f06092a864886f70d01010a3002a100",
        "301306092a864886f70d01010a3006a20402020401",
        "301506092a864886f70d01010a3008a203020120a2030201",
        "301706092a864886f70d01010a300aa203020120a203020120",
        "301706092a864886f70d01010a300aa303020101a203020120",
        "301306092a864886f70d01010a3006a20402020020",
        "301a06092a864886f70d01010a300da00b300906052b0e03021a0501",
        "300e06092a864886f70d01010b050100",
        "308006092a864886f70d01010b0500",
        "30850000000000",
        "30820fff06",
    ],
)
def test_malformed_or_unusual_algorithm_identifiers_are_value_errors(blob: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # the text differs with the damage
        SignatureScheme.parse(bytes.fromhex(blob))


def test_a_pss_hash_without_null_is_understood() -> None:
    sha256 = "300b0609608648016503040201"
    mgf1 = "301806092a864886f70d010108" + sha256
    blob = "303d06092a864886f70d01010a3030" + "a00d" + sha256 + "a11a" + mgf1 + "a203020120"
    assert SignatureScheme.parse(bytes.fromhex(blob)) == SignatureScheme("pss", 2, 32)


def test_unknown_hashes_and_masks_in_pss_are_value_errors() -> None:
    right = SignatureScheme("pss", 2, 32).encode()
    for old, new in (("608648016503040201", "608648016503040209"), ("2a864886f70d010108", "2a864886f70d010107")):
        with pytest.raises(ValueError, match="unknown"):
            SignatureScheme.parse(right.replace(bytes.fromhex(old), bytes.fromhex(new)))
    mixed = right.replace(bytes.fromhex("608648016503040201"), bytes.fromhex("608648016503040203"), 1)
    with pytest.raises(ValueError, match="unusual"):
        SignatureScheme.parse(mixed)
    with pytest.raises(ValueError, match="empty"):
        signature.scheme_of(b"")


@given(st.binary(max_size=200))
def test_hostile_auth_data_never_verifies_and_never_raises(data: bytes) -> None:
    key = Ed448PrivateKey.from_private_bytes(bytes(57)).public_key()
    for method in (0, 1, 2, 9, 10, 11, 14, 255):
        assert not signature.verify(key, OCTETS, method, data)
        assert not signature.verify(key, OCTETS, method, bytes([len(data)]) + data)


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256", "ed25519"])
def test_the_openssl_program_accepts_our_signatures(keys: dict[str, PrivateKey], kind: str, tmp_path: Path) -> None:
    auth = signature.sign(keys[kind], OCTETS, 14)
    public = keys[kind].public_key()
    (tmp_path / "key.pem").write_bytes(
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    (tmp_path / "octets").write_bytes(OCTETS)
    (tmp_path / "signature").write_bytes(auth[1 + auth[0] :])
    digest = ["-rawin"] if kind == "ed25519" else ["-rawin", "-digest", "sha256"]
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pem", "-in", "octets", "-sigfile", "signature"]
    done = subprocess.run([*command, *digest], cwd=tmp_path, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
