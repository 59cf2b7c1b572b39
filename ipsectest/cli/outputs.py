"""What decrypt writes: files that only their owner can read, and never over what it reads."""

import os
from argparse import Namespace
from collections.abc import Sequence
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ipsectest.base.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STANDARD = "-"
_BUFFER = 1 << 20
_KEY_FILES = ("keys.toml", "esp_sa", "ikev2_decryption_table", "ikev1_decryption_table")
"""What may be read where a folder is given for keys; ours may have something in front of their name."""


def outputs(arguments: Namespace) -> list[str]:
    """Names of files to be written, - for standard output."""
    return [name for name in (arguments.output, arguments.jsonl, arguments.write_keys, arguments.html) if name]


def check_outputs(names: Sequence[str], inputs: Sequence[str], folder: str | None) -> None:
    """UsageError for outputs that could not all be written, or only over what is read. ``folder`` is written too."""
    if names.count(STANDARD) > 1:
        raise UsageError("only one of --output, --jsonl, --write-keys and --html can go to standard output")
    files = [name for name in names if name != STANDARD]
    paths = [os.path.realpath(name) for name in [*files, *([folder] if folder else [])]]
    twice = next((path for path in paths if paths.count(path) > 1), None)
    if twice and Path(twice) != Path(os.devnull):
        raise UsageError(f"{twice} cannot hold two outputs; name a file for each")
    lost = next((path for path in paths if not Path(path).parent.is_dir()), None)
    if lost:  # told before hours of work, not behind them
        raise UsageError(f"{lost} cannot be written: its folder does not exist")
    for name in files:
        if any(_is_read(Path(name), Path(given)) for given in inputs if given != STANDARD):
            raise UsageError(f"{name} would be written over while it is read")


def _is_read(output: Path, given: Path) -> bool:
    """Whether a file that is there is an input, or a key file in a folder that is one."""
    if not output.is_file() or not given.exists():
        return False
    if given.is_dir():
        return output.name.endswith(_KEY_FILES) and output.parent.samefile(given)
    return output.samefile(given)


def is_pipe(name: str) -> bool:
    """Whether an input can be read but once, from its beginning: standard input, or a pipe as shells name it."""
    return name == STANDARD or Path(name).is_fifo()


class _File(FileIO):
    """Errors name it, whoever writes."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            name = "standard output" if isinstance(self.name, int) else self.name
            raise OSError(error.errno, error.strerror, name) from error


def written(name: str) -> BinaryIO:
    """A file for what was encrypted, which only its owner can read if it is new; or standard output."""
    if name == STANDARD:
        try:
            file = _File(os.dup(1), "wb")
        except OSError as error:  # it is closed
            raise OSError(error.errno, error.strerror, "standard output") from error
    else:
        file = _File(name, "wb", opener=lambda path, flags: os.open(path, flags, 0o600))
    return BufferedWriter(file, _BUFFER)
