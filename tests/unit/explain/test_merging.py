"""One finding of what several files tell."""

from typing import Any

from ipsectest.explain import kinds
from ipsectest.explain.findings import Certainty, Evidence, Finding, Kind, Severity
from ipsectest.explain.merging import merged


def finding(kind: Kind, file: str, certainty: Certainty = Certainty.LIKELY, **more: Any) -> Finding:
    known = {"who": "192.0.2.2", "text": "text", "change": ("change it",), "subject": frozenset({"192.0.2.2"})}
    where = Evidence(file, 1, "line" if file.endswith(".log") else "frame")
    return Finding(kind=kind, certainty=certainty, evidence=(where,), **{**known, **more})


def test_what_is_known_keeps_its_kind_beside_a_guess_that_cites_a_requirement() -> None:
    known = finding(kinds.UNTRUSTED_CERTIFICATE, "pluto.log", Certainty.CERTAIN)
    assert not known.kind.requirement
    (told,) = merged([finding(kinds.OTHER_ID, "trace.pcapng"), known])
    assert (told.code, told.title) == (known.code, known.title)
    assert told.kind.requirement == kinds.OTHER_ID.requirement
    assert told.kind.clause == kinds.OTHER_ID.clause


def test_what_is_known_keeps_its_own_clause() -> None:
    (told,) = merged(
        [finding(kinds.NO_CONNECTION_WITH_IDS, "charon.log", Certainty.CERTAIN), finding(kinds.OTHER_ID, "a.pcap")]
    )
    assert told.kind is kinds.NO_CONNECTION_WITH_IDS


def test_a_responder_that_was_not_believed_takes_the_initiator_for_dead() -> None:
    ends = {"subject": frozenset({"192.0.2.1", "192.0.2.2"})}
    cause = finding(kinds.CERTIFICATE_EXPIRED, "pluto.log", Certainty.CERTAIN, **ends)
    dead = finding(kinds.DEAD_PEER, "trace.pcapng", Certainty.CERTAIN, **ends)
    told = {one.code: one for one in merged([dead, cause])}
    assert [told[code].severity for code in ("certificate-expired", "dead-peer")] == [
        Severity.FAILURE,
        Severity.WARNING,
    ]
    assert "up on one side only" in told["dead-peer"].text
    elsewhere = finding(kinds.DEAD_PEER, "trace.pcapng", Certainty.CERTAIN, subject=frozenset({"192.0.2.7"}))
    guessed = finding(kinds.CERTIFICATE_EXPIRED, "a.pcap", Certainty.CERTAIN, **ends)
    for others in ([elsewhere, cause], [dead, guessed]):
        assert {one.severity for one in merged(others)} == {Severity.FAILURE}
