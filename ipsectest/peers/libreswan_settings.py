"""Libreswan's words for our settings: ipsec.conf and ipsec.secrets. Pure text.

Releases differ: 4.x says ``ikev2=insist`` where 5.x says ``keyexchange=ikev2`` (each refuses the other's word), and
only 5.x takes a list of subnets.
"""

import math
from ipaddress import ip_address, summarize_address_range
from pathlib import PurePosixPath

from ipsectest.base.errors import UnsupportedError
from ipsectest.base.iana import EncryptionAlgorithm as Encr
from ipsectest.base.iana import ExtendedSequenceNumbers as Esn
from ipsectest.base.iana import IntegrityAlgorithm as Integ
from ipsectest.base.iana import KeyExchangeMethod as Ke
from ipsectest.base.iana import ProtocolId, TransformType
from ipsectest.base.iana import PseudorandomFunction as Prf
from ipsectest.base.suites import TransformSpec
from ipsectest.peers.binding import number_of
from ipsectest.peers.options import DaemonOptions
from ipsectest.scenario.ports import Authentication, Identity, PeerSettings, Selector

NICKNAME = "mine"
"""Name of the peer's certificate in the NSS database."""

_CIPHERS = {
    Encr.ENCR_3DES: "3des",
    Encr.ENCR_NULL: "null",
    Encr.ENCR_AES_CBC: "aes",
    Encr.ENCR_AES_CTR: "aes_ctr",
    Encr.ENCR_AES_CCM_8: "aes_ccm_a",
    Encr.ENCR_AES_CCM_12: "aes_ccm_b",
    Encr.ENCR_AES_CCM_16: "aes_ccm_c",
    Encr.ENCR_AES_GCM_8: "aes_gcm_a",
    Encr.ENCR_AES_GCM_12: "aes_gcm_b",
    Encr.ENCR_AES_GCM_16: "aes_gcm_c",
    Encr.ENCR_NULL_AUTH_AES_GMAC: "null_auth_aes_gmac",
    Encr.ENCR_CAMELLIA_CBC: "camellia",
    Encr.ENCR_CHACHA20_POLY1305: "chacha20_poly1305",
}
_HASHES = {
    (TransformType.PRF, Prf.PRF_HMAC_SHA1): "sha1",
    (TransformType.PRF, Prf.PRF_HMAC_SHA2_256): "sha2_256",
    (TransformType.PRF, Prf.PRF_HMAC_SHA2_384): "sha2_384",
    (TransformType.PRF, Prf.PRF_HMAC_SHA2_512): "sha2_512",
    (TransformType.PRF, Prf.PRF_AES128_XCBC): "aes_xcbc",
    (TransformType.INTEG, Integ.AUTH_HMAC_SHA1_96): "sha1",
    (TransformType.INTEG, Integ.AUTH_HMAC_SHA2_256_128): "sha2_256",
    (TransformType.INTEG, Integ.AUTH_HMAC_SHA2_384_192): "sha2_384",
    (TransformType.INTEG, Integ.AUTH_HMAC_SHA2_512_256): "sha2_512",
    (TransformType.INTEG, Integ.AUTH_AES_XCBC_96): "aes_xcbc",
    (TransformType.INTEG, Integ.AUTH_AES_CMAC_96): "aes_cmac",
}
_GROUPS = frozenset({Ke.MODP_1536, Ke.MODP_2048, Ke.MODP_3072, Ke.MODP_4096, Ke.MODP_6144, Ke.MODP_8192})
_GROUPS |= {Ke.ECP_256, Ke.ECP_384, Ke.ECP_521, Ke.CURVE25519}
_FOREVER = 28800
_SIGNATURES = {Authentication.RSA: "rsa", Authentication.ECDSA: "ecdsa"}
_SIGNATURE_HASHES = {"sha256": "sha2_256", "sha384": "sha2_384", "sha512": "sha2_512"}


def options_for(settings: PeerSettings) -> DaemonOptions:
    """The pluto a case needs: retransmission is of each connection, but certificates of one subject share a name."""
    kind = settings.local_auth if settings.local_auth in _SIGNATURES else ""
    return DaemonOptions(cookies=settings.cookies is True, unique=settings.unique == "replace", certificate=str(kind))


def daemon_conf(options: DaemonOptions, directory: PurePosixPath, listen: str = "") -> str:
    """The section ``config setup``, everything in ``directory``."""
    words = {
        "logfile": f"{directory}/pluto.log",
        "logtime": "yes",
        "logappend": "yes",
        "dumpdir": str(directory),
        "nssdir": f"{directory}/nss",
        "ipsecdir": f"{directory}/ipsec.d",
        "secretsfile": f"{directory}/ipsec.secrets",
        "dnssec-enable": "no",
        "uniqueids": _yes(options.unique),
        "ddos-mode": "busy" if options.cookies else "unlimited",
    }
    if listen:
        words["listen"] = listen
    if options.keys_in_log:
        words["plutodebug"] = "private"
    return _section("config setup", words)


def connection(settings: PeerSettings, version: str, nickname: str = NICKNAME) -> str:
    """The section of a case, with the certificate of that name; UnsupportedError for what pluto cannot do."""
    _refuse(settings)
    modern = is_modern(version)
    words = {
        **({"keyexchange": "ikev2"} if modern else {"ikev2": "insist"}),
        "auto": "add",
        "type": settings.mode,
        "ike": ",".join(_ike(suite) for suite in settings.ike),
        **_phase2(settings),
        "esn": _esn(settings.esp),
        "pfs": _yes(any(_of(suite, TransformType.KE) for suite in settings.esp)),
        "narrowing": _yes(not settings.trap),  # pluto cannot start what has yet to be narrowed
        "encapsulation": "yes" if settings.force_encapsulation else "auto",
        "mobike": _yes(settings.mobike),
        "fragmentation": _yes(settings.fragmentation),
        "retransmit-interval": f"{settings.retransmit * 1000:.0f}ms",
        "retransmit-timeout": f"{settings.retransmit * (2 ** (settings.retransmit_tries + 1) - 1) * 1000:.0f}ms",
        **_ends(settings, nickname, modern=modern),
        **_lifetimes(settings),
    }
    if not settings.copy_df:
        words["nopmtudisc"] = "yes"
    if settings.dpd:
        words |= {"dpddelay": _seconds(settings.dpd)}
    places = [number for number, entry in enumerate(settings.spd) if entry.local is None]
    if places:
        words["priority"] = str(places[0] + 1)
    if settings.bound_to:
        number = str(number_of(settings))
        words |= {"ipsec-interface": number} if settings.bound_to == "interface" else {"mark": f"{number}/0xffffffff"}
    if settings.replay_window is not None:
        words["replay-window"] = str(settings.replay_window)
    return _section(f"conn {settings.name}", words)


def shunts(settings: PeerSettings) -> dict[str, str]:
    """The BYPASS and DISCARD entries of the policy, each a connection of its own which never speaks to anybody."""
    types = {"bypass": "passthrough", "discard": "drop"}
    sections: dict[str, str] = {}
    for number, entry in enumerate(settings.spd):
        if entry.action in types and entry.local and entry.remote:
            name = f"{settings.name}-spd-{number}"
            words = {
                "authby": "never",
                "type": types[entry.action],
                "auto": "add",
                "left": settings.local.host,
                "right": settings.remote.host,
                **_protected("left", (entry.local,), modern=True, transport=False),
                **_protected("right", (entry.remote,), modern=True, transport=False),
                "priority": str(number + 1),
            }
            sections[name] = _section(f"conn {name}", words)
    return sections


def secret_line(settings: PeerSettings) -> str:
    """The line of ipsec.secrets for a case; empty if it has no pre-shared key."""
    if Authentication.PSK not in {settings.local_auth, settings.remote_auth} or not settings.secret:
        return ""
    owners = " ".join(f'"{identity(one)}"' for one in (settings.local_id, settings.remote_id))
    return f"{owners} : PSK 0x{settings.secret.hex()}\n"


def identity(given: Identity) -> str:
    """An identity in Libreswan's spelling."""
    match given.kind:
        case "dn" | "ipv4" | "ipv6" | "email":
            return given.value
        case "fqdn":
            return f"@{given.value}"
        case "keyid":
            return f"@#{given.value}"
        case _:
            raise UnsupportedError(f"identity of kind {given.kind}")


def is_modern(version: str) -> bool:
    """Whether it is Libreswan 5 or later."""
    return int(version.partition(".")[0] or 0) >= 5


def _ends(settings: PeerSettings, nickname: str, *, modern: bool) -> dict[str, str]:
    words: dict[str, str] = {}
    for side, address, who, auth, selectors in (
        ("left", settings.local, settings.local_id, settings.local_auth, settings.local_ts),
        ("right", settings.remote, settings.remote_id, settings.remote_auth, settings.remote_ts),
    ):
        words[side] = address.host
        words[f"{side}id"] = f'"{identity(who)}"'
        if address.port not in {0, 500}:
            words[f"{side}ikeport"] = str(address.port)
        words |= _protected(side, selectors, modern=modern, transport=settings.mode == "transport")
        words |= _authentication(side, auth, settings, nickname)
    words["leftupdown"] = "/bin/true"
    if settings.pool:
        words |= {"leftmodecfgserver": "yes", "rightmodecfgclient": "yes"}
        words["rightaddresspool"] = f"{settings.pool}-{settings.pool}"
        words.pop("rightsubnet", None)  # its selector is the address that it is given
    return words


def _authentication(side: str, auth: Authentication, settings: PeerSettings, nickname: str) -> dict[str, str]:
    if auth is Authentication.PSK:
        return {f"{side}auth": "secret"}
    if auth is Authentication.NULL:
        return {f"{side}auth": "null"}
    if auth not in _SIGNATURES:
        raise UnsupportedError(f"{auth} authentication", "Libreswan signs with RSA and ECDSA only")
    kind = _SIGNATURES[auth]
    words = {f"{side}auth": "rsasig" if auth is Authentication.RSA else kind}
    if settings.hashes:
        if settings.local_auth is not settings.remote_auth:
            raise UnsupportedError("hashes", "Libreswan takes them only if both sides sign alike")
        words = {"authby": ",".join(f"{kind}-{_signature_hash(name)}" for name in settings.hashes)}
    if side == "left":
        words |= {"leftcert": nickname, "leftsendcert": "always" if settings.send_certificate else "never"}
    else:
        words["rightca"] = "%any"
    return words


def _signature_hash(name: str) -> str:
    if name not in _SIGNATURE_HASHES:
        raise UnsupportedError(f"hash {name}", "Libreswan has SHA-2 for RFC 7427 signatures")
    return _SIGNATURE_HASHES[name]


def _protected(side: str, selectors: tuple[Selector, ...], *, modern: bool, transport: bool) -> dict[str, str]:
    if len(selectors) > 1 and not modern:
        raise UnsupportedError("several traffic selectors", "Libreswan 4 has one for each side")
    protocols = {(one.protocol, one.start_port, one.end_port) for one in selectors}
    if len(protocols) > 1:
        raise UnsupportedError(
            "traffic selectors with several protocols", "Libreswan has one for all subnets of a side"
        )
    words: dict[str, str] = {}
    if not transport:
        words["leftsubnet" if side == "left" else "rightsubnet"] = ",".join(_subnet(one) for one in selectors)
    protocol, start, end = protocols.pop()
    if protocol or (start, end) != (0, 65535):
        # %any would be one port that the other side names, and 4.x takes that for one side only.
        ports = {(0, 65535): "0", (start, start): str(start)}.get((start, end), f"{start}-{end}")
        words[f"{side}protoport"] = f"{protocol}/{ports}"
    return words


def _subnet(selector: Selector) -> str:
    prefixes = list(summarize_address_range(ip_address(selector.start), ip_address(selector.end)))
    if len(prefixes) > 1:
        raise UnsupportedError("address range as traffic selector", "Libreswan takes prefixes")
    return str(prefixes[0])


def _lifetimes(settings: PeerSettings) -> dict[str, str]:
    """Times are those of the rekey; pluto begins it ``rekeymargin`` before the end.

    Limits are hard ones, and pluto draws a soft one between an eighth and the half of each.
    """
    hard = 1 if settings.child_expires else 2
    limits = {"ipsec-max-packets": settings.child_packets, "ipsec-max-bytes": settings.child_bytes}
    words = {name: str(most * hard) for name, most in limits.items() if most}
    timed = bool(settings.ike_lifetime or settings.child_lifetime)
    words["rekey"] = _yes(not settings.child_expires and (timed or bool(words)))
    if not timed:
        return words
    margin = 1 if settings.child_expires else 2
    rekeyed = 0 if settings.child_expires else margin
    ike = math.ceil(settings.ike_lifetime) + rekeyed if settings.ike_lifetime else _FOREVER
    child = math.ceil(settings.child_lifetime) + rekeyed if settings.child_lifetime else _FOREVER
    times = {"ikelifetime": f"{ike}s", "salifetime": f"{child}s"}
    return words | {"rekeymargin": f"{margin}s", "rekeyfuzz": "0%", **times}


def _ike(suite: tuple[TransformSpec, ...]) -> str:
    """Cipher, hash and group; pluto takes integrity and PRF from one word."""
    prfs = [_hash(spec) for spec in _of(suite, TransformType.PRF)]
    integrities = [_hash(spec) for spec in _of(suite, TransformType.INTEG) if spec.id != Integ.NONE]
    if integrities and prfs and integrities != prfs:
        raise UnsupportedError("IKE suite", "Libreswan has one hash for integrity and PRF")
    groups = [_group(spec) for spec in _of(suite, TransformType.KE)]
    return "-".join(["+".join(_ciphers(suite)), "+".join(prfs or integrities), "+".join(groups)])


def _phase2(settings: PeerSettings) -> dict[str, str]:
    """The protocol of Child SAs and its suites; AH has integrity only."""
    if settings.protocol == ProtocolId.ESP:
        return {"phase2": "esp", "esp": ",".join(_esp(suite) for suite in settings.esp)}
    return {"phase2": "ah", "ah": ",".join(_ah(suite) for suite in settings.esp)}


def _esp(suite: tuple[TransformSpec, ...]) -> str:
    integrities = [_hash(spec) for spec in _of(suite, TransformType.INTEG) if spec.id != Integ.NONE]
    return "-".join(["+".join(_ciphers(suite)), "+".join(integrities) or "none", *_pfs(suite)])


def _ah(suite: tuple[TransformSpec, ...]) -> str:
    return "-".join(["+".join(_hash(spec) for spec in _of(suite, TransformType.INTEG)), *_pfs(suite)])


def _pfs(suite: tuple[TransformSpec, ...]) -> list[str]:
    groups = [_group(spec) for spec in _of(suite, TransformType.KE)]
    return ["+".join(groups)] if groups else []


def _esn(suites: tuple[tuple[TransformSpec, ...], ...]) -> str:
    numbers = {spec.id for suite in suites for spec in _of(suite, TransformType.ESN)}
    if Esn.ESN not in numbers:
        return "no"
    return "either" if Esn.NO_ESN in numbers else "yes"


def _ciphers(suite: tuple[TransformSpec, ...]) -> list[str]:
    return [_cipher(spec) for spec in _of(suite, TransformType.ENCR)]


def _cipher(spec: TransformSpec) -> str:
    word = _CIPHERS.get(Encr(spec.id)) if spec.id in list(Encr) else None
    if word is None:
        raise UnsupportedError(f"cipher {spec}", "Libreswan has no word for it")
    return f"{word}{spec.key_length}" if spec.key_length and spec.id != Encr.ENCR_CHACHA20_POLY1305 else word


def _hash(spec: TransformSpec) -> str:
    for (kind, number), word in _HASHES.items():
        if (kind, number) == (spec.type, spec.id):
            return word
    raise UnsupportedError(f"hash {spec}", "Libreswan has no word for it")


def _group(spec: TransformSpec) -> str:
    if spec.id not in _GROUPS:
        raise UnsupportedError(f"group {spec}", "Libreswan does not have it")
    return f"dh{spec.id:d}"


def _of(suite: tuple[TransformSpec, ...], kind: int) -> list[TransformSpec]:
    return [spec for spec in suite if spec.type == kind]


def _refuse(settings: PeerSettings) -> None:
    if settings.window != 1:
        raise UnsupportedError("window", "Libreswan's window size is always 1")
    if settings.childless != "allow":
        raise UnsupportedError(f"childless = {settings.childless}", "Libreswan always announces RFC 6023")
    if settings.unique == "keep":
        raise UnsupportedError("unique = keep", "Libreswan replaces the older IKE SA or keeps both")
    if any(entry.action == "protect" and entry.local for entry in settings.spd):
        raise UnsupportedError("several Child SAs in a policy", "the driver of Libreswan sets up one")
    kinds = {spec.type for suite in (*settings.ike, *settings.esp) for spec in suite}
    if kinds - {TransformType.ENCR, TransformType.PRF, TransformType.INTEG, TransformType.KE, TransformType.ESN}:
        raise UnsupportedError("additional key exchanges", "Libreswan does not know RFC 9370")


def _section(title: str, words: dict[str, str]) -> str:
    return f"{title}\n" + "".join(f"\t{name}={value}\n" for name, value in words.items())


def _seconds(value: float) -> str:
    return f"{math.ceil(value)}s"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
