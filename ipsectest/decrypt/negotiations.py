"""What IKE messages in clear tell of Child SAs: their keys follow from SK_d and the nonces (RFC 7296 section 2.17)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from ipsectest.base.iana import ExchangeType, ExtendedSequenceNumbers, ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec, format_suite, ordered
from ipsectest.crypto import UnsupportedAlgorithmError, cipher, integrity, prf
from ipsectest.crypto.keys import child_keys
from ipsectest.decrypt import ike_derivation
from ipsectest.decrypt.bounded import Bounded
from ipsectest.decrypt.follow_ups import Agreement, FollowUps, additional
from ipsectest.decrypt.ike import Opened
from ipsectest.decrypt.ike_derivation import Exchanged
from ipsectest.decrypt.keys.model import IkeKeys, SaKeys
from ipsectest.decrypt.shared_secrets import SharedSecrets
from ipsectest.wire import KE, SA, Message, Nonce, Payload, Proposal

MOST_PENDING = 4096
"""Requests that wait for their response, and IKE SAs whose IKE_SA_INIT is remembered."""
MOST_OCTETS = 1 << 21
"""Of either, on the wire; payloads without a body take 25 times as much in memory."""
T = TypeVar("T")
_SPECS = (TransformType.ENCR, TransformType.INTEG)


@dataclass(slots=True)
class _Init:
    """What IKE_SA_INIT settled."""

    nonce_i: bytes = b""
    nonce_r: bytes = b""
    prf: TransformSpec | None = None


@dataclass(frozen=True, slots=True)
class Closed:
    """A negotiated SA without keys."""

    protocol: int
    spis: tuple[bytes, bytes]
    """Of the initiator and the responder of its exchange."""
    why: str
    """What its keys would need."""

    def __str__(self) -> str:
        """One line."""
        names = {ProtocolId.IKE: "IKE", ProtocolId.AH: "AH"}
        return f"{names.get(ProtocolId(self.protocol), 'ESP')} SAs {':'.join(s.hex() for s in self.spis)}: {self.why}"


@dataclass(frozen=True, slots=True)
class Agreed:
    """An exchange that settled SAs, whether their keys are known or not."""

    request: Opened
    response: Opened
    chosen: Proposal
    spis: tuple[bytes, bytes]
    """Of the initiator and the responder of the exchange."""
    ends: tuple[str, str]
    """Outer addresses, in the same order."""


@dataclass(slots=True)
class Learned:
    """What a response brought about."""

    agreed: Agreed | None = None
    sas: list[SaKeys] = field(default_factory=list)
    ike: list[IkeKeys] = field(default_factory=list)
    closed: list["Closed"] = field(default_factory=list)
    """SAs whose keys do not follow from what there is."""


class Negotiations:
    """Follows the exchanges of a capture; ``take`` every message in order."""

    def __init__(self, secrets: SharedSecrets | None = None) -> None:
        self._secrets = secrets or SharedSecrets()
        self._inits: Bounded[tuple[bytes, bytes], _Init] = Bounded(MOST_PENDING, MOST_OCTETS)
        self._follow_ups = FollowUps()
        self._requests: Bounded[tuple[bytes, bytes, int, bool], Opened] = Bounded(MOST_PENDING, MOST_OCTETS)

    def take(self, opened: Opened, source: str, destination: str) -> Learned:
        """One message and its outer addresses as text. Never raises."""
        message = opened.message
        if opened.failure or message.headerless:
            return Learned()
        if not message.is_response:
            self._remember(opened)
            return Learned()
        request = self._requests.pop(_place(message))
        if request is None:
            return Learned()
        learned = self._answered(request, opened, source, destination)
        learned.agreed = _agreed_on(request, opened, (destination, source))
        return learned

    def _answered(self, request: Opened, response: Opened, source: str, destination: str) -> Learned:
        match response.message.exchange_type:
            case ExchangeType.IKE_SA_INIT:
                return self._settle(request, response)
            case ExchangeType.IKE_INTERMEDIATE:
                return self._renew(request, response)
            case ExchangeType.IKE_FOLLOWUP_KE:
                agreement = self._follow_ups.take(request, response, self._agreed(request, response))
                return _concluded(agreement) if agreement else Learned()
            case ExchangeType.IKE_AUTH | ExchangeType.CREATE_CHILD_SA:
                return self._child(request, response, source, destination)
        return Learned()

    def _remember(self, opened: Opened) -> None:
        self._requests.put(_place(opened.message), opened, len(opened.message.raw) + opened.decrypted)

    def _settle(self, request: Opened, response: Opened) -> Learned:
        nonces = first_payload(request.payloads, Nonce), first_payload(response.payloads, Nonce)
        chosen = chosen_proposal(response.payloads)
        if not all(nonces) or chosen is None:
            return Learned()
        spec = next((spec for spec in chosen.specs if spec.type == TransformType.PRF), None)
        ni, nr = (bytes(nonce.data) if nonce else b"" for nonce in nonces)
        message = response.message
        spis = message.initiator_spi, message.responder_spi
        self._inits.put(spis, _Init(ni, nr, spec), len(ni) + len(nr))
        secret = self._agreed(request, response)
        if secret is None:
            return Learned()
        return _ike(spis, lambda: ike_derivation.first(chosen, Exchanged(spis, (ni, nr), secret)))

    def _agreed(self, request: Opened, response: Opened) -> bytes | None:
        """The shared secret of their KE payloads, if it is known."""
        pair = first_payload(request.payloads, KE), first_payload(response.payloads, KE)
        return self._secrets.find(bytes(pair[0].data), bytes(pair[1].data)) if pair[0] and pair[1] else None

    def _renew(self, request: Opened, response: Opened) -> Learned:
        """An additional key exchange changes the keys of the IKE SA (RFC 9370 section 2.2.2)."""
        secret, keys = self._agreed(request, response), response.keys
        init, nonces = self._nonces(request, response)
        function = keys.prf or init.prf if keys else None
        if secret is None or keys is None or function is None or not keys.sk_d or not all(nonces):
            return Learned()
        exchanged = Exchanged((keys.spi_i, keys.spi_r), nonces, secret)
        return _ike(exchanged.spis, lambda: ike_derivation.renewed(keys, function, exchanged))

    def _child(self, request: Opened, response: Opened, source: str, destination: str) -> Learned:
        chosen, keys = chosen_proposal(response.payloads), response.keys
        if chosen is None or keys is None or chosen.protocol not in {ProtocolId.IKE, ProtocolId.AH, ProtocolId.ESP}:
            return Learned()
        spis = offered_spi(request, chosen), bytes(chosen.spi)
        init, nonces = self._nonces(request, response)
        secret = self._agreed(request, response)
        if secret is None and chosen.protocol != ProtocolId.IKE and first_payload(response.payloads, KE) is None:
            secret = b""
        # The response travels from responder to initiator of the exchange.
        agreement = Agreement(chosen, spis, nonces, (destination, source), keys, keys.prf or init.prf, secret)
        if additional(chosen) and response.message.exchange_type == ExchangeType.CREATE_CHILD_SA:
            if secret is not None and self._follow_ups.wait(agreement, response):
                return Learned()
            agreement.secret = None
        return _concluded(agreement)

    def _nonces(self, request: Opened, response: Opened) -> tuple[_Init, tuple[bytes, bytes]]:
        """What IKE_SA_INIT settled, and the nonces that count for a Child SA of this exchange."""
        message = response.message
        init = self._inits.get((message.initiator_spi, message.responder_spi)) or _Init()
        if message.exchange_type != ExchangeType.CREATE_CHILD_SA:
            return init, (init.nonce_i, init.nonce_r)
        pair = first_payload(request.payloads, Nonce), first_payload(response.payloads, Nonce)
        return init, (bytes(pair[0].data) if pair[0] else b"", bytes(pair[1].data) if pair[1] else b"")


def _agreed_on(request: Opened, response: Opened, ends: tuple[str, str]) -> Agreed | None:
    message, chosen = response.message, chosen_proposal(response.payloads)
    if chosen is None:
        return None
    if message.exchange_type == ExchangeType.IKE_SA_INIT:
        return Agreed(request, response, chosen, (message.initiator_spi, message.responder_spi), ends)
    if response.keys is None or message.exchange_type not in {ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA}:
        return None
    return Agreed(request, response, chosen, (offered_spi(request, chosen), bytes(chosen.spi)), ends)


def _ike(spis: tuple[bytes, bytes], derive: Callable[[], IkeKeys]) -> Learned:
    try:
        return Learned(ike=[derive()])
    except (UnsupportedAlgorithmError, ValueError) as error:
        return Learned(closed=[Closed(ProtocolId.IKE, spis, str(error))])


def _concluded(agreed: Agreement) -> Learned:
    """The keys of what was negotiated, or why there are none."""
    why, function = _lacking(agreed), agreed.function
    if not why and function is not None:
        if agreed.chosen.protocol == ProtocolId.IKE:
            exchanged = Exchanged(agreed.spis, agreed.nonces, agreed.secret or b"", agreed.more_secrets)
            return _ike(agreed.spis, lambda: ike_derivation.rekeyed(agreed.keys, function, agreed.chosen, exchanged))
        try:
            return Learned(sas=list(_derived(agreed, function)))
        except (UnsupportedAlgorithmError, ValueError, LookupError) as error:
            why = str(error)
    return Learned(closed=[Closed(agreed.chosen.protocol, agreed.spis, why)])


def _lacking(agreed: Agreement) -> str:
    """Why the keys of what was chosen do not follow from what there is; empty if they do."""
    is_child = agreed.chosen.protocol != ProtocolId.IKE
    if agreed.lacks_secret and additional(agreed.chosen):
        return "made with additional key exchanges, their keys need the shared secrets of all"
    if agreed.lacks_secret:
        return f"made {'with PFS' if is_child else 'by a rekey'}, their keys need the shared secret of the key exchange"
    wanted = {
        "SK_d": agreed.keys.sk_d,
        "the IKE_SA_INIT exchange with its nonces": all(agreed.nonces),
        "the PRF": agreed.function,
    }
    missing = [text for text, there in wanted.items() if not there]
    return f"their keys need {' and '.join(missing)}" if missing else ""


def _derived(agreed: Agreement, function: TransformSpec) -> Iterator[SaKeys]:
    """Both directions of a Child SA."""
    specs = {spec.type: spec for spec in agreed.chosen.specs}
    encryption, authenticator = (specs.get(kind) for kind in _SPECS)
    if authenticator and authenticator.id == 0:
        authenticator = None
    algorithm = cipher(encryption.id, encryption.key_length) if encryption else None
    if algorithm and algorithm.is_aead:
        authenticator = None
    check = integrity(authenticator.id) if authenticator else None
    (ni, nr), keys, ends = agreed.nonces, agreed.keys, agreed.ends
    made = child_keys(
        prf(function.id), keys.sk_d, algorithm, check,
        ni=ni, nr=nr, secret=agreed.secret or b"", more_secrets=agreed.more_secrets,
    )  # fmt: skip
    esn = specs.get(TransformType.ESN)
    for spi, (source, destination), key, key_a in (
        (agreed.spis[1], ends, made.encryption_i, made.integrity_i),
        (agreed.spis[0], ends[::-1], made.encryption_r, made.integrity_r),
    ):
        yield SaKeys(
            spi=spi, source=source, destination=destination, protocol=agreed.chosen.protocol, encryption=encryption,
            encryption_key=key, integrity=authenticator, integrity_key=key_a,
            esn=esn is not None and esn.id == ExtendedSequenceNumbers.ESN,
            origin=f"derived from SK_d of IKE SA {keys.spi_i.hex()}:{keys.spi_r.hex()}",
        )  # fmt: skip


def _place(message: Message) -> tuple[bytes, bytes, int, bool]:
    """What a request and its response have in common; the response of IKE_SA_INIT brings the responder's SPI."""
    responder = b"" if message.exchange_type == ExchangeType.IKE_SA_INIT else message.responder_spi
    started_by_initiator = message.from_initiator != message.is_response
    return message.initiator_spi, responder, message.message_id, started_by_initiator


def first_payload(payloads: list[Payload], kind: type[T]) -> T | None:
    """The first payload of a class, None without one."""
    return next((payload for payload in payloads if isinstance(payload, kind)), None)


def chosen_proposal(payloads: list[Payload]) -> Proposal | None:
    """The one proposal of an SA payload in a response."""
    sa = first_payload(payloads, SA)
    return sa.proposals[0] if sa and len(sa.proposals) == 1 else None


def offered_spi(request: Opened, chosen: Proposal | None = None) -> bytes:
    """The initiator's SPI: of the proposal that was chosen (their numbers agree), else of the first."""
    sa = first_payload(request.payloads, SA)
    proposals = sa.proposals if sa else []
    for proposal in proposals:
        if chosen is None or (proposal.number, proposal.protocol) == (chosen.number, chosen.protocol):
            return bytes(proposal.spi)
    return bytes(proposals[0].spi) if proposals else b""


def suite_of(payloads: list[Payload]) -> str:
    """The suite that a response chose, in words; empty without one."""
    chosen = chosen_proposal(payloads)
    return format_suite(ordered(chosen.specs)) if chosen else ""
