"""How long the handshakes of two charons take, and how many SAs they set up in a second; spoken to over vici."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import ip_network
from types import TracebackType
from typing import Any, Self

import vici
from vici.exception import CommandException, SessionException

from ipsectest.base.addresses import Address
from ipsectest.base.errors import LabError
from ipsectest.base.iana import IKE_PORT
from ipsectest.ike.config import Suite
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.host import Host
from ipsectest.peers.strongswan_settings import connection
from ipsectest.runner.measure.site import Site
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector

_PATIENCE = 60.0
_REGISTERED = 0.05
_WAITS = {"timeout": str(int(_PATIENCE * 1000)), "loglevel": "-1"}
_AT_ONCE = {"timeout": "-1", "loglevel": "-1"}
_DAY = 86400.0
_ENDS = ("left", "right")
_INITIATING, _ESTABLISHED = "initiating IKE_SA", " established with SPIs "


class Charons:
    """An initiator and a responder, both started; a context manager."""

    def __init__(self, hosts: tuple[Host, Host], ike: Suite, esp: Suite, site: Site, secret: str) -> None:
        self._hosts = hosts
        self._suites = ike, esp
        self._site = site
        self._secret = secret
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._here, self._there = map(self._session, self._hosts)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def connect(self) -> None:
        """One tunnel between the inner prefixes, to stay."""
        self._load("net", self._site.inner_prefixes)
        self._request("initiate", {"ike": "net", "child": "net", **_WAITS})

    def handshakes(self, count: int) -> list[float]:
        """Seconds of each of so many handshakes, one after the other, as the initiator's log has them (in ms)."""
        self._load("one", self._site.inner_prefixes)
        log = self._hosts[0].directory / "charon.log"
        times = []
        for _ in range(count):
            before = log.stat().st_size
            self._request("initiate", {"ike": "one", "child": "one", **_WAITS})
            with log.open("rb") as file:
                file.seek(before)
                times.append(between(file.read().decode(errors="replace")))
            self._request("terminate", {"ike": "one", **_WAITS})
        return times

    def ike_sas_per_second(self, count: int) -> float:
        """The rate of so many handshakes that start at once, each with identities and selectors of its own."""
        names = [f"many{number}" for number in range(count)]
        for number, name in enumerate(names, 1):
            self._load(name, self._pair(number))
        rate = self._rate([{"ike": name, "child": name} for name in names])
        for name in names:
            self._request("terminate", {"ike": name, **_WAITS})
        return rate

    def child_sas_per_second(self, count: int) -> float:
        """The rate of so many CREATE_CHILD_SA exchanges in one IKE SA, one after the other."""
        names = [f"child{number}" for number in range(count)]
        self._load("base", self._pair(1), {name: self._pair(number) for number, name in enumerate(names, 2)})
        self._request("initiate", {"ike": "base", "child": "base", **_WAITS})
        rate = self._rate([{"ike": "base", "child": name} for name in names])
        self._request("terminate", {"ike": "base", **_WAITS})
        return rate

    def _rate(self, orders: list[dict[str, str]]) -> float:
        """Ask for all these Child SAs at once; how many came up in a second."""
        session = self._session(self._hosts[0])
        events = session.listen(["child-updown"], timeout=_REGISTERED)
        next(events)  # the time-out: now it is registered
        begun = time.monotonic()
        for order in orders:
            self._request("initiate", {**order, **_AT_ONCE})
        self._await(events, len(orders), begun + _PATIENCE)
        rate = len(orders) / (time.monotonic() - begun)
        events.close()
        return rate

    @staticmethod
    def _await(events: Iterator[tuple[str | None, dict[str, Any]]], count: int, end: float) -> None:
        up = 0
        while up < count:
            kind, event = next(events)
            up += kind is not None and event.get("up") == b"yes"
            if time.monotonic() > end:
                raise LabError(f"the daemons do not get to {count} SAs within {_PATIENCE:.0f} s, but to {up}")

    def _load(self, name: str, prefixes: tuple[str, str], more: dict[str, tuple[str, str]] | None = None) -> None:
        """Load a connection at both ends, with a Child SA of its own name and ``more`` ones."""
        for session, side in ((self._here, 0), (self._there, 1)):
            children: dict[str, Any] = {}
            for child, pair in {name: prefixes, **(more or {})}.items():
                settings = self._settings(name, child, pair, side)
                section = connection(settings, Credentials(), user_space_esp=False)
                made: Any = section["children"]
                children[child] = made[child]
            self._request("load-conn", {name: {**section, "children": children}}, session)
            owners = [f"fqdn:{name}.{end}.example" for end in _ENDS]
            shared = {"id": name, "type": "IKE", "data": self._secret, "owners": owners}
            self._request("load-shared", shared, session)

    def _settings(self, name: str, child: str, prefixes: tuple[str, str], side: int) -> PeerSettings:
        ike, esp = self._suites
        here, there = (1, 0) if side else (0, 1)
        names = [Identity("fqdn", f"{name}.{end}.example") for end in _ENDS]
        selectors = [(Selector(str(net[0]), str(net[-1])),) for net in map(ip_network, prefixes)]
        return PeerSettings(
            name=name,
            local=Address(self._site.outer[here], IKE_PORT),
            remote=Address(self._site.outer[there], IKE_PORT),
            local_id=names[here],
            remote_id=names[there],
            local_auth=Authentication.PSK,
            remote_auth=Authentication.PSK,
            secret=self._secret.encode(),
            ike=(ike,),
            esp=(esp,),
            local_ts=selectors[here],
            remote_ts=selectors[there],
            inner_local=self._site.inner[here],
            inner_remote=self._site.inner[there],
            child=child,
        )

    def _pair(self, number: int) -> tuple[str, str]:
        here, there = (f"{self._site.host(side, number)}/{self._site.host_length}" for side in (0, 1))
        return here, there

    def _session(self, host: Host) -> Any:
        stream = host.connect("charon.vici")
        stream.settimeout(_PATIENCE * 2)
        self._stack.callback(stream.close)
        return vici.Session(stream)

    def _request(self, name: str, message: dict[str, Any], session: Any = None) -> None:
        try:
            (session or self._here).request(name, message)
        except (OSError, CommandException, SessionException) as error:
            raise LabError(f"charon refuses {name}: {error}") from None


def between(log: str) -> float:
    """Seconds from the first message to the first Child SA, in lines that begin with ``HH:MM:SS.mmm``."""
    try:
        begun, ended = (
            next(_seconds(line) for line in log.splitlines() if words in line) for words in (_INITIATING, _ESTABLISHED)
        )
    except (ValueError, RuntimeError):  # a generator turns StopIteration into the latter
        raise LabError("charon's log does not tell of the handshake") from None
    return (ended - begun) % _DAY


def _seconds(line: str) -> float:
    """Seconds since midnight."""
    hours, minutes, seconds = line.split(" ", 1)[0].split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
