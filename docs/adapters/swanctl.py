#!/usr/bin/env python3
"""An adapter of ipsectest for strongSwan by its own command line: the worked example of docs/peers.md.

The arguments are how to get a shell where charon is, for instance: ssh root@gateway. Without them it is here.
Only pre-shared keys, and what swanctl can do; whatever is not named in HELLO is never asked for.
"""

import json
import os
import re
import shlex
import subprocess
import sys
from typing import Any

Given = dict[str, Any]
SHELL = [*sys.argv[1:], "sh", "-s"]
OPTIONS = ["--uri", os.environ["VICI_URI"]] if "VICI_URI" in os.environ else []
HELLO = {
    "protocol": 1,
    "name": "strongSwan",
    "settings": [
        "dpd",
        "force_encapsulation",
        "mobike",
        "fragmentation",
        "childless",
        "ike_lifetime",
        "child_lifetime",
    ],
    "auth": ["psk"],
    "verbs": ["initiate", "rekey ike", "rekey child", "delete ike", "delete child", "counter"],
    "counters": ["ike-sas", "half-open", "child-sas"],
}
CONNECTIONS: dict[str, Given] = {}


def swanctl(*words: str, text: str = "") -> str:
    """What swanctl prints; RuntimeError with what it says if it fails. ``text`` is a file for it."""
    command = shlex.join(["swanctl", *words, *OPTIONS])
    if text:
        command = f"umask 077; f=$(mktemp); cat > $f <<'END'\n{text}END\n{command} --file $f; s=$?; rm $f; exit $s"
    done = subprocess.run(SHELL, input=command, capture_output=True, text=True, timeout=8, check=False)
    if done.returncode:
        raise RuntimeError((done.stderr or done.stdout).strip().rpartition("\n")[2] or "swanctl fails")
    return done.stdout


def selector(ts: Given) -> str:
    """A traffic selector in strongSwan's spelling."""
    ports = "" if ts["ports"] == [0, 65535] else f"/{ts['ports'][0]}-{ts['ports'][1]}"
    what = f"[{ts['protocol'] or ''}{ports}]" if ts["protocol"] or ports else ""
    return f"{ts['start']}-{ts['end']}{what}" if ts["start"] != ts["end"] else ts["start"] + what


def identity(text: str) -> str:
    """An identity in strongSwan's spelling: addresses stand for themselves."""
    kind, _, value = text.partition(":")
    return {"ipv4": value, "ipv6": value, "keyid": f'"keyid:#{value}"'}.get(kind, text)


def connection(given: Given) -> str:
    """The section of a connection."""
    yes = {True: "yes", False: "no"}
    local, remote = given["local"], given["remote"]
    return f"""
    {given["name"]} {{
        version = 2
        local_addrs = {local["address"]}
        remote_addrs = {remote["address"]}
        remote_port = {remote["port"]}
        proposals = {", ".join(given["ike"])}
        encap = {yes[given.get("force_encapsulation", False)]}
        mobike = {yes[given.get("mobike", False)]}
        fragmentation = {yes[given.get("fragmentation", False)]}
        childless = {given.get("childless", "allow")}
        dpd_delay = {given.get("dpd", 0):.0f}
        rekey_time = {given.get("ike_lifetime", 0):.0f}
        unique = never
        keyingtries = 1
        local {{
            auth = psk
            id = {identity(given["local_id"])}
        }}
        remote {{
            auth = psk
            id = {identity(given["remote_id"])}
        }}
        children {{
            {given["child"]} {{
                local_ts = {", ".join(map(selector, given["local_ts"]))}
                remote_ts = {", ".join(map(selector, given["remote_ts"]))}
                esp_proposals = {", ".join(given["esp"])}
                rekey_time = {given.get("child_lifetime", 0):.0f}
            }}
        }}
    }}"""


def load() -> None:
    """Tell charon all connections that there are: what is not among them is unloaded."""
    secrets = ""
    for name, given in CONNECTIONS.items():
        owners = f"id-1 = {identity(given['local_id'])}\n id-2 = {identity(given['remote_id'])}"
        secrets += f"ike-{name} {{\n secret = 0x{given['secret']}\n {owners}\n}}\n"
    swanctl("--load-creds", "--clear", text=f"secrets {{\n{secrets}}}\n")
    swanctl("--load-conns", text=f"connections {{{''.join(map(connection, CONNECTIONS.values()))}\n}}\n")


def sas(name: str) -> list[Given]:
    """The IKE SAs with the tester of a case: number, state, SPIs, and of each Child SA number, state, inbound SPI.

    By the tester's address: a half-open IKE SA may belong to no connection yet.
    """
    tester = CONNECTIONS[name]["remote"]["address"] if name in CONNECTIONS else ""
    found: list[Given] = []
    for line in swanctl("--list-sas").splitlines():
        if ike := re.match(r"\S+: #(\d+), (\w+), IKEv2, ([0-9a-f]{16})_i\S* ([0-9a-f]{16})_r", line):
            found.append({"id": ike[1], "state": ike[2], "spis": {ike[3], ike[4]}, "children": [], "with": ""})
        elif remote := re.match(r"  remote .* @ ([^\[]+)", line):
            found[-1]["with"] = remote[1]
        elif child := re.match(r"  \S+: #(\d+), reqid \d+, (\w+)", line):
            found[-1]["children"].append({"id": child[1], "state": child[2], "spi": ""})
        elif spi := re.match(r"    in  ([0-9a-f]{8})", line):
            found[-1]["children"][-1]["spi"] = spi[1]
    return [sa for sa in found if sa["with"] == tester]


def the(kind: str, asked: Given) -> str:
    """The number of the IKE SA or Child SA that is meant; RuntimeError if it is not there (yet)."""
    for sa in sas(asked["connection"]):
        if kind == "ike" and (asked["ike_spi"] or asked["spi"]) in {*sa["spis"], ""}:
            return sa["id"]
        for child in sa["children"] if kind == "child" else ():
            if child["state"] == "INSTALLED" and asked["spi"] in {child["spi"], ""}:
                return child["id"]
    raise RuntimeError(f"there is no such {kind} SA")


def count(asked: Given) -> int:
    """A counter."""
    there = sas(asked["connection"])
    states = [sa["state"] for sa in there]
    if asked["counter"] == "child-sas":
        return sum(child["state"] == "INSTALLED" for sa in there for child in sa["children"])
    return states.count("ESTABLISHED") if asked["counter"] == "ike-sas" else len(states) - states.count("ESTABLISHED")


def configure(asked: Given) -> None:
    """Load the connection of a case."""
    CONNECTIONS[asked["settings"]["name"]] = asked["settings"]
    load()


def forget(asked: Given) -> None:
    """Unload it, and whatever it has set up."""
    for sa in sas(asked["connection"]):
        swanctl("--terminate", "--ike-id", sa["id"], "--force", "--timeout", "1")
    CONNECTIONS.pop(asked["connection"], None)
    load()


def act(asked: Given) -> None:
    """The verbs that begin something: none of them waits for what comes of it."""
    words = {
        "initiate": lambda: ["--initiate", "--ike", asked["connection"], "--child", asked["child"], "--timeout", "-1"],
        "rekey ike": lambda: ["--rekey", "--ike-id", the("ike", asked)],
        "rekey child": lambda: ["--rekey", "--child-id", the("child", asked)],
        "delete ike": lambda: ["--terminate", "--ike-id", the("ike", asked), "--timeout", "-1"],
        "delete child": lambda: ["--terminate", "--child-id", the("child", asked), "--timeout", "-1"],
    }
    swanctl(*words[asked["do"]]())


def answer(asked: Given) -> Given:
    """What there is to say to a request."""
    match asked["do"]:
        case "hello":
            version = re.search(r"(\d[\w.]+)", swanctl("--version"))
            return {**HELLO, "version": version[1] if version else ""}
        case "configure":
            configure(asked)
        case "forget":
            forget(asked)
        case "counter":
            return {"value": count(asked)}
        case "log":
            return {"unsupported": "swanctl shows no log of the past"}
        case _:
            act(asked)
    return {}


for line in sys.stdin:
    request = json.loads(line)
    try:
        reply = {"ok": True, **answer(request)}
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
        reply = {"error": str(error)}
    print(json.dumps({"id": request["id"], **reply}), flush=True)
