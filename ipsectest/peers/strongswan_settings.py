"""strongSwan's words for our settings: strongswan.conf and the sections of vici's load-conn.

Pure text and dictionaries; times that vici takes are whole seconds.
"""

import math
from collections.abc import Sequence
from ipaddress import ip_address, summarize_address_range
from pathlib import PurePosixPath

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.suites import TransformSpec, format_suite
from ipsectest.peers.binding import number_of
from ipsectest.peers.credentials import Credentials
from ipsectest.peers.options import DaemonOptions
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector

Section = dict[str, object]
"""A section of vici: strings, octets, lists of either, or sections."""

USER_SPACE = "strongSwan's user-space ESP knows tunnels only: run it with the kernel's ESP (--lab vm)"
LIBIPSEC_WINDOW = 128
"""Replay window of strongSwan's user-space ESP, in packets; it cannot be changed."""

_PLUGINS = (
    "random nonce drbg aes aesni des md5 sha1 sha2 hmac kdf gmp curve25519 openssl gcm ccm chapoly ctr cmac xcbc mgf1 "
    "pem pkcs1 pkcs8 x509 pubkey constraints revocation vici {ipsec} kernel-netlink socket-default counters"
)
# 10 threads are taken by permanent jobs with kernel-libipsec; with fewer than 16 in all vici may stay mute.
_THREADS = 32
_DOUBLES = 3
_NEVER = 1_000_000


def options_for(settings: PeerSettings) -> DaemonOptions:
    """The daemon a case needs."""
    return DaemonOptions(settings.cookies is True, settings.retransmit, settings.retransmit_tries)


def daemon_conf(options: DaemonOptions, directory: PurePosixPath) -> str:
    """The text of strongswan.conf, everything in ``directory``."""
    plugins = _PLUGINS.format(ipsec="kernel-libipsec" if options.user_space_esp else "")
    cookies = (
        "yes\n  cookie_threshold = 1\n  cookie_threshold_ip = 0\n  block_threshold = 0" if options.cookies else "no"
    )
    levels = "4\n      chd = 4\n      mgr = 2" if options.keys_in_log else "2"
    return f"""charon {{
  load = {plugins}
  threads = {_THREADS}
  user = root
  dos_protection = {cookies}
  half_open_timeout = {3600 if options.cookies else 30}
  retransmit_timeout = {options.retransmit}
  retransmit_tries = {options.retransmit_tries}
  retransmit_base = 1.6
  delete_rekeyed_delay = 1
  filelog {{
    log {{
      path = {directory}/charon.log
      default = 1
      ike = {levels}
      cfg = 1
      ike_name = yes
      time_format = %H:%M:%S
      time_add_ms = yes
      flush_line = yes
    }}
  }}
  plugins {{
    vici {{
      socket = unix://{directory}/charon.vici
    }}
    kernel-libipsec {{
      raw_esp = yes
      allow_peer_ts = yes
    }}
  }}
}}
"""


def connection(settings: PeerSettings, credentials: Credentials, *, user_space_esp: bool = True) -> Section:
    """The connection of a case for load-conn; UnsupportedError for what charon cannot do."""
    _refuse(settings, user_space_esp=user_space_esp)
    section: Section = {
        "version": "2",
        "local_addrs": [settings.local.host],
        "remote_addrs": [settings.remote.host],
        "proposals": [_suite(suite) for suite in settings.ike],
        "local": _local(settings, credentials),
        "remote": {"auth": _method(settings.remote_auth, settings.hashes), "id": identity(settings.remote_id)},
        "encap": _yes(settings.force_encapsulation),
        "mobike": _yes(settings.mobike),
        "fragmentation": _yes(settings.fragmentation),
        "childless": settings.childless,
        "unique": settings.unique,
        "send_cert": "always" if settings.send_certificate else "never",
        "dpd_delay": _seconds(settings.dpd),
        "rekey_time": _seconds(settings.ike_lifetime),
        "reauth_time": "0",
        "over_time": _seconds(max(settings.ike_lifetime, 10)),
        "rand_time": "0",
        "keyingtries": "1",
        "children": _children(settings),
    }
    if settings.pool:
        section["pools"] = [settings.name]
    if settings.local.port not in {0, 500}:
        section["local_port"] = str(settings.local.port)
    if settings.remote.port not in {0, 500}:
        section["remote_port"] = str(settings.remote.port)
    return section


def pool(settings: PeerSettings) -> Section | None:
    """What load-pool takes for a connection; None if it has no addresses to give."""
    return {settings.name: {"addrs": settings.pool}} if settings.pool else None


def child_names(settings: PeerSettings) -> list[str]:
    """The configured Child SA and its doubles: charon refuses to create the same one twice on an IKE SA."""
    return [settings.child, *(f"{settings.child}-{number}" for number in range(2, 2 + _DOUBLES))]


def identity(given: Identity) -> str:
    """An identity in strongSwan's spelling."""
    match given.kind:
        case "dn":
            return given.value
        case "keyid":
            return f"keyid:#{given.value}"
        case "ipv4" | "ipv6":
            return given.value  # behind a prefix the text itself would be the identity, not the address it spells
        case "fqdn" | "email":
            return f"{given.kind}:{given.value}"
        case _:
            raise UnsupportedError(f"identity of kind {given.kind}")


def selectors(given: Selector) -> list[str]:
    """A traffic selector in strongSwan's spelling: one prefix if it is one, else the range."""
    start, end = ip_address(given.start), ip_address(given.end)
    prefixes = list(summarize_address_range(start, end))
    where = str(prefixes[0]) if len(prefixes) == 1 else f"{start}-{end}"
    ports = "" if (given.start_port, given.end_port) == (0, 65535) else f"/{given.start_port}-{given.end_port}"
    if not ports and not given.protocol:
        return [where]
    return [f"{where}[{given.protocol or ''}{ports}]"]


def shunts(settings: PeerSettings) -> Section | None:
    """The BYPASS and DISCARD entries of the policy as a connection of their own, which never speaks to anybody."""
    modes = {"bypass": "pass", "discard": "drop"}
    children: Section = {}
    for number, entry in enumerate(settings.spd):
        if entry.action in modes and entry.local and entry.remote:
            children[f"spd-{number}"] = {
                **_between((entry.local,), (entry.remote,)),
                "mode": modes[entry.action],
                "start_action": "trap",
                "priority": str(number + 1),
            }
    return {"version": "2", "remote_addrs": ["127.0.0.1"], "children": children} if children else None


def _between(local: Sequence[Selector], remote: Sequence[Selector]) -> Section:
    return {
        "local_ts": [text for selector in local for text in selectors(selector)],
        "remote_ts": [text for selector in remote for text in selectors(selector)],
    }


def _children(settings: PeerSettings) -> Section:
    """The doubles must differ in something, or charon 6 still sees duplicates: a time-out that never comes."""
    first, *doubles = child_names(settings)
    children: Section = {first: _child(settings)}
    for number, entry in enumerate(settings.spd):
        if entry.action == "protect" and entry.local and entry.remote:
            own = {**_child(settings), **_between((entry.local,), (entry.remote,)), "priority": str(number + 1)}
            children[entry.child] = own
    for number, name in enumerate(doubles, 1):
        children[name] = {**_child(settings), "inactivity": str(_NEVER + number)}
    return children


def _child(settings: PeerSettings) -> Section:
    protocol = "ah" if settings.protocol == ProtocolId.AH else "esp"
    child: Section = {
        **_between(settings.local_ts, settings.remote_ts),
        f"{protocol}_proposals": [_suite(suite) for suite in settings.esp],
        "mode": settings.mode,
        "rekey_time": _seconds(settings.child_lifetime),
        "life_time": _seconds(settings.child_lifetime * 2),
        "rand_time": "0",
        "dpd_action": "clear",
    }
    if settings.pool:
        child["remote_ts"] = ["dynamic"]  # the address that it was given
    if settings.replay_window is not None:
        child["replay_window"] = str(settings.replay_window)
    places = [number for number, entry in enumerate(settings.spd) if entry.local is None]
    if places:
        child["priority"] = str(places[0] + 1)
    if settings.trap:
        child["start_action"] = "trap"
    if settings.bound_to:
        number = str(number_of(settings))
        kind = "if_id" if settings.bound_to == "interface" else "mark"  # a VTI works by marks
        child |= {f"{kind}_in": number, f"{kind}_out": number}
    if not settings.copy_df:
        child["copy_df"] = "no"
    return child | _limits(settings)


def _limits(settings: PeerSettings) -> Section:
    """Soft and hard limits of packets and octets; one that may not be rekeyed has the hard one only."""
    section: Section = {}
    for unit, most in (("packets", settings.child_packets), ("bytes", settings.child_bytes)):
        if most and settings.child_expires:
            section |= {f"rekey_{unit}": "0", f"life_{unit}": str(most), f"rand_{unit}": "0"}
        elif most:
            section |= {f"rekey_{unit}": str(most), f"life_{unit}": str(most * 100), f"rand_{unit}": "0"}
    if settings.child_expires and settings.child_lifetime:
        section |= {"rekey_time": "0", "life_time": _seconds(settings.child_lifetime)}
    return section


def _local(settings: PeerSettings, credentials: Credentials) -> Section:
    section: Section = {"auth": _method(settings.local_auth, settings.hashes), "id": identity(settings.local_id)}
    if settings.local_auth is not Authentication.PSK:
        credential = credentials.mine.get(settings.local_auth)
        if credential is None:
            raise UnsupportedError(f"{settings.local_auth} authentication", "the peer was given no such certificate")
        section["certs"] = [credential.certificate]
    return section


def _method(method: Authentication, hashes: tuple[str, ...]) -> str:
    """The auth keyword; a key type and hashes constrain the signature (RFC 7427)."""
    match method:
        case Authentication.PSK:
            return "psk"
        case Authentication.RSA | Authentication.ECDSA | Authentication.ED25519:
            return "-".join(["pubkey", *hashes])
        case _:
            raise UnsupportedError(f"{method} authentication", "strongSwan has no such method")


def _refuse(settings: PeerSettings, *, user_space_esp: bool) -> None:
    if settings.window != 1:
        raise UnsupportedError("window", "strongSwan's window size is always 1")
    if not user_space_esp:
        return
    lacking = {
        f"{settings.mode} mode": settings.mode != "tunnel",
        "AH": settings.protocol == ProtocolId.AH,
        "a security policy": bool(settings.spd),
        "Child SAs bound to interfaces and marks": bool(settings.bound_to),
        "traffic that sets Child SAs up": settings.trap,
        "limits of packets and octets": bool(settings.child_packets or settings.child_bytes),
        "extended sequence numbers": any(_has_esn(suite) for suite in settings.esp),
        "a choice of DF": not settings.copy_df,
    }
    for ability in (name for name, wanted in lacking.items() if wanted):
        raise UnsupportedError(ability, USER_SPACE)
    if settings.replay_window not in {None, LIBIPSEC_WINDOW}:
        raise UnsupportedError("replay window", f"strongSwan's user-space ESP has a fixed one of {LIBIPSEC_WINDOW}")


def _suite(suite: tuple[TransformSpec, ...]) -> str:
    return format_suite(suite)


def _has_esn(suite: tuple[TransformSpec, ...]) -> bool:
    return any(transform.type == TransformType.ESN and transform.id for transform in suite)


def _seconds(value: float) -> str:
    return str(math.ceil(value))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
