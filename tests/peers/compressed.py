"""Daemons whose kernel compresses (IPComp, RFC 3173): what the drivers write, and the word for it besides."""

from itertools import cycle
from typing import Any

import pytest

from ipsectest.peers import libreswan, strongswan
from ipsectest.runner.interop import guest_echoes


class _Sizes:
    """Octets of a ping, others each time: the kernel leaves what is shorter than 90 as it is."""

    def __init__(self) -> None:
        self._sizes = cycle((400, 32, 1000))

    def __format__(self, spec: str) -> str:
        return format(next(self._sizes), spec)


def compress(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on connections are loaded with IPComp, and most pings are long enough for it."""
    charon, pluto = strongswan.connection, libreswan.connection

    def with_ipcomp(*given: Any, **named: Any) -> Any:
        section = charon(*given, **named)
        for child in section["children"].values():
            child["ipcomp"] = "yes"
        return section

    monkeypatch.setattr(strongswan, "connection", with_ipcomp)
    monkeypatch.setattr(libreswan, "connection", lambda *given: pluto(*given) + "\tcompress=yes\n")
    monkeypatch.setattr(guest_echoes, "_SIZE", _Sizes())
