"""charon's log at levels that print secrets: ike = 4 (SK_*), chd = 4 (Child SAs), knl = 4 (what the kernel got).

A line is ``TIME THREAD[GROUP] <NAME|ID> TEXT``, behind whatever syslog or journald puts before it. A secret is a
line ``LABEL => N bytes @ ADDRESS`` and a hexadecimal dump below, of the same thread. SPIs of IKE SAs are told by
group mgr at level 2, or else, for SAs that were not rekeyed, by dumps of group ike.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from ipsectest.base.iana import TransformType
from ipsectest.base.suites import TransformSpec
from ipsectest.decrypt.keys import daemon_names, kernel_names, lengths, netlink
from ipsectest.decrypt.keys.charon_children import Children
from ipsectest.decrypt.keys.model import IkeKeys, IkeV1Keys
from ipsectest.decrypt.keys.source import Source

_LINE = re.compile(r"(?:^|\s)(\d\d)\[([A-Z]{3})\d?\] (?:<(?:[^>|]*\|)?(\d+)> )?(.*)$")
_DUMP = re.compile(r"(.+?) => (\d{1,9}) bytes @ (?:0x[0-9a-f]+|\(nil\))$")
_ROW = re.compile(r" *(\d{1,9}): ((?:[0-9A-F]{2} )+)")
_SPIS = re.compile(r"\[(\d+)\] with SPIs ([0-9a-f]{16})_i\*? ([0-9a-f]{16})_r")
_SECRET = re.compile(r"Sk_(d|ai|ar|ei|er|pi|pr) secret$")
_SKEYID = re.compile(r"SKEYID_([dae])$")
_PROPOSAL = re.compile(r"selected proposal: (IKE|ESP|AH):(\S+)$")
_ESTABLISHED = re.compile(r"IKE_SA \S*\[(\d+)\] state change: CONNECTING => ESTABLISHED$")
_PARSED = re.compile(r"parsed (?:IKE_AUTH|CREATE_CHILD_SA|IKE_FOLLOWUP_KE|QUICK_MODE) (request|response)\b")
_KERNEL = re.compile(r"sending XFRM_MSG_(?:NEWSA|UPDSA) \d+: ?$")
_LARGEST = 1 << 16
_MOST = 50_000
_MOST_WORDS = 64
"""Of a proposal that was chosen."""
_ZERO = bytes(8)


@dataclass(slots=True)
class _Dump:
    """A secret of which rows are still to come."""

    label: str
    size: int
    line: int
    context: str
    data: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Ike:
    """Keys of one derivation; SPIs are often told later."""

    line: int
    number: str
    """charon's for the IKE SA."""
    words: list[str]
    secrets: dict[str, bytes] = field(default_factory=dict)


@dataclass(slots=True)
class _Phase1:
    """Keys of an IKEv1 SA."""

    context: str
    line: int
    secrets: dict[str, bytes]


class _Reader:
    """What the lines so far say."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._dumps: dict[str, _Dump] = {}
        self._children = Children(source)
        self._spis: dict[str, tuple[bytes, bytes]] = {}
        self._words: dict[str, list[str]] = {}
        self._ike: list[_Ike] = []
        self._open: dict[str, _Ike] = {}
        self._ikev1: list[_Phase1] = []
        self._skeyids: dict[str, dict[str, bytes]] = {}

    def take(self, number: int, line: str) -> None:
        """One line."""
        found = _LINE.search(line)
        if not found:
            return
        thread, group, ident, text = found.groups()
        row = _ROW.match(text)
        if row and thread in self._dumps:
            self._row(thread, int(row[1]), bytes.fromhex(row[2]))
            return
        self._dumps.pop(thread, None)
        context = ident or f"thread {thread}"
        dump = _DUMP.match(text)
        if dump:
            self._dumps[thread] = _Dump(dump[1], int(dump[2]), number, context)
            return
        match group:
            case "DMN" if text.startswith("Starting "):
                self.end()  # numbers of IKE SAs begin again
            case "MGR":
                self._manager(text)
            case "IKE" if thread in self._open:
                self._established(thread, text)
            case "CFG":
                self._proposal(thread, context, text)
            case "ENC":
                self._parsed(thread, text)
            case "CHD":
                self._children.take(thread, context, number, text)

    def _row(self, thread: str, offset: int, octets: bytes) -> None:
        dump = self._dumps[thread]
        if offset != len(dump.data) or dump.size > _LARGEST:
            del self._dumps[thread]
            return
        dump.data += octets
        if len(dump.data) >= dump.size:
            del self._dumps[thread]
            self._secret(thread, dump, bytes(dump.data[: dump.size]))

    def _secret(self, thread: str, dump: _Dump, octets: bytes) -> None:
        secret = _SECRET.match(dump.label)
        if secret:
            self._take_sk(thread, dump, secret[1], octets)
        elif dump.label == "encryption key Ka":
            self._bound()
            secrets = {**self._skeyids.pop(dump.context, {}), "encryption_key": octets}
            self._ikev1.append(_Phase1(dump.context, dump.line, secrets))
        elif skeyid := _SKEYID.match(dump.label):
            if len(self._skeyids) < _MOST:
                self._skeyids.setdefault(dump.context, {})[f"skeyid_{skeyid[1]}"] = octets
        elif dump.label == "natd_chunk" or dump.label.startswith("octets = message + nonce"):
            spis = octets[:8], octets[8:16]
            if len(octets) >= 16 and spis[1] != _ZERO and len(self._spis) < _MOST:
                self._spis.setdefault(dump.context, spis)
        elif _KERNEL.match(dump.label):
            self._kernel(dump, octets)
        else:
            self._children.secret(thread, dump.context, dump.label, octets)

    def _take_sk(self, thread: str, dump: _Dump, name: str, octets: bytes) -> None:
        if name == "d" or thread not in self._open:
            self._bound()
            words = self._words.get(dump.context) or self._words.get(thread, [])
            self._open[thread] = _Ike(dump.line, dump.context, words)
            self._ike.append(self._open[thread])
        self._open[thread].secrets[f"sk_{name}"] = octets

    def _bound(self) -> None:
        if len(self._ike) + len(self._ikev1) >= _MOST:
            self.end()

    def _established(self, thread: str, text: str) -> None:
        """Charon 5 derives the keys of a new IKE SA in the name of the one that it replaces."""
        found = _ESTABLISHED.match(text)
        if found:
            self._open.pop(thread).number = found[1]

    def _manager(self, text: str) -> None:
        spis = _SPIS.search(text)
        if spis and bytes.fromhex(spis[3]) != _ZERO and len(self._spis) < _MOST:
            self._spis[spis[1]] = (bytes.fromhex(spis[2]), bytes.fromhex(spis[3]))

    def _proposal(self, thread: str, context: str, text: str) -> None:
        """The responder of a rekeying chooses in the name of the old IKE SA, and derives in that of the new one."""
        found = _PROPOSAL.search(text)
        if found and found[1] == "IKE" and len(self._words) < _MOST:
            self._words[context] = self._words[thread] = found[2].split("/")[:_MOST_WORDS]
        elif found and len(self._children.esn) < _MOST:
            self._children.esn[context] = "EXT_SEQ" in found[2].split("/")

    def _parsed(self, thread: str, text: str) -> None:
        found = _PARSED.match(text)
        if found:
            self._children.initiates[thread] = found[1] == "response"
        if text.startswith("parsed "):
            self._open.pop(thread, None)

    def _kernel(self, dump: _Dump, octets: bytes) -> None:
        try:
            keys = netlink.state(octets, self._source.origin(dump.line))
        except kernel_names.UnknownNameError as error:
            self._source.note(str(error), dump.line)
        except ValueError as error:
            self._source.problem(str(error), dump.line)
        else:
            if keys:
                self._children.add(keys)

    def end(self) -> None:
        """Give out what waited for SPIs."""
        self._children.end()
        for ike in self._ike:
            try:
                self._source.add(self._ike_keys(ike))
            except lengths.KeyLengthError as error:
                self._source.problem(str(error), ike.line)
        for one in self._ikev1:
            cookie, _ = self._told(one.context, one.line)
            self._source.add(IkeV1Keys(cookie_i=cookie, **one.secrets, origin=self._source.origin(one.line)))
        for table in (self._dumps, self._spis, self._words, self._open, self._ike, self._ikev1, self._skeyids):
            table.clear()

    def _told(self, context: str, line: int) -> tuple[bytes, bytes]:
        """Its SPIs, or empty ones and a note."""
        if context not in self._spis:
            self._source.note("the log does not tell the SPIs of this IKE SA (mgr = 2 would)", line)
        return self._spis.get(context, (b"", b""))

    def _ike_keys(self, ike: _Ike) -> IkeKeys:
        ciphers = [number for word in ike.words if (number := daemon_names.cipher(word)) is not None]
        macs = [number for word in ike.words if (number := daemon_names.integrity(word)) is not None]
        prfs = [number for word in ike.words if (number := daemon_names.prf(word)) is not None]
        if not ciphers:
            raise lengths.KeyLengthError("the log does not tell the suite of this IKE SA (cfg = 1 would)")
        if "sk_ei" not in ike.secrets or "sk_er" not in ike.secrets:
            raise lengths.KeyLengthError("SK_ei or SK_er of this IKE SA is missing")
        encryption = lengths.encryption(ciphers[0], ike.secrets["sk_ei"])
        lengths.encryption(ciphers[0], ike.secrets["sk_er"])
        integrity = None
        if macs and ciphers[0] not in lengths.AEADS:
            integrity = lengths.integrity(macs[0], ike.secrets.get("sk_ai", b""))
            lengths.integrity(macs[0], ike.secrets.get("sk_ar", b""))
        secrets: dict[str, Any] = dict(ike.secrets)
        spi_i, spi_r = self._told(ike.number, ike.line)
        return IkeKeys(
            spi_i=spi_i,
            spi_r=spi_r,
            encryption=encryption,
            integrity=integrity,
            prf=TransformSpec(TransformType.PRF, prfs[0]) if prfs else None,
            origin=self._source.origin(ike.line),
            **secrets,
        )


def read(source: Source) -> None:
    """Every SA of the log."""
    reader = _Reader(source)
    for number, line in source.lines():
        reader.take(number, line)
    reader.end()
    if not source.ring.count:
        source.note("a log of strongSwan without secrets: ike = 4, chd = 4 and mgr = 2 print them")
