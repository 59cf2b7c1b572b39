"""Key exchange: both roles agree, bad public values are refused, groups are what their RFCs say."""

import itertools
import subprocess
from random import Random

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ipsectest.crypto import InvalidPublicValueError, UnsupportedAlgorithmError, key_exchange
from ipsectest.crypto.modp import modp_group

MODP = [1, 2, 5, 14, 15, 16, 17, 18, 22, 23, 24]
WEIERSTRASS = [19, 20, 21, 25, 26, 28, 29, 30]
ALL = [*MODP, *WEIERSTRASS, 31, 32, 36, 37]


@pytest.mark.parametrize("group", ALL)
def test_both_roles_agree_and_lengths_are_as_announced(group: int) -> None:
    exchange = key_exchange(group)
    share = exchange.initiate(Random(1).randbytes)
    public, secret = exchange.respond(share.public, Random(2).randbytes)
    assert share.finish(public) == secret
    assert len(share.public) == exchange.public_length
    assert len(public) == exchange.response_length


@pytest.mark.parametrize("group", [g for g in ALL if g < 36])
def test_everything_but_ml_kem_is_a_function_of_random(group: int) -> None:
    exchange = key_exchange(group)
    first, second = (exchange.initiate(Random(7).randbytes) for _ in range(2))
    assert first.public == second.public
    assert exchange.respond(first.public, Random(8).randbytes) == exchange.respond(first.public, Random(8).randbytes)
    assert exchange.initiate(Random(9).randbytes).public != first.public


@pytest.mark.parametrize("group", ALL)
@pytest.mark.parametrize(
    "change", [lambda _: b"", lambda v: v[:-1], lambda v: v + b"\0"], ids=["empty", "short", "long"]
)
def test_values_of_a_wrong_length_are_refused_in_both_roles(group: int, change) -> None:  # noqa: ANN001
    exchange = key_exchange(group)
    share = exchange.initiate(Random(1).randbytes)
    public, _ = exchange.respond(share.public, Random(2).randbytes)
    with pytest.raises(InvalidPublicValueError):
        exchange.respond(change(share.public), Random(2).randbytes)
    with pytest.raises(InvalidPublicValueError):
        share.finish(change(public))


@pytest.mark.parametrize("group", MODP)
def test_modp_values_0_1_and_p_minus_1_and_above_are_refused(group: int) -> None:
    exchange, parameters = key_exchange(group), modp_group(group)
    assert parameters is not None
    share = exchange.initiate(Random(1).randbytes)
    p = parameters.prime
    for value in (0, 1, p - 1, p, p + 1, 256**exchange.public_length - 1):
        with pytest.raises(InvalidPublicValueError):
            share.finish(value.to_bytes(exchange.public_length, "big"))


@pytest.mark.parametrize("group", [22, 23, 24])
def test_subgroup_confinement_is_refused(group: int) -> None:
    exchange, parameters = key_exchange(group), modp_group(group)
    assert parameters is not None
    assert parameters.order is not None
    share = exchange.initiate(Random(1).randbytes)
    # An element whose order divides the cofactor, not q (RFC 6989 section 2.2).
    small = pow(3, parameters.order, parameters.prime)
    assert small not in {0, 1}
    with pytest.raises(InvalidPublicValueError, match="subgroup"):
        share.finish(small.to_bytes(exchange.public_length, "big"))


@pytest.mark.parametrize("group", MODP)
def test_modp_secret_and_public_value_keep_leading_zeros(group: int) -> None:
    exchange, parameters = key_exchange(group), modp_group(group)
    assert parameters is not None
    one = exchange.initiate(bytes)
    assert one.public == parameters.generator.to_bytes(exchange.public_length, "big")
    peer = exchange.initiate(Random(3).randbytes).public
    assert one.finish(peer) == peer


@pytest.mark.parametrize("group", WEIERSTRASS)
def test_points_off_the_curve_are_refused(group: int) -> None:
    exchange = key_exchange(group)
    share = exchange.initiate(Random(1).randbytes)
    size = exchange.public_length // 2
    x, y = share.public[:size], share.public[size:]
    for point in (
        y + x,
        bytes(2 * size),
        b"\xff" * (2 * size),
        x + bytes(size),
        share.public[:-1] + bytes([y[-1] ^ 1]),
    ):
        with pytest.raises(InvalidPublicValueError):
            share.finish(point)


# RFC 7748 section 6.1's list of what yields zero: order 1, 2, 4 and 8 on the curve or its twist, also unreduced.
LOW_ORDER_25519 = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


@pytest.mark.parametrize("point", LOW_ORDER_25519)
def test_x25519_points_of_low_order_are_refused(point: str) -> None:
    with pytest.raises(InvalidPublicValueError, match="low order"):
        key_exchange(31).respond(bytes.fromhex(point), Random(1).randbytes)


@pytest.mark.parametrize("value", [0, 1, 2**448 - 2**224 - 2, 2**448 - 2**224 - 1, 2**448 - 2**224])
def test_x448_points_of_low_order_are_refused(value: int) -> None:
    with pytest.raises(InvalidPublicValueError, match="low order"):
        key_exchange(32).respond(value.to_bytes(56, "little"), Random(1).randbytes)


@pytest.mark.parametrize("group", [36, 37])
def test_ml_kem_keys_with_coefficients_beyond_q_are_refused(group: int) -> None:
    exchange = key_exchange(group)
    with pytest.raises(InvalidPublicValueError):
        exchange.respond(b"\xff" * exchange.public_length, Random(1).randbytes)


@pytest.mark.parametrize("group", [36, 37])
def test_a_damaged_ml_kem_ciphertext_gives_another_secret(group: int) -> None:
    exchange = key_exchange(group)
    share = exchange.initiate(Random(1).randbytes)
    ciphertext, secret = exchange.respond(share.public, Random(2).randbytes)
    assert share.finish(bytes([ciphertext[0] ^ 1]) + ciphertext[1:]) != secret


@pytest.mark.parametrize("group", [0, 3, 27, 33, 35, 38, 65535])
def test_unknown_and_missing_groups_are_named(group: int) -> None:
    with pytest.raises(UnsupportedAlgorithmError, match="key exchange method"):
        key_exchange(group)


def is_prime(n: int, rounds: int = 4) -> bool:
    """Miller and Rabin's test."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in itertools.islice((2, 3, 5, 7, 11, 13), rounds):
        x = pow(base, odd, n)
        if x in {1, n - 1}:
            continue
        for _ in range(twos - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


@pytest.mark.parametrize("group", [1, 2, 5, 14, 15])
def test_safe_primes_are_safe(group: int) -> None:
    parameters = modp_group(group)
    assert parameters is not None
    assert is_prime(parameters.prime, 2)
    assert is_prime((parameters.prime - 1) // 2, 1)


@pytest.mark.parametrize("group", [22, 23, 24])
def test_subgroup_parameters_fit_together(group: int) -> None:
    parameters = modp_group(group)
    assert parameters is not None
    p, g, q, _ = parameters
    assert q is not None
    assert is_prime(p)
    assert is_prime(q)
    assert (p - 1) % q == 0
    assert pow(g, q, p) == 1
    assert g != 1


def openssl(*arguments: str, data: bytes = b"") -> bytes:
    """Run the openssl program, an implementation apart from the library's own copy of it."""
    return subprocess.run(["openssl", *arguments], input=data, capture_output=True, check=True, timeout=60).stdout


OPENSSL_GROUPS = {5: "modp_1536", 14: "modp_2048", 15: "modp_3072", 16: "modp_4096", 17: "modp_6144", 18: "modp_8192"}


@pytest.mark.parametrize("group", OPENSSL_GROUPS)
def test_safe_primes_are_those_of_openssl(group: int) -> None:
    parameters = modp_group(group)
    assert parameters is not None
    pem = openssl("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", f"group:{OPENSSL_GROUPS[group]}")
    listing = openssl("asn1parse", data=pem).decode()
    assert f":{parameters.prime:X}" in listing


def test_x25519_agrees_with_the_openssl_program(tmp_path) -> None:  # noqa: ANN001
    share = key_exchange(31).initiate(Random(5).randbytes)
    ours = tmp_path / "ours.pem"
    private = X25519PrivateKey.from_private_bytes(Random(5).randbytes(32))
    ours.write_bytes(
        private.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    theirs = tmp_path / "theirs.pem"
    theirs.write_bytes(openssl("genpkey", "-algorithm", "X25519"))
    spki = openssl("pkey", "-in", str(theirs), "-pubout", "-outform", "DER")
    secret = openssl("pkeyutl", "-derive", "-inkey", str(theirs), "-peerkey", str(ours))
    assert share.finish(spki[-32:]) == secret
