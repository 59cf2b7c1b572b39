"""Lines of real daemons, and what follows from them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipsectest.explain.explanation import Explanation, explain
from ipsectest.explain.findings import Certainty, Finding, Severity
from ipsectest.explain.gap import gap
from ipsectest.explain.logs.charon import CharonLog
from ipsectest.explain.logs.model import LONGEST_LINE, MOST_SAS, LogFacts
from ipsectest.explain.logs.pluto import PlutoLog
from ipsectest.explain.logs.reading import daemons_of, read_logs
from ipsectest.explain.logs.suite_words import from_charon, from_pluto_configuration, from_pluto_offer
from tests.unit.explain.scenes import INITIATOR, RESPONDER, Scene

VECTORS = Path(__file__).parents[2] / "vectors" / "keys"
LINES = Path(__file__).parents[2] / "vectors" / "explain"


def charon(*lines: str, prefix: str = "06:12:19.976 09[IKE] <site|7> ") -> LogFacts:
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    for number, line in enumerate(lines, 1):
        log.take(number, prefix + line)
    return log.facts


def pluto(*lines: str, prefix: str = 'Nov 29 06:12:20.008456: "site"[1] 192.0.2.1 #7: ') -> LogFacts:
    log = PlutoLog(LogFacts("pluto.log", "Libreswan"))
    for number, line in enumerate(lines, 1):
        log.take(number, line if line.startswith("Nov") else prefix + line)
    return log.facts


def only(facts: LogFacts) -> Finding:
    (found,) = facts.findings
    return found


def cases(name: str) -> Iterator[tuple[str, str, list[str]]]:
    """Code, certainty and lines of each block of a file."""
    text = (LINES / name).read_text()
    for block in text.partition("\n\n")[2].strip().split("\n\n"):
        head, *lines = block.splitlines()
        code, certainty = head.split()
        yield code, certainty, [line[4:] for line in lines]


@pytest.mark.parametrize(("code", "certainty", "lines"), list(cases("charon-lines.txt")))
def test_lines_of_charon(code: str, certainty: str, lines: list[str]) -> None:
    found = only(charon(*lines))
    assert (found.code, found.certainty) == (code, certainty)
    assert found.evidence[0].number == len(lines)
    assert "{" not in found.text + "".join(found.change)
    assert found.change


@pytest.mark.parametrize(("code", "certainty", "lines"), list(cases("pluto-lines.txt")))
def test_lines_of_pluto(code: str, certainty: str, lines: list[str]) -> None:
    found = only(pluto(*lines))
    assert (found.code, found.certainty) == (code, certainty)
    assert "{" not in found.text + "".join(found.change)
    assert found.subject >= {"192.0.2.1"}


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        (
            ["NSS: ERROR: IPsec certificate CN=a invalid: SEC_ERROR_EXPIRED_CERTIFICATE: has expired."],
            "certificate-expired",
        ),
        (
            ["NSS: ERROR: IPsec certificate CN=a invalid: SEC_ERROR_REVOKED_CERTIFICATE: revoked."],
            "certificate-revoked",
        ),
        (["NSS: ERROR: IPsec certificate CN=a invalid: SEC_ERROR_UNKNOWN_ISSUER: not."], "untrusted-certificate"),
        (
            ["X509: authentication failed; peer certificate contains no subjectAltName extension to match x"],
            "id-mismatch",
        ),
    ],
)
def test_pluto_tells_one_cause_of_a_refused_certificate(lines: list[str], code: str) -> None:
    found = only(
        pluto(
            *lines,
            "NSS: end certificate invalid",
            "X509: certificate payload rejected for this connection",
            "authentication failed: no certificate matched PKCS#1 1.5 RSA with SHA2_256 and '@a'",
            "responding to IKE_AUTH message (ID 1) from 192.0.2.1:500 with encrypted "
            "notification AUTHENTICATION_FAILED",
        )
    )
    assert found.code == code


def test_pluto_tells_why_it_refuses_eap_once() -> None:
    refusal = (
        "responding to IKE_AUTH message (ID 1) from 192.0.2.1:500 with encrypted notification AUTHENTICATION_FAILED"
    )
    assert only(pluto("Peer attempted EAP authentication, but EAP is not allowed", refusal)).code == "eap-failed"
    broken = (
        "not (md->chain[ISAKMP_NEXT_v2AUTH] == ((void *)0)) (process_v2_IKE_AUTH_request_standard_payloads() +572 a.c)"
    )
    assert only(pluto(broken)).code == "eap-failed"
    assert only(pluto("NSS: Handshake failed: SSL_ERROR_UNSUPPORTED_VERSION: no common version")).code == "eap-failed"


def test_pluto_refuses_to_load_a_certificate_that_expired() -> None:
    found = only(
        pluto(
            "Nov 29 06:12:20.0: \"site\": failed to add connection: left certificate 'gw' is expired or not yet valid"
        )
    )
    assert found.code == "certificate-expired"
    assert "'gw'" in found.text


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("certificate was revoked on Nov 28 09:10:49 UTC 2026, reason: unspecified", "certificate-revoked"),
        ("subject certificate invalid (valid from Jan 01 to Feb 01)", "certificate-expired"),
        ('no issuer certificate found for "CN=a"', "untrusted-certificate"),
    ],
)
def test_charon_tells_one_cause_of_a_refused_certificate(line: str, code: str) -> None:
    before = ['received end entity cert "CN=a"', '  using certificate "CN=a"']
    assert only(charon(*before, line, "no trusted RSA public key found for 'a'")).code == code


def test_charon_tells_one_cause_of_a_missing_password() -> None:
    found = only(
        charon(
            "server requested EAP_MD5 authentication (id 0xA6)",
            "no EAP key found for hosts 'tester.example' - 'peer.example'",
            "EAP_MD5 method failed",
        )
    )
    assert found.code == "eap-failed"
    assert "tester.example" in "".join(found.change)


def test_charon_judges_each_certificate_by_itself() -> None:
    facts = charon(
        'received end entity cert "CN=a"',
        '  using certificate "CN=a"',
        "certificate was revoked on Nov 28 09:10:49 UTC 2026, reason: unspecified",
        'received end entity cert "CN=b"',
        "no trusted RSA public key found for 'c'",
    )
    assert [one.code for one in facts.findings] == ["certificate-revoked", "id-mismatch"]


def test_both_sides_proposals_stand_side_by_side() -> None:
    found = only(
        charon(
            "received packet: from 192.0.2.2[500] to 192.0.2.1[500] (200 bytes)",
            "received proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519",
            "configured proposals: IKE:AES_CBC_256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/ECP_384, IKE:3DES_CBC/MODP_1024",
            "received proposals unacceptable",
        )
    )
    assert [(one.here, one.value) for one in found.differences] == [
        ("192.0.2.2 offers", "aes128gcm16-prfsha256-x25519"),
        ("192.0.2.1 takes", "aes256-sha384-prfsha384-ecp384"),
        ("192.0.2.1 takes", "3des-modp1024"),
    ]


def test_pluto_shows_what_is_configured_too() -> None:
    found = only(
        pluto(
            'Nov 29 06:12:20.255439: "site":   1:IKE=AES_CBC_256-HMAC_SHA2_384-HMAC_SHA2_384_192-ECP_384+ECP_256',
            "no local proposal matches remote proposals 1:IKE:ENCR=AES_GCM_16_128;PRF=HMAC_SHA2_256;DH=CURVE25519",
        )
    )
    assert [one.value for one in found.differences] == [
        "aes128gcm16-prfsha256-x25519",
        "aes256-prfsha384-sha384-ecp384-ecp256",
    ]


def test_suites_in_our_words() -> None:
    assert from_charon("ESP:AES_CBC_256/HMAC_SHA2_512_256/NO_EXT_SEQ, ESP:CHACHA20_POLY1305/EXT_SEQ") == [
        "aes256-sha512",
        "chacha20poly1305-esn",
    ]
    assert from_pluto_offer(
        "1:ESP:ENCR=AES_GCM_C_128;ESN=DISABLED 2:ESP:ENCR=3DES;INTEG=HMAC_SHA1_96[first-match]"
    ) == [
        "aes128gcm16",
        "3des-sha1",
    ]
    assert from_pluto_configuration("  1:ESP=AES_GCM_16_128-NONE-NONE-ESN:NO") == "aes128gcm16"


CONVERSATION = [
    "06:12:20.007 22[ENC] <site|1> generating IKE_SA_INIT request 0 [ SA KE No N(NATD_S_IP) N(NATD_D_IP) V ]",
    "06:12:20.008 22[NET] <site|1> sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (224 bytes)",
    "06:12:20.108 22[IKE] <site|1> retransmit 1 of request with message ID 0",
    "06:12:20.108 22[NET] <site|1> sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (224 bytes)",
    "06:12:20.113 21[NET] <site|1> received packet: from 192.0.2.2[500] to 192.0.2.1[500] (222 bytes)",
    "06:12:20.113 21[ENC] <site|1> parsed IKE_SA_INIT response 0 [ SA KE No N(CHDLESS_SUP) ]",
    "06:12:20.113 21[CFG] <site|1> selected proposal: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519",
    "06:12:20.200 21[IKE] <site|1> IKE_SA site[1] established between 192.0.2.1[a]...192.0.2.2[b]",
    (
        "06:12:20.200 21[IKE] <site|1> CHILD_SA net{1} established with SPIs 7e355b99_i 48da307b_o and TS 10.1.0.0/16 "
        "=== 10.2.0.0/16"
    ),
]


def test_a_ladder_from_a_log() -> None:
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    for number, line in enumerate(CONVERSATION, 1):
        log.take(number, line)
    told = explain([], [log.facts])
    (story,) = told.stories
    assert [(rung.number, rung.text, rung.to_right, rung.times) for rung in story.rungs] == [
        (2, "IKE_SA_INIT request 0: SA KE Ni +2 N +1 V", True, 2),
        (6, "IKE_SA_INIT response 0: SA KE Nr +1 N", False, 1),
    ]
    assert story.rungs[0].seconds == pytest.approx(0.1)
    assert story.is_established
    assert [one.protocol for one in story.agreed] == ["IKE", "ESP"]
    assert [one.code for one in told.findings] == ["all-fine"]


@pytest.mark.parametrize(
    "head",
    [
        "Nov 29 06:12:19 gw charon-systemd[123]: ",
        "Nov 29 06:12:19 gw charon: 09[IKE] <site|7> ",
        "2026-11-29T06:12:19+0000 09[IKE] <7> ",
        "09[IKE1] ",
    ],
)
def test_logs_of_syslog_and_journal(head: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(f"{head}no matching peer config found\n")
    (facts,) = read_logs(path, "log")
    assert facts.daemon == "strongSwan"
    assert only(facts).code == "id-mismatch"


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.log")), ids=lambda path: path.name)
def test_recorded_logs_are_recognised_and_fine(path: Path) -> None:
    (facts,) = read_logs(path, path.name)
    assert facts.daemon == ("strongSwan" if path.name.startswith("strongswan") else "Libreswan")
    assert not explain([], [facts]).has_failed


def test_what_is_no_log() -> None:
    assert daemons_of("Hello\n12[abc]\n") == []
    assert daemons_of("") == []


@pytest.mark.parametrize("head", ["06:12:19.976 {:02}[IKE] ", "Nov 29 06:12:19 gw charon-systemd[7]: "])
def test_lines_that_name_no_ike_sa(head: str) -> None:
    """As charon writes them by default, from a file with threads and from the journal without; two peers at once."""
    here, peer, other = "192.0.2.1[500]", "192.0.2.2[500]", "192.0.2.3[500]"
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    lines = [
        (1, "initiating IKE_SA site[1] to 192.0.2.2"),
        (1, "generating IKE_SA_INIT request 0 [ SA KE No ]"),
        (1, f"sending packet: from {here} to {peer} (200 bytes)"),
        (2, f"received packet: from {other} to {here} (200 bytes)"),
        (2, "parsed IKE_SA_INIT request 0 [ SA KE No ]"),
        (2, "192.0.2.3 is initiating an IKE_SA"),
        (2, "generating IKE_SA_INIT response 0 [ SA KE No ]"),
        (2, f"sending packet: from {here} to {other} (200 bytes)"),
        (3, f"received packet: from {peer} to {here} (200 bytes)"),
        (3, "parsed IKE_SA_INIT response 0 [ N(NO_PROP) ]"),
        (3, "received NO_PROPOSAL_CHOSEN notify error"),
        (2, f"received packet: from {other} to {here} (200 bytes)"),
        (2, "parsed IKE_AUTH request 1 [ IDi AUTH SA TSi TSr ]"),
        (2, "IKE_SA client[2] established between 192.0.2.1[a]...192.0.2.3[b]"),
        (2, "generating IKE_AUTH response 1 [ IDr AUTH SA TSi TSr ]"),
        (2, f"sending packet: from {here} to {other} (200 bytes)"),
        (1, "initiating IKE_SA site[3] to 192.0.2.2"),
        (1, "generating IKE_SA_INIT request 0 [ SA KE No ]"),
        (1, f"sending packet: from {here} to {peer} (200 bytes)"),
    ]
    for number, (thread, text) in enumerate(lines, 1):
        log.take(number, head.format(thread) + text)
    sas = [one for one in log.facts.sas.values() if one.rungs]
    assert [(one.remote, one.is_initiator, one.is_established, len(one.rungs)) for one in sas] == [
        ("192.0.2.2", True, False, 2),
        ("192.0.2.3", False, True, 4),
        ("192.0.2.2", True, False, 1),
    ]
    assert only(log.facts).subject == {"192.0.2.1", "192.0.2.2"}


def test_the_journal_of_two_daemons() -> None:
    """A handshake between two charons, rekeyed, and one that pluto refuses; what ``journalctl -o json`` printed."""
    one, other = read_logs(VECTORS / "journal.json", "journal")
    assert [one.daemon, other.daemon] == ["strongSwan", "Libreswan"]
    told = explain([], [one, other])
    assert [(sa.local, sa.is_established) for sa in one.sas.values() if sa.rungs] == [
        ("192.0.2.17", True),
        ("192.0.2.33", False),
    ]
    (finding,) = (found for found in told.findings if found.severity is Severity.FAILURE)
    assert finding.code == "wrong-psk"
    assert finding.subject == {"192.0.2.33"}
    assert len(finding.evidence) == 2


def test_a_log_behind_syslog_or_in_the_journal_tells_the_same(tmp_path: Path) -> None:
    heads = {
        "syslog": "<30>Nov 29 06:12:19 gw {}[7]: ",
        "5424": "<30>1 2026-11-29T06:12:19.5Z gw {} 7 - - ",
        "without-pid": "Nov 29 06:12:19 gw {}: ",
        "iso": "2026-11-29T06:12:19+0000 gw {}[7]: ",
        "precise": "Nov 29 06:12:19.500000 gw {}[7]: ",
    }
    for daemon, name, lines in (
        ("charon", "strongSwan", ["05[IKE] <site|7> no matching peer config found"]),
        ("pluto", "Libreswan", ['"site"[1] 192.0.2.1 #7: no local proposal matches remote proposals 1:IKE:ENCR=3DES']),
    ):
        for head in heads.values():
            path = tmp_path / "log"
            path.write_text("".join(f"{head.format(daemon)}{line}\n" for line in lines))
            (facts,) = read_logs(path, "log")
            assert facts.daemon == name
            assert len(facts.findings) == 1


def told(*logs: LogFacts, scene: Scene | None = None) -> Explanation:
    return explain([scene.facts()] if scene else [], logs)


def test_the_log_of_one_side_explains_what_the_other_only_sees() -> None:
    initiator = charon(
        "sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (10 bytes)",
        "received AUTHENTICATION_FAILED notify error",
    )
    responder = pluto("authentication failed: computed hash does not match hash received from peer ID_FQDN '@a'")
    (found,) = told(initiator, responder).findings
    assert (found.code, found.certainty) == ("wrong-psk", Certainty.CERTAIN)
    assert {one.file for one in found.evidence} == {"charon.log", "pluto.log"}


def test_a_log_makes_the_guess_of_a_capture_certain() -> None:
    from ipsectest.base.iana import ExchangeType, NotifyType
    from tests.unit.explain.scenes import notify

    scene = Scene().init().auth_request()
    scene.ike(ExchangeType.IKE_AUTH, notify(NotifyType.AUTHENTICATION_FAILED), response=True, message_id=1)
    assert scene.codes() == ["wrong-psk"]
    log = charon(
        f"received packet: from {INITIATOR}[500] to {RESPONDER}[500] (10 bytes)",
        f"looking for peer configs matching {RESPONDER}[right.example]...{INITIATOR}[left.example]",
        "no matching peer config found",
    )
    (found,) = told(log, scene=scene).findings
    assert (found.code, found.certainty) == ("id-mismatch", Certainty.CERTAIN)
    assert {str(one) for one in found.evidence} == {"frame 4", "charon.log:3"}


def test_others_are_not_mixed_up() -> None:
    one = charon("sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (10 bytes)", "no matching peer config found")
    other = pluto(
        "IKE SA authentication request rejected by peer: AUTHENTICATION_FAILED",
        prefix='Nov 29 06:12:20.0: "other"[1] 203.0.113.9 #9: ',
    )
    assert sorted(found.code for found in told(one, other).findings) == ["authentication-failed", "id-mismatch"]


def test_memory_is_bounded() -> None:
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    for number in range(MOST_SAS + 50):
        log.take(number, f"09[IKE] <x|{number}> received packet: from 192.0.2.1[500] to 192.0.2.2[500] (1 bytes)")
    assert len(log.facts.sas) == MOST_SAS
    assert log.facts.left_out == 50


WORDS = st.sampled_from(
    [
        "received proposals: ",
        "IKE:",
        "a/b, ",
        "sending packet: from x[99999999999999999999] to y[1] (1 bytes)",
        "[",
        "{x}",
        "giving up after 3 retransmits",
        "no local proposal matches remote proposals ",
        "1:IKE:ENCR=",
        "looking for peer ",
        "configs matching a[b]...",
        "traffic selectors  ===  unacceptable",
        "'",
        '"',
        "generating IKE_AUTH request 1 [ ",
        "CHILD_SA a{1} established with SPIs x_i y_o and TS ",
        "sent IKE_AUTH request to x:UDP/4500",
        "{cipher=",
        "integ=",
        "}",
    ]
)


@given(st.lists(st.lists(st.one_of(WORDS, st.text(max_size=20)), max_size=6).map("".join), max_size=12))
def test_hostile_lines_never_raise(lines: list[str]) -> None:
    facts = charon(*lines), pluto(*lines), pluto(*lines, prefix="")
    assert isinstance(explain([], facts).as_json()["findings"], list)


def test_severities_of_notes() -> None:
    assert only(charon("peer didn't accept DH group MODP_2048, it requested ECP_256")).severity is Severity.NOTE


@pytest.mark.parametrize("piece", ["a[b]...", "certificate ", "{cipher=", "' - '", "1:IKE:ENCR="])
def test_long_lines_cost_no_more_than_their_beginning(piece: str) -> None:
    heads = "IKE_SA x established between ", "authentication failed: ", "tried 1 shared key for '", "NSS: ERROR: "

    def cost(length: int) -> float:
        begin = time.process_time()
        for head in heads * 5:
            line = (head + piece * length)[:length]
            assert charon(line).lines == 1
            assert pluto(line).lines == 1
        return time.process_time() - begin

    cost(LONGEST_LINE)
    assert cost(16 * LONGEST_LINE) < 8 * cost(LONGEST_LINE) + 0.05


@pytest.mark.parametrize(
    ("offers", "takes", "text"),
    [
        (["aes128-sha256-prfsha256-x25519"], ["aes128-sha256-prfsha256-ecp384"], "group (x25519; ecp384)"),
        (
            ["aes128gcm16-prfsha256-x25519"],
            ["aes256-sha384-prfsha384-ecp384", "aes128gcm16-aes256gcm16-prfsha384-x25519"],
            "PRF (prfsha256; prfsha384)",
        ),
        (["aes128gcm16"], ["aes256-sha512"], "cipher (aes128gcm16; aes256)"),
        (["aes128gcm16-x25519"], ["aes128gcm16"], "group (x25519; none)"),
        (["whatever-x25519"], ["aes128"], ""),
        ([], ["aes128"], ""),
    ],
)
def test_what_differs_between_proposals(offers: list[str], takes: list[str], text: str) -> None:
    assert gap(offers, takes) == text


def test_the_gap_is_told() -> None:
    log = charon(
        "received proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519",
        "configured proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_384",
        "received proposals unacceptable",
    )
    assert told(log).findings[0].text.endswith("What differs: group (x25519; ecp384).")


def test_times_are_counted_in_one_file() -> None:
    twice = charon("no matching peer config found", "no matching peer config found")
    assert told(twice).findings[0].text.endswith("(2 times)")
    other = CharonLog(LogFacts("other.log", "strongSwan"))
    other.take(1, "09[IKE] <site|7> no matching peer config found")
    once = charon("no matching peer config found")
    assert "times" not in told(once, other.facts).findings[0].text


def test_a_restart_numbers_ike_sas_anew() -> None:
    lines = [*CONVERSATION, "06:13:00.000 00[DMN] Starting IKE charon daemon (strongSwan 5.9.8)", *CONVERSATION[:2]]
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    for number, line in enumerate(lines, 1):
        log.take(number, line)
    assert [one.is_established for one in told(log.facts).stories] == [True, False]


def test_ipv6_in_logs() -> None:
    sent = charon(
        "sending packet: from 2001:db8::1[500] to 2001:db8::2[500] (9 bytes)",
        "received AUTHENTICATION_FAILED notify error",
    )
    assert only(sent).subject == {"2001:db8::1", "2001:db8::2"}
    line = "packet from [2001:db8::7]:500: IKE_SA_INIT message received on x but no suitable connection found"
    assert only(pluto(line, prefix="Nov 29 06:12:20.0: ")).subject == {"2001:db8::7"}


def test_a_refused_rekey_belongs_to_the_old_ike_sa() -> None:
    log = CharonLog(LogFacts("charon.log", "strongSwan"))
    lines = (
        "<site|7> IKE_SA site[7] established between 192.0.2.2[b]...192.0.2.1[a]",
        "<site|7> received proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/MODP_1024",
        "<site|7> configured proposals: IKE:AES_GCM_16_128/PRF_HMAC_SHA2_256/CURVE_25519",
        "<site|8> received proposals unacceptable",
    )
    for number, line in enumerate(lines, 1):
        log.take(number, f"09[IKE] {line}")
    found = only(log.facts)
    assert found.code == "ike-rekey-proposal-mismatch"
    assert [one.value for one in found.differences] == [
        "aes128gcm16-prfsha256-modp1024",
        "aes128gcm16-prfsha256-x25519",
    ]
