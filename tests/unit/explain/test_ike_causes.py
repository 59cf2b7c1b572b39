"""Each cause that shows in IKE messages, from messages made for it; and none of them where nothing is wrong."""

import pytest

from ipsectest.base.iana import ExchangeType, NotifyType
from ipsectest.explain.findings import Certainty, Severity
from ipsectest.wire import AUTH, SK, Delete, IDi, Nonce, TSi, TSr
from tests.unit.explain.scenes import INITIATOR, RESPONDER, Scene, ke, notify, sa, ts

INIT, AUTHENTICATE, CHILD = ExchangeType.IKE_SA_INIT, ExchangeType.IKE_AUTH, ExchangeType.CREATE_CHILD_SA
SUITE = "aes128gcm16-prfsha256-x25519"


def established() -> Scene:
    return Scene().init().auth_request().auth_response()


def test_a_tunnel_that_comes_up_is_fine() -> None:
    told = established().explained()
    assert [one.code for one in told.findings] == ["all-fine"]
    assert not told.has_failed
    (story,) = told.stories
    assert story.is_established
    assert [(one.protocol, one.suite, one.mode) for one in story.agreed] == [
        ("IKE", SUITE, ""),
        ("ESP", "aes128gcm16-noesn", "tunnel"),
    ]
    assert story.agreed[1].local == ("198.51.100.0/24",)
    assert story.agreed[1].remote == ("203.0.113.0/24",)
    assert [(rung.number, rung.to_right) for rung in story.rungs] == [(1, True), (2, False), (3, True), (4, False)]


def test_ike_proposal_mismatch_shows_what_was_offered() -> None:
    scene = Scene().ike(INIT, sa(SUITE, "aes256-sha256-prfsha256-modp2048"), ke(31), Nonce(b"i" * 32))
    scene.ike(INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True)
    found = scene.finding("ike-proposal-mismatch")
    assert found.who == f"{RESPONDER} (responder)"
    assert [one.value for one in found.differences] == [SUITE, "aes256-sha256-prfsha256-modp2048"]
    assert [one.number for one in found.evidence] == [1, 2]
    assert found.severity is Severity.FAILURE
    assert not scene.explained().stories[0].is_established


def test_ike_proposal_mismatch_shows_what_the_responder_takes_elsewhere() -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), spi_i=b"12345678")
    scene.ike(INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, spi_i=b"12345678")
    scene.init("aes256-sha256-prfsha256-modp2048", 14)
    values = [(one.here, one.value) for one in scene.finding("ike-proposal-mismatch").differences]
    assert (f"{RESPONDER} takes from {INITIATOR}", "aes256-sha256-prfsha256-modp2048") in values


def group_refused(scene: Scene, offer: str, guess: int, wanted: int) -> Scene:
    scene.ike(INIT, sa(offer), ke(guess), Nonce(b"i" * 32))
    return scene.ike(INIT, notify(NotifyType.INVALID_KE_PAYLOAD, wanted.to_bytes(2, "big")), response=True)


def test_a_group_asked_for_and_given_is_a_note() -> None:
    scene = group_refused(Scene(), "aes128gcm16-prfsha256-x25519-ecp256", 31, 19)
    scene.init("aes128gcm16-prfsha256-x25519-ecp256", 19).auth_request().auth_response()
    assert scene.finding("group-retry").severity is Severity.NOTE
    assert not scene.explained().has_failed


@pytest.mark.parametrize(
    ("offer", "wanted", "tries", "code"),
    [
        ("aes128gcm16-prfsha256-x25519-ecp256", 19, 2, "group-loop"),
        (SUITE, 14, 1, "group-mismatch"),
        ("aes128gcm16-prfsha256-x25519-ecp256", 19, 1, "group-mismatch"),
    ],
)
def test_groups_that_do_not_come_together(offer: str, wanted: int, tries: int, code: str) -> None:
    scene = group_refused(Scene(), offer, 31, wanted)
    for _ in range(tries - 1):
        group_refused(scene, offer, wanted, wanted)
    found = scene.finding(code)
    assert found.severity is Severity.FAILURE
    assert found.differences[0].value == "x25519"


def cookie_round(scene: Scene, number: int, *, given: bool = True) -> Scene:
    cookie = (notify(NotifyType.COOKIE, bytes((number,) * 16)),) if number and given else ()
    scene.ike(INIT, *cookie, sa(SUITE), ke(31), Nonce(bytes((number,)) * 32 if not given else b"i" * 32))
    return scene.ike(INIT, notify(NotifyType.COOKIE, bytes((number + 1,) * 16)), response=True, spi_r=bytes(8))


def test_one_cookie_is_nothing_to_tell() -> None:
    scene = cookie_round(Scene(), 0)
    scene.ike(INIT, notify(NotifyType.COOKIE, b"\1" * 16), sa(SUITE), ke(31), Nonce(b"i" * 32))
    scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"r" * 32), response=True).auth_request().auth_response()
    assert scene.codes() == ["all-fine"]


@pytest.mark.parametrize(("given", "who"), [(True, RESPONDER), (False, INITIATOR)])
def test_cookie_loops_name_who_is_at_fault(given: bool, who: str) -> None:
    scene = Scene()
    for number in range(4):
        cookie_round(scene, number, given=given)
    assert who in scene.finding("cookie-loop").who


def test_a_cookie_that_is_not_given_back() -> None:
    scene = cookie_round(Scene(), 0).esp(b"\0\0\3\3", 1, after=5)
    assert scene.finding("cookie-not-returned").certainty is Certainty.LIKELY


def test_a_request_without_a_cookie_again_and_again() -> None:
    scene = Scene()
    for number in range(3):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), after=0.5)
        scene.ike(INIT, notify(NotifyType.COOKIE, bytes((number,) * 16)), response=True, spi_r=bytes(8), after=0.1)
    assert scene.codes() == ["cookie-not-returned"]
    assert "3 demands" in scene.finding("cookie-not-returned").text


def test_a_cookie_that_is_given_back_in_vain() -> None:
    scene = cookie_round(Scene(), 0)
    for _ in range(3):
        cookie = notify(NotifyType.COOKIE, b"\1" * 16)
        scene.ike(INIT, cookie, sa(SUITE), ke(31), Nonce(b"i" * 32), after=0.5)
    assert scene.codes() == ["cookie-not-taken"]
    found = scene.finding("cookie-not-taken")
    assert (found.who, found.certainty) == (f"{RESPONDER} (responder)", Certainty.LIKELY)
    assert "the 3 requests" in found.text


def test_versions() -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), major=3)
    scene.ike(INIT, notify(NotifyType.INVALID_MAJOR_VERSION), response=True)
    (difference,) = scene.finding("version-mismatch").differences
    assert (difference.value, difference.other) == ("IKE 3.0", "IKE 2.0")


def test_an_authentication_failure_with_a_pre_shared_key() -> None:
    scene = Scene().init().auth_request()
    scene.ike(AUTHENTICATE, notify(NotifyType.AUTHENTICATION_FAILED), response=True, message_id=1)
    found = scene.finding("wrong-psk")
    assert found.who == f"{RESPONDER} (responder)"
    assert found.differences[0].value == "left.example (ID_FQDN)"
    assert found.certainty is Certainty.LIKELY
    assert not scene.explained().stories[0].is_established


def test_an_authentication_failure_that_the_initiator_tells() -> None:
    scene = established()
    scene.ike(ExchangeType.INFORMATIONAL, notify(NotifyType.AUTHENTICATION_FAILED), message_id=2)
    found = scene.finding("wrong-psk")
    assert found.who == f"{INITIATOR} (initiator)"
    assert "right.example" in found.text


def test_certificates_and_methods() -> None:
    scene = Scene().init().auth_request(method=14)
    scene.ike(AUTHENTICATE, notify(NotifyType.AUTHENTICATION_FAILED), response=True, message_id=1)
    assert scene.finding("certificate-refused").evidence[0].number == 4


def test_child_proposal_mismatch() -> None:
    scene = Scene().init().auth_request(esp="aes256-sha512-noesn")
    scene.auth_response(notify(NotifyType.NO_PROPOSAL_CHOSEN))
    found = scene.finding("child-proposal-mismatch")
    assert found.differences[0].value == "aes256-sha512-noesn"
    assert scene.explained().stories[0].is_established


def test_child_proposal_mismatch_when_it_is_rekeyed_with_pfs() -> None:
    scene = established()
    offer = sa("aes128gcm16-ecp384-noesn", protocol=3, spi=b"\0\0\1\2")
    scene.ike(CHILD, notify(NotifyType.REKEY_SA, spi=b"\0\0\1\1", protocol=3), offer, Nonce(b"n" * 32), message_id=2)
    scene.ike(CHILD, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, message_id=2)
    assert any("PFS" in line for line in scene.finding("child-proposal-mismatch").change)


def test_traffic_selector_mismatch() -> None:
    scene = Scene().init().auth_request().auth_response(notify(NotifyType.TS_UNACCEPTABLE))
    found = scene.finding("traffic-selector-mismatch")
    assert [one.value for one in found.differences] == ["198.51.100.0/24", "203.0.113.0/24"]


def test_narrowing_is_a_warning() -> None:
    scene = Scene().init().auth_request()
    scene.auth_response(
        sa("aes128gcm16-noesn", protocol=3, spi=b"\0\0\2\2"), ts(TSi, "198.51.100.0/24"), ts(TSr, "203.0.113.7/32")
    )
    found = scene.finding("traffic-selectors-narrowed")
    assert [(one.value, one.other) for one in found.differences] == [("203.0.113.0/24", "203.0.113.7/32")]
    assert not scene.explained().has_failed


@pytest.mark.parametrize(
    ("kind", "code", "fails"),
    [
        (NotifyType.TEMPORARY_FAILURE, "temporary-failure", False),
        (NotifyType.CHILD_SA_NOT_FOUND, "child-sa-not-found", False),
        (NotifyType.NO_ADDITIONAL_SAS, "no-additional-sas", True),
        (NotifyType.FAILED_CP_REQUIRED, "address-request-required", True),
        (NotifyType.SINGLE_PAIR_REQUIRED, "single-pair-required", True),
        (NotifyType.INTERNAL_ADDRESS_FAILURE, "no-address-left", True),
        (NotifyType.INVALID_SYNTAX, "invalid-syntax", True),
        (NotifyType.INVALID_IKE_SPI, "unknown-ike-sa", True),
    ],
)
def test_errors_that_speak_for_themselves(kind: NotifyType, code: str, fails: bool) -> None:
    scene = established()
    scene.ike(CHILD, sa("aes128gcm16-noesn", protocol=3, spi=b"\0\0\1\2"), Nonce(b"n" * 32), message_id=2)
    scene.ike(CHILD, notify(kind), response=True, message_id=2)
    found = scene.finding(code)
    assert found.evidence[-1].number == 6
    assert scene.explained().has_failed == fails


def test_a_temporary_failure_before_an_ike_sa_is_up_is_one_of_the_answering_side() -> None:
    scene = Scene().init().auth_request().auth_response(notify(NotifyType.TEMPORARY_FAILURE))
    found = scene.finding("temporary-failure")
    assert (found.certainty, found.severity) == (Certainty.LIKELY, Severity.FAILURE)
    assert "rekey" not in found.text + "".join(found.change)


def test_nobody_answers() -> None:
    scene = Scene()
    for pause in (0, 1, 2, 4):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), after=pause)
    found = scene.finding("peer-unreachable")
    assert found.text.startswith("4 IKE_SA_INIT requests")
    assert found.certainty is Certainty.LIKELY
    (rung,) = scene.explained().stories[0].rungs
    assert (rung.times, rung.seconds, rung.is_unanswered) == (4, 7.0, True)


@pytest.mark.parametrize(("code", "words"), [(3, "listens"), (1, "route"), (13, "allow")])
def test_icmp_says_why(code: int, words: str) -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32)).icmp(code, reporter="192.0.2.254")
    found = scene.finding("peer-unreachable")
    assert found.certainty is Certainty.CERTAIN
    assert words in found.change[0]
    assert [one.number for one in found.evidence] == [1, 2]


def test_a_capture_that_ends_too_early_accuses_nobody() -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32))
    assert scene.finding("capture-ends-early").severity is Severity.WARNING
    assert not scene.explained().has_failed


def test_port_4500_is_blocked() -> None:
    scene = Scene().init()
    scene.port = 4500
    for pause in (0, 1, 2):
        scene.auth_request(after=pause)
    found = scene.finding("nat-t-blocked")
    assert found.text.endswith("3 requests to port 4500 were not.")
    assert "nat-t-blocked" in scene.codes()
    assert "peer-unreachable" not in scene.codes()


def test_a_large_message_is_lost() -> None:
    scene = Scene().init()
    for pause in (0, 1, 2):
        scene.ike(AUTHENTICATE, IDi(id_type=11, data=bytes(1800)), AUTH(2, bytes(32)), message_id=1, after=pause)
    found = scene.finding("large-message-lost")
    assert found.text.startswith("3 times a request of 19")
    assert "fragmentation" in found.change[0]


def test_several_attempts_are_one_finding() -> None:
    scene = Scene()
    for attempt in range(3):
        spi = bytes((attempt + 1,)) * 8
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), spi_i=spi)
        scene.ike(INIT, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, spi_i=spi)
    told = scene.explained()
    assert [one.code for one in told.findings] == ["ike-proposal-mismatch"]
    assert [one.number for one in told.findings[0].evidence] == [1, 2, 3, 4, 5, 6]


def test_a_deleted_child_sa_is_marked() -> None:
    scene = established()
    scene.ike(ExchangeType.INFORMATIONAL, Delete(3, [b"\0\0\1\1"]), message_id=2)
    scene.ike(ExchangeType.INFORMATIONAL, Delete(3, [b"\0\0\2\2"]), message_id=2, response=True)
    assert scene.explained().stories[0].agreed[1].deleted == 5


def test_nothing_of_ike_in_it() -> None:
    assert Scene().codes() == ["no-ike"]


def test_the_responder_is_known_by_its_own_exchange() -> None:
    scene = established()
    scene.ike(CHILD, sa("aes256gcm16-noesn", protocol=3, spi=b"\0\0\2\3"), message_id=0, by_initiator=False)
    scene.ike(CHILD, notify(NotifyType.NO_PROPOSAL_CHOSEN), response=True, message_id=0, by_initiator=False)
    found = scene.finding("child-proposal-mismatch")
    assert found.who == f"{INITIATOR} (initiator)"


def test_something_else_on_port_500_is_no_ike() -> None:
    scene = Scene().datagram(bytes(range(1, 200)))
    assert scene.codes() == ["no-ike"]


def test_the_shortest_answer_that_makes_a_child_sa() -> None:
    """IDr of an IPv4 address, and no notification beside it, as Libreswan answers."""
    scene = Scene().init()
    scene.ike(AUTHENTICATE, SK(bytes(240), first=35), message_id=1)
    octets = bytes(8 + (8 + 4) + (8 + 32) + (4 + 8 + 4 + 12 + 8) + 2 * 24 + 1 + 16)
    assert scene.ike(AUTHENTICATE, SK(octets, first=36), message_id=1, response=True).codes() == ["all-fine"]


@pytest.mark.parametrize(("rounds", "code"), [(1, "child-refused"), (3, "all-fine")])
def test_the_last_answer_of_eap_has_no_identity(rounds: int, code: str) -> None:
    scene = Scene().init()
    for number in range(1, rounds + 1):
        scene.ike(AUTHENTICATE, SK(bytes(240), first=35), message_id=number)
        octets = bytes(8 + 16 + 125)  # AUTH, SA, TSi and TSr; with IDr they are longer
        scene.ike(AUTHENTICATE, SK(octets, first=36), message_id=number, response=True)
    assert scene.codes() == [code]


def test_a_child_sa_refused_without_keys_and_one_that_came_later() -> None:
    scene = Scene().init()
    scene.ike(AUTHENTICATE, SK(bytes(240), first=35), message_id=1)
    scene.ike(AUTHENTICATE, SK(bytes(100), first=36), message_id=1, response=True)
    assert scene.finding("child-refused").severity is Severity.FAILURE
    scene.ike(CHILD, SK(bytes(200), first=33), message_id=2).ike(
        CHILD, SK(bytes(33), first=41), message_id=2, response=True
    )
    assert [one.title for one in scene.explained().findings if one.severity is Severity.FAILURE] == [
        "CREATE_CHILD_SA is refused"
    ]
    scene.ike(CHILD, SK(bytes(200), first=33), message_id=3).ike(
        CHILD, SK(bytes(180), first=33), message_id=3, response=True
    )
    assert not scene.explained().has_failed


def test_authentication_refused_without_keys() -> None:
    scene = Scene().init()
    scene.ike(AUTHENTICATE, SK(bytes(240), first=35), message_id=1)
    scene.ike(AUTHENTICATE, SK(bytes(33), first=41), message_id=1, response=True)
    assert scene.finding("authentication-failed").certainty is Certainty.LIKELY
    assert scene.explained().stories[0].is_established is False


def test_an_initiator_that_stops_after_an_answer() -> None:
    scene = Scene().init().esp(b"\0\0\3\3", 1, after=5)
    found = scene.finding("answer-not-taken")
    assert (found.who, found.certainty) == (f"{INITIATOR} (initiator)", Certainty.LIKELY)
    assert Scene().init().codes() == ["capture-ends-early", "all-fine"]


def test_an_answer_that_was_not_asked_for() -> None:
    scene = Scene().ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32))
    scene.ike(INIT, sa("aes256gcm16-prfsha256-ecp256"), ke(14), Nonce(b"r" * 32), response=True)
    scene.esp(b"\0\0\3\3", 1, after=5)
    found = scene.finding("answer-not-taken")
    assert (found.who, found.certainty) == (f"{RESPONDER} (responder)", Certainty.CERTAIN)
    assert "chooses aes256gcm16-prfsha256-ecp256, which was not offered" in found.text
    assert "a value of modp2048 beside a choice of ecp256" in found.text


def test_a_capture_that_has_each_packet_twice_accuses_nobody() -> None:
    scene = Scene()
    for after in (1, 0.001):
        scene.ike(INIT, sa(SUITE), ke(31), Nonce(b"i" * 32), after=after)
    assert scene.codes() == ["capture-ends-early", "all-fine"]
    assert scene.explained().stories[0].rungs[0].times == 1
