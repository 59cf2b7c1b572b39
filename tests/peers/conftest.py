"""The guest that tests with kernel ESP on both sides share."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from ipsectest.lab import Lab
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.peers import table
from tests.lab.guest_gateways import Guest, boot
from tests.lab.two_namespaces import require_lab


@pytest.fixture(scope="session")
def kernel_guest() -> Iterator[Guest]:
    """A guest with strongSwan, Libreswan and our interpreter."""
    require_lab()
    for program in (PROGRAM, "mmdebstrap"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    peers = {label: table.parse(label) for label in ("strongswan", "libreswan")}
    for name in peers.values():
        table.install(name)
    with ExitStack() as stack:
        yield boot(stack, stack.enter_context(Lab()), peers)
