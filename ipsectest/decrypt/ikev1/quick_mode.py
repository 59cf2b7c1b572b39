"""Keys of ESP and AH out of quick modes in clear: they follow from SKEYID_d and the nonces (RFC 2409 section 5.5)."""

from collections.abc import Iterator
from dataclasses import dataclass

from ipsectest.base.iana import IntegrityAlgorithm, ProtocolId, TransformType
from ipsectest.base.iana_ikev1 import (
    DEFAULT_KEY_BITS,
    ESP_CIPHERS,
    INTEGRITIES,
    ExchangeV1,
    PayloadV1,
    Phase2Attribute,
)
from ipsectest.base.suites import TransformSpec
from ipsectest.crypto import Cipher, UnsupportedAlgorithmError, cipher, integrity, prf
from ipsectest.crypto.ikev1 import keymat
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.ikev1.messages import ProposalV1, first_part, proposals
from ipsectest.decrypt.ikev1.opened import OpenedV1
from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.negotiations import Closed, Learned
from ipsectest.decrypt.shared_secrets import SharedSecrets

MOST_PENDING = 4096
"""First messages that wait for the second."""
MOST_OCTETS = 1 << 21
_SPI = 4


@dataclass(frozen=True, slots=True)
class _Algorithms:
    """What a proposal chose."""

    encryption: TransformSpec | None
    integrity: TransformSpec | None
    cipher: Cipher | None
    integrity_octets: int
    esn: bool

    @property
    def length(self) -> int:
        return (self.cipher.keymat_length if self.cipher else 0) + self.integrity_octets


class QuickModes:
    """Follows quick modes; ``take`` every message in order."""

    def __init__(self, secrets: SharedSecrets | None = None) -> None:
        self._secrets = secrets or SharedSecrets()
        self._first: Bounded[tuple[bytes, bytes, int], OpenedV1] = Bounded(MOST_PENDING, MOST_OCTETS)

    def take(self, opened: OpenedV1, source: str, destination: str) -> Learned:
        """One message and its outer addresses as text. Never raises."""
        message = opened.message
        if opened.failure or message.exchange != ExchangeV1.QUICK_MODE or not first_part(opened.parts, PayloadV1.SA):
            return Learned()
        name = message.cookie_i, message.cookie_r, message.message_id
        first = self._first.get(name)
        if first is None:
            self._first.put(name, opened, len(message.data))
            return Learned()
        if first.message.data == message.data:
            return Learned()
        self._first.pop(name)
        # The second message travels from responder to initiator.
        return self._learn(first, opened, (destination, source))

    def _learn(self, first: OpenedV1, second: OpenedV1, ends: tuple[str, str]) -> Learned:
        publics = first_part(first.parts, PayloadV1.KE), first_part(second.parts, PayloadV1.KE)
        secret = self._secrets.find(*publics) if all(publics) else b""
        return _learn(first, second, secret, ends)


def _learn(first: OpenedV1, second: OpenedV1, secret: bytes | None, ends: tuple[str, str]) -> Learned:
    learned = Learned()
    offered = proposals(first_part(first.parts, PayloadV1.SA))
    for chosen in proposals(first_part(second.parts, PayloadV1.SA)):
        if chosen.protocol not in {ProtocolId.AH, ProtocolId.ESP}:
            continue
        spis = _offered_spi(offered, chosen), chosen.spi
        why = _lacking(second, secret)
        if not why:
            try:
                learned.sas += _derived(first, second, chosen, secret or b"", (spis, ends))
            except (UnsupportedAlgorithmError, ValueError) as error:
                why = str(error)
        if why:
            learned.closed.append(Closed(chosen.protocol, spis, why))
    return learned


def _offered_spi(offered: list[ProposalV1], chosen: ProposalV1) -> bytes:
    """The initiator's SPI: of the proposal with the number of the chosen one."""
    same = [one for one in offered if one.protocol == chosen.protocol]
    return next((one.spi for one in same if one.number == chosen.number), same[0].spi if same else b"")


def _lacking(second: OpenedV1, secret: bytes | None) -> str:
    if secret is None:
        return "made with PFS, their keys need the shared secret of the key exchange"
    if not second.keys or not second.keys.skeyid_d:
        return "their keys need SKEYID_d"
    return ""


def _derived(
    first: OpenedV1,
    second: OpenedV1,
    chosen: ProposalV1,
    secret: bytes,
    sides: tuple[tuple[bytes, bytes], tuple[str, str]],
) -> Iterator[SaKeys]:
    """Both directions; each is keyed with the SPI of the one who receives. ``sides``: SPIs and addresses."""
    keys = second.keys
    if keys is None:
        return
    nonces = first_part(first.parts, PayloadV1.NONCE) + first_part(second.parts, PayloadV1.NONCE)
    algorithms = _algorithms(chosen)
    spis, ends = sides
    for spi, (source, destination) in ((spis[1], ends), (spis[0], ends[::-1])):
        if len(spi) != _SPI:
            raise ValueError(f"an SPI of {len(spi)} octets")
        seed = secret + bytes((chosen.protocol,)) + spi + nonces
        material = keymat(prf(second.prf), keys.skeyid_d, seed, algorithms.length)
        cut = len(material) - algorithms.integrity_octets
        yield SaKeys(
            spi=spi,
            source=source,
            destination=destination,
            protocol=chosen.protocol,
            encryption=algorithms.encryption,
            encryption_key=material[:cut],
            integrity=algorithms.integrity,
            integrity_key=material[cut:],
            esn=algorithms.esn,
            origin=f"derived from SKEYID_d of IKE SA {keys.cookie_i.hex()}",
        )


def _algorithms(chosen: ProposalV1) -> _Algorithms:
    """Raises ValueError and UnsupportedAlgorithmError."""
    if not chosen.transforms:
        raise ValueError("a proposal without transform")
    transform = chosen.transforms[0]
    attributes = transform.attributes
    mac = INTEGRITIES.get(attributes.get(Phase2Attribute.INTEGRITY, 0), int(IntegrityAlgorithm.NONE))
    encryption, algorithm = None, None
    if chosen.protocol == ProtocolId.ESP:
        if transform.id not in ESP_CIPHERS:
            raise ValueError(f"ESP transform {transform.id} of IKEv1 is not known here")
        number = ESP_CIPHERS[transform.id]
        bits = attributes.get(Phase2Attribute.KEY_LENGTH) or DEFAULT_KEY_BITS.get(number)
        encryption, algorithm = TransformSpec(TransformType.ENCR, number, bits), cipher(number, bits)
    wanted = bool(mac) and not (algorithm and algorithm.is_aead)
    return _Algorithms(
        encryption,
        TransformSpec(TransformType.INTEG, mac) if wanted else None,
        algorithm,
        integrity(mac).key_length if wanted else 0,
        esn=attributes.get(Phase2Attribute.ESN) == 1,
    )
