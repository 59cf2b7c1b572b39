"""What the crypto room adds to the library: each wrapper against the bare calls it consists of.

``handshake_primitives_cost`` is the yardstick of the whole handshake: everything both ends must compute
for X25519, PRF_HMAC_SHA2_256, AES-GCM-16, a pre-shared key and one child, and not a line more.
"""

import hmac
import os
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from ipsectest import crypto
from ipsectest.crypto import keys, modp, signature

ROUNDS = 15
BATCH_SECONDS = 0.004


def cost(*functions: Callable[[], object], rounds: int = ROUNDS) -> list[float]:
    """Seconds per call of each function: the best of rounds in which they take turns."""
    repeats = []
    for function in functions:
        start = time.perf_counter()
        function()
        repeats.append(max(1, int(BATCH_SECONDS / (time.perf_counter() - start + 1e-7))))
    best = [float("inf")] * len(functions)
    for _ in range(rounds):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(repeats[i]):
                function()
            best[i] = min(best[i], (time.perf_counter() - start) / repeats[i])
    return best


def row(name: str, ours: Callable[[], object], bare: Callable[[], object], against: str) -> dict[str, Any]:
    """One line of the table: our cost in microseconds, and as a multiple of the bare calls'."""
    value, floor = cost(ours, bare)
    return {
        "name": f"crypto.{name}",
        "value": round(value * 1e6, 2),
        "unit": "us",
        "ratio": round(value / floor, 2),
        "against": against,
    }


def handshake_primitives() -> None:
    """Both ends of IKE_SA_INIT and IKE_AUTH, as bare calls."""
    gcm_key, iv, aad, plaintext = bytes(16), bytes(12), bytes(32), bytes(220)
    shares = [X25519PrivateKey.generate() for _ in range(2)]
    publics = [share.public_key().public_bytes_raw() for share in shares]
    nonces, message, seed = bytes(64), bytes(450), bytes(80)
    for share, peer in zip(shares, reversed(publics), strict=True):
        secret = share.exchange(X25519PublicKey.from_public_bytes(peer))
        skeyseed = hmac.digest(nonces, secret, "sha256")
        # SK_d, SK_pi, SK_pr of 32 octets and SK_ei, SK_er of 20 each: five blocks of prf+.
        block = hmac.digest(skeyseed, seed + b"\1", "sha256")
        for counter in range(2, 6):
            block = hmac.digest(skeyseed, block + seed + bytes([counter]), "sha256")
        # AUTH once to make ours, once to check the peer's.
        for _ in range(2):
            octets = message + hmac.digest(block, seed, "sha256")
            hmac.digest(hmac.digest(secret, keys.KEY_PAD, "sha256"), octets, "sha256")
        # One IKE_AUTH message sealed, one opened.
        sealed = AESGCM(gcm_key).encrypt(iv, plaintext, aad)
        AESGCM(gcm_key).decrypt(iv, sealed, aad)
        # KEYMAT: twice 20 octets are two blocks.
        block = hmac.digest(block, nonces + b"\1", "sha256")
        hmac.digest(block, block + nonces + b"\2", "sha256")


def handshake_primitives_cost() -> float:
    """Seconds that the primitives of one complete handshake cost, both ends together."""
    return cost(handshake_primitives)[0]


def _aead(name: str, encr_id: int, bits: int | None, bare: AESGCM | ChaCha20Poly1305) -> list[dict[str, Any]]:
    algorithm = crypto.cipher(encr_id, bits)
    key, iv, data, aad = bytes(algorithm.keymat_length), bytes(8), bytes(1200), bytes(8)
    bound = algorithm.bind(key)
    sealed = bound.encrypt(iv, data, aad)
    nonce = bytes(12)
    return [
        row(
            f"{name}.bound", lambda: bound.decrypt(iv, sealed, aad), lambda: bare.decrypt(nonce, sealed, aad), "library"
        ),
        row(
            f"{name}.one-off",
            lambda: algorithm.decrypt(key, iv, sealed, aad),
            lambda: bare.decrypt(nonce, sealed, aad),
            "library, key kept",
        ),
    ]


def _symmetric() -> list[dict[str, Any]]:
    cbc = crypto.cipher(12, 128).bind(bytes(16))
    data, iv, key = bytes(1200), bytes(16), bytes(32)
    mac, sha256 = crypto.integrity(12), crypto.prf(5)

    def bare_cbc() -> bytes:
        context = Cipher(AES(bytes(16)), modes.CBC(iv)).encryptor()
        return context.update(data) + context.finalize()

    def bare_plus() -> bytes:
        block, blocks = b"", b""
        for counter in range(1, 8):
            block = hmac.digest(key, block + data[:80] + bytes([counter]), "sha256")
            blocks += block
        return blocks

    return [
        row("aes128-cbc.bound", lambda: cbc.encrypt(iv, data), bare_cbc, "library"),
        row(
            "hmac-sha256-128",
            lambda: mac.compute(key, data),
            lambda: hmac.digest(key, data, "sha256")[:16],
            "hmac.digest",
        ),
        row("prf-plus-224", lambda: sha256.plus(key, data[:80], 224), bare_plus, "hmac.digest x 7"),
    ]


def _asymmetric() -> list[dict[str, Any]]:
    x25519, p256, group14 = (crypto.key_exchange(group) for group in (31, 19, 14))
    peer = X25519PrivateKey.generate().public_key().public_bytes_raw()
    p256_peer = p256.initiate(os.urandom).public
    modp_peer = group14.initiate(os.urandom).public
    parameters = modp.modp_group(14)
    if parameters is None:
        raise LookupError("group 14")
    exponent = int.from_bytes(os.urandom(32), "big")
    key = ec.generate_private_key(ec.SECP256R1())
    auth = signature.sign(key, b"octets", 14)

    def bare_x25519() -> bytes:
        share = X25519PrivateKey.from_private_bytes(os.urandom(32))
        share.public_key().public_bytes_raw()
        return share.exchange(X25519PublicKey.from_public_bytes(peer))

    def bare_p256() -> bytes:
        share = ec.generate_private_key(ec.SECP256R1())
        share.public_key().public_numbers()
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\4" + p256_peer)
        return share.exchange(ec.ECDH(), point)

    def bare_modp() -> int:
        pow(2, exponent, parameters.prime)
        return pow(int.from_bytes(modp_peer, "big"), exponent, parameters.prime)

    public, raw = key.public_key(), auth[1 + auth[0] :]
    return [
        row("x25519.respond", lambda: x25519.respond(peer, os.urandom), bare_x25519, "library"),
        row("ecp256.respond", lambda: p256.respond(p256_peer, os.urandom), bare_p256, "library"),
        row("modp2048.respond", lambda: group14.respond(modp_peer, os.urandom), bare_modp, "two pow()"),
        row(
            "verify-ecdsa256",
            lambda: signature.verify(public, b"octets", 14, auth),
            lambda: public.verify(raw, b"octets", ec.ECDSA(signature.hashes.SHA256())),
            "library",
        ),
    ]


def benchmarks() -> list[dict[str, Any]]:
    """Rows of the bench table."""
    rows = _aead("aes128-gcm16", 20, 128, AESGCM(bytes(16)))
    rows += _aead("chacha20-poly1305", 28, None, ChaCha20Poly1305(bytes(32)))
    rows += _symmetric() + _asymmetric()
    total = handshake_primitives_cost()
    return [
        *rows,
        {"name": "crypto.handshake", "value": round(total * 1e6, 1), "unit": "us", "ratio": None, "against": None},
    ]
