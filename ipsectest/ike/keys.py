"""From shared secrets to the keys of an SA, in the terms of this room (formulas: ``crypto.keys``)."""

from ipsectest.crypto import Prf
from ipsectest.crypto import keys as derivation
from ipsectest.crypto.keys import IkeKeys
from ipsectest.ike.negotiation import ChildNegotiation
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import ChildKeys, IkeSa


def _expand(sa: IkeSa, chosen: Chosen, seed: bytes) -> IkeKeys:
    cipher = chosen.cipher
    if cipher is None:
        raise LookupError("an IKE SA has an encryption algorithm")
    return derivation.ike_keys(
        chosen.prf, cipher, chosen.integrity, seed, ni=sa.nonce_i, nr=sa.nonce_r, spi_i=sa.spi_i, spi_r=sa.spi_r
    )


def derive_first(sa: IkeSa) -> None:
    """SK_* of a new IKE SA from its ``chosen``, nonces, SPIs and ``shared_secret`` (RFC 7296 section 2.14)."""
    if sa.chosen is None:
        raise LookupError("no suite has been chosen yet")
    seed = derivation.skeyseed(sa.chosen.prf, sa.shared_secret, sa.nonce_i, sa.nonce_r)
    sa.keys = _expand(sa, sa.chosen, seed)


def derive_rekeyed(old: IkeSa, new: IkeSa, prf: Prf | None = None) -> None:
    """SK_* of a rekeyed IKE SA: the old PRF makes SKEYSEED, the new one expands (RFC 7296 section 2.18)."""
    if old.keys is None or old.chosen is None or new.chosen is None:
        raise LookupError("only an IKE SA with keys can be rekeyed")
    seed = derivation.rekey_skeyseed(prf or old.chosen.prf, old.keys.sk_d, new.shared_secret, new.nonce_i, new.nonce_r)
    new.keys = _expand(new, new.chosen, seed)


def derive_child(sa: IkeSa, child: ChildNegotiation) -> ChildKeys:
    """KEYMAT of a Child SA, turned from the roles of the exchange to in and out (RFC 7296 section 2.17)."""
    if sa.keys is None or sa.chosen is None or child.chosen is None:
        raise LookupError("a Child SA needs an IKE SA with keys")
    keys = derivation.child_keys(
        sa.chosen.prf, sa.keys.sk_d, child.chosen.cipher, child.chosen.integrity,
        ni=child.nonce_i, nr=child.nonce_r, secret=child.shared_secret,
    )  # fmt: skip
    initiator, responder = (keys.encryption_i, keys.integrity_i), (keys.encryption_r, keys.integrity_r)
    return ChildKeys(*responder, *initiator) if child.is_initiator else ChildKeys(*initiator, *responder)
