"""Where the results of one instance of a peer go: into the records, or to a second try."""

from collections.abc import Callable
from dataclasses import dataclass, field

from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.runner.recorder import PeerUnderTest, Recorder
from ipsectest.runner.retries import Retries
from ipsectest.scenario.results import Verdict

Progress = Callable[[str, Finished], None]
"""Is told the peer's name and each case as it ends."""


@dataclass(slots=True)
class File:
    """Takes the results of one instance: what is tried again comes to the records when it ends the second time."""

    under_test: PeerUnderTest
    recorder: Recorder
    progress: Progress
    held: list[Finished] | None = None
    """Takes what is unsupported, instead of the records."""
    retries: Retries = field(default_factory=Retries)
    verdicts: list[Verdict] = field(default_factory=list)
    ended: int = 0
    """Tries."""
    conductor: Conductor | None = None

    def take(self, finished: Finished) -> None:
        """A case has ended."""
        self.ended += 1
        is_over = self.conductor is None or self.conductor.abandoned
        if not is_over and self.retries.keeps(finished):
            return
        finished = self.retries.told(finished)
        self.verdicts.append(finished.result.verdict)
        if self.held is not None and finished.result.verdict is Verdict.UNSUPPORTED:
            self.held.append(finished)
            return
        self.recorder.add(self.under_test, finished)
        self.progress(self.under_test.name, finished)
