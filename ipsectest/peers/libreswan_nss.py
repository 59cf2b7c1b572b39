"""The NSS database of a pluto instance: certificates and keys get there by certutil and pk12util."""

from ipsectest.base.errors import PeerError
from ipsectest.crypto.pkcs12 import container
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.host import Host
from ipsectest.peers.libreswan_settings import NICKNAME
from ipsectest.scenario.ports import Authentication

_PASSWORD = "transport"  # noqa: S105 - of a file that lives for a moment in a private directory


def fill(host: Host, credentials: Credentials, kind: str) -> None:
    """Make the database; put in the authorities and the certificate of that kind (empty: none), if there is one.

    PeerError has the words of the tool that refused.
    """
    database = f"sql:{host.inside}/nss"
    (host.directory / "nss").mkdir(exist_ok=True)
    _run(host, "certutil", "-N", "-d", database, "--empty-password")
    for number, authority in enumerate(credentials.authorities):
        file = host.directory / "authority.pem"
        file.write_bytes(authority)
        _run(
            host, "certutil", "-A", "-n", f"authority-{number}", "-t", "CT,C,C", "-d", database,
            "-i", f"{host.inside}/{file.name}",
        )  # fmt: skip
        file.unlink()
    credential = credentials.mine.get(Authentication(kind)) if kind else None
    if credential is not None:
        file = host.directory / "mine.p12"
        file.touch(0o600)
        file.write_bytes(container(NICKNAME, credential.certificate, credential.key, _PASSWORD.encode()))
        _run(host, "pk12util", "-i", f"{host.inside}/{file.name}", "-d", database, "-W", _PASSWORD)
        file.unlink()


def _run(host: Host, program: str, *words: str) -> None:
    status, said = host.run([f"/usr/bin/{program}", *words])
    if status:
        raise PeerError(f"{program} refuses: {said.strip()[-500:]}")
