"""Running our own tests in a guest of the lab VM: the interpreter, the packages and the tests go in as one archive."""

import os
import shutil
import subprocess
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree as ET

from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.selection import Selection

ROOT = Path(__file__).parent.parent.parent
PACKAGES = (
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pygments",
    "py",
    "pyroute2",
    "cryptography",
    "cffi",
    "_cffi_backend",
    "lark",
    "vici",
)
LEFT_OUT = (
    "__pycache__",
    "test",
    "idlelib",
    "ensurepip",
    "tkinter",
    "site-packages",
    "lib2to3",
    f"config-{sys.version_info[0]}.{sys.version_info[1]}-x86_64-linux-gnu",
)
_COMPILE = """
import importlib.util, py_compile, sys, pytest
pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *sys.argv[1:]])
for module in list(sys.modules.values()):
    source = getattr(module, "__file__", None)
    if source and source.endswith(".py"):
        place = importlib.util.cache_from_source(source)
        py_compile.compile(source, place, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
"""
"""Compiling what is imported takes most of a minute in the guest; times of files are lost on the way there."""
MODULES = "tun veth dummy xfrm_user esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm_interface nf_tables nft_chain_nat nft_masq"


def _place(name: str) -> Path:
    """The directory of a package, the file of a module."""
    spec = find_spec(name)
    assert spec
    assert spec.origin
    origin = Path(spec.origin)
    return origin.parent if origin.name == "__init__.py" else origin


def bring_python(machine: Machine, *tests: Path) -> str:
    """Put this interpreter and the tests into the guest; gives the directory there to chroot to."""
    selection = Selection(Path("/"))
    programs = [shutil.which(name) or name for name in ("ip", "ping", "env", "sh", "nft", "nsenter")]
    selection.add(sys.executable, *programs, "/etc/protocols", "/etc/passwd", str(ROOT / "pyproject.toml"))
    selection.add_tree(sysconfig.get_path("stdlib"), without=LEFT_OUT)
    for place in map(_place, PACKAGES):
        selection.add(str(place))
        selection.add_tree(str(place), without=("__pycache__",))
    selection.add(*(str(path) for path in ROOT.glob("ipsectest/*.py")))
    for room in ("base", "crypto", "wire", "net", "ike", "ipsec", "scenario", "peers", "runner", "lab", "decrypt"):
        selection.add_tree(str(ROOT / "ipsectest" / room), without=LEFT_OUT)
    selection.add(*(str(path) for path in (*tests, Path(__file__).with_name("two_namespaces.py"))))
    bytecode = _bytecode(machine)
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    command = [sys.executable, "-c", _COMPILE, *map(str, tests)]
    subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=60, check=True)
    selection.add_tree(str(bytecode))
    selection.add("/var/run", *(f"/{name}" for name in ("proc", "sys", "dev", "run", "tmp")))
    with (machine.directory / "python.cpio").open("wb") as file:
        archive = CpioWriter(file)
        selection.write(archive)
        archive.close()
    machine.run(
        "mkdir -p /tmp/python && cd /tmp/python && cpio -id </lab/python.cpio && mkdir -p proc sys dev run tmp lab\n"
        "mount --bind . . && cd /tmp/python\n"  # ip-netns(8) wants a root that is a mount of its own
        "for place in proc sys dev lab; do mount --bind /$place $place; done\n"
        f"modprobe -a {MODULES}",
        timeout=120.0,
    )
    return "/tmp/python"


def _bytecode(machine: Machine) -> Path:
    """Where the modules stand compiled, here and in the guest."""
    return machine.directory / "bytecode"


def interpreter(machine: Machine, directory: str) -> str:
    """The command in the guest that runs what ``bring_python`` brought, without arguments."""
    path = ":".join([*{str(_place(name).parent) for name in PACKAGES}, str(ROOT)])
    bytecode = f"PYTHONDONTWRITEBYTECODE=1 PYTHONPYCACHEPREFIX={_bytecode(machine)}"
    return (
        f"chroot {directory} /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH={path} {bytecode} "
        f"PYTHONHOME={sys.base_prefix} {Path(sys.executable).resolve()}"
    )


def run_tests(machine: Machine, directory: str, *tests: Path, timeout: float) -> dict[str, str]:
    """Outcomes by test name: empty if passed, else why not. Raises AssertionError if pytest itself failed."""
    result = machine.run(
        f"exec {interpreter(machine, directory)} -c '"
        f'import os, sys, pytest; os.chdir("{ROOT}"); sys.exit(pytest.main(sys.argv[1:]))'
        f"' -p no:cacheprovider -q --junitxml=/lab/junit.xml {' '.join(map(str, tests))}",
        timeout=timeout,
    )
    report = machine.directory / "junit.xml"
    assert report.exists(), result.text
    outcomes = {}
    for case in ET.parse(report).iter("testcase"):
        trouble = [child for child in case if child.tag in {"failure", "error", "skipped"}]
        outcomes[case.attrib["name"]] = "\n".join(
            f"{child.tag}: {child.text or child.get('message')}" for child in trouble
        )
    return outcomes
