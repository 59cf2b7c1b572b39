"""Running our own tests in a guest of the lab VM: the interpreter, the packages and the tests go in as one archive."""

import shutil
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
MODULES = "tun veth dummy xfrm_user esp4 esp6 ah4 ah6 ipcomp ipcomp6 xfrm_interface"


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
    programs = [shutil.which(name) or name for name in ("ip", "ping", "env", "sh")]
    selection.add(sys.executable, *programs, "/etc/protocols", "/etc/passwd", str(ROOT / "pyproject.toml"))
    selection.add_tree(sysconfig.get_path("stdlib"), without=LEFT_OUT)
    for place in map(_place, PACKAGES):
        selection.add(str(place))
        selection.add_tree(str(place), without=("__pycache__",))
    selection.add(*(str(path) for path in ROOT.glob("ipsectest/*.py")))
    for room in ("base", "crypto", "wire", "net", "ike", "ipsec", "scenario", "peers", "runner"):
        selection.add_tree(str(ROOT / "ipsectest" / room), without=LEFT_OUT)
    selection.add(*(str(path) for path in (*tests, Path(__file__).with_name("two_namespaces.py"))))
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


def run_tests(machine: Machine, directory: str, *tests: Path, timeout: float) -> dict[str, str]:
    """Outcomes by test name: empty if passed, else why not. Raises AssertionError if pytest itself failed."""
    path = ":".join([*{str(_place(name).parent) for name in PACKAGES}, str(ROOT)])
    result = machine.run(
        f"exec chroot {directory} /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONPATH={path} "
        f"PYTHONDONTWRITEBYTECODE=1 PYTHONHOME={sys.base_prefix} {Path(sys.executable).resolve()} -c '"
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
