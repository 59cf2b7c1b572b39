"""One run: every chosen case against every chosen peer, in memory or over wires, until each has a result."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from ipsectest.base.clock import Instant
from ipsectest.net.loop import EventLoop
from ipsectest.peers import table
from ipsectest.peers.builtin import Builtin
from ipsectest.peers.names import PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.runner import expectations, guest, library, slots, virtual
from ipsectest.runner.conductor import CaseRun, Conductor, Finished
from ipsectest.runner.filing import File, Progress
from ipsectest.runner.instances import Daemons, Instance
from ipsectest.runner.live import Post
from ipsectest.runner.pki import RunPki
from ipsectest.runner.recorder import PeerUnderTest, Recorder
from ipsectest.runner.retries import FEWER, PATIENT
from ipsectest.runner.seed import stream
from ipsectest.scenario.facts import both_ends
from ipsectest.scenario.load import load
from ipsectest.scenario.model import Case
from ipsectest.scenario.ports import Environment
from ipsectest.scenario.results import Verdict
from ipsectest.scenario.run import Run

SANITY = Path(__file__).with_name("sanity.toml")
SANITY_IKE = Path(__file__).with_name("sanity-ike.toml")
SANITY_UDP = Path(__file__).with_name("sanity-udp.toml")
SANITY_COOKIE = Path(__file__).with_name("sanity-cookie.toml")
RUN_CAP = 1800.0
"""Seconds after which a run is ended whatever still waits."""
_RETRANSMIT = 0.5
"""A packet wire loses nothing, but a busy daemon may: seconds to our first retransmission."""

INSANE = "the sanity case did not pass, so nothing can be said about this peer"


class Lab(StrEnum):
    """Where daemons run."""

    HOST = "host"
    """In namespaces, with this kernel's ESP or their own."""
    VM = "vm"
    """In the lab's virtual machine, whose kernel has ESP and AH."""
    AUTO = "auto"
    """Here; in the virtual machine what is unsupported here."""


@dataclass(frozen=True, slots=True)
class _Traits:
    """What a case has to know of the instance it meets; the defaults are those of a peer in memory."""

    raw_esp: bool = True
    retransmit: float = 0.0
    without_children: str = ""
    without_kernel: str = ""
    slow: float = 1.0


@dataclass(slots=True)
class _Stage:
    """An instance and the cases that need its options."""

    instance: Instance
    cases: Sequence[Case]
    sane: bool = False

    def sanity(self, when: str, recorder: Recorder) -> Case:
        """The sanity case, set up so that it fits the options of this daemon."""
        options = self.instance.options
        facts: dict[str, object] = {"retransmit": options.retransmit, "retransmit_tries": options.retransmit_tries}
        plain = SANITY_IKE if self.instance.peer.without_children else SANITY
        if options.certificate:
            facts["auth"] = options.certificate
        if options.unique:
            facts["unique"] = "replace"
        scenario = load(library.from_here(SANITY_COOKIE if options.cookies else plain))
        case = scenario.cases[0]
        name = f"sanity/{when}-{'vm-' if self.instance.vm else ''}{self.instance.number}"
        recorder.scenarios[name] = scenario
        return replace(case, scenario=name, peer={**case.peer, **facts})


@dataclass(slots=True)
class Session:
    """What a run needs to know; `memory` and `daemons` play cases and hand results to the recorder."""

    recorder: Recorder
    folder: Path
    seed: int
    ip: int = 4
    slow: float = 1.0
    jobs: int = 24
    progress: Progress = lambda _peer, _finished: None
    pki: RunPki | None = None
    """Needed only for cases that authenticate with certificates."""
    lab: Lab = Lab.HOST

    def memory(self, cases: Iterable[Case]) -> None:
        """Play cases against the built-in endpoint, one after another in virtual time."""
        under_test = self.peer_under_test(PeerName(table.BUILTIN), "")
        for case in cases:
            finished = self.play_alone(case, ())
            self.recorder.add(under_test, finished)
            self.progress(under_test.name, finished)

    def play_alone(self, case: Case, impairments: Sequence[str]) -> Finished:
        """One case against a built-in endpoint of its own, in virtual time."""
        ended: list[Finished] = []
        label = f"{table.BUILTIN}/{case.id}"
        peer = Builtin(stream(self.seed, f"{label} peer"), impairments, self.pki.builtin if self.pki else None)
        begin = partial(self._begin, table.BUILTIN, _Traits(slow=self.slow))
        virtual.play(Conductor(peer, [case], begin, ended.append), peer)
        return ended[0]

    def daemons(self, name: PeerName, cases: Sequence[Case]) -> None:
        """Play cases against real daemons: one instance for each set of daemon options, all at once."""
        if self.lab is not Lab.AUTO or not guest.can_hold(name):
            self._play(name, cases, vm=self.lab is Lab.VM)
            return
        held: list[Finished] = []
        self._play(name, cases, held)
        if held:
            self._play(name, [finished.case for finished in held], vm=True)

    def _play(
        self, name: PeerName, cases: Sequence[Case], held: list[Finished] | None = None, *, vm: bool = False
    ) -> None:
        """Play them in one place. What is unsupported there goes into ``held`` instead of the records."""
        with Daemons(self.pki.daemon if self.pki else None, vm=vm) as daemons, EventLoop() as loop:
            groups = self._groups(name, cases)
            stages = [_Stage(daemons.start(name, options), group) for options, group in groups.items()]
            under_test = self.peer_under_test(name, stages[0].instance.peer.version, vm=vm)
            play = partial(self._phase, loop, daemons, under_test)
            first = play([(stage.instance, [stage.sanity("first", self.recorder)]) for stage in stages])
            for stage, passed in zip(stages, first, strict=True):
                stage.sane = passed
            play([(stage.instance, stage.cases) for stage in stages if stage.sane], held)
            play([(stage.instance, [stage.sanity("last", self.recorder)]) for stage in stages if stage.sane])
            for stage in stages:
                if not stage.sane:
                    file = File(under_test, self.recorder, self.progress)
                    conductor = self._conductor(loop, stage.instance, stage.cases, file, self.slow)
                    conductor.abandon(Verdict.INCONCLUSIVE, INSANE, loop.clock.now())

    def _phase(
        self,
        loop: EventLoop,
        daemons: Daemons,
        under_test: PeerUnderTest,
        groups: Sequence[tuple[Instance, Sequence[Case]]],
        held: list[Finished] | None = None,
    ) -> list[bool]:
        """Play the groups at once, and what came to nothing once more; for each, whether every case passed."""
        files = [File(under_test, self.recorder, self.progress, held) for _ in groups]
        self._round(loop, daemons, [(*group, file) for group, file in zip(groups, files, strict=True)])
        again = [(group[0], file.retries.begin(), file) for group, file in zip(groups, files, strict=True)]
        if again := [group for group in again if group[1]]:
            self._round(loop, daemons, again, second=True)
        return [all(verdict is Verdict.PASS for verdict in file.verdicts) for file in files]

    def _round(
        self,
        loop: EventLoop,
        daemons: Daemons,
        groups: Sequence[tuple[Instance, Sequence[Case], File]],
        *,
        second: bool = False,
    ) -> None:
        """Play each case of the groups once. Second tries have more patience and less company."""
        slow, jobs = (self.slow * PATIENT, self.jobs // FEWER) if second else (self.slow, self.jobs)
        posts = [
            Post(
                self._conductor(loop, instance, cases, file, slow),
                instance.wire,
                partial(daemons.restart, instance),
            )
            for instance, cases, file in groups
        ]
        for post, (_, _, file) in zip(posts, groups, strict=True):
            loop.add(post)
            post.start(slots.rested(file.ended), loop.clock.now(), max(1, jobs // len(posts)))
        loop.run_until(lambda: all(post.done for post in posts), RUN_CAP)
        for post in posts:
            loop.remove(post)
            post.abandon(f"the run was ended after {RUN_CAP:.0f} s", loop.clock.now())

    def _conductor(
        self, loop: EventLoop, instance: Instance, cases: Sequence[Case], file: File, slow: float
    ) -> Conductor:
        daemon = instance.peer
        traits = _Traits(daemon.raw_esp, _RETRANSMIT, daemon.without_children, daemon.without_kernel, slow)
        begin = partial(self._begin, file.under_test.name, traits)
        conductor = Conductor(instance.peer, cases, begin, file.take, loop.clock.now, slow=slow)
        file.conductor = conductor
        return conductor

    def _groups(self, name: PeerName, cases: Sequence[Case]) -> dict[DaemonOptions, list[Case]]:
        groups: dict[DaemonOptions, list[Case]] = {DaemonOptions(): []}
        options_for = table.PEERS[name.driver].options_for
        for case in cases:
            settings = both_ends(case, self._place(1, _Traits())).peer
            groups.setdefault(options_for(settings), []).append(case)
        return {options: group for options, group in groups.items() if group}

    def _begin(
        self, peer: str, traits: _Traits, case: Case, slot: int, now: Instant
    ) -> tuple[CaseRun, tuple[str, ...]]:
        place = self._place(slot, traits)
        return Run(case, place, stream(self.seed, f"{peer}/{case.id}"), now), slots.hosts(place)

    def _place(self, slot: int, traits: _Traits) -> Environment:
        certificates = self.pki.tester if self.pki else None
        place = slots.environment(
            slot, ip=self.ip, slow=traits.slow, retransmit=traits.retransmit, raw_esp=traits.raw_esp, pki=certificates
        )
        return replace(place, without_children=traits.without_children, without_kernel=traits.without_kernel)

    def peer_under_test(self, name: PeerName, version: str, *, vm: bool = False) -> PeerUnderTest:
        """The name of a peer in the report, with what is known of its driver."""
        known = expectations.load(self.folder, name.driver, Lab.VM if vm else Lab.HOST)
        return PeerUnderTest(str(name), version, known, vm)


def wall_clock_offset() -> float:
    """What to add to the monotonic clock to get the time of day."""
    return time.time() - time.monotonic()
