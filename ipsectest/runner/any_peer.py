"""A peer as a command line says it, a name or the file of a remote one, and how cases are played against it."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ipsectest.peers import table
from ipsectest.peers.names import PeerName
from ipsectest.peers.remote import load
from ipsectest.peers.remote.description import Remote
from ipsectest.runner.session import Session
from ipsectest.scenario.model import Case

AnyPeer = PeerName | Remote


def parse(text: str, now: datetime) -> AnyPeer:
    """UsageError or InputError say what is wrong; certificates are checked at ``now``."""
    return load.load(Path(text), now) if load.is_file(text) else table.parse(text)


def is_builtin(peer: AnyPeer) -> bool:
    """Whether it is our own endpoint in memory."""
    return isinstance(peer, PeerName) and peer.driver == table.BUILTIN


def needs_lab(peer: AnyPeer) -> bool:
    """Whether it is a daemon that we start."""
    return isinstance(peer, PeerName) and not is_builtin(peer)


def play(session: Session, peer: AnyPeer, cases: Sequence[Case]) -> None:
    """Play cases and hand the results to the recorder of the session."""
    if isinstance(peer, Remote):
        from ipsectest.runner.remote import session as remote  # noqa: PLC0415 - only for those who have one

        remote.play(session, peer, cases)
    elif is_builtin(peer):
        session.memory(cases)
    else:
        session.daemons(peer, cases)
