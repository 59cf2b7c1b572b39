"""``script/sanitize``: the attack against the C of the fast path with address and undefined-behaviour sanitizers."""

# ruff: noqa: T201 - this is a command

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from ipsectest.decrypt.native.build import SOURCE

_FLAGS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
_RUNTIMES = ("libasan.so", "libubsan.so")


def build(folder: Path, source: Path = SOURCE) -> Path | str:
    """The library, or why there can be none."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return "there is no gcc"
    made = folder / "_esp.so"
    command = [compiler, *_FLAGS, "-shared", "-fPIC", "-o", str(made), str(source), "-lcrypto"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return f"gcc failed: {done.stderr[-500:]}" if done.returncode else made


def run(library: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """The attack in a process that has the sanitizers' runtimes in front of everything."""
    runtimes = [
        subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
        for name in _RUNTIMES
    ]
    environment = {
        **os.environ,
        "LD_PRELOAD": " ".join(runtimes),
        "PYTHONMALLOC": "malloc",  # every octet of Python's buffers comes of malloc, whose ends the sanitizer knows
        "ASAN_OPTIONS": "detect_leaks=0:quarantine_size_mb=16",  # the interpreter's own are none of ours
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    command = [sys.executable, "-m", "tests.hostile.files", "--library", str(library), *arguments]
    return subprocess.run(command, env=environment, check=False)


def main() -> int:
    """Build it, and pass the arguments on: --count N, --seed N, --only N."""
    with TemporaryDirectory() as folder:
        made = build(Path(folder))
        if isinstance(made, str):
            print(made, file=sys.stderr)
            return 2
        return run(made, *sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())
