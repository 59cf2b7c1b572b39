"""Open things in another network namespace without moving the process there."""

import ctypes
import os
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import TypeVar

from ipsectest.base.errors import LabError

Made = TypeVar("Made")

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


def namespace_path(namespace: str) -> Path:
    """The file of a namespace given by name, or by a path such as ``/proc/1234/ns/net``."""
    return Path(namespace) if "/" in namespace else Path("/run/netns", namespace)


def inside(namespace: str | None, make: Callable[[], Made]) -> Made:
    """What ``make`` returns when called in the namespace (None: where we are); its errors are raised here.

    setns(2) moves one thread. A thread that ends right after takes the move with it, while the
    sockets and devices it opened stay in that namespace and belong to the whole process.
    Raises LabError where the namespace is missing or must not be entered.
    """
    if namespace is None:
        return make()
    made: list[Made] = []
    failed: list[BaseException] = []

    def enter_and_make() -> None:
        try:
            _enter(namespace)
            made.append(make())
        except BaseException as error:  # noqa: BLE001  # carried over to the caller's thread
            failed.append(error)

    thread = Thread(target=enter_and_make, name=f"inside {namespace}")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return made[0]


def _enter(namespace: str) -> None:
    try:
        handle = os.open(namespace_path(namespace), os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise LabError(f"no network namespace {namespace}: {error.strerror}") from error
    try:
        if _LIBC.setns(handle, _CLONE_NEWNET):
            reason = os.strerror(ctypes.get_errno())
            raise LabError(f"cannot enter network namespace {namespace}: {reason} (root or a user namespace is needed)")
    finally:
        os.close(handle)
