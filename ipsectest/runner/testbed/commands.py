"""Lines such as ``rekey child client-gateway`` -> what a testbed does, and what came of it."""

import difflib
import re
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ipsectest.base.errors import IpsectestError, UsageError
from ipsectest.base.suites import format_suite
from ipsectest.net.impairment import Fate
from ipsectest.runner.testbed.testbed import PINGS, Testbed
from ipsectest.runner.testbed.tunnels import Tunnel

_MOST_PINGS = 10_000
_MOST_SECONDS = 86_400.0
_DUMP = re.compile(r" => \d+ bytes @ |\] (?:<[^>]*> )?  +\d+: [0-9A-F]{2} |^\w+ +\d+ [\d:.]+: \|")
"""Octets in a log, keys among them: these stay in the folder of the lab. charon's words, and all that pluto debugs."""
Row = dict[str, str | int]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one line."""

    command: str
    problem: str = ""
    """Empty if all went well."""
    rows: list[Row] = field(default_factory=list)
    """A table: the same keys in each row."""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """What can be asked, and how it is written."""

    usage: str
    summary: str
    do: Callable[[Testbed, Sequence[str]], Outcome]


def perform(testbed: Testbed, line: str) -> Outcome:
    """Carry out a line; whatever goes wrong stands in the outcome."""
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        return Outcome(line, f"{error}".lower())
    if not words:
        return Outcome("")
    try:
        return _named(words[0]).do(testbed, words[1:])
    except IpsectestError as error:
        return Outcome(line, str(error))


def _named(name: str) -> Command:
    if name in COMMANDS:
        return COMMANDS[name]
    near = difflib.get_close_matches(name, COMMANDS, n=1)
    raise UsageError(f"no command {name!r}" + (f", did you mean {near[0]!r}?" if near else " (help lists them)"))


def _status(testbed: Testbed, words: Sequence[str]) -> Outcome:
    rows: list[Row] = []
    for tunnel in _tunnels(testbed, words):
        reports = testbed.tunnel_reports(tunnel)[0]
        ike = reports[-1] if reports else None
        child = ike.children[-1] if ike and ike.children else None
        rows.append(
            {
                "tunnel": tunnel.name,
                "state": "up"
                if testbed.is_up(tunnel)
                else "half up"
                if any(testbed.tunnel_reports(tunnel))
                else "down",
                "ike": format_suite(ike.suite) if ike else "",
                "esp": format_suite(child.suite) if child else "",
                "form": f"{child.mode}{', in UDP' if child.encapsulated else ''}" if child else "",
                "spi_in": child.spi_in.hex() if child else "",
                "spi_out": child.spi_out.hex() if child else "",
            }
        )
    dead = "; ".join(f"{node} is dead: {why}" for node, why in testbed.crashed().items())
    return Outcome("status", dead, rows)


def _nodes(testbed: Testbed, words: Sequence[str]) -> Outcome:
    _none(words)
    rows: list[Row] = []
    for node in testbed.topology.nodes.values():
        texts = [*node.addresses, *(text for end in testbed.topology.ends_of(node.name) for text in end.addresses)]
        peer = testbed.peers.get(node.name)
        rows.append(
            {
                "node": node.name,
                "role": str(node.role),
                "ike": f"{peer}, {node.endpoint.role}" if peer and node.endpoint else "",
                "addresses": " ".join(texts),
                "namespace": _namespace(testbed, node.name),
            }
        )
    return Outcome("nodes", rows=rows)


def _namespace(testbed: Testbed, node: str) -> str:
    return f"{node} in the virtual machine" if node in testbed.guests else testbed.network[node].name


def _links(testbed: Testbed, words: Sequence[str]) -> Outcome:
    _none(words)
    rows: list[Row] = [
        {
            "link": link.name,
            "ends": " ".join(f"{end.node}:{end.device}" for end in link.ends),
            "mtu": link.mtu,
            "impaired": str(link.impairment or ""),
            "packets": _fates(testbed, link.name),
            "capture": str(testbed.captures.files[link.name]),
        }
        for link in testbed.topology.links
    ]
    return Outcome("links", rows=rows)


def _fates(testbed: Testbed, link: str) -> str:
    """What our forwarder has done to the packets of a link, in both directions."""
    impaired = testbed.network.impaired.get(link)
    if impaired is None:
        return ""
    fates = sum((lane.fates for lane in impaired.lanes), Counter[Fate]())
    return ", ".join(f"{fates[fate]} {fate}" for fate in Fate if fates[fate])


def _up(testbed: Testbed, words: Sequence[str]) -> Outcome:
    return _each(testbed, "up", words, testbed.up)


def _down(testbed: Testbed, words: Sequence[str]) -> Outcome:
    words, by = _by(testbed, words)
    return _each(testbed, "down", words, lambda tunnel: testbed.down(tunnel, by))


def _rekey(testbed: Testbed, words: Sequence[str]) -> Outcome:
    kinds = {"ike": testbed.rekey_ike, "child": testbed.rekey_child}
    if not words or words[0] not in kinds:
        raise UsageError("rekey takes 'ike' or 'child'")
    rest, by = _by(testbed, words[1:])
    return _each(testbed, f"rekey {words[0]}", rest, lambda tunnel: kinds[words[0]](tunnel, by))


def _ping(testbed: Testbed, words: Sequence[str]) -> Outcome:
    """Between the hosts of each tunnel, both ways, of each IP version; or from a node to a node or address."""
    count = PINGS
    if words and words[-1].isdigit():
        count, words = int(words[-1]), words[:-1]
        if not 0 < count <= _MOST_PINGS:
            raise UsageError(f"ping sends 1 to {_MOST_PINGS} requests")
    if words:
        if len(words) != 2:
            raise UsageError("ping takes two nodes, or none")
        ways = [(_host(testbed, words[0]), _host(testbed, words[1]))]
    else:
        ways = [way for tunnel in testbed.tunnels for pair in tunnel.ways for way in (pair, pair[::-1])]
    rows: list[Row] = []
    lost = []
    for source, destination in ways:
        crossing = testbed.ping(source, destination, count)
        rows.append(
            {
                "from": " ".join(source),
                "to": " ".join(destination),
                "sent": crossing.sent,
                "received": crossing.received,
            }
        )
        if crossing.received < count:
            lost.append(f"{source[0]} to {destination[0]}")
    return Outcome("ping", f"no way from {', '.join(dict.fromkeys(lost))}" if lost else "", rows)


def _forget(testbed: Testbed, words: Sequence[str]) -> Outcome:
    (node,) = _exactly(words, "a NAT", [n.name for n in testbed.topology.nodes.values() if n.nat])
    testbed.network.forget(node)
    return Outcome(f"forget {node}", text=f"{node} has lost its mappings")


def _fail(testbed: Testbed, words: Sequence[str]) -> Outcome:
    (link,) = _exactly(words, "a link", [link.name for link in testbed.topology.links])
    testbed.network.fail(link)
    return Outcome(f"fail {link}", text=f"{link} is cut")


def _repair(testbed: Testbed, words: Sequence[str]) -> Outcome:
    (link,) = _exactly(words, "a link", [link.name for link in testbed.topology.links])
    testbed.network.repair(link)
    return Outcome(f"repair {link}", text=f"{link} is whole again")


def _wait(testbed: Testbed, words: Sequence[str]) -> Outcome:
    try:
        (seconds,) = (float(word) for word in words)
    except ValueError:
        raise UsageError("wait takes a number of seconds") from None
    if not 0 <= seconds <= _MOST_SECONDS:
        raise UsageError(f"wait takes 0 to {_MOST_SECONDS:g} seconds")
    testbed.run_for(seconds)
    return Outcome(f"wait {seconds:g}")


def _log(testbed: Testbed, words: Sequence[str]) -> Outcome:
    (node,) = _exactly(words, "a node with IKE", list(testbed.seats))
    lines = testbed.seats[node].log().splitlines()
    return Outcome(f"log {node}", text="\n".join(line for line in lines if not _DUMP.search(line)))


def _save(testbed: Testbed, words: Sequence[str]) -> Outcome:
    _none(words)
    return Outcome("save", rows=[{"file": str(path)} for path in testbed.save()])


def _help(_testbed: Testbed, words: Sequence[str]) -> Outcome:
    _none(words)
    rows: list[Row] = [{"command": one.usage, "what": one.summary} for one in COMMANDS.values()]
    rows += [{"command": usage, "what": summary} for usage, summary in AT_THE_PROMPT.items()]
    return Outcome("help", rows=rows)


AT_THE_PROMPT = {
    "run NODE COMMAND...": "run a command at a node",
    "shell NODE": "a shell at a node",
    "quit": "take the lab down",
}
"""What the one who asks carries out."""
COMMANDS: dict[str, Command] = {
    "status": Command("status [TUNNEL...]", "the tunnels, as both ends report them", _status),
    "nodes": Command("nodes", "the nodes, with addresses and namespaces", _nodes),
    "links": Command("links", "the links and their captures", _links),
    "up": Command("up [TUNNEL...]", "bring tunnels up", _up),
    "down": Command("down [TUNNEL...] [by NODE]", "delete their IKE SAs", _down),
    "rekey": Command("rekey ike|child [TUNNEL...] [by NODE]", "rekey; by the initiator if no node is named", _rekey),
    "ping": Command("ping [FROM TO] [COUNT]", "between two nodes (or addresses), or through every tunnel", _ping),
    "forget": Command("forget NAT", "let a NAT lose its mappings", _forget),
    "fail": Command("fail LINK", "cut a link", _fail),
    "repair": Command("repair LINK", "join it again", _repair),
    "wait": Command("wait SECONDS", "let things happen", _wait),
    "log": Command("log NODE", "what its IKE daemon (or endpoint) logged", _log),
    "save": Command("save", "write logs and keys now; captures are written all the time", _save),
    "help": Command("help", "this list", _help),
}


def _each(testbed: Testbed, command: str, words: Sequence[str], do: Callable[[Tunnel], None]) -> Outcome:
    problems = []
    for tunnel in _tunnels(testbed, words):
        try:
            do(tunnel)
        except IpsectestError as error:
            problems.append(str(error))
    status = _status(testbed, words)
    return Outcome(" ".join([command, *words]), "; ".join(problems) or status.problem, status.rows)


def _tunnels(testbed: Testbed, words: Sequence[str]) -> list[Tunnel]:
    known = {tunnel.name: tunnel for tunnel in testbed.tunnels}
    for word in words:
        if word not in known:
            raise UsageError(f"no tunnel {word!r} (there are {', '.join(known)})")
    return [known[word] for word in words] or list(known.values())


def _by(testbed: Testbed, words: Sequence[str]) -> tuple[Sequence[str], str]:
    if "by" not in words:
        return words, ""
    at = list(words).index("by")
    (node,) = _exactly(words[at + 1 :], "a node with IKE", list(testbed.seats))
    for tunnel in _tunnels(testbed, words[:at]):
        if node not in tunnel.nodes:
            raise UsageError(f"{tunnel.name} does not end at {node}")
    return words[:at], node


def _host(testbed: Testbed, word: str) -> tuple[str, str]:
    """A node, or an address of one, as (node, address)."""
    inside = dict(host for tunnel in testbed.tunnels for host in tunnel.hosts)
    if word in inside:
        return word, inside[word]
    for node in testbed.topology.nodes.values():
        texts = [*node.addresses, *(text for end in testbed.topology.ends_of(node.name) for text in end.addresses)]
        addresses = [text.split("/")[0] for text in texts]
        if word in addresses:
            return node.name, word
        if word == node.name and addresses:
            return word, addresses[0]
    raise UsageError(f"no node and no address {word!r} (there are {', '.join(testbed.topology.nodes)})")


def _exactly(words: Sequence[str], what: str, known: Sequence[str]) -> Sequence[str]:
    if len(words) != 1 or words[0] not in known:
        raise UsageError(f"{what} is wanted" + (f": {', '.join(known)}" if known else ", and there is none"))
    return words


def _none(words: Sequence[str]) -> None:
    if words:
        raise UsageError(f"nothing more is wanted than that: {' '.join(words)}")
