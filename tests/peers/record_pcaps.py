"""``python -m tests.peers.record_pcaps DIR``: record the reference captures anew (root, strongSwan installed).

Each capture is one IKE SA between our gateway and strongSwan from its first message to its Delete. Keys and
certificates are made for the capture and thrown away; addresses are those of RFC 5737 and RFC 3849.
"""

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scapy.utils import RawPcapNgReader

from ipsectest.base.suites import format_suite
from ipsectest.ike.events import ChildInstalled, ChildRemoved, Event, IkeClosed, IkeEstablished
from ipsectest.ike.keylog import KeyLog
from ipsectest.ike.unsealed import Unsealed
from ipsectest.ipsec.esp import Opened
from ipsectest.ipsec.inner import parse_echo
from ipsectest.lab.capture import record
from ipsectest.net.pcapng import PcapngWriter
from ipsectest.net.wire import Direction
from ipsectest.scenario.ports import Authentication, PeerRequest, PeerSettings, Verb
from ipsectest.wire import summary
from ipsectest.wire.ip import UDP, build_udp, parse_ip, parse_udp
from tests.lab.node import Node
from tests.pcaps.capture import EspFrame, Keys, datagram_of, frames
from tests.peers.gateways import Gateways, case, joined_gateways

CAP = 10.0
_ETHERNET = 14


@dataclass(frozen=True)
class Plan:
    """One capture: who starts every exchange, how ends authenticate, what protects."""

    role: str
    """strongSwan's: responder or initiator."""
    auth: Authentication
    ike: str
    esp: str
    encapsulated: bool = False
    six: bool = False

    @property
    def name(self) -> str:
        cipher = "chacha20" if "chacha" in self.esp else self.esp.replace("-x25519", "").replace("-ecp256", "")
        extra = ("-natt" if self.encapsulated else "") + ("-ipv6" if self.six else "")
        return f"strongswan-{self.role}-{self.auth}{extra}-{cipher}"

    def settings(self) -> PeerSettings:
        return case(self.esp, ike=self.ike, auth=self.auth, encapsulated=self.encapsulated, six=self.six)


GCM, CBC = "aes128gcm16-prfsha256-x25519", "aes256-sha256-prfsha256-ecp256"
PLANS = (
    Plan("responder", Authentication.PSK, GCM, "aes128gcm16"),
    Plan("initiator", Authentication.PSK, CBC, "aes256-sha256-x25519"),
    Plan("responder", Authentication.PSK, CBC, "aes256-sha256", encapsulated=True),
    Plan("initiator", Authentication.PSK, GCM, "aes128gcm16", encapsulated=True),
    Plan("responder", Authentication.ECDSA, "aes256gcm16-prfsha384-ecp384", "aes256gcm16-ecp256"),
    Plan("initiator", Authentication.RSA, CBC, "aes128-sha256"),
    Plan("responder", Authentication.RSA, GCM, "chacha20poly1305", encapsulated=True),
    Plan("initiator", Authentication.ED25519, "aes256-sha512-prfsha512-x25519", "aes256gcm16", encapsulated=True),
    Plan("initiator", Authentication.ECDSA, "chacha20poly1305-prfsha256-x25519", "chacha20poly1305-x25519"),
    Plan("responder", Authentication.PSK, GCM, "aes128gcm16", six=True),
)


class Conversation:
    """One IKE SA from first message to Delete; whoever initiates starts all exchanges."""

    def __init__(self, gateways: Gateways, plan: Plan) -> None:
        self.gateways = gateways
        self.plan = plan
        self.given = plan.settings()
        self.node: Node = gateways.node(self.given)
        self.ours = plan.role == "responder"

    def hold(self) -> None:
        """Handshake, pings, rekey of the Child SA, pings, rekey of the IKE SA, pings, Delete."""
        self._step(self._initiate, ChildInstalled, 1)
        self.gateways.cross(self.node)
        self._step(self._rekey_child, ChildRemoved, 1)
        self.gateways.cross(self.node)
        self._step(self._rekey_ike, IkeClosed, 1)
        self.gateways.cross(self.node)
        self._step(self._delete, IkeClosed, 2)

    def log(self) -> KeyLog:
        """All keys of it."""
        log = KeyLog()
        for event in self.node.events:
            log.take(event)
        return log

    def _step(self, act: Callable[[], None], kind: type[Event], count: int) -> None:
        act()
        self.node.flush()
        enough = lambda: sum(isinstance(event, kind) for event in self.node.events) >= count  # noqa: E731
        done = self.gateways.loop.run_until(enough, CAP)
        assert done, f"{kind.__name__} did not come: {self.gateways.peer.log(self.given)}"

    def _last(self, kind: type) -> object:
        return [event for event in self.node.events if isinstance(event, kind)][-1]

    def _ask(self, verb: Verb, spi: bytes = b"") -> None:
        self.gateways.peer.perform(PeerRequest(1, verb, self.given, spi=spi))

    def _initiate(self) -> None:
        if self.ours:
            self.node.endpoint.initiate(self.node.connection, self.gateways.loop.clock.now())
        else:
            self._ask(Verb.INITIATE)

    def _rekey_child(self) -> None:
        child = self._last(ChildInstalled).child
        if self.ours:
            self.node.endpoint.rekey_child(child, self.gateways.loop.clock.now())
        else:
            self._ask(Verb.REKEY_CHILD, child.spi_out)

    def _rekey_ike(self) -> None:
        sa = self._last(IkeEstablished).sa
        if self.ours:
            self.node.endpoint.rekey_ike(sa, self.gateways.loop.clock.now())
        else:
            self._ask(Verb.REKEY_IKE, sa.spi_remote)

    def _delete(self) -> None:
        sa = self._last(IkeEstablished).sa
        if self.ours:
            self.node.endpoint.delete_ike(sa, self.gateways.loop.clock.now())
        else:
            self._ask(Verb.DELETE_IKE, sa.spi_remote)


def record_plan(plan: Plan, folder: Path) -> tuple[Path, KeyLog]:
    """Hold one conversation; writes ``NAME.pcapng``, ``NAME.keys.toml`` and ``NAME.toml``."""
    with joined_gateways(certificates=plan.auth is not Authentication.PSK) as gateways:
        conversation = Conversation(gateways, plan)
        with tempfile.TemporaryDirectory() as scratch:
            raw = Path(scratch) / "raw.pcapng"
            with record(gateways.near, "wire", raw):
                conversation.hold()
            path = folder / f"{plan.name}.pcapng"
            _distil(raw, path, conversation.given)
        log = conversation.log()
        keys = log.files()["keys.toml"]
        path.with_suffix(".keys.toml").write_text(keys)
        path.with_suffix(".toml").write_text(_origin(plan, conversation, path, Keys(keys)))
    return path, log


def _distil(raw: Path, path: Path, given: PeerSettings) -> None:
    """IKE and ESP only, from the IP header on: no link addresses, no names of this machine."""
    with PcapngWriter(path.open("wb")) as writer, RawPcapNgReader(str(raw)) as reader:
        writer.add_interface("wire")
        for frame, at in reader:
            packet = frame[_ETHERNET:]
            datagram = datagram_of(packet)
            if datagram is None:
                continue
            sent = datagram.source.host == given.remote.host
            stamp = ((at.tshigh << 32) + at.tslow) * (1_000_000_000 // at.tsresol)
            writer.packet(stamp, _checksummed(packet), direction=Direction.SENT if sent else Direction.RECEIVED)


def _checksummed(packet: bytes) -> bytes:
    """The kernel leaves the UDP checksum of virtual links to hardware that is not there."""
    ip = parse_ip(packet)
    if ip is None or ip.protocol != UDP or (udp := parse_udp(ip.payload)) is None:
        return packet
    return ip.headers + build_udp(ip.source, ip.destination, *udp)


def _origin(plan: Plan, conversation: Conversation, path: Path, keys: Keys) -> str:
    """Where the capture comes from and what its frames are."""
    given, peer = conversation.given, conversation.gateways.peer
    ends = ("ipsectest", "strongSwan") if conversation.ours else ("strongSwan", "ipsectest")
    carried = "in UDP on port 4500 (strongSwan says encap = yes; there is no NAT)" if plan.encapsulated else "plain"
    lines = [
        f'title = "strongSwan as {plan.role}, {plan.auth}, {plan.esp} {"in UDP" if plan.encapsulated else "plain"}"',
        f'peer = "strongSwan {peer.version} (Debian trixie), ESP in user space (kernel-libipsec)"',
        f"recorded = {datetime.now(UTC).date()}",
        f'initiator = "{ends[0]}"',
        f'responder = "{ends[1]}"',
        f'strongswan = "{given.local.host}"',
        f'ipsectest = "{given.remote.host}"',
        f'inner = {{ strongswan = "{given.inner_local}", ipsectest = "{given.inner_remote}" }}',
        f'authentication = "{plan.auth}"',
        *([f'secret = "{given.secret.decode()}"'] if plan.auth is Authentication.PSK else []),
        f'ike = "{format_suite(given.ike[0])}"',
        f'esp = "{format_suite(given.esp[0])}"',
        f'esp_carried = "{carried}"',
        f"encapsulated = {str(plan.encapsulated).lower()}",
        'shows = "handshake, pings both ways, rekey of the Child SA, pings, rekey of the IKE SA, pings, Delete"',
        "",
        "[frames]  # frame number -> what it is, payloads of SK decrypted",
        *(f'{frame.number} = "{_told(frame)}"' for frame in frames(path, keys)),
    ]
    return "\n".join(lines) + "\n"


def _told(frame: object) -> str:
    if isinstance(frame, EspFrame):
        assert isinstance(frame.inner, Opened), frame
        echo = parse_echo(frame.inner.payload)
        assert echo is not None, frame
        kind = "reply" if echo.is_reply else "request"
        return f"ESP {frame.octets[:4].hex()}: ICMP echo {kind} {echo.sequence} from {echo.source}"
    if frame.inner is None:
        return summary(frame.message)
    assert isinstance(frame.inner, Unsealed), frame
    return summary(frame.message, frame.inner.payloads)


def main() -> int:
    """Record all plans into a folder."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: python -m tests.peers.record_pcaps DIR\n")
        return 2
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for plan in PLANS:
        path, _ = record_plan(plan, folder)
        sys.stdout.write(f"{path.name}: {path.stat().st_size} octets\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
