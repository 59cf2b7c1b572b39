"""Compile ``esp.c``: ``python ipsectest/decrypt/native/build.py``, or as the package is built (``hatch_build.py``).

Imports nothing of the package, so that it runs before there is one.
"""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("esp.c")
LIBRARY = SOURCE.with_name(f"_esp{sysconfig.get_config_var('SHLIB_SUFFIX') or '.so'}")
_FLAGS = ("-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-fstack-protector-strong", "-D_FORTIFY_SOURCE=2")
_CAP = 120.0


def build() -> str:
    """Compile it beside its source; why not, where that cannot be done."""
    if sys.byteorder != "little":
        return "the fast path is for little-endian machines"
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return "there is no C compiler"
    made = LIBRARY.with_suffix(f".{sys.implementation.cache_tag}.new")
    try:
        done = subprocess.run(  # noqa: S603  # a compiler found on PATH and our own file
            [compiler, *_FLAGS, "-o", str(made), str(SOURCE), "-lcrypto"],
            capture_output=True,
            text=True,
            timeout=_CAP,
            check=False,
        )
        if done.returncode:
            return f"the compiler failed: {done.stderr.strip()[-500:]}"
        made.replace(LIBRARY)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the compiler failed: {error}"
    finally:
        made.unlink(missing_ok=True)
    return ""


if __name__ == "__main__":
    why = build()
    if why:
        print(f"ipsectest: no fast path: {why}", file=sys.stderr)  # noqa: T201
    sys.exit(bool(why))
