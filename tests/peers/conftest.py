"""What tests with daemons share: a guest with kernel ESP, and a runtime directory that has to end empty."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

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


@pytest.fixture
def runtime_left_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Labs of the test keep their journals in a directory of its own, where nothing is in the end."""
    require_lab()
    monkeypatch.setenv("IPSECTEST_RUNTIME", str(tmp_path / "run"))
    yield
    assert not list((tmp_path / "run").iterdir())
