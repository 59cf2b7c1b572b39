"""The file of a remote peer -> `Remote`; every complaint has file:line:col and the nearest name there is.

``peers example`` prints a file with all keys; docs/peers.md explains them.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from ipsectest.base.iana import IKE_PORT, NAT_T_PORT
from ipsectest.base.toml_tables import Table, read
from ipsectest.peers.remote.credentials import beside, certificates, contents, own_pair
from ipsectest.peers.remote.description import AdapterCommand, Ports, Remote, Seat
from ipsectest.peers.remote.suites import completed_esp, completed_ike
from ipsectest.scenario.facts import PEER_KEYS, FactError, read_facts
from ipsectest.scenario.model import Facts
from ipsectest.scenario.ports import Authentication

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_NO_FACTS = ("ah", "ts_tester", "spd", "bound_to", "trap", "child_packets", "child_bytes", "child_expires", "copy_df")
"""Of ``peer.*``: what goes over no UDP socket, or is only seen in the network behind the peer; ts_tester is ours."""
PEER_FACTS = {key: reader for key, reader in PEER_KEYS.items() if key not in _NO_FACTS}
_PSK = ("psk", "psk_file", "psk_env")
_PEER = ("address", "port", "nat_port", "inner", "without_children", "psk_file", "psk_env", "trust")
_SEAT = ("address", "elsewhere", "inner", "id", "ts")
_OWN = ("port", "nat_port", "certificate", "key")
_TIMEOUT = 10.0
_MOST_SEATS = 16


def is_file(text: str) -> bool:
    """Whether a peer as typed is meant as the file of a remote one."""
    return text.endswith(".toml") or "/" in text


def load(path: Path, at: datetime, environment: Mapping[str, str] = os.environ) -> Remote:
    """Read a file; certificates are checked at the time ``at``. InputError for the first thing that is wrong."""
    root = read(path)
    root.only("name", "version", "expected", "peer", "tester", "wire", "adapter")
    name = root.get("name", str)
    if not _NAME.fullmatch(name):
        root.fail(f"{name!r} is no name: letters, digits, '.', '-' and '_', at most 64", "name")
    adapter = _adapter(root)
    peer = root.table("peer")
    if peer is None:
        root.fail("there is no table [peer]")
    address = _address(peer, "address")
    facts = _peer_facts(peer, environment, has_adapter=adapter is not None)
    seats, own = _testers(root, address)
    pair = own_pair(own) if own else None
    remote = Remote(
        path=path,
        name=name,
        version=root.get("version", str, ""),
        address=address,
        inner=_address(peer, "inner") if "inner" in peer.content else "",
        facts=facts,
        seats=seats,
        peer_ports=_ports(peer),
        own_ports=_ports(own) if own else Ports(),
        certificates=certificates(peer, own, pair, at, facts),
        without_children=peer.get("without_children", str, ""),
        expected=beside(root, root.get("expected", str)) if "expected" in root.content else None,
        adapter=adapter,
        **_wire(root),
    )
    _check_inside(remote, peer, own or peer)
    if facts is None:
        return remote
    auth = pair[0] if pair else Authentication.PSK
    if Authentication.PSK in {facts["auth"], auth} and "psk" not in facts:
        peer.fail("the pre-shared key is missing: psk, psk_file or psk_env", "auth")
    return replace(remote, seats=tuple(replace(seat, facts={**seat.facts, "auth": auth}) for seat in seats))


def _wire(root: Table) -> dict[str, Any]:
    wire = root.table("wire")
    if wire is None:
        return {}
    wire.only("nat", "raw_esp", "netns")
    kinds = {"nat": bool, "raw_esp": bool, "netns": str}
    return {key: wire.get(key, kinds[key]) for key in wire.content}


def _adapter(root: Table) -> AdapterCommand | None:
    table = root.table("adapter")
    if table is None:
        return None
    table.only("command", "timeout")
    command = table.texts("command")
    if not command or not command[0]:
        table.fail('command is a list of texts, the program first: ["./adapter.py"]', "command")
    timeout = table.get("timeout", float, _TIMEOUT)
    if not 0 < timeout <= 600:
        table.fail("timeout goes up to 600 seconds", "timeout")
    return AdapterCommand(command, timeout)


# The peer -----------------------------------------------------------------------------------------------------------


def _peer_facts(peer: Table, environment: Mapping[str, str], *, has_adapter: bool) -> Facts | None:
    """Its configuration; None where an adapter is there to configure it, and the file says nothing of that."""
    peer.only(*_PEER, *PEER_FACTS)
    written = {key: value for key, value in peer.content.items() if key in PEER_FACTS}
    secrets = [key for key in _PSK if key in peer.content]
    if len(secrets) > 1:
        peer.fail(f"{' and '.join(secrets)}: one of them is enough", secrets[1])
    if has_adapter and not written and not secrets:
        return None
    facts = _facts(peer, "peer", written)
    if secrets and secrets[0] != "psk":
        facts["psk"] = _secret(peer, secrets[0], environment)
    if not facts.get("psk", b"-"):
        peer.fail("the pre-shared key is empty", secrets[0])
    facts.setdefault("auth", Authentication.PSK)
    facts.setdefault("id", "address")
    _check_configuration(peer, facts)
    return facts


def _check_configuration(peer: Table, facts: Facts) -> None:
    """What no peer can have, or no case can be played with; proposals are completed."""
    _check_id(peer, facts)
    if facts["auth"] is Authentication.NULL:
        peer.fail("null authentication is not supported for remote peers", "auth")
    if facts.get("childless") == "force":
        peer.fail('with childless = "force" no case has a Child SA: write without_children = "childless"', "childless")
    for key, complete in (("ike", completed_ike), ("esp", completed_esp)):
        if key in facts:
            try:
                facts[key] = tuple(map(complete, facts[key]))  # type: ignore[call-overload]
            except ValueError as error:
                peer.fail(f"{key}: {error}", key)
        elif not (key == "esp" and peer.content.get("without_children")):
            peer.fail(f'{key} is missing: {key} = "aes256-sha256-modp2048", the proposals of the peer in its order')


def _secret(peer: Table, key: str, environment: Mapping[str, str]) -> bytes:
    if key == "psk_env":
        word = peer.get(key, str)
        if word not in environment:
            peer.fail(f"the environment has no variable {word!r}", key)
        return environment[word].encode()
    return contents(peer, key).removesuffix(b"\n").removesuffix(b"\r")


def _facts(table: Table, whose: str, written: Facts) -> Facts:
    """Facts as objects, whatever a reader says told at the key."""
    found: Facts = {}
    for key, value in written.items():
        try:
            found |= read_facts(whose, {key: value})
        except FactError as error:
            table.fail(error.message.removeprefix(f"{whose}."), key, hint=error.hint)
    return found


def _check_id(table: Table, facts: Facts) -> None:
    if str(facts["id"]).startswith("dn:"):
        table.fail("distinguished names are not supported as identities here", "id")


# We -----------------------------------------------------------------------------------------------------------------


def _testers(root: Table, peer: str) -> tuple[tuple[Seat, ...], Table | None]:
    """Our seats, and the table that has what is one for all of them: [tester], or the first of [[tester]]."""
    value = root.content.get("tester", {})
    if isinstance(value, dict):
        table = root.table("tester")
        return ((_seat(table, peer, _OWN) if table else Seat()),), table
    tables = [table for _, table in root.tables("tester")]
    if not 1 <= len(tables) <= _MOST_SEATS:
        root.fail(f"there are from 1 to {_MOST_SEATS} [[tester]] tables", "tester")
    seats = tuple(_seat(table, peer, () if number else _OWN) for number, table in enumerate(tables))
    hosts = [host for seat in seats for host in (seat.address, seat.elsewhere) if host]
    if len(seats) > 1 and (not all(seat.address for seat in seats) or len(set(hosts)) != len(hosts)):
        root.fail("several testers need an address each, and each another one", "tester")
    return seats, tables[0]


def _seat(table: Table, peer: str, further: tuple[str, ...]) -> Seat:
    table.only(*_SEAT, *further)
    hosts = {key: _address(table, key) for key in ("address", "elsewhere") if key in table.content}
    for key, host in hosts.items():
        if ip_address(host).version != ip_address(peer).version:
            table.fail(f"{host} and the peer's {peer} are of two IP versions", key)
    if "elsewhere" in hosts and hosts["elsewhere"] == hosts.get("address"):
        table.fail("elsewhere is a second address", "elsewhere")
    inner = _address(table, "inner") if "inner" in table.content else ""
    found = _facts(table, "tester", {key: table.content[key] for key in ("id", "ts") if key in table.content})
    selectors = {"ts_tester": found.pop("ts")} if "ts" in found else {}
    facts = {"id": "address", **found}
    _check_id(table, facts)
    return Seat(hosts.get("address", ""), hosts.get("elsewhere", ""), inner, facts, selectors)


def _check_inside(remote: Remote, peer: Table, own: Table) -> None:
    """The addresses inside the tunnel: both there, of one version."""
    facts = remote.facts
    inner = [seat.inner for seat in remote.seats]
    if facts is None or (facts.get("mode") != "transport" and not remote.without_children):
        if not remote.inner:
            peer.fail("inner is missing: the address of the peer that answers pings inside the tunnel")
        if not all(inner):
            own.fail("inner of [tester] is missing: our address inside the tunnel")
    if len({ip_address(host).version for host in (remote.inner, *inner) if host}) > 1:
        peer.fail("the inner addresses of both ends are of two IP versions", "inner")
    if len(set(inner)) != len(inner) and facts is not None:
        own.fail("several testers need an inner address each, and each another one", "inner")


# Values -------------------------------------------------------------------------------------------------------------


def _address(table: Table, key: str) -> str:
    text = table.get(key, str)
    try:
        return str(ip_address(text))
    except ValueError:
        table.fail(f"{text!r} is no IP address", key)


def _ports(table: Table) -> Ports:
    ports = {key: table.get(key, int, usual) for key, usual in (("port", IKE_PORT), ("nat_port", NAT_T_PORT))}
    for key, port in ports.items():
        if not 1 <= port <= 65535:
            table.fail(f"{port} is no port", key)
    if ports["port"] == ports["nat_port"]:
        table.fail("port and nat_port are two", "nat_port")
    return Ports(ports["port"], ports["nat_port"])
