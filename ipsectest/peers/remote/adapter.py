"""A peer that a program of the user speaks for: settings and verbs go to it as JSON lines (docs/peers.md)."""

from collections.abc import Sequence
from dataclasses import dataclass

from ipsectest import __version__
from ipsectest.base.errors import IpsectestError, PeerError, UnsupportedError
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.remote.conversation import Conversation
from ipsectest.peers.remote.description import AdapterCommand, Remote
from ipsectest.peers.remote.messages import OPTIONAL, PROTOCOL, credentials_json, request_json, settings_json
from ipsectest.scenario.ports import Authentication, Counter, PeerRequest, PeerSettings, Verb

_MOST_FAILURES = 3
"""Conversations that may end in a row without one answer between them."""
_VERBS = tuple(verb.value for verb in Verb)
_COUNTERS = tuple(counter.value for counter in Counter)
_LOG_CAP = 1 << 20


@dataclass(frozen=True, slots=True)
class Abilities:
    """What an adapter says of itself and its peer when it is greeted."""

    name: str = ""
    version: str = ""
    settings: frozenset[str] = frozenset()
    auth: frozenset[str] = frozenset({Authentication.PSK.value})
    verbs: frozenset[str] = frozenset()
    counters: frozenset[str] = frozenset()
    raw_esp: bool = True
    without_children: str = ""


class AdaptedPeer:
    """The peer as the runner sees it. An adapter that fails makes cases inconclusive; only it can tell of a crash."""

    def __init__(self, remote: Remote, command: AdapterCommand, credentials: Credentials | None = None) -> None:
        """Start the adapter and greet it; PeerError if it does not greet back."""
        self._remote = remote
        self._command = command
        self._credentials = credentials
        self._failures = 0
        self._crash: str | None = None
        self._conversation = Conversation(command, remote.path.parent)
        try:
            self.abilities = self._greet()
        except IpsectestError:
            self.close()
            raise
        self.name = remote.name
        self.version = remote.version or self.abilities.version

    def configure(self, settings: PeerSettings) -> None:
        """Tell it the case, unless it asks for something that the adapter does not know.

        A peer whose configuration stands in the file keeps it.
        """
        if self._remote.facts is not None:
            self._renew()
            return
        self._refuse(settings)
        self._renew()
        fields: dict[str, object] = {"settings": settings_json(settings, self._remote)}
        if credentials := credentials_json(settings, self._credentials):
            fields["credentials"] = credentials
        self._ask("configure", fields)

    def perform(self, request: PeerRequest) -> int | None:
        """Pass a verb on."""
        if request.verb not in self.abilities.verbs:
            raise UnsupportedError(f"peer {request.verb}", "the adapter has no such verb")
        if request.verb is not Verb.COUNTER:
            self._ask(request.verb.value, request_json(request))
            return None
        if request.counter is None or request.counter not in self.abilities.counters:
            raise UnsupportedError(f"peer counter {request.counter}", "the adapter has no such counter")
        value = self._ask(request.verb.value, request_json(request)).get("value")
        if isinstance(value, bool) or not isinstance(value, int):
            raise PeerError(f"the adapter gives {value!r} for the counter {request.counter}: no whole number")
        return value

    def forget(self, settings: PeerSettings) -> None:
        """Tell it that the case is over."""
        if self._remote.facts is not None:
            return
        self._ask("forget", {"connection": settings.name})

    def log(self, settings: PeerSettings) -> str:
        """What the adapter gives of the peer's log, and what it said itself."""
        try:
            text = self._ask("log", {"connection": settings.name}).get("text", "")
        except UnsupportedError:
            text = ""
        except PeerError as error:
            text = f"{error}\n"
        said = self._conversation.take_errors()
        return str(text)[-_LOG_CAP:] + (f"--- standard error of the adapter\n{said}" if said else "")

    def crash(self) -> str | None:
        """What the adapter told of the end of its peer."""
        return self._crash

    def restart(self) -> None:
        """The peer crashed, as the adapter says: a new conversation, in which it may start it again."""
        self._crash = None
        self._conversation.close()
        self._renew()

    def close(self) -> None:
        """End the adapter."""
        self._conversation.close()

    def _greet(self) -> Abilities:
        remote = self._remote
        answer = self._ask(
            "hello",
            {
                "protocol": PROTOCOL,
                "ipsectest": __version__,
                "peer": {"address": remote.address, "port": remote.peer_ports.ike, "nat_port": remote.peer_ports.nat},
                "configures": remote.facts is None,
            },
        )
        if answer.get("protocol") != PROTOCOL:
            raise PeerError(f"the adapter speaks protocol {answer.get('protocol')!r}, we speak {PROTOCOL}")
        return _abilities(answer)

    def _renew(self) -> None:
        """A new conversation if the last one ended, for some times in a row."""
        if not self._conversation.over:
            return
        if self._failures >= _MOST_FAILURES:
            raise PeerError(f"the adapter failed {self._failures} times in a row, lately: {self._conversation.over}")
        said = self._conversation.take_errors()
        self._conversation = Conversation(self._command, self._remote.path.parent)
        self._conversation.errors += said.encode()
        self._greet()

    def _ask(self, do: str, fields: dict[str, object]) -> dict[str, object]:
        try:
            answer = self._conversation.ask(do, fields)
        except PeerError:
            self._failures += 1
            raise
        if do != "hello":
            self._failures = 0
        if crashed := answer.get("crashed"):
            self._crash = str(crashed)
        if "unsupported" in answer:
            raise UnsupportedError(_named(do), str(answer["unsupported"]))
        if "error" in answer:
            raise PeerError(f"{_named(do)}: {answer['error']}")
        if answer.get("ok") is not True and not crashed:
            raise PeerError(f"{_named(do)}: the adapter's answer has neither ok, unsupported nor error")
        return answer

    def _refuse(self, settings: PeerSettings) -> None:
        for field, default in OPTIONAL.items():
            if getattr(settings, field) != default and field not in self.abilities.settings:
                raise UnsupportedError(f"peer.{field}", "the adapter does not name it among its settings")
        for method in (settings.local_auth, settings.remote_auth):
            if method not in self.abilities.auth:
                raise UnsupportedError(f"{method} authentication", "the adapter does not name it")


def _named(do: str) -> str:
    return f"peer {do}" if do in _VERBS else do


def _abilities(answer: dict[str, object]) -> Abilities:
    known = {"settings": tuple(OPTIONAL), "auth": tuple(Authentication), "verbs": _VERBS, "counters": _COUNTERS}
    lists = {key: _words(answer, key, values) for key, values in known.items() if key in answer}
    texts = {key: str(answer[key]) for key in ("name", "version", "without_children") if answer.get(key)}
    return Abilities(**texts, **lists, raw_esp=answer.get("raw_esp", True) is not False)  # type: ignore[arg-type]


def _words(answer: dict[str, object], key: str, known: Sequence[str]) -> frozenset[str]:
    value = answer[key]
    if not isinstance(value, list):
        raise PeerError(f"the adapter greets with {key} that is no list")
    if unknown := [word for word in value if word not in known]:
        raise PeerError(f"the adapter greets with {unknown[0]!r} among its {key}; there are {', '.join(known)}")
    return frozenset(value)
