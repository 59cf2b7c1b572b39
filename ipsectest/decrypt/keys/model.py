"""Key material, whatever file it came from."""

from dataclasses import dataclass, field

from ipsectest.base.errors import InputError
from ipsectest.base.iana import ProtocolId
from ipsectest.base.suites import TransformSpec

ANY = ""
"""As an address: the file does not say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaKeys:
    """One direction of ESP or AH."""

    spi: bytes
    """4 octets; empty where the file leaves it open (Wireshark's ``*``)."""
    source: str = ANY
    """Outer address as text."""
    destination: str = ANY
    protocol: int = ProtocolId.ESP
    encryption: TransformSpec | None = None
    """Transform Type 1; None for AH."""
    encryption_key: bytes = field(default=b"", repr=False)
    """Cipher key, then salt, as KEYMAT has them."""
    integrity: TransformSpec | None = None
    """Transform Type 3; None for an AEAD."""
    integrity_key: bytes = field(default=b"", repr=False)
    unchecked_icv: int = 0
    """Octets of an ICV whose algorithm the file does not tell (Wireshark's ``ANY ... [no checking]``)."""
    esn: bool | None = None
    """None: not told, to be found by trial."""
    esn_high: int = 0
    """Upper half of the sequence number to begin with."""
    origin: str = ""
    """``file:line``, for messages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeKeys:
    """An IKEv2 SA; what a file does not tell is empty."""

    spi_i: bytes
    """8 octets, as ``spi_r``; both empty where a log does not tell them: to be found by trial."""
    spi_r: bytes
    encryption: TransformSpec
    integrity: TransformSpec | None = None
    prf: TransformSpec | None = None
    sk_d: bytes = field(default=b"", repr=False)
    sk_ai: bytes = field(default=b"", repr=False)
    sk_ar: bytes = field(default=b"", repr=False)
    sk_ei: bytes = field(default=b"", repr=False)
    """With the salt, as ``sk_er``."""
    sk_er: bytes = field(default=b"", repr=False)
    sk_pi: bytes = field(default=b"", repr=False)
    sk_pr: bytes = field(default=b"", repr=False)
    unchecked_icv: int = 0
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class IkeV1Keys:
    """A phase 1 SA (RFC 2409 section 5); what a file does not tell is empty."""

    cookie_i: bytes
    """8 octets; empty where a log does not tell."""
    encryption_key: bytes = field(default=b"", repr=False)
    """The cipher's, which came of SKEYID_e (appendix B)."""
    skeyid_d: bytes = field(default=b"", repr=False)
    """What keys of phase 2 follow from."""
    skeyid_a: bytes = field(default=b"", repr=False)
    skeyid_e: bytes = field(default=b"", repr=False)
    pre_shared_key: bytes = field(default=b"", repr=False)
    """Opens something only beside a ``DhKeys`` of phase 1."""
    origin: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DhKeys:
    """What is known of one key exchange: the private value of one side, or the shared secret g^ir."""

    group: int = 0
    """Key Exchange Method of ``private``."""
    private: bytes = field(default=b"", repr=False)
    public: bytes = b""
    """With ``secret``: the KE data of either side, which tells whose it is."""
    secret: bytes = field(default=b"", repr=False)
    origin: str = ""


@dataclass(slots=True)
class KeyRing:
    """All keys of a run of ``ipsectest decrypt``."""

    sas: list[SaKeys] = field(default_factory=list)
    ike: list[IkeKeys] = field(default_factory=list)
    ikev1: list[IkeV1Keys] = field(default_factory=list)
    dh: list[DhKeys] = field(default_factory=list)
    """They open nothing by themselves: a capture tells the rest."""
    without_salt: list[IkeKeys] = field(default_factory=list)
    """AEADs of which a log has the cipher keys only (Libreswan's): ``sk_ei`` and ``sk_er`` end before the salt."""
    notes: list[str] = field(default_factory=list)
    """What a file has and cannot be used, with the reason."""
    problems: list[InputError] = field(default_factory=list)
    """Lines that are wrong; the others were read."""

    @property
    def count(self) -> int:
        """How many SAs and key exchanges it has keys of."""
        return len(self.sas) + len(self.ike) + len(self.ikev1) + len(self.dh) + len(self.without_salt)

    def add(self, other: "KeyRing") -> None:
        """Take over what another file has."""
        self.sas += other.sas
        self.ike += other.ike
        self.ikev1 += other.ikev1
        self.dh += other.dh
        self.without_salt += other.without_salt
        self.notes += other.notes
        self.problems += other.problems
