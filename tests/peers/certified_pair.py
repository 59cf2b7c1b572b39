"""strongSwan and Libreswan with certificates of one authority that both trust: good ones, and ones of every fault."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from ipsectest.crypto.pkcs12 import container
from ipsectest.crypto.pki import Authority, Credential, generate_key
from ipsectest.peers import credentials
from ipsectest.peers.credentials import Credentials
from ipsectest.scenario.ports import Authentication, Identity, Selector
from tests.peers.failing_pair import CHARON, HOSTS, INNER, PLUTO, FailingPair, Run, failing_pair

GOOD = "good"
FAULTS = ("expired", "not-yet", "other-name", "no-name", "revoked", "without-key")
SIDES = {"local": CHARON, "remote": PLUTO}
_DAY = timedelta(days=1)
_PASSWORD = b"transport"


@dataclass
class CertifiedPair:
    """A failing pair whose daemons can prove themselves with any of their certificates."""

    pair: FailingPair
    issued: dict[str, dict[str, Credential]] = field(default_factory=dict)
    """By daemon and by what is wrong."""

    @contextmanager
    def run(self, initiator: str, fault: str, *, at: str, **common: Any) -> Iterator[Run]:
        """Both sign with RSA; the certificate of the daemon ``at`` has the fault."""
        chosen = {name: fault if name == at else GOOD for name in HOSTS}
        mine = self.issued[CHARON][chosen[CHARON]]
        one = credentials.Credential(mine.certificate_pem, mine.key_pem)
        self.pair.charon._credentials = Credentials((), {Authentication.RSA: one})
        self.pair.pluto.nickname = chosen[PLUTO]
        both = {"local_auth": Authentication.RSA, "remote_auth": Authentication.RSA, "force_encapsulation": True}
        both |= {"local_ts": (Selector(INNER, INNER),)}  # charon 5 installs policies for addresses of its own only
        ids = {f"{side}_id": Identity("fqdn", name_of(chosen[who], who)) for side, who in SIDES.items()}
        if initiator == CHARON:  # without a Child SA, which pluto's kernel may refuse to carry
            common |= {"childless": "force", "wrong": {"childless": "allow"}}
        with self.pair.run(initiator, **both, **ids, **common) as run:
            yield run


def name_of(kind: str, daemon: str) -> str:
    """The ID of a daemon with a certificate: each has its own, or another certificate would do as well."""
    return f"{kind}.{HOSTS[daemon]}"


def _issue(authority: Authority, daemon: str) -> dict[str, Credential]:
    """Subjects differ, or NSS would take them for one."""
    made = {}
    keys = {kind == "without-key": generate_key("rsa2048", secrets.token_bytes) for kind in (GOOD, "without-key")}
    for kind in (GOOD, *FAULTS):
        names = {"other-name": ["elsewhere.example"], "no-name": []}.get(kind, [name_of(kind, daemon)])
        times = {"expired": -60 * _DAY, "not-yet": 30 * _DAY}
        starts = times.get(kind, -_DAY)
        key = keys[kind == "without-key"]
        made[kind] = authority.issue(f"{kind} {daemon}", key, names, starts=starts)
    return made


def _revocations(authority: Authority, revoked: list[Credential]) -> bytes:
    """A CRL in DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(authority.credential.certificate.subject)
    builder = builder.last_update(authority.at - _DAY).next_update(authority.at + 30 * _DAY)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
        entry = entry.revocation_date(authority.at - _DAY)
        builder = builder.add_revoked_certificate(entry.build())
    key = authority.credential.key
    builder = builder.add_extension(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
    )
    builder = builder.add_extension(x509.CRLNumber(1), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@contextmanager
def certified_pair(folder: Path, trees: dict[str, Path]) -> Iterator[CertifiedPair]:
    """Both daemons, started, with all certificates in their stores."""
    authority = Authority.root("ipsectest root", "rsa2048", datetime.now(UTC), secrets.token_bytes)
    issued = {name: _issue(authority, name) for name in HOSTS}
    revoked = _revocations(authority, [made["revoked"] for made in issued.values()])
    trusted = {name: Credentials((authority.credential.certificate_pem,), {}) for name in HOSTS}
    with failing_pair(folder, trees, "rsa", trusted) as pair:
        with pair.charon._vici() as session:
            for kind, one in issued[CHARON].items():
                if kind == GOOD:  # which others share
                    session.load_key({"type": "any", "data": one.key_pem})
            session.load_cert({"type": "X509_CRL", "data": revoked})
        _import(pair.pluto, issued[PLUTO], revoked)
        one = issued[PLUTO][GOOD]
        pair.pluto._credentials = Credentials(
            (), {Authentication.RSA: credentials.Credential(one.certificate_pem, b"")}
        )
        yield CertifiedPair(pair, issued)


def _import(pluto: Any, issued: dict[str, Credential], revoked: bytes) -> None:
    host, process = pluto._host, pluto._process
    database = f"sql:{host.inside}/nss"

    def tool(*words: str) -> None:
        status, said = host.run(list(words), process)
        assert not status, said

    for kind, one in issued.items():
        file = host.directory / kind
        name = f"{host.inside}/{kind}"
        if kind == "without-key":
            file.write_bytes(one.certificate_pem)
            tool("/usr/bin/certutil", "-A", "-n", kind, "-t", ",,", "-d", database, "-i", name)
        else:
            file.touch(0o600)
            file.write_bytes(container(kind, one.certificate_pem, one.key_pem, _PASSWORD))
            tool("/usr/bin/pk12util", "-i", name, "-d", database, "-W", _PASSWORD.decode())
        file.unlink()
    file = host.directory / "revoked.crl"
    file.write_bytes(revoked)
    tool("/usr/bin/crlutil", "-I", "-i", f"{host.inside}/revoked.crl", "-d", database, "-B")
