"""Building trees, with a small program in the place of mmdebstrap."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ipsectest.base.errors import PeerError
from ipsectest.peers import rootfs
from ipsectest.peers.apt import AptSettings
from ipsectest.peers.names import PeerName
from ipsectest.peers.rootfs import Recipe

NAME = PeerName("daemon", "trixie")
RECIPE = Recipe("daemon", ("daemon", "plugins"))
STATUS = """\
Package: dae
Version: 0

Package: daemon
Status: install ok installed
Version: 6.0.1-6

Package: x
Version: 9
"""
BUILDER = """#!/bin/sh
for last; do target=$previous; previous=$last; done
case $last in http*) ;; *) target=$last;; esac
echo "I: working"
%s
mkdir -p "$target/var/lib/dpkg"
printf '%%s' '{status}' > "$target/var/lib/dpkg/status"
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("IPSECTEST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        rootfs, "host_settings", lambda: AptSettings("http://mirror.example/debian", "Acquire::Retries 3;\n")
    )
    return tmp_path / "cache"


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: str = "", status: str = STATUS) -> None:
    place = tmp_path / "bin"
    place.mkdir(exist_ok=True)
    program = place / "mmdebstrap"
    program.write_text((BUILDER % extra).format(status=status))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}{os.pathsep}{os.environ['PATH']}")


def test_a_tree_is_built_once_and_removed(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch)
    said: list[str] = []
    tree = rootfs.install(NAME, RECIPE, said.append)
    assert (tree.name, tree.version) == ("daemon@trixie", "6.0.1-6")
    assert (tree.root / "var/lib/dpkg/status").exists()
    assert any("working" in line for line in said)
    assert rootfs.installed() == [tree]
    fake(tmp_path, monkeypatch, "exit 1")
    assert rootfs.install(NAME, RECIPE) == tree  # nothing is built the second time
    assert rootfs.remove(NAME)
    assert rootfs.installed() == []
    assert not rootfs.remove(NAME)
    assert [path.name for path in (cache / "peers").iterdir()] == [".daemon@trixie.lock"]


def test_the_proxy_settings_stay_out_of_the_tree(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch)
    rootfs.install(NAME, RECIPE)
    assert not [path for path in cache.rglob("*") if path.is_file() and "Retries" in path.read_text()]


@pytest.mark.parametrize(
    ("extra", "status", "message"),
    [
        ("echo 'E: something broke'; exit 3", STATUS, "something broke"),
        ("echo 'W: NO_PUBKEY 6ED0E7B82643E131'; echo 'E: apt failed'; exit 1", STATUS, "debian-archive-keyring"),
        ("echo 'E: Failed to fetch http://x  Could not resolve x'; exit 1", STATUS, "mirror cannot be reached"),
        ("exit 1", STATUS, "working"),
        ("", "Package: other\nVersion: 1\n", "without daemon"),
    ],
)
def test_a_failed_build_says_why_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, extra: str, status: str, message: str
) -> None:
    fake(tmp_path, monkeypatch, extra, status)
    with pytest.raises(PeerError, match=message) as raised:
        rootfs.install(NAME, RECIPE)
    assert "\n" not in str(raised.value)
    assert rootfs.installed() == []
    assert [path.name for path in (tmp_path / "cache/peers").iterdir()] == [".daemon@trixie.lock"]


def test_a_killed_build_is_swept_by_the_next(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path, monkeypatch, 'mkdir -p "$target/half"; kill -9 $PPID; kill -9 $$')
    script = (
        "from ipsectest.peers import rootfs; from ipsectest.peers.names import PeerName;"
        "rootfs.install(PeerName('daemon', 'trixie'), rootfs.Recipe('daemon', ('daemon',)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=False)
    assert done.returncode == -9
    assert list((cache / "peers").glob(".building-*/tree/half"))
    assert rootfs.installed() == []
    fake(tmp_path, monkeypatch)
    tree = rootfs.install(NAME, RECIPE)
    assert rootfs.installed() == [tree]
    assert not list((cache / "peers").glob(".building-*"))


def test_two_builders_of_one_name_build_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    fake(tmp_path, monkeypatch, f"echo x >> {tmp_path}/builds; read line < {go}")
    waiting = threading.Event()
    trees: list[rootfs.Tree] = []

    def build(progress: rootfs.Progress) -> None:
        trees.append(rootfs.install(NAME, RECIPE, progress))

    started = threading.Event()
    first = threading.Thread(target=build, args=(lambda line: started.set() if "working" in line else None,))
    first.start()
    assert started.wait(10)
    second = threading.Thread(target=build, args=(lambda line: waiting.set() if "waiting" in line else None,))
    second.start()
    assert waiting.wait(10)
    go.write_text("go\n")
    first.join(10)
    second.join(10)
    assert len(trees) == 2
    assert trees[0] == trees[1]
    assert (tmp_path / "builds").read_text() == "x\n"


def test_without_mmdebstrap_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(PeerError, match="apt-get install mmdebstrap"):
        rootfs.install(NAME, RECIPE)


def test_the_command_names_suite_tree_and_mirror_last(tmp_path: Path) -> None:
    settings = AptSettings("http://mirror.example/debian", "")
    command = rootfs.mmdebstrap_command("trixie", RECIPE, tmp_path, settings, tmp_path / "o")
    assert command[-3:] == ["trixie", str(tmp_path), "http://mirror.example/debian"]
    assert "--include=daemon,plugins" in command
    elsewhere = rootfs.mmdebstrap_command("trixie", RECIPE, tmp_path, AptSettings(None, ""), tmp_path / "o")
    assert elsewhere[-2:] == ["trixie", str(tmp_path)]
