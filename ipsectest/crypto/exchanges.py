"""Key exchange methods by number (Transform Types 4 and 6 to 12)."""

from functools import cache

from ipsectest.base.iana import KeyExchangeMethod as Ke
from ipsectest.base.iana import name_of
from ipsectest.crypto.agreement import KeyExchange
from ipsectest.crypto.curves import WEIERSTRASS, Curve448, Curve25519, Weierstrass
from ipsectest.crypto.errors import UnsupportedAlgorithmError
from ipsectest.crypto.kem import MlKem
from ipsectest.crypto.modp import Modp, modp_group


@cache
def key_exchange(group: int) -> KeyExchange:
    """The method of a Key Exchange Method number; raises UnsupportedAlgorithmError."""
    match group:
        case Ke.CURVE25519:
            return Curve25519()
        case Ke.CURVE448:
            return Curve448()
        case Ke.ML_KEM_768 | Ke.ML_KEM_1024:
            return MlKem(group)
    if group in WEIERSTRASS:
        return Weierstrass(group, WEIERSTRASS[group])
    if parameters := modp_group(group):
        return Modp(group, parameters)
    raise UnsupportedAlgorithmError(f"key exchange method {name_of(Ke, group)}")
