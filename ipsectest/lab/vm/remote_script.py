"""A script in a guest that another process keeps, its output shown as it comes, ended by Ctrl-C."""

from collections.abc import Callable
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.channel import Channel, script

_END_CAP = 10.0


def carry_out(channel: Path, watch: Path, text: str, sink: Callable[[bytes], object], seconds: float) -> int:
    """Run a shell script; its exit status. LabError if it does not end in time.

    ``watch`` is a channel beside, over which it is ended then, and at a KeyboardInterrupt, which goes on.
    """
    guest = Channel(channel, 0)
    try:
        guest.start(script(text), sink=sink)
        result = guest.result(seconds)
        if result is None:
            _end(watch, guest)
            raise LabError(f"the command does not end within {seconds:.0f} s")
    except KeyboardInterrupt:
        _end(watch, guest)
        raise
    finally:
        guest.close()
    return result.status


def _end(watch: Path, guest: Channel) -> None:
    beside = Channel(watch, 0)
    try:
        beside.ask(f"end_request {guest.token}", timeout=_END_CAP)
        guest.result(_END_CAP)
    finally:
        beside.close()
