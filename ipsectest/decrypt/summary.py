"""What a run found, as data: totals, a row for each SA, rekeys, what stayed closed and why.

``summary.schema.json`` describes it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.kinship import Kinship
from ipsectest.decrypt.lineage import ChildSa, IkeSa, Spis
from ipsectest.decrypt.marks import Mark
from ipsectest.decrypt.output import why
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.sas import CapturedSa, describe

MOST_UNKNOWN = 100
"""SPIs without keys that are listed, the busiest first."""
SCHEMA_FILE = Path(__file__).with_name("summary.schema.json")


def summary(run: Decryption, captures: Sequence[str] = ()) -> dict[str, Any]:
    """JSON-ready; times are nanoseconds since 1970. ``captures`` are the names of what was read."""
    totals = run.totals
    shown = [sa for sa in run.sas.sas if sa.traffic.packets or sa.failures]
    if run.trial:  # behind the others, in whatever order keys were derived and found
        tried = set(run.trial.found)
        shown.sort(key=lambda sa: sa.keys in tried)
    kinship = Kinship(run.lineage, shown)
    unknown = run.sas.unknown.most_common(MOST_UNKNOWN)
    return {
        "captures": list(captures),
        "frames": totals.frames,
        "truncated": totals.truncated,
        "without_ip": dict(totals.without_ip),
        "fragments": totals.fragments,
        "tcp": totals.tcp,
        "clear": totals.clear,
        "opened": totals.opened,
        "closed": dict(totals.closed),
        "ike": {"messages": totals.ike, "opened": totals.ike_opened, "closed": totals.ike_closed},
        "derived": len(run.derived) + len(run.derived_ike) + len(run.ikev1.derived),
        "ike_sas": [_ike_sa(sa) for sa in run.lineage.ike_sas],
        "child_sas": [_child_sa(child) for child in run.lineage.children],
        "sas": [_sa(sa, kinship) for sa in shown],
        "rekeys": [
            {
                "protocol": _NAMES[rekey.protocol],
                "at": rekey.at,
                "by": rekey.by,
                "old": [_hex(spi) for spi in rekey.old],
                "new": [_hex(spi) for spi in rekey.new],
                "guess": rekey.guess,
            }
            for rekey in kinship.rekeys
        ],
        "idle": [describe(sa.keys) for sa in run.sas.sas if not sa.traffic.packets and not sa.failures],
        "unusable": [
            *({"sa": describe(keys), "origin": keys.origin, "why": reason} for keys, reason in run.sas.unusable),
            *(
                {"sa": f"IKE {keys.spi_i.hex()}:{keys.spi_r.hex()}", "origin": keys.origin, "why": reason}
                for keys, reason in run.ike.unusable
            ),
        ],
        "unknown": [
            {
                "protocol": "AH" if protocol == ProtocolId.AH else "ESP",
                "spi": spi.hex(),
                "source": source,
                "destination": destination,
                "packets": packets,
            }
            for (protocol, spi, source, destination), packets in unknown
        ],
        "notes": [*run.notes, *run.missing, *_left_out(run)],
    }


_NAMES: dict[int, str] = {ProtocolId.IKE: "IKE", ProtocolId.AH: "AH", ProtocolId.ESP: "ESP"}


def _left_out(run: Decryption) -> list[str]:
    lineage = run.lineage
    lines = []
    if lineage.left_out:
        lines.append(f"{lineage.left_out:,} more IKE and Child SAs are not told of")
    if lineage.unanswered:
        lines.append(f"{lineage.unanswered:,} more IKE_SA_INIT requests were not answered")
    return lines


def _ike_sa(sa: IkeSa) -> dict[str, Any]:
    return {
        "version": sa.version,
        "spi_i": sa.spis[0].hex(),
        "spi_r": sa.spis[1].hex(),
        "initiator": sa.ends[0],
        "responder": sa.ends[1],
        "suite": sa.suite,
        "messages": sa.messages,
        "closed": sa.closed,
        "retransmitted": sa.repeated,
        "first": sa.first,
        "last": sa.last,
        "replaces": _named(sa.replaces),
        "replaced": sa.replaced,
        "deleted": sa.deleted,
        "marks": {"retransmitted": _marks(sa.repeats.told()), "closed": _marks(sa.failures.told())},
    }


def _child_sa(child: ChildSa) -> dict[str, Any]:
    return {
        "protocol": _NAMES[child.protocol],
        "spi_i": child.spis[0].hex(),
        "spi_r": child.spis[1].hex(),
        "initiator": child.ends[0],
        "responder": child.ends[1],
        "suite": child.suite,
        "ike": _named(child.ike),
        "made": child.made,
        "replaces": [_hex(spi) for spi in child.replaces] if child.replaces else None,
        "deleted": child.deleted,
    }


def _named(spis: Spis | None) -> str | None:
    return f"{spis[0].hex()}:{spis[1].hex()}" if spis else None


def _hex(spi: bytes | None) -> str | None:
    return None if spi is None else spi.hex()


def _marks(marks: list[Mark]) -> list[list[int]]:
    return [list(mark) for mark in marks]


def _sa(sa: CapturedSa, kinship: Kinship) -> dict[str, Any]:
    keys, track, kin = sa.keys, sa.sequence, kinship.of(sa)
    return {
        "protocol": "AH" if keys.protocol == ProtocolId.AH else "ESP",
        "spi": keys.spi.hex() or "*",
        "source": keys.source or (sa.ends[0] if sa.ends else ""),
        "destination": keys.destination or (sa.ends[1] if sa.ends else ""),
        "ike": _named(kin.child.ike) if kin.child else None,
        "made": kin.child.made if kin.child else None,
        "deleted": kin.child.deleted if kin.child else None,
        "replaces": _hex(kin.replaces),
        "guess": kin.guess,
        "suite": sa.suite,
        "esn": sa.esn,
        "verified": sa.verified and sa.association.has_integrity,
        "packets": sa.traffic.packets,
        "octets": sa.traffic.octets,
        "first": sa.traffic.first,
        "last": sa.traffic.last,
        "first_sequence": track.first,
        "last_sequence": track.highest,
        "lost": track.lost,
        "late": track.late,
        "replayed": track.replayed,
        "failures": {why(reason): count for reason, count in sa.failures.items()},
        "marks": {
            "lost": _marks(track.gaps.told()),
            "replayed": _marks(sa.replays.told()),
            "failed": _marks(sa.failed.told()),
        },
        "origin": keys.origin,
    }
