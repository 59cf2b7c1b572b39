"""A run as the runner would record it: two peers, four families, every verdict and every outcome."""

from dataclasses import replace

import pytest

from ipsectest.runner.records import (
    CaseRecord,
    CheckRecord,
    HostRecord,
    LineRecord,
    Outcome,
    PeerRecord,
    ReasonRecord,
    RequirementRecord,
    RungRecord,
    RunInfo,
    RunRecord,
    ScenarioRecord,
    SectionRecord,
    ToolRecord,
)
from ipsectest.scenario.results import Level, Verdict

SCRIPT = """-> IKE_SA_INIT  ... SA(aes128gcm16-prfsha256-modp3072-modp2048) KE(modp3072)
<- IKE_SA_INIT  N(INVALID_KE_PAYLOAD group=modp2048)            [MUST 7296-3.4-05]
-> IKE_SA_INIT  ... SA(as before) KE(modp2048)
<- IKE_SA_INIT  SA(aes128gcm16-prfsha256-modp2048) KE(modp2048) Nr ...
-> IKE_AUTH     ...
<- IKE_AUTH     IDr AUTH SA TSi TSr ...
"""
REQUEST = [
    (0, "IKE header"),
    (1, "Initiator SPI: 5f2c88d1a34e0b17"),
    (1, "Exchange Type: IKE_SA_INIT (34)"),
    (0, "SA"),
    (1, "Proposal 1: IKE, 4 transforms"),
    (2, "ENCR_AES_GCM_16_128"),
    (2, "PRF_HMAC_SHA2_256"),
    (2, "MODP_3072"),
    (0, "KE: MODP_3072, 384 octets"),
    (0, "Ni: 32 octets"),
]
SCENARIOS = {
    "ike/init/invalid-ke-payload": "A KE payload of the wrong group is answered with INVALID_KE_PAYLOAD",
    "ike/init/cookie": "A COOKIE notify is returned as the first payload of the repeated request",
    "ike/init/unknown-critical": "A critical payload of unknown type is refused by its number",
    "ike/auth/psk": "A shared key authenticates both ends",
    "ike/auth/wrong-psk": "A wrong shared key is answered with AUTHENTICATION_FAILED",
    "ike/rekey/child-collision": "Two crossing rekeys of one Child SA leave the one with the higher nonces",
    "ike/retransmit/same-octets": "A retransmission is answered with the very same octets",
    "natt/keepalive": "A NAT-keepalive is dropped without a trace",
}
BUILTIN, CHARON = "builtin", "strongswan-6.0.1"
ODD = {
    ("ike/init/unknown-critical", CHARON): (Verdict.FAIL, Outcome.REGRESSION, ""),
    ("ike/auth/wrong-psk", CHARON): (Verdict.NONSTRICT, Outcome.AS_EXPECTED, ""),
    ("ike/rekey/child-collision", CHARON): (Verdict.FAIL, Outcome.AS_EXPECTED, "keeps both SAs, reported upstream"),
    ("ike/retransmit/same-octets", CHARON): (Verdict.PASS, Outcome.FIXED, "answered with fresh IVs up to 5.9.8"),
    ("natt/keepalive", CHARON): (Verdict.INCONCLUSIVE, Outcome.REGRESSION, ""),
    ("ike/rekey/child-collision", BUILTIN): (Verdict.UNSUPPORTED, Outcome.AS_EXPECTED, ""),
    ("natt/keepalive", BUILTIN): (Verdict.SKIPPED, Outcome.AS_EXPECTED, ""),
}
EXPECTED = "<- IKE_SA_INIT  N(INVALID_KE_PAYLOAD group=modp2048)"


def _ladder(*, met: bool) -> list[RungRecord]:
    details = [LineRecord(depth, text) for depth, text in REQUEST]
    answer = "IKE_SA_INIT N(INVALID_KE_PAYLOAD)" if met else "IKE_SA_INIT N(NO_PROPOSAL_CHOSEN)"
    return [
        RungRecord(0.0, "->", "IKE_SA_INIT SA KE Ni N(NAT_DETECTION_SOURCE_IP)", 10, None, "", 724, details),
        RungRecord(0.0012, "<-", answer, 11, met, "7296-3.4-05", 38, details[:3]),
        RungRecord(0.0013, "--", "silence for 1 s", 12),
        RungRecord(1.0013, "->", "IKE_AUTH SK{IDi AUTH SA TSi TSr}", 14, None, "", 260, details),
        RungRecord(1.0102, "<-", "IKE_AUTH SK{IDr AUTH SA TSi TSr}", 15, None, "", 228, details),
    ]


def _case(scenario: str, peer: str, variant: str = "") -> CaseRecord:
    verdict, outcome, expectation = ODD.get((scenario, peer), (Verdict.PASS, Outcome.AS_EXPECTED, ""))
    met = verdict in {Verdict.PASS, Verdict.UNSUPPORTED, Verdict.SKIPPED, Verdict.INCONCLUSIVE}
    level = Level.SHOULD if verdict is Verdict.NONSTRICT else Level.MUST
    actual = "" if met else "IKE_SA_INIT N(NO_PROPOSAL_CHOSEN)"
    reason = ReasonRecord(
        f"scenarios/{scenario}.toml",
        11,
        EXPECTED,
        "IKE_SA_INIT N(NO_PROPOSAL_CHOSEN)",
        "the answer <differs> & \x1b]0;title\x07",
    )
    case = CaseRecord(
        scenario,
        variant,
        peer,
        verdict,
        outcome,
        0.012,
        f"ipsectest run {scenario} --peer {peer} --seed 7",
        expectation=expectation,
        dimensions={"ip": "v4", "encap": "none"},
        reason=None if verdict is Verdict.PASS else reason,
        checks=[CheckRecord("7296-3.4-05", level, 11, met, EXPECTED, actual)],
        ladder=_ladder(met=met),
        notes=["sent 3 retransmissions"] if verdict is Verdict.NONSTRICT else [],
    )
    names = {"pcap": "trace.pcapng", "keys": "keys.toml", "peer_log": "peer.log", "ladder": "ladder.txt"}
    return replace(case, artifacts={key: f"{case.folder}/{name}" for key, name in names.items()})


def sample_record() -> RunRecord:
    """The record that every renderer of the report is tried on."""
    results = [_case(scenario, peer) for peer in (BUILTIN, CHARON) for scenario in SCENARIOS]
    results += [_case("ike/auth/psk", CHARON, variant) for variant in ("sha384", "ed25519")]
    requirement = RequirementRecord(
        "7296", "3.4", "MUST", "A KE payload of a group that is not chosen is refused by INVALID_KE_PAYLOAD.", 8, 3, 1
    )
    return RunRecord(
        run=RunInfo("20261121-014500", "2026-11-21T01:45:00Z", 41.5, 7, host=HostRecord("Linux", "6.18", "3.11")),
        peers={BUILTIN: PeerRecord("builtin", "0.1"), CHARON: PeerRecord("strongswan", "6.0.1", "ab" * 32, ["ping"])},
        scenarios={
            name: ScenarioRecord(
                f"scenarios/{name}.toml",
                title,
                "Two groups are offered, the peer takes the second only,\nthe KE payload carries the first.",
                "responder",
                ["7296-3.4-05"],
                "cd" * 32,
                SCRIPT,
                10,
            )
            for name, title in SCENARIOS.items()
        },
        results=results,
        requirements={"7296-3.4-05": requirement},
        coverage=[
            SectionRecord("7296", "2.6", 12, 5, 5, 0),
            SectionRecord("7296", "3.4", 9, 6, 5, 1),
            SectionRecord("7296", "3.10", 14, 0, 0, 0),
            SectionRecord("3948", "2.3", 3, 1, 1, 0),
        ],
        tool=ToolRecord("ipsectest", "0.1.0", "0123abc"),
    )


@pytest.fixture
def record() -> RunRecord:
    return sample_record()
