"""Two strongSwans with ESP in user space on the two ends of a link; a run leaves capture and logs."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ipsectest.base.addresses import Address
from ipsectest.lab import Lab
from ipsectest.lab.capture import record
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import pair
from ipsectest.net.loop import EventLoop
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.peers.strongswan_settings import connection
from ipsectest.scenario.ports import Counter, PeerRequest, PeerSettings, Selector, Verb
from tests.lab.two_namespaces import ping
from tests.peers.failing_pair import CAP, RETRANSMIT, TRIES, nft
from tests.unit.peers.settings import mirrored, settings

NEAR, FAR = "near", "far"
OUTER = {NEAR: "192.0.2.1", FAR: "192.0.2.2"}
INNER = {NEAR: "203.0.113.1", FAR: "198.51.100.1"}
_ETHERTYPE = b"\x08\x00"
_ESP = 50


@dataclass
class Turn:
    """One tunnel between the two, and what is left of it."""

    pair: "CharonPair"
    given: dict[str, PeerSettings]
    folder: Path
    starts: dict[str, int]
    ended: bool = False

    @property
    def capture(self) -> Path:
        """As the far end sees it."""
        return self.folder / "trace.pcapng"

    @property
    def logs(self) -> dict[str, Path]:
        return {name: self.folder / f"{name}.log" for name in OUTER}

    def said(self, name: str) -> str:
        return self.pair.daemons[name]._log.read_bytes()[self.starts[name] :].decode(errors="replace")

    def until(self, asked: Callable[[], object]) -> None:
        end = time.monotonic() + CAP
        while not asked():
            assert time.monotonic() < end, self.said(FAR)[-2000:]
            threading.Event().wait(0.01)

    def initiate(self) -> None:
        """By the near one."""
        self.perform(NEAR, Verb.INITIATE)

    def perform(self, name: str, verb: Verb) -> None:
        self.pair.daemons[name].perform(PeerRequest(1, verb, self.given[name]))

    def come_up(self) -> None:
        self.initiate()
        self.until(lambda: all(self.counts(name) for name in OUTER))

    def counts(self, name: str) -> tuple[int, int] | None:
        """Packets in and out of the Child SA, by the daemon's own count."""
        for sa in self.pair.daemons[name].sas(self.given[name]):
            for child in sa.get("child-sas", {}).values():
                return int(child["packets-in"]), int(child["packets-out"])
        return None

    def replays(self, name: str) -> int:
        """Packets that it dropped for their sequence numbers."""
        request = PeerRequest(1, Verb.COUNTER, self.given[name], counter=Counter.REPLAY)
        return self.pair.daemons[name].perform(request) or 0

    def ping(self, count: int, interval: str = "0.01") -> None:
        words = ["-I", INNER[NEAR], f"-c{count}", f"-i{interval}", "-W0.2"]
        with EventLoop() as loop:
            ping(loop, self.pair.namespaces[NEAR].name, INNER[FAR], *words)

    def again(self, count: int) -> None:
        """Ping once more for each, and let the last ESP packets of the near end arrive twice."""
        kind = socket.htons(3)
        with self.pair.namespaces[NEAR].socket(socket.AF_PACKET, socket.SOCK_RAW, kind) as wire:
            wire.bind(("wire", 3))
            wire.settimeout(CAP)
            self.ping(count)
            frames: list[bytes] = []
            while len(frames) < count:
                frame, (_, _, direction, _, _) = wire.recvfrom(4000)
                if direction == socket.PACKET_OUTGOING and frame[12:14] == _ETHERTYPE and frame[23] == _ESP:
                    frames.append(frame)
            for frame in frames:
                wire.send(frame)

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            for name, one in self.given.items():
                self.pair.daemons[name].forget(one)


@dataclass
class CharonPair:
    """Both, running."""

    daemons: dict[str, StrongSwan]
    namespaces: dict[str, Namespace]
    folder: Path
    turns: int = 0

    @contextmanager
    def turn(self, **common: Any) -> Iterator[Turn]:
        """Configure both, and record."""
        self.turns += 1
        near = settings(
            1,
            name=f"turn-{self.turns}",
            local=Address(OUTER[NEAR], 500),
            remote=Address(OUTER[FAR], 500),
            local_ts=(Selector(INNER[NEAR], INNER[NEAR]),),
            remote_ts=(Selector(INNER[FAR], INNER[FAR]),),
            retransmit=RETRANSMIT,
            retransmit_tries=TRIES,
            **common,
        )
        given = {NEAR: near, FAR: mirrored(near)}
        folder = self.folder / str(self.turns)
        folder.mkdir()
        turn = Turn(self, given, folder, {name: one._log.stat().st_size for name, one in self.daemons.items()})
        for name, one in given.items():
            self.daemons[name].configure(one)
        with record(self.namespaces[FAR], "wire", turn.capture):
            try:
                yield turn
            finally:
                turn.end()
        for name, log in turn.logs.items():
            log.write_text(turn.said(name))

    @contextmanager
    def with_eap(self, turn: Turn, passwords: dict[str, bytes]) -> Iterator[None]:
        """Let the near one prove itself by EAP-MD5, the far one by a pre-shared key."""
        client, server = "tester1.example", "peer.example"
        proofs = {"local": {"auth": "eap-md5", "id": client}, "remote": {"auth": "psk", "id": server}}
        for name, daemon in self.daemons.items():
            one = turn.given[name]
            section = connection(one, daemon._credentials)
            sides = proofs if name == NEAR else {"local": proofs["remote"], "remote": proofs["local"]}
            with daemon._vici() as session:
                session.load_conn({one.name: section | sides})
                session.load_shared({"id": one.name, "type": "IKE", "data": b"psk", "owners": [server]})
                if name in passwords:
                    session.load_shared({"id": "eap", "type": "EAP", "data": passwords[name], "owners": [client]})
        try:
            yield
        finally:
            for name in passwords:
                with self.daemons[name]._vici() as session:
                    session.unload_shared({"id": "eap"})

    @contextmanager
    def cut(self, what: str = "") -> Iterator[None]:
        """Nothing of the near end reaches the far one, or nothing of a kind."""
        where = self.namespaces[FAR]
        chain = "add chain inet t in { type filter hook input priority 0; }"
        nft(where, f"add table inet t\n{chain}\nadd rule inet t in ip saddr {OUTER[NEAR]} {what} drop\n")
        try:
            yield
        finally:
            nft(where, "delete table inet t\n")

    @contextmanager
    def losing(self, nth: int) -> Iterator[None]:
        """Every nth ESP packet of the near end is lost behind it."""
        where = self.namespaces[NEAR]
        chain = "add chain inet t out { type filter hook postrouting priority 0; }"
        rule = f"add rule inet t out ip protocol esp numgen inc mod {nth} == 1 drop"
        nft(where, f"add table inet t\n{chain}\n{rule}\n")
        try:
            yield
        finally:
            nft(where, "delete table inet t\n")


@contextmanager
def charon_pair(folder: Path, tree: Path) -> Iterator[CharonPair]:
    with Lab() as lab:
        net = pair(lab)
        namespaces = {NEAR: net.left, FAR: net.right}
        options = DaemonOptions(retransmit=RETRANSMIT, retransmit_tries=TRIES, keys_in_log=True)
        daemons = {}
        try:
            for name, namespace in namespaces.items():
                namespace.add_addresses("lo", f"{INNER[name]}/32")
                daemons[name] = StrongSwan(NamespaceHost(lab, name, namespace, tree), None, options)
                daemons[name].start()
            yield CharonPair(daemons, namespaces, folder)
        finally:
            for one in daemons.values():
                one.stop()
