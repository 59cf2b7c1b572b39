"""strongSwan's log, of a file, of syslog or of the journal: lines into IKE SAs, their messages and suites."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ipsectest.base.addresses import Address
from ipsectest.explain.ladder import Rung
from ipsectest.explain.logs.charon_rules import COOKIE_DEMANDED, RULES
from ipsectest.explain.logs.clock import nanoseconds_of
from ipsectest.explain.logs.model import LONGEST_LINE, LONGEST_TEXT, MOST_AGREED, MOST_SAS, LogFacts, LoggedSa, folded
from ipsectest.explain.logs.suite_words import from_charon
from ipsectest.explain.printable import printable

MARK = re.compile(r"(?:^|\s)\d\d\[[A-Z]{3}\d?\] |\bcharon(?:-systemd|-nm)?(?:\[\d+\])?: ")
_LINE = re.compile(
    r"^(?P<head>.{0,100}?)(?:\b(?P<thread>\d\d)\[[A-Z]{3}\d?\]"
    r"|\bcharon(?:-systemd|-nm)?(?:\[\d+\])?:(?: (?P<worker>\d\d)\[[A-Z]{3}\d?\])?)"
    r"[ ](?:<(?:[^<>|]{0,200}\|)?(?P<id>\d+)> )?(?P<text>.*)$"
)
_START = re.compile(r"^Starting (?:IKE )?charon")
_SENDING = re.compile(r"^(sending|received) packet: from (\S+)\[(\d+)\] to (\S+)\[(\d+)\]")
_MESSAGE = re.compile(r"^(generating|parsed) (\w+) (request|response) (\d+) \[ ?(.*?) ?\]")
_RETRANSMIT = re.compile(r"^(?:retransmit \d+ of request with message ID (\d+)|sending retransmit \d+ of)")
_SUITE = re.compile(r"^selected proposal: (IKE|ESP|AH):")
_CHILD = re.compile(r"^(?:inbound )?CHILD_SA (\S+?)\{\d+\} established with SPIs (\S+)_i (\S+)_o and TS (.*)$")
_ESTABLISHED = re.compile(r"^IKE_SA \S+ established between ([^\s\[]+)\[(.*?)\]\.\.\.([^\s\[]+)\[(.*)\]$")
_ESP_PACKET = re.compile(r"^  src (\S+), dst (\S+), SPI [0-9a-f]{1,8} \[")
_NOTED: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("received", re.compile(r"^received proposals: (.*)$")),
    ("configured", re.compile(r"^configured proposals: (.*)$")),
    ("looked_for", re.compile(r"^looking for (?:peer|pre-shared key peer) configs matching (.*)$")),
    ("issuer", re.compile(r'^ +issuer is "(.*)"$')),
    ("message_id", re.compile(r"^retransmit \d+ of request with message ID (\d+)")),
    ("presented", re.compile(r'^received end entity cert "(.*)"$')),
    ("used", re.compile(r'^ +using (?:trusted |untrusted )?certificate "(.*)"$')),
    (
        "reason",
        re.compile(
            r"^(no issuer certificate found|\S+ certificate invalid|certificate was revoked|constraint check failed"
            r"| *self-signed certificate)"
        ),
    ),
    ("no key", re.compile(r"^(no EAP key found)")),
    ("out of order", re.compile(r"^(ESP sequence number verification failed)")),
    ("proposed", re.compile(r"^(?:proposing|received) traffic selectors for (?:us|other): *(.*)$")),
)


@dataclass(slots=True)
class _Pending:
    """Lines that belong together: what was generated or parsed, and the packet."""

    generated: str = ""
    generated_request: bool = True
    received: tuple[Address, Address] | None = None
    repeats: bool = False
    last_request: str = ""
    demands_cookie: bool = False


@dataclass(slots=True)
class _Nameless:
    """Which IKE SA lines are about that name none, as is charon's default (``ike_name = no``)."""

    _count: int = 0
    _at: dict[str, str] = field(default_factory=dict)
    """The IKE SA that a thread is at."""
    _ends: dict[str, frozenset[str]] = field(default_factory=dict)
    """Of the packet that a thread received last."""
    _between: dict[frozenset[str], str] = field(default_factory=dict)
    """The newest IKE SA between two addresses."""

    def label(self, thread: str, text: str) -> str:
        """Of a line: what a packet's addresses tell, or else as the line before of the same thread."""
        if text.startswith("initiating IKE_SA "):
            self._begin(thread)
            peer = text.rpartition(" ")[2]
            self._between = {ends: label for ends, label in self._between.items() if peer not in ends}
        elif text.startswith("parsed IKE_SA_INIT request ") and thread in self._ends:
            self._between[self._ends[thread]] = self._begin(thread)
        elif packet := _SENDING.match(text):
            ends = frozenset((packet[2], packet[4]))
            if packet[1] == "received":
                self._ends[thread] = ends
            if len(self._between) >= MOST_SAS and ends not in self._between:
                self._between = {}
            self._at[thread] = self._between.setdefault(ends, self._at.get(thread, ""))
        return self._at.get(thread, "")

    def _begin(self, thread: str) -> str:
        self._count += 1
        self._at[thread] = f"nameless {self._count}"
        return self._at[thread]


@dataclass(slots=True)
class CharonLog:
    """Reads a log line by line."""

    facts: LogFacts
    _pending: dict[str, _Pending] = field(default_factory=dict)
    """By IKE SA, or by thread where lines name none."""
    _starts: int = 0
    _nameless: _Nameless = field(default_factory=_Nameless)
    _proposing: LoggedSa | None = None
    """Whose proposals were looked at last."""

    def take(self, number: int, line: str) -> None:
        """One line; never raises."""
        line = printable(line[:LONGEST_LINE].replace("\t", " "))
        match = _LINE.match(line)
        if match is None:
            return
        self.facts.lines += 1
        text = match["text"]
        thread = match["thread"] or match["worker"] or ""
        label = match["id"] or self._nameless.label(thread, text)
        if _START.match(text):
            self._starts += 1  # IKE SAs are numbered from 1 again
        label = f"{self._starts}/{label}"
        sa = self.facts.sa(label)
        place = label if match["id"] else f"thread {thread}"
        if place not in self._pending and len(self._pending) > MOST_SAS:
            self._pending = {}
        pending = self._pending.setdefault(place, _Pending())
        at = nanoseconds_of(match["head"])
        if any(reader(sa, pending, text[:LONGEST_TEXT], number, at) for reader in _READERS):
            if not pending.demands_cookie:
                return
            pending.demands_cookie, text = False, COOKIE_DEMANDED
        self._note(sa, text)
        if text.startswith("received proposals unacceptable") and "received" not in sa.noted and self._proposing:
            sa = self._proposing  # a rekey is refused in the name of the new IKE SA, which comes to nothing
        finding = RULES.apply(sa, number, text)
        if finding:
            self.facts.findings.append(finding)

    def _note(self, sa: LoggedSa, text: str) -> None:
        """Keep what later lines build on."""
        for name, pattern in _NOTED:
            noted = pattern.match(text)
            if noted is None:
                continue
            sa.noted[name] = noted[1][:1000]
            if name == "received":
                self._proposing = sa
            elif name == "presented":  # what was said of another certificate is over
                sa.noted.pop("reason", None)
                sa.noted.pop("used", None)


def _packet(sa: LoggedSa, pending: _Pending, text: str, number: int, at: int) -> bool:
    match = _SENDING.match(text)
    if match is None:
        return False
    source, destination = Address(match[2], int(match[3][:5])), Address(match[4], int(match[5][:5]))
    if match[1] == "received":
        pending.received = source, destination
        sa.local, sa.remote = destination.host, source.host
        return True
    sa.local, sa.remote = source.host, destination.host
    sa.used_ports.add(destination.port)
    text = pending.last_request if pending.repeats else pending.generated
    pending.demands_cookie = text == "IKE_SA_INIT response 0: N(COOKIE)"
    pending.repeats, pending.generated = False, ""
    if text:
        _send(sa, text, number, at, (source, destination))
    return True


def _message(sa: LoggedSa, pending: _Pending, text: str, number: int, at: int) -> bool:
    match = _MESSAGE.match(text)
    if match is None:
        return False
    kind, exchange, half, message_id, payloads = match.groups()
    is_fragment = payloads.startswith("EF(")
    nonce = "Ni" if half == "request" else "Nr"
    shown = " ".join(nonce if name == "No" else name for name in folded(payloads).split())
    told = f"{exchange} {half} {message_id}: {shown or 'empty'}"
    if kind == "generating":
        if exchange == "IKE_SA_INIT" or sa.is_initiator is None:
            sa.is_initiator = half == "request"
        if not is_fragment:
            pending.generated = told
            pending.last_request = told if half == "request" else pending.last_request
    elif pending.received and not is_fragment:
        if exchange == "IKE_SA_INIT":
            sa.is_initiator = half == "response"
        _send(sa, told, number, at, pending.received)
    return True


def _repetition(sa: LoggedSa, pending: _Pending, text: str, _number: int, _at: int) -> bool:
    match = _RETRANSMIT.match(text)
    if match:
        pending.repeats = True
        sa.noted["message_id"] = match[1] or ""
    return match is not None


def _outcome(sa: LoggedSa, _pending: _Pending, text: str, number: int, _at: int) -> bool:
    established = _ESTABLISHED.match(text)
    if established:
        sa.is_established = True
        sa.noted |= {"local_id": established[2], "remote_id": established[4]}
        return True
    if suite := _SUITE.match(text):
        words = ", ".join(from_charon(text.partition(": ")[2]))
        if suite[1] == "IKE":
            _agree(sa, number, f"IKE  {words}")
        else:
            sa.noted["child"] = f"{suite[1]}  {words}"
        return True
    child = _CHILD.match(text)
    if child:
        _agree(sa, number, f"{sa.noted.get('child', 'ESP')}  {child[4]}  {child[2]}/{child[3]}")
        return True
    return False


def _dropped(sa: LoggedSa, _pending: _Pending, text: str, _number: int, _at: int) -> bool:
    """A packet that user-space ESP drops names its ends, where the line names no IKE SA."""
    match = _ESP_PACKET.match(text)
    if match:
        sa.remote, sa.local = match[1], match[2]
    return False


def _agree(sa: LoggedSa, number: int, text: str) -> None:
    if len(sa.agreed) < MOST_AGREED:
        sa.agreed.append((number, text))


def _send(sa: LoggedSa, text: str, number: int, at: int, ends: tuple[Address, Address]) -> None:
    is_error = "FAIL" in text or any(
        word in text for word in ("N(NO_PROP", "N(TS_UNACC", "N(INVAL", "N(CHILD_NOTFOUND")
    )
    source, destination = ends
    to_right = (source.host == sa.local) == (sa.is_initiator is not False)
    rung = Rung(number, at, str(source), str(destination), to_right, text, is_error=is_error)
    same = next((one for one in reversed(sa.rungs) if one.text == text and one.source == rung.source), None)
    if same is not None and " request " in text:  # sent again, with other lines between
        again = replace(same, times=same.times + 1, seconds=max(0.0, (at - same.nanoseconds) / 1e9))
        sa.rungs[sa.rungs.index(same)] = again
        return
    sa.send(rung)


_Reader = Callable[[LoggedSa, _Pending, str, int, int], bool]
_READERS: Iterable[_Reader] = (_packet, _message, _repetition, _outcome, _dropped)
