"""Libreswan's pluto, driven by whack: started once, one connection for every case.

Its ESP is the kernel's: on a kernel without ESP only IKE SAs come up (`Libreswan.without_children` says so). Verbs are
started, not awaited: what comes of them is seen on the wire.
"""

import threading
import time
from dataclasses import replace
from pathlib import Path

from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.peers.binding import bind, unbind
from ipsectest.peers.crash import CrashWatch
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.host import Host
from ipsectest.peers.libreswan_nss import fill
from ipsectest.peers.libreswan_reports import reports
from ipsectest.peers.libreswan_settings import (
    NICKNAME,
    connection,
    daemon_conf,
    is_modern,
    options_for,
    secret_line,
    shunts,
)
from ipsectest.peers.libreswan_states import State, lines_of_case, read_states
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.reports import IkeReport
from ipsectest.peers.rootfs import Recipe
from ipsectest.scenario.ports import Counter, PeerRequest, PeerSettings, Verb

_BIN = "/usr/libexec/ipsec"
PROGRAM = f"{_BIN}/pluto"
RECIPE = Recipe("libreswan", ("libreswan", "libnss3-tools", "iproute2"))

_START_CAP = 10.0
_SAID = 300
_IN_BACKGROUND = '"$0" "$@" >/dev/null 2>&1 &'


class Libreswan:
    """One pluto on one host; ``start`` before, ``stop`` after. Calls may come from several threads."""

    name = "libreswan"
    raw_esp = True

    def __init__(
        self, host: Host, credentials: Credentials | None = None, options: DaemonOptions | None = None
    ) -> None:
        self._host = host
        self._credentials = credentials or Credentials()
        self._options = options or DaemonOptions()
        self._lock = threading.Lock()
        self._secrets: dict[str, str] = {}
        self._log_starts: dict[str, int] = {}
        self._log = host.directory / "pluto.log"
        self._running = False
        self.version = ""
        self.nickname = NICKNAME
        """Of the certificate in its database that the next connections get."""

    @property
    def without_kernel(self) -> str:
        """Its ESP is the kernel's, and so are its policies."""
        return ""

    @property
    def without_children(self) -> str:
        """Why no Child SA can come up: pluto has no ESP of its own."""
        refusal = self._host.esp_refusal()
        return f"kernel without ESP ({refusal}): needs the lab VM" if refusal else ""

    def start(self) -> None:
        """Start pluto and fill its NSS database; PeerError with the end of its output if it does not come up."""
        if not self._host.has(PROGRAM):
            raise PeerError(f"{PROGRAM} is not installed there")
        here, inside = self._host.directory, self._host.inside
        for name in ("run", "ipsec.d"):
            (here / name).mkdir(exist_ok=True)
        if not (here / "nss").exists():
            fill(self._host, self._credentials, self._options.certificate)
        (here / "ipsec.conf").write_text(daemon_conf(self._options, inside))
        self._write_secrets()
        control = here / "run" / "pluto.ctl"
        control.unlink(missing_ok=True)
        words = ["--nofork", "--config", f"{inside}/ipsec.conf", "--rundir", f"{inside}/run", "--no-dnssec"]
        words += ["--nssdir", f"{inside}/nss", "--ipsecdir", f"{inside}/ipsec.d", "--logfile", f"{inside}/pluto.log"]
        self._process = self._host.spawn([PROGRAM, *words, "--secretsfile", f"{inside}/ipsec.secrets"], {})
        self._watch = CrashWatch(self._process, self._log)
        self._await(control)
        self.version = self._whack("--version")[1].split()[-1]
        # A connection that was up is brought up again after a Delete; no peer of a test wants that.
        self._told("--impair", "revival")

    def _await(self, control: Path) -> None:
        """Until pluto takes commands, or ends; its socket is there a moment before it listens."""
        self._running = True
        end = time.monotonic() + _START_CAP
        while not control.exists() or self._whack("--listen")[0]:
            if self._process.wait(0.005) is not None or time.monotonic() > end:
                self._running = False
                output = self._process.output.read_text(errors="replace")[-2000:]
                self._process.stop()
                raise PeerError(f"pluto did not start: {output.strip() or 'no output'}")

    def stop(self) -> int:
        """End pluto; its exit status. It may be started again."""
        self._running = False
        return self._process.stop()

    def configure(self, settings: PeerSettings) -> None:
        """Load the connection of a case; nothing is sent."""
        ours = self._options
        wanted = replace(
            options_for(settings), user_space_esp=ours.user_space_esp, keys_in_log=ours.keys_in_log
        )  # neither is a case's
        if wanted != self._options:
            raise UnsupportedError("daemon options", f"this pluto was started with {self._options}")
        section = connection(settings, self.version, self.nickname)
        if "leftcert=" in section and settings.local_auth not in self._credentials.mine:
            raise UnsupportedError(f"{settings.local_auth} authentication", "the peer was given no such certificate")
        if reason := self.without_children:
            # An IKE SA alone is bound to nothing, and pluto asks whether a peer is alive for its Child SAs only.
            for fact in ("bound_to", "dpd"):
                if getattr(settings, fact):
                    raise UnsupportedError(f"peer.{fact}", reason)
        if lines := bind(settings):
            self._host.configure(lines)
        with self._lock:
            self._log_starts[settings.name] = self._log.stat().st_size
            if line := secret_line(settings):
                self._secrets[settings.name] = line
                self._write_secrets()
                self._told("--rereadsecrets")
            self._add(settings.name, section, settings)
            for name, shunt in shunts(settings).items():
                self._add(name, shunt, settings)
                self._told("--route", "--name", name)
            if settings.trap:
                self._told("--route", "--name", settings.name)

    def _add(self, name: str, section: str, settings: PeerSettings) -> None:
        """Have a connection read; UnsupportedError if pluto does not take it."""
        conf = self._host.directory / f"{name}.conf"
        conf.write_text(section)
        arguments = ["--config", f"{self._host.inside}/{conf.name}", "--ctlsocket", f"{self._rundir}/pluto.ctl"]
        status, said = self._run("addconn", *arguments, name)
        conf.unlink()
        if status or "did not load" in said:
            # 4.x ends with 0 or tells its log only, and complains of files that a resolver would like to have.
            told = [line for line in said.splitlines() if "error reading" not in line]
            why = "\n".join(told).strip() or self.log(settings).strip().rpartition("\n")[2]
            raise UnsupportedError("configuration", why[-_SAID:] or f"addconn ends with status {status}")

    def perform(self, request: PeerRequest) -> int | None:  # noqa: C901 - a table of verbs
        """Start what is asked; the answer is None, or the number for a counter."""
        settings = request.settings
        name = ["--name", settings.name]
        match request.verb:
            case Verb.INITIATE:
                self._told("--initiate", *name, "--asynchronous")
            case Verb.CREATE:
                self._ike(request)  # without an IKE SA a new one would be set up
                self._start("--initiate", *name, "--asynchronous")  # 4.x waits although it is told not to
            case Verb.REKEY_IKE:
                self._ike(request)
                self._told("--rekey-ike", *name, "--asynchronous")
            case Verb.REKEY_CHILD:
                self._child(request)
                self._told("--rekey-child" if is_modern(self.version) else "--rekey-ipsec", *name, "--asynchronous")
            case Verb.DELETE_IKE:
                self._start("--deletestate", str(self._ike(request).number))
            case Verb.DELETE_CHILD:
                self._start("--deletestate", str(self._child(request).number))
            case Verb.LIVENESS:
                word = "initiate_v2_liveness" if is_modern(self.version) else "initiate-v2-liveness"
                self._told("--impair", f"{word}:{self._ike(request).number}")
            case Verb.PING:
                self._host.ping(settings.inner_local, settings.inner_remote)
            case Verb.SEND if request.packet:
                self._host.send(request.packet)
            case Verb.COUNTER:
                return self._counter(request)
            case _:
                raise UnsupportedError(f"peer {request.verb}", "whack has no such command")
        return None

    def forget(self, settings: PeerSettings) -> None:
        """Unload the connection and drop its SAs; pluto sends a Delete for each IKE SA."""
        self._log_starts.pop(settings.name, None)
        self._secrets.pop(settings.name, None)
        for name in (*shunts(settings), settings.name):
            self._whack("--delete", "--name", name)
        if lines := unbind(settings):
            self._host.configure(lines)

    def states(self, settings: PeerSettings) -> list[State]:
        """The IKE SAs and Child SAs of a case, half-open ones too, oldest first."""
        said = self._whack("--showstates")[1]
        return [state for state in read_states(said) if state.connection == settings.name]

    def report(self, settings: PeerSettings) -> list[IkeReport]:
        """The established IKE SA of a case and its Child SA: pluto tells the algorithms of the newest only."""
        return reports(self.states(settings), self.log(settings))

    def log(self, settings: PeerSettings) -> str:
        """The lines of pluto's log that belong to this case."""
        return lines_of_case(self.key_log(settings), settings.name, settings.remote.host)

    def key_log(self, settings: PeerSettings) -> str:
        """All that pluto logged since the case began; with ``keys_in_log`` its keys are there.

        The first line is like that of its start, because the order of keys depends on the release.
        """
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(self._log_starts.get(settings.name, 0))
            return f"Starting Pluto (Libreswan Version {self.version})\n{log.read().decode(errors='replace')}"

    def crash(self) -> str | None:
        """Why pluto is dead, or None."""
        return self._watch.reason() if self._running else None

    def _counter(self, request: PeerRequest) -> int:
        states = self.states(request.settings)
        match request.counter:
            case Counter.IKE_SAS:
                return sum(state.is_ike for state in states)
            case Counter.HALF_OPEN:
                return sum(state.is_half_open for state in states)
            case Counter.CHILD_SAS:
                return sum(state.is_child for state in states)
            case _:
                raise UnsupportedError(f"peer counter {request.counter}", "pluto leaves that to the kernel")

    def _ike(self, request: PeerRequest) -> State:
        """The newest IKE SA of the case: whack names no SPIs of IKE SAs."""
        for state in reversed(self.states(request.settings)):
            if state.is_ike:
                return state
        raise PeerError("pluto has no IKE SA for this connection")

    def _child(self, request: PeerRequest) -> State:
        for state in reversed(self.states(request.settings)):
            if state.is_child and request.spi in {b"", state.spi}:
                return state
        raise PeerError(f"pluto has no Child SA with inbound SPI {request.spi.hex() or 'at all'}")

    @property
    def _rundir(self) -> str:
        return f"{self._host.inside}/run"

    def _told(self, *words: str) -> str:
        """Tell pluto something; PeerError if whack ends with an error of its own."""
        status, said = self._whack(*words)
        if status:
            raise PeerError(f"pluto refuses {words[0]}: {said.strip()[-_SAID:] or f'status {status}'}")
        return said

    def _start(self, *words: str) -> None:
        """Tell pluto something that whack would wait for until the tester has answered, and do not wait."""
        whack = [f"{_BIN}/whack", "--rundir", self._rundir, *words]
        self._host.run(["/bin/sh", "-c", _IN_BACKGROUND, *whack], self._process)

    def _whack(self, *words: str) -> tuple[int, str]:
        return self._run("whack", "--rundir", self._rundir, *words)

    def _run(self, program: str, *words: str) -> tuple[int, str]:
        if not self._running:
            raise PeerError("pluto is not running")
        return self._host.run([f"{_BIN}/{program}", *words], self._process)

    def _write_secrets(self) -> None:
        file = self._host.directory / "ipsec.secrets"
        file.touch(0o600)
        file.write_text("".join(self._secrets.values()))
