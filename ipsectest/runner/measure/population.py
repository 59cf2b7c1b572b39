"""Many SAs and policies in the guest's kernel, by ``ip -batch``."""

import secrets
import time

from ipsectest.base.errors import UsageError
from ipsectest.base.iana import TransformType
from ipsectest.crypto.ciphers import cipher
from ipsectest.crypto.integrities import integrity as integrity_of
from ipsectest.ike.config import Suite
from ipsectest.lab.vm.machine import Machine
from ipsectest.net.xfrm import algorithms
from ipsectest.net.xfrm.records import Aead
from ipsectest.runner.measure.site import LEFT, RIGHT, Site

_FIRST_SPI = 0x1000
_BACK_SPI = 0xFFF
_CAP = 900.0
_BATCH = "xfrm.batch"
_LARGEST = 60_000


class Population:
    """SAs from left to right, each for one host behind the right end, with a policy of its own; one SA leads back."""

    def __init__(self, machine: Machine, suite: Suite, site: Site) -> None:
        self._machine = machine
        self._site = site
        self._transforms = transforms(suite)

    def install(self, count: int) -> float:
        """Install so many SAs and policies at both ends; seconds that the one end took that sends (both batches)."""
        if count > _LARGEST:
            raise UsageError(f"the virtual machine takes {_LARGEST} SAs at most")
        site = self._site
        left, right = site.inner_prefixes
        states = [self._state(*site.outer, _FIRST_SPI + number) for number in range(count)]
        backward = site.outer[::-1]
        seconds = 0.0
        for side, there, here in ((LEFT, "out", "in"), (RIGHT, "in", "out")):
            policies = [
                self._policy(f"{site.host(0, 1)}/{site.host_length}", self._far(number), there, site.outer, number)
                for number in range(_FIRST_SPI, _FIRST_SPI + count)
            ]
            self._batch(side, [self._state(*backward, _BACK_SPI), self._policy(right, left, here, backward, _BACK_SPI)])
            taken = self._batch(side, states) + self._batch(side, policies)
            seconds += taken if side == LEFT else 0.0
        return seconds

    def middle(self, count: int) -> tuple[str, str]:
        """The addresses between which the SA in the middle carries packets."""
        return self._site.host(0, 1), self._far(_FIRST_SPI + count // 2).partition("/")[0]

    def remove(self) -> None:
        """Remove all SAs and policies."""
        for side in (LEFT, RIGHT):
            flush = f"ip -n {side} xfrm state flush && ip -n {side} xfrm policy flush"
            self._machine.run(flush, timeout=_CAP, check=True)

    def _far(self, spi: int) -> str:
        return f"{self._site.host(1, spi - _FIRST_SPI + 1)}/{self._site.host_length}"

    def _state(self, source: str, destination: str, spi: int) -> str:
        ends = f"src {source} dst {destination} proto esp spi {spi} reqid {spi}"
        return f"xfrm state add {ends} mode tunnel {self._transforms}"

    def _policy(self, source: str, destination: str, way: str, ends: tuple[str, str], reqid: int) -> str:
        template = f"tmpl src {ends[0]} dst {ends[1]} proto esp reqid {reqid} mode tunnel"
        return f"xfrm policy add src {source} dst {destination} dir {way} {template}"

    def _batch(self, side: str, lines: list[str]) -> float:
        (self._machine.directory / _BATCH).write_text("\n".join([*lines, ""]))
        begun = time.monotonic()
        self._machine.run(f"ip -n {side} -batch /lab/{_BATCH}", timeout=_CAP, check=True)
        return time.monotonic() - begun


def transforms(suite: Suite) -> str:
    """The algorithms of an ESP proposal as ip-xfrm(8) wants them, with fresh keys."""
    chosen = {spec.type: spec for spec in suite}
    encryption, integ = chosen[TransformType.ENCR], chosen.get(TransformType.INTEG)
    key = secrets.token_bytes(cipher(encryption.id, encryption.key_length).keymat_length)
    try:
        made = algorithms.encryption(encryption.id, key)
        secret = f"0x{made.key.hex()}" if made.key else '""'
        if isinstance(made, Aead):
            return f"aead {made.name} {secret} {made.icv_bits}"
        if integ is None:
            raise UsageError("an ESP proposal without integrity is not measured")
        check = algorithms.integrity(integ.id, secrets.token_bytes(integrity_of(integ.id).key_length))
    except ValueError as error:
        raise UsageError(str(error)) from None
    return f"enc {made.name} {secret} auth-trunc {check.name} 0x{check.key.hex()} {check.icv_bits}"
