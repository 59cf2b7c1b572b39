"""What pluto says of its states (``whack --showstates``) and of one case (its log)."""

import re
from dataclasses import dataclass

_STATE = re.compile(r'#(?P<number>\d+): "(?P<name>[^"]+)"(?:\[\d+\])?[^"(]*:\d+ (?P<state>\w+) \(')
_PARENT = re.compile(r"(?:IKE SA |isakmp)#(?P<parent>\d+)")
_SPIS = re.compile(
    r'#(?P<number>\d+): "[^"]+"(?:\[\d+\])?.* (?:esp|ah)[.:](?P<out>[0-9a-f]+)@\S+ (?:esp|ah)[.:](?P<in>[0-9a-f]+)@'
)
"""Between protocol and SPI stands a dot if the addresses are IPv4's, a colon if they are IPv6's."""
_IKE, _CHILD = "ESTABLISHED_IKE_SA", "ESTABLISHED_CHILD_SA"


@dataclass(slots=True)
class State:
    """One IKE SA or Child SA of pluto."""

    number: int
    """pluto's serial number."""
    connection: str
    kind: str
    parent: int = 0
    """Number of the IKE SA of a Child SA."""
    spi: bytes = b""
    """Inbound SPI of a Child SA (4 octets)."""

    @property
    def is_ike(self) -> bool:
        """Whether it is an established IKE SA."""
        return self.kind.endswith(_IKE)

    @property
    def is_child(self) -> bool:
        """Whether it is an installed Child SA."""
        return self.kind.endswith(_CHILD)

    @property
    def is_half_open(self) -> bool:
        """Whether it is an IKE SA on its way."""
        return not self.is_ike and not self.is_child and not self.parent


def read_states(text: str) -> list[State]:
    """The states, oldest first."""
    states: dict[int, State] = {}
    for line in text.splitlines():
        if match := _STATE.search(line):
            parent = _PARENT.search(line)
            number = int(match["number"])
            kind = match["state"].removeprefix("STATE_V2_")
            states[number] = State(number, match["name"], kind, int(parent["parent"]) if parent else 0)
        elif (match := _SPIS.search(line)) and int(match["number"]) in states:
            states[int(match["number"])].spi = bytes.fromhex(match["in"].zfill(8))
    return [states[number] for number in sorted(states)]


def lines_of_case(text: str, name: str, tester: str) -> str:
    """The lines of pluto's log that name the connection or the tester's address, in order."""
    named = re.compile(rf'"{re.escape(name)}"|(?<![\w.:]){re.escape(tester)}(?!\w|\.\d)')
    other = re.compile(r': "(?P<name>[^"]+)"')
    kept = []
    for line in text.splitlines(keepends=True):
        owner = other.search(line)
        if named.search(line) and (owner is None or owner["name"] == name):
            kept.append(line)
    return "".join(kept)
