"""``esp.c`` as Python calls it: the layouts of its structures, and the library if it was built."""

import ctypes
from functools import cache
from typing import Any

from ipsectest.decrypt.native.build import LIBRARY

END_OF_INPUT, SLOW_FRAME, OUTPUT_FULL, NO_FRAME = range(4)
"""Why ``esp_run`` came back: more input is needed, a frame is the caller's, room is needed, a block is no packet."""
KEY_LENGTH = 36
COMMENT_PART = 64
RESERVE = 65536 + 4096
"""Octets of room that one packet may need in the output."""


class Sa(ctypes.Structure):
    """``struct sa``."""

    _fields_ = (
        ("key", ctypes.c_uint8 * KEY_LENGTH),
        ("is_ipv6", ctypes.c_uint32),
        ("next_sequence", ctypes.c_uint64),
        ("salt", ctypes.c_uint8 * 4),
        ("salt_length", ctypes.c_uint32),
        ("iv_length", ctypes.c_uint32),
        ("icv_length", ctypes.c_uint32),
        ("block_length", ctypes.c_uint32),
        ("esn", ctypes.c_uint32),
        ("is_aead", ctypes.c_uint32),
        ("before", ctypes.c_uint8 * COMMENT_PART),
        ("behind", ctypes.c_uint8 * COMMENT_PART),
        ("before_length", ctypes.c_uint32),
        ("behind_length", ctypes.c_uint32),
        ("cipher", ctypes.c_void_p),
        ("mac", ctypes.c_void_p),
        ("packets", ctypes.c_uint64),
        ("octets", ctypes.c_uint64),
        ("first", ctypes.c_uint64),
        ("last", ctypes.c_uint64),
    )


class Interface(ctypes.Structure):
    """``struct interface``."""

    _fields_ = (
        ("link_type", ctypes.c_uint32),
        ("usable", ctypes.c_uint32),
        ("nanoseconds", ctypes.c_uint64),
        ("out_interface", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32),
    )


class Window(ctypes.Structure):
    """``struct window``."""

    _fields_ = (
        ("input", ctypes.c_void_p),
        ("position", ctypes.c_uint64),
        ("end", ctypes.c_uint64),
        ("output", ctypes.c_void_p),
        ("written", ctypes.c_uint64),
        ("capacity", ctypes.c_uint64),
        ("interfaces", ctypes.POINTER(Interface)),
        ("interface_count", ctypes.c_uint32),
        ("is_pcapng", ctypes.c_uint32),
        ("frames", ctypes.c_uint64),
    )


class Table(ctypes.Structure):
    """``struct table``."""

    _fields_ = (
        ("sas", ctypes.POINTER(Sa)),
        ("size", ctypes.c_uint32),
        ("slots", ctypes.POINTER(ctypes.c_uint32)),
        ("touched", ctypes.POINTER(ctypes.c_uint32)),
        ("touched_count", ctypes.c_uint32),
    )


@cache
def load() -> Any:
    """The library, None where it was not built or is not the one that belongs to this file."""
    try:
        library = ctypes.CDLL(str(LIBRARY))
        sizes = [getattr(library, f"size_of_{name}") for name in ("sa", "window", "interface")]
        library.table_add.restype = None
    except (OSError, AttributeError):
        return None
    for size in sizes:
        size.restype = ctypes.c_size_t
    if [size() for size in sizes] != [ctypes.sizeof(kind) for kind in (Sa, Window, Interface)]:
        return None
    text = (ctypes.c_char_p, ctypes.c_char_p)
    library.sa_open.argtypes = (ctypes.POINTER(Sa), *text, *text, ctypes.c_size_t)
    library.sa_close.argtypes = (ctypes.POINTER(Sa),)
    library.table_add.argtypes = (ctypes.POINTER(Table), ctypes.c_uint32)
    library.esp_run.argtypes = (ctypes.POINTER(Window), ctypes.POINTER(Table))
    return library
