"""Source packages of Debian, fetched by apt with lists of its own, and what of them is of use here."""

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path

PACKAGES = ("wireshark", "tcpdump", "scapy", "libpcap", "strongswan", "libreswan", "ndpi", "suricata", "zeek")
"""Those that are known for captures with IPsec; not every release has all."""
CAPTURE = re.compile(r"\.(pcap|pcapng|cap|dmp|dump|trc)(\.gz)?$", re.IGNORECASE)
_KEYS = re.compile(r"(^|/)(esp_sa|ikev[12]_decryption_table)(\.tmpl)?$|-secrets\.txt$|(^|/)crypto\.tests$")
_LOG = re.compile(r"(^|/)(pluto\.log|[\w-]+\.console\.txt)$")
"""Logs of Libreswan, and what its test-bed has on its consoles."""
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_LARGEST = 1 << 26
"""Octets of a file that is unpacked."""
_MOST = 20_000


class FetchError(Exception):
    """A package could not be had, with the reason."""


def cache() -> Path:
    """Where packages and what is unpacked of them stay."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ipsectest" / "foreign"


def prepare(folder: Path, suites: Sequence[str] = ()) -> list[str]:
    """Options for apt with `deb-src` of the machine's own mirrors, whose sources stay as they are. FetchError.

    ``suites``: of other releases (``trixie``), instead of the machine's own.
    """
    listed = _run("apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME) $(ORIGIN)", "Created-By: Packages")
    mirrors = dict.fromkeys(line.rsplit(" ", 1)[0] for line in listed.splitlines() if line.endswith(" Debian"))
    if not mirrors:
        raise FetchError("apt names no mirror of Debian")
    if suites:
        signed = f"[signed-by={_KEYRING}] " if _KEYRING.exists() else ""
        mirrors = dict.fromkeys(f"{signed}{next(iter(mirrors)).split()[0]} {suite}" for suite in suites)
    for name in ("lists/partial", "archives/partial"):
        (folder / "apt" / name).mkdir(parents=True, exist_ok=True)
    (folder / "sources.list").write_text("".join(f"deb-src {mirror} main\n" for mirror in mirrors))
    settings = {
        "Dir::Etc::SourceList": folder / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": folder / "apt" / "lists",
        "Dir::Cache": folder / "apt",
        "APT::Sandbox::User": "root",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run("apt-get", *options, "-q", "update")
    return options


def fetch(package: str, options: list[str], folder: Path) -> str:
    """Unpack captures and key files of a package; its version. FetchError."""
    place = folder / "packages"
    place.mkdir(exist_ok=True)
    _run("apt-get", *options, "-q", "source", "--download-only", "--tar-only", package, folder=place)
    found = _run("apt-get", *options, "-q", "source", "--print-uris", "--tar-only", package)
    names = re.findall(r"\s(\S+\.orig(?:-\w+)?\.tar\.\w+)\s", found)
    if not names:
        raise FetchError("there is no archive of its source")
    for name in names:
        unpack(place / name, folder / "unpacked" / package)
    return names[0].rsplit("_", 1)[-1].split(".orig")[0]


def unpack(archive: Path, folder: Path) -> int:
    """The captures, key files and logs of an archive, below ``folder``; how many."""
    count = 0
    with tarfile.open(archive) as tar:
        for member in tar:
            path = member.name
            if not member.isfile() or member.size > _LARGEST or count >= _MOST:
                continue
            if any(kind.search(path) for kind in (CAPTURE, _KEYS, _LOG)) and ".." not in Path(path).parts:
                content = tar.extractfile(member)  # Python 3.11.2 has no filter for `extract`
                target = folder / path.lstrip("/")
                if content is None or not target.resolve().is_relative_to(folder.resolve()):
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    shutil.copyfileobj(content, file)
                count += 1
    return count


def captures(folder: Path) -> Iterator[Path]:
    """Every capture that was unpacked below a folder."""
    return (path for path in sorted(folder.rglob("*")) if CAPTURE.search(path.name) and path.is_file())


def logs(folder: Path) -> Iterator[Path]:
    """Every log that was unpacked below a folder."""
    return (path for path in sorted(folder.rglob("*")) if _LOG.search(path.name) and path.is_file())


def _run(*command: str, folder: Path | None = None) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        why = [line for line in done.stderr.splitlines() if line.startswith("E:")] or done.stderr.splitlines()
        raise FetchError(why[0] if why else f"{command[0]} failed")
    return done.stdout
