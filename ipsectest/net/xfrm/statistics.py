"""Why a namespace dropped packets: the counters of /proc/net/xfrm_stat."""

from pathlib import Path
from threading import Thread

from pyroute2 import netns as namespaces

from ipsectest.net.xfrm.errors import XfrmError


def statistics(netns: str | None = None) -> dict[str, int]:
    """The counters of a namespace by name (``XfrmInNoStates``, ...), here or in ``netns``.

    Raises XfrmError where the namespace cannot be entered or the kernel has no such statistics.
    """
    texts: list[str] = []
    failures: list[OSError] = []

    def read() -> None:
        try:
            if netns is not None:
                namespaces.setns(netns, flags=0)  # moves this thread only, which ends here
            texts.append(Path("/proc/thread-self/net/xfrm_stat").read_text(encoding="ascii"))
        except OSError as error:
            failures.append(error)

    thread = Thread(target=read, name="xfrm statistics")
    thread.start()
    thread.join()
    for failure in failures:
        raise XfrmError(failure.errno or 0, request="reading xfrm_stat") from failure
    return parse_statistics(texts[0])


def parse_statistics(text: str) -> dict[str, int]:
    """Lines of a name and a number; others are ignored."""
    lines = (line.split() for line in text.splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}
