"""A real daemon that stands for a gateway of somebody else: in a namespace, set up once, reached by its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ipsectest.base.addresses import Address
from ipsectest.lab import Lab
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.topology import Pair, pair
from ipsectest.peers import table
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.daemon import Daemon
from ipsectest.scenario.ports import Identity, PeerSettings
from tests.unit.peers.settings import settings

US, THEM = "192.0.2.1", "192.0.2.2"
SECRET = b"a secret of no worth"
FILE = f"""\
name = "gateway"
version = "7.4"

[peer]
address = "{THEM}"
inner = "203.0.113.1"
id = "fqdn:peer.example"
psk = "{SECRET.decode()}"
ike = "aes128gcm16-prfsha256-x25519"
esp = "aes128gcm16"

[tester]
address = "{US}"
inner = "198.51.100.1"
id = "fqdn:tester.example"

[wire]
netns = "NETNS"
"""


@dataclass
class Gateway:
    """It, and the link to it."""

    daemon: Daemon
    pair: Pair
    configured: PeerSettings

    def describe(self, path: Path, text: str = FILE) -> Path:
        """Its description as a file."""
        path.write_text(text.replace("NETNS", str(self.pair.left.path)))
        return path


def own_settings(**changes: object) -> PeerSettings:
    """What the owner of the gateway has set up."""
    own = settings(
        name="branch",
        local=Address(THEM, 500),
        remote=Address(US, 500),
        remote_id=Identity("fqdn", "tester.example"),
        secret=SECRET,
    )
    return replace(own, **changes)  # type: ignore[arg-type]


@contextmanager
def gateway(
    name: str = "strongswan", credentials: Credentials | None = None, given: PeerSettings | None = None
) -> Iterator[Gateway]:
    """Start a daemon that knows one connection."""
    given = given or own_settings()
    peer = table.PEERS[table.parse(name).driver]
    with Lab() as lab:
        made = pair(lab)
        made.right.add_addresses("lo", f"{given.inner_local}/32")
        host = NamespaceHost(lab, "gateway", made.right, table.root_of(table.parse(name)))
        daemon = peer.driver(host, credentials, peer.options_for(given))
        daemon.start()
        try:
            daemon.configure(given)
            yield Gateway(daemon, made, given)
        finally:
            daemon.stop()
