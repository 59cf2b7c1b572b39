"""What a log tells, whichever daemon wrote it."""

from collections import deque
from dataclasses import dataclass, field, replace

from ipsectest.explain.findings import Finding
from ipsectest.explain.ladder import Rung

MOST_SAS = 1000
MOST_RUNGS = 400
"""Of one SA."""
MOST_FINDINGS = 2000
LONGEST_LINE = 4000
"""Characters of a line that are looked at; lists of proposals are long."""
LONGEST_TEXT = 1000
"""The same where patterns have more to search than one list."""
MOST_AGREED = 100
"""Suites and Child SAs of one SA."""
_ANNOUNCED = {
    "NATD_S_IP", "NATD_D_IP", "HASH_ALG", "REDIR_SUP", "FRAG_SUP", "CHDLESS_SUP", "MULT_AUTH", "EAP_ONLY",
    "MSG_ID_SYN_SUP", "MOBIKE_SUP", "ADD_4_ADDR", "ADD_6_ADDR", "NO_ADD_ADDR", "ESP_TFC_PAD_N", "NON_FIRST_FRAG",
    "SET_WINSIZE", "IKE_INT_SUP", "NAT_DETECTION_SOURCE_IP", "NAT_DETECTION_DESTINATION_IP", "INIT_CONTACT",
    "SIGNATURE_HASH_ALGORITHMS", "EAP_ONLY_AUTHENTICATION", "ESP_TFC_PADDING_NOT_SUPPORTED", "INITIAL_CONTACT",
    "NON_FIRST_FRAGMENTS_ALSO", "USE_PPK",
}  # fmt: skip
"""Notifications that tell what an end supports, as strongSwan and as Libreswan write them."""


def folded(payloads: str) -> str:
    """Payload names with announcements counted, as in a ladder of a capture."""
    shown, announced, vendors = [], 0, 0
    for name in payloads[:2000].split():
        inner = name[2:-1] if name.startswith("N(") else ""
        if inner in _ANNOUNCED or inner.endswith("_SUPPORTED"):
            announced += 1
        elif name == "V":
            vendors += 1
        else:
            shown.append(name)
    return " ".join([*shown, *([f"+{announced} N"] if announced else []), *([f"+{vendors} V"] if vendors else [])])


@dataclass(slots=True)
class LoggedSa:
    """One IKE SA in the words of one side."""

    label: str
    """As the log names it."""
    file: str
    local: str = ""
    remote: str = ""
    is_initiator: bool | None = None
    is_established: bool = False
    noted: dict[str, str] = field(default_factory=dict)
    """What earlier lines said that later ones build on, by name."""
    rungs: list[Rung] = field(default_factory=list)
    agreed: list[tuple[int, str]] = field(default_factory=list)
    """Line and text of each suite and Child SA."""
    used_ports: set[int] = field(default_factory=set)
    """Destination ports of what was sent."""

    @property
    def ends(self) -> frozenset[str]:
        """The addresses that are known."""
        return frozenset(one for one in (self.local, self.remote) if one)

    def described(self, *, is_local: bool) -> str:
        """Address and role of an end; without an address whose log it is."""
        host = self.local if is_local else self.remote
        role = ""
        if self.is_initiator is not None:
            role = " (initiator)" if self.is_initiator == is_local else " (responder)"
        if host:
            return host + role
        return f"{'the host' if is_local else 'the peer'} of {self.file}{role}"

    def count(self, name: str) -> int:
        """How often this was called with the name, this time included."""
        times = int(self.noted.get(name, "0")) + 1
        self.noted[name] = str(times)
        return times

    def send(self, rung: Rung) -> None:
        """One more message; an equal one behind it is the same again."""
        last = self.rungs[-1] if self.rungs else None
        if last and (last.text, last.source, last.destination) == (rung.text, rung.source, rung.destination):
            seconds = (rung.nanoseconds - last.nanoseconds) / 1e9
            self.rungs[-1] = replace(last, times=last.times + 1, seconds=max(0.0, seconds))
        elif len(self.rungs) < MOST_RUNGS:
            self.rungs.append(rung)


@dataclass(slots=True)
class LogFacts:
    """A whole log."""

    name: str
    daemon: str
    sas: dict[str, LoggedSa] = field(default_factory=dict)
    findings: deque[Finding] = field(default_factory=lambda: deque(maxlen=MOST_FINDINGS))
    """The latest."""
    lines: int = 0
    left_out: int = 0

    def sa(self, label: str) -> LoggedSa:
        """The SA of a label, made if need be; the oldest goes beyond a bound."""
        found = self.sas.get(label)
        if found is None:
            found = self.sas[label] = LoggedSa(label, self.name)
            if len(self.sas) > MOST_SAS:
                self.sas.pop(next(iter(self.sas)))
                self.left_out += 1
        return found
