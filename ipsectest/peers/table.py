"""The peers there are: a literal table of names, where each comes from and how it is started."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ipsectest.base.errors import PeerError, UsageError
from ipsectest.peers import libreswan, libreswan_settings, rootfs, strongswan, strongswan_settings
from ipsectest.peers.daemon import Driver
from ipsectest.peers.libreswan import Libreswan
from ipsectest.peers.names import HOST, PeerName
from ipsectest.peers.options import DaemonOptions
from ipsectest.peers.rootfs import Progress, Recipe, Tree
from ipsectest.peers.strongswan import StrongSwan
from ipsectest.scenario import profile_files
from ipsectest.scenario.ports import PeerSettings
from ipsectest.scenario.profile import Profile


@dataclass(frozen=True, slots=True)
class DaemonPeer:
    """A real daemon: the suites its tree can be made from (the default first) and its driver."""

    recipe: Recipe
    suites: tuple[str, ...]
    program: str
    driver: Driver
    options_for: Callable[[PeerSettings], DaemonOptions]
    """The instance a case needs."""
    user_space_esp: bool = False
    """Whether it can do without the ESP of a kernel."""


BUILTIN = "builtin"
"""Our own endpoint in memory: no daemon, no tree, no root."""

PEERS: dict[str, DaemonPeer] = {
    "strongswan": DaemonPeer(
        strongswan.RECIPE,
        ("trixie", "bookworm", "forky"),
        strongswan.PROGRAM,
        StrongSwan,
        strongswan_settings.options_for,
        user_space_esp=True,
    ),
    "libreswan": DaemonPeer(
        libreswan.RECIPE, ("trixie", "bookworm"), libreswan.PROGRAM, Libreswan, libreswan_settings.options_for
    ),
}


def parse(text: str, *, profiles: bool = False) -> PeerName:
    """A name as typed, the default suite filled in; UsageError says what there is instead.

    ``profiles``: whether the built-in peer may be asked to speak like somebody (``builtin@aws``).
    """
    driver, _, place = text.partition("@")
    known = [*PEERS, BUILTIN]
    if driver not in known:
        near = difflib.get_close_matches(driver, known, n=1)
        raise UsageError(
            f"no peer {driver!r}" + (f", did you mean {near[0]!r}?" if near else f" (there are {', '.join(known)})")
        )
    if driver == BUILTIN:
        return _speaking_like(place, profiles=profiles) if place else PeerName(BUILTIN)
    suites = PEERS[driver].suites
    if place and place not in {*suites, HOST}:
        raise UsageError(f"no {driver} from {place!r} (there are {', '.join([*suites, HOST])})")
    return PeerName(driver, place or suites[0])


def _speaking_like(profile: str, *, profiles: bool) -> PeerName:
    """The built-in peer with a profile."""
    known = profile_files.named(profile)  # no such one is told first
    if not profiles:
        raise UsageError(
            f"{BUILTIN}@{profile} ({known.title}) is for interop and lab up: here write just {BUILTIN!r}, "
            "scenarios say themselves what it is told"
        )
    return PeerName(BUILTIN, profile)


def profile_of(name: PeerName) -> Profile | None:
    """What the built-in peer of this name speaks like; None for itself, and for daemons."""
    return profile_files.named(name.place) if name.driver == BUILTIN and name.place else None


def speaking() -> list[PeerName]:
    """The built-in peer with each profile there is."""
    return [PeerName(BUILTIN, profile) for profile in profile_files.files()]


def names() -> list[PeerName]:
    """Every daemon that can be asked for, and the built-in peer as itself."""
    return [PeerName(BUILTIN), *(PeerName(d, place) for d, peer in PEERS.items() for place in (*peer.suites, HOST))]


def needs_tree(name: PeerName) -> bool:
    """Whether it runs in a root file system of its own."""
    return name.driver != BUILTIN and name.place != HOST


def install(name: PeerName, progress: Progress = lambda _line: None) -> Tree:
    """The tree of a peer, built first if need be; UsageError for a peer that needs none."""
    if not needs_tree(name):
        raise UsageError(f"{name} needs no root file system")
    return rootfs.install(name, PEERS[name.driver].recipe, progress)


def root_of(name: PeerName) -> Path | None:
    """The root file system to run a daemon peer in, None for the host's own; PeerError says how to get it."""
    if name.place == HOST:
        peer = PEERS[name.driver]
        if not Path(peer.program).exists():
            instead = ", ".join(f"{name.driver}@{suite}" for suite in peer.suites)
            raise PeerError(
                f"{peer.program} is not installed on this host (Debian's package: {peer.recipe.main}); "
                f"in a tree of its own: {instead}"
            )
        return None
    tree = rootfs.find(name)
    if tree is None:
        raise PeerError(f"{name} is not installed: ipsectest peers install {name}")
    return tree.root
