"""What a run found, as data: totals, a row for each SA, what stayed closed and why."""

from typing import Any

from ipsectest.base.iana import ProtocolId
from ipsectest.decrypt.output import why
from ipsectest.decrypt.pipeline import Decryption
from ipsectest.decrypt.sas import CapturedSa, describe

MOST_UNKNOWN = 100
"""SPIs without keys that are listed, the busiest first."""


def summary(run: Decryption) -> dict[str, Any]:
    """JSON-ready; times are nanoseconds since 1970."""
    totals = run.totals
    unknown = run.sas.unknown.most_common(MOST_UNKNOWN)
    return {
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
        "sas": [_sa(sa) for sa in run.sas.sas if sa.traffic.packets or sa.failures],
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
        "notes": [*run.notes, *run.missing],
    }


def _sa(sa: CapturedSa) -> dict[str, Any]:
    keys, track = sa.keys, sa.sequence
    return {
        "protocol": "AH" if keys.protocol == ProtocolId.AH else "ESP",
        "spi": keys.spi.hex() or "*",
        "source": keys.source,
        "destination": keys.destination,
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
        "origin": keys.origin,
    }
