"""Findings out of counters: of one kernel, and of the kernels at both ends of an SA."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ipsectest.explain import kinds
from ipsectest.explain.counters.model import CounterFacts, SaCounters
from ipsectest.explain.findings import Certainty, Evidence, Finding, Kind, Severity

MUCH_LOSS = 0.05
MANY = 5
"""Packets from which on a share of them says something."""
_LOST = replace(kinds.PACKETS_LOST, title="Packets are lost between the two ends")
_OTHER_WAY = Kind(
    code="esp-not-encapsulated",
    title="ESP does not come the way its SA says",
    clause="RFC 7296 section 2.23",
    requirement="7296-2.23-07",
)
_WAY = (
    "Capture at both ends to see where they stay. Look for queues, policers, and packets that are too large once ESP "
    "is around them (lower the MTU of the tunnel, or clamp the MSS)."
)
_DOUBLED = (
    "Look for a loop or a bridge that doubles packets; for several paths or queues (QoS below ESP): a larger replay "
    "window helps (strongSwan: replay_window, Libreswan: replay-window=)."
)
_CHANGED = (
    "Look for hardware that changes packets (offloads, NICs, NAT helpers); if no packet gets through, the two ends "
    "have different keys: compare the suites of both."
)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a counter of ``/proc/net/xfrm_stat`` says."""

    kind: Kind
    text: str
    change: str


_MEANINGS = {
    "XfrmInStateSeqError": _Meaning(
        kinds.PACKETS_REPLAYED, "had sequence numbers that were there already, or too old", _DOUBLED
    ),
    "XfrmInStateProtoError": _Meaning(kinds.PACKETS_DAMAGED, "failed their ICV or could not be opened", _CHANGED),
    "XfrmInNoStates": _Meaning(
        kinds.UNKNOWN_SPI,
        "had SPIs of no SA here",
        "The other end uses SAs that are gone here: let it notice (DPD, INITIAL_CONTACT), or bring the tunnel up anew.",
    ),
    "XfrmInStateMismatch": _Meaning(
        _OTHER_WAY,
        "came in UDP where the SA has none, or the other way round",
        "Both ends have to see the NAT, or be told to encapsulate (strongSwan: encap, Libreswan: encapsulation=).",
    ),
    "XfrmInTmplMismatch": _Meaning(
        kinds.REFUSED_BY_POLICY,
        "came in clear, or through the wrong SA, where policy wants one of its own",
        "Compare the selectors of both ends; the sender has no policy for this traffic, or one that is narrower.",
    ),
    "XfrmInNoPols": _Meaning(
        kinds.REFUSED_BY_POLICY,
        "came out of an SA whose policy is not there",
        "Compare `ip xfrm policy` with the Child SAs; selectors, marks or interfaces do not fit what comes.",
    ),
    "XfrmInPolBlock": _Meaning(
        kinds.REFUSED_BY_POLICY,
        "met a policy that discards",
        "Look for connections that drop or wait (`ip xfrm policy`: action block).",
    ),
    "XfrmOutPolBlock": _Meaning(
        kinds.REFUSED_BY_POLICY,
        "were to go out and met a policy that discards",
        "Look for connections that drop or wait (`ip xfrm policy`: action block).",
    ),
    "XfrmOutNoStates": _Meaning(
        kinds.NO_SA_TO_SEND_ON,
        "were to go out while there was no SA for them",
        "The log of the daemon tells why it did not come up; the first packets of a trap are among these.",
    ),
}


def judged(files: Iterable[CounterFacts]) -> Iterator[Finding]:
    """What the counters of some kernels show."""
    files = list(files)
    for facts in files:
        told = set()
        for sa in facts.sas:
            for name, finding in _of_sa(facts, sa):
                told.add(name)
                yield finding
        for name, (line, count) in facts.drops.items():
            if name in _MEANINGS and name not in told:
                yield _of_drops(facts, name, line, count)
    yield from _losses(files)


def _of_sa(facts: CounterFacts, sa: SaCounters) -> Iterator[tuple[str, Finding]]:
    """With the counter of the whole kernel that has these packets too."""
    who, subject = _named(sa), _subject(sa)
    here = (Evidence(facts.name, sa.line, "line"),)
    if again := sa.replayed + sa.late:
        parts = [f"{sa.replayed:,} that were there already"] if sa.replayed else []
        parts += [f"{sa.late:,} from before the replay window"] if sa.late else []
        text = f"The kernel of {sa.destination} dropped {again:,} packets and took {sa.packets:,}: {', '.join(parts)}."
        kind = kinds.PACKETS_REPLAYED
        yield (
            "XfrmInStateSeqError",
            Finding(kind=kind, who=who, text=text, change=(_DOUBLED,), evidence=here, subject=subject),
        )
    if sa.failed:
        text = (
            f"The kernel of {sa.destination} dropped {sa.failed:,} packets whose ICV is wrong and took {sa.packets:,}."
        )
        yield (
            "XfrmInStateProtoError",
            Finding(kind=kinds.PACKETS_DAMAGED, who=who, text=text, change=(_CHANGED,), evidence=here, subject=subject),
        )


def _of_drops(facts: CounterFacts, name: str, line: int, count: int) -> Finding:
    meaning = _MEANINGS[name]
    return Finding(
        kind=replace(meaning.kind, severity=Severity.WARNING),
        who=f"the host of {facts.name}",
        text=f"{count:,} packets {meaning.text} ({name}, since the host or its namespace began).",
        change=(meaning.change,),
        evidence=(Evidence(facts.name, line, "line"),),
        certainty=Certainty.LIKELY,
    )


def _losses(files: list[CounterFacts]) -> Iterator[Finding]:
    """An SA that two files have: the one end has sent, the other has taken or dropped."""
    seen: dict[tuple[str, int, str], tuple[CounterFacts, SaCounters]] = {}
    for facts in files:
        for sa in facts.sas:
            key = sa.protocol, sa.spi, sa.destination
            other, one = seen.setdefault(key, (facts, sa))
            if other is facts:
                continue
            if one.has_sent == sa.has_sent:
                continue  # the same kernel twice, or nothing was sent
            (sender, out), (receiver, into) = sorted(((other, one), (facts, sa)), key=lambda at: not at[1].has_sent)
            sent, arrived = out.packets, into.packets + into.failed + into.late
            lost = sent - arrived
            if lost <= 0:
                continue
            share = lost / sent
            yield Finding(
                kind=replace(
                    _LOST, severity=Severity.FAILURE if share > MUCH_LOSS and sent > MANY else Severity.WARNING
                ),
                who=_named(sa),
                text=f"{lost:,} of {sent:,} packets of {sa.source} did not come to {sa.destination} ({share:.1%}).",
                change=(_WAY,),
                evidence=(Evidence(sender.name, out.line, "line"), Evidence(receiver.name, into.line, "line")),
                subject=_subject(sa),
            )


def _subject(sa: SaCounters) -> frozenset[str]:
    """As that of what a capture tells of the same SA."""
    return frozenset((sa.source, sa.destination, f"{sa.spi:08x}"))


def _named(sa: SaCounters) -> str:
    return f"{sa.protocol.upper()} {sa.spi:08x} {sa.source} > {sa.destination}"
