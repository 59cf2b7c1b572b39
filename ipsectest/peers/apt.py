"""Where this host's apt gets its packages: the mirror, the proxies, the date checks it skips.

Asked from apt itself, so that one-line lists, deb822 files and every configuration fragment count alike.
"""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

_CARRIED = re.compile(r"Acquire::(?:https?::.*|ftp::.*|Retries|Check-Valid-Until|Check-Date|ForceIPv[46])$")
_SECTION = re.compile(r"[A-Za-z0-9:/_.-]+$")


@dataclass(frozen=True, slots=True)
class AptSettings:
    """What a new Debian tree needs to know of the host."""

    mirror: str | None
    """URI of the Debian archive; None where the host has none (it is no Debian): mmdebstrap's own default."""
    options: str
    """Lines of apt.conf: proxies, certificate authorities, retries, date checks."""


def host_settings() -> AptSettings:
    """Read the settings; a host without apt gives the defaults."""
    targets = _output("apt-get", "indextargets", "--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages")
    return AptSettings(debian_mirror(targets) if _is_debian() else None, carried_options(_output("apt-config", "dump")))


def debian_mirror(targets: str) -> str | None:
    """The first ``main`` archive of an ``apt-get indextargets`` listing that is not the security archive."""
    for line in targets.splitlines():
        uri, _, component = line.partition(" ")
        if component == "main" and uri.startswith(("http://", "https://", "file:", "copy:")) and "security" not in uri:
            return uri.rstrip("/")
    return None


def carried_options(dump: str) -> str:
    """The lines of ``apt-config dump`` that say how to reach an archive."""
    lines: list[str] = []
    for line in dump.splitlines():
        name, _, value = line.partition(" ")
        if _CARRIED.match(name) and _SECTION.match(name) and value not in {'"";', ""}:
            lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def _is_debian() -> bool:
    release = Path("/etc/os-release")
    return release.exists() and re.search(r"^ID=\"?debian\"?$", release.read_text(), re.MULTILINE) is not None


def _output(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 - fixed words
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout
