"""Trial of keys where a file is read in parts: whether a part by itself sought and found what one process would."""

from dataclasses import dataclass, field, replace

from ipsectest.decrypt.keys.model import SaKeys
from ipsectest.decrypt.sas import SaDatabase, SaRecord
from ipsectest.decrypt.trial import MOST_ATTEMPTS, MOST_EVIDENCE, MOST_FLOWS, Flow, Trial, TrialState, Tried


@dataclass(slots=True)
class Tries:
    """What was tried in a part."""

    asked: set[Flow] = field(default_factory=set)
    """SAs for which keys were sought."""
    flows: dict[Flow, Tried] = field(default_factory=dict)
    """What is known of these at its end."""
    found: tuple[SaKeys, ...] = ()
    attempts: int = 0

    @classmethod
    def since(cls, given: TrialState, trial: Trial) -> "Tries":
        """Of a trial that went on from a state."""
        now = trial.state()
        flows = {flow: tried for flow, tried in now.flows.items() if flow in trial.asked}
        return cls(trial.asked, flows, now.found[len(given.found) :], now.attempts - given.attempts)


class TrialSeams:
    """What the parts so far leave to those behind them."""

    def __init__(self, trial: Trial, database: SaDatabase) -> None:
        self._trial = trial
        busy = {(sa.keys.protocol, sa.keys.spi) for sa in database.sas if sa.traffic.packets}
        self.state = replace(trial.state(), busy=frozenset(busy))

    def differs(self, given: TrialState, tries: Tries) -> bool:
        """Whether a part that began with a state would go another way with what is known now."""
        now = self.state
        newly_busy = now.busy - given.busy
        return (
            any((flow.protocol, flow.spi) in newly_busy for flow in tries.asked)
            or any(given.flows.get(flow) != now.flows.get(flow) for flow in tries.asked)
            or (given.attempts != now.attempts and now.attempts + tries.attempts >= MOST_ATTEMPTS)
        )

    def overflows(self, tries: Tries) -> bool:
        """Whether bounds are met, where one process gives up what it did longest ago."""
        flows = self.state.flows | tries.flows
        return (
            len(flows) >= MOST_FLOWS
            or len(tries.asked) >= MOST_FLOWS
            or sum(1 + len(tried.evidence) for tried in flows.values()) >= MOST_EVIDENCE
            or self.state.attempts + tries.attempts >= MOST_ATTEMPTS
        )

    def pass_on(self, tries: Tries, records: list[SaRecord]) -> None:
        """A part is in its place: its keys are those of the whole run."""
        opened = {(one.keys.protocol, one.keys.spi) for one in records if one.traffic.packets}
        for keys in tries.found:
            self._trial.enter(keys)
        self.state = TrialState(
            (*self.state.found, *tries.found),
            self.state.flows | tries.flows,
            self.state.attempts + tries.attempts,
            self.state.busy | opened,
        )
        self._trial.restore(replace(self.state, busy=frozenset()))
