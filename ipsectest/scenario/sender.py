"""Sent lines: IKE messages, ESP packets, repetitions and raw octets on their way out."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from ipsectest.base.addresses import Address, Datagram
from ipsectest.base.clock import Instant
from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import IKE_PORT, NAT_KEEPALIVE, NAT_T_PORT
from ipsectest.scenario.account import Account
from ipsectest.scenario.association import Exchange
from ipsectest.scenario.composer import Composer, shown
from ipsectest.scenario.model import DataPattern, MessagePattern, OctetsPattern, SamePattern
from ipsectest.scenario.session import Labelled, Session
from ipsectest.scenario.steps import RepeatStep, SendStep
from ipsectest.wire import Message
from ipsectest.wire.ip import AH, ESP

_PORTS = {"500": IKE_PORT, "4500": NAT_T_PORT}


@dataclass(eq=False, slots=True)
class Sender:
    """Carries ``->`` lines out and repeats our requests while their answers are waited for."""

    session: Session
    composer: Composer
    account: Account
    held: dict[str, list[Datagram]] = field(default_factory=dict)
    _ping: DataPattern | None = None
    """Our last echo request, if it was an ordinary one."""
    _ping_at: Instant | None = None
    """When to ask again."""
    _pings: int = 0

    def send(self, step: SendStep, now: Instant) -> None:
        """Carry out a line. LookupError, ValueError: it cannot be built; UnsupportedError: not in this lab."""
        what = step.what
        message: Message | None = None
        text = step.text.removeprefix("->").strip()
        match what:
            case MessagePattern():
                message, datagrams = self._message(step, what, now)
                text = shown(message)
            case DataPattern():
                datagrams = [self._moved(self._data(what), step) if step.modifiers.source else self._data(what)]
                self._remember(what, now)
            case SamePattern(label):
                datagrams = [self._moved(d, step) for d in self._labelled(label).datagrams]
                text = f"{shown(self._labelled(label).message)} (again)"
            case OctetsPattern(data):
                datagrams = [self._raw(data, step)]
        if step.modifiers.hold:
            self.held[step.key] = datagrams
        elif not step.modifiers.drop:
            self.session.outbox += datagrams * (2 if step.modifiers.twice else 1)
        note = " (held)" if step.modifiers.hold else " (lost)" if step.modifiers.drop else ""
        self._show(now, text + note, datagrams, step.line, message)

    def _show(
        self, now: Instant, text: str, datagrams: list[Datagram], line: int = 0, message: Message | None = None
    ) -> None:
        size = sum(len(datagram.data) for datagram in datagrams)
        self.account.event(now, "->", text, line=line, octets=size, message=message)

    def _message(self, step: SendStep, pattern: MessagePattern, now: Instant) -> tuple[Message, list[Datagram]]:
        session = self.session
        if step.response:
            exchange = self.composer.response(step, pattern, now)
            message, datagrams = exchange.response, exchange.response_datagrams
        else:
            exchange = self.composer.request(step, pattern, now)
            message, datagrams = exchange.request, exchange.request_datagrams
            if step.answered and session.place.retransmit and not step.modifiers.hold:
                exchange.retransmit_at = now + session.place.retransmit
        assert message is not None
        session.labels[step.key] = Labelled(message, datagrams, exchange)
        return message, datagrams

    def _data(self, pattern: DataPattern) -> Datagram:
        datagram = self.session.traffic.send(pattern, self.session.values(by_us=True))
        if datagram.protocol == ESP and not self.session.place.raw_esp:
            raise UnsupportedError("ESP as IP protocol 50", "here ESP goes in UDP only: use tunnel net behind nat")
        if datagram.packet and pattern.carrier != "clear" and not self.session.place.whole_packets:
            raise UnsupportedError("an IP header of our making", "here the sockets of this machine make it")
        if why := self.session.place.without_kernel:
            if datagram.protocol == AH:
                raise UnsupportedError("AH", why)
            if pattern.carrier == "clear":
                raise UnsupportedError("a policy for packets in clear", why)
            if "behind" in {pattern.source, pattern.destination}:
                raise UnsupportedError("a host behind the peer", why)
        return datagram

    def _labelled(self, label: str) -> Labelled:
        if label not in self.session.labels:
            raise LookupError(f"the message {label!r} did not come to pass")
        return self.session.labels[label]

    def _moved(self, datagram: Datagram, step: SendStep) -> Datagram:
        """The same octets, perhaps from another port or address of ours."""
        word, place, source = step.modifiers.source, self.session.place, datagram.source
        host = place.elsewhere if word == "elsewhere" else source.host
        port = place.other_port if word == "other" else _PORTS.get(word, source.port)
        if not host or not port:
            raise LookupError(f"the tester has no address for: from {word}")
        return Datagram(datagram.data, Address(host, port), datagram.destination, datagram.protocol)

    def _raw(self, data: bytes, step: SendStep) -> Datagram:
        """Any UDP payload, to the port that the line or the IKE SA says; keepalives go to 4500."""
        known = self.session.associations.get(step.sa)
        place = self.session.place
        local, remote = (known.sa.local, known.sa.remote) if known else (place.tester, place.peer)
        wanted = step.modifiers.destination or step.modifiers.source or ("4500" if data == NAT_KEEPALIVE else "")
        if wanted in _PORTS:
            local, remote = Address(local.host, _PORTS[wanted]), Address(remote.host, _PORTS[wanted])
        return self._moved(Datagram(data, local, remote), step)

    def repeat(self, step: RepeatStep, now: Instant) -> None:
        """``release`` and ``duplicate``."""
        datagrams = self.held.pop(step.key, []) if step.held else self._labelled(step.key).datagrams
        if not datagrams:
            raise LookupError(f"nothing is held as {step.key!r}")
        self.session.outbox += datagrams
        how = "released" if step.held else "again"
        self._show(now, f"{shown(self._labelled(step.key).message)} ({how})", datagrams, step.line)

    # Retransmission -------------------------------------------------------------------------------------------------

    def retransmit(self, wanted: Collection[str], now: Instant) -> None:
        """Repeat the requests whose answers are waited for (keys), so that a lost datagram spoils nothing."""
        for exchange in self._unanswered():
            if exchange.retransmit_at is None or exchange.retransmit_at > now:
                continue
            if exchange.key in wanted:
                self.session.outbox += exchange.request_datagrams
                self.session.repeated_at = now
                self._show(now, f"{shown(exchange.request)} (again)", exchange.request_datagrams)
            exchange.transmissions += 1
            exchange.retransmit_at = now + self.session.place.retransmit * 2 ** (exchange.transmissions - 1)

    def _remember(self, pattern: DataPattern, now: Instant) -> None:
        """An ordinary echo request may be repeated, a forced packet says something by itself."""
        ordinary = pattern.content == "ping" and not pattern.edits and not pattern.encapsulation
        ordinary = ordinary and pattern.carrier != "clear" and not any(e.name == "part" for e in pattern.fields)
        self._ping, self._pings = (pattern if ordinary else None), 1
        self._ping_at = now + self.session.place.retransmit if ordinary and self.session.place.retransmit else None

    def ping_again(self, now: Instant) -> None:
        """Ask again in a packet of its own: the first may have overtaken the message that makes its Child SA."""
        if self._ping is None or self._ping_at is None or self._ping_at > now:
            return
        datagram = self.session.traffic.send(self._ping, self.session.values(by_us=True), again=True)
        self.session.outbox.append(datagram)
        self.session.repeated_at = now
        self._show(now, f"{self._ping.carrier}({self._ping.child}) ping (again)", [datagram])
        self._ping_at = now + self.session.place.retransmit * 2**self._pings
        self._pings += 1

    def timer(self, *, pong: bool = False) -> Instant | None:
        """When the next repetition is due; ``pong``: an echo reply is waited for."""
        times = [e.retransmit_at for e in self._unanswered()] + ([self._ping_at] if pong else [])
        return min((time for time in times if time is not None), default=None)

    def _unanswered(self) -> Iterator[Exchange]:
        for association in self.session.associations.values():
            yield from (e for e in association.exchanges if e.ours and e.response is None)
