"""The rows of the timeline: each IKE SA with the SAs that it made below it, and what was rekeyed to what."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Told = dict[str, Any]
Key = tuple[str, ...]
"""What tells a row from others."""


@dataclass(slots=True)
class Row:
    """One SA; times are nanoseconds since 1970. ``state`` is good, lossy, failed or idle, ``mark`` its sign."""

    key: Key
    kind: str
    """ike or child."""
    name: str
    ends: str
    title: str
    state: str
    mark: str
    born: int
    """From when to when it is known to live; ``first`` to ``last`` it carried something, if it did."""
    dead: int
    first: int | None
    last: int | None
    depth: int = 0
    marks: dict[str, list[list[int]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Link:
    """A row in the place of another."""

    old: Key
    new: Key
    at: int
    guess: bool


def rows(found: Told) -> list[Row]:
    """In the order of the picture: families of IKE SAs, then what no message that can be read belongs to."""
    end = max(_times(found), default=0)
    children = _children(found)
    made: list[Row] = []
    for family in _families(found["ike_sas"]):
        until = max((sa["deleted"] or sa["replaced"] or end for sa in family), default=end)
        for sa in family:
            ike = _ike_row(sa, end)
            below = [row for _, row in sorted(children.pop(ike.key[1], []), key=lambda one: one[0])]
            made.append(ike)
            for row in below:
                row.depth = 1
                if row.dead < 0:
                    row.dead = max(row.born, row.last or 0, until)
                made.append(row)
    others = [row for rest in children.values() for _, row in rest]
    for row in others:
        row.dead = max(row.dead, row.last or row.born)
    return made + sorted(others, key=lambda row: (row.born, row.key))


def links(found: Told) -> list[Link]:
    """What was rekeyed to what, in the order of ``found``."""
    told = [
        Link(("ike", sa["replaces"]), ("ike", _ike_name(sa)), sa["first"], guess=False)
        for sa in found["ike_sas"]
        if sa["replaces"]
    ]
    seen = set()
    for sa in found["sas"]:
        if sa["replaces"]:
            at = sa["made"] if sa["made"] is not None else sa["first"]
            old = sa["protocol"], sa["destination"], sa["replaces"]
            told.append(Link(old, _sa_key(sa), at or 0, guess=sa["guess"]))
            seen.add(_sa_key(sa))
    for child in found["child_sas"]:
        for (key, _, _), old in zip(_directions(child), (child["replaces"] or [None, None])[::-1], strict=True):
            if old and key not in seen:
                told.append(Link((key[0], key[1], old), key, child["made"], guess=False))
    return told


def _times(found: Told) -> Iterator[int]:
    for sa in found["ike_sas"]:
        yield max(sa["first"], sa["last"])
    for sa in found["sas"]:
        if sa["first"] is not None:
            yield max(sa["first"], sa["last"])


def _families(sas: list[Told]) -> Iterator[list[Told]]:
    """An IKE SA and all that came of it by rekeys, the earliest first."""
    names = {_ike_name(sa) for sa in sas}
    after: dict[str, list[Told]] = defaultdict(list)
    for sa in sas:
        if sa["replaces"] in names:
            after[sa["replaces"]].append(sa)
    for sa in sas:
        if sa["replaces"] in names:
            continue
        family = [sa]
        for one in family:  # grows meanwhile
            family += after.pop(_ike_name(one), [])
        yield family


def _children(found: Told) -> dict[str | None, list[tuple[tuple[int, int], Row]]]:
    """Rows of ESP and AH by the IKE SA that made them, with what they are sorted by."""
    of: dict[str | None, list[tuple[tuple[int, int], Row]]] = defaultdict(list)
    carried: dict[Key, Told] = {_sa_key(sa): sa for sa in found["sas"]}
    closed: dict[Key, int] = {
        (one["protocol"], one["destination"], one["spi"]): one["packets"] for one in found["unknown"]
    }
    ike = {_ike_name(sa) for sa in found["ike_sas"]}
    for child in found["child_sas"]:
        for place, (key, source, arrow) in enumerate(_directions(child)):
            sa = carried.pop(key, None)
            row = _sa_row(sa, arrow) if sa else _idle_row(child, key, source, arrow, closed.get(key, 0))
            of[child["ike"] if child["ike"] in ike else None].append(((child["made"], place), row))
    for sa in carried.values():
        if sa["first"] is not None:
            of[sa["ike"] if sa["ike"] in ike else None].append(((sa["first"], 0), _sa_row(sa, "")))
    return of


def _directions(child: Told) -> Iterable[tuple[Key, str, str]]:
    """Key, source and arrow: from the initiator of its exchange, and to it."""
    initiator, responder = child["initiator"], child["responder"]
    yield (child["protocol"], responder, child["spi_r"]), initiator, "→"
    yield (child["protocol"], initiator, child["spi_i"]), responder, "←"


def _ike_name(sa: Told) -> str:
    return f"{sa['spi_i']}:{sa['spi_r']}"


def _sa_key(sa: Told) -> Key:
    return sa["protocol"], sa["destination"], sa["spi"]


def _ike_row(sa: Told, end: int) -> Row:
    state, mark = (
        ("failed", "✘") if sa["closed"] == sa["messages"] else ("lossy", "!") if sa["closed"] else ("good", "✔")
    )
    if not int(sa["spi_r"], 16):
        state, mark = "failed", "✘"
    ends = f"{sa['initiator']} > {sa['responder']}"
    dead = sa["deleted"] or sa["replaced"] or (end if int(sa["spi_r"], 16) else sa["last"])
    told = [
        f"IKEv{sa['version']} SA {_ike_name(sa)}", ends, sa["suite"], f"{sa['messages']:,} messages",
        f"{sa['retransmitted']:,} repeated", f"{sa['closed']:,} closed",
        "no answer" if not int(sa["spi_r"], 16) else "",
    ]  # fmt: skip
    marks = {"repeated": sa["marks"]["retransmitted"], "failed": sa["marks"]["closed"]}
    last = max(sa["first"], sa["last"])
    return Row(
        ("ike", _ike_name(sa)), "ike", f"IKE {sa['spi_i']}", ends, ", ".join(filter(None, told)), state, mark,
        sa["first"], max(last, dead), sa["first"], last, marks=marks,
    )  # fmt: skip


def _sa_row(sa: Told, arrow: str) -> Row:
    failed = sum(sa["failures"].values())
    state, mark = ("failed", "✘") if failed else ("lossy", "!") if sa["lost"] or sa["replayed"] else ("good", "✔")
    ends = f"{sa['source'] or 'any'} > {sa['destination'] or 'any'}"
    told = [
        f"{sa['protocol']} {sa['spi']} {ends}", sa["suite"], f"{sa['packets']:,} packets", f"{sa['octets']:,} octets",
        f"{sa['lost']:,} lost", f"{sa['replayed']:,} replayed", f"{failed:,} failed",
        f"in place of {sa['replaces']}{' (a guess)' if sa['guess'] else ''}" if sa["replaces"] else "",
    ]  # fmt: skip
    born = sa["made"] if sa["made"] is not None else sa["first"]
    # A clock that was set back leaves a last packet before the first.
    last = None if sa["first"] is None else max(sa["first"], sa["last"])
    dead = sa["deleted"] or (-1 if sa["made"] is not None else last or 0)
    return Row(
        _sa_key(sa), "child", f"{arrow} {sa['protocol']} {sa['spi']}".strip(), ends, ", ".join(filter(None, told)),
        state, mark, min(born, sa["first"] if sa["first"] is not None else born), dead, sa["first"], last,
        marks=sa["marks"],
    )  # fmt: skip


def _idle_row(child: Told, key: Key, source: str, arrow: str, closed: int) -> Row:
    protocol, destination, spi = key
    why = f"no keys for {closed:,} packets" if closed else "no packets"
    title = f"{protocol} {spi} {source} > {destination}, {child['suite']}: {why}"
    return Row(
        key, "child", f"{arrow} {protocol} {spi}", f"{source} > {destination}", title,
        "failed" if closed else "idle", "✘" if closed else "·", child["made"], child["deleted"] or -1, None, None,
    )  # fmt: skip
