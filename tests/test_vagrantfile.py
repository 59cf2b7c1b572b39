"""The Vagrantfile is one that Vagrant takes, and sets up every peer that there is."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ipsectest.peers import table
from ipsectest.peers.names import HOST

FILE = Path(__file__).parent.parent / "Vagrantfile"


def test_it_sets_up_every_peer_of_a_suite() -> None:
    listed = re.search(r"PEERS = %w\[(.*?)\]", FILE.read_text(), re.DOTALL)
    assert listed
    named = {str(name) for name in map(table.parse, listed[1].split())}
    assert named == {str(name) for name in table.names() if name.place not in {"", HOST}}


def test_vagrant_takes_it(tmp_path: Path) -> None:
    vagrant = shutil.which("vagrant")
    if not vagrant:
        pytest.skip("vagrant is not installed")
    place = {**os.environ, "HOME": str(tmp_path), "VAGRANT_HOME": str(tmp_path), "VAGRANT_CWD": str(FILE.parent)}
    place["VAGRANT_DOTFILE_PATH"] = str(tmp_path / "dot")
    done = subprocess.run(
        [vagrant, "validate", "--ignore-provider"], env=place, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
