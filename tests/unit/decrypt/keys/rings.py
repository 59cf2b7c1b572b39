"""Key rings out of nothing, and readers fed with text."""

from dataclasses import replace
from pathlib import Path

from hypothesis import strategies as st

from ipsectest.base.iana import EncryptionAlgorithm, IntegrityAlgorithm, ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import detect, lengths
from ipsectest.decrypt.keys.model import DhKeys, IkeKeys, IkeV1Keys, KeyRing, SaKeys

VECTORS = Path(__file__).parent.parent.parent.parent / "vectors" / "keys"
_FIXED_OCTETS = {2: 8, 3: 24, 11: 0, 28: 36, 31: 36}
_CIPHERS = [
    *(TransformSpec(TransformType.ENCR, number) for number in _FIXED_OCTETS),
    *(
        TransformSpec(TransformType.ENCR, number, bits)
        for number in EncryptionAlgorithm
        if 12 <= number <= 30 and number != 28
        for bits in (128, 192, 256)
    ),
]
_MACS = [
    TransformSpec(TransformType.INTEG, number) for number in IntegrityAlgorithm if number in lengths.INTEGRITY_KEYS
]
addresses = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)


def octets_of(cipher: TransformSpec) -> int:
    """Key and salt."""
    if cipher.id in _FIXED_OCTETS:
        return _FIXED_OCTETS[cipher.id]
    return (cipher.key_length or 0) // 8 + lengths.salt_length(cipher.id)


@st.composite
def sas(draw: st.DrawFn) -> SaKeys:
    protocol = draw(st.sampled_from([ProtocolId.ESP, ProtocolId.AH]))
    cipher = draw(st.sampled_from(_CIPHERS)) if protocol == ProtocolId.ESP else None
    mac = draw(st.sampled_from(_MACS)) if not cipher or cipher.id not in lengths.AEADS else None
    size = octets_of(cipher) if cipher else 0
    esn = draw(st.sampled_from([None, False, True]))
    version = draw(st.sampled_from([4, 6]))
    ends = st.one_of(st.just(""), st.ip_addresses(v=version).filter(lambda one: not one.is_unspecified).map(str))
    return SaKeys(
        spi=draw(st.one_of(st.just(b""), st.binary(min_size=4, max_size=4))),
        source=draw(ends),
        destination=draw(ends),
        protocol=protocol,
        encryption=cipher,
        encryption_key=draw(st.binary(min_size=size, max_size=size)),
        integrity=mac,
        integrity_key=draw(st.binary(min_size=n, max_size=n)) if mac and (n := lengths.INTEGRITY_KEYS[mac.id]) else b"",
        esn=esn,
        esn_high=draw(st.integers(0, 2**32 - 1)) if esn else 0,
    )


@st.composite
def ikes(draw: st.DrawFn) -> IkeKeys:
    cipher = draw(st.sampled_from(_CIPHERS))
    mac = draw(st.sampled_from(_MACS)) if cipher.id not in lengths.AEADS else None
    size, mac_size = octets_of(cipher), lengths.INTEGRITY_KEYS[mac.id] if mac else 0
    pair = [draw(st.binary(min_size=size, max_size=size)) for _ in range(2)]
    macs = [draw(st.binary(min_size=mac_size, max_size=mac_size)) for _ in range(2)]
    spis = draw(st.one_of(st.just((b"", b"")), st.tuples(*(st.binary(min_size=8, max_size=8) for _ in range(2)))))
    more = draw(st.sampled_from([b"", bytes(range(32))]))
    return IkeKeys(
        spi_i=spis[0],
        spi_r=spis[1],
        encryption=cipher,
        integrity=mac,
        prf=draw(st.sampled_from([None, TransformSpec(TransformType.PRF, 5)])),
        sk_d=more,
        sk_ai=macs[0],
        sk_ar=macs[1],
        sk_ei=pair[0],
        sk_er=pair[1],
        sk_pi=more,
        sk_pr=more,
    )


def _cut(keys: IkeKeys, key: bytes) -> bytes:
    return key[: -lengths.salt_length(keys.encryption.id)]


ikev1s = st.builds(
    IkeV1Keys,
    cookie_i=st.binary(min_size=8, max_size=8),
    encryption_key=st.binary(min_size=1, max_size=32),
    skeyid_d=st.binary(max_size=64),
    skeyid_e=st.binary(max_size=64),
    pre_shared_key=st.binary(max_size=20),
)
dhs = st.one_of(
    st.builds(DhKeys, group=st.sampled_from([14, 19, 31]), private=st.binary(min_size=1, max_size=40)),
    st.builds(DhKeys, public=st.binary(min_size=1, max_size=40), secret=st.binary(min_size=1, max_size=40)),
)
unsalted = (
    ikes()
    .filter(lambda keys: lengths.salt_length(keys.encryption.id))
    .map(lambda keys: replace(keys, sk_ei=_cut(keys, keys.sk_ei), sk_er=_cut(keys, keys.sk_er)))
)
"""As Libreswan logs them."""
rings = st.builds(
    KeyRing,
    dh=st.lists(dhs, max_size=2),
    sas=st.lists(sas(), max_size=4),
    ike=st.lists(ikes(), max_size=3),
    ikev1=st.lists(ikev1s),
    without_salt=st.lists(unsalted, max_size=2),
)


def read_text(folder: Path, text: str, name: str = "keys") -> KeyRing:
    """What detection and reading make of a text."""
    path = folder / name
    path.write_text(text)
    return detect.read(path)


def bare(ring: KeyRing) -> tuple[list[SaKeys], list[IkeKeys], list[IkeKeys], list[IkeV1Keys], list[DhKeys]]:
    """The keys without where they came from, ESP before AH."""
    return (
        sorted((replace(one, origin="") for one in ring.sas), key=lambda one: -one.protocol),
        [replace(one, origin="") for one in ring.ike],
        [replace(one, origin="") for one in ring.without_salt],
        [replace(one, origin="") for one in ring.ikev1],
        [replace(one, origin="") for one in ring.dh],
    )
