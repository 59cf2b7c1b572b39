"""Keys of one SA from several files: each SA once, as complete as the files make it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.base.suites import parse_suite
from ipsectest.decrypt.keys.merging import merged
from ipsectest.decrypt.keys.model import IkeKeys, KeyRing, SaKeys
from tests.unit.decrypt.keys.rings import sas

GCM, PRF = parse_suite("aes128gcm16-prfsha256")
CBC, SHA256 = parse_suite("aes128-sha256")
KEY, SALT = b"\x01" * 16, b"\x02" * 4
CHARON = IkeKeys(
    spi_i=b"\x0a" * 8, spi_r=b"\x0b" * 8, encryption=GCM, prf=PRF, sk_d=b"\x03" * 32,
    sk_ei=KEY + SALT, sk_er=b"\x04" * 16 + SALT, origin="charon.log:1",
)  # fmt: skip
PLUTO = replace(CHARON, prf=None, sk_d=b"", sk_ei=KEY, sk_er=b"\x04" * 16, origin="pluto.log:1")
ESP = SaKeys(spi=b"\x00\x00\x10\x01", encryption=CBC, encryption_key=KEY, integrity=SHA256, integrity_key=b"\x05" * 32)


@pytest.mark.parametrize("pluto_first", [False, True])
def test_the_end_that_knows_the_salt_completes_the_one_that_does_not(pluto_first: bool) -> None:
    rings = [KeyRing(without_salt=[PLUTO]), KeyRing(ike=[CHARON])]
    both = KeyRing()
    for ring in rings if pluto_first else reversed(rings):
        both.add(ring)
    found = merged(both)
    assert [replace(keys, origin="") for keys in found.ike] == [replace(CHARON, origin="")]
    assert found.without_salt == []


def test_what_only_one_file_has_stays() -> None:
    other = replace(PLUTO, spi_i=b"\x0c" * 8)
    ring = merged(KeyRing(ike=[CHARON], without_salt=[other], sas=[ESP]))
    assert (ring.ike, ring.without_salt, ring.sas) == ([CHARON], [other], [ESP])


def test_two_keys_of_one_sa_are_both_kept() -> None:
    """RFC 9370 section 2.2.2: an IKE SA changes its keys on the way."""
    later = replace(CHARON, sk_d=b"\x06" * 32, sk_ei=b"\x07" * 20, sk_er=b"\x08" * 20)
    assert merged(KeyRing(ike=[CHARON, later, CHARON])).ike == [CHARON, later]


def test_sas_without_spis_may_be_different_ones() -> None:
    nameless = replace(CHARON, spi_i=b"", spi_r=b"")
    wild = replace(ESP, spi=b"")
    ring = merged(KeyRing(ike=[nameless, nameless], sas=[wild, wild]))
    assert (len(ring.ike), len(ring.sas)) == (2, 2)


def test_addresses_and_esn_are_filled_in() -> None:
    one, other = replace(ESP, destination="192.0.2.1"), replace(ESP, source="192.0.2.2", esn=False)
    assert merged(KeyRing(sas=[one, other])).sas == [
        replace(ESP, destination="192.0.2.1", source="192.0.2.2", esn=False)
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"destination": "192.0.2.9"},  # as the other side of a NAT sees it
        {"esn": True},
        {"encryption_key": b"\x09" * 16},
        {"esn_high": 2},
    ],
)
def test_sas_that_differ_stay_apart(changed: dict[str, object]) -> None:
    one = replace(ESP, destination="192.0.2.1", esn=False, esn_high=1)
    assert len(merged(KeyRing(sas=[one, replace(one, **changed)])).sas) == 2  # type: ignore[arg-type]


def test_an_algorithm_that_one_file_tells_replaces_an_icv_nobody_checks() -> None:
    unchecked = replace(ESP, integrity=None, integrity_key=b"", unchecked_icv=16)
    assert merged(KeyRing(sas=[unchecked, ESP])).sas == [ESP]


@given(st.lists(sas(), max_size=5))
def test_merging_loses_no_sa_and_does_nothing_the_second_time(some: list[SaKeys]) -> None:
    once = merged(KeyRing(sas=[*some, *some]))
    assert {(keys.protocol, keys.spi) for keys in once.sas} == {(keys.protocol, keys.spi) for keys in some}
    assert len(once.sas) <= len(some) + sum(not keys.spi for keys in some)
    assert merged(once).sas == once.sas
