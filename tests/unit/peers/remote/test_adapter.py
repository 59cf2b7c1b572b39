"""Programs that speak for a peer: well, wrongly, and not at all."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ipsectest.base.errors import PeerError, UnsupportedError
from ipsectest.base.iana import ProtocolId
from ipsectest.peers.credentials import Credential, Credentials
from ipsectest.peers.remote.adapter import AdaptedPeer
from ipsectest.peers.remote.load import load
from ipsectest.peers.remote.messages import ALWAYS, OPTIONAL, credentials_json, settings_json
from ipsectest.scenario.ports import Authentication, Counter, PeerRequest, Selector, Verb
from tests.unit.peers.settings import settings

FILE = """\
name = "adapted"
[peer]
address = "192.0.2.254"
port = 1500
inner = "203.0.113.1"
[tester]
inner = "198.51.100.1"
[adapter]
command = ["{python}", "adapter.py"]
timeout = {timeout}
"""
PROGRAM = """\
import json, os, sys, time
for line in sys.stdin:
    asked = json.loads(line)
    do = asked["do"]
    answer = {"ok": True}
    if do == "hello":
        answer |= {"protocol": 1, "version": "9", "verbs": ["counter", "initiate"], "counters": ["ike-sas"],
                   "settings": ["mobike"]}
    elif do == "log":
        answer["text"] = "what the peer said"
    BODY
    print(json.dumps({"id": asked["id"], **answer}), flush=True)
"""


@contextmanager
def adapter(folder: Path, body: str = "", timeout: float = 20, more: str = "") -> Iterator[AdaptedPeer]:
    (folder / "adapter.py").write_text(PROGRAM.replace("BODY", body or "pass"))
    path = folder / "gw.toml"
    path.write_text(
        FILE.format(python=sys.executable, timeout=timeout).replace("port = 1500\n", f"port = 1500\n{more}")
    )
    remote = load(path, datetime(2026, 6, 1, tzinfo=UTC), {})
    assert remote.adapter
    peer = AdaptedPeer(remote, remote.adapter)
    try:
        yield peer
    finally:
        peer.close()


def request(verb: Verb, **fields: object) -> PeerRequest:
    return PeerRequest(1, verb, settings(), **fields)  # type: ignore[arg-type]


def test_settings_verbs_and_logs_pass_through(tmp_path: Path) -> None:
    body = (
        'if do == "counter": answer["value"] = 7\n    if do == "configure": print(asked["settings"], file=sys.stderr)'
    )
    with adapter(tmp_path, body) as peer:
        assert (peer.name, peer.version) == ("adapted", "9")
        peer.configure(settings(mobike=True))
        assert peer.perform(request(Verb.INITIATE)) is None
        assert peer.perform(request(Verb.COUNTER, counter=Counter.IKE_SAS)) == 7
        log = peer.log(settings())
        assert log.startswith("what the peer said")
        assert "'mobike': True" in log
        peer.forget(settings())
        assert peer.crash() is None


def test_what_it_does_not_name_is_never_asked_for(tmp_path: Path) -> None:
    with adapter(tmp_path, 'if do != "hello": os._exit(3)') as peer:
        for changed in ({"cookies": True}, {"window": 2}, {"protocol": ProtocolId.AH}):
            with pytest.raises(UnsupportedError):
                peer.configure(settings(**changed))
        for asked in (request(Verb.REKEY_IKE), request(Verb.COUNTER, counter=Counter.REPLAY)):
            with pytest.raises(UnsupportedError):
                peer.perform(asked)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('if do == "initiate": print("hello?", flush=True)', "no JSON object: 'hello?'"),
        ('if do == "initiate": print("[" * 100000, flush=True)', "no JSON object"),
        ('if do == "initiate": print("3", flush=True)', "no JSON object"),
        ('if do == "initiate": asked["id"] = 99', "answers 99 to 'initiate'"),
        ('if do == "initiate": print("x" * (1 << 21), flush=True)', "longer than"),
        ('if do == "initiate": print("no luck", file=sys.stderr); sys.exit(4)', "status 4; it said: no luck"),
        ('if do == "initiate": os.kill(os.getpid(), 9)', "ended by SIGKILL"),
        ('if do == "initiate": answer = {}', "neither ok, unsupported nor error"),
        ('if do == "initiate": answer = {"error": "busy"}', "peer initiate: busy"),
    ],
)
def test_nonsense_and_death_are_told_and_the_next_case_gets_a_new_adapter(
    body: str, words: str, tmp_path: Path
) -> None:
    with adapter(tmp_path, body) as peer:
        peer.configure(settings())
        with pytest.raises(PeerError) as told:
            peer.perform(request(Verb.INITIATE))
        assert words in str(told.value)
        assert "\n" not in str(told.value)
        assert peer.crash() is None
        peer.configure(settings())


def test_it_has_so_much_time_and_no_more(tmp_path: Path) -> None:
    with adapter(tmp_path, 'if do == "initiate": time.sleep(60)', timeout=1.5) as peer:
        peer.configure(settings())
        with pytest.raises(PeerError, match=r"no answer to 'initiate' within 1\.5 s"):
            peer.perform(request(Verb.INITIATE))


def test_much_on_standard_error_blocks_nothing(tmp_path: Path) -> None:
    body = 'if do == "configure": sys.stderr.write("x" * 1_000_000 + "the end")'
    with adapter(tmp_path, body) as peer:
        peer.configure(settings())
        log = peer.log(settings())
        assert log.endswith("the end")
        assert len(log) < 100_000


def test_it_is_not_started_again_without_end(tmp_path: Path) -> None:
    with adapter(tmp_path, 'if do == "configure": sys.exit(1)') as peer:
        for _ in range(6):
            with pytest.raises(PeerError) as told:
                peer.configure(settings())
        assert "3 times in a row" in str(told.value)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ('answer["protocol"] = 2', "speaks protocol 2, we speak 1"),
        ('answer["verbs"] = ["initate"]', "'initate' among its verbs"),
        ('answer["settings"] = 3', "settings that is no list"),
        ('answer = {"error": "no gateway"}', "hello: no gateway"),
        ("sys.exit(1)", "no answer to 'hello'"),
    ],
)
def test_a_bad_greeting_ends_it(body: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(PeerError) as told, adapter(tmp_path, body):
        pass
    assert words in str(told.value)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "gw.toml").write_text(FILE.format(python="./nowhere", timeout=20))
    remote = load(tmp_path / "gw.toml", datetime(2026, 6, 1, tzinfo=UTC), {})
    assert remote.adapter
    with pytest.raises(PeerError, match=r"cannot run .*/nowhere: No such file"):
        AdaptedPeer(remote, remote.adapter)


def test_only_the_adapter_can_tell_of_a_crash(tmp_path: Path) -> None:
    with adapter(tmp_path, 'if do == "initiate": answer = {"crashed": "SIGSEGV"}') as peer:
        peer.configure(settings())
        peer.perform(request(Verb.INITIATE))
        assert peer.crash() == "SIGSEGV"
        peer.restart()
        assert peer.crash() is None


def test_every_setting_can_be_told(tmp_path: Path) -> None:
    with adapter(tmp_path) as peer:
        given = settings(window=3, local_ts=(Selector("203.0.113.1", "203.0.113.9", 6, 80, 80),), hashes=("sha256",))
        told = settings_json(given, peer._remote)
    assert told.keys() == ALWAYS | {"window", "hashes"}
    assert told["local"] == {"address": "192.0.2.254", "port": 1500, "nat_port": 4500}
    assert told["ike"] == ["aes128gcm16-prfsha256-x25519"]
    assert told["hashes"] == ["sha256"]
    assert told["local_ts"] == [{"start": "203.0.113.1", "end": "203.0.113.9", "protocol": 6, "ports": [80, 80]}]
    assert told["secret"] == given.secret.hex()
    assert settings_json(replace(given, protocol=ProtocolId.AH), peer._remote)["protocol"] == "ah"
    assert not ALWAYS & OPTIONAL.keys()


def test_a_peer_with_a_configuration_of_its_own_is_asked_for_verbs_and_logs_only(tmp_path: Path) -> None:
    own = 'id = "fqdn:gw.example"\npsk = "secret"\nike = "aes256-sha256-ecp256"\nesp = "aes256-sha256"\n'
    body = 'if do in ("configure", "forget") or do == "hello" and asked["configures"]: os._exit(3)'
    with adapter(tmp_path, body, more=own) as peer:
        peer.configure(settings(cookies=True))
        peer.perform(request(Verb.INITIATE))
        assert "what the peer said" in peer.log(settings())
        peer.forget(settings())


def test_certificates_are_told_in_pem() -> None:
    credentials = Credentials((b"CA",), {Authentication.RSA: Credential(b"CERTIFICATE", b"KEY")})
    signed = settings(local_auth=Authentication.RSA)
    told = credentials_json(signed, credentials)
    assert told == {"authorities": ["CA"], "certificate": "CERTIFICATE", "key": "KEY"}
    assert credentials_json(settings(remote_auth=Authentication.RSA), credentials) == {"authorities": ["CA"]}
    assert credentials_json(settings(), credentials) == {}


def test_it_ends_with_a_tester_that_is_killed(tmp_path: Path) -> None:
    (tmp_path / "adapter.py").write_text(PROGRAM.replace("BODY", 'answer["version"] = str(os.getpid())'))
    (tmp_path / "gw.toml").write_text(FILE.format(python=sys.executable, timeout=20))
    program = """
import sys, signal
from datetime import UTC, datetime
from pathlib import Path
from ipsectest.peers.credentials import Credential, Credentials
from ipsectest.peers.remote.adapter import AdaptedPeer
from ipsectest.peers.remote.load import load
remote = load(Path(sys.argv[1]), datetime.now(UTC), {})
print(AdaptedPeer(remote, remote.adapter).version, flush=True)
signal.pause()
"""
    words = [sys.executable, "-c", program, str(tmp_path / "gw.toml")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as tester:
        assert tester.stdout
        handle = os.pidfd_open(int(tester.stdout.readline()))
        tester.send_signal(signal.SIGKILL)
    end = time.monotonic() + 20
    while time.monotonic() < end:
        try:
            signal.pidfd_send_signal(handle, 0)
        except ProcessLookupError:
            break
        os.sched_yield()
    else:
        pytest.fail("the adapter lives on")
    os.close(handle)
