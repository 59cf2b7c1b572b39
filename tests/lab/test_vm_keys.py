"""Commands that we write, run by ip(8) on a kernel with ESP; and what it then says of its states."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from ipsectest.decrypt.keys import detect
from ipsectest.decrypt.keys.convert import to_iproute2
from ipsectest.decrypt.keys.model import KeyRing, SaKeys
from ipsectest.lab import Lab
from ipsectest.lab.vm import network
from ipsectest.lab.vm.machine import Machine
from ipsectest.lab.vm.qemu import PROGRAM
from ipsectest.lab.vm.start import start
from ipsectest.peers import table
from ipsectest.runner import guest
from tests.lab.test_vm import STRONGSWAN
from tests.lab.two_namespaces import require_lab
from tests.unit.decrypt.keys.rings import VECTORS

pytestmark = [pytest.mark.lab, pytest.mark.slow]


@pytest.fixture
def machine() -> Iterator[Machine]:
    require_lab()
    if not Path(PROGRAM).exists():
        pytest.skip("QEMU is not installed: script/bootstrap")
    table.install(STRONGSWAN)
    image = guest.build([STRONGSWAN])
    with Lab() as lab, closing(start(lab, guest.cache_directory(), image)) as made:
        network.namespace(made, "keys")
        yield made


def bare(ring: KeyRing) -> dict[bytes, SaKeys]:
    return {sa.spi: replace(sa, origin="", esn_high=sa.esn_high if sa.esn else 0) for sa in ring.sas}


def test_states_come_back_as_they_were_written(machine: Machine, tmp_path: Path) -> None:
    """All of ``iproute2-6.1.xfrm`` again: every algorithm that Linux has and IKEv2 has a number for."""
    wanted = detect.read(VECTORS / "iproute2-6.1.xfrm")
    made = to_iproute2(wanted)
    machine.put("/tmp/add", made.files[""].encode())
    done = machine.run("ip netns exec keys sh -e /tmp/add && ip -n keys xfrm state", timeout=120)
    assert done.status == 0, done.text
    (tmp_path / "state").write_text(done.text)
    ring = detect.read(tmp_path / "state")
    assert not ring.problems
    assert len(ring.sas) >= 17
    assert bare(ring) == {spi: sa for spi, sa in bare(wanted).items() if not sa.unchecked_icv}
