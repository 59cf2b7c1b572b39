"""One SA that several files tell of, or both of its ends: what one left out is taken from the other."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from ipsectest.decrypt.keys.model import IkeKeys, KeyRing, SaKeys

MOST_OF_ONE = 64
"""SAs of the same SPIs, whose keys differ, that a further one is held against."""
_SECRETS = ("sk_d", "sk_ai", "sk_ar", "sk_ei", "sk_er", "sk_pi", "sk_pr")
_K = TypeVar("_K", SaKeys, IkeKeys)
_Entry = tuple[_K, bool]
"""Keys, and whether they lack their salt."""


def merged(ring: KeyRing) -> KeyRing:
    """The ring with each SA once, as complete as its files make it; SAs whose keys differ stay apart."""
    entries = [*((keys, False) for keys in ring.ike), *((keys, True) for keys in ring.without_salt)]
    ike = _collapse(entries, lambda keys: (keys.spi_i, keys.spi_r), _one_ike)
    sas = _collapse([(keys, False) for keys in ring.sas], lambda keys: (keys.protocol, keys.spi), _one_sa)
    return replace(
        ring,
        sas=[keys for keys, _ in sas],
        ike=[keys for keys, lacks in ike if not lacks],
        without_salt=[keys for keys, lacks in ike if lacks],
    )


def _collapse(
    entries: Iterable[_Entry[_K]], name: Callable[[_K], tuple[object, ...]], one: Callable[[_K, _K], _K | None]
) -> list[_Entry[_K]]:
    """The entries in their order, without those that say the same as another or less."""
    found: list[_Entry[_K]] = []
    places: dict[tuple[object, ...], list[int]] = {}
    for keys, lacks in entries:
        named = name(keys)
        known = places.setdefault(named, [])
        for place in known[-MOST_OF_ONE:] if all(named) else ():  # an SPI that is not told is that of any SA
            before, lacked = found[place]
            if (both := one(before, keys)) is not None:
                found[place] = both, lacked and lacks
                break
        else:
            known.append(len(found))
            found.append((keys, lacks))
    return found


def _one_ike(one: IkeKeys, other: IkeKeys) -> IkeKeys | None:
    """None if it is not the same SA. Cipher keys without a salt begin like those with it."""
    if one.encryption != other.encryption or _differ(one.integrity, other.integrity) or _differ(one.prf, other.prf):
        return None
    secrets = {}
    for name in _SECRETS:
        shorter, longer = sorted((getattr(one, name), getattr(other, name)), key=len)
        if not longer.startswith(shorter):
            return None
        secrets[name] = longer
    integrity = one.integrity or other.integrity
    unchecked = 0 if integrity else max(one.unchecked_icv, other.unchecked_icv)
    return replace(one, integrity=integrity, prf=one.prf or other.prf, unchecked_icv=unchecked, **secrets)


def _one_sa(one: SaKeys, other: SaKeys) -> SaKeys | None:
    """None if it is not the same SA, or not between the same addresses: a NAT's two sides see it differently."""
    known = (one.encryption, other.encryption), (one.integrity, other.integrity), (one.esn, other.esn)
    ends = (one.source, other.source), (one.destination, other.destination)
    keys = (one.encryption_key, other.encryption_key), (one.integrity_key, other.integrity_key)
    if any(_differ(*pair) for pair in (*known, *ends, *keys, (one.esn_high, other.esn_high))):
        return None
    integrity = one.integrity or other.integrity
    return replace(
        one,
        source=one.source or other.source,
        destination=one.destination or other.destination,
        encryption=one.encryption or other.encryption,
        encryption_key=one.encryption_key or other.encryption_key,
        integrity=integrity,
        integrity_key=one.integrity_key or other.integrity_key,
        unchecked_icv=0 if integrity else max(one.unchecked_icv, other.unchecked_icv),
        esn=other.esn if one.esn is None else one.esn,
        esn_high=one.esn_high or other.esn_high,
    )


def _differ(one: object, other: object) -> bool:
    """Whether both are told, and are not the same; ``False`` is told, too."""
    told = one not in {None, "", b"", 0} or one is False, other not in {None, "", b"", 0} or other is False
    return all(told) and one != other
