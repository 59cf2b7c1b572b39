"""What a peer reports of its SAs, in our words: so that the two ends of a tunnel can be compared."""

from dataclasses import dataclass

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec, format_suite


@dataclass(frozen=True, slots=True)
class ChildReport:
    """An installed pair of ESP or AH SAs."""

    spi_in: bytes
    """4 octets, chosen by the peer that reports."""
    spi_out: bytes
    suite: tuple[TransformSpec, ...]
    """Cipher, integrity and, once it was rekeyed with PFS, the key exchange method; in that order."""
    mode: str
    encapsulated: bool
    """Whether its ESP goes through UDP."""

    def __str__(self) -> str:
        """SPIs, suite and form."""
        form = f"{self.mode}{', in UDP' if self.encapsulated else ''}"
        protocol = "ESP" if any(spec.type == TransformType.ENCR for spec in self.suite) else "AH"
        return f"{protocol} {self.spi_in.hex()} in, {self.spi_out.hex()} out, {format_suite(self.suite)}, {form}"


@dataclass(frozen=True, slots=True)
class IkeReport:
    """An established IKE SA and its Child SAs."""

    spi_i: bytes
    """8 octets, of the original initiator of this IKE SA."""
    spi_r: bytes
    suite: tuple[TransformSpec, ...]
    """Cipher, integrity, PRF and key exchange method, in that order."""
    children: tuple[ChildReport, ...] = ()
    number: int = 0
    """What the peer calls it, if it tells no SPIs (they are empty then)."""

    @property
    def name(self) -> tuple[bytes, bytes, int]:
        """Tells it from others of the same peer."""
        return self.spi_i, self.spi_r, self.number

    def __str__(self) -> str:
        """SPIs, or what the peer calls it, and suite."""
        name = f"{self.spi_i.hex()} {self.spi_r.hex()}" if self.spi_i or self.spi_r else f"#{self.number}"
        return f"IKE {name}, {format_suite(self.suite)}"
