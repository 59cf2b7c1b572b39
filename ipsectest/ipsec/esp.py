"""ESP without the IP header around it (RFC 4303): seal a payload, open what came.

SPI | Sequence Number | IV | payload, TFC padding, padding, Pad Length, Next Header | ICV
    authenticated ----------------------------------------------------------------|
                             encrypted -------------------------------------------|
"""

from dataclasses import dataclass, field

from ipsectest.base.clock import RandomBytes
from ipsectest.crypto.errors import IntegrityError
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire.ip import NO_NEXT_HEADER

_PADDING = bytes(range(1, 256))
_LOW = (1 << 32) - 1


def default_padding(length: int) -> bytes:
    """The padding 1, 2, 3, ... of RFC 4303 section 2.4; at most 255 octets."""
    return _PADDING[:length]


@dataclass(frozen=True, slots=True, kw_only=True)
class Forced:
    """Fields that a tester wants otherwise than a correct sender would set them; None: as they should be."""

    spi: bytes | None = None
    sequence: int | None = None
    """32 bits, or all 64 of an extended number."""
    iv: bytes | None = None
    padding: bytes | None = None
    """The padding itself; with a block cipher the sender has to keep the alignment."""
    pad_length: int | None = None
    """The field only, not the padding."""
    next_header: int | None = None
    tfc_padding: bytes = b""
    """Octets between payload and padding (RFC 4303 section 2.7)."""
    icv: bytes | None = None


NOTHING_FORCED = Forced()
"""The default: a correct packet."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An authentic ESP packet, taken apart."""

    payload: bytes
    """With TFC padding, if there was any."""
    next_header: int
    sequence: int
    """64 bits for an SA with ESN."""
    iv: bytes = field(default=b"", repr=False)
    padding: bytes = field(default=b"", repr=False)


def seal_esp(
    sa: SecurityAssociation, payload: bytes, next_header: int, random: RandomBytes, forced: Forced = NOTHING_FORCED
) -> bytes:
    """The ESP packet for payload: SPI to ICV.

    ``next_header`` 59 makes a dummy packet. Raises SequenceExhaustedError; ValueError for forced
    padding that leaves the cipher's block size.
    """
    sequence = sa.take_sequence(forced.sequence)
    cipher = sa.cipher
    iv = sa.take_iv(random(cipher.iv_length)) if forced.iv is None else forced.iv
    header = (sa.spi if forced.spi is None else forced.spi) + (sequence & _LOW).to_bytes(4, "big")
    body = payload + forced.tfc_padding
    padding = forced.padding
    if padding is None:
        padding = default_padding(-(len(body) + 2) % max(4, cipher.block_length))
    pad_length = len(padding) if forced.pad_length is None else forced.pad_length
    trailer_next = next_header if forced.next_header is None else forced.next_header
    plaintext = b"".join((body, padding, bytes((pad_length & 255, trailer_next))))
    packet = header + iv + sa.context.encrypt(*_cipher_input(sa, sequence, iv, plaintext, header[:4]))
    if sa.authenticator:
        packet += sa.authenticator.compute(sa.integrity_key, packet + _implicit_high(sa, sequence))
    if forced.icv is not None:
        icv_length = icv_size(sa)
        packet = packet[: len(packet) - icv_length] + forced.icv
    sa.packets += 1
    sa.octets += len(payload)
    return packet


def open_esp(sa: SecurityAssociation, data: bytes) -> Opened | Drop:
    """Check and decrypt an ESP packet (RFC 4303 section 3.4); never raises, moves the window only after the ICV."""
    if len(data) < 10 + sa.cipher.iv_length + icv_size(sa):
        return sa.drop(DropReason.TOO_SHORT)
    if data[:4] != sa.spi:
        return sa.drop(DropReason.UNKNOWN_SPI)
    sequence = sa.replay.infer(int.from_bytes(data[4:8], "big"))
    if reason := sa.replay.judge(sequence):
        return sa.drop(reason, sequence)
    plaintext = _decrypt(sa, data, sequence)
    if isinstance(plaintext, DropReason):
        return sa.drop(plaintext, sequence)
    if sa.has_integrity:
        sa.replay.accept(sequence)
    return _strip_trailer(sa, plaintext, sequence, data[8 : 8 + sa.cipher.iv_length])


def _decrypt(sa: SecurityAssociation, data: bytes, sequence: int) -> bytes | DropReason:
    """The plaintext, once the ICV is found right: a separate algorithm's before decryption (RFC 4303 section 3.4.4)."""
    start, end = 8 + sa.cipher.iv_length, len(data)
    if sa.authenticator:
        end -= sa.authenticator.icv_length
        covered = data[:end] + _implicit_high(sa, sequence)
        if not sa.authenticator.verify(sa.integrity_key, covered, data[end:]):
            return DropReason.BAD_ICV
    if (end - start) % sa.cipher.block_length:
        return DropReason.BAD_LENGTH
    try:
        return sa.context.decrypt(*_cipher_input(sa, sequence, data[8:start], data[start:end], sa.spi))
    except IntegrityError:
        return DropReason.BAD_ICV


def icv_size(sa: SecurityAssociation) -> int:
    """Octets of ICV at the end of each packet of the SA."""
    return sa.authenticator.icv_length if sa.authenticator else sa.cipher.icv_length


def _strip_trailer(sa: SecurityAssociation, plaintext: bytes, sequence: int, iv: bytes) -> Opened | Drop:
    pad_length, next_header = plaintext[-2:]
    end = len(plaintext) - 2 - pad_length
    if end < 0:
        return sa.drop(DropReason.BAD_PADDING, sequence)
    padding = plaintext[end:-2]
    if sa.checks_padding and padding != default_padding(pad_length):
        return sa.drop(DropReason.BAD_PADDING, sequence)
    if next_header == NO_NEXT_HEADER:
        return sa.drop(DropReason.DUMMY, sequence)
    sa.packets += 1
    sa.octets += end
    return Opened(plaintext[:end], next_header, sequence, iv, padding)


def _cipher_input(
    sa: SecurityAssociation, sequence: int, iv: bytes, text: bytes, spi: bytes
) -> tuple[bytes, bytes, bytes]:
    """(iv, text, aad); the AAD of an AEAD is SPI || sequence number, all 64 bits with ESN (RFC 4106 section 5)."""
    if sa.cipher.implicit_iv:
        iv = sequence.to_bytes(8, "big")  # RFC 8750 section 4
    return iv, text, spi + (sequence if sa.esn else sequence & _LOW).to_bytes(8 if sa.esn else 4, "big")


def _implicit_high(sa: SecurityAssociation, sequence: int) -> bytes:
    """High half of an extended number: covered by the ICV, not sent (RFC 4303 section 2.2.1)."""
    return (sequence >> 32).to_bytes(4, "big") if sa.esn else b""
