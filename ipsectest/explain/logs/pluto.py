"""Libreswan's log, of a file, of syslog or of the journal: lines into IKE SAs, their messages and suites.

A line names its connection, the instance and address of the peer, and a number: ``"site"[1] 192.0.2.1 #7: text``. An
IKE SA and its Child SAs have numbers of their own, so an SA here is what one connection does with one peer from one
initiation on.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from ipsectest.explain.ladder import Rung
from ipsectest.explain.logs.clock import nanoseconds_of
from ipsectest.explain.logs.model import LONGEST_LINE, LONGEST_TEXT, MOST_AGREED, LogFacts, LoggedSa, folded
from ipsectest.explain.logs.pluto_rules import RULES
from ipsectest.explain.logs.suite_words import from_pluto_configuration, from_pluto_offer, suite_of
from ipsectest.explain.printable import printable

MARK = re.compile(
    r"Libreswan Version|\bpluto(?:\[\d+\])?: |^(?:\S+ +){0,4}(?:ERROR: )?(?:packet from \S+:\d+: "
    r"|\"[^\"]{1,100}\"(?:\[\d+\] \S+)?(?: #\d+)?: )"
)
_LINE = re.compile(
    r"^(?P<head>[^\"]{0,120}?)(?:\"(?P<name>[^\"]{1,200})\"(?:\[(?P<instance>\d+)\])?(?: (?P<peer>[0-9a-fA-F.:]+))?"
    r"(?: #(?P<number>\d+))?|packet from (?P<from>\S+?)):[ ](?P<text>.*)$"
)
_DEBUG = re.compile(r"\|  +(?P<what>host|id): (?P<left>\S+?) ?-> ?(?P<right>\S+)$")
_RECEIVED = re.compile(
    r"^(?:processing(?: decrypted)?|processed|received) (\w+) (request|response)(?: from (\S+?):UDP/(\d+))?"
    r"(?: containing (.*)|: ?(SK\{.*))?"
)
_SENT = re.compile(r"^sent (\w+) (request|response|reply)(?: to (\S+?):(?:UDP/)?(\d+))?")
_SUITE = re.compile(r"\{cipher=(\S+) integ=(\S+) prf=(\S+) group=(\S+?)\}")
_RETRANSMISSION = re.compile(r"^(\S+): retransmission; will wait")
_REFUSING = re.compile(
    r"^responding to (\w+) message \(ID (\d+)\) from (\S+?):(\d+) with (?:un)?encrypted "
    r"notification (\S+)"
)
_INITIATING = re.compile(r"^initiating IKEv\d connection(?: to (\S+))?")
_ESTABLISHED = re.compile(r"^(initiator|responder) established IKE SA")
_CHILD = re.compile(r"^(?:initiator |responder )?(?:established|rekeyed) Child SA(.*)$")
_TUNNEL = re.compile(r"IPsec (\w+ \[.*?\])(?: \{|$)")
_CHOSEN = re.compile(r"^proposal \d+:(IKE|ESP|AH)=\S+ (?:SPI=\S+ )?chosen from remote proposals (.*)$")
_CONFIGURED = re.compile(r"^  \d+:(IKE|ESP|AH)=")
_REASON = re.compile(r"^(?:authentication failed|Peer ID|Peer attempted EAP|X509|NSS|ERROR: .*certificate)")


@dataclass(slots=True)
class PlutoLog:
    """Reads a log line by line."""

    facts: LogFacts
    _begun: dict[str, int] = field(default_factory=dict)
    """How often a connection began with a peer."""
    _configured: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    """Proposals of each connection by protocol."""
    _hosts: dict[str, str] = field(default_factory=dict)
    """What the last debugging lines told."""

    def take(self, number: int, line: str) -> None:
        """One line; never raises."""
        line = printable(line[:LONGEST_LINE].replace("\t", " "))
        match = _LINE.match(line)
        if match is None:
            debug = _DEBUG.search(line[:400])
            if debug and len(line) < 400:
                self._hosts[debug["what"]] = f"{debug['left']} {debug['right']}"
            return
        self.facts.lines += 1
        name, text, peer = match["name"] or "", match["text"], match["peer"] or ""
        if not match["number"] and _CONFIGURED.match(text):
            self._configure(name, text)
            return
        if match["from"]:
            name, peer = "", match["from"].rpartition(":")[0].strip("[]")
        sa = self._sa(name, peer, text)
        at = nanoseconds_of(match["head"])
        for reader in _READERS:
            if reader(sa, text[:LONGEST_TEXT], number, at):
                break
        finding = RULES.apply(sa, number, text)
        if finding:
            self.facts.findings.append(finding)
            sa.noted["told"] = finding.code
        if _REASON.match(text):
            sa.noted["reason"] = text

    def _sa(self, name: str, peer: str, text: str) -> LoggedSa:
        place = f"{name} {peer}"
        is_new = text.startswith(("initiating IKEv", "processing IKE_SA_INIT request"))
        if is_new and (place in self._begun or len(self._begun) < 10_000):
            self._begun[place] = self._begun.get(place, 0) + 1
        sa = self.facts.sa(f"{place} {self._begun.get(place, 0)}")
        if peer:
            sa.remote = peer
        if "host" in self._hosts:
            local, _, remote = self._hosts["host"].partition(" ")
            if remote == sa.remote:
                sa.local = local
                sa.noted["ids"] = self._hosts.get("id", "").partition(" ")[2]
        for kind, suites in self._configured.get(name, {}).items():
            sa.noted.setdefault(f"{'IKE' if kind == 'IKE' else 'Child'} proposals", ", ".join(suites))
        return sa

    def _configure(self, name: str, text: str) -> None:
        match = _CONFIGURED.match(text)
        if match is None or (name not in self._configured and len(self._configured) >= 1000):
            return
        suites = self._configured.setdefault(name, {}).setdefault(match[1], [])
        words = from_pluto_configuration(text)
        if words not in suites and len(suites) < 16:
            suites.append(words)


def _begins(sa: LoggedSa, text: str, _number: int, _at: int) -> bool:
    match = _INITIATING.match(text)
    if match:
        sa.is_initiator = True
        sa.remote = sa.remote or match[1] or ""
    return match is not None


def _receives(sa: LoggedSa, text: str, number: int, at: int) -> bool:
    match = _RECEIVED.match(text)
    if match is None:
        return False
    exchange, half, host, port, payloads, others = match.groups()
    if exchange == "IKE_SA_INIT":
        sa.is_initiator = half == "response"
    if text.startswith("received"):  # told again when it was decrypted
        return True
    words = (payloads or others or "").removeprefix("SK{").rstrip("}").replace(",", " ")
    told = f"{exchange} {half}: {folded(words)}".rstrip(": ")
    sa.remote = sa.remote or host or ""
    source = f"{host or sa.remote}:{port}" if port else sa.remote
    sa.send(Rung(number, at, source, sa.local, sa.is_initiator is False, told))
    return True


def _sends(sa: LoggedSa, text: str, number: int, at: int) -> bool:
    match = _SENT.match(text)
    if match is None:
        return False
    exchange, half, host, port = match.groups()
    if port:
        sa.used_ports.add(int(port[:5]))
    if exchange == "IKE_SA_INIT":
        sa.is_initiator = half == "request"
    sa.remote = sa.remote or host or ""
    target = f"{host}:{port}" if port else sa.remote
    told = f"{exchange} {half.replace('reply', 'response')}"
    sa.send(Rung(number, at, sa.local, target, sa.is_initiator is not False, told))
    return True


def _repeats(sa: LoggedSa, text: str, _number: int, at: int) -> bool:
    if not _RETRANSMISSION.match(text):
        return False
    sent = [rung for rung in sa.rungs if rung.to_right == (sa.is_initiator is not False) and "request" in rung.text]
    if sent:
        last = sent[-1]
        seconds = max(0.0, (at - last.nanoseconds) / 1e9)
        sa.rungs[sa.rungs.index(last)] = replace(last, times=last.times + 1, seconds=seconds)
    return True


def _refuses(sa: LoggedSa, text: str, number: int, at: int) -> bool:
    match = _REFUSING.match(text)
    if match is None:
        return False
    sa.is_initiator = sa.is_initiator if match[1] not in {"IKE_SA_INIT", "IKE_AUTH"} else False
    target, told = f"{match[3]}:{match[4]}", f"{match[1]} response {match[2]}: N({match[5]})"
    sa.send(Rung(number, at, sa.local, target, sa.is_initiator is not False, told, is_error=True))
    return True


def _agrees(sa: LoggedSa, text: str, number: int, _at: int) -> bool:
    if match := _ESTABLISHED.match(text):
        sa.is_established, sa.is_initiator = True, match[1] == "initiator"
    elif match := _CHOSEN.match(text):
        words = ", ".join(from_pluto_offer(f"1:{match[1]}:{match[2].partition(f':{match[1]}:')[2]}")[:1])
        kind = "IKE" if match[1] == "IKE" else "child"
        sa.noted[kind] = f"{match[1]}  {words}"
        if kind == "IKE":
            _agree(sa, number, sa.noted[kind])
    elif match := _CHILD.match(text):
        tunnel = _TUNNEL.search(match[1])
        ways = f"  {tunnel[1]}" if tunnel else ""
        _agree(sa, number, f"{sa.noted.get('child', 'ESP')}{ways}")
    else:
        return False
    return True


def _agree(sa: LoggedSa, number: int, text: str) -> None:
    if len(sa.agreed) < MOST_AGREED:
        sa.agreed.append((number, text))


def _settles(sa: LoggedSa, text: str, number: int, _at: int) -> bool:
    """The suite of an IKE SA stands at the end of lines that mean something else too."""
    match = _SUITE.search(text)
    if match and "IKE" not in sa.noted:
        cipher, integ, prf, group = match.groups()
        sa.noted["IKE"] = f"IKE  {suite_of(cipher, integ, prf, group)}"
        _agree(sa, number, sa.noted["IKE"])
    return False


_Reader = Callable[[LoggedSa, str, int, int], bool]
_READERS: Iterable[_Reader] = (_settles, _begins, _receives, _sends, _repeats, _refuses, _agrees)
