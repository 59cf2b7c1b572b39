"""What the kernels of Libreswan and strongSwan count of a bad link, of lost state and of lost policy; in the lab VM."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from ipsectest.runner.testbed.testbed import Testbed as Bed  # by its own name pytest would collect it
from tests.peers.test_explain_failures import explained, failed
from tests.peers.test_testbed_guest import done, opened

__all__ = ["opened"]
pytestmark = [pytest.mark.lab, pytest.mark.peer, pytest.mark.slow]

ENDS = {"left": "192.0.2.1", "right": "192.0.2.2"}
INNER = {"left": "198.51.100.1", "right": "203.0.113.1"}
_TRIES = 25
_PACKETS = re.compile(r"(\d+)\(bytes\), (\d+)\(packets\)")


@pytest.fixture
def bed(opened: Callable[..., AbstractContextManager[Bed]]) -> Iterator[Bed]:
    with opened("bad-link", 4, left="libreswan", right="strongswan") as testbed:
        yield testbed


def counters(bed: Bed, folder: Path, name: str) -> Path:
    status, said = bed.guests[name].run("ip -s xfrm state; cat /proc/net/xfrm_stat")
    assert status == 0
    path = folder / f"{name}.counters"
    path.write_text(said)
    return path


def ping(bed: Bed, code: str, folder: Path, capsys: pytest.CaptureFixture) -> dict[str, Any]:
    """What is told of the right kernel once echo requests, of which some get lost, have made it count that."""
    bed.guests["left"].run(f"ping -c 8 -i 0.05 -W 0.1 -I {INNER['left']} {INNER['right']}")
    told: dict[str, Any] = {}
    for _ in range(_TRIES):
        done(bed, "wait 0.2")  # the link between the guest's ends is ours
        told = explained(capsys, counters(bed, folder, "right"))
        if of(told, code):
            break
    return told


def of(told: dict[str, Any], code: str, who: str = "") -> list[str]:
    return [one["text"] for one in told["findings"] if one["code"] == code and who in one["who"]]


def packets(path: Path, source: str) -> int:
    """Of the SA whose packets come from an address, and go between IPv4 hosts."""
    (state,) = (text for text in path.read_text().split("\nsrc ") if text.removeprefix("src ").startswith(f"{source} "))
    found = _PACKETS.search(state)
    assert found
    return int(found[2])


def test_counters_of_both_kernels_tell_what_a_capture_tells(
    bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    done(bed, "up", "ping 40")
    files = [counters(bed, tmp_path, name) for name in ENDS]
    told = explained(capsys, *files)
    assert failed(told) == ["packets-lost", "packets-lost"]
    lost = {}
    for near, far in (files, files[::-1]):
        ours, theirs = (ENDS[path.stem] for path in (near, far))
        sent, taken = packets(near, ours), packets(far, ours)
        assert sent > taken
        (text,) = of(told, "packets-lost", f"{ours} > {theirs}")
        lost[ours] = sent - taken
        assert text.startswith(f"{lost[ours]} of {sent} packets of {ours} did not come to {theirs}")
    # One file alone knows what came twice, not what never came.
    replays = [text for path in files for text in of(explained(capsys, path), "packets-replayed")]
    assert sorted(replays) == sorted(of(told, "packets-replayed"))
    assert replays
    # The capture stands behind the link in one direction, and does not know what was lost at the very end.
    (capture,) = (tmp_path / "folder" / "captures").glob("*.pcapng")
    (seen,) = of(explained(capsys, capture), "packets-lost")
    assert 0 < int(seen.split()[0]) <= max(lost.values())


def test_sas_and_policies_that_are_gone(bed: Bed, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    done(bed, "up", "ping")
    bed.guests["right"].run("ip xfrm state deleteall")
    told = ping(bed, "unknown-spi", tmp_path, capsys)
    assert of(told, "unknown-spi")
    assert not failed(told)
    # What it wants protected comes in clear.
    bed.guests["left"].run("ip xfrm policy deleteall")
    assert of(ping(bed, "refused-by-policy", tmp_path, capsys), "refused-by-policy")
