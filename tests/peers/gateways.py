"""Our gateway and strongSwan's, joined by a link, with a tunnel to negotiate between them."""

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from ipsectest.base.addresses import Address
from ipsectest.base.suites import parse_suite
from ipsectest.crypto import pki
from ipsectest.ike.config import (
    ChildConfig,
    ConnectionConfig,
    Identity,
    KeyPair,
    SharedKey,
    TrustAnchors,
)
from ipsectest.lab import Lab
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import pair
from ipsectest.net.loop import EventLoop
from ipsectest.peers import rootfs, table
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import Authentication, PeerSettings
from ipsectest.wire import TrafficSelector
from tests.lab.node import Node
from tests.lab.two_namespaces import ping
from tests.unit.peers.settings import settings

OURS, THEIRS = "198.51.100.1", "203.0.113.1"
OUR_NAME, THEIR_NAME = "tester1.example", "peer.example"
OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:0:2::1", "2001:db8:0:2::2")}
_KEY_TYPES = {Authentication.RSA: "rsa2048", Authentication.ECDSA: "ecdsa256", Authentication.ED25519: "ed25519"}


@dataclass
class Gateways:
    """Ours on the left, strongSwan on the right; ``tree`` holds certificates of both, if they are wanted."""

    stack: ExitStack
    loop: EventLoop
    near: Namespace
    far: Namespace
    peer: StrongSwan
    tree: pki.TestPki | None = None

    @cached_property
    def left(self) -> str:
        return self.near.name

    @cached_property
    def right(self) -> str:
        return self.far.name

    def node(self, given: PeerSettings) -> Node:
        self.peer.configure(given)
        child = ChildConfig("net", (TrafficSelector.of(OURS),), (TrafficSelector.of(THEIRS),), given.esp)
        connection = ConnectionConfig(
            "strongswan",
            given.remote,
            given.local,
            Identity.of(given.remote_id.value),
            Identity.of(given.local_id.value),
            self._our_proof(given),
            self._their_proof(given),
            (child,),
            given.ike,
        )
        return Node(self.stack, self.loop, self.left, connection, inner=f"{OURS}/32", far=f"{THEIRS}/32")

    def _our_proof(self, given: PeerSettings) -> SharedKey | KeyPair:
        if given.remote_auth is Authentication.PSK:
            return SharedKey(given.secret)
        assert self.tree is not None
        issued = self.tree.credentials[f"{OUR_NAME}/{_KEY_TYPES[given.remote_auth]}"]
        return KeyPair((issued.certificate_der,), issued.key)

    def _their_proof(self, given: PeerSettings) -> SharedKey | TrustAnchors:
        if given.local_auth is Authentication.PSK:
            return SharedKey(given.secret)
        assert self.tree is not None
        return TrustAnchors((self.tree.root.credential.certificate_der,), datetime.now(UTC))

    def cross(self, node: Node) -> None:
        """Three pings each way; all of them through the tunnel."""
        # Where strongSwan started the negotiation it installs its side a moment after we have answered.
        assert any(ping(self.loop, self.left, THEIRS, "-I", OURS, "-c1", "-W0.5") == 0 for _ in range(5))
        before = node.plane.counters.packets_in
        assert ping(self.loop, self.left, THEIRS, "-I", OURS) == 0
        assert ping(self.loop, self.right, OURS, "-I", THEIRS) == 0
        # An answer to the first one may have come after its time.
        assert node.plane.counters.packets_in >= before + 6
        assert node.plane.counters.dropped_in == 0


def is_installed() -> bool:
    """Whether there is a strongSwan to start."""
    return rootfs.find(table.parse("strongswan")) is not None


@contextmanager
def joined_gateways(*, certificates: bool = False) -> Iterator[Gateways]:
    """Both ends, running; LookupError if strongSwan is not installed."""
    found = rootfs.find(table.parse("strongswan"))
    if found is None:
        raise LookupError("ipsectest peers install strongswan")
    with ExitStack() as stack:
        lab = stack.enter_context(Lab())
        net = pair(lab)
        net.right.add_addresses("lo", f"{THEIRS}/32")
        tree = _generate() if certificates else None
        known = Credentials.of(tree, THEIR_NAME) if tree else Credentials()
        peer = StrongSwan(NamespaceHost(lab, "right", net.right, found.root), known)
        peer.start()
        stack.callback(peer.stop)
        loop = stack.enter_context(EventLoop())
        yield Gateways(stack, loop, net.left, net.right, peer, tree)


def _generate() -> pki.TestPki:
    kinds = tuple(_KEY_TYPES.values())
    return pki.generate([OUR_NAME, THEIR_NAME], datetime.now(UTC), secrets.token_bytes, key_types=kinds)


def case(
    esp: str,
    *,
    ike: str = "aes128gcm16-prfsha256-x25519",
    auth: Authentication = Authentication.PSK,
    encapsulated: bool = False,
    six: bool = False,
) -> PeerSettings:
    """What strongSwan is told."""
    here, there = OUTER[6 if six else 4]
    return settings(
        1,
        local=Address(there, 500),
        remote=Address(here, 500),
        ike=(parse_suite(ike),),
        esp=(parse_suite(esp),),
        local_auth=auth,
        remote_auth=auth,
        force_encapsulation=encapsulated,
    )
