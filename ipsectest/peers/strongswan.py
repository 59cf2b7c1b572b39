"""strongSwan's charon, driven over vici: started once, reconfigured for every case in about a millisecond.

Each case is a connection of its own towards its own tester address. Verbs are started, not awaited: what comes of
them is seen on the wire.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import vici
from vici.exception import CommandException, SessionException

from ipsectest.base.addresses import ANY_HOST
from ipsectest.base.errors import LabError, PeerError, UnsupportedError
from ipsectest.peers.binding import bind, unbind
from ipsectest.peers.crash import CrashWatch
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.host import Host
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.reports import IkeReport
from ipsectest.peers.rootfs import Recipe
from ipsectest.peers.strongswan_cookies import CONNECTION, open_half
from ipsectest.peers.strongswan_log import count_replays, lines_of_case
from ipsectest.peers.strongswan_reports import ike_report, key_exchanges
from ipsectest.peers.strongswan_settings import (
    USER_SPACE,
    child_names,
    connection,
    daemon_conf,
    identity,
    options_for,
    pool,
    shunts,
)
from ipsectest.scenario.ports import Authentication, Counter, PeerRequest, PeerSettings, Verb

PROGRAM = "/usr/sbin/charon-systemd"
RECIPE = Recipe(
    "charon-systemd",
    (
        "charon-systemd",
        "libstrongswan-standard-plugins",
        "libstrongswan-extra-plugins",
        "libcharon-extra-plugins",
        "libcharon-extauth-plugins",
    ),
)

_START_CAP = 10.0
_ANSWER_CAP = 5.0
_HALF_OPEN = (b"CREATED", b"CONNECTING")
_PATIENCE = 1.0
_RETRY = 0.005
_ASYNC = "-1"  # vici: a negative timeout returns without waiting for the exchange


class _NoSuchSaError(PeerError):
    """There is no such SA, or not yet."""


class StrongSwan:
    """One charon on one host; ``start`` before, ``stop`` after. Calls may come from several threads."""

    name = "strongswan"

    def __init__(
        self, host: Host, credentials: Credentials | None = None, options: DaemonOptions | None = None
    ) -> None:
        self._host = host
        self._credentials = credentials or Credentials()
        self._options = options or DaemonOptions()
        self._lock = threading.Lock()
        self._log_starts: dict[str, int] = {}
        self._notes: dict[str, str] = {}
        self._waiting: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._log = host.directory / "charon.log"
        self._session: vici.Session | None = None
        self._is_astray = False
        """Whether an answer over vici is overdue, and would be taken for that to the next request."""
        self.version = ""

    @property
    def raw_esp(self) -> bool:
        """Whether it sends and takes plain ESP (protocol 50); user-space ESP of 5.x knows UDP encapsulation only."""
        return not self._options.user_space_esp or int(self.version.partition(".")[0] or 0) >= 6

    @property
    def without_children(self) -> str:
        """Why no Child SA can come up: never so with user-space ESP."""
        return "" if self._options.user_space_esp else self._host.esp_refusal()

    @property
    def without_kernel(self) -> str:
        """Why the kernel's policies are not there."""
        return USER_SPACE if self._options.user_space_esp else ""

    def start(self) -> None:
        """Start charon and load the certificates; PeerError with the end of its output if it does not come up."""
        if not self._host.has(PROGRAM):
            raise PeerError(f"{PROGRAM} is not installed there")
        conf = self._host.directory / "strongswan.conf"
        conf.write_text(daemon_conf(self._options, self._host.inside))
        self._process = self._host.spawn([PROGRAM], {"STRONGSWAN_CONF": f"{self._host.inside}/{conf.name}"})
        self._watch = CrashWatch(self._process, self._log)
        self._connect()
        with self._vici() as session:
            self.version = session.version()["version"].decode()
            for authority in self._credentials.authorities:
                session.load_cert({"type": "X509", "flag": "CA", "data": authority})
            for credential in self._credentials.mine.values():
                session.load_key({"type": "any", "data": credential.key})
            if self._options.cookies:
                session.load_conn(CONNECTION)
        if self._options.cookies and not open_half(self._host):
            raise PeerError("charon does not answer the IKE_SA_INIT that makes it demand cookies")

    def stop(self) -> int:
        """End charon; its exit status. It may be started again."""
        self._stopping.set()
        while self._waiting:
            self._waiting.pop().join()
        self._stopping.clear()
        if self._session:
            self._session.transport.socket.close()
            self._session = None
        return self._process.stop()

    def configure(self, settings: PeerSettings) -> None:
        """Load the connection of a case; nothing is sent."""
        ours = self._options
        needed = replace(
            options_for(settings), user_space_esp=ours.user_space_esp, keys_in_log=ours.keys_in_log
        )  # neither is a case's
        if needed != self._options:
            raise UnsupportedError(
                "daemon options", f"the case needs {needed}, this charon was started with {self._options}"
            )
        section = connection(settings, self._credentials, user_space_esp=self._options.user_space_esp)
        if lines := bind(settings):
            self._host.configure(lines)
        self._log_starts[settings.name] = self._log_size()
        with self._vici() as session:
            try:
                if addresses := pool(settings):
                    session.load_pool(addresses)
                session.load_conn({settings.name: section})
                if entries := shunts(settings):
                    session.load_conn({f"{settings.name}-spd": entries})
            except CommandException as error:
                raise UnsupportedError("configuration", str(error)) from None
            if Authentication.PSK in {settings.local_auth, settings.remote_auth}:
                owners = [identity(settings.local_id), identity(settings.remote_id)]
                session.load_shared({"id": settings.name, "type": "IKE", "data": settings.secret, "owners": owners})

    def perform(self, request: PeerRequest) -> int | None:
        """Start what is asked; the answer is None, or the number for a counter."""
        settings = request.settings
        match request.verb:
            case Verb.INITIATE:
                self._initiate(settings, settings.child)
            case Verb.PING:
                self._host.ping(settings.inner_local, settings.inner_remote)
            case Verb.SEND if request.packet:
                if self.without_kernel:
                    raise UnsupportedError("peer send", self.without_kernel)
                self._host.send(request.packet)
            case Verb.COUNTER:
                return self._counter(request)
            case Verb.CREATE | Verb.REKEY_IKE | Verb.REKEY_CHILD | Verb.DELETE_IKE | Verb.DELETE_CHILD:
                try:
                    self._start(request)
                except _NoSuchSaError:
                    # The message that completes the SA may still be under way to charon, and must not be waited for.
                    later = threading.Thread(target=self._start_later, args=(request,), daemon=True)
                    self._waiting.append(later)
                    later.start()
            case _:
                raise UnsupportedError(f"peer {request.verb}", "vici has no such command")
        return None

    def _start(self, request: PeerRequest) -> None:
        match request.verb:
            case Verb.CREATE:
                self._initiate(request.settings, self._unused_child(request))
            case Verb.REKEY_IKE:
                self._command("rekey", {"ike-id": self._ike_id(request)})
            case Verb.REKEY_CHILD:
                self._command("rekey", {"child-id": self._child_id(request)})
            case Verb.DELETE_IKE:
                self._command("terminate", {"ike-id": self._ike_id(request), "timeout": _ASYNC})
            case Verb.DELETE_CHILD:
                self._command("terminate", {"child-id": self._child_id(request), "timeout": _ASYNC})

    def _start_later(self, request: PeerRequest) -> None:
        """Try again until the SA is there, the patience is at its end, or the case is over."""
        name = request.settings.name
        begun = self._log_starts.get(name)
        end = time.monotonic() + _PATIENCE
        while not self._stopping.wait(_RETRY) and begun is not None and self._log_starts.get(name) == begun:
            try:
                self._start(request)
            except _NoSuchSaError as error:
                if time.monotonic() < end:
                    continue
                self._notes[name] = f"{self._notes.get(name, '')}peer {request.verb}: {error}\n"
            except PeerError as error:
                self._notes[name] = f"{self._notes.get(name, '')}peer {request.verb}: {error}\n"
            return

    def forget(self, settings: PeerSettings) -> None:
        """Unload the connection and drop its SAs; charon cannot help sending one Delete for each IKE SA."""
        self._log_starts.pop(settings.name, None)
        self._notes.pop(settings.name, None)
        with self._vici() as session:
            for command, message in (
                ("unload-conn", {"name": settings.name}),
                *([("unload-conn", {"name": f"{settings.name}-spd"})] if shunts(settings) else ()),
                ("unload-shared", {"id": settings.name}),
                *(
                    ("terminate", {"ike-id": sa["uniqueid"], "force": "yes", "timeout": "500"})
                    for sa in self._sas(settings)
                ),
                *([("unload-pool", {"name": settings.name})] if settings.pool else ()),
            ):
                try:
                    session.request(command, message)
                except CommandException:
                    continue  # it was gone
        if lines := unbind(settings):
            self._host.configure(lines)

    def sas(self, settings: PeerSettings) -> list[dict[str, Any]]:
        """The IKE SAs of a connection as vici lists them (octet strings), half-open ones too."""
        with self._vici():
            return list(self._sas(settings))

    def report(self, settings: PeerSettings) -> list[IkeReport]:
        """The established IKE SAs of a connection, and their installed Child SAs."""
        reports = map(ike_report, self.sas(settings))
        return [report for report in reports if report]

    def key_exchanges(self) -> frozenset[int]:
        """IANA numbers of the key exchange methods it has."""
        with self._vici() as session:
            return key_exchanges(session.get_algorithms())

    def log(self, settings: PeerSettings) -> str:
        """The lines of charon's log that belong to this case, or since it began where lines name no case."""
        lines = lines_of_case(self._log_since(settings), settings.name, settings.remote.host)
        return lines + self._notes.get(settings.name, "")

    def key_log(self, settings: PeerSettings) -> str:
        """All that charon logged since the case began; with ``keys_in_log`` its keys are there."""
        return self._log_since(settings)

    def crash(self) -> str | None:
        """Why charon is dead, or None."""
        return self._watch.reason() if self._session else None

    def _initiate(self, settings: PeerSettings, child: str) -> None:
        self._command("initiate", {"ike": settings.name, "child": child, "timeout": _ASYNC, "loglevel": "-1"})

    def _unused_child(self, request: PeerRequest) -> str:
        settings = request.settings
        self._ike_id(request)  # without an IKE SA a new one would be set up
        used = {_octets(child["name"]).decode() for sa in self.sas(settings) for child in _children(sa)}
        unused = [name for name in child_names(settings) if name not in used]
        if not unused:
            raise UnsupportedError("peer create", f"more than {len(used)} Child SAs with the same selectors")
        return unused[0]

    def _counter(self, request: PeerRequest) -> int:
        settings = request.settings
        sas = self.sas(settings)
        match request.counter:
            case Counter.IKE_SAS:
                return sum(sa["state"] == b"ESTABLISHED" for sa in sas)
            case Counter.HALF_OPEN:
                return sum(sa["state"] in _HALF_OPEN for sa in sas)
            case Counter.CHILD_SAS:
                return sum(len(_children(sa, b"INSTALLED")) for sa in sas)
            case Counter.REPLAY if self._options.user_space_esp:
                spis = {child["spi-in"].decode() for sa in sas for child in _children(sa)}
                return count_replays(self._log_since(settings), spis)
            case _:
                raise UnsupportedError(f"peer counter {request.counter}")

    def _ike_id(self, request: PeerRequest) -> bytes:
        wanted = request.ike_spi or request.spi
        for sa in self.sas(request.settings):
            mine = sa["initiator-spi"] if sa.get("initiator") == b"yes" else sa["responder-spi"]
            if sa["state"] not in _HALF_OPEN and wanted in {b"", bytes.fromhex(mine.decode())}:
                return _octets(sa["uniqueid"])
        raise _NoSuchSaError(f"strongSwan has no IKE SA with SPI {wanted.hex() or 'at all'}")

    def _child_id(self, request: PeerRequest) -> bytes:
        for sa in self.sas(request.settings):
            for child in _children(sa, b"INSTALLED"):
                if not request.spi or bytes.fromhex(child["spi-in"].decode()) == request.spi:
                    return _octets(child["uniqueid"])
        raise _NoSuchSaError(f"strongSwan has no Child SA with inbound SPI {request.spi.hex() or 'at all'}")

    def _sas(self, settings: PeerSettings) -> Iterator[dict[str, Any]]:
        if self._session is None:
            raise PeerError("strongSwan is not running")
        remote = settings.remote.host
        for entry in self._session.list_sas():
            for name, sa in entry.items():
                # By the address where there is one: a half-open SA may still have the name of another connection.
                if name == settings.name if remote == ANY_HOST else sa.get("remote-host") == remote.encode():
                    yield sa

    def _command(self, name: str, message: dict[str, Any]) -> None:
        with self._vici() as session:
            session.request(name, message)

    @contextmanager
    def _vici(self) -> Iterator[Any]:
        """The session, for one caller at a time; errors of charon and of the socket become PeerError."""
        with self._lock:
            if self._session is None:
                raise PeerError("strongSwan is not running")
            try:
                if self._is_astray:
                    self._session.transport.socket.close()
                    self._open(self._host.connect("charon.vici"))
                yield self._session
            except (OSError, SessionException, LabError) as error:
                self._is_astray = True
                raise PeerError(f"strongSwan does not answer over vici: {error}") from None
            except CommandException as error:
                raise PeerError(f"strongSwan refuses: {error}") from None

    def _connect(self) -> None:
        """Wait until vici listens, or charon ends."""
        end = time.monotonic() + _START_CAP
        while True:
            try:
                control = self._host.connect("charon.vici")
            except OSError:
                if self._process.wait(0.005) is not None or time.monotonic() > end:
                    output = self._process.output.read_text(errors="replace")[-2000:]
                    self._process.stop()
                    raise PeerError(f"charon did not start: {output.strip() or 'no output'}") from None
            else:
                self._open(control)
                return

    def _open(self, control: socket.socket) -> None:
        control.settimeout(_ANSWER_CAP)
        self._session, self._is_astray = vici.Session(control), False

    def _log_size(self) -> int:
        return self._log.stat().st_size if self._log.exists() else 0

    def _log_since(self, settings: PeerSettings) -> str:
        """The log from the moment the case was configured."""
        start = self._log_starts.get(settings.name, 0)
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(start)
            return log.read().decode(errors="replace")


def _children(sa: dict[str, Any], state: bytes | None = None) -> list[dict[str, Any]]:
    children = list(sa.get("child-sas", {}).values())
    return [child for child in children if state in {None, child["state"]}]


def _octets(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()
