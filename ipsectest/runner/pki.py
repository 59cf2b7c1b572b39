"""The test PKI of a run: made only if some case authenticates with certificates."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ipsectest.base.clock import RandomBytes
from ipsectest.ike.config import KeyPair
from ipsectest.peers.credentials import Credentials
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Authentication, Certificates

TESTER = "tester.example.org"
PEER = "peer.example.org"
_KEY_TYPES = {Authentication.RSA: "rsa2048", Authentication.ECDSA: "ecdsa256", Authentication.ED25519: "ed25519"}


@dataclass(frozen=True, slots=True)
class RunPki:
    """Both sides of it: what cases show and check, and the same for the built-in peer and for daemons."""

    tester: Certificates
    builtin: Certificates
    daemon: Credentials


def needs_certificates(cases: Iterable[Case]) -> bool:
    """Whether any of the cases asks for a signature in AUTH."""
    return any(facts.get("auth") in _KEY_TYPES for case in cases for facts in (case.peer, case.tester))


@dataclass(frozen=True, slots=True)
class PkiSide:
    """One of two hosts: for an endpoint of ours there, and for a daemon."""

    certificates: Certificates
    credentials: Credentials


def make(at: datetime, random: RandomBytes) -> RunPki:
    """A root and one certificate for each side and kind of key, valid around ``at`` (aware)."""
    tester, peer = make_sides(TESTER, PEER, at, random)
    return RunPki(tester.certificates, peer.certificates, peer.credentials)


def make_sides(first: str, second: str, at: datetime, random: RandomBytes) -> tuple[PkiSide, PkiSide]:
    """The same for two hosts of any names."""
    made = make_hosts((first, second), at, random)
    return _facing(made[first], second), _facing(made[second], first)


def make_hosts(
    hosts: Sequence[str], at: datetime, random: RandomBytes, kinds: Collection[Authentication] = _KEY_TYPES
) -> dict[str, PkiSide]:
    """Host -> its side, for any number of hosts that trust one root and name no peer."""
    from ipsectest.crypto import pki  # noqa: PLC0415 - X.509 costs start-up time that most runs do not need

    made = pki.generate(hosts, at, random, key_types=tuple(_KEY_TYPES[kind] for kind in kinds))
    anchors = (made.root.credential.certificate_der,)

    def side(host: str) -> PkiSide:
        issued = {kind: made.credentials[f"{host}/{_KEY_TYPES[kind]}"] for kind in kinds}
        pairs = {kind: KeyPair((one.certificate_der,), one.key) for kind, one in issued.items()}
        return PkiSide(Certificates(host, "", pairs, anchors, at), Credentials.of(made, host))

    return {host: side(host) for host in hosts}


def _facing(side: PkiSide, other: str) -> PkiSide:
    return replace(side, certificates=replace(side.certificates, peer_host=other))
