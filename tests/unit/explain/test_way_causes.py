"""What the way between the two does: lost answers and fragments, NAT; and failures that were overcome."""

from ipsectest.base.addresses import Address
from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.explain.findings import Certainty, Severity
from ipsectest.ike.nat import detection_hash
from ipsectest.wire import AUTH, SKF, IDi, Message, Nonce, Payload, TrafficSelector, TSi, TSr, build_message
from ipsectest.wire.datagrams import host_octets
from ipsectest.wire.ip import AH, UDP, build_ip, build_ipv4, build_udp
from tests.unit.explain.scenes import INITIATOR, RESPONDER, SPI_I, SPI_R, Scene, ke, notify, sa, ts
from tests.unit.explain.test_ike_causes import established

INIT, AUTHENTICATE, CHILD = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
SUITE = "aes128gcm16-prfsha256-x25519"


def test_answers_that_do_not_arrive() -> None:
    scene = Scene()
    for pause in (0, 1, 2, 4):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), after=pause)
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True)
    found = scene.finding("answers-lost")
    assert found.severity is Severity.FAILURE
    assert found.who == f"the way to {INITIATOR} (initiator)"
    assert "4 times" in found.text


def test_answers_that_come_late_are_told_with_the_side_that_took_so_long() -> None:
    scene = Scene()
    for pause in (0, 1, 2):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), after=pause)
    scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True, after=1.2)
    scene.auth_request().auth_response()
    found = scene.finding("answers-late")
    assert found.severity is Severity.WARNING
    assert found.who == f"{RESPONDER} (responder)"
    assert "4.2 s" in found.text


def test_one_late_answer_without_a_repetition_is_nothing() -> None:
    scene = Scene()
    scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32))
    scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True, after=1.9)
    scene.auth_request().auth_response()
    assert scene.codes() == ["all-fine"]


def test_one_repetition_is_nothing() -> None:
    scene = Scene()
    for _ in range(2):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32))
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True)
    scene.auth_request().auth_response()
    assert scene.codes() == ["all-fine"]


def fragment(number: int, total: int) -> bytes:
    payload = SKF(number, total, bytes(60), first=35 if number == 1 else 0)
    return build_message(Message(SPI_I, SPI_R, AUTHENTICATE, 8, 1, [payload]))


def test_a_fragment_of_ike_that_never_comes() -> None:
    scene = Scene().init()
    for pause in (0.01, 1, 2):
        scene.datagram(fragment(1, 3), after=pause).datagram(fragment(3, 3))
    found = scene.finding("fragment-lost")
    assert "fragment 2 of 3" in found.text
    assert found.certainty is Certainty.CERTAIN


def test_all_fragments_without_keys_are_no_loss() -> None:
    scene = Scene().init()
    for number in (2, 1, 3):
        scene.datagram(fragment(number, 3))
    assert "fragment-lost" not in scene.codes()
    assert any("3 of 3 fragments" in rung.text for rung in scene.explained().stories[0].rungs)


def test_ip_fragments_that_never_come() -> None:
    scene = Scene().init()
    message = build_message(Message(SPI_I, SPI_R, AUTHENTICATE, 8, 1, [IDi(id_type=11, data=bytes(1800))]))
    ends = host_octets(INITIATOR), host_octets(RESPONDER)
    datagram = build_udp(*ends, 500, 500, message)
    for identification in (1, 2, 3):
        first = build_ipv4(*ends, UDP, datagram[:1480], identification=identification, flags_and_offset=0x2000)
        scene.packet(first, after=1)
    found = scene.finding("fragment-lost")
    assert found.who == f"the way from {INITIATOR} to {RESPONDER}"
    assert [one.number for one in found.evidence] == [3, 4, 5]


def behind_nat() -> Scene:
    hashes = (NotifyType.NAT_DETECTION_SOURCE_IP, "10.0.0.7"), (NotifyType.NAT_DETECTION_DESTINATION_IP, RESPONDER)
    told = [notify(kind, detection_hash(SPI_I, bytes(8), Address(host, 500))) for kind, host in hashes]
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), *told)
    return scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True)


def test_port_4500_is_blocked_behind_a_nat() -> None:
    scene = behind_nat()
    scene.port = 4500
    for pause in (0, 1, 2):
        scene.auth_request(after=pause)
    found = scene.finding("nat-t-blocked")
    assert found.text.startswith(f"A NAT was detected in front of {INITIATOR} (initiator). ")


def test_plain_esp_behind_a_nat() -> None:
    scene = behind_nat().auth_request().auth_response().esp(b"\0\0\2\2", 1)
    assert scene.finding("esp-not-encapsulated").severity is Severity.WARNING


def test_ah_behind_a_nat() -> None:
    scene = behind_nat().auth_request().auth_response()
    header = bytes((4, 4, 0, 0)) + b"\0\0\2\2" + (1).to_bytes(4, "big")
    scene.packet(build_ip(host_octets(INITIATOR), host_octets(RESPONDER), AH, header + bytes(40)))
    assert scene.finding("ah-behind-nat").severity is Severity.FAILURE


def transport_behind_nat(*answer: Payload) -> Scene:
    """A client behind a NAT asks for transport mode, as it has to, with its own address."""
    child = sa("aes128gcm16-noesn", protocol=3, spi=b"\0\0\1\1"), ts(TSi, "10.0.0.7/32"), ts(TSr, f"{RESPONDER}/32")
    proof = IDi(id_type=2, data=b"left.example"), AUTH(2, bytes(32))
    scene = behind_nat().ike(AUTHENTICATE, *proof, notify(NotifyType.USE_TRANSPORT_MODE), *child, message_id=1)
    return scene.auth_response(*answer)


def test_selectors_of_transport_mode_have_other_addresses_behind_a_nat() -> None:
    granted = notify(NotifyType.USE_TRANSPORT_MODE), sa("aes128gcm16-noesn", protocol=3, spi=b"\0\0\2\2")
    scene = transport_behind_nat(*granted, ts(TSi, f"{INITIATOR}/32"), ts(TSr, f"{RESPONDER}/32"))
    assert "traffic-selectors-narrowed" not in scene.codes()
    ssh = TrafficSelector.of(f"{RESPONDER}/32", 6, (22, 22))
    scene = transport_behind_nat(*granted, ts(TSi, f"{INITIATOR}/32"), TSr([ssh]))
    assert "traffic-selectors-narrowed" in scene.codes()


def test_a_responder_that_does_not_know_transport_mode_behind_a_nat() -> None:
    scene = transport_behind_nat(notify(NotifyType.TS_UNACCEPTABLE))
    assert any("2.23.1" in line for line in scene.finding("traffic-selector-mismatch").change)
    plain = Scene().init().auth_request().auth_response(notify(NotifyType.TS_UNACCEPTABLE))
    assert not any("2.23.1" in line for line in plain.finding("traffic-selector-mismatch").change)


def test_what_the_refusing_side_asks_for_itself_is_shown() -> None:
    scene = Scene().init().auth_request().auth_response(notify(NotifyType.TS_UNACCEPTABLE))
    wanted = ts(TSi, "203.0.113.128/25"), ts(TSr, "198.51.100.0/25")
    offer = sa("aes256-sha256-noesn", protocol=3, spi=b"\0\0\2\3")
    scene.ike(CHILD, offer, Nonce(b"n" * 32), *wanted, by_initiator=False)
    rows = [(one.here, one.value) for one in scene.finding("traffic-selector-mismatch").differences]
    assert (f"{RESPONDER} itself asks for", "203.0.113.128/25 === 198.51.100.0/25") in rows


def test_a_failure_that_was_overcome_is_a_warning() -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), spi_i=b"12345678")
    scene.ike(INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, spi_i=b"12345678")
    scene.init().auth_request().auth_response()
    found = scene.finding("ike-proposal-mismatch")
    assert found.severity is Severity.WARNING
    assert "from frame 3 on" in found.text
    assert not scene.explained().has_failed


def test_a_failure_after_success_stays_one() -> None:
    scene = established()
    scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), spi_i=b"12345678")
    scene.ike(INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, spi_i=b"12345678")
    assert scene.finding("ike-proposal-mismatch").severity is Severity.FAILURE
