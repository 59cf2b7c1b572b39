"""Whether a kernel has what was negotiated: states and policies, field by field (RFC 4301 sections 4.4.1 and 4.4.2).

What is a kernel's or a daemon's own choice is compared within that kernel: numbers of reqids and priorities.
"""

from collections.abc import Iterator, Sequence
from ipaddress import ip_address, summarize_address_range
from typing import Any

Record = dict[str, Any]
_PROTOCOLS = {0: "", 6: "tcp", 17: "udp"}
_ANY_PORT = (0, 65535)
_ANYWHERE = {False: ("0.0.0.0/0", "0.0.0.0/0", "", "", "", ""), True: ("::/0", "::/0", "", "", "", "")}
_NO_ADDRESS = {False: "0.0.0.0", True: "::"}
_NEIGHBOURS = {("::/0", "::/0", "ipv6-icmp", "", "", kind) for kind in ("135", "136")}
"""Libreswan lets neighbour discovery (RFC 4861) pass in clear: an IPv6 tunnel for everything would end it."""


def turned(pairs: Sequence[Record]) -> list[Record]:
    """The records as the other side has them."""
    return [{"in": one["out"], "out": one["in"], "local": one["remote"], "remote": one["local"]} for one in pairs]


def check(
    pairs: Sequence[Record],
    states: Sequence[Record],
    policies: Sequence[Record],
    *,
    window: int,
    addresses_only: bool = False,
) -> None:
    """``pairs`` from the side of the kernel whose states and policies these are; its own replay window.

    ``addresses_only``: strongSwan leaves protocol and ports out of the selectors of states in transport mode.
    """
    held = {state["spi"]: state for state in states}
    assert set(held) == {pair[way]["spi"] for pair in pairs for way in ("in", "out")}
    assert len(states) == len(held)
    reqids = [_check_states(pair, held, window, addresses_only=addresses_only) for pair in pairs]
    assert len(set(reqids)) == len(pairs)  # else a packet may leave under another Child SA than its policy's
    left = [policy for policy in policies if not _lets_neighbours_pass(policy)]
    priorities = []
    for pair, reqid in zip(pairs, reqids, strict=True):
        wanted = list(_policies(pair, reqid))
        found = [next((policy for policy in left if _is(policy, one)), None) for one in wanted]
        assert None not in found, (wanted, left)
        left = [policy for policy in left if policy not in found]
        (priority,) = {policy["priority"] for policy in found if policy}
        priorities.append(priority)
    assert left == []
    # The kernel takes the policy of the lowest number first: the narrower must precede (RFC 4301 section 4.4.1).
    order = sorted(range(len(pairs)), key=lambda number: _width(pairs[number]))
    assert [priorities[number] for number in order] == sorted(set(priorities))


def _check_states(pair: Record, held: dict[str, Record], window: int, *, addresses_only: bool) -> int:
    """The states of a Child SA; gives their reqid."""
    for way in ("in", "out"):
        wanted, state = pair[way], held[pair[way]["spi"]]
        assert {key: state[key] for key in wanted} == wanted
        selectors = _state_selectors(pair, way)
        if addresses_only and wanted["mode"] == "transport":
            selectors = [(*one[:2], "", "", "", "") for one in selectors]
        assert state["selector"] in selectors, (state["selector"], selectors)
    assert held[pair["in"]["spi"]]["window"] == window
    (reqid,) = {held[pair[way]["spi"]]["reqid"] for way in ("in", "out")}
    assert reqid
    return int(reqid)


def _state_selectors(pair: Record, way: str) -> list[Any]:
    """What may stand in a state.

    A tunnel's packets are held against the policies, so its state has any selector of its family or none (AF_UNSPEC).
    Of transport mode the inbound policies let everything else pass, so that the state itself must have the selector.
    """
    if pair["in"]["mode"] == "tunnel":
        return [None, _ANYWHERE[":" in pair["in"]["src"]]]
    ends = ("local", "remote") if way == "out" else ("remote", "local")
    return list(_selectors(pair[ends[0]], pair[ends[1]]))


def _selectors(sources: Sequence[Any], destinations: Sequence[Any]) -> Iterator[tuple[str, ...]]:
    for first, last, protocol, *ports in sources:
        for other_first, other_last, other_protocol, *other_ports in destinations:
            assert protocol == other_protocol
            for source in _prefixes(first, last):
                for destination in _prefixes(other_first, other_last):
                    yield source, destination, _PROTOCOLS[protocol], _port(*ports), _port(*other_ports), ""


def _prefixes(first: str, last: str) -> list[str]:
    return [str(prefix) for prefix in summarize_address_range(ip_address(first), ip_address(last))]


def _port(first: int, last: int) -> str:
    assert first == last or (first, last) == _ANY_PORT
    return "" if first != last else str(first)


def _policies(pair: Record, reqid: int) -> Iterator[Record]:
    """What leaves, comes in, and is passed on: by tunnels only, as transport mode is for a host's own packets."""
    tunnel = pair["in"]["mode"] == "tunnel"
    for direction in ("out", "in", "fwd") if tunnel else ("out", "in"):
        state = pair["out" if direction == "out" else "in"]
        ends = ("local", "remote") if direction == "out" else ("remote", "local")
        nowhere = _NO_ADDRESS[":" in state["src"]]
        for selector in _selectors(pair[ends[0]], pair[ends[1]]):
            yield {
                "dir": direction,
                "blocks": False,
                "selector": selector,
                "template": {
                    "src": state["src"] if tunnel else nowhere,
                    "dst": state["dst"] if tunnel else nowhere,
                    "proto": state["proto"],
                    "reqid": reqid,
                    "mode": state["mode"],
                },
                "spi": state["spi"],
            }


def _is(policy: Record, wanted: Record) -> bool:
    """strongSwan names the outbound SPI too, so that no other SA of that reqid is taken."""
    if len(policy["templates"]) != 1:
        return False
    template = dict(policy["templates"][0])
    spis = {"", wanted["spi"]} if wanted["dir"] == "out" else {""}
    return (
        template.pop("spi") in spis
        and template == wanted["template"]
        and all(policy[key] == wanted[key] for key in ("dir", "blocks", "selector"))
    )


def _lets_neighbours_pass(policy: Record) -> bool:
    return policy["selector"] in _NEIGHBOURS and not policy["templates"] and not policy["blocks"]


def _width(pair: Record) -> tuple[int, ...]:
    """Narrower is less: addresses, then protocol and ports."""
    (local,), (remote,) = pair["local"], pair["remote"]
    addresses = sum(int(ip_address(one[1])) - int(ip_address(one[0])) for one in (local, remote))
    return addresses, int(local[2] == 0), sum(one[4] - one[3] for one in (local, remote))
