"""The kernel of a Debian tree: the ELF image out of its compressed wrapper, and the modules a lab needs."""

import lzma
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from ipsectest.base.errors import LabError
from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.elf import section

_SETUP_SECTORS, _PAYLOAD = 0x1F1, 0x248
_SECTOR = 512


def release(root: Path) -> str:
    """The release of the tree's newest kernel, such as ``6.1.0-50-amd64``; LabError if it has none."""
    found = sorted(path.name.removeprefix("vmlinuz-") for path in (root / "boot").glob("vmlinuz-*"))
    if not found:
        raise LabError(f"no kernel in {root}")
    return found[-1]


def uncompressed(wrapper: bytes) -> bytes:
    """The ELF kernel inside a ``vmlinuz``: unpacking it here saves the guest seconds of emulated decompression.

    Source: Documentation/arch/x86/boot.rst (setup_sects, payload_offset, payload_length). A wrapper of another kind
    is returned as it is: QEMU boots it too, only later.
    """
    try:
        setup = ((wrapper[_SETUP_SECTORS] or 4) + 1) * _SECTOR
        offset, length = struct.unpack_from("<II", wrapper, _PAYLOAD)
        return lzma.LZMADecompressor().decompress(wrapper[setup + offset : setup + offset + length])
    except (lzma.LZMAError, struct.error, IndexError):
        return wrapper


class Modules:
    """The modules of one kernel: chosen ones with those they depend on, and the tables modprobe reads.

    ``depmod`` is not needed: what it would collect stands in each module's ``.modinfo`` section.
    """

    def __init__(self, root: Path) -> None:
        self.release = release(root)
        merged = root / "usr/lib/modules" / self.release
        self._base = merged if merged.is_dir() else root / "lib/modules" / self.release
        self._paths = {_name(path.name): path for path in self._base.glob("kernel/**/*.ko*")}
        self._chosen: dict[str, bytes] = {}
        self._depends: dict[str, list[str]] = {}

    def add(self, *names: str) -> None:
        """Choose modules by name; a name that is not there is built in, or this kernel lacks it."""
        pending = [_name(name) for name in names]
        while pending:
            name = pending.pop()
            path = self._paths.get(name)
            if path is None or name in self._chosen:
                continue
            data = path.read_bytes()
            if path.suffix == ".xz":
                data = lzma.decompress(data)
            self._chosen[name] = data
            facts = list(modinfo(data))
            hard = [_name(one) for key, value in facts if key == "depends" for one in value.split(",") if one]
            soft = [_name(one) for key, value in facts if key == "softdep" for one in value.split() if ":" not in one]
            self._depends[name] = hard
            pending += hard + soft

    def add_directories(self, *directories: str) -> None:
        """Choose every module below these directories of ``kernel``."""
        for directory in directories:
            self.add(*(path.name for path in (self._base / "kernel" / directory).glob("**/*.ko*")))

    def write(self, archive: CpioWriter) -> None:
        """Pack the modules (flat, uncompressed), ``modules.dep`` and ``modules.alias``."""
        top = f"lib/modules/{self.release}"
        for directory in ("lib", "lib/modules", top):
            archive.directory(directory)
        dependencies, aliases = [], []
        for name, data in sorted(self._chosen.items()):
            archive.file(f"{top}/{name}.ko", data)
            needed = " ".join(f"{one}.ko" for one in self._closure(name))
            dependencies.append(f"{name}.ko: {needed}\n")
            aliases += [f"alias {value} {name}\n" for key, value in modinfo(data) if key == "alias"]
        archive.file(f"{top}/modules.dep", "".join(dependencies).encode())
        archive.file(f"{top}/modules.alias", "".join(aliases).encode())
        archive.file(f"{top}/modules.symbols", b"")

    def _closure(self, name: str) -> list[str]:
        """All modules it depends on, those that others need last, as modprobe wants it."""
        found: list[str] = []
        pending = [one for one in self._depends[name] if one in self._chosen]
        while pending:
            one = pending.pop(0)
            if one in found:
                found.remove(one)
            found.append(one)
            pending += [next_one for next_one in self._depends[one] if next_one in self._chosen]
        return found


def modinfo(data: bytes) -> Iterator[tuple[str, str]]:
    """The key-value pairs of a module's ``.modinfo`` section."""
    for record in section(data, ".modinfo").split(b"\0"):
        key, equals, value = record.decode(errors="replace").partition("=")
        if equals:
            yield key, value


def _name(text: str) -> str:
    """A module's name as the kernel spells it."""
    return re.sub(r"\.ko(\.\w+)?$", "", text).replace("-", "_")
