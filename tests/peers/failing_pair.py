"""strongSwan and Libreswan on the two ends of a link, set up so that they fail; a run leaves capture and logs."""

import secrets
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ipsectest.base.addresses import Address
from ipsectest.base.errors import UnsupportedError
from ipsectest.crypto import pki
from ipsectest.lab import Lab
from ipsectest.lab.capture import record
from ipsectest.lab.hosts import NamespaceHost
from ipsectest.lab.namespaces import Namespace
from ipsectest.lab.topology import pair
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario.ports import PeerRequest, PeerSettings, Verb
from tests.unit.peers.settings import mirrored, settings

CAP = 10.0
CHARON, PLUTO = "charon", "pluto"
HOSTS = {CHARON: "tester1.example", PLUTO: "peer.example"}
ADDRESSES = {CHARON: "192.0.2.1", PLUTO: "192.0.2.2"}
INNER = "203.0.113.1"
"""An address behind charon."""
RETRANSMIT, TRIES = 0.1, 2
"""Both give up after 0.1 + 0.16 + 0.256 seconds, or about that."""


@dataclass(frozen=True)
class Left:
    """What a run leaves."""

    capture: Path
    logs: dict[str, Path]
    """By daemon."""


@dataclass
class FailingPair:
    """charon at 192.0.2.1, pluto at 192.0.2.2."""

    charon: StrongSwan
    pluto: Libreswan
    namespaces: dict[str, Namespace]
    folder: Path
    runs: int = 0
    given: dict[str, PeerSettings] = field(default_factory=dict)

    def daemon(self, name: str) -> StrongSwan | Libreswan:
        return self.charon if name == CHARON else self.pluto

    @contextmanager
    def run(self, initiator: str, *, wrong: dict[str, Any] | None = None, **common: Any) -> Iterator["Run"]:
        """Configure both, the responder with what is ``wrong``, and record."""
        self.runs += 1
        base = settings(self.runs, name=f"case-{self.runs}", **BASE, **common)
        responder = PLUTO if initiator == CHARON else CHARON
        self.given = {CHARON: base, PLUTO: mirrored(base)}
        self.given[responder] = replace(self.given[responder], **(wrong or {}))
        folder = self.folder / str(self.runs)
        folder.mkdir()
        starts = {name: self.daemon(name)._log.stat().st_size for name in self.given}
        run = Run(self, initiator, responder, folder, starts)
        try:
            for name, one in self.given.items():
                self.daemon(name).configure(one)
        except UnsupportedError:
            run.end()
            raise
        with record(self.namespaces[initiator], "wire", run.capture):
            try:
                yield run
            finally:
                run.end()
        for name in self.given:
            (folder / f"{name}.log").write_text(run.said(name))


BASE: dict[str, Any] = {
    "local": Address("192.0.2.1", 500),
    "remote": Address("192.0.2.2", 500),
    "retransmit": RETRANSMIT,
    "retransmit_tries": TRIES,
}


@dataclass
class Run:
    """One failure on its way."""

    pair: FailingPair
    initiator: str
    responder: str
    folder: Path
    starts: dict[str, int]
    ended: bool = False

    def end(self) -> None:
        """Forget the connection; while its packets are dropped still, or pluto's next attempt would get through."""
        if not self.ended:
            self.ended = True
            for name, one in self.pair.given.items():
                self.pair.daemon(name).forget(one)

    @property
    def capture(self) -> Path:
        return self.folder / "trace.pcapng"

    @property
    def left(self) -> Left:
        return Left(self.capture, {name: self.folder / f"{name}.log" for name in (CHARON, PLUTO)})

    def said(self, name: str) -> str:
        with self.pair.daemon(name)._log.open("rb") as log:
            log.seek(self.starts[name])
            return log.read().decode(errors="replace")

    def initiate(self, *words: str, cap: float = CAP) -> None:
        """Let the initiator begin, until its log has one of the words."""
        self.perform(Verb.INITIATE)
        self.until(self.initiator, *words, cap=cap)

    def perform(self, verb: Verb, **fields: Any) -> None:
        given = self.pair.given[self.initiator]
        self.pair.daemon(self.initiator).perform(PeerRequest(1, verb, given, **fields))

    def until(self, name: str, *words: str, cap: float = CAP) -> None:
        end = time.monotonic() + cap
        while not any(word in self.said(name) for word in words):
            assert time.monotonic() < end, self.said(name)[-3000:]
            threading.Event().wait(0.01)

    @contextmanager
    def dropping(self, rule: str, verdict: str = "drop", hook: str = "input priority 0") -> Iterator[None]:
        """The responder's namespace drops (or rejects) what matches on its way in."""
        where = self.pair.namespaces[self.responder]
        chain = f"add chain inet t in {{ type filter hook {hook}; }}"
        nft(where, f"add table inet t\n{chain}\nadd rule inet t in {rule} {verdict}\n")
        try:
            yield
        finally:
            nft(where, "delete table inet t\n")

    @contextmanager
    def changing_addresses(self) -> Iterator[None]:
        """A middle box at the initiator gives each of its requests another source address, as some carriers do."""
        here, namespace = ADDRESSES[self.initiator], self.pair.namespaces[self.initiator]
        others = [f"192.0.2.{100 + number}" for number in range(4)]
        with namespace.route() as route:
            wire = route.link_lookup(ifname="wire")[0]
            for one in others:
                route.addr("add", index=wire, address=one, prefixlen=24)
            table = ", ".join(f"{number} : {one}" for number, one in enumerate(others))
            nft(
                namespace,
                "add table ip t\n"
                "add chain ip t out { type filter hook postrouting priority -300; }\n"
                "add chain ip t in { type filter hook prerouting priority -300; }\n"
                # pluto begins again at once, as often as it is asked.
                f"add rule ip t out ip saddr {here} udp dport 500 limit rate over 40/second burst 4 packets drop\n"
                f"add rule ip t out ip saddr {here} udp dport 500 ip saddr set numgen inc mod 4 map {{ {table} }}\n"
                f"add rule ip t in ip daddr {{ {', '.join(others)} }} udp sport 500 ip daddr set {here}\n",
            )
            try:
                yield
            finally:
                nft(namespace, "delete table ip t\n")
                for one in others:
                    route.addr("del", index=wire, address=one, prefixlen=24)


def nft(namespace: Namespace, script: str) -> None:
    argv = ["nsenter", f"--net={namespace.path}", "nft", "-f", "-"]
    done = subprocess.run(argv, input=script, text=True, check=False, timeout=CAP, capture_output=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def failing_pair(
    folder: Path,
    trees: dict[str, Path],
    certificate: str = "",
    given: dict[str, Credentials] | None = None,
    *,
    cookies: bool = False,
) -> Iterator[FailingPair]:
    """Both daemons, started; unless credentials are given, their certificates are issued by different authorities."""
    with Lab() as lab:
        net = pair(lab)
        issued = given or {
            name: Credentials.of(pki.generate([host], datetime.now(UTC), secrets.token_bytes), host)
            for name, host in HOSTS.items()
        }
        namespaces = {CHARON: net.left, PLUTO: net.right}
        for namespace, inner in ((net.left, INNER), (net.right, "198.51.100.1")):
            namespace.add_addresses("lo", f"{inner}/32")
        options = DaemonOptions(retransmit=RETRANSMIT, retransmit_tries=TRIES, keys_in_log=True, cookies=cookies)
        charon = StrongSwan(NamespaceHost(lab, CHARON, net.left, trees[CHARON]), issued[CHARON], options)
        pluto_options = DaemonOptions(certificate=certificate, cookies=cookies)
        pluto = Libreswan(NamespaceHost(lab, PLUTO, net.right, trees[PLUTO]), issued[PLUTO], pluto_options)
        charon.start()
        pluto.start()
        try:
            yield FailingPair(charon, pluto, namespaces, folder)
        finally:
            charon.stop()
            pluto.stop()
