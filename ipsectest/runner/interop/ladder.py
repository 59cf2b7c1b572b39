"""The ladder of a cell: its IKE messages, opened with the keys that its ends told, and ESP counted between them."""

from collections.abc import Sequence

from ipsectest.decrypt.ike import IkeDatabase
from ipsectest.decrypt.keys.model import KeyRing
from ipsectest.decrypt.keys.salts import Salts
from ipsectest.decrypt.reassembly import Fragments
from ipsectest.runner.interop.watch import PROTECTED, Frame, ike_message, kind_of, whole
from ipsectest.runner.records import AGAIN, LineRecord, RungRecord
from ipsectest.wire import SKF, Message, Payload, describe, parse_message, summary


def ladder(frames: Sequence[Frame], ring: KeyRing) -> list[RungRecord]:
    """No raise for any octets; what no key opens stays closed."""
    rungs: list[RungRecord] = []
    keys, fragments = _Keys(ring), Fragments()
    seen: set[tuple[bool, bytes]] = set()
    begun = frames[0].at if frames else 0
    esp = 0
    for fragment in frames:
        at = round((fragment.at - begun) / 1e9, 6)
        esp += kind_of(fragment) in PROTECTED
        frame = whole(fragment, fragments)
        octets = ike_message(frame) if frame else None
        if frame is None or octets is None:
            continue
        if esp:
            rungs.append(RungRecord(at, "--", f"{esp} ESP packets"))
            esp = 0
        again = (frame.sent, octets) in seen
        seen.add((frame.sent, octets))
        message, inner = keys.open(octets)
        details = [] if again else [LineRecord(line.depth, line.text) for line in describe(message, inner)]
        text = summary(message, inner) + (AGAIN if again else "")
        rungs.append(RungRecord(at, "->" if frame.sent else "<-", text, octets=len(octets), details=details))
    return rungs


class _Keys:
    """The IKE SAs of a cell."""

    def __init__(self, ring: KeyRing) -> None:
        self._known = IkeDatabase(ring.ike)
        self._salts = Salts(ring.without_salt)

    def open(self, octets: bytes) -> tuple[Message, list[Payload] | None]:
        """The message, and what its encrypted payload holds; None where that is not known, or in its last fragment."""
        if told := self._salts.offer(octets):
            self._known.add(told)
        opened = self._known.open(octets)
        if opened is None or not opened.is_encrypted or opened.failure:
            return parse_message(octets), None
        message = opened.message
        clear = 0 if isinstance(message.payloads[-1], SKF) else len(message.payloads) - 1
        return message, opened.payloads[clear:]
