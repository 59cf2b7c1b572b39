"""Debian root file systems for peer daemons, made by mmdebstrap under the user's cache directory.

One tree per daemon and suite: no service is installed on this machine, packages never conflict, versions stand side
by side. Trees are pristine and shared read-only; instances bring their own ``/run`` (``lab.mounts.furnish``).
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ipsectest.base.errors import PeerError
from ipsectest.peers.apt import AptSettings, host_settings
from ipsectest.peers.names import PeerName

_BUILDING = ".building-"
_ROOM_NEEDED = 600 << 20
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

Progress = Callable[[str], None]
"""Told one line of what is going on, now and then."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which packages make a tree; ``main`` is the one whose version is the peer's."""

    main: str
    packages: tuple[str, ...]
    unpack_only: bool = False
    """For trees that nobody enters: no package is configured; the file ``packages`` lists the archives unpacked."""


@dataclass(frozen=True, slots=True)
class Tree:
    """An installed root file system."""

    name: str
    """Such as ``strongswan@trixie``."""
    root: Path
    version: str
    """Version of the main package, with Debian's revision."""
    seconds: float
    """How long the build took."""


def cache_directory() -> Path:
    """``IPSECTEST_CACHE``, else ``ipsectest`` in the user's cache directory."""
    if given := os.environ.get("IPSECTEST_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ipsectest"


def installed() -> list[Tree]:
    """The trees that are complete, by name."""
    return [tree for path in sorted(_peers().glob("*@*")) if (tree := _read(path))]


def find(name: PeerName) -> Tree | None:
    """The tree of that name, if it is installed."""
    return _read(_peers() / str(name))


def install(name: PeerName, recipe: Recipe, progress: Progress = lambda _line: None) -> Tree:
    """Build the tree of that name unless it is there; PeerError says in one line what went wrong.

    An interrupted build leaves nothing that counts: the tree gets its name only when complete.
    """
    if not shutil.which("mmdebstrap"):
        raise PeerError("mmdebstrap is missing: apt-get install mmdebstrap")
    _peers().mkdir(parents=True, exist_ok=True)
    with _locked(name, progress):
        if tree := find(name):
            return tree
        _sweep(str(name))
        if shutil.disk_usage(_peers()).free < _ROOM_NEEDED:
            raise PeerError(f"less than {_ROOM_NEEDED >> 20} MiB free in {_peers()}")
        building = Path(tempfile.mkdtemp(prefix=f"{_BUILDING}{name}-", dir=_peers()))
        building.chmod(0o755)  # a daemon that drops its privileges has to walk through
        try:
            return _build(name, recipe, building, progress)
        finally:
            _delete(building)


def remove(name: PeerName) -> bool:
    """Delete a tree; False if there is none."""
    path = _peers() / str(name)
    if not path.exists():
        return False
    grave = Path(tempfile.mkdtemp(prefix=_BUILDING, dir=_peers()))
    path.rename(grave / "tree")  # at once invisible, even if the deletion is interrupted
    _delete(grave)
    return True


def package_version(root: Path, package: str) -> str:
    """Version of a package as dpkg's status file or the list of what was unpacked has it; empty if it is not there."""
    unpacked = root / "packages"
    if unpacked.exists():
        parts = (name.split("_") for name in unpacked.read_text().split())
        return next((version.replace("%3a", ":") for name, version, _ in parts if name == package), "")
    found = False
    with (root / "var/lib/dpkg/status").open(encoding="utf-8", errors="replace") as status:
        for line in status:
            if line.startswith("Package: "):
                found = line.strip() == f"Package: {package}"
            elif found and line.startswith("Version: "):
                return line.split(maxsplit=1)[1].strip()
    return ""


def mmdebstrap_command(suite: str, recipe: Recipe, target: Path, settings: AptSettings, options: Path) -> list[str]:
    """The build as a command line; ``options`` is a file of apt.conf lines."""
    variant = "extract" if recipe.unpack_only else "minbase"
    command = ["mmdebstrap", f"--variant={variant}", f"--include={','.join(recipe.packages)}"]
    if recipe.unpack_only:
        command.append('--extract-hook=cd "$1"/var/cache/apt/archives && ls *.deb >"$1"/packages')
    command += [f"--aptopt={options}", '--aptopt=Acquire::Languages "none"']
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    # The host's proxies may carry a password; they have no business in the tree.
    command += ['--customize-hook=rm -f "$1"/etc/apt/apt.conf.d/99mmdebstrap', "--format=directory"]
    return [*command, suite, str(target), *([settings.mirror] if settings.mirror else [])]


def _build(name: PeerName, recipe: Recipe, building: Path, progress: Progress) -> Tree:
    settings = host_settings()
    options = building / "apt.conf"
    options.touch(0o600)
    options.write_text(settings.options)
    progress(f"building {name} ({', '.join(recipe.packages[:2])} ...) from {settings.mirror or 'the default mirror'}")
    begin = time.monotonic()
    _run(mmdebstrap_command(name.place, recipe, building / "tree", settings, options), name, progress)
    version = package_version(building / "tree", recipe.main)
    if not version:
        raise PeerError(f"{name}: the tree was built without {recipe.main}")
    final = _peers() / str(name)
    tree = Tree(str(name), final / "tree", version, round(time.monotonic() - begin, 1))
    options.unlink()
    (building / "tree.json").write_text(json.dumps({**asdict(tree), "root": "tree"}))
    building.rename(final)
    progress(f"built {name}: {recipe.main} {version} in {tree.seconds} s")
    return tree


def _run(command: list[str], name: PeerName, progress: Progress) -> None:
    tail: deque[str] = deque(maxlen=40)
    with subprocess.Popen(  # noqa: S603 - no shell, words of our own
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as child:
        try:
            for line in child.stdout or ():
                tail.append(line.strip())
                if line.startswith("I: "):
                    progress(f"{name}: {line[3:].strip()}")
        except BaseException:  # Ctrl-C: mmdebstrap has its own session and must hear of it, to unmount and to end
            os.killpg(child.pid, signal.SIGINT)
            raise
    if child.returncode:
        raise PeerError(f"{name} could not be built: {explain_failure(tail)}")


def explain_failure(lines: deque[str] | list[str]) -> str:
    """One sentence from the last lines of a failed mmdebstrap."""
    text = "\n".join(lines)
    if "NO_PUBKEY" in text or "is not signed" in text:
        return "this host does not know the key of that suite (upgrade the package debian-archive-keyring)"
    if "Could not resolve" in text or "Failed to fetch" in text or "Could not connect" in text:
        return "the mirror cannot be reached: " + next(
            line for line in lines if "Could not" in line or "Failed" in line
        )
    errors = [line for line in lines if line.startswith("E: ")] or list(lines)
    return errors[0] if errors else "mmdebstrap failed without a word"


def _peers() -> Path:
    return cache_directory() / "peers"


def _read(path: Path) -> Tree | None:
    try:
        facts = json.loads((path / "tree.json").read_text())
        return Tree(facts["name"], path / facts["root"], facts["version"], facts["seconds"])
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def _locked(name: PeerName, progress: Progress) -> Iterator[None]:
    """One build of a name at a time on this cache."""
    with (_peers() / f".{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress(f"{name} is being built by another run: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sweep(name: str) -> None:
    """Delete what builds of this name that were killed have left; we hold its lock, so none is running."""
    for path in _peers().glob(f"{_BUILDING}{name}-*"):
        _delete(path)


def _delete(path: Path) -> None:
    if not path.exists():
        return
    if os.geteuid() == 0 or path.stat().st_uid != os.geteuid() or not (path / "tree").exists():
        shutil.rmtree(path, ignore_errors=True)
        return
    # Files of a tree made without root belong to our subordinate user ids: delete them from where those are ours.
    wrapped = ["unshare", "--map-auto", "--map-root-user", "--", "rm", "-rf", "--one-file-system", str(path)]
    subprocess.run(wrapped, stdin=subprocess.DEVNULL, timeout=120, check=False)  # noqa: S603
