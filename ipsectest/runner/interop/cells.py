"""Cells: what two peers are to agree on, and which cells a run has."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import cache
from itertools import product

from ipsectest.base.errors import UsageError
from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec, UnknownKeywordError, parse_suite
from ipsectest.runner.interop.covering import cover
from ipsectest.scenario.ports import Authentication

IKE = (
    "aes128gcm16-prfsha256-x25519",
    "aes256gcm16-prfsha384-ecp384",
    "aes128-sha256-prfsha256-modp2048",
    "aes256-sha512-prfsha512-modp3072",
    "chacha20poly1305-prfsha256-ecp256",
    "aes192-sha384-prfsha384-ecp521",
    "aes256ccm16-prfsha512-x448",
    "aes256gcm16-prfsha512-mlkem768",
)
ESP = (
    "aes128gcm16-noesn",
    "aes256gcm16-noesn-x25519",
    "aes128-sha256-noesn",
    "aes256-sha512-noesn-modp2048",
    "chacha20poly1305-noesn-ecp256",
    "aes192ccm16-noesn-ecp521",
    "aes256ctr-sha384-noesn-x448",
    "sha256-noesn",
    "sha512-noesn-ecp256",
)
"""The last two without a cipher: AH."""
AUTHENTICATIONS = (Authentication.PSK, Authentication.RSA, Authentication.ECDSA, Authentication.ED25519)
MODES = ("tunnel", "transport")
ENCAPSULATIONS = ("plain", "udp")
IPS = ("v4", "v6", "v4-in-v6", "v6-in-v4")

DIMENSIONS: dict[str, tuple[str, ...]] = {
    "ike": IKE,
    "esp": ESP,
    "auth": AUTHENTICATIONS,
    "mode": MODES,
    "encapsulation": ENCAPSULATIONS,
    "ip": IPS,
}
"""Name of each dimension beside the ordered pair of peers, and its words; fields of `Cell` in their order."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One combination; every field is the word of the report."""

    initiator: str
    responder: str
    ike: str
    esp: str
    auth: str = "psk"
    mode: str = "tunnel"
    encapsulation: str = "plain"
    ip: str = "v4"

    @property
    def words(self) -> dict[str, str]:
        """Its word of each dimension."""
        return dict(zip(DIMENSIONS, astuple(self)[2:], strict=True))

    @property
    def pair(self) -> str:
        """The ordered pair as the report names it; it becomes a folder."""
        return f"{self.initiator}-to-{self.responder}".replace("/", "_")

    @property
    def variant(self) -> str:
        """All that is neither the pair nor the authentication."""
        return f"{self.ike},{self.esp},{self.mode},{self.encapsulation},{self.ip}"

    @property
    def ike_suite(self) -> tuple[TransformSpec, ...]:
        """Transforms of the IKE SA."""
        return parse_suite(self.ike)

    @property
    def esp_suite(self) -> tuple[TransformSpec, ...]:
        """Transforms of the Child SA; a key exchange method asks for PFS when it is rekeyed."""
        return parse_suite(self.esp)

    @property
    def is_ah(self) -> bool:
        """Whether its Child SA is one of AH."""
        return is_ah(self.esp)

    @property
    def outer(self) -> int:
        """IP version of the wire."""
        return 6 if self.ip.endswith("v6") else 4

    @property
    def inner(self) -> int:
        """IP version inside the tunnel."""
        return 6 if self.ip.startswith("v6") else 4

    def __str__(self) -> str:
        """What ``parse`` takes."""
        return ",".join(astuple(self))


def is_ah(suite: str) -> bool:
    """Whether a suite of Child SAs has no cipher."""
    return not any(spec.type == TransformType.ENCR for spec in parse_suite(suite))


def _contradicts(words: Mapping[str, str]) -> str:
    """Why words do not go together, whoever is asked."""
    if words.get("mode") == "transport" and "-in-" in words.get("ip", ""):
        return "transport mode has no other addresses inside"
    if words.get("encapsulation") == "udp" and "esp" in words and is_ah(words["esp"]):
        return "AH does not go through UDP (RFC 3948 section 1)"
    return ""


_FORM = "INITIATOR,RESPONDER,IKE,ESP[,AUTH[,MODE[,ENCAPSULATION[,IP]]]]"

Lacks = Callable[[str, str, str], str]
"""Of a peer, a dimension and a word of it: what the peer lacks for that; empty if nothing.

Beside the dimensions: ``role``, and ``suites`` with the word ``IKE,ESP``."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The cells of a run; those that cannot be tried, with the reason, apart."""

    cells: Sequence[Cell]
    unsupported: Mapping[Cell, str]


def parse(text: str) -> Cell:
    """A cell as it is printed; UsageError for words that do not exist. Peers are not looked at."""
    words = text.split(",")
    if not 4 <= len(words) <= 2 + len(DIMENSIONS):
        raise UsageError(f"a cell is {_FORM}, not {text!r}")
    for word, known in zip(words[4:], list(DIMENSIONS.values())[2:], strict=False):
        if word not in known:
            raise UsageError(f"{word!r} in {text!r} is none of {', '.join(known)}")
    try:
        for suite in words[2:4]:
            parse_suite(suite)
    except UnknownKeywordError as error:
        raise UsageError(f"{error} in {text!r}") from None
    return Cell(*words)


def covering(peers: Sequence[str], lacks: Lacks) -> Plan:
    """Cells in which each value of a dimension meets each value of every other, the ordered pair being one dimension.

    A word that a pair cannot do gives one unsupported cell, which differs in that word alone from one that it can.
    """
    pairs = list(product(peers, repeat=2))
    names = ["", *DIMENSIONS]
    lacks = cache(lacks)

    def allows(partial: Mapping[int, str]) -> bool:
        if 0 not in partial:
            return True
        initiator, responder = pairs[int(partial[0])]
        words = {names[number]: word for number, word in partial.items() if number}
        return not _contradicts(words) and not _beside_any_ike(initiator, responder, words, lacks)

    rows, _impossible = cover([[str(number) for number in range(len(pairs))], *DIMENSIONS.values()], allows)
    return Plan([Cell(*pairs[int(row[0])], *row[1:]) for row in rows], _unsupported(peers, lacks))


def all_combinations(peers: Sequence[str], lacks: Lacks) -> Plan:
    """Every combination that can be tried; of the others one for each word that a pair cannot do."""
    everything = [Cell(*pair, *words) for pair in product(peers, repeat=2) for words in product(*DIMENSIONS.values())]
    possible = [cell for cell in everything if not _contradicts(cell.words) and not _lacking(cell, lacks)]
    return Plan(possible, _unsupported(peers, lacks))


def chosen(cells: Iterable[Cell], lacks: Lacks) -> Plan:
    """The very cells that were asked for."""
    whys = {cell: reason(cell.initiator, cell.responder, with_suites(cell.words), lacks) for cell in cells}
    return Plan([cell for cell, why in whys.items() if not why], {cell: why for cell, why in whys.items() if why})


def _beside_any_ike(initiator: str, responder: str, words: Mapping[str, str], lacks: Lacks) -> str:
    """`reason`, but for what no suite of an IKE SA helps against, where words name none yet."""
    if "esp" not in words:
        return reason(initiator, responder, words, lacks)
    suites = [words["ike"]] if "ike" in words else DIMENSIONS["ike"]
    whys = [reason(initiator, responder, with_suites({**words, "ike": suite}), lacks) for suite in suites]
    if not all(whys):
        return ""
    return whys[0] if "ike" in words else reason(initiator, responder, words, lacks)


def with_suites(words: Mapping[str, str]) -> dict[str, str]:
    """Words of ``ike`` and ``esp`` as the one of ``suites``: beside the other a peer may have what it else lacks."""
    others = {dimension: word for dimension, word in words.items() if dimension not in {"ike", "esp"}}
    return {"suites": f"{words['ike']},{words['esp']}", **others}


def _lacking(cell: Cell, lacks: Lacks) -> str:
    return reason(cell.initiator, cell.responder, with_suites(cell.words), lacks)


def reason(initiator: str, responder: str, words: Mapping[str, str], lacks: Lacks) -> str:
    """Which side lacks what for its role and these words; empty if neither does."""
    found: dict[str, None] = {}
    for peer, role in ((initiator, "initiator"), (responder, "responder")):
        for what in [lacks(peer, dimension, word) for dimension, word in {"role": role, **words}.items()]:
            if what:
                found[f"{peer} lacks {what}"] = None
    return "; ".join(found)


def _unsupported(peers: Sequence[str], lacks: Lacks) -> dict[Cell, str]:
    cells: dict[Cell, str] = {}
    for initiator, responder in product(peers, repeat=2):

        def lacking(words: Mapping[str, str], first: str = initiator, second: str = responder) -> str:
            return _beside_any_ike(first, second, words, lacks)

        base = {
            dimension: next((word for word in words if not lacking({dimension: word})), words[0])
            for dimension, words in DIMENSIONS.items()
        }
        if why := lacking(base):  # not even one word of some dimension
            cells[Cell(initiator, responder, *base.values())] = why
            continue
        for dimension, words in DIMENSIONS.items():
            for word in words:
                if why := lacking({dimension: word}):
                    cells[Cell(initiator, responder, *{**base, dimension: word}.values())] = why
    return cells
