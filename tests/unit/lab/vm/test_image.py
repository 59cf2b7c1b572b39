"""Choosing files as after a chroot, and archives that are there whole or not at all."""

import io
import tempfile
from pathlib import Path

import pytest

from ipsectest.lab.vm import image
from ipsectest.lab.vm.cpio import CpioWriter
from ipsectest.lab.vm.qemu import Datagrams, Hardware, Tap, command
from ipsectest.lab.vm.selection import Selection, packages_of
from tests.unit.lab.vm.test_cpio import entries


def packed(selection: Selection, prefix: str = "") -> dict[str, tuple[int, bytes]]:
    file = io.BytesIO()
    archive = CpioWriter(file)
    selection.write(archive, prefix)
    archive.close()
    return entries(file.getvalue())


def test_links_are_followed_inside_the_tree_and_come_along(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "etc/alternatives").mkdir(parents=True)
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "usr/bin/tool.real").write_text("a tool")
    (tmp_path / "etc/alternatives/tool").symlink_to("/usr/bin/tool.real")
    (tmp_path / "usr/bin/tool").symlink_to("../../etc/alternatives/tool")
    (tmp_path / "loop").symlink_to("loop")
    selection = Selection(tmp_path)
    assert selection.add("/bin/tool", "/bin/none", "/loop", "/../../bin/tool") == ["/bin/none", "/loop"]
    found = packed(selection, "peers/one")
    assert found["peers/one/usr/bin/tool.real"] == (0o100644, b"a tool")
    assert found["peers/one/bin"][1] == b"usr/bin"
    assert found["peers/one/etc/alternatives/tool"][1] == b"/usr/bin/tool.real"
    assert list(found)[:2] == ["peers", "peers/one"]


def test_packages_are_found_by_their_source(tmp_path: Path) -> None:
    status = tmp_path / "var/lib/dpkg/status"
    status.parent.mkdir(parents=True)
    status.write_text(
        "Package: charon\nSource: strongswan\nVersion: 1\n\n"
        "Package: libnss3\nSource: nss (2:3)\nDescription: x\n y: z\n\n"
        "Package: libreswan\nVersion: 5\n\nPackage: perl\nVersion: 5\n"
    )
    assert packages_of(tmp_path, ["strongswan", "nss", "libreswan"]) == ["charon", "libnss3", "libreswan"]


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    old = tmp_path / f"base-{'0' * 16}"
    old.write_bytes(b"old")

    def fails(file: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        image._made(tmp_path, "base", "1" * 16, fails)
    assert list(tmp_path.iterdir()) == [old]
    path = image._made(tmp_path, "base", "1" * 16, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]
    assert image._made(tmp_path, "base", "1" * 16, fails) == path


def test_parts_are_joined_in_order(tmp_path: Path) -> None:
    parts = tuple(tmp_path / name for name in ("kernel", "a", "b"))
    for part in parts:
        part.write_bytes(part.name.encode() * 1000)
    made = image.Image(parts[0], "6.1", parts[1:])
    made.write_initrd(tmp_path / "joined")
    assert (tmp_path / "joined").read_bytes() == b"a" * 1000 + b"b" * 1000
    assert made.size == 2000
    assert made.key != image.Image(parts[0], "6.1", parts[:1]).key


def test_parts_are_joined_onto_another_file_system(tmp_path: Path) -> None:
    # The cache lies below the home directory, the run's own files on a tmpfs: copy_file_range knows no way between.
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second file system at /dev/shm")
    part = tmp_path / "a"
    part.write_bytes(b"a" * 1000)
    with tempfile.TemporaryDirectory(dir=other) as directory:
        image.Image(part, "6.1", (part,)).write_initrd(Path(directory) / "joined")
        assert (Path(directory) / "joined").read_bytes() == b"a" * 1000


def test_the_command_line_says_what_the_guest_has(tmp_path: Path) -> None:
    cards = (Tap("tap0"), Datagrams(tmp_path / "a", tmp_path / "b"))
    line = command(
        Hardware("tcg", 256, 2), cards, kernel=tmp_path / "k", initrd=tmp_path / "i", directory=tmp_path, share=tmp_path
    )
    assert "256M" in line
    assert "tap,id=n0,ifname=tap0,script=no,downscript=no" in line
    assert f"dgram,id=n1,local.type=unix,local.path={tmp_path}/b,remote.type=unix,remote.path={tmp_path}/a" in line
    assert "virtio-net-pci,netdev=n1,romfile=,mac=02:00:00:00:00:02" in line
