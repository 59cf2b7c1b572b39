"""Every profile in memory with our endpoint as itself: it comes up with the strongest suites, and says its words."""

import secrets
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from ipsectest.base.addresses import Datagram
from ipsectest.base.iana import ConfigurationType, ExchangeType, IdentificationType, NotifyType
from ipsectest.ike.events import ChildInstalled, ChildRekeyed, IkeEstablished
from ipsectest.ike.policy import Policy
from ipsectest.ike.proposals import Chosen
from ipsectest.ike.sa import IkeSa
from ipsectest.peers.builtin_settings import connection
from ipsectest.peers.profile_policy import SpeakingInUdp, policy_of
from ipsectest.runner.interop import profile_cells
from ipsectest.runner.interop.abilities import Abilities
from ipsectest.runner.interop.cells import Cell
from ipsectest.runner.interop.settings import INITIATOR, RESPONDER, Ends, settings_of
from ipsectest.runner.pki import PkiSide, make_hosts
from ipsectest.scenario import profile_files
from ipsectest.scenario.ports import Authentication
from ipsectest.wire import CP, KE, SA, IDi, IDr, Message, Notify, VendorID, parse_message
from tests.pair.world import ALICE, BOB, World

NAMES = list(profile_files.files())
ENDS = Ends(ALICE.host, BOB.host, "198.51.100.1", "203.0.113.1")
SIGNED = Authentication.ECDSA


@pytest.fixture(scope="module")
def sides() -> dict[str, PkiSide]:
    return make_hosts([INITIATOR, RESPONDER], datetime.now(UTC), secrets.token_bytes, [SIGNED])


def cells_of(name: str) -> list[Cell]:
    """One cell for each role of a profile."""
    profile = profile_files.named(name)
    peer = f"builtin@{name}"
    able = {peer: Abilities("builtin", "", profile=profile), "builtin": Abilities("builtin", "")}
    plan = profile_cells.plan({peer: profile}, ["builtin"], lambda *words: able[words[0]].lacks(*words[1:]))
    auth = "psk" if Authentication.PSK in profile.identities else str(SIGNED)
    found = [cell for cell in plan.cells if cell.auth == auth]
    return list({(cell.initiator, cell.responder): cell for cell in found}.values())


class Watched:
    """Both ends of a cell, and every message of either before it is sealed."""

    def __init__(self, cell: Cell, sides: dict[str, PkiSide]) -> None:
        self.cell = cell
        self.said: list[Message] = []
        ends, policies = [], []
        for is_initiator, name, host in ((True, cell.initiator, INITIATOR), (False, cell.responder, RESPONDER)):
            settings = settings_of(cell, ENDS, b"secret", initiator=is_initiator)
            profile = profile_files.named(name.partition("@")[2]) if "@" in name else None
            policy = policy_of([settings], profile) or Policy()
            policies.append(self._watching(policy))
            ends.append(connection(settings, sides[host].certificates))
        self.world = World(alice=ends[0], bob=ends[1], policies=(policies[0], policies[1]))

    def _watching(self, policy: Policy) -> Policy:
        original = policy.outgoing

        def outgoing(sa: IkeSa | None, message: Message) -> Message | None:
            changed = original(sa, message)
            if changed:
                self.said.append(replace(changed, payloads=list(changed.payloads)))
            return changed

        policy.outgoing = outgoing  # type: ignore[method-assign]
        return policy

    def message(self, exchange: ExchangeType, *, response: bool) -> Message:
        """The last of its kind."""
        return [m for m in self.said if m.exchange_type == exchange and m.is_response is response][-1]


def suite(chosen: Chosen | None) -> set[str]:
    assert chosen is not None
    return set(str(chosen).split("-"))


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_comes_up_with_our_endpoint_in_each_role_and_is_rekeyed(name: str, sides: dict[str, PkiSide]) -> None:
    cells = cells_of(name)
    assert len(cells) == len(profile_files.named(name).roles)
    for cell in cells:
        watched = Watched(cell, sides)
        world = watched.world
        world.establish()
        assert suite(world.alice.ike().chosen) == set(cell.ike.split("-"))
        (child,) = world.alice.children()
        esp = [word for word in cell.esp.split("-") if word[:3] not in {"ecp", "mod", "x25"}]
        assert suite(child.chosen) == set(esp)
        assert [(ts.start, ts.end) for ts in (*child.local_ts, *child.remote_ts)] == [
            (bytes([198, 51, 100, 1]), bytes([198, 51, 100, 1])),
            (bytes([203, 0, 113, 1]), bytes([203, 0, 113, 1])),
        ]
        world.alice.endpoint.rekey_child(child, world.now)
        world.settle()
        (new,) = [event.new for event in world.alice.seen(ChildRekeyed)]
        assert suite(new.chosen) == set(cell.esp.split("-"))
        world.bob.endpoint.rekey_ike(world.bob.ike(), world.now)
        world.settle()
        assert len(world.alice.seen(IkeEstablished)) == 2
        assert len(world.alice.seen(ChildInstalled)) == 2
        world.agree()


def test_a_windows_client_asks_for_addresses_and_gets_the_one_there_is(sides: dict[str, PkiSide]) -> None:
    (cell,) = cells_of("windows")
    watched = Watched(cell, sides)
    watched.world.establish()
    first = watched.message(ExchangeType.IKE_SA_INIT, response=False)
    says = profile_files.named("windows").announces
    assert [v.data for v in first.all(VendorID)] == list(says.vendor_ids)
    assert first.notify(NotifyType.SIGNATURE_HASH_ALGORITHMS) is None
    assert len(first.get(SA).proposals) == 12
    assert first.get(KE).group == 2
    asked = watched.message(ExchangeType.IKE_AUTH, response=False)
    assert asked.get(IDi).id_type == IdentificationType.ID_DER_ASN1_DN
    assert asked.get(IDr) is None
    assert asked.notify(NotifyType.MOBIKE_SUPPORTED)
    assert asked.notify(NotifyType.INITIAL_CONTACT) is None
    request = asked.get(CP)
    assert request.cfg_type == ConfigurationType.CFG_REQUEST
    assert [attribute.type for attribute in request.attributes] == [1, 3, 4, 23456, 8, 10, 23457]
    kinds = [type(payload) for payload in asked.payloads]
    assert kinds.index(CP) == kinds.index(SA) - 1
    reply = watched.message(ExchangeType.IKE_AUTH, response=True).get(CP)
    assert reply.cfg_type == ConfigurationType.CFG_REPLY
    assert [(a.type, a.value) for a in reply.attributes] == [(1, bytes([198, 51, 100, 1]))]


def test_a_responder_says_mobike_and_fragmentation_to_who_has_said_them_only(sides: dict[str, PkiSide]) -> None:
    cell = next(cell for cell in cells_of("cisco-asa") if cell.responder == "builtin@cisco-asa")
    watched = Watched(cell, sides)
    watched.world.establish()
    first, second = (watched.message(kind, response=True) for kind in (ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH))
    assert first.notify(NotifyType.IKEV2_FRAGMENTATION_SUPPORTED) is None
    assert first.notify(NotifyType.CHILDLESS_IKEV2_SUPPORTED) is None
    assert b"CISCO-DELETE-REASON" in [v.data for v in first.all(VendorID)]
    assert second.notify(NotifyType.MOBIKE_SUPPORTED) is None
    assert second.notify(NotifyType.NON_FIRST_FRAGMENTS_ALSO)
    assert second.get(CP) is None


def test_a_refusal_of_a_profile_is_not_dressed(sides: dict[str, PkiSide]) -> None:
    cell = next(cell for cell in cells_of("cisco-asa") if cell.responder == "builtin@cisco-asa")
    watched = Watched(replace(cell, ike="aes128gcm16-prfsha256-x25519"), sides)
    watched.world.alice.endpoint.initiate(watched.world.alice.connection, watched.world.now)
    watched.world.settle()
    answers = [parse_message(datagram.data) for datagram in sent_by_bob(watched.world)]
    assert [[(type(p), p.notify_type) for p in answer.payloads] for answer in answers] == [
        [(Notify, NotifyType.NO_PROPOSAL_CHOSEN)]
    ]


def sent_by_bob(world: World) -> list[Datagram]:
    return [datagram for datagram in world.sent if datagram.source.host == BOB.host]


def test_with_forced_encapsulation_it_still_says_what_it_says(sides: dict[str, PkiSide]) -> None:
    (cell,) = cells_of("windows")
    settings = settings_of(replace(cell, encapsulation="udp"), ENDS, b"", initiator=True)
    policy = policy_of([settings], profile_files.named("windows"))
    assert isinstance(policy, SpeakingInUdp)
    watched = Watched(replace(cell, encapsulation="udp"), sides)
    watched.world.establish()
    first = watched.message(ExchangeType.IKE_SA_INIT, response=False)
    assert first.all(VendorID)
    assert first.notify(NotifyType.NAT_DETECTION_SOURCE_IP).data == bytes(20)
    assert watched.world.alice.ike().local.port == 4500


def test_a_correct_endpoint_needs_no_policy_of_its_own() -> None:
    cell = Cell("builtin", "builtin", "aes128gcm16-prfsha256-x25519", "aes128gcm16-noesn")
    assert policy_of([settings_of(cell, ENDS, b"", initiator=True)]) is None
