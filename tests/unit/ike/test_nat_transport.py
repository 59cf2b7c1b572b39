"""Selectors of transport mode behind a NAT, whatever a peer writes into them (RFC 7296 section 2.23.1)."""

from hypothesis import given
from hypothesis import strategies as st

from ipsectest.ike import nat_transport
from ipsectest.ike.sa import IkeSa
from ipsectest.wire import TrafficSelector
from tests.unit.ike.hand import ALICE, BOB, connection
from tests.unit.ike.test_selectors import tiny

HERE, THERE = TrafficSelector.of(BOB.host), TrafficSelector.of(ALICE.host)
six = st.builds(TrafficSelector.of, st.just("2001:db8::7"))
several = st.lists(tiny | six, max_size=3)


@given(several, several, st.booleans(), st.booleans())
def test_who_is_behind_a_nat_gets_the_address_of_its_packets_and_nothing_else_changes(
    remote: list[TrafficSelector], local: list[TrafficSelector], remote_nat: bool, local_nat: bool
) -> None:
    sa = IkeSa.initiator(connection(at_alice=False), bytes)
    sa.remote_behind_nat, sa.local_behind_nat = remote_nat, local_nat
    seen = nat_transport.asked(sa, remote, local)
    addresses = [{end for one in side for end in (one.start, one.end)} for side in (remote, local)]
    if seen is None:
        assert [len(side) for side in addresses] != [1, 1]
        return
    assert [{seen.real.remote}, {seen.real.local}] == addresses
    for before, after, behind, host in (
        (remote, seen.remote, remote_nat, THERE), (local, seen.local, local_nat, HERE)
    ):  # fmt: skip
        wanted = [(host.start, host.end) if behind else (one.start, one.end) for one in before]
        assert [(one.start, one.end) for one in after] == wanted
        ports = [(one.protocol, one.start_port, one.end_port) for one in before]
        assert [(one.protocol, one.start_port, one.end_port) for one in after] == ports
    assert nat_transport.answered(sa, remote, local, (remote, local)) is not None
    assert nat_transport.answered(sa, remote, local, ([], local)) is None
