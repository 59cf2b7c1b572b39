"""From frames to what they carried, one after another: link layer, IP fragments, ESP, AH and IKE, outputs."""

from collections import Counter
from collections.abc import Callable, Hashable
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from ipsectest.base.iana import IKE_PORT, NON_ESP_MARKER, ProtocolId
from ipsectest.decrypt.fast import FastPath
from ipsectest.decrypt.frames import Frame, Interface
from ipsectest.decrypt.ike import IkeDatabase, Opened
from ipsectest.decrypt.ikev1 import Ikev1Database, OpenedV1, QuickModes
from ipsectest.decrypt.ikev1.messages import is_ikev1
from ipsectest.decrypt.keys.model import IkeKeys, KeyRing, SaKeys
from ipsectest.decrypt.keys.salts import Salts
from ipsectest.decrypt.lineage import Lineage
from ipsectest.decrypt.links import ip_packet
from ipsectest.decrypt.nat_t import NatT
from ipsectest.decrypt.negotiations import Closed, Negotiations
from ipsectest.decrypt.output import Output
from ipsectest.decrypt.reassembly import Fragments
from ipsectest.decrypt.sas import SaDatabase
from ipsectest.decrypt.shared_secrets import SharedSecrets
from ipsectest.decrypt.streams import Streams, Taken
from ipsectest.decrypt.trial import Trial
from ipsectest.decrypt.unwrap import Unwrapped, unwrap
from ipsectest.ipsec.transport import replace_payload
from ipsectest.net.pcapng import LINKTYPE_RAW
from ipsectest.wire.datagrams import host_text
from ipsectest.wire.ip import TCP, UDP, IpPacket, build_udp, parse_ip, parse_udp

if TYPE_CHECKING:
    from ipsectest.decrypt.jsonl import JsonLines
    from ipsectest.decrypt.observer import Observer

_MOST_NOTES = 1000
_MOST_REASONS = 100
_MOST_PROBLEMS = 20
"""Wrong lines of key files that are told."""
MOST_DERIVED = 100_000
"""SAs whose keys an authentic peer may bring about in one capture."""
_IKE_HEADER = 28


@dataclass(slots=True)
class Totals:
    """What became of all frames."""

    frames: int = 0
    truncated: int = 0
    """Of which the capture has a part only."""
    without_ip: Counter[str] = field(default_factory=Counter)
    """By reason."""
    fragments: int = 0
    """IP fragments, whole packets made of them not counted."""
    tcp: int = 0
    """TCP segments of streams with IKE and ESP."""
    clear: int = 0
    """IP packets without IPsec."""
    opened: int = 0
    """ESP and AH packets that opened down to an inner packet."""
    closed: Counter[str] = field(default_factory=Counter)
    """ESP and AH packets that did not, by reason."""
    ike: int = 0
    """IKE messages."""
    ike_opened: int = 0
    """Encrypted ones that opened."""
    ike_closed: int = 0
    """Encrypted ones that did not."""


@dataclass(frozen=True, slots=True)
class Results:
    """Where an IKE message came, and where what becomes of it goes."""

    totals: Totals
    frame: Frame
    interface: Interface = Interface(LINKTYPE_RAW)  # noqa: RUF009 - frozen
    output: Output | None = None
    jsonl: "JsonLines | None" = None
    is_inner: bool = False


class Decryption:
    """One run over captures with one key ring. ``output`` and ``jsonl`` are where results go, None: nowhere."""

    def __init__(
        self,
        keys: KeyRing,
        output: Output | None = None,
        jsonl: "JsonLines | None" = None,
        *,
        nat_t: NatT | None = None,
    ) -> None:
        self.totals = Totals()
        self.sas = SaDatabase(keys.sas)
        self.ike = IkeDatabase(keys.ike)
        self.notes: list[str] = [*keys.notes, *map(str, keys.problems[:_MOST_PROBLEMS])]
        """What is needed or was noticed, each once; bounded."""
        self._closed: list[Closed] = []
        """SAs that were negotiated while their keys were not known."""
        self.derived: list[SaKeys] = []
        """Keys of SAs that follow from those of IKE SAs."""
        self.derived_ike: list[IkeKeys] = []
        """Keys of IKE SAs that follow from shared secrets."""
        self.looked: Callable[[], None] = lambda: None
        """Called after each frame that did not go the fast way, for a progress bar."""
        self.follow: Callable[[Frame, bytes, bool], None] | None = None
        """Follows IKE messages instead of this run: frame, IP packet, whether it came out of ESP or AH."""
        self.lineage = Lineage()
        """Which IKE SA made which SAs, and which were rekeyed."""
        self.fast: FastPath | None = None
        self.observer: Observer | None = None
        """Told of every packet."""
        self._seek: Callable[..., bool] | None = None
        self.nat_t = nat_t or NatT()
        self.trial: Trial | None = None
        """Finds keys for SAs that no file names, if it is there."""
        self._output = output
        self._jsonl = jsonl
        self._salts = Salts(keys.without_salt)
        self._secrets = secrets = SharedSecrets(keys.dh)
        self.notes += [f"{one.origin}: cannot be used: {why}" for one, why in secrets.unusable]
        self._negotiations = Negotiations(secrets)
        self.ikev1 = Ikev1Database(keys.ikev1, secrets)
        self._quick_modes = QuickModes(secrets)
        self._fragments = Fragments()
        self.streams: Streams[tuple[Frame, Interface]] = Streams(self.sas.esp_spis, self.nat_t.ports)
        self.told_first = 0
        """Number of the first frame with something in clear; 0: none. The fast path's are not looked at."""
        self._passed = 0
        """Number of the frame that need not be written beside what comes out of it; 0: none."""

    def flush(self) -> None:
        """Let whoever reads the outputs have all that was found so far."""
        if self._output:
            self._output.flush()
        if self._jsonl:
            self._jsonl.flush()

    def finish(self) -> None:
        """Take what waits still, and count what the fast path opened; after the last frame."""
        for (frame, interface), taken in self.streams.finish():
            self._from_stream(taken, frame, interface)
        if self.streams.lost:
            self.note(f"streams of IKE and ESP over TCP: the capture lacks {self.streams.lost:,} octets")
        if self.trial and self.trial.is_over:
            self.note(
                f"after {self.trial.attempts} attempts no more keys were tried: give fewer keys or a shorter capture"
            )
        if self.fast:
            self.totals.frames += self.fast.packets
            self.totals.opened += self.fast.packets
            self.fast.close()
            self.fast = None

    def take(self, frame: Frame, interface: Interface) -> None:
        """One frame. Never raises for what it holds."""
        totals = self.totals
        totals.frames += 1
        totals.truncated += frame.length > len(frame.data)
        packet = ip_packet(frame.data, interface.link_type)
        if isinstance(packet, str):
            known = packet in totals.without_ip or len(totals.without_ip) < _MOST_REASONS
            totals.without_ip[packet if known else "for other reasons"] += 1
            self._pass(frame, interface)
            return
        if frame.length > len(frame.data) and parse_ip(packet) is None:  # nothing can be told of what is cut off
            self._pass(frame, interface)
            return
        whole = self._fragments.take(packet, frame.nanoseconds)
        totals.fragments += whole is not packet
        if self.observer and whole is not packet:
            self.observer.fragment(frame, packet)
        if whole is None:
            self._pass(frame, interface)
            return
        self._whole(whole, frame, interface)

    def _whole(self, packet: bytes, frame: Frame, interface: Interface) -> None:
        """A whole packet: one of a TCP stream counts for the messages that it completes."""
        ip = parse_ip(packet)
        taken = self.streams.take(ip, (replace(frame, data=b""), interface)) if ip and ip.protocol == TCP else None
        if taken is None:
            self._packet(packet, frame, interface)
            return
        self.totals.tcp += 1
        self._pass(frame, interface)
        self._from_stream(taken, frame, interface)

    def _from_stream(self, taken: Taken, frame: Frame, interface: Interface) -> None:
        self._passed = frame.number
        for packet in taken.packets:
            self._packet(packet, frame, interface)
        self._passed = 0
        if taken.too_long:
            self.note("IKE or ESP over TCP: messages that are too long for a datagram were left out")

    def _packet(self, packet: bytes, frame: Frame, interface: Interface) -> None:
        unwrapped = unwrap(packet, self.sas, frame.nanoseconds, nat_t=self.nat_t, trial=self.trial)
        if unwrapped:
            self._protected(packet, unwrapped, frame, interface)
            packet = unwrapped.packet
        ip = parse_ip(packet) if packet else None
        message = self._ike_octets(ip) if ip else None
        if ip and message:
            is_inner = bool(unwrapped and unwrapped.packet)
            self.told_first = self.told_first or frame.number
            self.totals.ike += 1
            if not is_inner:
                self._pass(frame, interface)
            if self.follow:
                self.follow(frame, packet, is_inner)
            else:
                results = Results(self.totals, frame, interface, self._output, self._jsonl, is_inner)
                self._message(ip, message, results)
        elif not unwrapped:
            self.totals.clear += 1
            if self.observer and ip:
                self.observer.clear(frame, ip)
            self._pass(frame, interface)

    def _protected(self, packet: bytes, unwrapped: Unwrapped, frame: Frame, interface: Interface) -> None:
        self.told_first = self.told_first or frame.number
        if unwrapped.failure:
            self.totals.closed[unwrapped.failure.reason.value] += 1
        elif unwrapped.packet:
            self.totals.opened += 1
        if self._jsonl:
            self._jsonl.packet(frame, unwrapped)
        if self.observer:
            self.observer.protected(frame, packet, unwrapped)
        self._pass(frame, interface)
        if self._output and unwrapped.packet:
            self._output.inner(frame, interface, unwrapped)
        if not self.fast:
            return
        for layer in unwrapped.layers:
            self.fast.keep_in_step(layer.sa)
        if len(unwrapped.layers) == 1 and unwrapped.packet and not unwrapped.failure:
            outer = parse_ip(packet)
            if outer:
                self.fast.follow(unwrapped.layers[0].sa, host_text(outer.source), host_text(outer.destination))

    @property
    def tells(self) -> "JsonLines | None":
        """Where each packet is told as a JSON line."""
        return self._jsonl

    def take_late(self, frame: Frame, interface: Interface) -> bool:
        """A frame behind those of this run: whether its fragment completes a packet that began here; only so it counts.

        Its number is counted on from the last frame of the run.
        """
        packet = ip_packet(frame.data, interface.link_type)
        if isinstance(packet, str) or not self._fragments.awaits(packet):
            return False
        whole = self._fragments.take(packet, frame.nanoseconds)
        if whole is None:
            return False
        self._whole(whole, replace(frame, number=self.totals.frames + frame.number), interface)
        return True

    @property
    def awaits_fragments(self) -> bool:
        """Whether packets are incomplete."""
        return len(self._fragments) > 0

    def mark(self) -> Callable[[], None]:
        """What takes back all that is learned from now on (``learn``)."""
        known, derived, ike_sas = len(self.sas.sas), len(self.derived), len(self.derived_ike)
        closed, notes = len(self._closed), len(self.notes)
        shared = {id(self._secrets): self._secrets}  # holds private keys, which cannot be copied, and never changes
        kept = deepcopy((self._negotiations, self.ikev1, self._quick_modes, self._salts, self.lineage), shared)
        ike, pairs = self.ike.copy(), self.nat_t.pairs
        trial = self.trial.state() if self.trial else None

        def back() -> None:
            self.sas.forget(known)
            del self.derived[derived:], self.derived_ike[ike_sas:], self._closed[closed:], self.notes[notes:]
            self._negotiations, self.ikev1, self._quick_modes, self._salts, self.lineage = kept
            self.ike = ike
            self.nat_t.restore(pairs)
            if self.trial and trial:
                self.trial.restore(trial)

        return back

    def learn(self, at: int, packet: bytes, results: Results | None = None) -> None:
        """Follow the IKE message in an IP packet captured ``at`` nanoseconds that another run reports."""
        ip = parse_ip(packet)
        message = self._ike_octets(ip) if ip else None
        if ip and message:
            self._message(ip, message, results or Results(Totals(), Frame(0, at, 0, b"", 0)))

    def _message(self, ip: IpPacket, octets: bytes, results: Results) -> None:
        frame, totals = results.frame, results.totals
        opened = self._open(octets, host_text(ip.source))
        if self.observer:
            self.observer.message(frame, ip, octets, opened)
        if opened is None:
            return
        totals.ike_opened += opened.is_encrypted and opened.is_clear
        totals.ike_closed += opened.is_encrypted and not opened.is_clear
        self._derive(ip, opened, frame.nanoseconds)
        if results.jsonl:
            results.jsonl.message(frame, opened)
        if results.output and not results.is_inner:
            try:
                clear = _in_clear(ip, opened)
            except ValueError:  # put together of fragments it may be longer than a datagram can be
                spi, number = octets[:8].hex(), opened.message.message_id
                self.note(f"IKE SA {spi}, message {number}: too long for one datagram in clear")
            else:
                results.output.message(frame, results.interface, clear, opened)

    def add(self, keys: KeyRing) -> None:
        """Take more keys into use."""
        for sa in keys.sas:
            self.sas.add(sa)
        for ike in keys.ike:
            self.ike.add(ike)
        for ikev1 in keys.ikev1:
            self.ikev1.add(ikev1)
        self._salts.add(keys.without_salt)
        for dh in keys.dh:
            self._secrets.add(dh)

    def follow_keys(self, seek: Callable[[Hashable], KeyRing | None]) -> None:
        """Ask for more keys where those of an SA are missing: by protocol and SPI, or by the SPIs of an IKE SA."""

        def more(*name: Hashable) -> bool:
            keys = seek(name)
            if keys:
                self.add(keys)
            return bool(keys)

        self.sas.seek = self._seek = more

    def _open(self, octets: bytes, source: str) -> Opened | OpenedV1 | None:
        """A message of either version; None for one that is not whole yet."""
        spis = octets[:8], octets[8:16]
        if self._seek and not self.ike.knows(*spis) and not self.ikev1.knows(spis[0]):
            self._seek(*spis)
        if is_ikev1(octets):
            return self.ikev1.open(octets, source)
        told = self._salts.offer(octets)
        if told:
            self.ike.add(told)
        return self.ike.open(octets)

    def _derive(self, ip: IpPacket, opened: Opened | OpenedV1, at: int) -> None:
        ends = host_text(ip.source), host_text(ip.destination)
        self.lineage.take(opened, ends, at)
        if isinstance(opened, OpenedV1):
            learned = self._quick_modes.take(opened, *ends)
            self.lineage.quick_mode(opened, learned.sas, at)
        else:
            learned = self._negotiations.take(opened, *ends)
            if learned.agreed:
                self.lineage.agree(learned.agreed, at)
        if len(self.derived) + len(self.derived_ike) > MOST_DERIVED:
            self.note(f"more than {MOST_DERIVED} SAs follow from the key exchanges: keys of the others are not derived")
            return
        self.derived += [keys for keys in learned.sas if self.sas.add(keys) is not None]
        self.derived_ike += [keys for keys in learned.ike if self.ike.add(keys)]
        for closed in learned.closed:
            if closed not in self._closed and len(self._closed) < _MOST_NOTES and not self._knows(closed):
                self._closed.append(closed)

    @property
    def missing(self) -> list[str]:
        """What an IKE exchange negotiated and no key opens, each once; bounded."""
        return [str(closed) for closed in self._closed if not self._knows(closed)]

    def _knows(self, closed: Closed) -> bool:
        """Whether some file has the keys of an SA that the capture does not give away."""
        if closed.protocol == ProtocolId.IKE:
            return self.ike.knows(*closed.spis)
        return all(self.sas.knows(closed.protocol, spi) for spi in closed.spis)

    def _ike_octets(self, ip: IpPacket) -> bytes | None:
        """The IKE message in a packet, without its marker: on port 500, or behind a marker on any port (RFC 3948)."""
        udp = parse_udp(ip.payload) if ip.protocol == UDP and not ip.is_fragment else None
        if udp is None:
            return None
        *ports, data = udp
        if IKE_PORT in ports:
            return data or None
        if data[:4] != NON_ESP_MARKER or len(data) < 4 + _IKE_HEADER or not _looks_like_ike(data[4:]):
            return None
        self.nat_t.learn(ip, udp[:2])
        return data[4:]

    def _pass(self, frame: Frame, interface: Interface) -> None:
        if self._output and self._output.with_outer and frame.number != self._passed:
            self._output.outer(frame, interface)

    def note(self, text: str) -> None:
        """Remember something that was noticed, once."""
        _once(self.notes, text)


def _once(texts: list[str], text: str) -> None:
    if text not in texts and len(texts) < _MOST_NOTES:
        texts.append(text)


def _looks_like_ike(data: bytes) -> bool:
    """Whether a header after a marker is IKE's: version 1 or 2, and the length it says."""
    return data[17] >> 4 in {1, 2} and int.from_bytes(data[24:28], "big") == len(data)


def _in_clear(ip: IpPacket, opened: Opened | OpenedV1) -> bytes:
    """The message as an IP packet on port 500, where every reader expects IKE without a marker."""
    datagram = build_udp(ip.source, ip.destination, IKE_PORT, IKE_PORT, opened.rebuilt())
    return replace_payload(ip, UDP, datagram)
