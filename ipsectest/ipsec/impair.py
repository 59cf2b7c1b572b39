"""Named faults of our own ESP: what the proofs of ESP scenarios are held against.

The faults of IKE are ``ike.impair``. A healthy SA and a healthy receiver are never touched.
"""

from collections.abc import Collection
from dataclasses import replace

from ipsectest.ipsec.ah import open_ah
from ipsectest.ipsec.drop import Drop, DropReason
from ipsectest.ipsec.esp import NOTHING_FORCED, Forced, Opened, _cipher_input, _implicit_high, icv_size, open_esp
from ipsectest.ipsec.packets import Unprotected, unwrap
from ipsectest.ipsec.replay import ReplayWindow
from ipsectest.ipsec.sa import SecurityAssociation
from ipsectest.wire.ip import IpPacket, altered, parse_ip

IMPAIRMENTS: dict[str, str] = {
    "accepts-replay": "no anti-replay check (RFC 4303 section 3.4.3)",
    "narrow-replay-window": "a window of 16 packets, where 32 are the least (RFC 4303 section 3.4.3)",
    "always-checks-replay": "a replay window of 64 packets where none is wanted (RFC 4303 section 3.4.3)",
    "forgets-esn": "the high half of sequence numbers does not enter the ICV (RFC 4303 section 2.2.1)",
    "esn-stays-in-the-low-half": "the high half of sequence numbers is always 0 (RFC 4303 appendix A2)",
    "ignores-esp-selectors": "inner packets are not held against the selectors of their SA (RFC 4301 section 5.2)",
    "window-moves-before-icv": "the window moves for packets whose ICV is wrong (RFC 4303 section 3.4.3)",
    "accepts-bad-esp-icv": "a wrong ICV is no reason to drop (RFC 4303 section 3.4.4)",
    "ignores-esp-spi": "any SPI will do (RFC 4303 section 3.4.2)",
    "ignores-esp-padding-limit": "more than 15 octets of padding are refused (RFC 4303 section 2.4)",
    "ignores-esp-padding": "padding that is not 1, 2, 3 is no reason to drop (RFC 4303 section 2.4)",
    "accepts-clear": "packets that policy wants protected may come and go in clear (RFC 4301 section 5)",
    "accepts-clear-fragments": "fragments in clear are let in whatever policy wants (RFC 4301 section 5.2)",
    "outbound-in-clear": "what the host sends leaves in clear (RFC 4301 section 5.1)",
    "passes-unmatched": "packets that no policy speaks of pass in clear (RFC 4301 section 4.4.1)",
    "ignores-bypass": "BYPASS entries of the policy are as good as none (RFC 4301 section 4.4.1)",
    "ignores-discard": "DISCARD entries of the policy let packets pass (RFC 4301 section 4.4.1)",
    "reverses-spd": "the last of the policy entries that match decides (RFC 4301 section 4.4.1)",
    "one-sa-for-selectors": "a Child SA takes the place of those with its selectors (RFC 4301 section 4.1)",
    "ignores-narrower-sa": "the first SA that fits a packet carries it, not the one its policy names (RFC 4301 5.1)",
    "ignores-binding": "a Child SA carries all that fits its selectors, whatever route or mark (RFC 4301 4.4.1)",
    "no-trap": "traffic without a Child SA does not set one up (RFC 4301 section 4.4.1)",
    "trap-hides-the-packet": "selectors do not begin with the packet that asked for them (RFC 7296 section 2.9)",
    "ignores-child-limits": "a Child SA lives on beyond its packets and octets (RFC 4301 section 4.4.2.1)",
    "keeps-ttl": "forwarded packets keep their TTL (RFC 4301 section 5.1.2.1)",
    "outer-dscp-zero": "the outer header has DSCP 0 whatever is inside (RFC 4301 section 5.1.2.1)",
    "outer-not-ect": "the outer header is Not-ECT whatever is inside (RFC 6040 section 4.1)",
    "loses-ce": "a congestion mark of the outer header is lost (RFC 6040 section 4.2)",
    "takes-ce-on-not-ect": "a marked packet that is Not-ECT inside is taken (RFC 6040 section 4.2)",
    "inner-dscp-from-outer": "the outer DSCP goes inside on receipt (RFC 4301 section 5.1.2.1)",
    "checks-dscp": "packets of another DSCP than 0 are dropped (RFC 4301 section 4.1)",
    "outer-df-clear": "the outer header never has DF (RFC 4301 section 8.1)",
    "outer-df-set": "the outer header always has DF (RFC 4301 section 8.1)",
    "swallows-too-big": "a packet too large for the tunnel is dropped in silence (RFC 4301 section 8.2.1)",
    "drops-large": "a packet that has to be cut is dropped (RFC 4301 section 8.2.1)",
    "refuses-tfc-padding": "octets behind the inner packet are no padding (RFC 4303 section 2.7)",
    "drops-inner-fragments": "fragments that come out of a tunnel are dropped (RFC 4301 section 7.1)",
    "ignores-more-fragments": "what looks like a fragment is taken as a whole packet (RFC 4303 section 3.4.1)",
    "accepts-bad-ah-icv": "a wrong ICV of AH is no reason to drop (RFC 4302 section 3.4.4)",
    "ah-covers-mutable-fields": "DSCP and TTL must not have changed on the way (RFC 4302 section 3.3.3)",
    "takes-one-encapsulation": "ESP must come the way it is sent, in UDP or not (RFC 7296 section 2.23)",
    "esp-never-moves": "ESP of a peer whose NAT has a new mapping is answered to the old one (RFC 7296 section 2.23)",
    "sends-no-keepalive": "no keepalives from behind a NAT (RFC 7296 section 2.23)",
    "takes-keepalives-for-life": "who sends NAT keepalives is never asked whether it lives (RFC 3948 section 4)",
    "wants-no-checksum": "ESP in UDP with a checksum is dropped (RFC 3948 section 2.1)",
    "keeps-nat-checksums": "checksums of transport mode are not mended behind a NAT (RFC 3948 section 3.1.2)",
    "answers-dummy": "a dummy packet is answered (RFC 4303 section 2.6)",
    "answers-keepalive": "what is too short for ESP or IKE on port 4500 gets an answer (RFC 3948 section 2.3)",
    "esp-starts-at-zero": "the first packet has sequence number 0 (RFC 4303 section 3.3.3)",
    "esp-pads-with-zero": "padding is zeros, not 1, 2, 3 (RFC 4303 section 2.4)",
    "sends-raw-esp-behind-nat": "ESP is not put into UDP behind a NAT (RFC 3948)",
    "wrong-child-keys": "keys are used for the wrong direction (RFC 7296 section 2.17)",
    "sends-on-new-child": "who answered a rekey sends on the new Child SA at once (RFC 7296 section 2.8)",
    "new-child-not-installed": "a rekeyed Child SA carries no traffic (RFC 7296 section 2.8)",
}
"""Name and what is wrong."""

_NARROW, _USUAL = 16, 64
_LITTLE_PADDING = 15
_CE = 3


class _LowHalf(ReplayWindow):
    """Never follows a sender across 2^32."""

    def infer(self, low: int) -> int:
        """The 32 bits as they are."""
        return low


def receiver(sa: SecurityAssociation, faults: Collection[str]) -> SecurityAssociation:
    """An inbound SA, before its first packet, with the faults that lie in its parameters."""
    sa = _either(sa, faults)
    if "accepts-replay" in faults:
        sa = replace(sa, replay_window=0)
    if "narrow-replay-window" in faults:
        sa = replace(sa, replay_window=_NARROW)
    if "always-checks-replay" in faults:
        sa = replace(sa, replay_window=_USUAL)
    if "ignores-esp-padding" in faults:
        sa = replace(sa, checks_padding=False)
    if "keeps-nat-checksums" in faults:
        sa = replace(sa, real_addresses=None)
    if "esn-stays-in-the-low-half" in faults:
        sa.replay = _LowHalf(sa.replay.size, esn=sa.esn)
    return sa


def sender(sa: SecurityAssociation, faults: Collection[str]) -> SecurityAssociation:
    """An outbound SA, before its first packet, likewise."""
    sa = _either(sa, faults)
    if "sends-raw-esp-behind-nat" in faults:
        sa = replace(sa, udp_ports=None)
    return replace(sa, sent=-1) if "esp-starts-at-zero" in faults else sa


def _either(sa: SecurityAssociation, faults: Collection[str]) -> SecurityAssociation:
    """Faults of both directions."""
    if "forgets-esn" in faults:
        sa = replace(sa, esn=False)
    return replace(sa, selectors=()) if "ignores-esp-selectors" in faults else sa


def trailer(sa: SecurityAssociation, packet: bytes, faults: Collection[str]) -> Forced:
    """What a sender does to the packet that carries ``packet`` in tunnel mode."""
    if "esp-pads-with-zero" not in faults:
        return NOTHING_FORCED
    return Forced(padding=bytes(-(len(packet) + 2) % max(4, sa.cipher.block_length)))


def open_impaired(sa: SecurityAssociation, data: bytes, faults: Collection[str]) -> Opened | Drop:
    """``open_esp`` with the faults of a receiver; never raises."""
    opened = open_esp(sa, data)
    if isinstance(opened, Opened):
        too_much = "ignores-esp-padding-limit" in faults and len(opened.padding) > _LITTLE_PADDING
        return sa.drop(DropReason.BAD_PADDING, opened.sequence) if too_much else opened
    match opened.reason:
        case DropReason.BAD_ICV if "accepts-bad-esp-icv" in faults:
            return open_esp(sa, _with_right_icv(sa, data))
        case DropReason.BAD_ICV if "window-moves-before-icv" in faults:
            sa.replay.accept(sa.replay.infer(int.from_bytes(data[4:8], "big")))
        case DropReason.UNKNOWN_SPI if "ignores-esp-spi" in faults:
            return open_esp(sa, _with_right_icv(sa, sa.spi + data[4:]))
        case _:
            pass
    return opened


def unwrap_impaired(
    sa: SecurityAssociation, opened: Opened, ip: IpPacket, faults: Collection[str]
) -> Unprotected | Drop:
    """``packets.unwrap`` with the faults of a receiver."""
    if "checks-dscp" in faults and ip.traffic_class >> 2:
        return sa.drop(DropReason.BAD_INNER, opened.sequence)
    inner = parse_ip(opened.payload)
    if "refuses-tfc-padding" in faults and inner and len(opened.payload) > len(inner.headers) + len(inner.payload):
        return sa.drop(DropReason.BAD_INNER, opened.sequence)
    if "drops-inner-fragments" in faults and inner and inner.is_fragment:
        return sa.drop(DropReason.FRAGMENT, opened.sequence)
    marked = inner is not None and ip.traffic_class & _CE == _CE
    unmarked = replace(ip, traffic_class=ip.traffic_class & ~_CE)
    if "loses-ce" in faults or ("takes-ce-on-not-ect" in faults and marked and inner and not inner.traffic_class & _CE):
        ip = unmarked
    passed = unwrap(sa, opened, ip)
    if isinstance(passed, Unprotected) and inner and "inner-dscp-from-outer" in faults:
        of_outer = ip.traffic_class & ~_CE | inner.traffic_class & _CE
        return replace(passed, inner=altered(passed.inner, traffic_class=of_outer))
    return passed


def opened_ah(sa: SecurityAssociation, ip: IpPacket, faults: Collection[str]) -> Unprotected | Drop:
    """What a packet under AH carries, with the faults of a receiver."""
    if "ah-covers-mutable-fields" in faults and (ip.traffic_class >> 2 or ip.hop_limit != sa.hop_limit):
        return sa.drop(DropReason.BAD_ICV)
    if "ignores-more-fragments" in faults:
        ip = replace(ip, more_fragments=False)
    opened = open_ah(sa, ip)
    forgiven = {DropReason.BAD_ICV: "accepts-bad-ah-icv", DropReason.UNKNOWN_SPI: "ignores-esp-spi"}
    if isinstance(opened, Drop) and forgiven.get(opened.reason) in faults:
        length = (ip.payload[1] + 2) * 4
        opened = Opened(ip.payload[length:], ip.payload[0], opened.sequence or 0)
    return opened if isinstance(opened, Drop) else unwrap(sa, opened, ip)


def dressed(whole: bytes, inner: bytes, faults: Collection[str]) -> bytes:
    """The packet on the wire with the faults of a sender in its outer header."""
    ip, within = parse_ip(whole), parse_ip(inner)
    if ip is None or within is None:
        return whole
    traffic_class = ip.traffic_class
    if "outer-dscp-zero" in faults:
        traffic_class &= _CE
    if "outer-not-ect" in faults:
        traffic_class &= ~_CE
    fragment = {"outer-df-clear": False, "outer-df-set": True}
    wanted = next((value for name, value in fragment.items() if name in faults), None)
    if traffic_class == ip.traffic_class and wanted is None:
        return whole
    return altered(whole, traffic_class=traffic_class, dont_fragment=wanted)


def _with_right_icv(sa: SecurityAssociation, data: bytes) -> bytes:
    """The packet as if whoever changed it had had the keys."""
    start, end = 8 + sa.cipher.iv_length, len(data) - icv_size(sa)
    sequence = sa.replay.infer(int.from_bytes(data[4:8], "big"))
    if sa.authenticator:
        covered = data[:end]
        return covered + sa.authenticator.compute(sa.integrity_key, covered + _implicit_high(sa, sequence))
    # AEAD ciphers add a key stream: encrypting the ciphertext once more gives the plaintext.
    plaintext = sa.context.encrypt(*_cipher_input(sa, sequence, data[8:start], data[start:end], sa.spi))[: end - start]
    return data[:start] + sa.context.encrypt(*_cipher_input(sa, sequence, data[8:start], plaintext, sa.spi))
