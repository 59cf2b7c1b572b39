"""Cells of which one end is our endpoint speaking like a profile."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from ipsectest.runner.interop import cells
from ipsectest.runner.interop.cells import Cell, Lacks, Plan
from ipsectest.runner.interop.profile_suites import suites
from ipsectest.scenario.profile import ROLES, Profile

SuitePair = tuple[str, str]
"""Of an IKE SA and of its Child SAs."""


def plan(profiles: Mapping[str, Profile], others: Sequence[str], lacks: Lacks, *, full: bool = False) -> Plan:
    """Each profile (by the name of its peer) with each of ``others``, in each of its roles.

    The strongest suites that both ends can do, with each way to authenticate and each encapsulation of the profile;
    ``full``: each of its suites, and those that the other cannot do. What cannot be played at all is one cell.
    """
    possible: list[Cell] = []
    unsupported: dict[Cell, str] = {}
    for name, profile in profiles.items():
        for other in others:
            for role, pair in zip(ROLES, ((name, other), (other, name)), strict=True):
                meeting = _Meeting(profile, role, pair, lacks)
                possible += meeting.cells(full=full)
                unsupported |= meeting.refused(full=full)
    return Plan(possible, unsupported)


@dataclass(slots=True)
class _Meeting:
    """A profile in one of its roles, and another peer."""

    profile: Profile
    role: str
    pair: tuple[str, str]
    lacks: Lacks

    def cells(self, *, full: bool) -> list[Cell]:
        """What is played; each word of each dimension comes in turn."""
        if self._why({}):
            return []
        together = list(self._each()) if full else list(islice(self._together(), 1))
        able = {name: [word for word in known if not self._why({name: word})] for name, known in self._words.items()}
        if not full:
            able |= {name: able[name][:1] for name in ("mode", "ip")}
        columns: list[list[Any]] = [together, *able.values()]
        if not all(columns):
            return []
        rows = zip(*(islice(cycle(column), max(map(len, columns))) for column in columns), strict=True)
        return [Cell(*self.pair, *both, *others) for both, *others in rows]

    def refused(self, *, full: bool) -> dict[Cell, str]:
        """What cannot be, with the reason; without ``full`` only if nothing can, and that in one cell."""
        if not full and self.cells(full=False):
            return {}
        base = {name: known[0] for name, known in self._words.items()}
        (first_ike, *_), (first_esp, *_) = ike, esp = self._suites
        asked: list[tuple[str, str, dict[str, str]]] = [(first_ike, first_esp, {})]
        asked += [(first_ike, first_esp, {name: word}) for name, known in self._words.items() for word in known]
        asked += [(one, first_esp, {"ike": one}) for one in ike]
        able = next((one for one in ike if not self._why({"ike": one})), first_ike)
        asked += [(able, one, {"ike": able, "esp": one}) for one in esp]
        found = {Cell(*self.pair, *both, **{**base, **_others(words)}): self._why(words) for *both, words in asked}
        refused = {cell: why for cell, why in found.items() if why}
        return refused if full else dict(islice(refused.items(), 1))

    @property
    def _words(self) -> dict[str, list[str]]:
        return {
            "auth": [str(kind) for kind in self.profile.identities],
            "mode": list(self.profile.modes),
            "encapsulation": list(self.profile.encapsulations),
            "ip": list(self.profile.ips),
        }

    @property
    def _suites(self) -> tuple[list[str], list[str]]:
        return suites(self.profile.ike.of(self.role)), suites(self.profile.esp.of(self.role))

    def _why(self, words: Mapping[str, str]) -> str:
        words = cells.with_suites(words) if "esp" in words else words
        return cells.reason(*self.pair, words, self.lacks)

    def _together(self) -> Iterator[SuitePair]:
        """Suites that both ends can do beside each other, the strongest first."""
        ike, esp = self._suites
        for one in ike:
            if not self._why({"ike": one}):
                yield from ((one, other) for other in esp if not self._why({"ike": one, "esp": other}))

    def _each(self) -> Iterator[SuitePair]:
        """Each of them at least once."""
        ike, esp = self._suites
        able = [one for one in ike if not self._why({"ike": one})]
        left = dict.fromkeys(esp)
        for one in able:
            fitting = (other for other in (*left, *esp) if not self._why({"ike": one, "esp": other}))
            if (chosen := next(fitting, None)) is not None:
                left.pop(chosen, None)
                yield one, chosen
        for other in left:
            if (one := next((one for one in able if not self._why({"ike": one, "esp": other})), "")) != "":
                yield one, other


def _others(words: Mapping[str, str]) -> dict[str, str]:
    return {name: word for name, word in words.items() if name not in {"ike", "esp"}}
