"""Cases that came to nothing are tried once more, when the others are through and with more patience."""

from dataclasses import dataclass, field, replace

from ipsectest.runner.conductor import Finished
from ipsectest.scenario.model import Case
from ipsectest.scenario.results import Verdict

PATIENT = 4.0
"""Factor on the patience of a second try."""
FEWER = 4
"""By which the number of cases at once is divided for it."""


@dataclass(slots=True)
class Retries:
    """The inconclusive first tries of one instance. What the second comes to counts, and says that it is one."""

    first: dict[str, Finished] = field(default_factory=dict)
    is_second: bool = False

    def keeps(self, finished: Finished) -> bool:
        """Whether the case shall be tried again, so that this result is none yet."""
        if self.is_second or finished.result.verdict is not Verdict.INCONCLUSIVE:
            return False
        self.first[finished.case.id] = finished
        return True

    def begin(self) -> list[Case]:
        """The cases to be tried again; what comes from now on are second tries."""
        self.is_second = True
        return [finished.case for finished in self.first.values()]

    def told(self, finished: Finished) -> Finished:
        """The result of a second try with a note on the first; any other as it is."""
        before = self.first.get(finished.case.id)
        if before is None:
            return finished
        reason = before.result.reason
        where = f"line {reason.line}: " if reason and reason.line else ""
        said = ": ".join(text for text in (reason.text, reason.actual) if text) if reason else ""
        note = f"a second try: the first was inconclusive, {where}{said}"
        return replace(finished, result=replace(finished.result, notes=[*finished.result.notes, note]), attempt=2)
