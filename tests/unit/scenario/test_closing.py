"""What is sent when a case is over: to a shared peer everything that leaves it clean."""

from dataclasses import replace
from pathlib import Path

from ipsectest.peers.builtin import Builtin
from ipsectest.runner import slots, virtual
from ipsectest.runner.conductor import Conductor, Finished
from ipsectest.runner.seed import stream
from ipsectest.scenario.load import load
from ipsectest.scenario.ports import Counter, PeerRequest, PeerSettings, Verb
from ipsectest.scenario.run import Run

HALF = """
-> IKE_SA_INIT  ...
<- IKE_SA_INIT  SA KE Nr ...
"""


class Kept(Builtin):
    """Counts what it has before it forgets a case."""

    left = -1

    def forget(self, settings: PeerSettings) -> None:
        asked = [PeerRequest(1, Verb.COUNTER, settings, counter=c) for c in (Counter.IKE_SAS, Counter.HALF_OPEN)]
        self.left = sum(self.perform(one) or 0 for one in asked)
        super().forget(settings)


def left_by(script: str, folder: Path, *, shared: bool) -> int:
    path = folder / "case.toml"
    path.write_text(f"title = \"x\"\ntests = \"responder\"\nscript = '''{script}'''\n")
    place = replace(slots.environment(1), shared=shared)
    peer = Kept(stream(1, "peer"))
    ended: list[Finished] = []

    def begin(case: object, slot: int, now: float) -> tuple[Run, tuple[str, ...]]:
        return Run(load(path).cases[0], place, stream(1, "us"), now), slots.hosts(place)

    virtual.play(Conductor(peer, load(path).cases, begin, ended.append), peer)
    return peer.left


def test_nothing_half_open_is_left_at_a_shared_peer(tmp_path: Path) -> None:
    assert left_by(HALF, tmp_path, shared=True) == 0


def test_a_peer_of_our_own_is_not_asked_for_more_than_a_delete(tmp_path: Path) -> None:
    assert left_by(HALF, tmp_path, shared=False) == 1
