"""Namespaces whose journal is gone: found by `ipsectest lab clean`, but not those that somebody still uses.

All of it in a mount namespace of our own, whose list of network namespaces has nobody else's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.two_namespaces import require_lab

pytestmark = pytest.mark.lab

SCRIPT = """
import json, os, shutil, subprocess, sys
from pathlib import Path
from ipsectest.cli.main import main
from ipsectest.lab import Lab, mounts
from ipsectest.lab.orphans import remove_orphans

runtime = Path(os.environ["IPSECTEST_RUNTIME"])
Path("/run/netns").mkdir(exist_ok=True)
mounts.mount("tmpfs", "/run/netns", "tmpfs")

def names():
    return sorted(path.name.rpartition("-")[2] for path in Path("/run/netns").iterdir())

def child(directory, name):
    environment = os.environ | {"IPSECTEST_RUNTIME": str(directory)}
    code = f"from ipsectest.lab import Lab; made = Lab().namespace('{name}'); print(made.name, flush=True); input()"
    started = subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    return started, started.stdout.readline().strip()

steps = {}
with Lab() as lab:
    lab.namespace("mine")
    elsewhere, _ = child(runtime / "elsewhere", "elsewhere")
    lost, _ = child(runtime / "lost", "lost")
    shutil.rmtree(runtime / "lost")
    inhabited, name = child(runtime / "inhabited", "inhabited")
    command = ["nsenter", f"--net=/run/netns/{name}", "sh", "-c", "echo; exec sleep 600"]
    inside = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert inside.stdout.readline()
    Path("/run/netns/ipsectest-0-unfinished").touch()
    Path("/run/netns/foreign").touch()
    steps["alive"] = [str(one) for one in remove_orphans()], names()
    for one in (lost, inhabited):
        one.kill()
        one.wait()
    shutil.rmtree(runtime / "inhabited")
    steps["lost"] = [one.name.rpartition("-")[2] for one in remove_orphans()], names()
    inside.kill()
    inside.wait()
    elsewhere.kill()
    elsewhere.wait()
    steps["command"] = main(["lab", "clean"]), names()
print(json.dumps(steps))
"""


def test_orphans_go_and_what_is_used_stays(tmp_path: Path) -> None:
    require_lab("unshare", "nsenter")
    for name in ("elsewhere", "lost", "inhabited"):
        (tmp_path / name).mkdir()
    done = subprocess.run(
        ["unshare", "--mount", "--propagation=private", sys.executable, "-c", SCRIPT],
        env=os.environ | {"IPSECTEST_RUNTIME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode and "unshare:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    said, steps = done.stdout.splitlines()[:-1], json.loads(done.stdout.splitlines()[-1])
    always = ["foreign", "mine", "unfinished"]
    assert steps["alive"] == [[], sorted([*always, "elsewhere", "inhabited", "lost"])]
    assert steps["lost"] == [["lost"], sorted([*always, "elsewhere", "inhabited"])]
    assert steps["command"] == [0, always]
    assert sorted(line.rpartition("-")[2] for line in said if "namespace" in line) == ["elsewhere", "inhabited"]
